"""Tests of a mailbox by a message: sent from it by SMTP, read back where the operator receives it, and judged.

A page or a step asks, which is a row; workers do the rest, whoever rings. A message costs nothing, but a second one that
nobody asked for is a lie about the first: so what is about to be sent is written down before, and from then on the test is
looked for and never sent again, whatever became of the sending. Where it does not arrive in time, the test says what is
known, and the person may ask for another, which has a token of its own.

No transaction is open while a server is spoken to. Every time is vendor time, except where it says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import Any

from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from infra import clock, prepared
from infra.dns import message as received
from infra.dns.replay import storable
from infra.dns.resolver import FirstToSay, NameServers, Patience
from infra.models import AuthenticationTest, Mailbox, MailboxSecret, MailboxState, OperatorItem, TrialState
from integrations.http.errors import BadCredentials, OutcomeUnknown, Permanent, PlatformError, Rejected, Retryable
from integrations.http.redact import Hidden
from integrations.mail_probe import DEADLINE, TOKEN_HEADER, Door, Outgoing, Post

from .actions import Refused
from .engine import trials
from .engine.failpoints import failpoint
from .engine.holding import Server
from .engine.runner import default_post, default_workshop
from .engine.specs import MINUTE
from .stacks import STACKS

log = logging.getLogger(__name__)

GIVE_UP = timedelta(minutes=30)  # until a message counts as not arrived, or a server as not to be reached
PAUSES = (5.0, 10.0, 20.0, 30.0, MINUTE, 2 * MINUTE)  # until the next look, by how many there were
SEND_WITHIN = 10.0  # machine seconds between the intent and the last moment at which sending may begin
CLAIM = 4 * DEADLINE  # machine seconds until a test whose worker died is taken by another
SLICE_SECONDS = 60.0  # machine seconds after which no further test begins
DNS_SECONDS = 15.0  # machine seconds for all questions of one judgement
MOST_WORDS = 300
PROBE_ITEM = "probe_mailbox"  # kind of the operator's item

NO_MAILBOX = (MailboxState.PLANNED, MailboxState.CREATING, MailboxState.FAILED, MailboxState.REMOVED)


class Overtaken(Exception):
    """Another worker has taken the test: what this one knows no longer counts."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What failpoints are told: `key` is to a test what a step's key is to its record."""

    test: AuthenticationTest
    key: str = "mail_test"


# Asking -----------------------------------------------------------------------------------------------------------------


def is_available() -> bool:
    """Tell whether the operator has a probe mailbox, without which nothing can be tested."""
    return default_post() is not None


def server_of(mailbox: Mailbox) -> Server:
    """Return the SMTP server of a mailbox; one without a host where a password opens none."""
    stack = STACKS.get(str(mailbox.provision.order.get("stack", "")))
    provider = str(mailbox.domain.facts.get("provider") or "")
    return stack.holding.servers(provider)[0] if stack and stack.holding else Server()


def why_not(mailbox: Mailbox, *, available: bool) -> str:
    """Return why a mailbox cannot be tested now, in a sentence for its student; empty where it can."""
    if not available:
        return _("The operator has not set up the mailbox that test messages go to. Please ask the operator.")
    if mailbox.state in NO_MAILBOX:
        return _("This mailbox does not work yet, or no longer.")
    if not server_of(mailbox).host:
        return _("This mailbox's provider takes no login by password, so we cannot send from it.")
    if not MailboxSecret.objects.filter(mailbox=mailbox).exists():
        return _("The platform has not told us this mailbox's password yet. It is asked again by itself, within a day.")
    return ""


def ask(*, mailbox: Mailbox, actor: str, available: bool | None = None) -> AuthenticationTest:
    """Have a mailbox tested; return the test that is open, whoever asked for it: there is never more than one.

    Needs the worker's role. Raises Refused where it cannot be tested.
    """
    if reason := why_not(mailbox, available=is_available() if available is None else available):
        raise Refused(reason)
    return trials.begin(mailbox=mailbox.pk, student=mailbox.student_id, actor=actor)


# Working ----------------------------------------------------------------------------------------------------------------


def is_due() -> bool:
    """Tell whether a test waits: asked by the supervisor's tick."""
    found = prepared.execute(
        "SELECT EXISTS (SELECT 1 FROM infra_authenticationtest WHERE due_at <= (SELECT gtm_now('vendor'))"
        " AND (claimed_until IS NULL OR claimed_until < (SELECT gtm_now('machine'))))",
        {},
    )
    return bool(found and found[0])


