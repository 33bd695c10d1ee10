"""The database refuses exactly one write of what was answered (CAPTURE) or of what became of it (OUTCOME).

The platform has done its work by then, and it cannot be repeated. Each write of the smallest package is refused in turn,
with errors of different kinds: what the ledger tries again, what ends the wake-up, what passes for a bug of ours.
"""

from __future__ import annotations

import pytest

from provisioning.engine import ledger, runner
from provisioning.engine.ledger import Ledger
from provisioning.models import Operation
from tests.chaos import whole
from tests.chaos.figures import Figures

from . import harness
from .failing_writes import CAPTURE, OUTCOME, Refusal, refusing
from .harness import Story, story

RAISED, DISK_FULL, NOT_SERIALIZABLE = "P0001", "53100", "40001"
CODES = (RAISED, DISK_FULL, NOT_SERIALIZABLE)
SLOW = runner.BACKOFF[0] + 1.0  # so long takes a call that a step is due again within the wake-up in which it failed
CASES = [(CAPTURE, harness.LATENCY), (CAPTURE, SLOW), (OUTCOME, harness.LATENCY), (OUTCOME, SLOW)]
THE_PASSWORD = ("plusvibe", "create_client")  # shown once, in the answer


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CAPTURE_PAUSE", 0.0)


def writes() -> list[tuple[str, str]]:
    """Return platform and verb of everything an undisturbed order writes, and so whatever a later step may add."""
    made = story()
    made.play()
    made.check()
    return sorted({(row.platform, row.verb) for row in Operation.objects.filter(run=made.run)})


def refusals(table: str) -> list[Refusal]:
    """Return every write with every kind of error; in the part, each write with one of them."""
    codes = [CODES if whole.IS_WHOLE else CODES[n % len(CODES) :][:1] for n in range(len(CODES))]
    return [Refusal(table, *verb, code) for n, verb in enumerate(writes()) for code in codes[n % len(CODES)]]


def played(refusal: Refusal) -> Story:
    made = story()
    with refusing(refusal, made.provision.pk) as attempts:
        made.play()
        assert attempts() > 0, f"{refusal}: nothing was refused"
    return made


@pytest.mark.parametrize("table, latency", whole.sample(CASES, part=2))
def test_any_one_write_may_be_refused_after_the_platform_has_acted(
    table: str, latency: float, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "LATENCY", latency)
    for refusal in refusals(table):
        print(refusal)
        made = played(refusal)
        made.check()
        assert made.done("plusvibe.create_client") == 1, f"{refusal}: the password was lost"
        figures.add("writes_refused_after_the_act")


def test_an_answer_that_is_not_tried_again_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a password that is shown once is gone, and its client has to be removed and made again."""
    monkeypatch.setattr(ledger, "CAPTURE_TRIES", 1)

    made = played(Refusal(CAPTURE, *THE_PASSWORD, DISK_FULL))

    made.check()
    assert made.done("plusvibe.create_client") == 2


def test_an_answer_whose_outcome_was_refused_is_lost_to_those_who_do_not_look_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the outcome: the answer was kept, and nobody reads it."""
    monkeypatch.setattr(Ledger, "_judge_capture", lambda *_: False)
    monkeypatch.setattr(Ledger, "_parse_stored", lambda *_: None)

    made = played(Refusal(OUTCOME, *THE_PASSWORD, RAISED))

    assert made.done("plusvibe.create_client") == 2
