"""The house rules that no tool checks. Each test names its rule; a failure names the place."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands

from integrations import registry

ROOT = Path(__file__).resolve().parent.parent
OURS = ("billing", "config", "infra", "integrations", "provisioning")
TOP_LEVEL = {
    *OURS,
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "manage.py",
    "pyproject.toml",
    "requirements",
    "static",
    "templates",
    "tests",
}


@cache
def tracked() -> tuple[Path, ...]:
    """Return every file of the repository: what git knows, or, in an exported tree, what lies there."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listing.stdout.split("\0")[:-1]
    assert names, "the house rules are checked in a git checkout"
    return tuple(path for path in map(ROOT.joinpath, names) if path.exists())


def files(*suffixes: str, under: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file with one of `suffixes`, below one of the folders `under`."""
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in suffixes and (not under or name.startswith(tuple(f"{folder}/" for folder in under))):
            yield name, path.read_text(encoding="utf-8")


def lines_with(
    pattern: str, *suffixes: str, under: tuple[str, ...] = (), but: frozenset[str] = frozenset()
) -> list[str]:
    rule = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in files(*suffixes, under=under)
        if name not in but
        for number, line in enumerate(text.splitlines(), 1)
        if rule.search(line)
    ]


def calls(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of each call, so that words inside strings do not count."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


# ---- the listing -----------------------------------------------------------------------------------------------------


def test_the_top_level_listing_is_the_one_the_readme_explains() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} == TOP_LEVEL


def test_every_package_of_ours_is_checked_for_its_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert set(project["tool"]["importlinter"]["root_packages"]) == set(OURS)


@pytest.mark.parametrize("slug", [platform.slug for platform in registry.PLATFORMS])
def test_a_platforms_slug_names_all_its_places(slug: str) -> None:
    """One name, five places: client, simulation, tests of both, and what we know of it."""
    places = [
        f"integrations/{slug}.py",
        f"integrations/sandbox/{slug}.py",
        f"tests/unit/integrations/test_{slug}.py",
        f"tests/unit/sandbox/test_{slug}.py",
        f"docs/platforms/{slug}.md",
    ]

    assert [place for place in places if not (ROOT / place).exists()] == []


# ---- what must not be committed --------------------------------------------------------------------------------------


def test_requirement_files_name_no_registry() -> None:
    assert lines_with("://", ".txt", under=("requirements",)) == []


def test_every_requirement_is_pinned_and_hashed() -> None:
    for name, text in files(".txt", under=("requirements",)):
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert "==" in block and "--hash=sha256:" in block, f"{name}: {block.splitlines()[0]}"  # noqa: PT018


def test_development_uses_the_versions_of_production() -> None:
    base, dev = (set(re.findall(r"^[\w.-]+==\S+", _text(f"requirements/{name}.txt"), re.M)) for name in ("base", "dev"))

    assert base - dev == set()


def test_no_lock_file_that_records_addresses() -> None:
    assert [path.name for path in tracked() if path.name in ("uv.lock", "pylock.toml", "poetry.lock")] == []


def test_no_path_of_somebodys_machine() -> None:
    suffixes = (".py", ".md", ".toml", ".txt", ".html", ".css", ".js", "")

    assert lines_with(r"(^|[\s\"'(=])/(work|farm|root|home|Users)/", *suffixes, but=frozenset({_here()})) == []


def test_no_note_to_self() -> None:
    assert lines_with(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", ".py", ".md", ".html", ".css", ".js", ".toml", "") == []


def test_no_live_key() -> None:
    assert lines_with(r"\b[sr]k_live_[A-Za-z0-9]{20,}", ".py", ".md", ".toml", ".html", "") == []


# ---- dependencies ----------------------------------------------------------------------------------------------------


def test_every_dependency_has_its_reason() -> None:
    block = re.findall(r'^  ".+$', _text("pyproject.toml").split("[tool.", 1)[0], re.M)

    assert block
    assert [line for line in block if not re.search(r'", +# \S.{5,}$', line)] == []


# ---- time ------------------------------------------------------------------------------------------------------------


WALL_CLOCKS = ("timezone.now", "datetime.now", "datetime.datetime.now", "datetime.utcnow", "time.time", "Now")
# Stamps for people may come from the wall clock; what decides about work may not.
DECIDING_MODULES = (
    "provisioning/engine/budget.py",
    "provisioning/engine/claims.py",
    "provisioning/engine/doorbell.py",
    "provisioning/engine/ledger.py",
    "provisioning/engine/reader.py",
    "provisioning/engine/runner.py",
    "provisioning/engine/supervisor.py",
    "provisioning/engine/wave.py",
    "provisioning/search.py",
)
DECIDING_TIMES = {"lease_until", "next_attempt_at", "rung_at", "send_before", "try_again_at", "until", "used_at"}


def test_leases_and_budgets_read_the_clocks_of_infra_clock_only() -> None:
    """`now()` stands still within a transaction, and Python's clock knows nothing of vendor time."""
    found = [
        f"{name}:{line}: {called}"
        for name in DECIDING_MODULES
        for line, called in calls(_text(name))
        if called in WALL_CLOCKS
    ]

    assert found == []


def test_no_time_that_decides_about_work_comes_from_a_wall_clock() -> None:
    found = [
        f"{name}:{value.lineno}: {target}"
        for name, text in files(".py", under=("provisioning", "billing", "infra"))
        for target, value in given_values(text)
        if target in DECIDING_TIMES and any(called in WALL_CLOCKS for _, called in calls(ast.unparse(value)))
    ]

    assert found == []


def given_values(text: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and value of each keyword argument and each assignment to an attribute."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from paired(target, node.value)


def paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from paired(one, its)
    elif isinstance(target, ast.Attribute):
        yield target.attr, value


def test_no_sql_reads_the_transactions_clock() -> None:
    pattern = r"(?i)(?<![\w.])(now\(\)|current_timestamp|transaction_timestamp\(\)|statement_timestamp\(\))"

    assert lines_with(pattern, ".py", under=("provisioning", "infra", "billing")) == []


# A slow server is the subject there, so it really has to be slow.
SLOW_ON_PURPOSE = ("tests/unit/integrations/test_transport.py", "tests/unit/integrations/socket_server.py")


def test_tests_wait_for_conditions_not_for_time() -> None:
    found = [
        f"{name}:{line}"
        for name, text in files(".py", under=("tests",))
        if name not in SLOW_ON_PURPOSE
        for line, called in calls(text)
        if called in ("time.sleep", "sleep")
    ]

    assert found == []


# ---- code ------------------------------------------------------------------------------------------------------------


def test_no_bare_except() -> None:
    """django-q2's time-out is a SystemExit raised anywhere: a bare except would swallow it."""
    found = [
        f"{name}:{node.lineno}"
        for name, text in files(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]

    assert found == []


def test_every_constraint_and_index_has_a_name_somebody_chose() -> None:
    for name, text in files(".py", under=OURS):
        if "/migrations/" not in name:
            continue
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            if called in ("models.UniqueConstraint", "models.CheckConstraint", "models.Index"):
                given = next((ast.unparse(word.value).strip("'") for word in call.keywords if word.arg == "name"), "")
                assert given, f"{name}:{call.lineno} has no name"
                assert not re.search(r"_[0-9a-f]{6}_idx$", given), f"{name}: {given} was made by the machine"


def test_signals_cross_no_applications() -> None:
    assert lines_with(r"@receiver|\b(pre|post)_(save|delete)\.connect", ".py", under=OURS) == []


# ---- pages -----------------------------------------------------------------------------------------------------------


def test_templates_hold_no_style_and_no_script() -> None:
    """The content security policy would refuse them."""
    assert lines_with(r"(?i)\s(style|on[a-z]+)\s*=\s*[\"']", ".html", under=("templates",)) == []
    assert lines_with(r"(?i)<style\b|<script\b(?![^>]*\bsrc=)|javascript:", ".html", under=("templates",)) == []


def test_pages_load_nothing_from_elsewhere() -> None:
    pattern = r"(?i)(src|href)=[\"'](https?:)?//|@import|url\((?![\"']?(data:|#|\.|/static))[^)]*//"

    assert lines_with(pattern, ".html", ".css", under=("templates/base.html", "templates/components", "static")) == []


# ---- documents -------------------------------------------------------------------------------------------------------


def test_the_commands_of_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.M))
    for name, text in files(".md"):
        code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (.+)$", text, re.M)
        for command in code:
            if made := re.match(r"make ([a-z]+)\b", command):
                assert made[1] in targets, f"{name}: {command}"
            if managed := re.match(r"(?:python )?manage\.py ([a-z_]+)\b", command):
                assert managed[1] in get_commands(), f"{name}: {command}"


def test_every_setting_of_the_environment_is_documented() -> None:
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', _text("config/settings.py")))

    assert sorted(name for name in read if f"`{name}`" not in _text("README.md")) == []


def test_links_between_documents_lead_somewhere() -> None:
    for name, text in files(".md"):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_the_tests_that_documents_name_exist() -> None:
    """A test is named as `file::name`, the file by the end of its path below tests/ that no other file has."""
    names = {f"/{name}": set(re.findall(r"def (test_\w+)\(", text)) for name, text in files(".py", under=("tests",))}
    named = [(name, *found) for name, text in files(".md") for found in re.findall(r"`([\w/]+\.py)::(\w+)`", text)]
    assert len(named) > 200
    for name, file, test in named:
        meant = [tests for path, tests in names.items() if path.endswith(f"/{file}")]
        assert len(meant) == 1, f"{name}: {len(meant)} files end in {file}"
        assert test in meant[0], f"{name}: {file}::{test}"


def test_the_changelog_has_an_entry_for_what_comes_next() -> None:
    assert re.search(r"^## ", _text("CHANGELOG.md"), re.M)


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _here() -> str:
    return Path(__file__).relative_to(ROOT).as_posix()
