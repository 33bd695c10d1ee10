"""The outbox: what each mail says, and that each is sent once."""

from __future__ import annotations

import re
import smtplib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.core import mail as django_mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.utils import timezone

from billing import gateway, prices
from infra import clock
from infra.mails import contents, drain, is_due, outbox
from infra.models import (
    Credential,
    DomainState,
    Mail,
    MailboxState,
    OperatorItem,
    OrderLine,
    PlatformConnection,
    Provision,
    ProvisionState,
)
from infra.secret import Secret
from provisioning import actions
from provisioning.engine import doorbell
from tests.integration.billing.shop import Shop, gateway_over
from tests.integration.pages import student
from tests.integration.world import new_order, new_world, paid

pytestmark = pytest.mark.django_db

PASSWORD = "s3nd-me-nowhere"


class Crash(BaseException):
    """The process dies here: nothing catches it."""


@pytest.fixture
def order() -> Provision:
    """An order that runs: warmup began today, a login, a lead list, instructions."""
    provision = new_order()
    paid(provision)
    provision.refresh_from_db()
    now = timezone.now()
    provision.mailboxes.update(state=MailboxState.WARMING, warmup_started_at=now)
    provision.domains.filter(state=DomainState.SELECTED).update(state=DomainState.ACTIVE)
    provision.state, provision.ready_at = ProvisionState.ACTIVE, now
    provision.facts = {"heyreach_list_id": "7", "heyreach_list_name": f"Acme {provision.reference}"}
    provision.save()
    tier = provision.tier
    assert tier is not None
    tier.instructions = "Use the *campaign template*.\n\n<b>1</b> < 2"
    tier.save()
    Credential.objects.create(
        provision=provision,
        student=provision.student,
        kind="sender",
        login="ada@login.example",
        password=Secret(PASSWORD),
    )
    return provision


def sent() -> EmailMultiAlternatives:
    """Drain, and return the one mail that went out."""
    drain(100)
    (message,) = django_mail.outbox
    assert isinstance(message, EmailMultiAlternatives)
    return message


def flat(message: EmailMultiAlternatives) -> str:
    """Return the text on one line."""
    return " ".join(str(message.body).split())


def html_of(message: EmailMultiAlternatives) -> str:
    ((body, kind),) = message.alternatives
    assert kind == "text/html"
    return str(body)


# What they say ------------------------------------------------------------------------------------------------------


def test_the_ready_mail_holds_all_that_a_student_needs(order: Provision) -> None:
    Mail.post("ready", key="1", provision=order)
    message = sent()
    words = flat(message)
    when = timezone.now() + timedelta(days=14)
    assert message.subject == "Your infrastructure is ready"
    assert message.to == ["acme@students.example"]
    assert "Hello Ada," in words
    assert f"Sending may start about {when.day} {when:%B}" in words
    assert "http://testserver/infrastructure/dashboard/" in words
    assert "Your login of the sending tool is ada@login.example." in words
    assert "https://app.plusvibe.ai/" in words
    assert f"Open your lead list (Acme {order.reference}): https://app.heyreach.io/" in words
    assert "Use the *campaign template*." in words


def test_a_stack_whose_sending_tool_the_student_signs_in_to_alone_says_where_that_is(order: Provision) -> None:
    Credential.objects.all().delete()
    order.order = {**order.order, "stack": "forge"}
    order.facts = {}
    order.save()
    Mail.post("ready", key="1", provision=order)
    words = flat(sent())
    assert "Open the sending tool: https://app.salesforge.ai/" in words
    assert "Your login" not in words
    assert "lead list" not in words


