"""The JSON API: says what the pages say, to those who may ask, and answers nonsense with a sentence."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.test import Client
from django.utils import timezone

from billing import gateway
from infra import clock
from infra.api import bodies
from infra.dashboard import board
from infra.dashboard.progress import progress
from infra.models import (
    Credential,
    Domain,
    DomainState,
    MailboxState,
    NameAnswer,
    NameCheck,
    Provision,
    ProvisionState,
    StepState,
    User,
)
from infra.secret import Secret
from infra.wizard import drafts, names, presenters
from provisioning import queries, search
from tests.integration.billing.shop import Shop, gateway_over
from tests.integration.pages import PASSWORD, answered, at_domains, signed_in, student, tier
from tests.integration.warm import measured
from tests.integration.world import new_order, paid

# `client`: the pages that are compared with need the static files.
NOBODY = "4f0ce00f-3f3c-4517-92d7-6313d5acdb29"  # an id that no row has; fixed, since it names tests

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

API = "/api/infrastructure/"
TIERS, SUGGEST, CHECK = f"{API}tiers/", f"{API}domains/suggest/", f"{API}domains/check/"
PROVISION, DASHBOARD = f"{API}provision/", f"{API}dashboard/"
GETS, POSTS = (TIERS, DASHBOARD), (SUGGEST, CHECK, PROVISION)


def post(person: User, address: str, body: Any = None) -> Any:
    return signed_in(person).post(address, body, content_type="application/json")


def plain(value: Any) -> Any:
    """Return a presenter's dataclass as it reads after a journey as JSON."""
    return json.loads(json.dumps(asdict(value), cls=DjangoJSONEncoder))


def error_of(response: Any) -> dict[str, Any]:
    """Return the error of a response, after checking its form."""
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    assert body["error"]["code"]
    assert body["error"]["sentence"].endswith((".", "?"))
    error: dict[str, Any] = body["error"]
    return error


def running(**step: Any) -> Provision:
    """Make an order that is being built: its domains wait for the platform."""
    run = paid(new_order())
    now = timezone.now()
    run.steps.filter(key__in=["workspace", "wallet", "slots"]).update(
        state=StepState.COMPLETED, started_at=now, finished_at=now
    )
    run.steps.filter(key="buy_domains").update(
        **{"state": StepState.WAITING, "waits_on": "platform", "started_at": now, **step}
    )
    return Provision.objects.get(pk=run.provision_id)


def active() -> Provision:
    """Make an order that is built."""
    order = running()
    order.domains.filter(state=DomainState.SELECTED).update(state=DomainState.ACTIVE)
    order.mailboxes.update(state=MailboxState.WARMING, warmup_started_at=timezone.now())
    order.state, order.ready_at, order.facts = ProvisionState.ACTIVE, timezone.now(), {"heyreach_list_name": "Acme"}
    order.save()
    Credential.objects.create(
        provision=order, student=order.student, kind="sender", login="ada@login.example", password=Secret("s3cret-one")
    )
    return order


def status_of(order: Provision, person: User | None = None, query: str = "", **headers: Any) -> Any:
    return signed_in(person or order.student).get(f"{API}status/{order.pk}/{query}", **headers)


# The same as the pages ----------------------------------------------------------------------------------------------


def test_tiers_are_the_first_pages_cards() -> None:
    ada = student()
    draft = at_domains(ada)
    found = signed_in(ada).get(TIERS).json()["tiers"]
    (card,) = presenters.packages(list(drafts.offered_tiers()), draft)
    shared = {one.name for one in fields(card)} & {one.name for one in fields(bodies.Package)}
    assert len(shared) == 8
    assert [{name: one[name] for name in shared} for one in found] == [{name: plain(card)[name] for name in shared}]
    assert (found[0]["setup_fee_cents"], found[0]["monthly_fee_cents"], found[0]["chosen"]) == (9700, 4700, True)


def test_packages_that_are_not_offered_are_not_listed() -> None:
    tier(is_active=False)
    assert signed_in(student()).get(TIERS).json() == {"tiers": []}


