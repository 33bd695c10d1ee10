"""The first dashboard, and the one look at a password."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from infra import accounts, clock
from infra.dashboard import board
from infra.dns.propagation import Evidence, Finding, Seen, Sight
from infra.dns.records import Record, Type
from infra.models import (
    Credential,
    CredentialReveal,
    Mail,
    Mailbox,
    MailboxState,
    Provision,
    ProvisionState,
    TaskDone,
    User,
    WarmupDay,
)
from infra.secret import Secret
from integrations.http.transport import HttpTransport
from tests.integration.pages import PASSWORD, signed_in, student, text
from tests.integration.warm import looked, measured, remember
from tests.integration.world import new_order, paid

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

DASHBOARD = "/infrastructure/dashboard/"
SECRET = "s3nding-t00l-passw0rd"


def running(state: str = ProvisionState.ACTIVE) -> Provision:
    """Make an order that is up: six mailboxes in warmup, a login, a lead list."""
    order = new_order()
    paid(order)
    order.refresh_from_db()
    order.state, order.ready_at = state, timezone.now()
    order.facts = {"heyreach_list_id": 7, "heyreach_list_name": f"Ada Sample {order.reference}"}
    order.order = {**order.order, "instructions": "Read the **guide**.\n\n<script>alert(1)</script>"}
    order.save()
    order.domains.filter(state="selected").update(state="active")
    Mailbox.objects.filter(provision=order).update(state=MailboxState.WARMING, warmup_started_at=timezone.now())
    order.student.set_password(PASSWORD)
    order.student.save()
    return order


def credential(order: Provision) -> Credential:
    return Credential.objects.create(
        provision=order, student=order.student, kind="sending_tool", login="ada@tool.example", password=Secret(SECRET)
    )


def test_three_sentences_come_first() -> None:
    page = text(signed_in(running().student).get(DASHBOARD))
    assert "6 of 6 mailboxes are working. Nothing needs your attention. Ready to send about" in page


def test_every_mailbox_and_domain_has_a_row() -> None:
    order = running()
    page = text(signed_in(order.student).get(DASHBOARD))
    for mailbox in order.mailboxes.all():
        assert f"{mailbox.address} {mailbox.sender} Warming up" in page
    assert page.count("day 1 of 14") == 7  # and once in the plan
    assert "getacme.com Ready Mailboxes 2" in page
    assert "goacme.com" not in page  # a spare that was not needed


def test_what_is_missing_is_said() -> None:
    order = running(ProvisionState.ACTIVE_WITH_EXCEPTIONS)
    Mailbox.objects.filter(address="ada@getacme.com").update(state=MailboxState.FAILED, reason="It could not be made.")
    page = text(signed_in(order.student).get(DASHBOARD))
    assert "Something that you ordered is missing" in page
    assert "ada@getacme.com: It could not be made." in page
    assert "5 of 6 mailboxes are working. 1 needs attention." in page


def looked_at(name: str, finding: str = "seen") -> Evidence:
    """Return what two name servers showed of four records, of the SPF record `finding`."""
    records = (
        Record(Type.MX, name, "mx.mail.example", 10),
        Record(Type.TXT, name, "v=spf1 include:spf.mail.example -all"),
        Record(Type.TXT, f"k1._domainkey.{name}", "v=DKIM1; p=QUJD"),
        Record(Type.TXT, f"_dmarc.{name}", "v=DMARC1; p=none"),
    )
    sights = [Sight(Finding(finding if "spf1" in one.value else "seen")) for one in records]
    rows = tuple(Seen(one, {"a": sight, "b": sight}, 2) for one, sight in zip(records, sights, strict=True))
    return Evidence(rows, at=clock.vendor_now() - timedelta(days=3))


@pytest.mark.parametrize(
    ("finding", "said"),
    [("seen", "DNS: 4 of 4 confirmed, 3 days ago"), ("absent", "DNS: 3 of 4 confirmed, 3 days ago")],
)
def test_a_domain_says_in_one_line_how_its_dns_stands_and_leads_to_its_pages(finding: str, said: str) -> None:
    order = running()
    domain = order.domains.get(name="getacme.com")
    domain.facts = {"dns_evidence": looked_at(domain.name, finding).as_json()}
    domain.save()
    card = next(one for one in shown(order).domains if one.name == domain.name)
    assert (card.dns, card.dns_lacks) == (said, finding == "absent")
    assert card.dns_href == f"/infrastructure/domains/{domain.name}/dns/"
    page = signed_in(order.student).get(DASHBOARD)
    assert said in text(page)
    assert f'href="{card.dns_href}"' in page.content.decode()


def test_a_domain_shows_the_dedicated_address_that_its_mail_leaves_from() -> None:
    order = running()
    order.facts = {"dedicated_ips": {"w1": "198.51.100.7", "w2": "198.51.100.8"}}
    order.save()
    order.domains.filter(name="getacme.com").update(facts={"infraforge_workspace_id": "w2"})
    cards = {one.name: {fact.label: fact.value for fact in one.facts} for one in shown(order).domains}
    assert cards.pop("getacme.com")["Sends from"] == "198.51.100.8"
    assert not any("Sends from" in facts for facts in cards.values())


# Health and "ready to send" -------------------------------------------------------------------------------------------


def boxes(order: Provision) -> list[Mailbox]:
    return list(order.mailboxes.all())


def warm_since(order: Provision, days: int) -> None:
    order.mailboxes.update(warmup_started_at=clock.vendor_now() - timedelta(days=days))


def shown(order: Provision) -> board.Dashboard:
    order.refresh_from_db()
    return board.dashboard(order.student, order, now=clock.vendor_now())


def row(order: Provision, address: str = "ada@getacme.com") -> board.MailboxRow:
    return next(one for one in shown(order).mailboxes if one.address == address)


def words_of(day: date) -> str:
    return f"{day.day} {day:%B}"


def in_days(days: int) -> date:
    return clock.vendor_now().astimezone(UTC).date() + timedelta(days=days)


def test_five_of_six_are_healthy_and_one_needs_attention() -> None:
    order = running()
    warm_since(order, 8)
    bad, *others = boxes(order)
    remember(bad, [97, 96, 93, 88, 84])
    for box in others:
        remember(box, [97.0] * 5)
    assert shown(order).sentences == [
        "5 of 6 mailboxes are healthy.",
        "1 needs attention.",
        f"Ready to send about {words_of(in_days(6))}.",
    ]


def test_one_bad_day_is_said_and_needs_no_attention() -> None:
    order = running()
    weak, *others = boxes(order)
    remember(weak, [97.0, 97.0, 84.0])
    for box in others:
        remember(box, [97.0] * 3)
    assert shown(order).sentences[:2] == [
        "5 of 6 mailboxes are healthy.",
        "1 has had a bad day; a second one would need attention.",
    ]


@pytest.mark.parametrize(
    ("figure", "words"), [(89.99, "89 %"), (90.0, "90 %"), (100.0, "100 %"), (2.57, "2.5 %"), (2.0, "2.0 %")]
)
def test_what_is_below_ninety_is_never_shown_as_ninety(figure: float, words: str) -> None:
    assert board.percent(figure) == words


def test_figures_that_are_not_there_are_no_zero() -> None:
    order = running()
    for box in boxes(order):
        remember(box, [None])
    looked(order)
    page = shown(order)
    assert {one.health.text for one in page.mailboxes} == {"Not enough data yet"}
    assert {one.reply_rate for one in page.mailboxes} == {"Not enough data yet"}
    assert page.sentences[:2] == ["6 of 6 mailboxes are working.", "Nothing needs your attention."]
    assert "0 %" not in text(signed_in(order.student).get(DASHBOARD)).replace("90 %", "")


def test_those_without_enough_data_are_counted_when_others_have_some() -> None:
    order = running()
    first, *others = boxes(order)
    remember(first, [97.0] * 3)
    for box in others:
        remember(box, [None])
    assert shown(order).sentences[:2] == ["1 of 6 mailboxes are healthy.", "5 have not enough data yet."]


def test_a_row_holds_what_the_platform_said() -> None:
    order = running()
    warm_since(order, 3)
    remember(boxes(order)[0], [96.0, 97.0], warmup_sent=4, campaign_sent=0, reply_rate=2.5)
    found = row(order, boxes(order)[0].address)
    assert (found.health.text, found.health.percent) == ("97 %", 97.0)
    assert found.health.tag is not None
    assert found.health.tag.word == "Healthy"
    assert [(fact.label, fact.value) for fact in found.health.providers] == [
        ("Google", "96 %"),
        ("Microsoft", "97 %"),
        ("Other", "98 %"),
    ]
    assert (found.reply_rate, found.campaign_today, found.warmup_today) == ("2.5 %", "0", "4 of 30")
    assert found.ramp_day == "day 4 of 14"
    assert found.ready_text == f"About {words_of(in_days(11))}"
    assert found.ready_on == in_days(11).isoformat()


def test_the_counters_of_an_older_day_say_which() -> None:
    order = running()
    box = boxes(order)[0]
    remember(box, [97.0])
    WarmupDay.objects.update(day=in_days(-1))
    yesterday = in_days(-1)
    assert row(order, box.address).warmup_today == f"4 of 30 on {yesterday.day} {yesterday:%b}"


def test_what_the_platform_does_not_measure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    order = running()
    remember(boxes(order)[0], [97.0] * 3)
    supplied = frozenset({"warmup_sent", "campaign_sent"})
    monkeypatch.setattr(board, "supplied_by", lambda _: supplied)
    found = row(order, boxes(order)[0].address)
    assert found.health.text == found.reply_rate == "Not measured by this platform"
    assert found.warmup_today == "4 of 30"


def test_the_sparkline_runs_from_50_to_100_and_breaks_where_a_day_is_missing() -> None:
    order = running()
    box = boxes(order)[0]
    remember(box, [50.0, 100.0, None, 90.0, 95.0, 20.0, 97.0])
    drawn = board.spark(list(box.warmup_days.all()))
    heights = [float(dot.y) for dot in drawn.dots]
    assert heights[0] == heights[4] == drawn.height - board.MARGIN  # 50 and everything below
    assert heights[1] == board.MARGIN
    assert drawn.dots[2].y == drawn.good_y
    assert [len(line.split()) for line in drawn.lines] == [2, 4]
    assert [one.value for one in drawn.numbers] == ["50 %", "100 %", "90 %", "95 %", "20 %", "97 %"]


def test_the_numbers_of_the_sparkline_are_on_the_page() -> None:
    order = running()
    remember(boxes(order)[0], [91.0, 92.0, 93.0])
    page = signed_in(order.student).get(DASHBOARD)
    assert all(f"{number} %" in text(page) for number in (91, 92, 93))
    assert page.content.count(b"<polyline") == 1


def test_a_mailbox_that_fulfils_everything_may_send_now() -> None:
    order = running()
    warm_since(order, 20)
    for box in boxes(order):
        remember(box, [97.0] * 3)
    page = shown(order)
    assert page.sentences[2] == "All of them are ready to send."
    assert {(one.ready, one.ready_text, one.safe_today) for one in page.mailboxes} == {(True, "Ready now", 30)}


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"days": 5}, "the warmup days are not over"),
        ({"figures": [97.0, 97.0, 80.0]}, "its health has not been 90 % or more on three days in a row"),
        ({"domain": "dns_pending"}, "the domain's address records are not confirmed"),
        ({"connection": "disconnected"}, "the sending tool is not connected to it"),
    ],
)
def test_each_condition_that_fails_is_named(change: dict[str, Any], lack: str) -> None:
    order = running()
    warm_since(order, change.get("days", 20))
    if "domain" in change:
        order.domains.update(state=change["domain"])
    box = boxes(order)[0]
    remember(box, change.get("figures", [97.0] * 3), connection=change.get("connection", "connected"))
    found = row(order, box.address)
    assert (found.ready, found.lacks, found.safe_today) == (False, [lack], 0)
    assert lack in text(signed_in(order.student).get(DASHBOARD))


def test_the_date_moves_by_each_day_without_warmup() -> None:
    order = running()
    warm_since(order, 6)
    box = boxes(order)[0]
    remember(box, [97.0] * 5)
    assert row(order, box.address).ready_on == in_days(8).isoformat()
    cold = box.warmup_days.filter(day__in=[in_days(-2), in_days(-3)])
    assert cold.update(is_warming=False) == 2
    assert row(order, box.address).ready_on == in_days(10).isoformat()
    assert row(order, box.address).ramp_day == "day 5 of 14"


def test_while_warmup_is_off_nobody_knows_the_date() -> None:
    order = running()
    warm_since(order, 6)
    box = boxes(order)[0]
    remember(box, [97.0] * 3)
    box.warmup_days.filter(day=in_days(0)).update(is_warming=False)
    found = row(order, box.address)
    assert (found.ready_text, found.ready_on) == ("Not known yet", None)
    assert (found.tag.word, found.note) == ("Warmup is off", "The plan waits until it is on again.")


@pytest.mark.parametrize(
    ("connection", "word"), [("disconnected", "Disconnected"), ("absent", "Gone from the sending tool")]
)
def test_a_mailbox_that_is_not_connected_is_said_and_needs_attention(connection: str, word: str) -> None:
    order = running()
    box, *others = boxes(order)
    remember(box, [97.0] * 3, connection=connection)
    for other in others:
        remember(other, [97.0] * 3)
    assert row(order, box.address).tag.word == word
    assert shown(order).sentences[:2] == ["5 of 6 mailboxes are healthy.", "1 needs attention."]


# Age ----------------------------------------------------------------------------------------------------------------


def test_the_age_of_the_figures_is_on_the_page() -> None:
    order = running()
    assert "No figures read yet" in text(signed_in(order.student).get(DASHBOARD))
    measured(order)
    page = text(signed_in(order.student).get(DASHBOARD))
    assert "Updated 12 minutes ago" in page
    assert "412 people, counted 3 hours ago" in page
    assert "does not answer" not in page


@pytest.mark.parametrize("values", [{"failures": 1}, {"hours": 19}])
def test_a_platform_that_is_away_is_said_with_the_age_of_what_is_shown(values: dict[str, int]) -> None:
    order = measured(running())
    hours = values.pop("hours", 14)
    looked(order, clock.vendor_now() - timedelta(hours=hours), **values)
    page = text(signed_in(order.student).get(DASHBOARD))
    assert "The sending tool does not answer us at the moment" in page
    assert f"What you see here was read {hours} hours ago; we go on asking." in page
    assert "97 %" not in page
    assert "95 %" in page


def test_with_every_platform_down_the_page_answers_from_our_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    order = measured(running())

    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("a page calls no platform")

    monkeypatch.setattr(HttpTransport, "send", unreachable)
    response = signed_in(order.student).get(DASHBOARD)
    assert response.status_code == 200
    assert "95 %" in text(response)


def test_the_number_of_queries_does_not_depend_on_what_there_is() -> None:
    order = running()
    client = signed_in(order.student)

    def queries() -> int:
        client.get(DASHBOARD)
        with CaptureQueriesContext(connection) as seen:
            client.get(DASHBOARD)
        return len(seen)

    few = queries()
    for box in boxes(order):
        remember(box, [97.0] * 90)
    looked(order)
    assert queries() == few
    order.mailboxes.exclude(address="ada@getacme.com").delete()
    assert queries() == few


# The first week, and the calendar -------------------------------------------------------------------------------------


def test_tasks_are_ticked_and_the_ticks_are_kept() -> None:
    order = running()
    client = signed_in(order.student)
    place = f"{DASHBOARD}tasks/calendar/"
    for _ in range(2):
        assert client.post(place, {"done": "yes"})["Location"] == f"{DASHBOARD}#first-week"
    assert [task.key for task in shown(order).tasks if task.done] == ["calendar"]
    client.post(place, {"done": "no"})
    assert [task.key for task in shown(order).tasks if task.done] == []


def test_a_password_that_was_shown_is_a_task_done() -> None:
    order = running()
    one = credential(order)
    assert not shown(order).tasks[0].done
    CredentialReveal.objects.create(credential=one, student=order.student)
    assert (shown(order).tasks[0].done, shown(order).tasks[0].can_undo) == (True, False)


def test_only_tasks_of_ones_own_can_be_ticked() -> None:
    order = running()
    assert signed_in(order.student).post(f"{DASHBOARD}tasks/nonsense/", {"done": "yes"}).status_code == 404
    stranger = signed_in(student("bob@students.example"))
    assert stranger.post(f"{DASHBOARD}tasks/calendar/", {"done": "yes"}).status_code == 404
    assert not TaskDone.objects.exists()


def calendar_of(order: Provision) -> str:
    plan = shown(order).ramp
    assert plan is not None
    return urlsplit(plan.calendar_href).path


def test_the_calendar_needs_no_sign_in_and_shows_the_plan() -> None:
    order = running()
    warm_since(order, 3)
    response = Client().get(calendar_of(order))
    assert response.status_code == 200
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    body = response.content.decode().replace("\r\n ", "")
    assert body.count("BEGIN:VEVENT") == 15
    assert f"DTSTART;VALUE=DATE:{in_days(11):%Y%m%d}" in body
    assert "SUMMARY:Warmup day 4 of 14: up to 8 mails per mailbox" in body
    assert "SUMMARY:Sending may start" in body
    assert "ada@getacme.com" in body


def test_the_calendar_moves_with_the_warmup_and_its_events_keep_their_names() -> None:
    order = running()
    warm_since(order, 6)
    before = events(Client().get(calendar_of(order)))
    for box in boxes(order):
        remember(box, [97.0] * 4)
    WarmupDay.objects.filter(day=in_days(-1)).update(is_warming=False)
    after = events(Client().get(calendar_of(order)))
    assert before.keys() == after.keys()
    moved = {uid for uid in after if after[uid] != before[uid]}
    assert {after[uid] - before[uid] for uid in moved} == {timedelta(days=1)}
    assert len(moved) == 15 - 5  # five days have passed with warmup


def events(response: Any) -> dict[str, date]:
    body = response.content.decode().replace("\r\n ", "")
    found = re.findall(r"UID:(\S+)\r\n.*?DTSTART;VALUE=DATE:(\d{8})", body, re.S)
    return {uid: datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date() for uid, day in found}


def test_a_new_link_ends_the_old_one() -> None:
    order = running()
    old = calendar_of(order)
    assert Client().get(old).status_code == 200
    assert signed_in(order.student).post(f"{DASHBOARD}calendar/")["Location"] == f"{DASHBOARD}#plan"
    new = calendar_of(order)
    assert new != old
    assert Client().get(old).status_code == 404
    assert Client().get(new).status_code == 200


@pytest.mark.parametrize("token", ["x", "a:b", "WyJhIiwgImIiXQ:forged", "%00", "a" * 400])
def test_a_forged_calendar_link_opens_nothing(token: str) -> None:
    running()
    assert Client().get(f"/infrastructure/calendar/{token}.ics").status_code == 404


def test_a_calendar_is_counted_by_its_link_and_not_by_who_asks() -> None:
    order = running()
    link = calendar_of(order)
    answers = [Client().get(link) for _ in range(61)]
    assert [one.status_code for one in answers] == [200] * 60 + [429]
    assert answers[-1]["Retry-After"]


def test_the_calendar_ends_with_the_order() -> None:
    order = running()
    link = calendar_of(order)
    Provision.objects.update(state=ProvisionState.FAILED)
    assert Client().get(link).status_code == 404


def test_instructions_are_markdown_without_html() -> None:
    response = signed_in(running().student).get(DASHBOARD)
    assert b"<strong>guide</strong>" in response.content
    assert b"<script>alert" not in response.content


def test_links_and_list_are_there() -> None:
    order = running()
    credential(order)
    response = signed_in(order.student).get(DASHBOARD)
    assert "ada@tool.example" in text(response)
    assert order.reference in text(response)
    assert b"https://app.heyreach.io/" in response.content


def test_suspended_and_ending_are_said() -> None:
    order = running(ProvisionState.SUSPENDED)
    client = signed_in(order.student)
    assert "Your infrastructure is paused" in text(client.get(DASHBOARD))
    Provision.objects.update(state=ProvisionState.CANCELLING)
    assert "Your subscription is ending" in text(client.get(DASHBOARD))


def test_a_student_sees_only_their_own() -> None:
    running()
    response = signed_in(student("bob@students.example")).get(DASHBOARD)
    assert response["Location"] == "/infrastructure/"


# The one look -------------------------------------------------------------------------------------------------------


def address(one: Credential) -> str:
    return f"{DASHBOARD}credentials/{one.pk}/"


def test_the_password_is_shown_once_after_typing_ones_own() -> None:
    order = running()
    one = credential(order)
    client = signed_in(order.student)
    assert SECRET not in client.get(address(one)).content.decode()
    response = client.post(address(one), {"password": PASSWORD})
    assert SECRET in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert CredentialReveal.objects.get().credential == one
    assert Mail.objects.filter(kind="credential_revealed", provision=order).count() == 1
    again = client.post(address(one), {"password": PASSWORD})
    assert SECRET not in again.content.decode()
    assert "The password has been shown (" in text(again)


@pytest.mark.parametrize(
    ("typed", "words"), [("wrong", "This is not the password"), ("", "Type the password"), ("\x00", "Null characters")]
)
def test_a_wrong_password_shows_nothing(typed: str, words: str) -> None:
    order = running()
    one = credential(order)
    response = signed_in(order.student).post(address(one), {"password": typed})
    assert response.status_code == 422
    assert words in text(response)
    assert SECRET not in response.content.decode()
    assert not CredentialReveal.objects.exists()


def test_somebody_elses_password_is_not_there() -> None:
    one = credential(running())
    bob = student("bob@students.example")
    assert signed_in(bob).post(address(one), {"password": PASSWORD}).status_code == 404


# Invitations --------------------------------------------------------------------------------------------------------


def invited() -> User:
    return User.objects.create_user("new@students.example", None, is_enrolled=True)


def test_an_invitation_sets_a_password_and_signs_in() -> None:
    user, client = invited(), Client()
    link = f"/invitation/{accounts.invitation_token(user)}/"
    assert "Choose a password for new@students.example." in text(client.get(link))
    values = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    assert client.post(link, values)["Location"] == "/infrastructure/"
    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    assert client.get("/").status_code == 200


def test_an_invitation_works_once() -> None:
    user = invited()
    link = f"/invitation/{accounts.invitation_token(user)}/"
    user.set_password(PASSWORD)
    user.save()
    response = Client().get(link)
    assert response.status_code == 410
    assert "This invitation no longer works" in text(response)


def test_a_weak_password_is_refused_with_the_reason() -> None:
    link = f"/invitation/{accounts.invitation_token(invited())}/"
    response = Client().post(link, {"new_password1": "short", "new_password2": "short"})
    assert response.status_code == 422
    assert "too short" in text(response)
