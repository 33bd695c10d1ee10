"""`make mutants`: put in one bug at a time, and see that the test meant for it fails.

Works on a copy of the tree. Before that each test runs on the unchanged copy and has to pass, so that no test is counted
that fails anyway. Prints a table, writes var/mutants.json, and ends with 0 only when every bug was caught.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from .bug import Bug
from .bugs import BUGS

ROOT = Path(__file__).parents[2]
LONGEST = 600.0  # seconds one test may take; a test that hangs has noticed something as well
FAILED, PASSED = 1, 0  # what pytest ends with; anything else is no verdict


def copy_tree(target: Path) -> Path:
    """Copy what belongs to the project, as it stands now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.splitlines()):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target


def verdict(folder: Path, test: str) -> int | None:
    """Run one test in a copy; return how pytest ended, None when it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", test]
    try:
        ended = subprocess.run(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return ended.returncode


def is_caught(folder: Path, bug: Bug) -> bool:
    """Put a bug in, run its test, take it out again."""
    path = folder / bug.path
    text = path.read_text()
    if text.count(bug.before) != 1:
        sys.exit(f"{bug.key}: its text does not stand in {bug.path} exactly once")
    path.write_text(text.replace(bug.before, bug.after))
    try:
        return verdict(folder, bug.test) in (FAILED, None)
    finally:
        path.write_text(text)


def run_all(bugs: Sequence[Bug], jobs: int) -> dict[str, float]:
    """Judge bugs in as many copies as there are jobs; return 1 or 0 by key."""
    with tempfile.TemporaryDirectory(prefix="gtm-mutants-") as base:
        Path(base).chmod(0o711)
        copies: Queue[Path] = Queue()
        for number in range(jobs):
            copies.put(copy_tree(Path(base) / str(number)))

        def sound(test: str) -> tuple[str, bool]:
            folder = copies.get()
            try:
                return test, verdict(folder, test) == PASSED
            finally:
                copies.put(folder)

        def judge(bug: Bug) -> tuple[Bug, bool, float]:
            folder, began = copies.get(), time.monotonic()
            try:
                return bug, is_caught(folder, bug), time.monotonic() - began
            finally:
                copies.put(folder)

        with ThreadPoolExecutor(jobs) as pool:
            broken = [test for test, passes in pool.map(sound, unique(bug.test for bug in bugs)) if not passes]
            if broken:
                sys.exit("These fail without any bug: " + ", ".join(broken))
            return {bug.key: report(bug, caught, took) for bug, caught, took in pool.map(judge, bugs)}


def unique(tests: Iterable[str]) -> list[str]:
    """Return each test once."""
    return list(dict.fromkeys(tests))


def report(bug: Bug, caught: bool, took: float) -> float:
    """Print a line of the table."""
    word = "caught" if caught else "SURVIVED"
    print(f"{word:9} {bug.guards:4} {bug.key:38} {took:5.0f} s  {bug.test}", flush=True)
    return float(caught)


def main() -> int:
    """Return what the process ends with."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="KEY", help="these bugs only")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    bugs = [bug for bug in BUGS if not arguments.only or bug.key in arguments.only]
    began = time.monotonic()
    found = run_all(bugs, arguments.jobs)
    numbers = {"mutants": len(found), "caught": sum(found.values()), "survived": len(found) - sum(found.values())}
    numbers["seconds"] = round(time.monotonic() - began, 1)
    print(f"{numbers['caught']:.0f} of {numbers['mutants']} caught in {numbers['seconds']:.0f} s")
    if not arguments.only:
        (ROOT / "var").mkdir(exist_ok=True)
        (ROOT / "var" / "mutants.json").write_text(json.dumps(numbers | found, indent=1) + "\n")
    return int(numbers["survived"] > 0)


if __name__ == "__main__":
    sys.exit(main())
