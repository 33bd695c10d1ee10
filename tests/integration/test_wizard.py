"""The four pages of an order, as plain forms: no script anywhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from infra.models import (
    Domain,
    DomainHold,
    DomainState,
    Flag,
    NameAnswer,
    NameCheck,
    Provision,
    ProvisionState,
    Tier,
)
from tests.integration import pages
from tests.integration.pages import answered, at_domains, signed_in, student, text, ticked, tier
from tests.integration.world import new_order

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

PACKAGE, DOMAINS, MAILBOXES, REVIEW = (
    f"/infrastructure/setup/{page}/" for page in ("package", "domains", "mailboxes", "review")
)
THREE = ["getacme.com", "tryacme.com", "useacme.com"]


def choose(client: Client, *names: str, **fields: Any) -> Any:
    """Send the second page with these names ticked."""
    return client.post(DOMAINS, {"brand": "Acme", "action": "continue", "chosen": list(names), **fields})


# Package ------------------------------------------------------------------------------------------------------------


def test_the_cards_say_what_it_costs() -> None:
    tier()
    page = text(signed_in(student()).get(PACKAGE))
    assert "$144 today, then $47 a month" in page
    assert "Per mailbox and month $7.84" in page
    assert "Domains from year two about $38.97 a year" in page


def test_choosing_a_package_makes_the_draft_and_leads_on() -> None:
    tier()
    ada = student()
    response = signed_in(ada).post(PACKAGE, {"tier": "starter"})
    assert response["Location"] == DOMAINS
    draft = Provision.objects.get()
    assert (draft.student, draft.state, draft.sender_first_name) == (ada, ProvisionState.DRAFT, "Ada")


def test_choosing_twice_keeps_one_draft() -> None:
    tier()
    client = signed_in(student())
    for _ in range(2):
        client.post(PACKAGE, {"tier": "starter"})
    assert Provision.objects.count() == 1


def test_inactive_packages_and_foreign_stacks_are_not_offered(settings: Any) -> None:
    settings.ENABLED_STACKS = ["zapmail"]
    tier(is_active=False)
    Tier.objects.create(
        name="Ignition",
        slug="ignition",
        stack="forge",
        domain_count=2,
        mailbox_count=3,
        setup_fee_cents=1,
        monthly_fee_cents=1,
    )
    client = signed_in(student())
    assert "No package is offered right now" in text(client.get(PACKAGE))
    assert client.post(PACKAGE, {"tier": "ignition"}).status_code == 422


def test_paused_orders_are_said_before_the_click() -> None:
    order = new_order()
    Flag.objects.update_or_create(key="orders", defaults={"phase": Flag.Phase.OFF})
    client = signed_in(order.student)
    for page in (PACKAGE, REVIEW):
        assert "New orders are paused at the moment." in text(client.get(page))
    response = client.post(REVIEW, {"total": 14400, "monthly": 4700})
    assert response.status_code == 422
    assert order.domains.count() == 4


# Order of the pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [DOMAINS, MAILBOXES, REVIEW])
def test_a_page_out_of_order_leads_back_with_a_sentence(page: str) -> None:
    tier()
    response = signed_in(student()).get(page, follow=True)
    assert response.redirect_chain == [(PACKAGE, 302)]
    assert "Choose a package first." in text(response)


def test_the_review_waits_for_the_mailboxes() -> None:
    order = new_order()
    order.mailbox_patterns = []
    order.save()
    response = signed_in(order.student).get(REVIEW, follow=True)
    assert response.redirect_chain == [(MAILBOXES, 302)]
    assert "Name your mailboxes first." in text(response)


def test_a_package_deactivated_in_between_is_said_and_nothing_is_lost() -> None:
    order = new_order()
    tier(is_active=False)
    response = signed_in(order.student).get(REVIEW, follow=True)
    assert response.redirect_chain == [(PACKAGE, 302)]
    assert "The package Starter is no longer offered. Choose another one; your names are kept." in text(response)
    assert order.domains.count() == 4


def test_signed_out_people_sign_in_first() -> None:
    assert Client().get(DOMAINS)["Location"] == f"/login/?next={DOMAINS}"


def test_students_who_are_not_enrolled_learn_whom_to_ask() -> None:
    response = signed_in(student(is_enrolled=False)).get(PACKAGE)
    assert response.status_code == 403
    assert "operator@demo.example" in text(response)


# Domains ------------------------------------------------------------------------------------------------------------


def test_find_domains_asks_and_shows_the_names_as_checking() -> None:
    ada = student()
    draft = at_domains(ada, brand="")
    response = signed_in(ada).post(DOMAINS, {"brand": "Acme", "action": "find"}, follow=True)
    assert response.redirect_chain == [(f"{DOMAINS}#names", 302)]
    assert "Checking 20 names" in text(response)
    assert NameCheck.objects.filter(wanted_by__contains=[ada.pk]).count() == 20
    draft.refresh_from_db()
    assert (draft.brand, draft.names_shown) == ("Acme", 20)


def test_every_word_about_a_name_is_there() -> None:
    ada = student()
    at_domains(ada)
    answered("acme.com", answer=NameAnswer.TAKEN)
    answered("acme.org", answer=NameAnswer.PREMIUM, price=250000)
    answered("acme.net", price=4900)
    answered("getacme.com")
    page = text(signed_in(ada).get(DOMAINS))
    assert "acme.com Taken" in page
    assert "acme.org Premium Not included" in page
    assert "acme.net Above the cap Not included: $49 a year" in page
    assert "getacme.com Available $12.99, included; renews at $14.99" in page
    assert "tryacme.com Checking" in page


def test_more_names_unfolds_the_next_chunk_and_keeps_what_is_ticked() -> None:
    ada = student()
    at_domains(ada)
    answered(*THREE)
    response = signed_in(ada).post(DOMAINS, {"brand": "Acme", "action": "more", "chosen": THREE[:2]}, follow=True)
    assert "30 of 30 suggestions" in text(response)
    assert ticked(response) == set(THREE[:2])


def test_a_name_typed_by_hand_is_understood_and_listed_first() -> None:
    ada = student()
    draft = at_domains(ada)
    response = signed_in(ada).post(
        DOMAINS, {"brand": "Acme", "wanted": "https://www.Acme-Mail.com/", "action": "add"}, follow=True
    )
    assert "We understood acme-mail.com." in text(response)
    draft.refresh_from_db()
    assert draft.searched_names == ["acme-mail.com"]


def test_enter_in_the_second_field_means_check_this_name() -> None:
    ada = student()
    draft = at_domains(ada)
    signed_in(ada).post(DOMAINS, {"brand": "Acme", "wanted": "acmeco.net", "action": "find"})
    draft.refresh_from_db()
    assert draft.searched_names == ["acmeco.net"]


def test_choosing_keeps_names_prices_spares_and_holds() -> None:
    ada = student()
    draft = at_domains(ada)
    answered(*THREE, "goacme.com", "heyacme.com")
    response = choose(signed_in(ada), *THREE, spare_1="heyacme.com", spare_2="goacme.com")
    assert response["Location"] == MAILBOXES
    rows = list(draft.domains.values_list("name", "state", "position", "price_cents"))
    assert sorted(rows) == sorted(
        [(name, DomainState.SELECTED, place, 1299) for place, name in enumerate(THREE)]
        + [("heyacme.com", DomainState.SPARE, 0, 1299), ("goacme.com", DomainState.SPARE, 1, 1299)]
    )
    assert DomainHold.objects.filter(provision=draft).count() == 5


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "Choose 3 domains; 0 are ticked."),
        (THREE[:1], "Choose 3 domains; 1 is ticked."),
        ([*THREE, "goacme.com"], "Choose 3 domains; 4 are ticked."),
    ],
)
def test_the_number_must_be_right(names: list[str], sentence: str) -> None:
    ada = student()
    at_domains(ada)
    answered(*THREE, "goacme.com")
    response = choose(signed_in(ada), *names)
    assert response.status_code == 422
    assert sentence in text(response)
    assert ticked(response) == set(names)
    assert b"<title>Error: " in response.content


def test_names_that_cannot_be_ordered_are_refused() -> None:
    ada = student()
    at_domains(ada)
    answered("getacme.com")
    answered("tryacme.com", answer=NameAnswer.TAKEN)
    response = choose(signed_in(ada), *THREE)
    assert response.status_code == 422
    assert "tryacme.com cannot be ordered: taken." in text(response)
    assert "useacme.com cannot be ordered: checking." in text(response)


def test_a_spare_is_another_name() -> None:
    ada = student()
    at_domains(ada)
    answered(*THREE)
    response = choose(signed_in(ada), *THREE, spare_1="getacme.com")
    assert response.status_code == 422
    assert "Each spare must be another name" in text(response)


def test_a_name_that_another_student_holds_is_reserved() -> None:
    ada, bob = student(), student("bob@students.example")
    at_domains(ada)
    at_domains(bob)
    answered(*THREE)
    assert choose(signed_in(ada), *THREE).status_code == 302
    client = signed_in(bob)
    assert "getacme.com Reserved Somebody is ordering it" in text(client.get(DOMAINS))
    assert "getacme.com cannot be ordered: reserved" in text(choose(client, *THREE))


def test_a_draft_survives_leaving_and_another_device() -> None:
    ada = student()
    at_domains(ada)
    answered(*THREE)
    signed_in(ada).post(DOMAINS, {"brand": "Acme", "action": "more", "chosen": THREE[:2]})
    assert ticked(signed_in(ada).get(DOMAINS)) == set(THREE[:2])


def test_warnings_do_not_block() -> None:
    ada = student()
    draft = at_domains(ada)
    Provision.objects.filter(pk=draft.pk).update(main_domain="getacme.com")
    answered(*THREE)
    client = signed_in(ada)
    assert "getacme.com looks like your main business domain." in text(client.get(DOMAINS))
    assert choose(client, *THREE, main_domain="getacme.com").status_code == 302


def test_the_queue_is_said() -> None:
    from provisioning import search

    ada = student()
    at_domains(ada)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "position", lambda *, stack, student: search.Place(40, 230.0))
        page = text(signed_in(ada).get(DOMAINS))
    assert "Availability checks are busy. Yours starts in about 4 minutes." in page


def test_an_allowance_used_up_is_a_sentence() -> None:
    from provisioning import search

    def refuse(**_: object) -> int:
        raise search.AllowanceUsedUp("You have searched for many names.")

    ada = student()
    at_domains(ada)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "request_names", refuse)
        response = signed_in(ada).get(DOMAINS)
    assert response.status_code == 200
    assert "You have searched for many names." in text(response)


def test_the_list_answers_204_until_it_changes_and_keeps_ticks() -> None:
    ada = student()
    at_domains(ada)
    answered("getacme.com")
    client = signed_in(ada)
    match = re.search(r'hx-get="([^"]+)"', client.get(DOMAINS).content.decode())
    assert match
    assert client.get(match[1]).status_code == 204
    answered("tryacme.com")
    response = client.get(match[1] + "&chosen=getacme.com")
    assert response.status_code == 200
    assert ticked(response) == {"getacme.com"}
    assert b"<html" not in response.content


# Mailboxes ----------------------------------------------------------------------------------------------------------


def at_mailboxes() -> Provision:
    order = new_order()
    order.mailbox_patterns = []
    order.save()
    return order


def name(client: Client, *patterns: str, **fields: str) -> Any:
    """Send the third page with these patterns."""
    values = {f"pattern_{place}": one for place, one in enumerate(patterns, start=1)}
    return client.post(MAILBOXES, {"sender_first_name": "Ada", "sender_last_name": "Keen", **values, **fields})


def test_the_patterns_begin_with_the_sender_and_every_address_is_shown() -> None:
    page = text(signed_in(at_mailboxes().student).get(MAILBOXES))
    assert "6 addresses" in page
    assert "getacme.com ada@getacme.com ada.sample@getacme.com" in page


def test_good_patterns_are_kept_normalised() -> None:
    order = at_mailboxes()
    response = name(signed_in(order.student), " Zoë ", "zoe.keen")
    assert response["Location"] == REVIEW
    order.refresh_from_db()
    assert order.mailbox_patterns == ["zoe", "zoe.keen"]


def test_the_preview_is_drawn_from_what_is_typed_and_saves_nothing() -> None:
    order = at_mailboxes()
    client = signed_in(order.student)
    response = client.post(f"{MAILBOXES}preview/", {"pattern_1": "Tim", "pattern_2": "tim", "sender_first_name": "Tim"})
    assert response.status_code == 200
    page = text(response)
    assert "tim@getacme.com" in page
    assert "Name 2: This is the same address as another one: both read tim." in page
    order.refresh_from_db()
    assert order.mailbox_patterns == []


def test_the_preview_button_works_without_script() -> None:
    client = signed_in(at_mailboxes().student)
    response = name(client, "tim", "tim.k", action="preview")
    assert response.status_code == 200
    assert "tim.k@getacme.com" in text(response)


# Review -------------------------------------------------------------------------------------------------------------


def test_the_review_shows_every_answer_with_a_change_link() -> None:
    response = signed_in(new_order().student).get(REVIEW)
    page = text(response)
    assert "Check your answers" in page
    for word in ("Starter", "getacme.com", "goacme.com", "Ada Sample", "ada.sample@useacme.com", "$144", "Pay $144"):
        assert word in page
    assert "you choose another name or get $32.33 back for it" in page
    for link in (PACKAGE, DOMAINS, MAILBOXES):
        assert f'href="{link}"'.encode() in response.content


def test_old_answers_are_asked_again_before_the_button_appears() -> None:
    order = new_order()
    answered("getacme.com", age=16 * 60)
    client = signed_in(order.student)
    page = text(client.get(REVIEW))
    assert "It is a while since we asked about getacme.com." in page
    assert "Pay $144" not in page
    assert NameCheck.objects.get(name="getacme.com").wanted_at is not None
    answered("getacme.com")
    assert "Pay $144" in text(client.get(REVIEW))


def test_paying_with_old_answers_is_refused_and_nothing_is_lost() -> None:
    order = new_order()
    answered("getacme.com", age=16 * 60)
    response = signed_in(order.student).post(REVIEW, {"total": 14400, "monthly": 4700})
    assert response.status_code == 422
    assert "Your names are being checked once more." in text(response)


def test_a_name_gone_since_is_said_on_the_domains_page() -> None:
    order = new_order()
    answered("getacme.com", answer=NameAnswer.TAKEN)
    response = signed_in(order.student).get(REVIEW, follow=True)
    assert response.redirect_chain == [(DOMAINS, 302)]
    assert "getacme.com cannot be ordered: taken. Please choose another name." in text(response)


def test_a_price_that_changed_is_shown_again_not_charged() -> None:
    order = new_order()
    tier(setup_fee_cents=9900)
    response = signed_in(order.student).post(REVIEW, {"total": 14400, "monthly": 4700})
    assert response.status_code == 422
    assert "The price of this package has changed." in text(response)
    assert "Pay $146" in text(response)


def test_paying_leads_to_the_payment_page(monkeypatch: pytest.MonkeyPatch) -> None:
    order = new_order()
    monkeypatch.setattr(
        "billing.actions.start_checkout", lambda *, provision, actor: "http://sandbox.test/stripe/pay/cs_1"
    )
    response = signed_in(order.student).post(REVIEW, {"total": 14400, "monthly": 4700})
    assert (response.status_code, response["Location"]) == (303, "http://sandbox.test/stripe/pay/cs_1")


def test_a_refused_checkout_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from billing import actions

    def refuse(**_: object) -> str:
        raise actions.CheckoutRefused("unreachable", "The payment page cannot be opened at the moment.")

    order = new_order()
    monkeypatch.setattr(actions, "start_checkout", refuse)
    response = signed_in(order.student).post(REVIEW, {"total": 14400, "monthly": 4700})
    assert response.status_code == 422
    assert "The payment page cannot be opened at the moment." in text(response)


def test_changing_one_answer_returns_to_the_review() -> None:
    order = new_order()
    client = signed_in(order.student)
    assert name(client, "zoe", "zoe.k")["Location"] == REVIEW
    assert client.post(PACKAGE, {"tier": "starter"})["Location"] == REVIEW


def test_a_paid_order_is_no_draft() -> None:
    order = new_order()
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.PROVISIONING)
    client = signed_in(order.student)
    for page in (PACKAGE, DOMAINS, MAILBOXES, REVIEW):
        assert client.get(page)["Location"] == "/infrastructure/"
    assert Domain.objects.filter(provision=order).count() == 4


def test_another_students_draft_stays_untouched() -> None:
    order = new_order()
    answered(*THREE)
    bob = student("bob@students.example")
    at_domains(bob)
    signed_in(bob).post(DOMAINS, {"brand": "Acme", "action": "more", "chosen": []})
    assert order.domains.count() == 4


def test_signing_in_with_a_wrong_password_says_so() -> None:
    student()
    response = Client().post("/login/", {"username": "ada@students.example", "password": "wrong"})
    assert response.status_code == 422
    assert "E-mail and password do not belong together." in text(response)


def test_signing_in_works_with_capitals_in_the_address() -> None:
    student()
    response = Client().post("/login/", {"username": "Ada@Students.example", "password": pages.PASSWORD})
    assert response["Location"] == "/"
