"""The dashboard as plain values: what runs, how healthy it is, when sending may start. The page and the API show the same.

Everything comes from our rows, in a number of queries that does not depend on how much there is. Days and ages are vendor
time, because warmup happens at the platforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.urls import reverse
from django.utils import formats
from django.utils.dateparse import parse_date
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from infra import warmup
from infra.health import GOOD, Health, Lack, whole
from infra.models import (
    Connection,
    Domain,
    DomainState,
    Mailbox,
    MailboxState,
    Measurement,
    Provision,
    ProvisionState,
    SpfFlattening,
    User,
    WarmupDay,
)
from infra.presenters_base import Fact, Option, Tag, ago, day, in_zone_of, listed, money, package_title
from infra.warmup import RESTING, Standing
from provisioning.engine.accounts import FROZEN, shut_out
from provisioning.engine.options import Options
from provisioning.mail_tests import NO_MAILBOX
from provisioning.stacks import STACKS

from . import billing_notices, calendar, owning, presenters, words
from .domains.dns import has_drifted, in_short
from .presenters import Login, Notice
from .progress import to_batch
from .tasks import Task, first_week

SHOWN_DAYS = 7
STALE_AFTER = 1.5  # of the time between two looks
LOWEST, HIGHEST = 50.0, 100.0  # the sparkline's axis
WIDTH, HEIGHT, MARGIN = 96, 32, 3
PERCENT = _lazy("%(figure)s %%")


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    text: str
    facts: list[Fact]
    link: Option | None


@dataclass(frozen=True, slots=True)
class DomainCard:
    """A domain: its state, until when it is paid, its mailboxes, and in one line how its DNS stands.

    `dns_lacks` tells whether something of it is not confirmed; `dns_href` leads to its pages, `link` to what its owner is
    asked to do.
    """

    name: str
    tag: Tag
    reason: str
    facts: list[Fact]
    dns: str
    dns_lacks: bool
    dns_href: str
    link: Option | None


@dataclass(frozen=True, slots=True)
class Point:
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Spark:
    """Seven days of health as a drawing: lines between neighbouring days, a dot per day, and where 90 % is."""

    width: int
    height: int
    good_y: str
    lines: list[str]
    dots: list[Point]
    numbers: list[Fact]
    summary: str


@dataclass(frozen=True, slots=True)
class HealthCell:
    """Health over seven days. `percent` is null where there is no figure; `text` says why."""

    percent: float | None
    text: str
    tag: Tag | None
    spark: Spark | None
    providers: list[Fact]


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """A mailbox: who writes from it, how it does, and from when it may send. `ready_on` is null where nobody can know,
    `test_href` where there is nothing to be tested."""

    address: str
    sender: str
    tag: Tag
    note: str
    health: HealthCell
    reply_rate: str
    campaign_today: str
    warmup_today: str
    ramp_day: str
    safe_today: int
    ready: bool
    ready_on: str | None
    ready_text: str
    lacks: list[str]
    test_href: str | None


@dataclass(frozen=True, slots=True)
class PlanDay:
    day: int
    date: str
    warmup: int
    campaign: int


@dataclass(frozen=True, slots=True)
class RampCard:
    """The warmup plan: today, day by day, and the address under which calendars follow it."""

    facts: list[Fact]
    days: list[PlanDay]
    calendar_href: str
    note: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`updated_at` is when the figures were read; null before the first time."""

    tag: Tag
    sentences: list[str]
    notices: list[Notice]
    updated: str
    updated_at: str | None
    mailboxes: list[MailboxRow]
    domains: list[DomainCard]
    ramp: RampCard | None
    tasks: list[Task]
    logins: list[Login]
    cards: list[Card]
    instructions: SafeString
    facts: list[Fact]


