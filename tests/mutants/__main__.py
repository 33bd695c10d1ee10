"""`make mutants`: put in one bug at a time, and see that the test meant for it fails.

Works on copies of the tree. Before that each test runs on an unchanged copy and has to pass, so that no test is counted
that fails anyway. Prints a table, writes var/mutants.json, and ends with 0 only when every bug was caught.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from .bug import Bug
from .bugs import BUGS
from .copies import ROOT, Copy


class Bench:
    """As many copies as there are jobs, each used by one run at a time."""

    def __init__(self, base: Path, jobs: int) -> None:
        self.jobs = jobs
        self.free: Queue[Copy] = Queue()
        for number in range(jobs):
            self.free.put(Copy(base / str(number)))

    def unsound(self, tests: Sequence[str]) -> list[str]:
        """Run tests without any bug; return those that do not pass."""
        files = sorted({test.partition("::")[0] for test in tests})
        shares = [
            [test for test in tests if files.index(test.partition("::")[0]) % self.jobs == n] for n in range(self.jobs)
        ]
        with ThreadPoolExecutor(self.jobs) as pool:
            return [test for found in pool.map(self._unsound_of, filter(None, shares)) for test in found]

    def _unsound_of(self, tests: Sequence[str]) -> list[str]:
        copy = self.free.get()
        try:
            verdicts = copy.run(tests)
        finally:
            self.free.put(copy)
        return [test for test in tests if verdicts.of(test) != "passed"]

    def judge(self, bug: Bug) -> bool:
        """Put a bug in and run its test; tell whether the test failed."""
        copy, began = self.free.get(), time.monotonic()
        try:
            with copy.holding(bug):
                said = copy.run([bug.test], "-x").of(bug.test) or "no end"
        finally:
            self.free.put(copy)
        word = {"failed": "caught", "passed": "SURVIVED"}.get(said, said.upper())
        print(f"{word:9} {bug.guards:4} {bug.key:38} {time.monotonic() - began:5.0f} s  {bug.test}", flush=True)
        return said == "failed"


def judge_all(bugs: Sequence[Bug], jobs: int) -> dict[str, float]:
    """Return 1 for each bug that was caught and 0 for each that was not, by key."""
    with tempfile.TemporaryDirectory(prefix="gtm-mutants-") as base:
        Path(base).chmod(0o711)  # as root, the database server runs as somebody else and must pass through
        bench = Bench(Path(base), jobs)
        broken = bench.unsound(list(dict.fromkeys(bug.test for bug in bugs)))
        if broken:
            sys.exit("These do not pass without any bug: " + ", ".join(broken))
        with ThreadPoolExecutor(jobs) as pool:
            caught = pool.map(bench.judge, bugs)
            return {bug.key: float(is_caught) for bug, is_caught in zip(bugs, caught, strict=True)}


def main() -> int:
    """Return what the process ends with."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="KEY", help="these bugs only")
    parser.add_argument("--list", action="store_true", help="show the bugs and their tests, and put in none")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - {bug.key for bug in BUGS}:
        parser.error(f"there is no bug {', '.join(sorted(unknown))}; see --list")
    bugs = [bug for bug in BUGS if not arguments.only or bug.key in arguments.only]
    if arguments.list:
        print("\n".join(f"{bug.guards:4} {bug.key:38} {bug.test}" for bug in bugs))
        return 0
    began = time.monotonic()
    found = judge_all(bugs, arguments.jobs)
    numbers = {"mutants": len(found), "caught": sum(found.values()), "survived": len(found) - sum(found.values())}
    numbers["seconds"] = round(time.monotonic() - began, 1)
    print(f"{numbers['caught']:.0f} of {numbers['mutants']} caught in {numbers['seconds']:.0f} s")
    if not arguments.only:
        (ROOT / "var").mkdir(exist_ok=True)
        (ROOT / "var" / "mutants.json").write_text(json.dumps(numbers | found, indent=1) + "\n")
    return int(numbers["survived"] > 0)


if __name__ == "__main__":
    sys.exit(main())