@pytest.mark.parametrize(
    ("cause", "why", "action"),
    [
        ("google", "Mails to Gmail addresses land in spam folders", "Send no campaign mails from it for now."),
        ("disconnected", "has lost its connection to the mailbox", "connect the mailbox again"),
        ("paused", "Warmup is switched off for this mailbox.", "switch warmup on again"),
        ("something else", "More of its warmup mails than usual", "Send no campaign mails from it for now."),
    ],
)
def test_bad_health_says_which_mailbox_why_and_what_to_do(order: Provision, cause: str, why: str, action: str) -> None:
    Mail.post("health_bad", key="1", provision=order, address="ada@getacme.com", figure="82", cause=cause)
    message = sent()
    words = flat(message)
    assert message.subject == "ada@getacme.com needs attention"
    assert "has been below 90 % for two days; it is 82 % now." in words
    assert why in words
    assert action in words
    assert "http://testserver/infrastructure/dashboard/" in words


def test_good_health_again_is_said(order: Provision) -> None:
    Mail.post("health_good", key="1", provision=order, address="ada@getacme.com", figure="96", cause="unknown")
    message = sent()
    assert message.subject == "ada@getacme.com is healthy again"
    assert "healthy again: 96 %, for the second day in a row." in flat(message)


def test_text_and_html_say_the_same_and_html_is_escaped(order: Provision) -> None:
    Mail.post("ready", key="1", provision=order)
    message = sent()
    html = html_of(message)
    assert "<em>campaign template</em>" in html
    assert "<b>1</b>" not in html
    assert '<a href="http://testserver/infrastructure/dashboard/">Open your dashboard</a>' in html
    assert "&lt;" not in str(message.body)
    assert set(re.findall(r"https?://[^\s\"<]+", html)) == set(re.findall(r"https?://\S+", str(message.body)))


def test_no_mail_holds_a_password(order: Provision) -> None:
    every_kind(order)
    drain(100)
    assert len(django_mail.outbox) == len(contents.KINDS) - len(OF_RUNS)
    assert not [one for one in django_mail.outbox if PASSWORD in one.message().as_string()]
    assert PASSWORD not in str(list(Mail.objects.values()))


OVERDUE = {
    "amount_cents": 4700,
    "currency": "usd",
    "invoice_url": "https://pay.example/i/1",
    "suspend_on": "2026-12-03T09:00:00+00:00",
    "end_on": "2026-12-24T09:00:00+00:00",
}


# Told of a run that waits: tests/integration/test_connections.py, stories/test_registering.py.
OF_RUNS = ("by_hand", "registering")


def every_kind(order: Provision) -> None:
    """Post one mail of every kind, with what its poster gives it."""
    given: dict[str, dict[str, Any]] = {
        "paid": {"amount_cents": 14400, "currency": "usd", "receipt_url": "https://pay.example/r/1"},
        "refunded": {"amount_cents": 3233, "currency": "usd", "reason": "The name was lost."},
        "dns_changed": {"item": "getacme.com"},
        "needs_you": {"item": "getacme.com"},
        "nameservers": {"item": "getacme.com", "notice": 2},
        "update_key": {"platform": "Smartlead"},
        "delayed": {"stage": "records"},
        "fixed": {"stage": "records"},
        "failed": {"sentence": "The workspace could not be made."},
        "payment_failed": OVERDUE,
        "action_required": OVERDUE,
        "grace": OVERDUE | {"step": "suspend"},
        "suspended": OVERDUE | {"why": "overdue"},
        "ending": {"ends_on": "2026-12-24T09:00:00+00:00"},
        "credential_revealed": {"login": "ada@login.example"},
        "credentials_exported": {"count": "6"},
        "renewal": {"ends_on": "2027-11-26", "days": 7},
        "downgrade_planned": {"package": "Mini", "starts_on": "2026-12-24T09:00:00+00:00", "drops": "getacme.com"},
    }
    student("bob@students.example")
    for kind in contents.KINDS:
        if kind == "invited":
            Mail.post(kind, key="1", to="bob@students.example")
        elif kind == "connection_code":
            row = PlatformConnection.objects.create(
                student=order.student, platform="google_workspace", owner="student", state="proving",
                label="admin@agency.example", credential=Secret("admin@agency.example"), actor="test",
            )  # fmt: skip
            Mail.post(kind, key="1", to=row.label, connection=str(row.pk), who=order.student.email)
        elif kind in OF_RUNS:
            pass
        elif kind == contents.OPERATOR:
            OperatorItem.open("wallet_short", key="1", sentence="The wallet is short.", provision=order)
        else:
            Mail.post(kind, key="1", provision=order, **given.get(kind, {}))


