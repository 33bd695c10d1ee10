"""Whatever kind of mail the code posts, somebody has written it: subject, text and HTML."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template.loader import get_template

from infra.mails.contents import KINDS, Unsendable, template_of

ROOT = Path(__file__).resolve().parents[3]
WRAPPERS = {"post"}  # functions that hand their first parameter on: billing.actions.post, Mail.post itself


def posted() -> Iterator[tuple[str, str]]:
    """Yield place and kind of each mail that the code posts; an empty kind where it cannot be read."""
    for folder in ("billing", "infra", "provisioning", "config"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
                for call in calls_of(function):
                    for kind in kinds_of(call, function):
                        yield f"{path.relative_to(ROOT)}:{call.lineno}", kind


def calls_of(function: ast.FunctionDef) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("Mail.post", "post", "actions.post", "billing.post"):
                yield node


def kinds_of(call: ast.Call, function: ast.FunctionDef) -> set[str]:
    first = call.args[0] if call.args else next((w.value for w in call.keywords if w.arg == "kind"), ast.Constant(""))
    if isinstance(first, ast.BinOp):  # "operator_" + kind
        return {f"{ast.literal_eval(first.left)}anything"}
    if isinstance(first, ast.Name):
        if function.name in WRAPPERS and first.id in {one.arg for one in function.args.args}:
            return set()  # its callers are looked at
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == first.id
        ]
        return {kind for value in values for kind in strings_of(value)} or {""}
    return set(strings_of(first)) or {""}


def strings_of(value: ast.expr) -> Iterator[str]:
    branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
    for one in branches:
        yield one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else ""


def test_every_posted_kind_is_written() -> None:
    found = list(posted())
    assert len({kind for _place, kind in found}) >= 8, "the scan sees nothing any more"
    for place, kind in found:
        assert kind, f"{place}: the kind of this mail cannot be read from the code"
        template_of(kind)


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("part", ["subject.txt", "txt", "html"])
def test_every_kind_has_its_three_templates(name: str, part: str) -> None:
    get_template(f"mail/{name}.{part}")


def test_no_template_is_left_over() -> None:
    names = {path.name.split(".")[0] for path in (ROOT / "templates/mail").iterdir()}
    assert names == {*KINDS, "base"}


def test_an_unwritten_kind_is_refused_and_not_guessed() -> None:
    with pytest.raises(Unsendable):
        template_of("unheard_of")
    assert template_of("operator_wallet_short") == "operator"
