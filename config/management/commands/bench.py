"""`manage.py bench`: the benchmarks, on databases and simulated platforms of their own."""

from __future__ import annotations

import json
import signal
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import bench, demo, postgres
from config.bench.worlds import temporary_folder


class Command(BaseCommand):
    help = "Measure calls per provision, our own time, the pages at ten and ten thousand provisions, and memory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", default="", help="some of the chapters, with commas: " + ", ".join(bench.CHAPTERS)
        )
        parser.add_argument("--part", help="one part of the measurement; the command starts them itself")

    def handle(self, *, only: str, part: str | None, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("The benchmark orders things; it does not run with PLATFORM_MODE=live.")
        try:
            if part:
                self.stdout.write(json.dumps(bench.measure(part)))
            else:
                self.report(list(bench.chapters(only)), only)
        except (bench.BenchFailed, demo.DemoError, postgres.PostgresError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.") from None

    def report(self, chapters: Sequence[bench.Chapter], only: str) -> None:
        """Run the chapters, write their numbers and print their tables."""
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, _interrupt)
        began = time.monotonic()
        for chapter in chapters:
            chapter.needs()
        numbers: bench.Numbers = {}
        for chapter in chapters:
            with temporary_folder() as folder:
                numbers |= chapter.run(folder, self._note)
        numbers["bench_seconds"] = time.monotonic() - began
        rounded = {name: round(value, 3) for name, value in numbers.items()}
        # A part of the benchmark never takes the place of a whole one.
        target = Path(settings.VAR_DIR) / (f"bench-{only.replace(',', '-')}.json" if only else "bench.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n")
        for chapter in chapters:
            self.stdout.write("\n".join(chapter.lines(rounded)))
        self.stdout.write(f"\nAll numbers: {target}")

    def _note(self, what: str) -> None:
        self.stdout.write(f"  {what} ...")
        self.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