def dashboard(student: User, provision: Provision, *, now: datetime) -> Dashboard:
    """What runs, in three sentences first; then every mailbox, every domain, the plan and what to do next.

    `now` is vendor time.
    """
    known = provision.domains.select_related("dns_check").defer("dns_check__seen")
    domains = [one for one in known if not _has_no_part(one)]
    supplied = supplied_by(provision)
    found = warmup.standings(
        provision,
        [one for one in provision.mailboxes.select_related("domain") if not _has_no_part(one.domain)],
        now=now,
        is_measured="health" in supplied,
    )
    measurement = Measurement.objects.filter(provision=provision).first()
    logins = presenters.logins(student, provision, now=now)
    return Dashboard(
        tag=words.provision(provision.state),
        sentences=three_sentences(student, provision, found, domains),
        notices=[
            *billing_notices.notices(student, provision, now=now),
            *_notices(provision, domains, found, measurement, now=now),
        ],
        updated=_updated(measurement, now=now),
        updated_at=measurement.looked_at.isoformat() if measurement and measurement.looked_at else None,
        mailboxes=[_mailbox_row(one, supplied, now=now) for one in found],
        domains=[_domain_card(student, provision, one, found, now=now) for one in domains],
        ramp=_ramp_card(provision, found),
        tasks=first_week(provision, logins),
        logins=logins,
        cards=_cards(provision, measurement, now=now),
        instructions=presenters.markdown(presenters.instructions(provision)),
        facts=_order_facts(student, provision),
    )


def _has_no_part(domain: Domain) -> bool:
    """Tell whether a domain is a spare, or was left out at a change to a smaller package."""
    return domain.state == DomainState.SPARE or (domain.state == DomainState.RELEASED and domain.is_held)


def supplied_by(provision: Provision) -> frozenset[str]:
    """Return the figures that the platforms of this order supply at all."""
    stack = STACKS.get(str(provision.order.get("stack", "")))
    return stack.measuring.supplied if stack and stack.measuring else frozenset()


# Words of days and figures ------------------------------------------------------------------------------------------


def date_words(when: date) -> str:
    return formats.date_format(when, "j F")


def short_date(when: date) -> str:
    return formats.date_format(when, "j M")


def percent(figure: float) -> str:
    """Return a rate as people read it: rounded down, below ten with one decimal."""
    shown = whole(figure) if figure >= 10 else whole(figure * 10) / 10
    return str(PERCENT) % {"figure": formats.number_format(shown)}


# The first three sentences ------------------------------------------------------------------------------------------


def three_sentences(
    student: User, provision: Provision, found: Sequence[Standing], domains: Sequence[Domain] = ()
) -> list[str]:
    """How many are healthy, what needs attention, when sending may start."""
    wanted = [one for one in found if one.mailbox.state != MailboxState.REMOVED]
    return [_how_many(wanted), _attention(wanted, domains), _sending(provision, wanted)]


def _how_many(wanted: Sequence[Standing]) -> str:
    """Count the healthy ones; before anything is measured, those that work."""
    count = {"all": len(wanted)}
    if any(one.health in (Health.HEALTHY, Health.BAD) for one in wanted):
        good = sum(one.health == Health.HEALTHY and not one.needs_attention for one in wanted)
        return ngettext(
            "%(good)s of %(all)s mailbox is healthy.", "%(good)s of %(all)s mailboxes are healthy.", len(wanted)
        ) % {**count, "good": good}
    good = sum(not one.needs_attention and one.ramp is not None for one in wanted)
    return ngettext(
        "%(good)s of %(all)s mailbox is working.", "%(good)s of %(all)s mailboxes are working.", len(wanted)
    ) % {**count, "good": good}