def drain(limit: int = 10) -> int:
    """Work on up to `limit` tests; return how many. Answers the bell."""
    workshop = default_workshop()
    return work(workshop.post, workshop.name_servers, limit)


def work(post: Post | None, name_servers: NameServers, limit: int = 10) -> int:
    """Work on up to `limit` tests that are due; return how many."""
    done, ends = 0, clock.monotonic() + SLICE_SECONDS
    while done < limit and clock.monotonic() < ends and (test := _take()) is not None:
        done += 1
        try:
            _work_on(test, post, name_servers)
        except Overtaken:
            log.info("a mail test was taken over", extra={"test": str(test.pk)})
        except DatabaseError:
            raise
        except Exception:  # a message that we cannot deal with must neither stop the tests of others nor stay for ever
            log.exception("a mail test crashed", extra={"test": str(test.pk)})
            _crashed(test)
    return done


def _crashed(test: AuthenticationTest) -> None:
    """Let a test that crashed be tried again when its claim is over, for as long as that makes sense."""
    if clock.vendor_now() > (test.sending_at or test.asked_at) + GIVE_UP:
        with suppress(Overtaken):
            _end(test, TrialState.FAILED, "internal")


TAKE = """
    UPDATE infra_authenticationtest SET claims = claims + 1, updated_at = gtm_now('machine'),
        claimed_until = gtm_now('machine') + make_interval(secs => %s)
    WHERE id = ANY(ARRAY(SELECT id FROM infra_authenticationtest WHERE due_at <= (SELECT gtm_now('vendor'))
        AND (claimed_until IS NULL OR claimed_until < (SELECT gtm_now('machine')))
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)) RETURNING id
"""


