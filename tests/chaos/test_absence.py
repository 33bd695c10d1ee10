"""When may a thing that was asked for, and never answered, be asked for again? Only when it cannot come any more.

The rule of absence is bounded: a platform carries a request out at most `late_execution` (300 s) after we gave up, and
its lists are at most `list_lag` (120 s) behind. Inside these bounds nothing is ever made twice. Outside it can be, and
the last tests show that it is, and where it shows: that is the limit of the promise, stated in docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from integrations import registry
from integrations.http.errors import PlatformError, RateLimited
from integrations.http.replies import Judge
from provisioning.engine import ledger
from provisioning.models import Operation
from tests.integration.stories.kit import Story
from tests.integration.world import SETTINGS

from .figures import Figures
from .scenes import HOURS, SCENES, Scene, Seen, calls_of
from .whole import packs, sample

PLAIN = [scenes[0] for scenes in SCENES.values()]
LATE = (0.0, 100.0, 200.0, 300.0)  # vendor seconds after we gave up
LAG = (0.0, 60.0, 120.0)  # vendor seconds
GRID = [(late, lag) for late in LATE for lag in LAG]

BOUNDS = 300.0 + 120.0 + ledger.ABSENCE_MARGIN + ledger.SEND_WINDOW  # vendor seconds after we gave up
ORDER_DROP = {"zapmail.buy_domains": 300.0, "zapmail.buy_mailbox_slots": 1800.0}  # by which a purchase waits longer
BEYOND = 1800.0  # vendor seconds after the bounds: long enough for the two reads and the next attempt


def once(scene: Scene) -> list[Seen]:
    """Return the writes of a scene that must not be repeated."""
    return [call for call in calls_of(scene) if call.is_write and not call.repeatable]


def lags(scene: Scene, seconds: float) -> list[dict[str, Any]]:
    """Every list is behind, those that only an unresolved write makes us read as well."""
    platforms = {call.platform for call in calls_of(scene)}
    return [{"kind": "list_lag", "platform": platform, "seconds": seconds} for platform in sorted(platforms) if seconds]


def carried_out_late(calls: Sequence[Seen], late: float) -> list[dict[str, Any]]:
    return [
        {
            "kind": "late_execution",
            "platform": call.platform,
            "verb": call.verb,
            "seconds": call.deadline + late,
            "times": 1,
        }
        for call in calls
    ]


def begin(scene: Scene, *faults: dict[str, Any], **world: Any) -> Story:
    made = scene.begin(**world)
    for fault in faults:
        values = dict(fault)
        made.sandbox.faults.add(values.pop("kind"), **values)
    return made


@pytest.mark.parametrize(("late", "lag"), sample(GRID, part=2))
@pytest.mark.parametrize("scene", PLAIN, ids=str)
def test_inside_the_bounds_nothing_is_made_twice_and_nobody_is_asked(
    scene: Scene, late: float, lag: float, figures: Figures
) -> None:
    writes = once(scene)
    for together in packs(writes):
        made = begin(scene, *carried_out_late(together, late), *lags(scene, lag))
        made.play(hours=HOURS)
        made.check(quotas=False)
        assert not made.decisions().exists()
        assert all(Operation.objects.filter(run=made.run, verb=write.verb).exists() for write in together)
        figures.add("absence_cells_inside", len(together))
        figures.add("absence_runs")


# ---- outside ---------------------------------------------------------------------------------------------------------

# What the platforms give twice when they are asked twice, and the invariant that says so.
DOUBLED = {
    "zapmail.buy_mailbox_slots": "more slots than were ordered",
    "zapmail.buy_domains": "was bought 2 times",
    "plusvibe.create_workspace": "plusvibe workspace twice",
    "heyreach.create_list": "lead list twice",
}


def beyond_the_bounds(name: str) -> Story:
    """Play a run in which a platform carries out one call half an hour later than we believe possible."""
    scene = SCENES["zapmail"][0]
    late = BOUNDS + ORDER_DROP.get(name, 0.0) + BEYOND
    made = begin(scene, *carried_out_late([call for call in once(scene) if str(call) == name], late))
    made.play(hours=HOURS)
    made.advance(late)
    return made


@pytest.mark.parametrize("name", DOUBLED)
def test_beyond_the_bounds_it_is_made_twice_and_the_invariants_say_so(name: str, figures: Figures) -> None:
    made = beyond_the_bounds(name)
    with pytest.raises(AssertionError, match=DOUBLED[name]):
        made.check(quotas=False)
    figures.add("absence_doubled_outside")


@pytest.mark.parametrize("name", ["plusvibe.create_workspace", "heyreach.create_list"])
def test_a_list_that_lags_beyond_the_bounds_makes_us_make_it_twice(name: str, figures: Figures) -> None:
    scene = SCENES["zapmail"][0]
    platform, _, verb = name.partition(".")
    lost = {"kind": "timeout_after", "platform": platform, "verb": verb, "times": 1}
    made = begin(scene, lost, {"kind": "list_lag", "platform": platform, "seconds": 1800.0})
    made.play(hours=HOURS)
    with pytest.raises(AssertionError, match=DOUBLED[name]):
        made.check(quotas=False)
    figures.add("absence_doubled_outside")


def test_what_was_paid_twice_is_seen_in_the_wallet() -> None:
    """What a person can hold against each other afterwards: two debits at the platform, one counter in our rows."""
    made = beyond_the_bounds("zapmail.buy_mailbox_slots")
    debits = [entry.cents for entry in made.sandbox.world.zapmail.ledger if entry.kind == "slots"]
    ordered = made.provision.order["mailbox_count"]
    assert len(debits) == 2
    assert made.sandbox.world.zapmail.workspaces[made.provision.facts["zapmail_workspace_id"]].slots == 2 * ordered
    states = Operation.objects.filter(run=made.run, verb="buy_mailbox_slots").order_by("created_at")
    assert list(states.values_list("state", flat=True)) == ["absent", "done"]


# ---- controls --------------------------------------------------------------------------------------------------------

PLATFORM_BOUNDS = ("LATE_EXECUTION_SECONDS", "LIST_LAG_SECONDS", "ORDER_DROP_SECONDS")
NO_BOUNDS = {f"{row.slug.upper()}_{name}": "0" for row in registry.PLATFORMS for name in PLATFORM_BOUNDS}
NO_BOUNDS |= {"SLOTS_GRACE": "0"}


@pytest.mark.parametrize("name", DOUBLED)
def test_control_without_bounds_a_late_execution_doubles_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "ABSENCE_MARGIN", 0.0)
    scene = SCENES["zapmail"][0]
    late = carried_out_late([call for call in once(scene) if str(call) == name], 290.0)
    made = begin(scene, *late, **NO_BOUNDS)
    made.play(hours=HOURS)
    made.advance(300)
    with pytest.raises(AssertionError, match=DOUBLED[name]):
        made.check(quotas=False)


def test_control_a_500_that_counts_as_not_done_buys_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Judge.__call__

    def wrong(judge: Judge, raw: Any) -> PlatformError | None:
        return RateLimited("not done, surely") if raw.status >= 500 else right(judge, raw)

    monkeypatch.setattr(Judge, "__call__", wrong)
    for name, sentence in DOUBLED.items():
        platform, _, verb = name.partition(".")
        fault = {"kind": "status_after", "platform": platform, "verb": verb, "status": 502, "times": 1}
        made = begin(SCENES["zapmail"][0], fault)
        made.play(hours=HOURS)
        with pytest.raises(AssertionError, match=sentence):
            made.check(quotas=False)


def test_the_bounds_are_what_the_clients_ask_for() -> None:
    """The grid ends where the clients' own bounds do."""
    clients = registry.build_clients(SETTINGS)
    for one in (clients.zapmail, clients.plusvibe, clients.heyreach):
        assert one.settings.late_execution >= max(LATE)
        assert one.settings.list_lag >= max(LAG)