def _attention(wanted: Sequence[Standing], domains: Sequence[Domain]) -> str:
    bad = sum(one.needs_attention for one in wanted)
    if bad:
        return ngettext("%(n)s needs attention.", "%(n)s need attention.", bad) % {"n": bad}
    weak = sum(one.health == Health.BAD for one in wanted)
    if weak:
        return ngettext(
            "%(n)s has had a bad day; a second one would need attention.",
            "%(n)s have had a bad day; a second one would need attention.",
            weak,
        ) % {"n": weak}
    early = sum(one.health == Health.TOO_EARLY and one.ramp is not None for one in wanted)
    if early and early < len(wanted):
        return ngettext("%(n)s has not enough data yet.", "%(n)s have not enough data yet.", early) % {"n": early}
    if asked := [one.name for one in domains if _waits_for_its_owner(one)]:
        return ngettext("%(names)s needs you.", "%(names)s need you.", len(asked)) % {"names": listed(asked)}
    return _("Nothing needs your attention.")


def _sending(provision: Provision, wanted: Sequence[Standing]) -> str:
    if provision.state == ProvisionState.SUSPENDED:
        return _("Warmup rests until the payment is settled.")
    ready = sum(one.is_ready for one in wanted)
    if wanted and ready == len(wanted):
        return _("All of them are ready to send.")
    when = warmup.all_ready_on([one for one in wanted if not one.is_ready])
    if ready:
        some = ngettext("%(n)s is ready to send", "%(n)s are ready to send", ready) % {"n": ready}
        return (
            _("%(some)s, the others about %(day)s.") % {"some": some, "day": date_words(when)}
            if when
            else _("%(some)s.") % {"some": some}
        )
    if when is not None:
        return _("Ready to send about %(day)s.") % {"day": date_words(when)}
    if any(one.ramp is not None for one in wanted):
        return _("The warmup does not allow sending yet; the table says why.")
    return _("The date when sending may start is known once warmup has begun.")


# Notices and the age of the figures -----------------------------------------------------------------------------------


def _updated(measurement: Measurement | None, *, now: datetime) -> str:
    if measurement is None or measurement.looked_at is None:
        return _("No figures read yet")
    return _("Updated %(when)s") % {"when": ago(measurement.looked_at, now=now)}


def _notices(
    provision: Provision,
    domains: Sequence[Domain],
    found: Sequence[Standing],
    measurement: Measurement | None,
    *,
    now: datetime,
) -> list[Notice]:
    notices = []
    if shut_out(provision):
        text = _("What runs there goes on, but we cannot look after it before you have updated the key.")
        link = Option(_("Look at your accounts"), reverse("connections"))
        notices.append(Notice("attention", _("An account of yours no longer lets us in"), text, link))
    if provision.state == ProvisionState.ACTIVE_WITH_EXCEPTIONS:
        items: list[Domain | Mailbox] = [*domains, *(one.mailbox for one in found)]
        failed = [one for one in items if one.state in ("failed", "lost", "removed") and one.reason]
        text = " ".join(f"{one}: {one.reason}" for one in failed) or _("The operator is looking at it.")
        notices.append(Notice("attention", _("Something that you ordered is missing"), text))
    if provision.state == ProvisionState.UPGRADING:
        text = _("Your new domains and mailboxes are being built. What you have goes on working meanwhile.")
        notices.append(Notice("busy", _("Your upgrade is under way"), text))
        if asked := [one.name for one in domains if _waits_for_its_owner(one)]:
            title = _("We wait for you to change the name servers of %(names)s") % {"names": listed(asked)}
            text = _("The rest of your upgrade goes on meanwhile. The domain's card below says what to do.")
            notices.append(Notice("attention", title, text))
    notices += _dns_notices(provision, domains)
    if provision.state == ProvisionState.CANCELLING:
        text = _(
            "Warmup and campaigns have stopped, and the login of the sending tool is removed. Mailboxes go at their next "
            "monthly renewal. Domains stay registered until the day they are paid for; nothing is deleted before."
        )
        notices.append(Notice("wait", _("Your subscription is ending"), text))
    if measurement is not None and (stale := _stale(measurement, now=now)):
        notices.append(stale)
    return notices


