"""The catalogue of troubles is whole: every code that a step can carry has its entry, and every entry all of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from infra import help_pages, troubles
from infra.troubles import CATALOGUE, MEANINGS, REFUSED, Acts, Trouble
from provisioning.stacks import STACKS

ROOT = Path(__file__).parents[3]
OUTCOMES = {"NeedsOperator": 0, "Failed": 0}  # constructors of an outcome, and where their code stands
# The codes of SPEC.md, section 10.
OF_THE_SPECIFICATION = frozenset(
    {
        "NAMESERVER_NOT_UPDATED",
        "DOMAIN_ALREADY_EXISTS",
        "GODADDY_API_ERROR",
        "CLOUDFLARE_AUTH_FAILED",
        "SPF_TOO_MANY_LOOKUPS",
        "DKIM_KEY_MISSING",
        "DNS_PROPAGATION_TIMEOUT",
        "GOOGLE_WORKSPACE_AUTH_FAILED",
        "EMAIL_ALREADY_EXISTS",
        "WORKSPACE_QUOTA_EXCEEDED",
        "WEAK_PASSWORD",
        "SMARTLEAD_API_KEY_INVALID",
        "EMAIL_ALREADY_CONNECTED",
        "TRACKING_DOMAIN_SETUP_FAILED",
        "SMARTLEAD_RATE_LIMIT",
    }
)


def written_codes() -> Iterator[tuple[str, str]]:
    """Yield (where, code) for every outcome that steps and engine make with a code that is written out, or named."""
    for path in sorted((ROOT / "provisioning").rglob("*.py")):
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in OUTCOMES
                and node.args
            ):
                code = node.args[0]
                value = code.value if isinstance(code, ast.Constant) else getattr(module, getattr(code, "id", ""), None)
                if isinstance(value, str):
                    yield f"{path.name}:{node.lineno}", value


def test_every_code_that_a_step_can_carry_has_an_entry() -> None:
    found = dict(written_codes())
    assert len(found) > 20
    lacking = {where: code for where, code in found.items() if CATALOGUE.get(MEANINGS.get(code, code)) is None}
    at_steps = {name.partition("@")[0] for name in MEANINGS if "@" in name}
    assert {where: code for where, code in lacking.items() if code not in at_steps} == {}


def test_the_codes_of_the_specification_are_in_the_catalogue() -> None:
    assert set(CATALOGUE) >= OF_THE_SPECIFICATION


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_every_entry_has_all_of_it(entry: Trouble) -> None:
    for text in (entry.sentence, entry.action, entry.fallback):
        assert str(text).strip().endswith(".")
        assert not entry.code.isupper() or entry.code not in str(text)
    assert entry.acts in Acts
    assert entry.help in help_pages.PAGES
    assert entry.retryable or entry.delay is None


def test_what_a_code_means_can_depend_on_where_it_stands() -> None:
    for name, code in MEANINGS.items():
        assert code in CATALOGUE
        plain, _, where = name.partition("@")
        found = troubles.of(plain, step=where)
        assert found is not None
        assert found.code == code


def test_steps_and_platforms_that_the_catalogue_names_exist() -> None:
    steps = {spec.key for stack in STACKS.values() for spec in stack.steps}
    platforms = {spec.asks for stack in STACKS.values() for spec in stack.steps} | {"godaddy"}
    assert {name.partition("@")[2] for name in MEANINGS if "@" in name} <= steps | platforms


def test_a_refusal_without_an_entry_of_its_own_is_a_refusal() -> None:
    assert troubles.of("bad_org_unit") is REFUSED
    assert troubles.of("") is None


@pytest.mark.parametrize("slug", help_pages.PAGES)
def test_every_help_page_has_real_content(slug: str) -> None:
    page = help_pages.PAGES[slug]
    words = " ".join(
        str(text) for section in page.sections for text in (*section.paragraphs, *section.steps, *section.points)
    )
    assert len(words.split()) > 40
    assert all(section.paragraphs or section.steps or section.points for section in page.sections)
