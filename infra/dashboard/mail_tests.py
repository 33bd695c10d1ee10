"""The tests of one mailbox as plain values: what was sent, what came of it, what to do. Page and API show the same.

`now` is vendor time, as all times of a test are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from infra.dns import message
from infra.dns.compliance import Value
from infra.models import AuthenticationTest, Mailbox, TrialState
from infra.presenters_base import Line, Tag, ago, said
from provisioning import mail_tests

EARLIER = 10  # tests shown below the newest

Words = tuple[str | Promise, str]

MECHANISMS = (("spf", "SPF"), ("dkim", "DKIM"), ("dmarc", "DMARC"))
VALUES: dict[str, Words] = {
    Value.PASS: (_lazy("Passes"), "done"),
    Value.FAIL: (_lazy("Fails"), "failed"),
    Value.UNKNOWN: (_lazy("Cannot be told"), "wait"),
}
STATES: dict[str, tuple[str | Promise, str, str | Promise]] = {
    TrialState.ASKED: (_lazy("Waiting"), "busy", _lazy("A test message is about to be sent from this mailbox.")),
    TrialState.SENDING: (
        _lazy("Being sent"),
        "busy",
        _lazy("The message is on its way; we look for it where it arrives."),
    ),
    TrialState.SENT: (
        _lazy("Sent"),
        "busy",
        _lazy("The mailbox's server has taken the message; we look for it where it arrives."),
    ),
    TrialState.RECEIVED: (_lazy("Received"), "busy", _lazy("The message has arrived and is being looked at.")),
    TrialState.JUDGED: (_lazy("Done"), "done", _lazy("The message has arrived, and this is what it shows.")),
    TrialState.FAILED: (_lazy("Not sent"), "failed", ""),
    TrialState.TIMED_OUT: (_lazy("Not arrived"), "attention", ""),
}
# By the code of a test that ended without a verdict: what happened, and what to do.
REASONS: dict[str, tuple[str | Promise, str | Promise]] = {
    "login_refused": (
        _lazy("The mailbox's server does not let us in with the password that we have."),
        _lazy("Ask the operator for a new app password of this mailbox."),
    ),
    "no_login": (
        _lazy("The mailbox's server takes no login by password."),
        _lazy("Ask the operator; this mailbox cannot be tested so."),
    ),
    "refused": (
        _lazy("The mailbox's server did not take the message."),
        _lazy(
            "What it said is below. If it says that sending is limited, try again tomorrow; otherwise ask the operator."
        ),
    ),
    "unreachable": (
        _lazy("The mailbox's server could not be reached for half an hour, so nothing was sent."),
        _lazy("Try again later."),
    ),
    "no_mailbox": (
        _lazy("The mailbox or its password has gone meanwhile, so nothing was sent."),
        _lazy("Look at the mailbox on the dashboard."),
    ),
    "no_probe": (
        _lazy("The operator's mailbox for test messages is not set up any more, so nothing was sent."),
        _lazy("Ask the operator."),
    ),
    "not_arrived": (
        _lazy("The message was sent, and has not arrived within half an hour. It may have been refused on the way."),
        _lazy("Look into the mailbox for a returned message, then test again."),
    ),
    "unclear": (
        _lazy(
            "Whether the message was sent is not known: the connection ended before the answer. It has not arrived within "
            "half an hour, and nothing was sent a second time."
        ),
        _lazy("Test again."),
    ),
    "internal": (
        _lazy("We could not deal with the answer of a mail server: something went wrong on our side."),
        _lazy("Test again. If it stays so, tell the operator."),
    ),
    "probe": (
        _lazy("The message was sent, but the operator's mailbox for test messages could not be read."),
        _lazy("The operator knows. Test again later."),
    ),
}


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What one mechanism shows: our own finding, what to do, and what the receiver itself reports."""

    name: str
    value: str
    tag: Tag
    sentence: str
    fix: str
    reported: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One test. `checks` is empty unless its message has arrived; `raw_headers` are as they were received."""

    id: str
    state: str
    tag: Tag
    title: str
    sentence: str
    fix: str
    server_words: str
    checks: list[VerdictRow]
    ignored: str
    raw_headers: str


@dataclass(frozen=True, slots=True)
class MailboxTests:
    """The tests of a mailbox. `why_not` says why none can be asked for now; empty where one can, or is under way.

    `version` changes whenever the page would look different.
    """

    address: str
    lede: str
    can_ask: bool
    why_not: str
    whom_to_ask: str
    is_open: bool
    newest: Trial | None
    earlier: list[Line]
    announce: str
    version: str


def mailbox_tests(mailbox: Mailbox, *, now: datetime) -> MailboxTests:
    """Return what the page of a mailbox's tests shows."""
    rows = list(AuthenticationTest.objects.filter(mailbox=mailbox)[: EARLIER + 1])
    newest = _card(rows[0], now=now) if rows else None
    is_open = bool(rows) and rows[0].is_open
    why_not = "" if is_open else mail_tests.why_not(mailbox, available=mail_tests.is_available())
    contact = getattr(settings, "ENROLMENT_CONTACT", "") or settings.OPERATOR_EMAIL
    earlier = [_line(row, now=now) for row in rows[1:]]
    lede = _(
        "We send a message from this mailbox to one of ours, and look at how it arrives: whether it passes SPF and DMARC, and "
        "whether it is signed in your domain's name."
    )
    return MailboxTests(
        address=mailbox.address,
        lede=lede,
        can_ask=not is_open and not why_not,
        why_not=why_not,
        whom_to_ask=_("Write to %(contact)s.") % {"contact": contact} if why_not else "",
        is_open=is_open,
        newest=newest,
        earlier=earlier,
        announce=f"{newest.tag.word}. {newest.sentence}" if newest else "",
        version=_version(newest, why_not),
    )