def test_suggestions_are_those_of_the_second_page() -> None:
    ada = student()
    draft = at_domains(ada, brand="Acme Labs")
    body = post(ada, SUGGEST, {"brand": "Acme Labs"}).json()
    assert body["names"] == drafts.suggested(draft)
    assert body["chunk"] == 20
    assert body["names"][0] == "acmelabs.com"


def test_checked_names_read_as_on_the_second_page() -> None:
    ada, bob = student(), student("bob@students.example")
    draft = at_domains(ada)
    answered("acme.com", answer=NameAnswer.TAKEN)
    answered("getacme.com", age=60)
    answered("tryacme.com", price=99900)
    answered("useacme.com", answer=NameAnswer.PREMIUM)
    answered("goacme.com", age=3600)
    answered("heyacme.com", answer=NameAnswer.CHECKING)
    answered("meetacme.com")
    search.hold(provision=at_domains(bob), names=["meetacme.com"])
    wanted = drafts.suggested(draft)[:20]
    body = post(ada, CHECK, {"names": wanted}).json()

    page = presenters.names_on_page(draft, names.known(draft, wanted), chosen=[], spares=[], busy="")
    rows = {row.value: (row.word, row.note, row.open) for row in page.rows}
    assert {one["name"]: (one["word"], one["note"], one["selectable"]) for one in body["names"]} == {
        name: rows[name] for name in wanted
    }
    assert [one["name"] for one in body["names"]] == wanted


def test_checked_names_carry_state_price_age_and_place() -> None:
    ada = student()
    at_domains(ada)
    answered("getacme.com", age=60)
    answered("heyacme.com", answer=NameAnswer.CHECKING)
    found, silent, waiting = post(ada, CHECK, {"names": ["getacme.com", "heyacme.com", "new.com"]}).json()["names"]
    assert (found["state"], found["price_cents"], found["renewal_cents"], found["currency"]) == (
        "available",
        1299,
        1499,
        "usd",
    )
    assert 60 <= found["age_seconds"] < 70
    assert not found["held"]
    assert (silent["state"], silent["price_cents"]) == ("unknown", None)
    assert (waiting["state"], waiting["waiting"], waiting["age_seconds"]) == ("checking", True, None)


def test_the_place_in_the_queue_is_the_pages() -> None:
    ada, bob = student(), student("bob@students.example")
    draft = at_domains(bob)
    search.request_names(stack="zapmail", student=ada, names=[f"acme{n}.com" for n in range(20)])
    queue = post(bob, CHECK, {"names": ["bolt.com"]}).json()["queue"]
    assert queue["names_before"] == 20
    assert queue["seconds"] == names.seconds_until_asked(draft)
    assert queue["sentence"] == presenters.queue_sentence(queue["seconds"])


def test_names_may_be_checked_before_a_package_is_chosen() -> None:
    answered("getacme.com")
    (one,) = post(student(), CHECK, {"names": ["HTTPS://www.GetAcme.com/", "getacme.com"]}).json()["names"]
    assert (one["name"], one["state"], one["word"], one["selectable"]) == ("getacme.com", "available", None, None)


