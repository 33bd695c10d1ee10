"""The vocabulary of states is the specification's, and each state says what it means and who must act."""

from __future__ import annotations

import pytest
from django.db.models import TextChoices

from infra.dashboard import words
from infra.models import states
from infra.state_guide import GUIDE, StateRow

SPECIFICATION: dict[type[TextChoices], str] = {
    states.ProvisionState: "draft, pending_payment, provisioning, active, active_with_exceptions, upgrading, suspended,"
    " failed, cancelling, cancelled",
    states.ParkedReason: "waiting_vendor, waiting_funds, needs_choice, needs_student, needs_operator",
    states.RunState: "queued, running, waiting, parked, failed, done, cancelled",
    states.StepState: "pending, in_progress, waiting, completed, failed, skipped",
    states.OperationState: "intended, captured, done, rejected, not_done, unknown, absent",
    states.DomainState: "selected, spare, lost, purchasing, pending_nameservers, nameservers_verified, dns_pending,"
    " connected, active, failed, expired, released",
    states.MailboxState: "planned, creating, created, connected, warming, ready, suspended, failed, removed",
    states.DnsRecordState: "planned, created, propagating, propagated, drifted, failed",
    states.WatchState: "polling, completed, timeout, cancelled",
}
ROWS = [(state, row) for rows in GUIDE.values() for state, row in rows.items()]


@pytest.mark.parametrize("vocabulary", SPECIFICATION, ids=lambda kind: kind.__name__)
def test_the_vocabulary_is_the_specifications(vocabulary: type[TextChoices]) -> None:
    assert vocabulary.values == SPECIFICATION[vocabulary].split(", ")


def test_no_vocabulary_is_left_out() -> None:
    kinds = {kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, TextChoices)}
    assert kinds - {TextChoices, states.RunKind} == set(SPECIFICATION) == set(GUIDE)


@pytest.mark.parametrize("vocabulary", GUIDE, ids=lambda kind: kind.__name__)
def test_every_state_has_its_row(vocabulary: type[TextChoices]) -> None:
    assert list(GUIDE[vocabulary]) == list(vocabulary)


@pytest.mark.parametrize(("state", "row"), ROWS, ids=lambda value: getattr(value, "value", ""))
def test_a_row_says_everything(state: TextChoices, row: StateRow) -> None:
    assert all(str(text) for text in (row.meaning, row.entered_by, row.left_by, row.acts))
    assert str(row.meaning)[0].isupper()


@pytest.mark.parametrize(
    "vocabulary",
    [
        states.ProvisionState,
        states.ParkedReason,
        states.DomainState,
        states.MailboxState,
        states.DnsRecordState,
        states.WatchState,
    ],
)
def test_students_meet_these_states_with_a_sentence(vocabulary: type[TextChoices]) -> None:
    assert [state for state, row in GUIDE[vocabulary].items() if not str(row.student)] == []


def test_unresolved_operations_are_those_that_nobody_knows_the_end_of() -> None:
    assert {state.value for state in states.UNRESOLVED} == {"intended", "captured", "unknown"}


@pytest.mark.parametrize(
    ("stack", "sentence"),
    [
        ("zapmail", "A set-up usually takes 1-2 hours, up to 2 days."),
        ("forge", "A set-up usually takes 2-4 hours, up to 2 days."),
        ("unheard of", ""),
    ],
)
def test_how_long_a_set_up_takes_depends_on_its_stack(stack: str, sentence: str) -> None:
    assert words.how_long(stack) == sentence
