"""What each fault means: the one table that the fault tests hold our rows against.

Classes of a write are those of RELIABILITY.md, section 2. A read may always be repeated; its classes say what happens to
the step that needed it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.http.call import Call, Proof
from provisioning.engine.runner import ADVICE_CAP


class Write(enum.StrEnum):
    """What became of a write, as our rows tell it."""

    NOT_SENT = "not_sent"  # nothing went out
    NOT_DONE = "not_done"  # it went out, and the platform did nothing
    REJECTED = "rejected"  # refused for good
    DONE = "done"  # the answer proves it
    ACCEPTED = "accepted"  # taken; a later read proves it
    UNKNOWN = "unknown"  # nobody knows: read back before anything else


class Read(enum.StrEnum):
    """What a step does that could not read."""

    SEEN = "seen"  # nothing: the answer could be used all the same
    AGAIN = "again"  # tries again by itself, more rarely each time
    ADVISED = "advised"  # tries again when the platform says, which counts as no error
    STOPPED = "stopped"  # the platform is not called any more until it takes our credentials again
    PERSON = "person"  # asks a person, and looks again by itself


Expected = Callable[[Call[Any]], frozenset[Write]]


def always(*classes: Write) -> Expected:
    return lambda call: frozenset(classes)


def says_less(call: Call[Any]) -> frozenset[Write]:
    """An answer in which something is missing or odd: enough for "accepted" at most, never for a proof."""
    if call.proof is Proof.ANSWER and not call.repeatable:
        return frozenset({Write.UNKNOWN})
    return speaks_oddly(call)


def speaks_oddly(call: Call[Any]) -> frozenset[Write]:
    """An answer with a word in it that nobody knows: whatever the rest of it says, or unknown. An absolute value may be
    set again at any time, so its answer is believed."""
    good = Write.DONE if call.proof is Proof.ANSWER or call.repeatable else Write.ACCEPTED
    return frozenset({Write.UNKNOWN, good, Write.ACCEPTED if call.repeatable else good})


def exists(call: Call[Any]) -> frozenset[Write]:
    """Something is there already: whether it is ours is read back. A refusal of several things names none of them: it
    may count as not done, and each is asked for alone."""
    return frozenset({Write.UNKNOWN, Write.NOT_DONE}) if len(call.items) > 1 else frozenset({Write.UNKNOWN})


@dataclass(frozen=True)
class Row:
    """One fault.

    fault    in the words of `FaultTable.add`
    write    the class of a write that meets it
    read     the class of a read that meets it; None for what no read can meet
    wait     vendor seconds until the step is tried again, where the platform has a say in that
    refuses  it is a refusal: where a write has no way round it, one person is asked
    """

    name: str
    fault: Mapping[str, Any]
    write: Expected
    read: frozenset[Read] | None
    wait: float | None = None
    refuses: bool = False
    times: int = field(default=1, kw_only=True)


def row(kind: str, write: Expected, *read: Read, name: str = "", **more: Any) -> Row:
    own = {key: more.pop(key) for key in ("wait", "refuses", "times") if key in more}
    shown = name or " ".join([kind, *(str(value) for value in more.values())])
    return Row(shown, {"kind": kind, **more}, write, frozenset(read) or None, **own)


LOST = always(Write.UNKNOWN)
SILENT = 3600.0  # seconds: longer than any deadline
PLAIN_WAIT = 60.0  # vendor seconds, when a 429 gives no advice that can be read

ADVICE_IN_THE_BODY = {"smartlead": 30.0}  # seconds that a 429 names there when its headers say nothing

TABLE: tuple[Row, ...] = (
    # Nothing goes out.
    row("refuse", always(Write.NOT_SENT), Read.AGAIN),
    row("unreachable", always(Write.NOT_SENT), Read.AGAIN, name="connect timeout"),
    # The platform says that it did nothing.
    row("rate_limit", always(Write.NOT_DONE), Read.ADVISED, name="429", wait=PLAIN_WAIT),
    *(
        row("rate_limit", always(Write.NOT_DONE), Read.ADVISED, name=f"429 {advice}", advice=advice, wait=wait)
        for advice, wait in (
            ("30", 30.0),
            ("-1", PLAIN_WAIT),
            ("Wed, 21 Oct 2015 07:28:00 GMT", PLAIN_WAIT),
            ("next Tuesday", PLAIN_WAIT),
            ("999999999", ADVICE_CAP),
        )
    ),
    row("status", always(Write.NOT_DONE), Read.STOPPED, status=401),
    row("status", always(Write.NOT_DONE), Read.STOPPED, status=403),
    # The platform refuses.
    row("status", always(Write.REJECTED), Read.PERSON, status=400, refuses=True),
    row("status", always(Write.REJECTED), Read.PERSON, status=404, refuses=True),
    row("status", exists, Read.PERSON, status=409, refuses=True),
    # Nobody knows.
    *(row("status", LOST, Read.AGAIN, status=status) for status in (500, 502, 503)),
    *(row("status_after", LOST, Read.AGAIN, status=status) for status in (500, 502, 503)),
    row("timeout_before", LOST, Read.AGAIN),
    row("timeout_after", LOST, Read.AGAIN),
    row("timeout_after", LOST, Read.AGAIN, name="timeout_after twice", times=2),
    row("reset_before", LOST, Read.AGAIN),
    row("reset_after", LOST, Read.AGAIN),
    row("truncated_body", LOST, Read.AGAIN),
    row("html_body", LOST, Read.AGAIN),
    row("garbage_body", LOST, Read.AGAIN),
    row("huge_body", LOST, Read.AGAIN, amount=50_000_000),
    row("slow_body", LOST, Read.AGAIN, seconds=SILENT),
    row("redirect", LOST, Read.AGAIN, status=302),
    row("redirect", LOST, Read.AGAIN, status=307),
    row("late_execution", LOST, seconds=250.0),
    # The answer can be read, and says less than it should, or something else.
    row("empty_body", says_less, Read.AGAIN),
    row("wrong_type", says_less, Read.AGAIN),
    row("null_id", says_less, Read.AGAIN, Read.SEEN),
    row("unknown_word", speaks_oddly, Read.AGAIN, Read.SEEN),
)

# Refusals that a step has an answer to by itself, so that no person is asked: call -> status -> the answer.
WAYS_ROUND: Mapping[str, Mapping[int, str]] = {
    "zapmail.export_mailboxes": dict.fromkeys((400, 404, 409), "uploaded by their app passwords instead"),
    "plusvibe.delete_client": {404: "gone already", 409: "deleted again: by id, that does no harm"},
    "plusvibe.update_accounts": {409: "set again: absolute values"},
    "plusvibe.set_warmup": {409: "set again: absolute values"},
    "zapmail.retry_failed_mailboxes": {409: "asked again: it touches only what has failed"},
    "zapmail.update_sender": {409: "set again: an absolute value"},
    "infraforge.credit_balance": {404: "an account without credits pays by card: the purchase tells"},
    "infraforge.enable_autorenew": {409: "set again: an absolute value"},
    "infraforge.set_dmarc_bulk": {404: "written as a whole set instead", 409: "set again: absolute values"},
    "infraforge.put_dns": {409: "written again: the whole set"},
    "infraforge.set_password": {409: "set again: an absolute value"},
    "salesforge.update_mailbox": {409: "set again: an absolute value"},
    "warmforge.update_mailbox": {409: "set again: absolute values"},
    "google_workspace.verify_domain": dict.fromkeys((400, 404, 409), "asked again until Google sees its record"),
    "google_workspace.enable_imap": {409: "set again: an absolute value"},
    "smartlead.set_warmup": {409: "set again: absolute values"},
}

# What a fault means at a call where it means something else than at others: call -> name of the row -> the row there.
_FORBIDDEN = row(
    "status", always(Write.REJECTED), Read.PERSON, status=403, refuses=True
)  # of this domain, not of our key
_WITHOUT_IDS = row("null_id", always(Write.DONE), Read.AGAIN, Read.SEEN)  # its answer carries none: nothing is changed
_NOT_THERE = row("status", always(Write.REJECTED), Read.SEEN, status=404)  # an answer like any other
_SAYS_NOTHING = row("wrong_type", always(Write.REJECTED), Read.AGAIN, Read.SEEN)  # off is said by an empty object
OWN_MEANING: Mapping[str, Mapping[str, Row]] = {
    "google_workspace.imap_enabled": {_SAYS_NOTHING.name: _SAYS_NOTHING},
    "google_workspace.add_domain": {_WITHOUT_IDS.name: _WITHOUT_IDS},
    "google_workspace.get_domain": {_NOT_THERE.name: _NOT_THERE},
    "google_workspace.get_licence": {_NOT_THERE.name: _NOT_THERE},
    "google_workspace.get_user": {_FORBIDDEN.name: _FORBIDDEN, _NOT_THERE.name: _NOT_THERE},
    "google_workspace.create_user": {_FORBIDDEN.name: _FORBIDDEN},
}


def meant(call: object, general: Row) -> Row:
    """Return what a fault means at a call."""
    return OWN_MEANING.get(str(call), {}).get(general.name, general)