def _take() -> AuthenticationTest | None:
    """Take the test that has been due the longest. Whoever held it before writes nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [CLAIM])
        row = cursor.fetchone()
    related = ("mailbox__domain", "mailbox__provision")
    return AuthenticationTest.objects.select_related(*related).get(pk=row[0]) if row else None


def _write(test: AuthenticationTest, **changes: Any) -> None:
    """Write what has become of a test, if it is still ours. Raises Overtaken."""
    mine = AuthenticationTest.objects.filter(pk=test.pk, claims=test.claims, state=test.state)
    changes = storable(changes)  # servers and senders write what they like
    if not mine.update(updated_at=clock.machine_now(), **changes):
        raise Overtaken
    for name, value in changes.items():
        setattr(test, name, value)


def _end(test: AuthenticationTest, state: TrialState, code: str = "", words: str = "", **changes: Any) -> None:
    _write(
        test,
        state=state,
        code=code,
        words=words[:MOST_WORDS],
        due_at=None,
        ended_at=clock.vendor_now(),
        claimed_until=None,
        **changes,
    )


def _wait(test: AuthenticationTest, **changes: Any) -> None:
    """Put a test off until the next look."""
    pause = PAUSES[min(test.looks, len(PAUSES) - 1)]
    due = clock.later(clock.vendor_now(), pause)
    _write(test, due_at=due, looks=test.looks + 1, claimed_until=None, **changes)


def _work_on(test: AuthenticationTest, post: Post | None, name_servers: NameServers) -> None:
    if post is None:
        _end(test, TrialState.FAILED, "no_probe")
    elif test.state == TrialState.ASKED:
        _send(test, post)
    else:
        _look(test, post, name_servers)


# Sending


def _send(test: AuthenticationTest, post: Post) -> None:
    """Write the intent down, then send once. What is not known to be refused is looked for from then on."""
    secret = MailboxSecret.objects.filter(mailbox=test.mailbox).first()
    server = server_of(test.mailbox)
    if secret is None or not server.host or test.mailbox.state in NO_MAILBOX:
        _end(test, TrialState.FAILED, "no_mailbox")
        return
    message = Outgoing(
        Door(server.host, server.port, server.security),
        test.mailbox.address,
        Hidden(secret.app_password.open()),
        letter(test, post.settings.address),
    )
    failpoint("before_test_intent", Passage(test))
    _write(test, state=TrialState.SENDING, sending_at=clock.vendor_now())
    failpoint("after_test_intent", Passage(test))
    try:
        post.send(message, send_before=clock.monotonic() + SEND_WITHIN)
    except OutcomeUnknown as error:
        log.info("whether a test message was taken is not known", extra={"test": str(test.pk)})
        _wait(test, words=error.sentence[:MOST_WORDS])
    except Retryable as error:
        _not_sent(test, error)
    except BadCredentials:
        _end(test, TrialState.FAILED, "login_refused")
    except Permanent as error:
        code = error.code if isinstance(error, Rejected) else "refused"
        _end(test, TrialState.FAILED, code, error.sentence)
    else:
        failpoint("after_test_sent", Passage(test))
        _wait(test, state=TrialState.SENT, sent_at=clock.vendor_now())


def _not_sent(test: AuthenticationTest, error: PlatformError) -> None:
    """Nothing was taken: it may be sent later, for as long as that makes sense."""
    if clock.vendor_now() > test.asked_at + GIVE_UP:
        _end(test, TrialState.FAILED, "unreachable", error.sentence)
    else:
        _wait(test, state=TrialState.ASKED, words=error.sentence[:MOST_WORDS])


def letter(test: AuthenticationTest, to: str) -> bytes:
    """Return the message of a test, with its token where it is found by."""
    box = test.mailbox
    made = EmailMessage(policy=SMTP)
    made["From"] = formataddr((f"{box.first_name} {box.last_name}".strip(), box.address))
    made["To"] = to
    made["Subject"] = "How this mailbox is seen"
    made["Date"] = format_datetime(clock.machine_now())
    made["Message-ID"] = f"<{test.token}@{box.domain.name}>"
    made["Auto-Submitted"] = "auto-generated"
    made[TOKEN_HEADER] = test.token
    made.set_content(
        "This message shows how a receiver sees mail from its sender: whether SPF, DKIM and DMARC pass.\n"
        "It was asked for by the mailbox's owner. Nobody has to answer it.\n"
    )
    return made.as_bytes()


# Looking


def _look(test: AuthenticationTest, post: Post, name_servers: NameServers) -> None:
    """Look for the message in the probe mailbox, and judge it where it is."""
    try:
        raw = _belonging(test, post.find(test.token))
    except BadCredentials:
        sentence = (
            "The probe mailbox of the test messages refuses PROBE_USER or PROBE_PASSWORD: nobody can test a mailbox."
        )
        OperatorItem.open(PROBE_ITEM, key="login", sentence=sentence)
        _not_found(test, "probe")
        return
    except PlatformError as error:
        log.warning("the probe mailbox cannot be read", extra={"problem": str(error)})
        _not_found(test, "probe")
        return
    OperatorItem.close(PROBE_ITEM, key="login", resolution="It opens.")
    if raw is None:
        _not_found(test, "not_arrived" if test.state == TrialState.SENT else "unclear")
        return
    if test.state != TrialState.RECEIVED:
        now = clock.vendor_now()
        headers = received.header_text(raw)
        _write(test, state=TrialState.RECEIVED, received_at=now, sent_at=test.sent_at or now, raw_headers=headers)
    failpoint("after_test_received", Passage(test))
    trust = received.Trust(post.settings.authserv, post.settings.received_by)
    found = received.judge(raw, trust, _resolver(name_servers))
    _end(test, TrialState.JUDGED, verdicts=found.as_json())


def _belonging(test: AuthenticationTest, letters: Sequence[bytes]) -> bytes | None:
    """Return the first letter that is this test's: its token, whole, and its mailbox as the sender."""
    for raw in letters:
        tokens = {one.value for one in received.read_headers(raw) if one.name == TOKEN_HEADER.lower()}
        if tokens == {test.token} and received.sender_of(raw) == test.mailbox.address.lower():
            return raw
    return None


def _not_found(test: AuthenticationTest, code: str) -> None:
    since = test.sending_at or test.asked_at
    if clock.vendor_now() > since + GIVE_UP:
        _end(test, TrialState.TIMED_OUT, code, test.words)
    else:
        _wait(test)


def _resolver(name_servers: NameServers) -> FirstToSay:
    """Return whom to ask for keys and records: resolvers, as a receiver does, the next one where one does not know."""
    patience = Patience(clock.monotonic, clock.monotonic() + DNS_SECONDS, name_servers.timeout)
    return FirstToSay(name_servers.resolvers or name_servers.authoritative, patience)
