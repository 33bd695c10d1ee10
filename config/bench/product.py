"""Chapter: calls per provision, our own time, and the pages at ten and at ten thousand provisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .chapter import Chapter, Note, Numbers
from .pages import measure_pages
from .provision import provision
from .rows import grow
from .worlds import run_part, world


def run(folder: Path, note: Note) -> Numbers:
    """Make a world and measure it while it grows."""
    with world(folder / "rows", time_scale="1") as environment:
        note("one provision")
        numbers = run_part("provision", environment)
        note("pages at ten provisions")
        few = run_part("pages", environment)
        note("ten thousand provisions")
        numbers |= run_part("grow", environment | {"GTM_DATABASE_OWNER": "1"})
        note("pages at ten thousand provisions")
        return numbers | compared(few, run_part("pages", environment))


def compared(few: Mapping[str, float], many: Mapping[str, float]) -> dict[str, float]:
    """Put the two measurements of the pages beside each other: queries must not grow, times are a ratio."""
    found: dict[str, float] = {"queries_growth": 0.0}
    for name, value in many.items():
        if name.endswith("_queries"):
            found |= {name: value, f"{name}_growth": value - few[name]}
            found["queries_growth"] += abs(value - few[name])
        else:
            found |= {f"{name}_at_10": few[name], f"{name}_at_10000": value, f"{name}_ratio": value / few[name]}
    return found


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'calls per provision':<24}{'ours':>8}{'fewest':>8}{'ratio':>8}"
    for name in ("zapmail", "plusvibe", "heyreach"):
        ours, fewest = numbers[f"calls_{name}"], numbers[f"calls_fewest_{name}"]
        yield f"  {name:<22}{ours:>8.1f}{fewest:>8.0f}{numbers[f'calls_over_minimum_{name}']:>8.2f}"
    yield f"  {'in all':<22}{'':>16}{numbers['calls_over_minimum']:>8.2f}"
    yield "\nour own work per provision, without the platforms and without waits"
    yield (
        f"  {numbers['provision_own_ms']:.0f} ms ({numbers['provision_own_cpu_ms']:.0f} ms of our processor), "
        f"{numbers['provision_statements']:.0f} SQL statements, {numbers['provision_wakeups']:.0f} wake-ups"
    )
    yield f"\n{'pages at 10 and 10,000':<24}{'queries':>8}{'growth':>8}{'ms':>8}{'ms':>8}{'ratio':>8}"
    for key in [name for name in numbers if name.startswith("page_") and name.endswith("_queries")]:
        page = key.removesuffix("_queries")
        yield (
            f"  {page.removeprefix('page_'):<22}{numbers[key]:>8.0f}{numbers[f'{key}_growth']:>8.0f}"
            f"{numbers[f'{page}_ms_at_10']:>8.1f}{numbers[f'{page}_ms_at_10000']:>8.1f}{numbers[f'{page}_ms_ratio']:>8.2f}"
        )
    yield (
        f"  {'(supervisor tick)':<38}{numbers['tick_ms_at_10']:>8.1f}{numbers['tick_ms_at_10000']:>8.1f}"
        f"{numbers['tick_ms_ratio']:>8.2f}"
    )
    yield f"  queries_growth {numbers['queries_growth']:.0f}"


CHAPTER = Chapter(run, table, {"provision": provision, "pages": measure_pages, "grow": grow})
