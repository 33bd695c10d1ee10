"""Keep or drop, exports and the leaving kit: pages, files and API, and who may have which."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings

from infra import rls
from infra.api.shapes import serializer_of
from infra.estate import exports, presenters
from infra.mails import contents
from infra.models import (
    Domain,
    Mail,
    Mailbox,
    MailboxSecret,
    MailboxState,
    Origin,
    Provision,
    ProvisionState,
    RenewalChoice,
)
from infra.secret import Secret
from integrations.http.transport import HttpTransport
from provisioning import inventory
from provisioning.engine.holding import HeldDomain
from provisioning.models import Event
from tests.integration.pages import PASSWORD, signed_in, student, text
from tests.integration.world import new_order, paid

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

RENEWALS, EXPORTS, LEAVING = "/infrastructure/renewals/", "/infrastructure/exports/", "/infrastructure/leaving/"
API = "/api/infrastructure/"
ENDS = datetime(2027, 11, 26, 9, tzinfo=UTC)
APP = "app-passw0rd-"


def owner(name: str = "acme", state: str = ProvisionState.ACTIVE) -> Provision:
    """Make an order that owns three domains with two mailboxes each, as a look has left it."""
    order = new_order(name)
    paid(order)
    order.refresh_from_db()
    order.state = state
    order.cancelled_at = ENDS if state == ProvisionState.CANCELLED else None
    order.save()
    for domain in order.domains.filter(state="selected"):
        domain.state, domain.bought_at, domain.expires_at = "active", ENDS.replace(year=2026), ENDS
        records = [["MX", "@", "smtp.google.com", 1], ["TXT", "@", 'v=spf1 "x" ~all', None]]
        domain.facts = {
            "provider": "GOOGLE",
            "renewal": "on",
            "dns_records": records,
            "dns_read_at": "2026-11-26T09:00:00+00:00",
        }
        domain.save()
    order.domains.filter(state="spare").update(state="released")
    for box in order.mailboxes.all():
        MailboxSecret.objects.create(mailbox=box, student=order.student, app_password=Secret(f"{APP}{box.username}"))
    order.mailboxes.update(state=MailboxState.WARMING)
    order.student.set_password(PASSWORD)
    order.student.save()
    return order


def download(client: Client, **values: Any) -> HttpResponse:
    answer = client.post(EXPORTS, {"what": "mailboxes", "format": "csv", **values})
    assert isinstance(answer, HttpResponse)
    return answer


def table(answer: HttpResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def set_password(box: Mailbox, word: str) -> None:
    secret = MailboxSecret.objects.get(mailbox=box)
    secret.app_password = Secret(word)
    secret.save()


def with_its_own(order: Provision, state: str = "active") -> Domain:
    """Make the first domain of an order the student's own, as a proven one stands."""
    own = order.domains.get(name="getacme.com")
    own.origin, own.price_cents, own.bought_at, own.expires_at = Origin.OWN, 0, None, None
    own.connected_at, own.state = ENDS.replace(year=2026), state
    own.facts = {key: value for key, value in own.facts.items() if key != "renewal"}
    own.save()
    return own


# A domain that the student owns -------------------------------------------------------------------------------------------


def test_an_own_domain_is_exported_and_taken_along_but_renewed_elsewhere() -> None:
    order = owner()
    with_its_own(order)
    client = signed_in(order.student)
    names = {row["domain"] for row in table(download(client, what="domains"))}
    assert names == {"getacme.com", "tryacme.com", "useacme.com"}
    kit = text(client.get(LEAVING))
    assert "lead it elsewhere at your registrar" in kit
    assert "@ IN MX 1 smtp.google.com." in client.get(f"{LEAVING}getacme.com.zone").content.decode()
    shown = presenters.renewals(order.student, order, now=ENDS.replace(year=2026))
    assert [row.name for row in shown.rows] == ["tryacme.com", "useacme.com"]
    assert [notice.title for notice in shown.notices] == ["getacme.com: renewed at your registrar"]


def test_a_student_with_nothing_but_own_domains_may_take_them_along_after_the_end() -> None:
    order = owner(state=ProvisionState.CANCELLED)
    own = with_its_own(order, "released")
    order.domains.exclude(pk=own.pk).update(state="lost", bought_at=None)
    client = signed_in(order.student)
    assert "getacme.com" in text(client.get(LEAVING))
    assert [domain.name for domain in exports.domains_of(order)] == ["getacme.com"]


def test_looks_at_what_an_order_has_keep_nothing_of_an_own_domains_year() -> None:
    order = owner()
    own = with_its_own(order)
    seen = HeldDomain(own.name, "dom_1", "google", renews=False, expires_at=ENDS.replace(year=2026), is_expired=True)
    inventory.write_down(order, inventory.Found([seen], []), since=None, now=ENDS)
    own.refresh_from_db()
    assert (own.state, own.expires_at, own.facts.get("renewal")) == ("active", None, None)
    assert own.facts["provider"] == "google"
    assert own.name not in [domain.name for domain in inventory.owned(order)]


