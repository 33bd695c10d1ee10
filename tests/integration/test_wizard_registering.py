"""The second page for names that GoDaddy registers in the student's own account: looked up, agreed to, frozen."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from infra.models import Origin, Provision, Registration
from infra.wizard import registering as wizard
from integrations.godaddy import Money, Quote
from integrations.http.redact import Hidden
from provisioning import actions, registering
from tests.integration.own_accounts import GODADDY, connect
from tests.integration.pages import signed_in, student, text
from tests.integration.registering import ADA, PAIR, PRICE, TOKEN, look_up, open_account, to_register
from tests.integration.stories.kit import World, make_order, make_tier, make_world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

DOMAINS, REVIEW = "/infrastructure/setup/domains/", "/infrastructure/setup/review/"
STATE = f"{DOMAINS}registrations/"
PROGRESS = "/infrastructure/progress/"


@pytest.fixture
def world() -> World:
    made = make_world()
    open_account(made.sandbox)
    open_account(made.sandbox, PAIR, "hers")
    return made


@pytest.fixture
def draft(settings: Any) -> Provision:
    settings.ENABLED_STACKS = ["workspace"]
    return Provision.objects.create(
        student=student(), tier=make_tier("own-domains"), brand="Acme", sender_first_name="Ada",
        sender_last_name="Keen", mailbox_patterns=["ada", "ada.keen"],
    )  # fmt: skip


def connected(draft: Provision, world: World, key: str = TOKEN) -> Client:
    assert connect(draft.student, GODADDY, key, world.workshop).state == "good"
    return signed_in(draft.student)


def press(client: Client, action: str, *, ticked: tuple[str, ...] = (), own: str = "", **fields: Any) -> Any:
    sent = {"brand": "", "own": own, "action": action, "registrations": "1", "register": list(ticked), **fields}
    return client.post(DOMAINS, sent)


def shown(*names: str) -> list[str]:
    """Return what the page has shown of names, as it sends it back."""
    return [f"{row.name} {registering.digest(row)}" for row in Registration.objects.filter(name__in=names)]


def agree(client: Client, *names: str, **fields: Any) -> Any:
    seen = shown(*names)
    return press(client, "agree", ticked=names, seen=seen, consent="yes", **fields)


def test_without_an_account_the_page_leads_to_where_it_is_connected(draft: Provision) -> None:
    page = text(signed_in(draft.student).get(DOMAINS))
    assert "Connect your GoDaddy account" in page
    assert "Look them up" not in page


def test_where_the_operator_has_not_switched_it_on_nothing_is_offered(
    draft: Provision, world: World, settings: Any
) -> None:
    client = connected(draft, world)
    settings.PLATFORMS = {**settings.PLATFORMS, "GODADDY_STUDENTS_REGISTER": ""}
    assert "Register a new name" not in text(client.get(DOMAINS))
    assert press(client, "lookup", register_names="acme-mail.com").status_code != 500
    assert not Registration.objects.exists()


def test_names_are_looked_up_agreed_to_and_part_of_the_order(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    assert press(client, "lookup", register_names="acme-mail.com\nTRY-ACME.com").status_code == 302
    assert "Being looked up" in text(client.get(DOMAINS))
    assert client.get(STATE).status_code == 200
    for row in Registration.objects.all():
        registering.ask_terms(row, world.workshop)
    page = text(client.get(DOMAINS))
    assert "$11.99 for a year, then $22.99 a year" in page
    assert "GoDaddy charges your own account" in page
    assert "API_DPA" in page
    assert agree(client, "acme-mail.com").status_code == 302
    assert list(draft.domains.values_list("name", "origin")) == [("acme-mail.com", Origin.OWN)]
    assert press(client, "continue", ticked=("acme-mail.com",)).status_code == 302
    page = text(client.get(REVIEW))
    assert "acme-mail.com (registered for you at GoDaddy)" in page
    assert "GoDaddy charges your own account for acme-mail.com ($11.99)" in page
    assert "we ask you to change the nameservers" not in page
    frozen = actions.freeze_order(provision=draft, actor="test")
    wish = frozen.domains.get().facts["register"]
    assert (wish["cents"], wish["agreements"], wish["address"]) == (PRICE, ["API_DPA"], "127.0.0.1")


def test_a_name_that_was_agreed_to_and_is_not_ticked_any_more_leaves_the_order(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    look_up(draft, world.workshop, "acme-mail.com")
    agree(client, "acme-mail.com")
    assert press(client, "continue", own="sample-agency.com").status_code == 302
    assert list(draft.domains.values_list("name", flat=True)) == ["sample-agency.com"]
    assert Registration.objects.get().state == "offered"


def test_a_tick_alone_agrees_to_nothing_and_is_kept_on_the_page(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    look_up(draft, world.workshop, "acme-mail.com")
    response = press(client, "continue", ticked=("acme-mail.com",), own="sample-agency.com")
    assert response.status_code == 422
    assert "agree to what is said below the names" in text(response)
    assert 'value="acme-mail.com" checked' in response.content.decode()
    assert "sample-agency.com" in text(response)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"consent": ""}, "Tick that you agree"),
        ({"seen": ["acme-mail.com 1199"]}, "Look it up again"),
        ({"seen": ["acme-mail.com " + "9" * 5000]}, "Look it up again"),
        ({"register": ["acme-mail.com", "x\0y"], "seen": []}, "Look it up again"),
        ({"seen": ["acme-mail.com x"]}, "Look it up again"),
        ({"seen": []}, "Look it up again"),
    ],
)
def test_nothing_is_agreed_to_that_the_page_has_not_shown(
    draft: Provision, world: World, change: dict[str, Any], words: str
) -> None:
    client = connected(draft, world)
    look_up(draft, world.workshop, "acme-mail.com")
    fields = {"seen": shown("acme-mail.com"), "consent": "yes", "register": ["acme-mail.com"], **change}
    response = press(client, "agree", **fields)
    assert response.status_code == 422
    assert words in text(response)
    assert response.content.decode().index('id="id_consent_error"') > response.content.decode().index("Your consent")
    assert Registration.objects.get().state == "offered"


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        ({"godaddy_taken_names": "acme-mail.com"}, "Somebody has this name already"),
        ({"godaddy_premium_names": "acme-mail.com"}, "premium name"),
        ({"godaddy_payment": "none"}, "no way to pay"),
        ({"godaddy_account_contact": "incomplete"}, "contact of your GoDaddy account"),
    ],
)
def test_why_a_name_cannot_be_registered_is_said(
    draft: Provision, world: World, switches: dict[str, Any], words: str
) -> None:
    client = connected(draft, world)
    world.sandbox.switches.set(**switches)
    look_up(draft, world.workshop, "acme-mail.com")
    assert words in text(client.get(DOMAINS))
    assert agree(client, "acme-mail.com").status_code == 422
    assert not draft.domains.exists()


def test_a_price_that_was_said_long_ago_is_asked_again_before_anybody_agrees(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    look_up(draft, world.workshop, "acme-mail.com")
    world.advance(2 * 3600)
    response = agree(client, "acme-mail.com")
    assert response.status_code == 422
    assert "was said a while ago" in text(response)


@pytest.mark.parametrize(
    ("typed", "words"), [("", "Type the names"), ("a..b", "is no domain name"), ("mail.sample.com", "is part of")]
)
def test_what_is_no_name_is_said_and_kept_as_it_was_typed(
    draft: Provision, world: World, typed: str, words: str
) -> None:
    response = press(connected(draft, world), "lookup", register_names=typed)
    assert response.status_code == 422
    assert words in text(response)
    assert typed in response.content.decode()


def test_more_names_than_an_order_looks_up_are_refused(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    names = "\n".join(f"acme-{number}.com" for number in range(26))
    response = press(client, "lookup", register_names=names)
    assert response.status_code == 422
    assert "At most 25 names" in text(response)
    assert not Registration.objects.exists()


def test_the_older_interface_asks_who_registers_and_keeps_it_sealed(draft: Provision, world: World) -> None:
    client = connected(draft, world, PAIR)
    look_up(draft, world.workshop, "acme-mail.com")
    assert "Who registers the names" in text(client.get(DOMAINS))
    typed: dict[str, Any] = {f"registrant-{name}": value for name, value in ADA.items()}
    response = agree(client, "acme-mail.com", **{**typed, "registrant-phone": "12", "registrant-city": "Köln"})
    assert response.status_code == 422
    page = text(response)
    assert "Write the phone number like" in page
    assert "plain letters only" in page
    assert "1 Main St" in response.content.decode()
    assert agree(client, "acme-mail.com", **typed).status_code == 302
    assert Registration.objects.get().state == "agreed"
    assert registering.agreed(draft)[0].name == "acme-mail.com"


def test_another_students_names_cannot_be_agreed_to(draft: Provision, world: World) -> None:
    connected(draft, world)
    look_up(draft, world.workshop, "acme-mail.com")
    other = Provision.objects.create(student=student("eve@students.example"), tier=draft.tier, brand="Eve")
    client = signed_in(other.student)
    assert agree(client, "acme-mail.com").status_code != 500
    assert Registration.objects.get().state == "offered"
    assert not other.domains.exists()


def test_after_payment_the_page_asks_shows_what_godaddy_wants_now_and_takes_the_answer(world: World) -> None:
    provision = make_order("acme", tier="own-domains")
    to_register(provision, world.workshop)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    world.sandbox.switches.set(godaddy_price_cents=1499)
    asks = run.steps.filter(facts__question="register")
    world.run_until(asks.exists, hours=2)
    client = signed_in(provision.student)
    response = client.get(PROGRESS)
    page = text(response)
    assert "getacme.com was not registered" in page
    assert "I agree: register it for at most $14.99" in page
    assert "I have bought it myself" in page
    domain = provision.domains.get()
    answer = {"domain": str(domain.pk), "action": "again", "shown": "another"}
    assert client.post(f"{PROGRESS}replacement/", answer).status_code == 422
    answer["shown"] = response.context["page"].choices[0].register.shown
    assert client.post(f"{PROGRESS}replacement/", answer).status_code == 302
    domain.refresh_from_db()
    assert domain.facts["register"]["cents"] == 1499
    assert provision.events.filter(kind="register_again").count() == 1


def test_a_lost_name_is_replaced_by_another_domain_that_the_student_owns(world: World) -> None:
    provision = make_order("acme", tier="own-domains")
    to_register(provision, world.workshop)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    world.sandbox.switches.set(godaddy_taken_names="getacme.com")
    world.run_until(run.steps.filter(facts__question="register").exists, hours=2)
    client = signed_in(provision.student)
    assert "Another domain that you own" in text(client.get(PROGRESS))
    lost = provision.domains.get()
    answer = {"domain": str(lost.pk), "action": "own", "wanted": "nonsense"}
    assert client.post(f"{PROGRESS}replacement/", answer).status_code == 422
    answer["wanted"] = "https://sample-agency.com/"
    assert client.post(f"{PROGRESS}replacement/", answer).status_code == 302
    assert list(provision.domains.order_by("created_at").values_list("name", "state")) == [
        ("getacme.com", "lost"),
        ("sample-agency.com", "selected"),
    ]


def test_who_looks_at_it_again_is_told_of_an_account_that_is_gone(draft: Provision, world: World) -> None:
    client = connected(draft, world)
    world.sandbox.faults.add("key_revoked", platform=GODADDY, items=(TOKEN,))
    look_up(draft, world.workshop, "acme-mail.com")
    assert Registration.objects.get().problem == "wrong_token"
    assert client.get(DOMAINS).headers["Location"] == "/infrastructure/setup/accounts/"
    with pytest.raises(actions.Refused):
        registering.look_up(draft=draft, names=["acme-mail.com"])


def test_a_price_in_a_currency_without_cents_is_not_offered() -> None:
    quote = Quote("acme-mail.com", True, Hidden("x"), total=Money(Decimal(1199), "JPY"))
    assert registering._said(quote) == {"state": "refused", "problem": "currency"}


def test_a_set_up_that_keeps_to_other_accounts_registers_nothing_when_it_is_enlarged(
    draft: Provision, world: World
) -> None:
    connected(draft, world)
    live = Provision(student=draft.student, tier=draft.tier, state="active", order={"own_accounts": []})
    draft.enlarges = live
    assert not wizard.is_offered(draft)
    live.order = {"own_accounts": [GODADDY]}
    assert wizard.is_offered(draft)
