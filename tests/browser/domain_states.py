"""The pages of one domain in their states. Its name servers are tables: see `tests/integration/dns_sights.py`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from infra import clock
from infra.dns.dmarc import Rung
from infra.dns.records import Record, record
from infra.models import DnsCheck, PropagationWatch, Provision, SpfFlattening, WatchState
from provisioning import changing, seeing
from provisioning.models import Run, Step
from tests.integration.dns_sights import KEY, aged, checked, domain_of, mail_records, order_up, page, servers

from .house import House
from .states import Shown, open_everything, press, state


def own_of(name: str) -> str:
    return f"get{name}.com"


def up(name: str, stack: str = "zapmail", **kwargs: Any) -> Provision:
    """Make an order that runs; one of the student's own domains has its key."""
    order = order_up(stack, name=name, **kwargs)
    if stack == "workspace":
        order.domains.filter(name=own_of(name)).update(facts={"dkim_record": KEY})
    return order


def records(name: str, **kwargs: Any) -> list[Record]:
    return mail_records(own_of(name), **kwargs)


def shown(order: Provision, where: str, **kwargs: Any) -> Shown:
    return Shown(order.student, page(order, where), **kwargs)


# Records --------------------------------------------------------------------------------------------------------------


@state
def domain_dns_all_good(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers(records(name)))
    return shown(order, "dns/", sees="Every record that mail needs is there", then=open_everything)


@state
def domain_dns_not_looked_at(house: House, name: str) -> Shown:
    return shown(up(name), "dns/", sees="Nobody has looked yet")


@state
def domain_dns_partial(house: House, name: str) -> Shown:
    """Being watched: resolvers still keep what was there before."""
    order = up(name)
    seeing.watch(domain=domain_of(order), actor="ada")
    checked(order, servers(records(name), others=records(name)[:2]))
    return shown(order, "dns/", sees="Not everywhere yet", then=open_everything)


@state
def domain_dns_changed(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers(records(name)))
    checked(order, servers(records(name, spf="v=spf1 include:other.mail.example -all")))
    return shown(order, "dns/", sees="Something has changed")


