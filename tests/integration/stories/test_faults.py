"""Every write meets every fault of the network and of the platform. The run ends active, and nothing exists twice.

Each run gives each write another fault, so that as many runs as there are faults cover all pairs.
"""

from __future__ import annotations

from typing import Any

import pytest

from .kit import Story, story

pytestmark = pytest.mark.django_db

WRITES = (
    ("zapmail", "create_workspace"),
    ("zapmail", "buy_mailbox_slots"),
    ("zapmail", "buy_domains"),
    ("zapmail", "set_dmarc"),
    ("zapmail", "create_mailboxes"),
    ("plusvibe", "create_workspace"),
    ("plusvibe", "create_client"),
    ("zapmail", "register_sender"),
    ("zapmail", "export_mailboxes"),
    ("plusvibe", "update_accounts"),
    ("plusvibe", "set_warmup"),
    ("heyreach", "create_list"),
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "refuse"},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "status", "status": 500},
    {"kind": "status_after", "status": 502},
    {"kind": "garbage_body"},
    {"kind": "empty_body"},
    {"kind": "truncated_body"},
    {"kind": "null_id"},
    {"kind": "wrong_type"},
    {"kind": "huge_body"},
    {"kind": "redirect"},
    {"kind": "rate_limit"},
    {"kind": "rate_limit", "advice": "30"},
    {"kind": "rate_limit", "advice": "next Tuesday"},
    {"kind": "rate_limit", "advice": "999999999"},
    {"kind": "status", "status": 401},
    {"kind": "late_execution", "seconds": 250.0},
    {"kind": "timeout_after", "times": 2},
)
READS = ("list_workspaces", "list_domains", "list_mailboxes", "list_senders", "list_accounts", "list_clients")


def everywhere(shift: int) -> tuple[dict[str, Any], ...]:
    """Return one fault per write, another one for each shift."""
    return tuple(
        {"times": 1, **FAULTS[(shift + place) % len(FAULTS)], "platform": platform, "verb": verb}
        for place, (platform, verb) in enumerate(WRITES)
    )


@pytest.mark.parametrize("shift", range(len(FAULTS)))
def test_every_write_survives_every_fault(shift: int) -> None:
    made = story(faults=everywhere(shift))
    made.play(hours=48)
    made.check(quotas=False)
    assert not made.items().exclude(kind="circuit").exists(), "a person was needed"
    nothing_was_done_twice(made)


def nothing_was_done_twice(made: Story) -> None:
    """What has no way back was carried out once; a client login may be made anew, because its password is shown once."""
    for verb in ("zapmail.create_workspace", "zapmail.buy_mailbox_slots", "zapmail.buy_domains"):
        assert made.done(verb) <= 1, verb  # 0: it was carried out late, which the log does not show
    assert len(made.sandbox.world.heyreach.lists) == 1
    assert len(made.sandbox.world.plusvibe.workspaces) == 2
    assert len(made.sandbox.world.plusvibe.clients) == 1
    assert len(made.sandbox.world.zapmail.senders) == 1


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 503}, {"kind": "timeout_after"}, {"kind": "html_body"}, {"kind": "garbage_body"}],
)
def test_reads_that_fail_cost_time_and_nothing_else(fault: dict[str, Any]) -> None:
    made = story(faults=tuple({**fault, "verb": verb, "times": 2} for verb in READS))
    made.play()
    made.check()
    nothing_was_done_twice(made)


def test_lists_that_lag_within_the_bounds_cost_time_and_nothing_else() -> None:
    made = story(faults=tuple({"kind": "list_lag", "verb": verb, "seconds": 110.0} for verb in (*READS, "find_lists")))
    made.play()
    made.check()
    nothing_was_done_twice(made)


@pytest.mark.parametrize("shift", [0, 6])
def test_lost_answers_and_lagging_lists_together(shift: int) -> None:
    lags = [{"kind": "list_lag", "verb": verb, "seconds": 110.0} for verb in (*READS, "authenticate", "find_lists")]
    lost = [
        {"kind": ("timeout_after", "reset_after")[place % 2], "verb": verb, "platform": platform, "times": 1}
        for place, (platform, verb) in enumerate(WRITES[shift : shift + 6])
    ]
    made = story(faults=(*lags, *lost))
    made.play(hours=48)
    made.check()
    nothing_was_done_twice(made)