def _dns_notices(provision: Provision, domains: Sequence[Domain]) -> list[Notice]:
    """Tell of records that say something else than they did, and of addresses in SPF that are out of date."""
    names = [one.name for one in domains if has_drifted(one)]
    copied = SpfFlattening.objects.filter(domain__provision=provision, ended_at=None).exclude(drift={})
    outdated = list(copied.values_list("domain__name", flat=True))
    rows = (
        (
            names,
            _("DNS of %(names)s has changed"),
            _("Records are not as they were. Look at what is seen."),
            "domain-dns",
        ),
        (
            outdated,
            _("The addresses copied into SPF of %(names)s are out of date"),
            _("A sender has changed its servers. Mail from the new ones fails until you refresh the copy."),
            "domain-spf",
        ),
    )
    return [
        Notice(
            "attention", title % {"names": listed(found)}, text, Option(_("Look at it"), reverse(page, args=[found[0]]))
        )
        for found, title, text, page in rows
        if found
    ]


def _stale(measurement: Measurement, *, now: datetime) -> Notice | None:
    """Say that the sending tool does not answer, once a look has failed or is overdue."""
    every = Options.from_mapping(settings.BUILD_OPTIONS).figures_every
    if measurement.looked_at is None:
        if not measurement.failures:
            return None
        text = _("There are no figures yet; we go on asking. Your mailboxes are not affected.")
        return Notice("wait", _("The sending tool does not answer us at the moment"), text)
    overdue = now - measurement.looked_at > timedelta(seconds=STALE_AFTER * every)
    if not measurement.failures and not overdue:
        return None
    text = _("What you see here was read %(when)s; we go on asking. Your mailboxes are not affected.") % {
        "when": ago(measurement.looked_at, now=now)
    }
    return Notice("wait", _("The sending tool does not answer us at the moment"), text)


# A mailbox ----------------------------------------------------------------------------------------------------------


LACKS: dict[Lack, str | Promise] = {
    Lack.WARMUP_DAYS: _lazy("the warmup days are not over"),
    Lack.HEALTH: _lazy("its health has not been 90 % or more on three days in a row"),
    Lack.DNS: _lazy("the domain's address records are not confirmed"),
    Lack.CONNECTION: _lazy("the sending tool is not connected to it"),
}
NOT_MEASURED = _lazy("Not measured by this platform")


def _mailbox_row(one: Standing, supplied: frozenset[str], *, now: datetime) -> MailboxRow:
    box, ramp, latest = one.mailbox, one.ramp, one.latest
    plan_day = ramp.day(one.today) if ramp else 0
    return MailboxRow(
        address=box.address,
        sender=box.sender,
        tag=_state(one),
        note=_note(one),
        health=_health_cell(one, supplied),
        reply_rate=_rate(latest, "reply_rate", supplied),
        campaign_today=_counter(one, "campaign_sent", supplied),
        warmup_today=_warmup_today(one, supplied),
        ramp_day=_ramp_day(one, plan_day),
        safe_today=ramp.safe_today(one.today) if ramp and one.is_ready else 0,
        ready=one.is_ready,
        ready_on=one.ready_on.isoformat() if one.ready_on else None,
        ready_text=_ready_text(one),
        lacks=[str(LACKS[lack]) for lack in one.lacks] if ramp and box.state not in RESTING else [],
        test_href=reverse("mailbox-test", args=[box.pk]) if box.state not in NO_MAILBOX else None,
    )


def _state(one: Standing) -> Tag:
    """Return the state in our words: what the sending tool last said counts for more than what we set up."""
    if one.mailbox.state not in RESTING and one.latest is not None:
        if one.latest.connection == Connection.DISCONNECTED:
            return Tag(_("Disconnected"), "attention")
        if one.latest.connection == Connection.ABSENT:
            return Tag(_("Gone from the sending tool"), "attention")
        if one.is_paused:
            return Tag(_("Warmup is off"), "wait")
    return words.mailbox(one.mailbox.state)


