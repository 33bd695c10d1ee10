"""The second page for a domain that the student owns already."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
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


def test_an_ending_that_the_platform_does_not_take_is_refused_before_anything_is_paid(draft: Provision) -> None:
    response = choose(signed_in(draft.student), own="sample.de\nsample.co.uk\nsample.com")
    assert response.status_code == 422
    page = text(response)
    assert "sample.de cannot be part of this package: it takes these endings: .com, .net, .org, .biz and .info" in page
    assert "sample.co.uk cannot be part of this package" in page
    assert "sample.com cannot be part of this package" not in page
    assert not draft.domains.exists()


def test_a_name_to_buy_on_such_an_ending_is_refused_as_well(draft: Provision) -> None:
    response = choose(signed_in(draft.student), own="", action="add", wanted="acme.live")
    assert response.status_code == 422
    assert ".live" in text(response)


def test_the_operator_says_which_endings_they_take(draft: Provision, settings: Any) -> None:
    settings.OWN_ENDINGS = {"forge": [" .DE"]}
    client = signed_in(draft.student)
    assert choose(client, own="sample.com other.de").status_code == 422
    assert choose(client, own="sample.de other.de").status_code == 302


def test_all_of_them_may_be_own_ones_and_of_another_script(draft: Provision, settings: Any) -> None:
    settings.OWN_ENDINGS = {}
    assert choose(signed_in(draft.student), own="müller.de, sample.co.uk").status_code == 302
    assert set(draft.domains.values_list("name", flat=True)) == {"xn--mller-kva.de", "sample.co.uk"}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("mail.sample.com", "mail.sample.com is part of the domain sample.com"),
        ("co.uk", "co.uk is no domain that somebody can own"),
        ("a..b", "a..b is no domain name"),
        ("_dmarc.com", "_dmarc.com is no domain that somebody can own"),
        ("ada@sample.com", "ada@sample.com is no domain that somebody can own"),
        ("sample.com:8080", "sample.com:8080 is no domain that somebody can own"),
        ("https://ada:pw@sample.com/", "is no domain that somebody can own"),
        ("-sample.com", "-sample.com is no domain that somebody can own"),
        ("=cmd().com", "=cmd().com is no domain that somebody can own"),
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


def asked(
    draft: Provision, *seen: str, state: str = "provisioning", question: str = "nameservers", **facts: Any
) -> Domain:
    draft.state, draft.order = state, {
        "stack": "forge", "currency": "usd", "domain_price_cap_cents": 2000, "refund_share_cents": 4000,
    }  # fmt: skip
    draft.save()
    own = Domain.objects.create(
        provision=draft, student=draft.student, name="sample.com", origin=Origin.OWN, ordered_at=draft.created_at,
        state=DomainState.PENDING_NAMESERVERS,
        facts={
            "records_before": [], "records_before_known": True,
            "nameservers": ["ns1.sandbox.test", "ns2.sandbox.test"], "nameservers_seen": list(seen),
            "nameservers_seen_at": clock.later(clock.vendor_now(), -11.5 * 60).isoformat(),
            **facts,
        },
    )  # fmt: skip
    run = Run.objects.create(
        provision=draft, student=draft.student, stack="forge", order=draft.order, stack_version=1,
        paid_at=draft.created_at, state=RunState.PARKED,
    )  # fmt: skip
    place = next(n for n, spec in enumerate(STACKS["forge"].steps) if spec.key == "nameservers")
    Step.objects.create(
        run=run, student=draft.student, key="nameservers", position=place, domain=own, item_key=str(own.pk),
        state=StepState.WAITING, waits_on="student", facts={"question": question}, started_at=draft.created_at,
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


PROGRESS, DASHBOARD = "/infrastructure/progress/", "/infrastructure/dashboard/"
MAIL: dict[str, Any] = {
    "records_before": [
        {"type": "MX", "owner": "sample.com", "value": "mx.old.example", "priority": 10},
        {"type": "A", "owner": "sample.com", "value": "203.0.113.9", "priority": None},
        {"type": "TXT", "owner": "sample.com", "value": "v=spf1 include:old.example -all", "priority": None},
    ]
}


def test_the_stage_says_that_it_waits_for_name_servers_and_asks_for_no_choice(draft: Provision) -> None:
    asked(draft, "ns37.domaincontrol.com")
    page = text(signed_in(draft.student).get(PROGRESS))
    assert "sample.com: we wait until you have changed the name servers, see above" in page
    assert "We need your choice" not in page


def test_what_stops_is_shown_and_confirmed_before_the_servers_are_named(draft: Provision) -> None:
    own = asked(draft, "ns37.domaincontrol.com", question="may_stop", **MAIL)
    client = signed_in(draft.student)
    page = text(client.get(PROGRESS))
    for words in (
        "What stops at sample.com",
        "sample.com receives e-mail today. Once you change its name servers, that e-mail no longer arrives",
        "E-mail arrives at mx.old.example",
        "Website at 203.0.113.9",
        "Text record v=spf1 include:old.example -all",
        "Say whether what lies at sample.com today may stop, see above",
    ):
        assert words in page
    assert "ns1.sandbox.test" not in page
    assert "We need your choice" not in page

    assert client.post(f"{PROGRESS}replacement/", {"domain": str(own.pk), "action": "stop"}).status_code == 302
    own.refresh_from_db()
    assert own.facts["may_stop_at"]
    assert draft.events.filter(kind="may_stop", actor=draft.student.email, item="sample.com").exists()


def test_what_may_stop_is_not_noted_where_nobody_asks(draft: Provision) -> None:
    own = asked(draft, "ns37.domaincontrol.com")
    response = signed_in(draft.student).post(f"{PROGRESS}replacement/", {"domain": str(own.pk), "action": "stop"})
    assert response.status_code == 422
    own.refresh_from_db()
    assert "may_stop_at" not in own.facts


def test_another_student_cannot_let_it_stop(draft: Provision) -> None:
    own = asked(draft, "ns37.domaincontrol.com", question="may_stop", **MAIL)
    client = signed_in(student("bob@students.example"))
    assert client.post(f"{PROGRESS}replacement/", {"domain": str(own.pk), "action": "stop"}).status_code == 404
    own.refresh_from_db()
    assert "may_stop_at" not in own.facts


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"records_before_known": False}, "We could not see whether sample.com receives e-mail today"),
        ({"records_before": MAIL["records_before"][1:]}, "Nothing of what lies at sample.com today comes along"),
        ({"records_before": "typed by hand"}, "Nothing of what lies at sample.com today comes along"),
    ],
)
def test_what_is_known_of_it_decides_the_sentence(draft: Provision, facts: dict[str, Any], words: str) -> None:
    asked(draft, "ns37.domaincontrol.com", question="may_stop", **facts)
    page = text(signed_in(draft.student).get(PROGRESS))
    assert words in page
    assert "E-mail arrives at" not in page


def test_the_letter_names_what_stops_and_not_yet_the_servers(draft: Provision) -> None:
    from infra.mails import contents

    asked(draft, "ns37.domaincontrol.com", question="may_stop", **MAIL)
    Mail.post("nameservers", key="1", provision=draft, item="sample.com", notice=0)
    letter = contents.letter(Mail.objects.get())
    assert letter.subject == "Before sample.com leads to us: what stops"
    for told in (letter.text, letter.html):
        assert "mx.old.example" in told
        assert "ns1.sandbox.test" not in told


def test_the_dashboard_of_an_upgrade_says_what_it_waits_for(draft: Provision) -> None:
    asked(draft, "ns37.domaincontrol.com", state="upgrading")
    response = signed_in(draft.student).get(DASHBOARD)
    page = text(response)
    for words in (
        "We wait for you to change the name servers of sample.com",
        "sample.com needs you.",
        "Name servers to set ns1.sandbox.test and ns2.sandbox.test",
        "We see ns37.domaincontrol.com",
    ):
        assert words in page
    assert 'href="/infrastructure/progress/"' in response.content.decode()
    assert "Registered" not in page


def test_an_own_domain_that_was_left_out_was_not_lost_to_somebody_else(draft: Provision) -> None:
    own = asked(draft, state="active")
    own.state = DomainState.LOST
    own.save()
    page = text(signed_in(draft.student).get(DASHBOARD))
    assert "Left out" in page
    assert "Lost to somebody else" not in page


def test_or_that_something_may_have_to_stop_first(draft: Provision) -> None:
    asked(draft, "ns37.domaincontrol.com", state="upgrading", question="may_stop", **MAIL)
    page = text(signed_in(draft.student).get(DASHBOARD))
    assert "sample.com receives e-mail today" in page
    assert "Look at what stops" in page
    assert "ns1.sandbox.test" not in page


def test_a_student_who_brings_all_domains_needs_no_brand(draft: Provision) -> None:
    draft.brand, draft.names_shown = "", 0
    draft.save()
    client = signed_in(draft.student)
    assert choose(client, own="sample.com\nother.com", brand="").status_code == 302
    assert draft.domains.count() == 2
    assert choose(client, own="", brand="").status_code == 422


# A file of domains --------------------------------------------------------------------------------------------------


def upload(draft: Provision, body: bytes, own: str = "", name: str = "domains.csv") -> Any:
    return choose(signed_in(draft.student), own=own, own_file=SimpleUploadedFile(name, body))


def in_field(response: Any) -> list[str]:
    """Return the lines that stand in the field of own domains."""
    found = re.search(r'<textarea name="own"[^>]*>\s*(.*?)</textarea>', response.content.decode(), flags=re.S)
    assert found is not None
    return html.unescape(found[1]).split("\n")


def test_the_domains_of_a_file_join_the_typed_ones(draft: Provision) -> None:
    assert upload(draft, "\ufeffdomain;note\r\nOne.com;x\r\n".encode(), own="two.com").status_code == 302
    assert set(draft.domains.values_list("name", "origin")) == {("one.com", Origin.OWN), ("two.com", Origin.OWN)}


def test_each_bad_line_of_a_file_is_named_and_all_lines_stand_in_the_field(draft: Provision) -> None:
    response = upload(draft, b"good.com\na..b\nmail.sample.com\ngood.com\nother.de\n", own="typed.com")
    assert response.status_code == 422
    page = text(response)
    for words in (
        "Line 2: a..b is no domain name.",
        "Line 3: mail.sample.com is part of the domain sample.com",
        "Line 5: other.de cannot be part of this package",
    ):
        assert words in page
    assert "Line 1:" not in page
    assert in_field(response) == ["typed.com", "good.com", "a..b", "mail.sample.com", "other.de"]
    assert not draft.domains.exists()


def test_a_domain_of_a_file_that_is_live_elsewhere_is_named_with_its_line(draft: Provision) -> None:
    bob = student("bob@students.example")
    other = Provision.objects.create(student=bob, tier=draft.tier)
    Domain.objects.create(
        provision=other, student=bob, name="sample.com", ordered_at=other.created_at, origin=Origin.OWN
    )
    assert "Line 2: sample.com is part of another set-up here" in text(upload(draft, b"good.com\nsample.com\n"))


def test_more_than_fifty_are_refused_however_they_come_and_none_is_dropped_silently(draft: Provision) -> None:
    lines = [f"sample{n}.com" for n in range(51)]
    response = upload(draft, "\n".join(lines).encode())
    assert response.status_code == 422
    assert "These are 51 domains; one order takes at most 50." in text(response)
    assert in_field(response) == lines
    assert "These are 51 domains" in text(choose(signed_in(draft.student), own="\n".join(lines)))
    assert "These are 51 domains" in text(upload(draft, "\n".join(lines[:50]).encode(), own=lines[50]))
    assert not draft.domains.exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "names no domains"), (b"\xff\xfea", "no text in UTF-8"), (b"a.com\n" * 11_000, "larger than 64 KB")],
)
def test_a_file_that_cannot_be_read_is_refused_and_what_was_typed_stays(
    draft: Provision, body: bytes, words: str
) -> None:
    response = upload(draft, body, own="typed.com")
    assert response.status_code == 422
    assert words in text(response)
    assert in_field(response) == ["typed.com"]


def test_a_package_that_takes_none_takes_no_file(draft: Provision) -> None:
    draft.tier = make_tier("starter")
    draft.save()
    assert "Or from a file" not in text(signed_in(draft.student).get(DOMAINS))
    upload(draft, b"sample.com\n")
    assert not draft.domains.exists()
