"""Copies of the tree to put bugs into, and what pytest says of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from .bug import Bug

ROOT = Path(__file__).parents[2]
LONGEST = 600.0  # machine seconds that one run of pytest may take
REPORT = "verdicts.xml"


class Copy:
    """A copy of what belongs to the project, as it stands now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.splitlines()):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)

    def run(self, tests: Sequence[str], *options: str) -> Verdicts:
        """Run tests; return what became of them."""
        report = self.folder / REPORT
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            subprocess.run([*command, *options, *tests], cwd=self.folder, timeout=LONGEST, check=False, **quiet)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return Verdicts({})
        return Verdicts.read(report)

    @contextmanager
    def holding(self, bug: Bug) -> Iterator[None]:
        """Put a bug in for a block."""
        path = self.folder / bug.path
        text = path.read_text()
        if text.count(bug.before) != 1:
            sys.exit(f"{bug.key}: its text does not stand in {bug.path} exactly once")
        path.write_text(text.replace(bug.before, bug.after))
        try:
            yield
        finally:
            path.write_text(text)


class Verdicts:
    """What became of the tests of one run: "passed", "failed", or "broken" where a test did not even begin.

    Only a failure in the test itself catches a bug. A module that cannot be imported or a fixture that breaks shows
    nothing but a bug that no one would have committed.
    """

    def __init__(self, words: Mapping[tuple[str, str], str]) -> None:
        self.words = words

    @classmethod
    def read(cls, report: Path) -> Verdicts:
        """Read pytest's report. None means that it did not live to write one."""
        if not report.exists():
            return cls({})
        words: dict[tuple[str, str], str] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            marks = {child.tag for child in case}
            word = "broken" if marks & {"error", "skipped"} else "failed" if "failure" in marks else "passed"
            name = (case.get("classname", ""), case.get("name", "").partition("[")[0])
            words[name] = max(word, words.get(name, word), key=("passed", "failed", "broken").index)
        return cls(words)

    def of(self, test: str) -> str:
        """Return the worst that was said of a test, given as pytest names it; "" when it did not run."""
        file, _, name = test.partition("::")
        module = file.removesuffix(".py").replace("/", ".")
        said = [
            w for (where, what), w in self.words.items() if f"{where}.{what}" == f"{module}.{name.replace('::', '.')}"
        ]
        return said[0] if said else ""