# Exports ----------------------------------------------------------------------------------------------------------------


def test_all_mailboxes_or_those_that_are_chosen() -> None:
    order = owner()
    client = signed_in(order.student)
    rows = table(download(client))
    assert [row["email"] for row in rows] == [one.address for one in exports.mailboxes_of(order)]
    assert list(rows[0]) == list(exports.PLAIN)
    chosen = rows[1]["email"]
    assert [row["email"] for row in table(download(client, rows=[chosen]))] == [chosen]


def test_domains_and_json() -> None:
    order = owner()
    client = signed_in(order.student)
    (row, *_more) = table(download(client, what="domains"))
    assert row == {
        "domain": "getacme.com",
        "state": "active",
        "registered_until": "2027-11-26",
        "renewal": "on",
        "mailboxes": "2",
    }
    found = json.loads(download(client, what="domains", format="json").content)
    assert found["domains"][0] == row


@pytest.mark.parametrize("typed", ["", "wrong"])
def test_without_ones_own_password_no_password_goes_out(typed: str) -> None:
    order = owner()
    answer = download(signed_in(order.student), with_passwords="on", password=typed)
    assert answer.status_code == 422
    assert APP not in answer.content.decode()
    assert not Event.objects.filter(kind="credentials_exported").exists()
    assert not Mail.objects.filter(kind="credentials_exported").exists()


def test_with_it_they_go_out_are_written_down_and_told() -> None:
    order = owner()
    answer = download(signed_in(order.student), with_passwords="on", password=PASSWORD)
    (row, *_more) = table(answer)
    assert row["smtp_password"] == row["imap_password"] == f"{APP}{row['email'].partition('@')[0]}"
    assert (row["smtp_host"], row["smtp_port"], row["smtp_security"]) == ("smtp.gmail.com", "465", "SSL/TLS")
    assert "no-store" in answer["Cache-Control"]
    event = Event.objects.get(kind="credentials_exported")
    assert event.actor == order.student.email
    letter = contents.letter(Mail.objects.get(kind="credentials_exported"))
    assert "(6)" in letter.text
    assert APP not in letter.text + event.sentence


def test_where_a_password_opens_no_imap_none_is_written() -> None:
    order = owner()
    for domain in exports.domains_of(order):
        domain.facts = {**domain.facts, "provider": "MICROSOFT"}
        domain.save()
    (row, *_more) = table(download(signed_in(order.student), with_passwords="on", password=PASSWORD))
    assert (row["smtp_host"], row["smtp_port"]) == ("smtp.office365.com", "587")
    assert row["imap_host"] == row["imap_password"] == ""


def test_a_cell_that_begins_like_a_formula_is_defused() -> None:
    order = owner()
    Mailbox.objects.filter(provision=order).update(first_name='=HYPERLINK("http://x")', last_name="@SUM(A1)")
    client = signed_in(order.student)
    for row in table(download(client)):
        assert (row["first_name"], row["last_name"]) == ('\'=HYPERLINK("http://x")', "'@SUM(A1)")
    (row, *_more) = json.loads(download(client, format="json").content)["mailboxes"]
    assert row["last_name"] == "@SUM(A1)"


@pytest.mark.parametrize("word", ["=cmd|' /C calc'!A0", "+1", "-x", "@y", '=a,"b"\n;c', "\tz"])
def test_a_password_is_byte_for_byte_or_the_file_is_refused(word: str) -> None:
    order = owner()
    box = exports.mailboxes_of(order)[0]
    set_password(box, word)
    client = signed_in(order.student)
    asked = {"with_passwords": "on", "password": PASSWORD}

    refused = download(client, **asked)
    assert refused.status_code == 422
    assert box.address in refused.content.decode()
    found = json.loads(download(client, format="json", **asked).content)["mailboxes"]
    assert found[0]["smtp_password"] == word
    for layout in ("smartlead", "plusvibe"):
        assert table(download(client, layout=layout, **asked))[0]["password"] == word


def test_smartleads_columns_are_smartleads() -> None:
    order = owner()
    answer = download(signed_in(order.student), layout="smartlead", with_passwords="on", password=PASSWORD)
    assert answer.content.decode().splitlines()[0] == (
        "from_name,from_email,user_name,password,smtp_host,smtp_port,imap_host,imap_port,max_email_per_day,"
        "custom_tracking_url,warmup_enabled,total_warmup_per_day,daily_rampup,reply_rate_percentage,bcc,signature,"
        "different_reply_to_address,imap_user_name,imap_password"
    )


def test_another_students_rows_cannot_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bo = owner("acme"), owner("bolt")
    client = signed_in(bo.student)
    theirs = exports.mailboxes_of(ada)[0].address
    assert download(client, rows=[theirs]).status_code == 422
    answer = client.get(f"{LEAVING}?order={ada.reference}")
    assert answer.status_code == 302
    assert client.get(f"{LEAVING}getacme.com.zone").status_code == 404
    body = {"what": "mailboxes", "rows": [theirs]}
    assert client.post(f"{API}exports/", body, content_type="application/json").status_code == 422