def _note(one: Standing) -> str:
    """Say what a person should know beside the state: what is wrong first, then how old the figures are."""
    latest, box = one.latest, one.mailbox
    if box.state in (MailboxState.FAILED, MailboxState.REMOVED):
        return box.reason
    if latest is None or box.state == MailboxState.SUSPENDED:
        return ""
    if latest.connection == Connection.DISCONNECTED:
        return _("The sending tool has lost its connection. Connect it again there, or ask the operator.")
    if latest.connection == Connection.ABSENT:
        return _("Ask the operator to connect it again.")
    if one.is_paused and one.ramp is not None and not one.ramp.is_over(one.today):
        return _("The plan waits until it is on again.")
    if box.bad_since is not None:
        return _("Below 90 %% since %(day)s.") % {"day": date_words(box.bad_since)}
    if one.today - latest.day > timedelta(days=1):
        return _("Figures of %(day)s.") % {"day": date_words(latest.day)}
    return ""


def _health_cell(one: Standing, supplied: frozenset[str]) -> HealthCell:
    latest = one.latest
    if one.health == Health.NOT_MEASURED:
        return HealthCell(None, str(NOT_MEASURED), None, None, [])
    known = [row for row in one.days if row.health is not None]
    if one.health == Health.TOO_EARLY or latest is None or not known:
        return HealthCell(None, _("Not enough data yet"), None, None, [])
    newest = known[-1]
    assert newest.health is not None
    tag = Tag(_("Healthy"), "done") if one.health == Health.HEALTHY else Tag(_("Below 90 %"), "attention")
    providers = [
        Fact(str(label), _provider(getattr(newest, name), name, supplied))
        for name, label in (
            ("health_google", _lazy("Google")),
            ("health_microsoft", _lazy("Microsoft")),
            ("health_other", _lazy("Other")),
        )
    ]
    return HealthCell(newest.health, percent(newest.health), tag, spark(one.days), providers)


def _provider(figure: float | None, name: str, supplied: frozenset[str]) -> str:
    if name not in supplied:
        return _("not measured")
    return percent(figure) if figure is not None else _("no data yet")


def spark(rows: Sequence[WarmupDay]) -> Spark:
    """Draw the last seven days up to the newest row."""
    last = rows[-1].day
    shown = [row for row in rows if row.health is not None and (last - row.day).days < SHOWN_DAYS]
    step = (WIDTH - 2 * MARGIN) / (SHOWN_DAYS - 1)

    def place(row: WarmupDay) -> Point:
        assert row.health is not None
        return Point(_number(WIDTH - MARGIN - step * (last - row.day).days), _number(_height(row.health)))

    dots = [place(row) for row in shown]
    lines: list[list[str]] = []
    for number, dot in enumerate(dots):
        if number == 0 or (shown[number].day - shown[number - 1].day).days > 1:
            lines.append([])
        lines[-1].append(f"{dot.x},{dot.y}")
    numbers = [Fact(short_date(row.day), percent(row.health or 0)) for row in shown]
    return Spark(
        width=WIDTH,
        height=HEIGHT,
        good_y=_number(_height(GOOD)),
        lines=[" ".join(line) for line in lines if len(line) > 1],
        dots=dots,
        numbers=numbers,
        summary=_("Last days: %(numbers)s") % {"numbers": ", ".join(f"{one.label} {one.value}" for one in numbers)},
    )


def _height(figure: float) -> float:
    share = (min(HIGHEST, max(LOWEST, figure)) - LOWEST) / (HIGHEST - LOWEST)
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)


def _number(value: float) -> str:
    return f"{value:.1f}"  # a coordinate, not a number for people


def _rate(latest: WarmupDay | None, name: str, supplied: frozenset[str]) -> str:
    if name not in supplied:
        return str(NOT_MEASURED)
    figure = getattr(latest, name) if latest else None
    return percent(figure) if figure is not None else _("Not enough data yet")


