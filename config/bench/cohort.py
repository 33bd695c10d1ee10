"""Chapter: a hundred orders paid at once and twenty students who search, in the platforms' time, beside the least possible.

It is the test of the quotas (`tests/chaos/test_quotas.py`) that measures: its clocks stand still until they are moved, so
that the figure does not depend on the machine. What it asserts of the limits must hold, or there is no figure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from .chapter import BenchFailed, Chapter, Note, Numbers

TESTS = "tests/chaos/test_quotas.py"
NAME = "cohort_over_bound"
READINGS = {"free": "purchases are no searches", "searches": "a purchase counts as a search"}


def needs() -> None:
    """Raises BenchFailed where the tests, or what they need, are missing."""
    if find_spec("pytest") is None or not (Path(settings.BASE_DIR) / TESTS).is_file():
        raise BenchFailed(
            "The cohort is measured by the tests: run `make bench` in a checkout, which installs what they need."
        )


def run(folder: Path, note: Note) -> Numbers:
    """Play the cohort in both readings and return how much longer it took than the least possible."""
    note("a hundred orders at once, in both readings")
    found = folder / "figures.json"
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider", "-k", "cohort"],
        cwd=settings.BASE_DIR,
        env=_environment() | {"GTM_CHAOS": "whole", "GTM_FIGURES": str(found)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BenchFailed("The cohort was not built as it must be.\n" + "\n".join(answer.stdout.splitlines()[-12:]))
    numbers = json.loads(found.read_text())
    return {name: number for name, number in numbers.items() if name.startswith("cohort_")}


def _environment() -> dict[str, str]:
    """Return this shell's variables without those that tell Django and the tests whose data they work on."""
    ours = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "GTM_DATABASE_OWNER", "GTM_DATABASE_ROLE", "VAR_DIR")
    return {name: value for name, value in os.environ.items() if name not in ours}


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'a hundred orders at once':<34}{'minutes':>8}{'least':>8}{'ratio':>8}"
    for reading, words in READINGS.items():
        yield (
            f"  {words:<32}{numbers[f'cohort_minutes_{reading}']:>8.1f}{numbers[f'cohort_least_minutes_{reading}']:>8.1f}"
            f"{numbers[f'{NAME}_{reading}']:>8.2f}"
        )
    yield f"  {'(the greater of the two)':<48}{numbers[NAME]:>8.2f}"


CHAPTER = Chapter(run, table, needs=needs)