def test_every_kind_is_complete_and_its_links_are_absolute(order: Provision) -> None:
    every_kind(order)
    for row in Mail.objects.all():
        letter = contents.letter(row)
        assert letter.subject
        assert "\n" not in letter.subject
        for text in (letter.subject, letter.text, letter.html):
            assert "{" not in text, row.kind
            assert "None" not in text, row.kind
            assert not re.search(r"\s\.|  \(|\(\)", " ".join(text.split())), row.kind
        assert letter.text.count("http://testserver/") >= 1, row.kind
        assert not re.search(r'href="(?!https?://|mailto:)', letter.html), row.kind
        assert "Zapmail" not in letter.text, row.kind


@pytest.mark.parametrize(
    ("kind", "context", "words"),
    [
        ("paid", {"amount_cents": 14400, "currency": "usd", "receipt_url": "https://r.example/1"}, "received $144"),
        ("refunded", {"amount_cents": 3233, "currency": "usd", "reason": "A name was lost."}, "$32.33 of your order"),
        ("needs_you", {"item": "getacme.com"}, "Somebody else registered getacme.com after you had paid."),
        ("needs_you", {"sentence": "The bank refused."}, "The bank refused. Everything that you chose is kept"),
        (
            "nameservers",
            {"item": "getacme.com", "notice": 0},
            "Before we name the servers to you, say on the page of your order that this may stop.",
        ),
        ("nameservers", {"item": "getacme.com", "notice": 2}, "the operator was told as well"),
        ("update_key", {"platform": "Smartlead"}, "Your own account at Smartlead no longer takes what you gave us"),
        ("delayed", {"stage": "records"}, "Address records of your order"),
        ("fixed", {"stage": "gone"}, "What we were waiting for is done (One step)"),
        ("failed", {"sentence": "No workspace."}, "What happened: No workspace."),
        ("cancelled", {}, "Nothing more is bought or built for it."),
        ("payment_failed", OVERDUE, "If it stays unpaid, warmup and sending rest from 3 December."),
        ("action_required", OVERDUE, "Your bank wants you to confirm the payment of $47"),
        ("grace", OVERDUE | {"step": "suspend"}, "From 3 December warmup and sending rest; nothing is deleted."),
        ("grace", OVERDUE | {"step": "end"}, "On 24 December the order ends: mailboxes go at their next renewal"),
        ("suspended", OVERDUE | {"why": "overdue"}, "On 24 December the order ends if it stays unpaid."),
        ("suspended", {"why": "dispute"}, "Your bank disputes a payment"),
        ("recovered", {"rested": "yes"}, "warmup goes on where it rested"),
        ("recovered", {}, "Nothing was interrupted."),
        ("ending", {"ends_on": "2026-12-24T09:00:00+00:00"}, "ends on 24 December. Until then everything works"),
        ("confirming_late", {}, "you need not pay again"),
        ("credentials_exported", {"count": "6"}, "a file with the passwords of your mailboxes (6) was made for you"),
        ("renewal", {"ends_on": "2027-11-26", "days": 7}, "ends on 26 November 2027"),
        ("credential_revealed", {"login": "ada@login.example"}, "the password of your login ada@login.example was"),
    ],
)
def test_what_the_other_mails_say(order: Provision, kind: str, context: dict[str, Any], words: str) -> None:
    Mail.post(kind, key="1", provision=order, **context)
    message = sent()
    assert words in flat(message)
    assert order.reference in flat(message)


