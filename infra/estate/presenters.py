"""Plain values for the pages about what a student owns. Everything comes from our rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import formats
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from infra.dashboard import words
from infra.dashboard.presenters import Notice
from infra.models import Domain, Inventory, Provision, ProvisionState, RenewalChoice, User
from infra.presenters_base import Fact, Option, Tag, ago, in_zone_of, listed, money
from provisioning import inventory

from . import exports

ENDED = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


def estate_of(student: User, reference: str = "") -> Provision | None:
    """Return the order that these pages are about: the newest that owns something, or the one that is named."""
    has = Q(domains__bought_at__isnull=False) | Q(domains__connected_at__isnull=False)
    mine = Provision.objects.filter(has, student=student).select_related("tier").distinct()
    if reference:
        mine = mine.filter(reference=reference)
    return mine.order_by("-created_at").first()


def places(current: str) -> list[Option]:
    """Return the links between these pages, without the one that is open."""
    every = (
        ("renewals", _("Keep or drop domains")),
        ("exports", _("Export mailboxes and domains")),
        ("leaving", _("Take everything along")),
    )
    return [Option(title, reverse(name)) for name, title in every if name != current]


# Renewals -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RenewalRow:
    """One domain: until when it is paid, what another year costs, and what was chosen."""

    id: str
    name: str
    tag: Tag
    facts: list[Fact]
    can_keep: bool
    can_drop: bool


@dataclass(frozen=True, slots=True)
class Renewals:
    rows: list[RenewalRow]
    notices: list[Notice]
    age: str
    can_choose: bool


def renewals(student: User, provision: Provision, *, now: datetime) -> Renewals:
    """What happens to each domain at the end of its paid year, and what the student may choose."""
    can_choose = provision.state in inventory.RUNS
    chosen = {one.domain_id: one for one in reversed(RenewalChoice.objects.filter(domain__provision=provision))}
    rows = [_renewal_row(student, provision, one, chosen.get(one.pk), can_choose) for one in inventory.owned(provision)]
    notices = []
    if own := [one.name for one in inventory.holds(provision) if one.is_own]:
        title = _("%(names)s: renewed at your registrar") % {"names": listed(own)}
        notices.append(Notice("wait", title, _("A domain that you own is paid for and renewed there, never here.")))
    if provision.state in ENDED:
        text = _("This order is cancelled: no domain of it is renewed. Each stays registered until its day.")
        notices.append(Notice("wait", _("Nothing is renewed"), text))
    return Renewals(rows, notices, _age(provision, now), can_choose)


def _renewal_row(
    student: User, provision: Provision, domain: Domain, chosen: RenewalChoice | None, can_choose: bool
) -> RenewalRow:
    tag, choice = words.domain(domain), chosen.choice if chosen else ""
    facts = [
        Fact(_("Paid until"), paid_until(student, domain)),
        Fact(_("Another year costs"), price(provision, domain)),
        Fact(_("At the end of the year"), what_happens(student, provision, domain, choice)),
    ]
    if chosen:
        when = formats.date_format(in_zone_of(student, chosen.created_at), "j F Y")
        facts.append(Fact(_("Chosen"), _("%(day)s, by %(who)s") % {"day": when, "who": chosen.actor}))
    return RenewalRow(
        id=str(domain.pk),
        name=domain.name,
        tag=tag,
        facts=facts,
        can_keep=can_choose and choice != RenewalChoice.Choice.KEEP,
        can_drop=can_choose and choice != RenewalChoice.Choice.DROP,
    )


def price(provision: Provision, domain: Domain) -> str:
    """Say what another year costs."""
    if not domain.renewal_cents:
        return _("not known")
    return money(domain.renewal_cents, str(provision.order.get("currency", "usd")))


def paid_until(student: User, domain: Domain) -> str:
    """Say until when a domain is paid for."""
    if domain.is_own:
        return _("as at your registrar")
    if domain.expires_at is None:
        return _("not known yet")
    return formats.date_format(in_zone_of(student, domain.expires_at), "j F Y")


def what_happens(student: User, provision: Provision, domain: Domain, choice: str) -> str:
    """Say what becomes of a domain when its year ends, as far as that is known."""
    if domain.is_own:
        return _("It is yours: lead it elsewhere at your registrar. Until you do, its mail still comes here.")
    stands = domain.facts.get("renewal", "unknown")
    if provision.state in ENDED or choice == RenewalChoice.Choice.DROP:
        if stands == "off":
            return _("It ends. Its renewal is off.")
        return _("It ends. The operator switches its renewal off; that is not done yet.")
    if stands == "off":
        asked = _("It would end: its renewal is off. The operator has been asked to switch it on.")
        return asked if choice == RenewalChoice.Choice.KEEP else _("It ends, unless you choose to keep it.")
    return _("It is renewed for another year.") if stands == "on" else _("It is renewed, as far as we know.")


def _age(provision: Provision, now: datetime) -> str:
    seen = Inventory.objects.filter(provision=provision).values_list("looked_at", flat=True).first()
    if seen is None:
        return _("The platform has not been asked yet.")
    return _("As the platform said %(ago)s.") % {"ago": ago(seen, now=now)}


# Leaving --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeavingDomain:
    name: str
    facts: list[Fact]
    zone: Option


@dataclass(frozen=True, slots=True)
class Leaving:
    lede: str
    notices: list[Notice]
    domains: list[LeavingDomain]
    mailboxes: str
    downloads: list[Option]
    steps: list[str]
    contact: str
    age: str


def leaving(student: User, provision: Provision, *, now: datetime) -> Leaving:
    """The leaving kit: what ends when, the files, and how a domain is taken along."""
    query = f"?order={provision.reference}"
    count = len(exports.mailboxes_of(provision))
    notices = []
    if provision.state in ENDED:
        text = _(
            "Warmup and campaigns are off and the login of the sending tool is removed. Nothing else is deleted early."
        )
        notices.append(Notice("wait", _("This order is cancelled"), text))
    chosen = inventory.choices(provision)
    kit = [
        LeavingDomain(
            one.name,
            [
                Fact(_("Paid until"), paid_until(student, one)),
                Fact(_("Then"), what_happens(student, provision, one, chosen.get(one.name, ""))),
                Fact(_("Records read"), _records_read(student, one)),
            ],
            Option(_("Zone file"), reverse("leaving-zone", args=[one.name]) + query),
        )
        for one in exports.domains_of(provision)
    ]
    boxes = ngettext("%(n)s mailbox", "%(n)s mailboxes", count) % {"n": count}
    gone = _("They go at their next monthly renewal; until then mail still arrives. Save what you need before.")
    return Leaving(
        lede=_("What you have here, what ends when, and what you need to go on elsewhere."),
        notices=notices,
        domains=kit,
        mailboxes=f"{boxes}. {gone}" if provision.state in ENDED else f"{boxes}.",
        downloads=[Option(_("Mailboxes as CSV"), reverse("leaving-mailboxes") + query)],
        steps=[
            _("Choose a registrar of your own and open an account there."),
            _(
                "Write to the operator which domains you want. As their registrant it unlocks them and sends you the codes."
            ),
            _("Start the transfer at your registrar with that code. It takes up to a week and usually costs one year."),
            _("Set up the records of the zone file at your new place before the old one stops answering."),
            _("Registries refuse transfers in the first 60 days after a purchase, and soon after the end of the year."),
        ],
        contact=getattr(settings, "ENROLMENT_CONTACT", "") or settings.OPERATOR_EMAIL,
        age=_age(provision, now),
    )


def _records_read(student: User, domain: Domain) -> str:
    read = parse_datetime(str(domain.facts.get("dns_read_at") or ""))
    if read is None:
        return _("not yet; the file says so")
    if not domain.facts.get("dns_records"):
        return _("the platform listed none")
    return formats.date_format(in_zone_of(student, read), "j F Y")