def test_exports_share_the_throttle_of_writes() -> None:
    order = owner()
    client = signed_in(order.student)
    with override_settings(THROTTLES={"write": (2, 3600)}):
        assert [download(client).status_code for _ in range(3)] == [200, 200, 429]
        assert client.post(f"{API}exports/", {"what": "domains"}, content_type="application/json").status_code == 429


def test_the_api_exports_what_the_page_does() -> None:
    order = owner()
    client = signed_in(order.student)
    body = {"what": "mailboxes", "layout": "smartlead", "with_passwords": True, "password": PASSWORD}
    answer = client.post(f"{API}exports/", body, content_type="application/json")
    page = download(client, format="json", layout="smartlead", with_passwords="on", password=PASSWORD)
    assert answer.json() == json.loads(page.content)
    wrong = client.post(f"{API}exports/", body | {"password": "wrong"}, content_type="application/json")
    assert wrong.status_code == 422
    assert APP not in wrong.content.decode()
    assert Event.objects.filter(kind="credentials_exported").count() == 2


# Renewals ---------------------------------------------------------------------------------------------------------------


def test_a_choice_is_shown_with_who_and_when_and_may_be_changed() -> None:
    order = owner()
    client = signed_in(order.student)
    shown = text(client.get(RENEWALS))
    assert "26 November 2027" in shown
    assert "$12.99" in shown
    for choice in ("drop", "keep"):
        client.post(RENEWALS, {"domain": "getacme.com", "choice": choice})
    assert [row.choice for row in RenewalChoice.objects.order_by("id")] == ["drop", "keep"]
    assert order.student.email in text(client.get(RENEWALS))


def test_nothing_can_be_chosen_for_an_order_that_ended_or_for_anothers_domain() -> None:
    ended, bo = owner("acme", ProvisionState.CANCELLED), owner("bolt")
    client = signed_in(ended.student)
    client.post(RENEWALS, {"domain": "getacme.com", "choice": "keep"})
    assert signed_in(bo.student).post(RENEWALS, {"domain": "getacme.com", "choice": "drop"}).status_code == 404
    assert client.post(RENEWALS, {"domain": "getacme.com", "choice": "sell"}).status_code == 404
    assert not RenewalChoice.objects.exists()


def test_the_api_says_what_the_pages_say() -> None:
    order = owner()
    client = signed_in(order.student)
    made = client.post(f"{API}renewals/", {"domain": "getacme.com", "choice": "drop"}, content_type="application/json")
    assert made.status_code == 200
    page = presenters.renewals(order.student, order, now=ENDS)
    assert client.get(f"{API}renewals/").json() == serializer_of(presenters.Renewals)(page).data
    kit = presenters.leaving(order.student, order, now=ENDS)
    assert client.get(f"{API}leaving/").json() == serializer_of(presenters.Leaving)(kit).data
    assert signed_in(student()).get(f"{API}leaving/").status_code == 404


# Leaving ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [ProvisionState.ACTIVE, ProvisionState.CANCELLING, ProvisionState.CANCELLED])
def test_the_kit_is_there_while_it_runs_and_afterwards_and_calls_nobody(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a page called a platform")

    monkeypatch.setattr(HttpTransport, "send", refuse)
    order = owner(state=state)
    client = signed_in(order.student)
    shown = text(client.get(LEAVING))
    assert "getacme.com" in shown
    assert "26 November 2027" in shown
    zone = client.get(f"{LEAVING}getacme.com.zone").content.decode()
    assert "@ IN MX 1 smtp.google.com." in zone
    assert '@ IN TXT "v=spf1 \\"x\\" ~all"' in zone
    boxes = client.get(f"{LEAVING}mailboxes.csv").content.decode()
    assert boxes.count("\r\n") == 7
    assert APP not in boxes + shown


def test_records_that_were_never_read_are_said_to_be_unknown() -> None:
    order = owner()
    for domain in exports.domains_of(order):
        domain.facts = {}
        domain.save()
    zone = signed_in(order.student).get(f"{LEAVING}getacme.com.zone").content.decode()
    assert "have not been read yet" in zone
    assert " IN " not in zone


def test_who_owns_nothing_is_sent_on() -> None:
    client = signed_in(student())
    for page in (RENEWALS, EXPORTS, LEAVING):
        assert client.get(page).status_code == 302


def test_the_database_shows_a_student_only_their_own_secrets() -> None:
    ada, bo = owner("acme"), owner("bolt")
    with rls.acting_as("worker"):
        assert MailboxSecret.objects.count() == 12
    client = signed_in(bo.student)
    rows = json.loads(download(client, format="json", with_passwords="on", password=PASSWORD).content)["mailboxes"]
    assert {row["domain"] for row in rows} <= {one.name for one in exports.domains_of(bo)}
    assert not {row["domain"] for row in rows} & {one.name for one in exports.domains_of(ada)}