def _version(newest: Trial | None, why_not: str) -> str:
    """Return a text that changes whenever the page would look different, but for how long ago something was."""
    shown = {**asdict(newest), "title": ""} if newest else {}
    return hashlib.sha256(json.dumps([shown, why_not]).encode()).hexdigest()[:16]


def _card(test: AuthenticationTest, *, now: datetime) -> Trial:
    reason, fix = REASONS.get(test.code, ("", ""))
    checks = [_check(name, key, test.verdicts[key]) for key, name in MECHANISMS] if test.verdicts else []
    word, tone, sentence = STATES[test.state]
    tag = _outcome(test, checks) if checks else Tag(str(word), tone)
    return Trial(
        id=str(test.pk),
        state=test.state,
        tag=tag,
        title=_("Test, %(when)s") % {"when": ago(test.asked_at, now=now)},
        sentence=str(reason or sentence),
        fix=str(fix),
        server_words=test.words if test.code in ("refused", "unreachable") else "",
        checks=checks,
        ignored=_ignored(test.verdicts.get("ignored", [])),
        raw_headers=test.raw_headers,
    )


def _outcome(test: AuthenticationTest, checks: Sequence[VerdictRow]) -> Tag:
    values = {one.value for one in checks}
    if Value.FAIL in values:
        return Tag(_("Needs attention"), "attention")
    if Value.UNKNOWN in values:
        return Tag(_("Partly told"), "wait")
    return Tag(_("All passed"), "done")


def _check(name: str, key: str, kept: dict[str, object]) -> VerdictRow:
    word, tone = VALUES[str(kept["value"])]
    fix = kept.get("fix")
    return VerdictRow(
        name=name,
        value=str(kept["value"]),
        tag=Tag(str(word), tone),
        sentence=said(message.sentence(kept["said"])),  # type: ignore[arg-type]
        fix=said(message.sentence(fix)) if isinstance(fix, dict) else "",
        reported=_("The receiver reports: %(word)s") % {"word": kept["reported"]} if kept.get("reported") else "",
    )


def _ignored(names: Sequence[str]) -> str:
    if not names:
        return ""
    text = _(
        "The message brought verdicts along that the receiver did not write; they do not count. They claim to be from: "
        "%(names)s."
    )
    return text % {"names": ", ".join(names)}


def _line(test: AuthenticationTest, *, now: datetime) -> Line:
    card = _card(test, now=now)
    note = ", ".join(f"{one.name}: {one.tag.word}" for one in card.checks) or card.sentence
    return Line(card.title, card.tag.word, card.tag.tone, note)