def _counter(one: Standing, name: str, supplied: frozenset[str], most: int | None = None) -> str:
    """Say how many mails were sent today; of an older day, which."""
    if name not in supplied:
        return str(NOT_MEASURED)
    latest = one.latest
    sent = getattr(latest, name) if latest else None
    if latest is None or sent is None:
        return _("Not enough data yet")
    text = _("%(n)s of %(all)s") % {"n": sent, "all": most} if most else str(sent)
    if latest.day != one.today:
        return _("%(count)s on %(day)s") % {"count": text, "day": short_date(latest.day)}
    return text


def _warmup_today(one: Standing, supplied: frozenset[str]) -> str:
    return _counter(one, "warmup_sent", supplied, one.ramp.plan.cap if one.ramp else None)


def _ramp_day(one: Standing, plan_day: int) -> str:
    if one.ramp is None:
        return _("not begun")
    if one.ramp.is_over(one.today):
        return _("warmup days over")
    return _("day %(n)s of %(all)s") % {"n": plan_day, "all": one.ramp.plan.days}


def _ready_text(one: Standing) -> str:
    if one.mailbox.state in (MailboxState.FAILED, MailboxState.REMOVED):
        return _("Never")
    if one.is_ready:
        return _("Ready now")
    return _("About %(day)s") % {"day": date_words(one.ready_on)} if one.ready_on else _("Not known yet")


# A domain -----------------------------------------------------------------------------------------------------------


def _domain_card(
    student: User, provision: Provision, domain: Domain, found: Sequence[Standing], *, now: datetime
) -> DomainCard:
    count = sum(one.mailbox.domain_id == domain.pk for one in found)
    facts = [Fact(_("Mailboxes"), str(count)), Fact(_("Paid until"), _paid_until(student, domain))]
    if ip := provision.facts.get("dedicated_ips", {}).get(domain.facts.get("infraforge_workspace_id")):
        facts.append(Fact(_("Sends from"), str(ip)))
    asked = owning.ask_of(domain) if _waits_for_its_owner(domain) else None
    if asked is not None and not asked.must_say:
        facts += [Fact(_("Name servers to set"), listed(asked.servers)), Fact(_("We see"), asked.seen)]
    label = _("Look at what stops") if asked and asked.must_say else _("See how to change them")
    dns, lacks = in_short(domain, now=now)
    has_pages = domain.state not in (DomainState.LOST, DomainState.FAILED, DomainState.EXPIRED, DomainState.RELEASED)
    return DomainCard(
        name=domain.name,
        tag=words.domain(domain),
        reason=asked.stops_text if asked and asked.must_say else domain.reason,
        facts=facts,
        dns=dns if has_pages else "",
        dns_lacks=has_pages and lacks,
        dns_href=reverse("domain-dns", args=[domain.name]) if has_pages else "",
        link=Option(label, reverse("progress")) if asked else None,
    )


def _waits_for_its_owner(domain: Domain) -> bool:
    return domain.state == DomainState.PENDING_NAMESERVERS and bool(domain.facts.get("nameservers"))


def _paid_until(student: User, domain: Domain) -> str:
    if domain.is_own:
        return _("as at your registrar")
    if domain.expires_at:
        return formats.date_format(in_zone_of(student, domain.expires_at), "j F Y")
    noted = parse_date(str(domain.facts.get("expires_on") or "")[:10])
    return formats.date_format(noted, "j F Y") if noted else _("not known yet")


# The plan -----------------------------------------------------------------------------------------------------------


def slowest(found: Sequence[Standing]) -> Standing | None:
    """Return the mailbox whose warmup days end last: what the plan and the calendar follow."""
    running = [one for one in found if one.ramp is not None and one.mailbox.state not in RESTING]
    return max(running, key=lambda one: one.ramp.sending_may_start() if one.ramp else one.today, default=None)