def test_status_is_the_progress_pages() -> None:
    order = running()
    body = status_of(order).json()
    standing = queries.status_of(order)
    page = progress(order.student, order, now=timezone.now())
    assert (body["version"], body["state"], body["reason"]) == (page.version, standing.state, standing.reason)
    assert (body["title"], body["sentence"], body["reference"]) == (page.title, page.lede, order.reference)
    told = ("key", "title", "word", "sentence", "usual")
    assert [[one[name] for name in told] for one in body["stages"]] == [
        [getattr(row, name) for name in told] for row in page.stages
    ]
    assert [(one["key"], one["state"], one["done"], one["total"]) for one in body["stages"]] == [
        (one.key, one.state, one.done, one.total) for one in standing.stages
    ]
    moments = [(one["started"], one["finished"]) for one in body["stages"]]
    assert [tuple(map(_moment, pair)) for pair in moments] == [
        (one.started_at, one.finished_at) for one in standing.stages
    ]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def test_the_items_of_a_stage_are_the_pages_lines() -> None:
    order = running()
    stages = {one["key"]: one for one in status_of(order).json()["stages"]}
    rows = {row.key: row for row in progress(order.student, order, now=timezone.now()).stages}
    domains = stages["domains"]["items"]
    assert [(one["name"], one["word"], one["note"]) for one in domains] == [
        (line.name, line.word, line.note) for line in rows["domains"].lines
    ]
    assert {(one["kind"], one["state"]) for one in domains} == {("domain", "waiting")}
    assert len(stages["mailboxes"]["items"]) == 6


def test_what_a_platform_answered_is_not_told() -> None:
    order = running(waits_on="funds", why="the wallet at Zapmail holds 3 dollars")
    assert "Zapmail" not in status_of(order).content.decode()


@pytest.mark.parametrize("state", [one for one in ProvisionState if one != ProvisionState.CANCELLED])
def test_every_state_has_a_status(state: str) -> None:
    order = new_order()
    Provision.objects.filter(pk=order.pk).update(state=state)
    body = status_of(order).json()
    assert body["state"] == state
    assert body["title"]
    assert body["sentence"]
    assert body["version"]


def test_an_ended_order_keeps_its_status() -> None:
    order = running()
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.CANCELLED, cancelled_at=timezone.now())
    body = status_of(order).json()
    assert (body["state"], body["title"], body["stages"]) == ("cancelled", "Your infrastructure has ended", [])