def test_an_invitation_carries_a_link_made_when_it_is_sent(client: Any) -> None:
    bob = student("bob@students.example", first_name="Bob")
    Mail.post("invited", key=str(bob.pk), to=bob.email)
    words = flat(sent())
    link = re.search(r"http://testserver(/invitation/\S+/)", words)
    assert "Hello Bob," in words
    assert link
    assert client.get(link[1]).status_code == 200
    assert link[1].split("/")[2] not in str(Mail.objects.values())


def test_an_invitation_of_somebody_who_left_is_given_up() -> None:
    Mail.post("invited", key="x", to="gone@students.example")
    drain(10)
    assert django_mail.outbox == []
    assert not is_due()
    assert OperatorItem.objects.get().kind == "mail_stuck"


def test_the_operators_mail_leads_to_the_item(order: Provision) -> None:
    OperatorItem.open("run_failed", key="1", sentence=f"{order.reference} failed: no workspace.", provision=order)
    message = sent()
    item = OperatorItem.objects.get()
    assert message.to == ["operator@demo.example"]
    assert message.subject == f"GTM needs you: {order.reference} failed: no workspace."
    links = re.findall(r"http://testserver/admin/\S*", flat(message))
    assert any(str(item.pk) in link for link in links) or "http://testserver/admin/" in links


def test_a_line_break_in_a_sentence_forges_no_header(order: Provision) -> None:
    OperatorItem.open("step", key="1", sentence="a\nBcc: everybody@example.com\r\n", provision=order)
    message = sent()
    assert message.message()["Bcc"] is None
    assert message.recipients() == ["operator@demo.example"]


# With exceptions ----------------------------------------------------------------------------------------------------


def test_exceptions_say_what_is_missing_and_what_it_means_for_money(order: Provision) -> None:
    lost, broken, fine = order.domains.filter(state=DomainState.ACTIVE).order_by("position")
    type(lost).objects.filter(pk=lost.pk).update(state=DomainState.LOST, reason="Somebody else registered it.")
    order.mailboxes.filter(domain=lost).update(state=MailboxState.REMOVED)
    OrderLine.objects.create(
        provision=order,
        student=order.student,
        domain=lost,
        kind=OrderLine.Kind.DOMAIN_SHARE,
        state=OrderLine.State.REFUND_DUE,
        amount_cents=3233,
    )
    type(lost).objects.filter(pk=broken.pk).update(state=DomainState.FAILED, reason="")
    one = order.mailboxes.filter(domain=fine).first()
    assert one is not None
    order.mailboxes.filter(pk=one.pk).update(state=MailboxState.FAILED, reason="The address was refused")
    Mail.post("ready_with_exceptions", key="1", provision=order)
    words = flat(sent())
    assert (
        f"- {lost.name}: This domain could not be set up. Somebody else registered it. With it are missing: "
        f"ada@{lost.name} and ada.sample@{lost.name}. Its share of the set-up fee, $32.33, goes back to you."
    ) in words
    assert f"- {broken.name}: This domain could not be set up. With it are missing" in words
    assert f"- {one.address}: This mailbox could not be made. The address was refused. The operator was told" in words
    assert words.count("- ") == 3 + words.count("-- ")


def test_a_replaced_name_is_not_missing() -> None:
    run = paid(new_order(spares=0))
    domain = run.provision.domains.get(name="getacme.com")
    run.steps.filter(key="buy_domains", domain=domain).update(
        state="waiting", waits_on="student", facts={"question": "choose_replacement"}
    )
    from tests.integration.pages import answered

    answered("meetacme.com")
    actions.choose_replacement(provision=run.provision, domain=domain, name="meetacme.com", actor="test")
    assert contents.missing(run.provision) == []


