"""Tests of a mailbox: one message at a time, never sent twice, whoever dies; read back, judged, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from infra.models import AuthenticationTest, Mailbox, MailboxSecret, MailboxState, OperatorItem, TrialState
from integrations.http.errors import BadCredentials, NotSent, OutcomeUnknown, Rejected
from integrations.http.redact import Hidden
from integrations.mail_probe import Door, MailProbe, Outgoing
from integrations.sandbox.mail_servers import MailServers
from integrations.sandbox.post import InProcessPost
from provisioning import mail_tests
from provisioning.actions import Refused
from provisioning.engine import doorbell, trials
from tests.integration.mailboxes import PASSWORD, at_zapmail, only_test, running_mailbox
from tests.integration.stories.kit import Crash, World, dying, make_world
from tests.integration.world import name_servers, post_of
from tests.unit.sandbox.letters import doors

pytestmark = pytest.mark.django_db

CODES = {"spf": "spf-pass", "dkim": "dkim-pass", "dmarc": "dmarc-pass"}


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def box(world: World) -> Mailbox:
    return running_mailbox(world.sandbox)


def ask(box: Mailbox) -> AuthenticationTest:
    return mail_tests.ask(mailbox=box, actor="ada@students.example", available=True)


def play(world: World, box: Mailbox, *, minutes: float = 60, post: Any = None) -> AuthenticationTest:
    """Let workers work, and time pass, until the newest test of a mailbox has ended."""
    for _ in range(int(minutes * 12)):
        mail_tests.work(post or post_of(world.sandbox), name_servers(world.sandbox))
        newest = AuthenticationTest.objects.filter(mailbox=box).first()
        if newest is not None and not newest.is_open:
            return newest
        world.advance(5)
    raise AssertionError("the test has not ended")


def arrived(world: World) -> int:
    """Return how many messages ever reached the probe mailbox."""
    return len(world.sandbox.world.letters)


def codes(test: AuthenticationTest) -> dict[str, str]:
    return {name: test.verdicts[name]["code"] for name in CODES}


# What is found --------------------------------------------------------------------------------------------------------


def test_a_good_mailbox_passes_and_headers_and_verdicts_are_kept(world: World, box: Mailbox) -> None:
    test = ask(box)
    assert test.state == TrialState.ASKED
    done = play(world, box)
    assert (done.pk, done.state) == (test.pk, TrialState.JUDGED)
    assert codes(done) == CODES
    assert done.asked_at <= done.sending_at <= done.sent_at <= done.received_at <= done.ended_at  # type: ignore[operator]
    assert "DKIM-Signature" in done.raw_headers
    assert test.token in done.raw_headers
    assert "Nobody has to answer" not in done.raw_headers
    assert PASSWORD not in done.raw_headers


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (["mail_unsigned"], "dkim-unsigned"),
        (["mail_foreign"], "dkim-foreign"),
        (["mail_changed"], "dkim-invalid"),
        (["mail_unsigned", "mail_forged"], "dkim-unsigned"),
    ],
)
def test_mail_that_is_not_signed_by_its_domain_is_refused(
    world: World, box: Mailbox, faults: list[str], code: str
) -> None:
    for kind in faults:
        world.sandbox.faults.add(kind, platform="mail", times=1)
    ask(box)
    done = play(world, box)
    assert (done.state, codes(done)["dkim"]) == (TrialState.JUDGED, code)
    assert done.verdicts["dkim"]["value"] == "fail"
    assert bool(done.verdicts["ignored"]) == ("mail_forged" in faults)


def test_everything_over_real_sockets(world: World, box: Mailbox) -> None:
    servers = MailServers("127.0.0.1", 0)
    servers.start(world.sandbox)
    try:
        ask(box)
        done = play(world, box, post=MailProbe(doors(servers.ports)))
        assert codes(done) == CODES
        world.sandbox.faults.add("mail_cut", platform="mail", times=1)
        ask(box)
        again = play(world, box, post=MailProbe(doors(servers.ports)))
        assert (again.state, again.code) == (TrialState.JUDGED, "")
    finally:
        servers.stop()
    assert arrived(world) == 2


def test_a_message_that_the_receiver_takes_for_spam_has_arrived(world: World, box: Mailbox) -> None:
    servers = MailServers("127.0.0.1", 0)
    servers.start(world.sandbox)
    try:
        world.sandbox.faults.add("mail_junk", platform="mail", times=1)
        ask(box)
        done = play(world, box, post=MailProbe(doors(servers.ports)))
    finally:
        servers.stop()
    assert (done.state, codes(done)) == (TrialState.JUDGED, CODES)
    assert [one.folder for one in world.sandbox.world.letters] == ["[Mail]/Spam"]


def test_a_letter_with_the_token_from_somebody_else_is_not_the_tests(world: World, box: Mailbox) -> None:
    test = ask(box)
    world.sandbox.faults.add("mail_lost", platform="mail", times=1)
    other = Mailbox.objects.filter(provision=box.provision).exclude(pk=box.pk).first()
    assert other is not None
    at_zapmail(world.sandbox, other)
    mail_tests.work(post_of(world.sandbox), name_servers(world.sandbox))
    forged = mail_tests.letter(test, "probe@probe.example").replace(box.address.encode(), other.address.encode())
    message = Outgoing(Door("x", 465), other.address, Hidden(PASSWORD), forged)
    post_of(world.sandbox).send(message)
    assert arrived(world) == 1
    assert play(world, box).state == TrialState.TIMED_OUT


class Tampering(InProcessPost):
    """Hands each message on with lines in front that somebody on the way has put there."""

    front = b""

    def find(self, token: str) -> list[bytes]:
        return [self.front + one for one in super().find(token)]


@pytest.mark.parametrize(
    "front",
    [
        b"Authentication-Results: ev\x00il.example; dkim=pass\r\n",
        b"DKIM-Signature: v=1; d=ge\x00t.com; s=a\x00b; h=from; b=x\r\n",
        b"X-Odd: \xff\x00<script>\x1b[31m\r\n",
    ],
)
def test_whatever_octets_a_message_brings_along_its_test_comes_to_its_end(
    world: World, box: Mailbox, front: bytes
) -> None:
    post = Tampering(world.sandbox)
    post.front = front
    world.sandbox.faults.add("mail_unsigned", platform="mail", times=1)
    ask(box)
    done = play(world, box, post=post)
    assert (done.state, done.verdicts["dkim"]["value"]) == (TrialState.JUDGED, "fail")
    assert "\0" not in done.raw_headers


def test_what_a_server_says_is_kept_without_what_no_database_takes(world: World, box: Mailbox) -> None:
    class Odd(InProcessPost):
        def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
            raise Rejected("refused", "550 no\0thing", platform="mail")

    ask(box)
    done = play(world, box, post=Odd(world.sandbox))
    assert (done.state, done.code) == (TrialState.FAILED, "refused")
    assert done.words.startswith("550 no")


def test_a_message_that_we_cannot_deal_with_stops_no_other_and_is_given_up(world: World, box: Mailbox) -> None:
    class Broken(InProcessPost):
        def find(self, token: str) -> list[bytes]:
            raise RuntimeError("a bug of ours")

    ask(box)
    done = play(world, box, post=Broken(world.sandbox))
    assert (done.state, done.code) == (TrialState.FAILED, "internal")
    assert mail_tests.ask(mailbox=box, actor="ada").pk != done.pk


# What does not arrive -------------------------------------------------------------------------------------------------


def test_a_late_message_is_waited_for(world: World, box: Mailbox) -> None:
    world.sandbox.faults.add("mail_late", platform="mail", seconds=1200, times=1)
    ask(box)
    assert play(world, box).state == TrialState.JUDGED


@pytest.mark.parametrize(
    ("kind", "state", "code"),
    [
        ("mail_lost", TrialState.TIMED_OUT, "not_arrived"),
        ("mail_cut_before", TrialState.TIMED_OUT, "unclear"),
        ("mail_login", TrialState.FAILED, "login_refused"),
    ],
)
def test_what_does_not_arrive_ends_with_its_cause(
    world: World, box: Mailbox, kind: str, state: TrialState, code: str
) -> None:
    world.sandbox.faults.add(kind, platform="mail", times=1)
    ask(box)
    done = play(world, box)
    assert (done.state, done.code) == (state, code)
    assert arrived(world) == 0
    ask(box)  # a person may ask for another, which has a token of its own
    assert play(world, box).state == TrialState.JUDGED
    assert arrived(world) == 1


def test_what_was_surely_not_taken_is_sent_later(world: World, box: Mailbox) -> None:
    world.sandbox.faults.add("mail_deferred", platform="mail", times=2)
    ask(box)
    assert play(world, box).state == TrialState.JUDGED
    assert arrived(world) == 1


def test_a_server_that_is_never_reached_is_given_up(world: World, box: Mailbox) -> None:
    class Nowhere(InProcessPost):
        def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
            raise NotSent("no route")

    ask(box)
    done = play(world, box, post=Nowhere(world.sandbox))
    assert (done.state, done.code, done.words) == (TrialState.FAILED, "unreachable", "no route")


def test_a_probe_that_does_not_open_is_the_operators_and_closed_when_it_does(
    world: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = post_of(world.sandbox)
    find: Callable[[str], list[bytes]] = post.find
    answers = iter([BadCredentials("no")])

    def refuse_once(token: str) -> list[bytes]:
        for error in answers:
            raise error
        return find(token)

    monkeypatch.setattr(post, "find", refuse_once)
    ask(box)
    assert play(world, box, post=post).state == TrialState.JUDGED
    item = OperatorItem.objects.get(kind=mail_tests.PROBE_ITEM)
    assert item.resolved_at is not None


# Never twice ----------------------------------------------------------------------------------------------------------


def test_pressing_twenty_times_makes_one_test_and_one_ring(world: World, box: Mailbox) -> None:
    rings = queued()
    assert len({ask(box).pk for _ in range(20)}) == 1
    assert queued() == rings + 1
    play(world, box)
    assert arrived(world) == 1


def queued() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_q_ormq")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", ["mail_cut", "mail_cut_before"])
def test_an_unclear_sending_is_looked_for_and_never_repeated(world: World, box: Mailbox, kind: str) -> None:
    sent = []

    class Counting(InProcessPost):
        def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
            sent.append(message)
            super().send(message, send_before=send_before)

    world.sandbox.faults.add(kind, platform="mail")  # it would go wrong again each time
    ask(box)
    done = play(world, box, post=Counting(world.sandbox))
    assert done.state == (TrialState.JUDGED if kind == "mail_cut" else TrialState.TIMED_OUT)
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("point", "before", "letters", "after"),
    [
        ("before_test_intent", TrialState.ASKED, 1, TrialState.JUDGED),
        ("after_test_intent", TrialState.SENDING, 0, TrialState.TIMED_OUT),
        ("after_test_sent", TrialState.SENDING, 1, TrialState.JUDGED),
        ("after_test_received", TrialState.RECEIVED, 1, TrialState.JUDGED),
    ],
)
def test_a_worker_dies_at_each_point_and_no_message_goes_out_twice(
    world: World, box: Mailbox, point: str, before: TrialState, letters: int, after: TrialState
) -> None:
    """The oracle: one message where the sending had begun or not been announced, none where only the intent is known; the
    test ends by itself, and says no more than is known."""
    ask(box)
    deaths: list[str] = []

    def at(name: str, _subject: Any) -> bool:
        dies = name == point and not deaths
        if dies:
            deaths.append(name)
        return dies

    with dying(at):
        while not deaths:
            try:
                mail_tests.work(post_of(world.sandbox), name_servers(world.sandbox))
                world.advance(5)
            except Crash:
                break
        assert only_test(box).state == before
        assert (
            mail_tests.work(post_of(world.sandbox), name_servers(world.sandbox)) == 0
        )  # the dead worker's claim lasts
        world.advance(mail_tests.CLAIM)
        assert mail_tests.is_due()
        done = play(world, box)
    assert (done.state, arrived(world)) == (after, letters)


def test_a_worker_that_was_overtaken_writes_nothing(world: World, box: Mailbox) -> None:
    ask(box)

    class Slow(InProcessPost):
        def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
            super().send(message)
            world.advance(mail_tests.CLAIM)
            assert mail_tests.work(post_of(world.sandbox), name_servers(world.sandbox)) == 1
            raise OutcomeUnknown("this worker slept")

    assert mail_tests.work(Slow(world.sandbox), name_servers(world.sandbox)) == 1
    done = only_test(box)
    assert (done.state, done.words) == (TrialState.JUDGED, "")
    assert arrived(world) == 1


def test_nothing_is_held_while_a_server_is_spoken_to(world: World, box: Mailbox) -> None:
    seen: list[Any] = []

    class Watching(InProcessPost):
        def send(self, message: Outgoing, *, send_before: float | None = None) -> None:
            seen.append(only_test(box).state)
            super().send(message, send_before=send_before)

        def find(self, token: str) -> list[bytes]:
            seen.append(len(connection.savepoint_ids))
            return super().find(token)

    ask(box)
    depth = len(connection.savepoint_ids)
    play(world, box, post=Watching(world.sandbox))
    assert seen == [TrialState.SENDING, depth]


def test_two_workers_take_two_tests_and_never_the_same(world: World, box: Mailbox) -> None:
    ask(box)
    taken = mail_tests._take()
    assert taken is not None
    assert mail_tests._take() is None
    assert not mail_tests.is_due()


# Who may be tested ----------------------------------------------------------------------------------------------------


def test_what_cannot_send_is_not_asked_and_the_reason_is_said(world: World, box: Mailbox) -> None:
    with pytest.raises(Refused, match="ask the operator"):
        mail_tests.ask(mailbox=box, actor="ada", available=False)
    MailboxSecret.objects.filter(mailbox=box).delete()
    with pytest.raises(Refused, match="password"):
        ask(box)
    Mailbox.objects.filter(pk=box.pk).update(state=MailboxState.REMOVED)
    box.refresh_from_db()
    with pytest.raises(Refused, match="no longer"):
        ask(box)
    assert not AuthenticationTest.objects.exists()


def test_a_password_that_has_gone_meanwhile_ends_the_test(world: World, box: Mailbox) -> None:
    ask(box)
    MailboxSecret.objects.filter(mailbox=box).delete()
    assert play(world, box).code == "no_mailbox"
    assert arrived(world) == 0


def test_old_tests_are_forgotten(world: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "KEPT", 2)
    for _ in range(4):
        ask(box)
        play(world, box)
    assert AuthenticationTest.objects.filter(mailbox=box).count() == 2


def test_the_bell_is_known_to_the_supervisor(world: World, box: Mailbox) -> None:
    assert trials.BELL not in doorbell.due_names()
    ask(box)
    assert trials.BELL in doorbell.due_names()


@pytest.mark.django_db(transaction=True)
def test_twenty_people_pressing_at_once_make_one_test() -> None:
    box = running_mailbox()
    start, made = threading.Barrier(8), []

    def press() -> None:
        start.wait()
        try:
            made.append(mail_tests.ask(mailbox=box, actor="ada", available=True).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert len(made) == 8
    assert len(set(made)) == 1
