"""The second page for a domain that the student owns already."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from infra import clock
from infra.models import Domain, DomainState, Mail, Origin, Provision, RunState, StepState
from infra.wizard import drafts
from provisioning.models import Run, Step
from provisioning.stacks import STACKS
from tests.integration.pages import signed_in, student, text
from tests.integration.stories.kit import answer, make_tier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

DOMAINS, REVIEW = "/infrastructure/setup/domains/", "/infrastructure/setup/review/"


@pytest.fixture
def draft(settings: Any) -> Provision:
    settings.ENABLED_STACKS = ["zapmail", "forge"]
    ada = student()
    return Provision.objects.create(
        student=ada, tier=make_tier("ignition"), brand="Acme", names_shown=5, sender_first_name="Ada",
        sender_last_name="Keen", mailbox_patterns=["ada", "ada.keen", "a.keen"],
    )  # fmt: skip


def choose(client: Client, *names: str, own: str, **fields: Any) -> Any:
    return client.post(DOMAINS, {"brand": "Acme", "action": "continue", "chosen": list(names), "own": own, **fields})


def test_the_page_says_before_what_it_means(draft: Provision) -> None:
    page = text(signed_in(draft.student).get(DOMAINS))
    assert "Use a domain you own" in page
    assert "E-mail that you receive at such a domain today stops then" in page


def test_a_package_that_takes_none_does_not_offer_it(draft: Provision) -> None:
    draft.tier = make_tier("starter")
    draft.save()
    client = signed_in(draft.student)
    assert "Use a domain you own" not in text(client.get(DOMAINS))
    choose(client, own="sample-agency.com")
    assert not draft.domains.exists()


def test_own_and_bought_names_fill_the_package_together(draft: Provision) -> None:
    answer("getacme.com", platform="infraforge")
    client = signed_in(draft.student)
    response = choose(client, "getacme.com", own=" https://Sample-Agency.com/about ")
    assert response.status_code == 302
    assert list(draft.domains.order_by("position").values_list("name", "origin", "state", "price_cents")) == [
        ("getacme.com", Origin.BOUGHT, DomainState.SELECTED, 1299),
        ("sample-agency.com", Origin.OWN, DomainState.SELECTED, 0),
    ]
    assert "sample-agency.com" in client.get(DOMAINS).content.decode()
    page = text(client.get(REVIEW))
    assert "sample-agency.com (your own)" in page
    assert "sample-agency.com: you keep paying your registrar" in page


def test_too_many_are_refused_with_their_number(draft: Provision) -> None:
    response = choose(signed_in(draft.student), own="a-one.com\nb-two.com\nc-three.com")
    assert response.status_code == 422
    assert "Choose 2 domains; 3 are ticked" in text(response)


def test_all_of_them_may_be_own_ones_and_of_another_script(draft: Provision) -> None:
    assert choose(signed_in(draft.student), own="müller.de, sample.co.uk").status_code == 302
    assert set(draft.domains.values_list("name", flat=True)) == {"xn--mller-kva.de", "sample.co.uk"}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("mail.sample.com", "mail.sample.com is part of the domain sample.com"),
        ("co.uk", "co.uk is no domain that somebody can own"),
        ("a..b", "a..b is no domain name"),
        ("_dmarc.com", "_dmarc.com is no domain that somebody can own"),
    ],
)
def test_what_nobody_can_own_is_refused_with_a_sentence(draft: Provision, typed: str, words: str) -> None:
    response = choose(signed_in(draft.student), own=typed)
    assert response.status_code == 422
    assert words in text(response)
    assert not draft.domains.exists()


def test_a_domain_that_is_live_for_another_student_is_refused(draft: Provision) -> None:
    bob = student("bob@students.example")
    other = Provision.objects.create(student=bob, tier=draft.tier)
    Domain.objects.create(
        provision=other, student=bob, name="sample.com", ordered_at=other.created_at, origin=Origin.OWN
    )
    response = choose(signed_in(draft.student), own="sample.com")
    assert response.status_code == 422
    assert "sample.com is part of another set-up here" in text(response)


def test_a_package_without_a_registrar_has_this_part_alone(draft: Provision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "has_search", lambda draft: False)
    page = text(signed_in(draft.student).get(DOMAINS))
    assert "Use a domain you own" in page
    assert "Find domains" not in page


def asked(draft: Provision, *seen: str) -> Domain:
    draft.state, draft.order = "provisioning", {
        "stack": "forge", "currency": "usd", "domain_price_cap_cents": 2000, "refund_share_cents": 4000,
    }  # fmt: skip
    draft.save()
    own = Domain.objects.create(
        provision=draft, student=draft.student, name="sample.com", origin=Origin.OWN, ordered_at=draft.created_at,
        facts={
            "nameservers": ["ns1.sandbox.test", "ns2.sandbox.test"], "nameservers_seen": list(seen),
            "nameservers_seen_at": clock.later(clock.vendor_now(), -11.5 * 60).isoformat(),
        },
    )  # fmt: skip
    run = Run.objects.create(
        provision=draft, student=draft.student, stack="forge", order=draft.order, stack_version=1,
        paid_at=draft.created_at, state=RunState.PARKED,
    )  # fmt: skip
    place = next(n for n, spec in enumerate(STACKS["forge"].steps) if spec.key == "nameservers")
    Step.objects.create(
        run=run, student=draft.student, key="nameservers", position=place, domain=own, item_key=str(own.pk),
        state=StepState.WAITING, waits_on="student", facts={"question": "nameservers"}, started_at=draft.created_at,
    )  # fmt: skip
    return own


@pytest.mark.parametrize(
    ("server", "registrar"),
    [
        ("ns37.domaincontrol.com", "GoDaddy"),
        ("dns1.registrar-servers.com", "Namecheap"),
        ("salvador.ns.porkbun.com", "Porkbun"),
        ("ns1.else.example", "your registrar"),
    ],
)
def test_the_progress_page_says_what_to_change_and_what_is_seen(draft: Provision, server: str, registrar: str) -> None:
    asked(draft, server)
    page = text(signed_in(draft.student).get("/infrastructure/progress/"))
    assert "Name servers of sample.com" in page
    for words in ("ns1.sandbox.test", "ns2.sandbox.test", f"We see {server}", f"How to do it at {registrar}"):
        assert words in page
    assert "Go on without it and get $40 back" in page
    assert "Last look 12 minutes ago" in page, "in the platforms' time, which may run ahead of the reader's"
    assert "Somebody else registered" not in page


def test_the_letter_carries_the_same(draft: Provision) -> None:
    from infra.mails import contents

    asked(draft, "ns37.domaincontrol.com")
    Mail.post("nameservers", key="1", provision=draft, item="sample.com", notice=0)
    letter = contents.letter(Mail.objects.get())
    for words in ("ns1.sandbox.test", "ns2.sandbox.test", "ns37.domaincontrol.com", "Sign in at GoDaddy"):
        assert words in letter.text
        assert words in letter.html


def test_a_student_who_brings_all_domains_needs_no_brand(draft: Provision) -> None:
    draft.brand, draft.names_shown = "", 0
    draft.save()
    client = signed_in(draft.student)
    assert choose(client, own="sample.com\nother.com", brand="").status_code == 302
    assert draft.domains.count() == 2
    assert choose(client, own="", brand="").status_code == 422