def test_a_dropped_name_is_missing_with_its_share() -> None:
    run = paid(new_order(spares=0))
    domain = run.provision.domains.get(name="getacme.com")
    run.steps.filter(key="buy_domains", domain=domain).update(
        state="waiting", waits_on="student", facts={"question": "choose_replacement"}
    )
    actions.drop_domain(provision=run.provision, domain=domain, actor="test")
    (missing,) = contents.missing(run.provision)
    assert missing.name == "getacme.com"
    assert "$32.33" in missing.money


def test_the_main_jobs_mails_go_out() -> None:
    world, run = new_world(), None
    run = paid(new_order())
    world.run_until(lambda: Provision.objects.get(pk=run.provision_id).state == ProvisionState.ACTIVE)
    message = sent()
    assert message.subject == "Your infrastructure is ready"
    assert "Your login of the sending tool is " in flat(message)


def test_a_bank_that_takes_its_time_is_told_once(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop.open(client)
    ours = gateway_over(shop.sandbox.transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    prices.sync_prices(actor="test")
    shop.press(shop.order(), "later")
    for _ in range(3):
        shop.work()
        shop.advance(600)
    assert not Mail.objects.exists()
    for _ in range(3):
        shop.advance(3600)
        shop.work()
    assert sent().subject == "Your payment is still being confirmed"


# Once ---------------------------------------------------------------------------------------------------------------


def test_a_mail_is_sent_once(order: Provision) -> None:
    Mail.post("cancelled", key="1", provision=order)
    Mail.post("cancelled", key="1", provision=order)
    assert is_due()
    assert [drain(10), drain(10)] == [1, 0]
    assert len(django_mail.outbox) == 1
    assert not is_due()
    row = Mail.objects.get()
    assert row.sent_at is not None
    assert row.attempts == 1
    assert django_mail.outbox[0].message()["Message-ID"] == f"<{row.pk}@testserver>"


def test_draining_keeps_to_its_limit(order: Provision) -> None:
    for number in range(5):
        Mail.post("cancelled", key=str(number), provision=order)
    assert drain(2) == 2
    assert len(django_mail.outbox) == 2


def test_the_supervisor_finds_mails_that_nobody_rang_for(order: Provision) -> None:
    Mail.post("cancelled", key="1", provision=order)
    assert "mails" in doorbell.due_names()
    doorbell.drain("mails")
    assert len(django_mail.outbox) == 1


class Server:
    """A mail server that fails in a given way before it takes mails."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures: Iterator[BaseException] = iter(failures)
        self.accepted: list[str] = []

    def send(self, message: EmailMultiAlternatives, fail_silently: bool = False) -> int:
        if (failure := next(self.failures, None)) is not None:
            raise failure
        self.accepted.append(str(message.extra_headers["Message-ID"]))
        return 1


def served_by(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmailMultiAlternatives, "send", lambda self, **_: server.send(self))


def test_a_mail_server_that_is_away_is_tried_again_later(order: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(ConnectionRefusedError(), smtplib.SMTPServerDisconnected("away"))
    served_by(server, monkeypatch)
    Mail.post("cancelled", key="1", provision=order)
    for pause in (30, 60):
        drain(10)
        assert not is_due()
        clock.advance_machine(pause - 5)
        assert not is_due()
        clock.advance_machine(6)
        assert is_due()
    assert Mail.objects.get().error == "SMTPServerDisconnected"
    drain(10)
    assert len(server.accepted) == 1
    assert Mail.objects.get().error == ""


def test_one_mail_that_fails_does_not_hold_up_the_others(order: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(ValueError("whatever"))
    served_by(server, monkeypatch)
    for number in range(3):
        Mail.post("cancelled", key=str(number), provision=order)
    assert drain(10) == 3
    assert len(server.accepted) == 2


def test_a_mail_is_given_up_in_the_end_and_the_operator_sees_it(
    order: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(*[OSError("down")] * 50)
    served_by(server, monkeypatch)
    Mail.post("cancelled", key="1", provision=order)
    for _ in range(20):
        drain(10)
        clock.advance_machine(4000)
    assert Mail.objects.get(kind="cancelled").attempts == outbox.MOST_ATTEMPTS
    assert OperatorItem.objects.get().sentence == (
        'The mail "cancelled" to acme@students.example was given up: OSError.'
    )
    assert Mail.objects.count() == 1


def test_an_address_that_does_not_exist_is_given_up_at_once(order: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = smtplib.SMTPRecipientsRefused({"acme@students.example": (550, b"no such user")})
    served_by(Server(refused), monkeypatch)
    Mail.post("cancelled", key="1", provision=order)
    drain(10)
    assert not is_due()
    assert "refuses the address (550)" in OperatorItem.objects.get().sentence


def test_greylisting_is_only_a_pause(order: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(smtplib.SMTPRecipientsRefused({"acme@students.example": (451, b"later")}))
    served_by(server, monkeypatch)
    Mail.post("cancelled", key="1", provision=order)
    drain(10)
    clock.advance_machine(31)
    drain(10)
    assert len(server.accepted) == 1


def test_a_crash_before_sending_loses_nothing(order: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Crash())
    served_by(server, monkeypatch)
    Mail.post("cancelled", key="1", provision=order)
    with pytest.raises(Crash):
        drain(10)
    assert not is_due()  # who knows whether that worker still sends
    clock.advance_machine(outbox.CLAIM + 1)
    drain(10)
    assert len(server.accepted) == 1


def test_the_stated_limit_a_crash_after_accepting_sends_again_under_the_same_id(
    order: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    served_by(server, monkeypatch)
    Mail.post("cancelled", key="1", provision=order)

    def crash(mail: Mail) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_mark_sent", crash)
        with pytest.raises(Crash):
            drain(10)
    clock.advance_machine(outbox.CLAIM + 1)
    drain(10)
    assert len(server.accepted) == 2
    assert len(set(server.accepted)) == 1


class Inbox:
    """Takes mails as a mail server does."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def test_over_a_real_connection_both_parts_and_the_id_arrive(order: Provision, settings: Any) -> None:
    inbox = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        Mail.post("ready", key="1", provision=order)
        drain(10)
    finally:
        controller.stop()
    (message,) = inbox.messages
    row = Mail.objects.get()
    assert message["Message-ID"] == f"<{row.pk}@testserver>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert row.sent_at is not None
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        assert "http://testserver/infrastructure/dashboard/" in part.get_content()


# Many workers -------------------------------------------------------------------------------------------------------

WORKERS, MAILS = 6, 12


def drained_at_once() -> None:
    start = threading.Barrier(WORKERS)

    def run() -> None:
        try:
            connection.ensure_connection()
            start.wait(30)
            drain(MAILS)
        finally:
            connection.close()

    running = [threading.Thread(target=run) for _ in range(WORKERS)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)


def posted_many() -> None:
    order = new_order()
    for number in range(MAILS):
        Mail.post("cancelled", key=str(number), provision=order)


@pytest.mark.django_db(transaction=True)
def test_many_workers_send_each_mail_once() -> None:
    posted_many()
    drained_at_once()
    ids = [message.message()["Message-ID"] for message in django_mail.outbox]
    assert len(ids) == len(set(ids)) == MAILS


@pytest.mark.django_db(transaction=True)
def test_control_workers_that_look_before_they_claim_send_some_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    posted_many()
    everybody_looked, mine = threading.Barrier(WORKERS), threading.local()

    def naive() -> Mail | None:
        mail = Mail.objects.filter(sent_at__isnull=True).order_by("created_at", "id").first()
        if not hasattr(mine, "looked"):
            mine.looked = everybody_looked.wait(30)
        return mail

    monkeypatch.setattr(outbox, "_claim", naive)
    drained_at_once()
    assert len(django_mail.outbox) > MAILS
