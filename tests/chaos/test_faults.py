"""Every call of every stack meets every fault: taken for what it is, and nothing is ever done twice.

A run meets one fault at each of its calls in the part, at a few of them in the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .fault_runs import judge, play
from .fault_table import TABLE, Row
from .figures import Figures
from .scenes import EVERY_SCENE, SCENES, Scene, Seen, calls_of, own_calls
from .whole import packs, sample

PLAIN = [scenes[0] for scenes in SCENES.values()]
SHIFTS = range(len(TABLE))
Pair = tuple[Seen, Row]


@pytest.mark.parametrize("shift", sample(SHIFTS, part=2))
@pytest.mark.parametrize("scene", PLAIN, ids=str)
def test_every_call_of_a_plain_run_survives_every_fault(scene: Scene, shift: int, figures: Figures) -> None:
    meet(scene, pairs(scene, shift), figures)


@pytest.mark.parametrize("shift", sample(SHIFTS, part=1))
@pytest.mark.parametrize("scene", [scene for scene in EVERY_SCENE if scene not in PLAIN], ids=str)
def test_calls_that_only_trouble_brings_about_survive_more_of_it(scene: Scene, shift: int, figures: Figures) -> None:
    meet(scene, pairs(scene, shift), figures)


def test_every_call_of_these_runs_has_a_row_of_its_own(figures: Figures) -> None:
    """What the platforms were asked in all of them is compared with what the scenes have shown."""
    for scene in EVERY_SCENE:
        figures.see("calls of all scenes", *map(str, calls_of(scene)))
    figures.within("calls in fault runs", "calls of all scenes")


def pairs(scene: Scene, shift: int) -> list[Pair]:
    """Return one fault for each call of a scene, another one for each shift; none for what no read can meet."""
    found = []
    for place, call in enumerate(own_calls(scene)):
        row = TABLE[(shift + place) % len(TABLE)]
        if call.is_write or row.read is not None:
            found.append((call, row))
    return found


def meet(scene: Scene, wanted: Sequence[Pair], figures: Figures) -> None:
    """Let each pair meet and judge it. What another fault kept from happening gets a run of its own."""
    left = list(wanted)
    for together in packs(wanted):
        made, cells = play(scene, together)
        judge(made, cells, figures)
        met = [(cell.target, cell.row) for cell in cells if cell.call is not None]
        left = [pair for pair in left if pair not in met]
    for pair in left:
        made, cells = play(scene, [pair])
        assert cells[0].call is not None, f"{cells[0]}: never met"
        judge(made, cells, figures)