def _ramp_card(provision: Provision, found: Sequence[Standing]) -> RampCard | None:
    one = slowest(found)
    if one is None or one.ramp is None:
        return None
    ramp, today = one.ramp, one.today
    number, over = ramp.day(today), ramp.is_over(today)
    plan = ramp.plan
    ready = [each for each in found if each.is_ready]
    safe = max((each.ramp.safe_today(today) for each in ready if each.ramp), default=0)
    facts = [
        Fact(
            _("Today"), _("warmup days over") if over else _("day %(n)s of %(all)s") % {"n": number, "all": plan.days}
        ),
        Fact(_("Warmup mails a day and mailbox"), _("up to %(n)s") % {"n": plan.volume(number)}),
        Fact(
            _("Safe campaign mails today"),
            _("up to %(n)s from each mailbox that is ready") % {"n": safe} if safe else _("none yet"),
        ),
    ]
    days = [
        PlanDay(each, short_date(ramp.date_of(each)), plan.volume(each), plan.safe(each))
        for each in range(1, plan.days + 2)
    ]
    note = _("Warmup is off at the moment: the plan moves a day for each day without it.") if one.is_paused else ""
    return RampCard(facts, days, calendar.address(provision), note)


# The rest -----------------------------------------------------------------------------------------------------------


def _cards(provision: Provision, measurement: Measurement | None, *, now: datetime) -> list[Card]:
    found = [*_lead_list(provision, measurement, now=now), *_own_accounts(provision), _estate()]
    return found + [Card(_("Your order at a glance"), _in_batch(), [], link) for link in to_batch(provision)]


def _in_batch() -> str:
    return _("Each domain with its mailboxes: what is done, what failed and why, and the same as a file.")


def _own_accounts(provision: Provision) -> list[Card]:
    """Where the student's own accounts are looked after."""
    if not provision.order.get(FROZEN):
        return []
    text = _("Your set-up lives in accounts of your own. Update a key there, or see whether they let us in.")
    return [Card(_("Your accounts"), text, [], Option(_("Your accounts and keys"), reverse("connections")))]


def _estate() -> Card:
    text = _("Keep or drop domains before their year ends, export mailboxes, or take everything along.")
    return Card(_("What you own"), text, [], Option(_("Domains and exports"), reverse("renewals")))


def _lead_list(provision: Provision, measurement: Measurement | None, *, now: datetime) -> list[Card]:
    facts = provision.facts
    name = str(facts.get("heyreach_list_name") or "")
    if not name and not facts.get("heyreach_list_id"):
        return []
    shown = [Fact(_("Name"), name)] if name else []
    if measurement is not None and measurement.leads is not None and measurement.leads_at is not None:
        counted = ngettext("%(n)s person, counted %(when)s", "%(n)s people, counted %(when)s", measurement.leads) % {
            "n": formats.number_format(measurement.leads, force_grouping=True),
            "when": ago(measurement.leads_at, now=now),
        }
        shown.append(Fact(_("Size"), counted))
    else:
        shown.append(Fact(_("Size"), _("not counted yet")))
    return [
        Card(
            title=_("Lead list"),
            text=_("The LinkedIn list of this order. You fill it and make the campaigns, in the tool."),
            facts=shown,
            link=presenters.away(
                _("Open the lead list"), getattr(settings, "LEAD_TOOL_URL", "https://app.heyreach.io/")
            ),
        )
    ]


def _order_facts(student: User, provision: Provision) -> list[Fact]:
    order, tier = provision.order, provision.tier
    currency = str(order.get("currency", "usd"))
    facts = [Fact(_("Reference"), provision.reference)]
    if tier:
        facts.insert(0, Fact(_("Package"), package_title(order) or tier.name))
        monthly = int(order.get("monthly_fee_cents", tier.monthly_fee_cents))
        facts.append(Fact(_("Each month"), money(monthly, currency)))
    if provision.ready_at:
        facts.append(Fact(_("Ready since"), day(student, provision.ready_at)))
    return facts