@state
def domain_dns_written_of(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    check = checked(order, servers([record("MX", own_of(name), "9 mx.other.example"), *records(name)[2:]]))
    rows = [{**row, "told_at": "2026-01-01T00:00:00+00:00"} for row in check.records]
    DnsCheck.objects.filter(pk=check.pk).update(records=rows)
    return shown(order, "dns/", sees="the operator was told")


@state
def domain_dns_timeout(house: House, name: str) -> Shown:
    order = up(name)
    watch = seeing.watch(domain=domain_of(order), actor="ada")
    since = clock.vendor_now() - timedelta(days=2, hours=1)
    PropagationWatch.objects.filter(pk=watch.pk).update(since=since)
    checked(order, servers(records(name)[:3]))
    assert PropagationWatch.objects.get(pk=watch.pk).state == WatchState.TIMEOUT
    return shown(order, "dns/", sees="Keep watching")


@state
def domain_dns_pressed_twice(house: House, name: str) -> Shown:
    return shown(up(name), "dns/", then=press("Check now", "Check now"), sees="is used again")


@state
def domain_dns_gone(house: House, name: str) -> Shown:
    order = up(name)
    order.domains.filter(name=own_of(name)).update(state="expired")
    return shown(order, "dns/", sees="This domain is not in use any more.")


# SPF ------------------------------------------------------------------------------------------------------------------

SENDERS = [record("TXT", f"s{n}.mail.example", f"v=spf1 ip4:198.51.{n}.0/24 ip4:203.0.{n}.0/26 -all") for n in range(9)]
LONG = "v=spf1 " + " ".join(f"include:s{n}.mail.example" for n in range(9)) + " ~all"


@state
def domain_spf_not_offered(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    checked(order, servers(records(name, spf="v=spf1 include:_spf.google.com include:gone.example ~all")))
    return shown(order, "dns/spf/", sees="Not offered for this record.")


@state
def domain_spf_too_many(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    many = LONG.replace("~all", "a:one.example a:two.example a:three.example ~all")
    checked(order, servers([*records(name, spf=many), *SENDERS]))
    return shown(order, "dns/spf/", sees="Too many look-ups")


@state
def domain_spf_offered(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    checked(order, servers([*records(name, spf=LONG), *SENDERS]))
    return shown(order, "dns/spf/", sees="Write these addresses")


@state
def domain_spf_to_copy(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers([*records(name, spf=LONG), *SENDERS]))
    return shown(order, "dns/spf/", sees="these are the records to copy")


@state
def domain_spf_out_of_date(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    values = {"lookups_before": 9, "lookups_after": 0, "characters": 60, "refresh": 300, "student": order.student}
    text = "v=spf1 ip4:198.51.0.0/30 ~all"
    SpfFlattening.objects.create(
        domain=domain_of(order), original=LONG, flattened={own_of(name): text}, networks=["198.51.0.0/30"],
        written_at=clock.vendor_now() - timedelta(days=3), **values,
    )  # fmt: skip
    checked(order, servers([*records(name, spf=text), *SENDERS]))
    return shown(order, "dns/spf/", sees="The copied addresses are out of date")


# Policy ---------------------------------------------------------------------------------------------------------------


@state
def domain_policy_stay(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    checked(order, servers(records(name, selector="google")))
    return shown(order, "policy/", sees="Stay where you are")


@state
def domain_policy_advised(house: House, name: str) -> Shown:
    order = up(name, "workspace")
    aged(order, 30)
    checked(order, servers(records(name, selector="google")))
    return shown(order, "policy/", sees="Advised next")


def changing_policy(name: str) -> Run:
    order = up(name, "workspace")
    checked(order, servers(records(name, selector="google")))
    return changing.change_policy(domain=domain_of(order), rung=Rung.QUARANTINE_TEST, actor="ada")


@state
def domain_policy_changing(house: House, name: str) -> Shown:
    return shown(changing_policy(name).provision, "policy/", sees="The new policy is being written")


@state
def domain_policy_changed(house: House, name: str) -> Shown:
    run = changing_policy(name)
    Step.objects.filter(run=run).update(state="completed", finished_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(state="done", finished_at=timezone.now())
    return shown(run.provision, "policy/", sees="The new policy is written")


@state
def domain_policy_refused(house: House, name: str) -> Shown:
    run = changing_policy(name)
    why = f"_dmarc.{own_of(name)} TXT v=DMARC1; p=none was not made here, and two of its kind break each other."
    Step.objects.filter(run=run).update(state="failed", finished_at=timezone.now(), failure_sentence=why)
    Run.objects.filter(pk=run.pk).update(state="done", finished_at=timezone.now())
    return shown(run.provision, "policy/", sees="The change was refused")


@state
def domain_policy_not_offered(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers(records(name)))
    return shown(order, "policy/", sees="and not the policy")


@state
def domain_policy_with_errors(house: House, name: str) -> Shown:
    """Pressed while something else is under way that began after the page was opened."""
    order = up(name, "workspace")

    def then(opened: Any) -> None:
        changing.change_policy(domain=domain_of(order), rung=Rung.REJECT, actor="ada")
        opened.get_by_role("button", name="Set this policy Quarantine", exact=True).click()

    return shown(order, "policy/", then=then, sees="There is a problem")


# Compliance -----------------------------------------------------------------------------------------------------------


@state
def domain_compliance(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers(records(name)))
    return shown(order, "compliance/", sees="Nothing speaks against it.")


@state
def domain_compliance_failing(house: House, name: str) -> Shown:
    order = up(name)
    checked(order, servers(records(name)[:2]))
    return shown(order, "compliance/", sees="Mend them first")
