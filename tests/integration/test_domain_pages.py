"""The pages of one domain: records, SPF, policy, compliance. They read rows and ask nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from infra import clock
from infra.dashboard.domains.dns import STATES, dns_page
from infra.dashboard.domains.kit import Sight
from infra.dashboard.domains.spf import spf_page
from infra.dns.records import record
from infra.dns.resolver import Answer, NameServers, Status
from infra.mails import contents
from infra.models import (
    AuthenticationTest,
    DnsCheck,
    DnsRecordState,
    Domain,
    Mail,
    PropagationWatch,
    Provision,
    SpfFlattening,
    TrialState,
    WatchState,
)
from provisioning import seeing
from tests.integration.dns_sights import (
    DMARC,
    KEY,
    NAME,
    SPF,
    aged,
    checked,
    domain_of,
    mail_records,
    order_up,
    page,
    servers,
    states,
    workshop,
)
from tests.integration.pages import signed_in, student, text
from tests.unit.infra.dns.kit import SILENT, Table

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

PAGES = ("dns/", "dns/spf/", "policy/", "compliance/")
BUTTONS: dict[str, dict[str, str]] = {
    "dns/check/": {},
    "dns/watch/": {"action": "start"},
    "dns/spf/": {"action": "flatten"},
    "policy/": {"rung": "reject"},
}


def shown(order: Provision, where: str = "dns/") -> str:
    return text(signed_in(order.student).get(page(order, where)))


def sight(order: Provision) -> Sight:
    return Sight(order.student, domain_of(order), clock.vendor_now(), timezone.now())


def long_spf(count: int) -> str:
    return "v=spf1 " + " ".join(f"include:s{number}.mail.example" for number in range(count)) + " ~all"


def sources(count: int, *, net: int = 0) -> list[Any]:
    return [
        record("TXT", f"s{number}.mail.example", f"v=spf1 ip4:198.51.{net}.{number} -all") for number in range(count)
    ]


# Records --------------------------------------------------------------------------------------------------------------


def test_each_record_says_what_it_is_for_what_it_should_say_and_who_shows_it() -> None:
    order = order_up()
    check = checked(order, servers(mail_records()))
    assert set(states(check).values()) == {"propagated"}
    said = shown(order)
    assert "Every record that mail needs is there and seen everywhere we asked." in said
    assert "Where mail to this domain arrives." in said
    assert SPF in said
    assert "seen by 3 of 3 name servers first shows it" in said
    assert "Last look just now" in said


def test_before_the_first_look_the_records_of_the_platform_are_named_and_nobody_is_said_to_have_seen_them() -> None:
    said = shown(order_up())
    assert "Nobody has looked yet" in said
    assert "It is written. Press “Check now” to see what name servers show." in said
    assert "seen by" not in said


def test_an_order_whose_platform_has_told_nothing_says_so() -> None:
    said = shown(order_up(listed=[]))
    assert "has not told us its records yet" in said
    assert "Watch until all show it" not in said


@pytest.mark.parametrize(
    ("found", "others", "kind", "state", "said"),
    [
        (mail_records()[:3], None, "dmarc", "created", "lack a record"),
        (mail_records(), mail_records()[:3], "dmarc", "propagating", "Some others still keep what was there before"),
        ([*mail_records(), record("TXT", NAME, "v=spf1 -all")], None, "spf", "failed", "Two records stand"),
        (mail_records(spf="v=spf1 -all"), None, "spf", "drifted", "SPF: something else stands there now."),
    ],
    ids=["missing", "stale", "second", "other"],
)
def test_what_holds_a_record_up_is_named_with_what_to_do(
    found: list[Any], others: list[Any] | None, kind: str, state: str, said: str
) -> None:
    order = order_up()
    assert states(checked(order, servers(found, others=others)))[kind] == state
    assert said in shown(order)


def test_a_record_that_was_there_and_is_not_any_more_has_drifted_and_the_dashboard_tells() -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    assert states(checked(order, servers(mail_records()[:3])))["dmarc"] == "drifted"
    assert "Something has changed" in shown(order)
    assert f"DNS of {NAME} has changed" in text(signed_in(order.student).get("/infrastructure/dashboard/"))
    assert states(checked(order, servers(mail_records())))["dmarc"] == "propagated"


def test_what_its_own_servers_show_is_there_although_another_record_is_missing() -> None:
    order = order_up()
    seeing.watch(domain=domain_of(order), actor="ada")
    PropagationWatch.objects.update(since=clock.vendor_now() - timedelta(days=3))
    found = states(checked(order, servers(mail_records()[:3])))
    assert found == {"mx": "propagated", "spf": "propagated", "dkim": "propagated", "dmarc": "failed"}
    assert "3 of 4 records are confirmed." in shown(order)


def test_silence_changes_nothing_of_what_was_known() -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    silent = {"": Answer(Status.TIMEOUT)}
    assert set(states(checked(order, servers(mail_records(), instead=silent))).values()) == {"propagated"}


def test_silence_does_not_mend_what_has_changed() -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    checked(order, servers(mail_records()[:3]))
    assert states(checked(order, servers(mail_records(), instead={"": SILENT})))["dmarc"] == "drifted"
    assert states(checked(order, servers(mail_records())))["dmarc"] == "propagated"


def test_what_is_found_at_several_domains_of_an_order_goes_into_one_letter() -> None:
    order = order_up("workspace")
    domains = list(order.domains.filter(state="active"))
    nothing = servers([record("MX", one.name, "9 mx.other.example") for one in domains])
    for now in (True, False):
        for one in domains:
            DnsCheck.want(one, now=clock.vendor_now())
            rows = DnsCheck.objects.get(domain=one).records
            for kept in rows:  # they were there, and it was so an hour ago already
                kept |= {"propagated_at": "2026-01-01T00:00:00+00:00", "state": "drifted"}
                kept |= {"changed_at": "2026-01-02T00:00:00+00:00"}
            DnsCheck.objects.filter(domain=one).update(records=rows)
            assert seeing.look_at_next(workshop(nothing))
        assert Mail.objects.filter(kind="dns_changed").count() == (0 if now else 1)
    words = contents.letter(Mail.objects.get(kind="dns_changed"))
    assert words.subject == f"DNS of {domains[0].name} and of {len(domains) - 1} more domains has changed"
    lines = [line for line in words.text.splitlines() if line.startswith("- ")]
    assert [line.split()[1] for line in lines] == sorted(f"{one.name}." for one in domains)
    assert all("MX: something else stands there now." in line for line in lines)


def test_who_waits_for_a_look_goes_before_the_daily_ones() -> None:
    order = order_up("workspace")
    first, *others = order.domains.filter(state="active")
    for one in others:
        DnsCheck.want(one, now=clock.vendor_now())
    seeing.check_now(domain=first, actor="ada")
    DnsCheck.objects.filter(domain=first).update(looked_at=clock.vendor_now())
    assert seeing.look_at_next(workshop(servers(mail_records())))
    assert [check.domain for check in DnsCheck.objects.exclude(checked_at=None)] == [first]


def test_a_domain_that_leads_nowhere_any_more_has_changed_unless_nobody_could_be_asked() -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    silent = Table("above", [], {"": SILENT})
    nobody = NameServers((silent,), connect=lambda _name, _address: silent)
    check = checked(order, nobody)
    assert set(states(check).values()) == {"propagated"}
    assert check.seen["answers"]  # what was judged from the look before still is
    above = Table(
        "above", [record("NS", "com", "a.servers.example"), record("A", "a.servers.example", "192.0.2.53")], {}
    )
    nowhere = NameServers((above,), connect=lambda _name, _address: above)
    assert set(states(checked(order, nowhere)).values()) == {"drifted"}


def test_every_state_of_a_record_has_its_words() -> None:
    assert set(STATES) == set(DnsRecordState)


def test_records_that_are_not_ours_are_shown_and_left_alone() -> None:
    order = order_up("workspace", listed=[record("A", f"www.{NAME}", "203.0.113.9")])
    said = shown(order)
    assert "Records that we did not make" in said
    assert "203.0.113.9" in said


def test_what_a_name_server_sends_that_is_no_text_is_kept_all_the_same() -> None:
    order = order_up()
    odd = record("TXT", NAME, b"v=odd\x00\xff".decode("utf-8", "surrogateescape"))
    checked(order, servers([*mail_records(), odd]))
    assert signed_in(order.student).get(page(order, "dns/")).status_code == 200


def test_pages_ask_nobody_and_a_constant_number_of_queries(django_assert_max_num_queries: Any) -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    person, addresses = signed_in(order.student), [page(order, where) for where in PAGES]
    with mock.patch("infra.dns.resolver.MessageResolver.query", side_effect=AssertionError("a page asks")):
        for address in addresses:
            with django_assert_max_num_queries(18):
                assert person.get(address).status_code == 200


# Check now ------------------------------------------------------------------------------------------------------------


def test_a_look_is_made_once_in_25_seconds_and_its_answer_is_used_again_until_then() -> None:
    order = order_up()
    person = signed_in(order.student)
    person.post(page(order, "dns/check/"))
    assert "We are looking" in shown(order)
    said = text(person.post(page(order, "dns/check/"), follow=True))
    assert "is used again" in said
    assert seeing.look_at_next(workshop(servers(mail_records())))
    assert not seeing.look_at_next(workshop(servers(mail_records())))
    assert "We are looking" not in shown(order)
    clock.advance_machine(seeing.CHECK_AGAIN)
    assert "is used again" not in text(person.post(page(order, "dns/check/"), follow=True))


def test_the_page_is_drawn_again_only_when_it_would_look_different() -> None:
    order = order_up()
    checked(order, servers(mail_records()))
    person, found = signed_in(order.student), dns_page(sight(order))
    assert not found.looking
    assert person.get(found.state_href, {"version": found.version}).status_code == 204
    seeing.watch(domain=domain_of(order), actor="ada")
    changed = person.get(found.state_href, {"version": found.version})
    assert changed.status_code == 200
    assert "hx-get" in changed.content.decode()


def test_a_press_while_a_look_is_under_way_leads_to_another_look() -> None:
    order = order_up()
    seeing.check_now(domain=domain_of(order), actor="ada")
    real = seeing.expected

    def pressed(domain: Domain, made: Any = None) -> Any:
        clock.advance_machine(seeing.CHECK_AGAIN)
        assert seeing.check_now(domain=domain, actor="ada")
        return real(domain, made)

    with mock.patch.object(seeing, "expected", pressed):
        assert seeing.look_at_next(workshop(servers(mail_records())))
    assert DnsCheck.objects.get().is_wanted
    assert seeing.look_at_next(workshop(servers(mail_records())))
    assert not DnsCheck.objects.get().is_wanted


# Watching -------------------------------------------------------------------------------------------------------------


def test_a_watch_is_started_stopped_and_told_to_go_on() -> None:
    order = order_up()
    person = signed_in(order.student)
    person.post(page(order, "dns/watch/"), {"action": "start"})
    person.post(page(order, "dns/watch/"), {"action": "start"})
    assert PropagationWatch.objects.get().state == WatchState.POLLING
    assert "Stop watching" in shown(order)
    person.post(page(order, "dns/watch/"), {"action": "stop"})
    assert PropagationWatch.objects.get().state == WatchState.CANCELLED
    assert "Keep watching" in shown(order)
    person.post(page(order, "dns/watch/"), {"action": "resume"})
    assert PropagationWatch.objects.get().state == WatchState.POLLING


# SPF ------------------------------------------------------------------------------------------------------------------


def test_spf_shows_where_it_leads_with_its_counts_and_why_addresses_are_not_offered() -> None:
    order = order_up()
    around = servers(mail_records(spf="v=spf1 include:spf.mail.example include:gone.mail.example ~all"))
    checked(order, around)
    said = shown(order, "dns/spf/")
    assert "2 of 10" in said
    assert "include:spf.mail.example in the record of getacme.com 1 look-up" in said
    assert "no record there" in said
    assert "Not offered for this record." in said


def test_where_we_cannot_write_the_page_says_so_and_shows_what_to_copy() -> None:
    order = order_up()
    own = mail_records(spf=long_spf(4))
    checked(order, servers([*own, *sources(4)]))
    found = spf_page(sight(order))
    assert (found.offer.refusal, found.offer.button) == ("", "")
    assert "keeps its SPF record itself" in found.offer.blocked
    assert found.offer.records[0].text.startswith("v=spf1 ip4:198.51.0.0")
    answer = signed_in(order.student).post(page(order, "dns/spf/"), {"action": "flatten"})
    assert answer.status_code == 422
    assert "keeps its SPF record itself" in text(answer)


def test_too_many_look_ups_are_named() -> None:
    order = order_up()
    checked(order, servers([*mail_records(spf=long_spf(11)), *sources(11)]))
    assert "The record needs 11 look-ups; more than 10 and receivers give up." in shown(order, "dns/spf/")


def flattened(order: Provision, **fields: Any) -> SpfFlattening:
    values = {
        "original": long_spf(4), "flattened": {NAME: "v=spf1 ip4:198.51.0.0/30 ~all"}, "sources": ["s0.mail.example"],
        "networks": ["198.51.0.0/30"], "lookups_before": 4, "lookups_after": 0, "characters": 30, "refresh": 300,
        "written_at": clock.vendor_now(), "student": order.student, **fields,
    }  # fmt: skip
    return SpfFlattening.objects.create(domain=domain_of(order), **values)


def test_copied_addresses_are_compared_once_a_day_and_their_student_is_told_when_they_are_out_of_date() -> None:
    order = order_up("workspace")
    row = flattened(order)
    own = mail_records(spf="v=spf1 ip4:198.51.0.0/30 ~all")
    checked(order, servers([*own, *sources(4)]))
    row.refresh_from_db()
    assert row.drift == {}
    assert row.looked_at is not None
    clock.advance_vendor(86400)
    assert seeing.look_at_next(workshop(servers([*own, *sources(4, net=7)])))
    row.refresh_from_db()
    assert row.drift["change"] == "alarm"
    assert "The copied addresses are out of date" in shown(order, "dns/spf/")
    assert "addresses copied into SPF" in text(signed_in(order.student).get("/infrastructure/dashboard/"))
    assert "Refresh the copied addresses" in shown(order, "dns/spf/")


# Policy ---------------------------------------------------------------------------------------------------------------


def test_the_policy_page_says_where_it_stands_and_to_stay_there_while_it_warms_up() -> None:
    order = order_up("workspace")
    checked(order, servers(mail_records()))
    said = shown(order, "policy/")
    assert DMARC in said
    assert "Stay where you are" in said
    assert "The warmup days of its mailboxes are over not yet" in said


def test_after_two_weeks_and_the_warmup_the_next_step_is_advised_once_a_message_has_passed() -> None:
    order = order_up("workspace")
    order.domains.filter(name=NAME).update(facts={"dkim_record": KEY})
    aged(order, 30)
    checked(order, servers(mail_records(selector="google")))
    said = shown(order, "policy/")
    assert "You may go on to “Try out quarantine” once a message of yours shows “dmarc=pass”" in said
    assert "Try out quarantine Advised next" in said


def test_where_the_platform_lets_nobody_set_the_policy_the_page_says_why() -> None:
    order = order_up("zapmail")
    said = shown(order, "policy/")
    assert "lets us set where reports go, and not the policy" in said
    assert "Set this policy" not in said
    assert signed_in(order.student).post(page(order, "policy/"), {"rung": "reject"}).status_code == 422


# Compliance -----------------------------------------------------------------------------------------------------------


def test_what_receivers_ask_is_proven_disproven_or_not_to_be_seen() -> None:
    order = order_up()
    checked(order, servers(mail_records()[:3]))
    said = shown(order, "compliance/")
    assert "DMARC record with a policy Disproven" in said
    assert "SPF record is valid Proven" in said
    assert "Messages are well formed Not to be seen in DNS" in said
    assert "1 thing that Gmail asks is not so." in said
    assert "Advice, asked by nobody" in said


def test_a_tested_message_settles_what_dns_cannot_show() -> None:
    order = order_up("workspace")
    order.domains.filter(name=NAME).update(facts={"dkim_record": KEY})
    aged(order, 30)
    checked(order, servers(mail_records(selector="google")))
    box, now = order.mailboxes.filter(domain__name=NAME)[0], clock.vendor_now()
    verdicts = {name: {"value": "pass"} for name in ("spf", "dkim", "dmarc")}
    times = dict.fromkeys(("asked_at", "sending_at", "sent_at", "received_at", "ended_at"), now)
    values = {"state": TrialState.JUDGED, "verdicts": verdicts, "token": "t", **times}
    AuthenticationTest.objects.create(mailbox=box, student=order.student, actor="ada", **values)
    said = shown(order, "compliance/")
    assert "Mail is signed in the domain's name Proven A received test message shows: dkim=pass." in said
    assert "Outlook Proven" in said
    assert "You may go on to “Try out quarantine”. Go one step at a time" in shown(order, "policy/")


# Whose they are -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["müller.de", "MÜLLER.de", "xn--mller-kva.de", "xn--mller-kva.de."])
def test_a_domain_of_another_script_is_found_however_its_address_is_typed(typed: str) -> None:
    order = order_up()
    domain = domain_of(order)
    Domain.objects.filter(pk=domain.pk).update(name="xn--mller-kva.de")
    assert signed_in(order.student).get(f"/infrastructure/domains/{typed}/dns/").status_code == 200


@pytest.mark.parametrize("name", [NAME, "nobody.com", "x" * 300, "%00", "../dns", "<b>"])
def test_another_students_domain_is_not_there(name: str) -> None:
    order_up()
    person = signed_in(student("bo@students.example"))
    for where in PAGES:
        assert person.get(f"/infrastructure/domains/{name}/{where}").status_code == 404
    for where, values in BUTTONS.items():
        assert person.post(f"/infrastructure/domains/{name}/{where}", values).status_code == 404
    assert not DnsCheck.objects.exists()


@pytest.mark.parametrize(("where", "values"), [("dns/watch/", {"action": "x"}), ("policy/", {"rung": "x"}),
                                               ("dns/spf/", {}), ("policy/", {})])  # fmt: skip
def test_a_button_that_is_none_is_answered_404(where: str, values: dict[str, str]) -> None:
    order = order_up()
    assert signed_in(order.student).post(page(order, where), values).status_code == 404


def test_a_domain_that_is_gone_is_shown_and_not_looked_at() -> None:
    order = order_up()
    order.domains.filter(name=NAME).update(state="expired")
    assert "is not in use" in text(signed_in(order.student).post(page(order, "dns/check/"), follow=True))
    assert not DnsCheck.objects.exists()