def test_status_with_the_version_seen_is_204_until_something_changes() -> None:
    order = running()
    first = status_of(order)
    version = first.json()["version"]
    assert first["ETag"] == f'"{version}"'
    again = status_of(order, query=f"?version={version}")
    assert (again.status_code, again.content) == (204, b"")
    assert status_of(order, headers={"If-None-Match": first["ETag"]}).status_code == 304
    step = order.runs.get().steps.filter(key="buy_domains").first()
    assert step is not None
    type(step).objects.filter(pk=step.pk).update(state=StepState.COMPLETED, finished_at=timezone.now())
    assert status_of(order, query=f"?version={version}").status_code == 200
    assert status_of(order, headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_the_dashboard_is_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    order, now = measured(active()), clock.vendor_now()
    monkeypatch.setattr(clock, "vendor_now", lambda: now)
    order.refresh_from_db()
    page = board.dashboard(order.student, order, now=now)
    assert signed_in(order.student).get(DASHBOARD).json() == plain(page)
    assert sorted(row.health.percent or 0 for row in page.mailboxes) == [90.0 + n for n in range(6)]


def test_the_dashboard_holds_no_password() -> None:
    order = active()
    body = signed_in(order.student).get(DASHBOARD).content.decode()
    assert "ada@login.example" in body
    assert "s3cret-one" not in body


def test_there_is_no_dashboard_before_something_runs() -> None:
    for person in (student(), running().student):
        response = signed_in(person).get(DASHBOARD)
        assert response.status_code == 404
        assert error_of(response)["code"] == "not_running"


# Paying -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(client: Client, monkeypatch: pytest.MonkeyPatch) -> Shop:
    from billing import prices

    shop = Shop.open(client)
    ours = gateway_over(shop.sandbox.transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    prices.sync_prices(actor="test")
    return shop


def provide(shop: Shop) -> Any:
    return post(shop.provision.student, PROVISION)


def test_provision_does_what_the_return_page_does(shop: Shop) -> None:
    checkout = shop.order()
    shop.press(checkout, "pay")
    with transaction.atomic():
        shop.signed_in().get("/billing/return/", {"session_id": checkout.session_id})
        by_the_page = shop.picture()
        transaction.set_rollback(True)
    for _ in range(3):
        response = provide(shop)
        assert response.status_code == 200
        assert shop.picture() == by_the_page
    body = response.json()
    assert (body["state"], body["reference"]) == ("provisioning", shop.provision.reference)
    assert signed_in(shop.provision.student).get(body["status_href"]).json()["state"] == "provisioning"


def test_provision_is_402_while_unpaid(shop: Shop) -> None:
    draft = provide(shop)
    assert (draft.status_code, error_of(draft)["code"]) == (402, "unpaid")
    checkout = shop.order()
    waiting = provide(shop)
    assert waiting.status_code == 402
    assert error_of(waiting)["payment_url"] == checkout.url
    assert shop.picture()["runs"] == []


def test_provision_is_402_while_a_bank_confirms(shop: Shop) -> None:
    shop.press(shop.order(), "later")
    response = provide(shop)
    assert (response.status_code, error_of(response)["code"]) == (402, "confirming")


def test_provision_without_stripe_says_so(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.sandbox.faults.add("timeout_before", platform="stripe")
    response = provide(shop)
    assert (response.status_code, error_of(response)["code"]) == (503, "unreachable")
    assert response["Retry-After"] == "60"
    shop.sandbox.faults.clear()
    assert provide(shop).status_code == 200


def test_provision_without_an_order_is_404() -> None:
    response = post(student(), PROVISION)
    assert (response.status_code, error_of(response)["code"]) == (404, "no_order")


# Who may ask --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [*GETS, *POSTS, f"{API}status/{NOBODY}/"])
def test_strangers_and_people_who_are_not_enrolled_are_refused(address: str) -> None:
    operator = User.objects.create_user("op@demo.example", PASSWORD, is_staff=True)
    clients = {
        "sign_in": Client(),
        "not_enrolled": signed_in(student(is_enrolled=False)),
        "staff": signed_in(operator),
    }
    for client in clients.values():
        response = client.post(address, {}, "application/json") if address in POSTS else client.get(address)
        assert response.status_code == 403
    assert error_of(response)["code"] == "not_enrolled"


def test_those_whose_enrolment_ended_see_what_they_bought_and_order_nothing() -> None:
    order = active()
    User.objects.filter(pk=order.student_id).update(is_enrolled=False, enrolment_ended_at=timezone.now())
    person = User.objects.get(pk=order.student_id)
    assert status_of(order, person).status_code == 200
    assert signed_in(person).get(DASHBOARD).status_code == 200
    assert error_of(post(person, CHECK, {"names": ["getacme.com"]}))["code"] == "not_enrolled"


def test_other_peoples_orders_are_not_there() -> None:
    order = running()
    bob = student("bob@students.example")
    foreign, unknown = status_of(order, bob), signed_in(bob).get(f"{API}status/{NOBODY}/")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.content == unknown.content
    assert signed_in(bob).get(DASHBOARD).status_code == 404


def test_a_forgotten_filter_still_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    order = running()
    original = Provision.objects.filter

    def unfiltered(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("student", None)
        return original(*args, **kwargs)

    monkeypatch.setattr(Provision.objects, "filter", unfiltered)
    assert status_of(order).status_code == 200
    assert status_of(order, student("bob@students.example")).status_code == 404


@pytest.mark.parametrize("address", POSTS)
def test_a_write_needs_a_token_against_forgery(address: str) -> None:
    ada = student()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ada)
    refused = browser.post(address, {}, content_type="application/json")
    assert (refused.status_code, error_of(refused)["code"]) == (403, "csrf")
    at_domains(ada)
    browser.get("/infrastructure/setup/domains/")
    token = browser.cookies["csrf"].value
    answer = browser.post(address, {"brand": "Acme"}, content_type="application/json", headers={"X-CSRFToken": token})
    assert answer.status_code in (200, 400, 402)


def test_nobody_in_between_may_keep_an_answer() -> None:
    assert signed_in(student()).get(TIERS)["Cache-Control"] == "private, no-store"


# How often ----------------------------------------------------------------------------------------------------------


def test_writes_are_limited_and_the_refusal_names_the_time(settings: Any) -> None:
    settings.THROTTLES = {"write": (2, 3600)}
    ada = student()
    answers = [post(ada, SUGGEST, {"brand": "Acme"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    error = error_of(answers[-1])
    assert error["retry_after_seconds"] == int(answers[-1]["Retry-After"]) > 0
    assert "You can go on in " in error["sentence"]
    assert signed_in(ada).get(TIERS).status_code == 200
    assert post(student("bob@students.example"), SUGGEST, {"brand": "Bolt"}).status_code == 200


def test_pages_and_api_share_the_count(settings: Any) -> None:
    settings.THROTTLES = {"write": (2, 3600)}
    ada = student()
    at_domains(ada)
    signed_in(ada).post("/infrastructure/setup/domains/", {"brand": "Acme", "action": "find"})
    assert [post(ada, SUGGEST, {"brand": "Acme"}).status_code for _ in range(2)] == [200, 429]


def test_status_has_a_class_of_its_own(settings: Any) -> None:
    settings.THROTTLES = {"write": (1, 3600), "status": (3, 3600)}
    order = running()
    assert [status_of(order).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert post(order.student, SUGGEST, {"brand": "Acme"}).status_code == 200


def test_strangers_are_limited_by_address(settings: Any) -> None:
    settings.THROTTLES = {"anonymous": (3, 3600)}
    assert [Client().get(TIERS).status_code for _ in range(4)] == [403, 403, 403, 429]
    assert Client().get(TIERS, REMOTE_ADDR="10.1.1.1").status_code == 403


def test_the_allowance_of_names_names_the_time() -> None:
    ada = student()
    for start in range(0, 200, 40):
        post(ada, CHECK, {"names": [f"acme{n}.com" for n in range(start, start + 40)]})
    response = post(ada, CHECK, {"names": ["onemore.com"]})
    assert (response.status_code, error_of(response)["code"]) == (429, "names_used_up")
    assert int(response["Retry-After"]) > 0
    assert not NameCheck.objects.filter(name="onemore.com").exists()
    clock.advance_machine(int(response["Retry-After"]) + 1)
    assert post(ada, CHECK, {"names": ["onemore.com"]}).status_code == 200


# Bad input ----------------------------------------------------------------------------------------------------------

BAD_BODIES = {
    "nothing": b"",
    "not json": b"{",
    "not utf-8": b'{"brand": "\xff\xfe"}',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "a text": b'"brand"',
    "NaN": b'{"brand": NaN, "names": [NaN]}',
    "wrong types": b'{"brand": {"a": 1}, "names": {"a": 1}}',
    "numbers": b'{"brand": [1], "names": 3}',
    "null members": b'{"brand": null, "names": null}',
    "null inside": b'{"brand": null, "names": [null]}',
    "deep": b"[" * 30_000,
    "deep objects": b'{"brand":' * 6_000,
    "huge number": b'{"brand": ' + b"9" * 20_000 + b', "names": []}',
    "NUL": rb'{"brand": "a\u0000b", "names": ["a\u0000b.com"]}',
    "half a character": rb'{"brand": "\ud800", "names": ["\ud800.com"]}',
    "many names": json.dumps({"brand": "x" * 2000, "names": ["a.com"] * 41}).encode(),
    "no names": b'{"brand": "", "names": []}',
    "long": json.dumps({"brand": "x" * 300, "names": ["x" * 401]}).encode(),
    "emoji": json.dumps({"brand": "🚀🚀", "names": ["🚀.com"]}).encode(),
    "hyphens": b'{"brand": "----", "names": ["-.com"]}',
}


@pytest.mark.parametrize("address", [SUGGEST, CHECK])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_a_sentence(address: str, name: str) -> None:
    response = signed_in(student()).post(address, BAD_BODIES[name], content_type="application/json")
    assert response.status_code in (400, 422)
    error_of(response)
    assert not NameCheck.objects.exists()


@pytest.mark.parametrize("address", POSTS)
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=zip",
        "nonsense",
        "application/xml",
        "/",
    ],
)
def test_another_content_type_is_415(address: str, kind: str) -> None:
    at_domains(ada := student())
    response = signed_in(ada).generic("POST", address, b"brand=Acme&names=a.com", content_type=kind)
    assert response.status_code in (400, 402, 415)
    if address != PROVISION:
        assert response.status_code in (400, 415)
    error_of(response)


@pytest.mark.parametrize("charset", ["utf-16", "zip", "nonsense", "base64"])
def test_a_charset_cannot_confuse(charset: str) -> None:
    kind = f"application/json; charset={charset}"
    response = signed_in(student()).generic("POST", SUGGEST, b'{"brand": "Acme"}', content_type=kind)
    assert response.status_code == 200


@pytest.mark.parametrize("address", POSTS)
def test_a_body_of_a_megabyte_is_413(address: str) -> None:
    response = post(student(), address, json.dumps({"brand": "x" * 1_000_000}))
    assert (response.status_code, error_of(response)["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("address", "method"),
    [(address, "post") for address in GETS]
    + [(address, "get") for address in POSTS]
    + [(address, method) for address in (*GETS, *POSTS) for method in ("put", "patch", "delete", "trace")],
)
def test_another_method_is_405(address: str, method: str) -> None:
    response = getattr(signed_in(student()), method)(address)
    assert response.status_code == 405
    assert error_of(response)["code"] == "method"
    assert response["Allow"]


@pytest.mark.parametrize("address", [f"{API}nothing/", f"{API}status/7/", f"{API}status/%00/", "/api/", "/api/x"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_an_unknown_address_is_404(address: str, method: str) -> None:
    response = getattr(signed_in(student()), method)(address)
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


@pytest.mark.parametrize("query", ["?version=%00", "?version=" + "x" * 5000, "?version=%ff", "?format=xml"])
def test_a_strange_version_is_an_old_one(query: str) -> None:
    assert status_of(running(), query=query).status_code == 200


def test_json_is_answered_whatever_is_accepted() -> None:
    response = signed_in(student()).get(TIERS, headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_each_refused_name_has_its_reason_and_none_is_asked_for() -> None:
    response = post(student(), CHECK, {"names": ["getacme.com", "acme.io", "müller.com"]})
    assert response.status_code == 422
    assert [(one["name"], one["code"]) for one in error_of(response)["names"]] == [
        ("acme.io", "unsold"),
        ("müller.com", "idn"),
    ]
    assert not NameCheck.objects.exists()


def test_a_refused_brand_names_its_field() -> None:
    response = post(student(), SUGGEST, {"brand": "----"})
    assert response.status_code == 422
    assert error_of(response)["fields"]["brand"]


def test_a_name_somebody_ordered_is_held() -> None:
    paid(new_order())
    assert Domain.objects.filter(name="getacme.com").exists()
    (one,) = post(student(), CHECK, {"names": ["getacme.com"]}).json()["names"]
    assert one["held"]


# The document -------------------------------------------------------------------------------------------------------


def test_the_schema_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_the_schema_is_served_and_names_every_address(client: Client) -> None:
    response = client.get("/api/schema/", {"format": "json"})
    assert response.status_code == 200
    paths = response.json()["paths"]
    owned = {f"{API}{name}/" for name in ("renewals", "exports", "leaving", "mailboxes/{mailbox_id}/test")}
    places = ("dns", "dns/check", "dns/watch", "dns/spf", "policy", "compliance")
    owned.add(f"{API}batches/{{provision_id}}/")
    owned |= {f"{API}domains/{{name}}/{place}/" for place in places}
    assert set(paths) == {TIERS, SUGGEST, CHECK, PROVISION, DASHBOARD, f"{API}status/{{provision_id}}/", *owned}
    assert "402" in paths[PROVISION]["post"]["responses"]
    assert all("403" in verb["responses"] for path in paths.values() for verb in path.values())
