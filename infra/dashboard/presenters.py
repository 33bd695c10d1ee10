"""Plain values for the pages after (and around) the order. What a template shows is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.urls import reverse
from django.utils import formats
from django.utils.dateparse import parse_date
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from markdown_it import MarkdownIt

from infra.models import (
    Credential,
    Domain,
    DomainState,
    Mailbox,
    MailboxState,
    Provision,
    ProvisionState,
    User,
)
from infra.presenters_base import Fact, Option, Tag, ago, day, in_zone_of, moment, money

from . import words

RUNNING = (
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.SUSPENDED,
    ProvisionState.CANCELLING,
)


# Who may enter ------------------------------------------------------------------------------------------------------


def may_order(student: User) -> bool:
    """Whether a person may start or go on with an order. What was bought stays visible after the enrolment ended."""
    return student.is_enrolled and student.enrolment_ended_at is None


def not_enrolled(student: User) -> dict[str, str]:
    """The page that says whom to ask."""
    contact = getattr(settings, "ENROLMENT_CONTACT", "") or settings.OPERATOR_EMAIL
    subject = quote(_("Please enrol me for GTM Infrastructure"))
    return {
        "email": student.email,
        "contact": contact,
        "contact_href": f"mailto:{contact}?subject={subject}" if contact else "",
    }


def last_ended(student: User) -> Provision | None:
    """Return the student's last cancelled provision."""
    return Provision.objects.filter(student=student, state=ProvisionState.CANCELLED).select_related("tier").first()


# Home and the unfinished draft --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HomeCard:
    title: str
    text: str
    tag: Tag | None
    link: Option
    facts: list[Fact]
    kind: str = "secondary"


@dataclass(frozen=True, slots=True)
class Home:
    title: str
    lede: str
    cards: list[HomeCard]


def home(student: User, provision: Provision | None) -> Home:
    """The bootcamp's first page: one card for the infrastructure, one for the tools where they have an address."""
    cards = [_infrastructure_card(provision)]
    if tools := getattr(settings, "AI_TOOLS_URL", ""):
        text = _("Prompts and assistants for research and writing. They live on the bootcamp's own pages.")
        cards.append(HomeCard(_("AI Tools"), text, None, Option(_("Open AI Tools"), tools, away=True), []))
    name = student.first_name
    return Home(
        title=_("Welcome, %(name)s") % {"name": name} if name else _("Welcome"),
        lede=_("Your bootcamp's resources, and what each is up to."),
        cards=cards,
    )


def _infrastructure_card(provision: Provision | None) -> HomeCard:
    title, href = _("GTM Infrastructure"), reverse("infrastructure")
    if provision is None:
        text = _("Domains, mailboxes, a sending tool and a lead list for cold outreach. You choose; we build it.")
        return HomeCard(title, text, None, Option(_("Set it up"), href), [], kind="primary")
    label, text = {
        ProvisionState.DRAFT: (_("Continue"), _("You have begun an order. Nothing is paid yet.")),
        ProvisionState.PENDING_PAYMENT: (_("See the payment"), _("Your order waits for its payment.")),
        ProvisionState.PROVISIONING: (_("See the progress"), _("We are building your infrastructure.")),
        ProvisionState.UPGRADING: (_("See the progress"), _("We are enlarging your infrastructure.")),
        ProvisionState.FAILED: (_("See what happened"), _("The set-up has stopped. The operator is looking at it.")),
    }.get(ProvisionState(provision.state), (_("Open the dashboard"), _("Your infrastructure is up.")))
    facts = [Fact(_("Reference"), provision.reference)]
    if provision.tier:
        facts.insert(0, Fact(_("Package"), provision.tier.name))
    return HomeCard(title, text, words.provision(provision.state), Option(label, href), facts, kind="primary")


@dataclass(frozen=True, slots=True)
class Unfinished:
    title: str
    sentence: str
    progress_label: str
    progress_words: str
    done: int
    of: int
    facts: list[Fact]
    href: str


def unfinished(provision: Provision, *, number: int, of: int, href_name: str, now: datetime) -> Unfinished:
    """The draft as it waits: which step, when it was saved, what it holds."""
    facts = [Fact(_("Package"), provision.tier.name)] if provision.tier else []
    if provision.brand:
        facts.append(Fact(_("Brand"), provision.brand))
    chosen = provision.domains.filter(state=DomainState.SELECTED).count()
    if chosen:
        facts.append(Fact(_("Domains chosen"), str(chosen)))
    place = {"n": number, "all": of}
    return Unfinished(
        title=_("Your order"),
        sentence=_("Step %(n)s of %(all)s, saved %(when)s. Nothing is paid yet.")
        % {**place, "when": ago(provision.updated_at, now=now)},
        progress_label=_("Steps done"),
        progress_words=_("%(n)s of %(all)s") % {"n": number - 1, "all": of},
        done=number - 1,
        of=of,
        facts=facts,
        href=reverse(href_name),
    )


# The dashboard ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    text: str = ""
    label: str = ""
    copyable: bool = False
    word: str = ""
    tone: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    tone: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Login:
    """A login of a sending tool: what may be shown beside it, and the one chance to see the password."""

    id: str
    title: str
    login: str
    link: Option | None
    note: str
    warning: str
    href: str
    can_reveal: bool


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    text: str
    facts: list[Fact]
    link: Option | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    tag: Tag
    sentences: list[str]
    notices: list[Notice]
    domain_columns: list[str]
    domains: list[list[Cell]]
    mailbox_columns: list[str]
    mailboxes: list[list[Cell]]
    logins: list[Login]
    cards: list[Card]
    instructions: SafeString
    facts: list[Fact]
    updated: str


def dashboard(student: User, provision: Provision, *, now: datetime) -> Dashboard:
    """What runs, in three sentences first; then every mailbox, every domain, the logins and what to do next."""
    domains = [one for one in provision.domains.all() if one.state != DomainState.SPARE]
    mailboxes = list(provision.mailboxes.select_related("domain"))
    return Dashboard(
        tag=words.provision(provision.state),
        sentences=_three_sentences(student, provision, domains, mailboxes, now=now),
        notices=_notices(student, provision, domains, mailboxes),
        domain_columns=[_("Domain"), _("State"), _("Mailboxes"), _("Paid until")],
        domains=[_domain_row(student, one, mailboxes) for one in domains],
        mailbox_columns=[_("Address"), _("State"), _("Warmup"), _("May send from")],
        mailboxes=[_mailbox_row(student, provision, one, now=now) for one in mailboxes],
        logins=[login(student, one, now=now) for one in _credentials(provision)],
        cards=_cards(provision),
        instructions=markdown(instructions(provision)),
        facts=_order_facts(student, provision),
        updated=_("As of %(time)s") % {"time": moment(student, now, now=now)},
    )


def _three_sentences(
    student: User, provision: Provision, domains: Sequence[Domain], mailboxes: Sequence[Mailbox], *, now: datetime
) -> list[str]:
    wanted = [one for one in mailboxes if one.state != MailboxState.REMOVED]
    good = [one for one in wanted if one.state in (MailboxState.WARMING, MailboxState.READY, MailboxState.CONNECTED)]
    bad = len(wanted) - len(good)
    first = ngettext(
        "%(good)s of %(all)s mailbox is working.", "%(good)s of %(all)s mailboxes are working.", len(wanted)
    ) % {"good": len(good), "all": len(wanted)}
    second = (
        ngettext("%(n)s needs attention.", "%(n)s need attention.", bad) % {"n": bad}
        if bad
        else _("Nothing needs your attention.")
    )
    return [first, second, _sending_sentence(student, provision, mailboxes, now=now)]


def _sending_sentence(student: User, provision: Provision, mailboxes: Sequence[Mailbox], *, now: datetime) -> str:
    if provision.state == ProvisionState.SUSPENDED:
        return _("Warmup rests until the payment is settled.")
    ready = sending_may_start(provision, mailboxes)
    if ready is None:
        return _("The date when sending may start is known once warmup has begun.")
    if ready <= now:
        return _("The warmup days are over.")
    return _("Ready to send about %(day)s.") % {"day": day(student, ready)}


def sending_may_start(provision: Provision, mailboxes: Sequence[Mailbox]) -> datetime | None:
    """Return when the last mailbox's warmup days are over; None while no warmup has begun."""
    starts = [one.warmup_started_at for one in mailboxes if one.warmup_started_at]
    return max(starts) + timedelta(days=_warmup_days(provision)) if starts else None


def _warmup_days(provision: Provision) -> int:
    days = provision.order.get("warmup_days") or (provision.tier.warmup_days if provision.tier else 14)
    return int(days)


def _notices(
    student: User, provision: Provision, domains: Sequence[Domain], mailboxes: Sequence[Mailbox]
) -> list[Notice]:
    found = []
    if provision.state == ProvisionState.ACTIVE_WITH_EXCEPTIONS:
        items: list[Domain | Mailbox] = [*domains, *mailboxes]
        failed = [one for one in items if one.state in ("failed", "lost", "removed") and one.reason]
        text = " ".join(f"{one}: {one.reason}" for one in failed) or _("The operator is looking at it.")
        found.append(Notice("attention", _("Something that you ordered is missing"), text))
    if provision.state == ProvisionState.SUSPENDED:
        text = _("A payment failed. Warmup and sending rest until it is settled; nothing has been deleted.")
        found.append(Notice("attention", _("Your infrastructure is paused"), text))
    if provision.state == ProvisionState.CANCELLING:
        text = _("It goes on working until the end of the time that you have paid for.")
        found.append(Notice("wait", _("Your subscription is ending"), text))
    return found


def _domain_row(student: User, domain: Domain, mailboxes: Sequence[Mailbox]) -> list[Cell]:
    tag = words.domain(domain.state)
    count = sum(one.domain_id == domain.pk for one in mailboxes)
    until = _paid_until(student, domain)
    return [
        Cell(domain.name, copyable=True),
        Cell(word=tag.word, tone=tag.tone, label=_("State")),
        Cell(str(count), label=_("Mailboxes")),
        Cell(until, label=_("Paid until")),
    ]


def _paid_until(student: User, domain: Domain) -> str:
    if domain.expires_at:
        return formats.date_format(in_zone_of(student, domain.expires_at), "j F Y")
    noted = parse_date(str(domain.facts.get("expires_on") or "")[:10])
    return formats.date_format(noted, "j F Y") if noted else _("not known yet")


def _mailbox_row(student: User, provision: Provision, mailbox: Mailbox, *, now: datetime) -> list[Cell]:
    tag = words.mailbox(mailbox.state)
    return [
        Cell(mailbox.address, copyable=True),
        Cell(word=tag.word, tone=tag.tone, label=_("State")),
        Cell(_warmup_day(provision, mailbox, now=now), label=_("Warmup")),
        Cell(_may_send_from(student, provision, mailbox), label=_("May send from")),
    ]


def _warmup_day(provision: Provision, mailbox: Mailbox, *, now: datetime) -> str:
    if mailbox.warmup_started_at is None:
        return _("not begun")
    days = _warmup_days(provision)
    today = (now - mailbox.warmup_started_at).days + 1
    return _("day %(n)s of %(all)s") % {"n": today, "all": days} if today <= days else _("over")


def _may_send_from(student: User, provision: Provision, mailbox: Mailbox) -> str:
    if mailbox.warmup_started_at is None or provision.state == ProvisionState.SUSPENDED:
        return _("not known yet")
    return day(student, mailbox.warmup_started_at + timedelta(days=_warmup_days(provision)))


def _order_facts(student: User, provision: Provision) -> list[Fact]:
    order, tier = provision.order, provision.tier
    currency = str(order.get("currency", "usd"))
    facts = [Fact(_("Reference"), provision.reference)]
    if tier:
        facts.insert(0, Fact(_("Package"), str(order.get("tier_name") or tier.name)))
        monthly = int(order.get("monthly_fee_cents", tier.monthly_fee_cents))
        facts.append(Fact(_("Each month"), money(monthly, currency)))
    if provision.ready_at:
        facts.append(Fact(_("Ready since"), day(student, provision.ready_at)))
    return facts


# Logins and links ---------------------------------------------------------------------------------------------------


def _credentials(provision: Provision) -> list[Credential]:
    return list(provision.credentials.defer("password").prefetch_related("reveals").order_by("kind"))


def login(student: User, credential: Credential, *, now: datetime) -> Login:
    """A login as it may be shown: never its password, but whether that may still be seen."""
    shown = next(iter(sorted(credential.reveals.all(), key=lambda one: one.created_at)), None)
    note = (
        _("The password has been shown (%(when)s). If you have lost it, ask the operator for a new one.")
        % {"when": moment(student, shown.created_at, now=now)}
        if shown
        else _(
            "The password is shown once, after you have typed the password of this site. We write down that you saw it."
        )
    )
    return Login(
        id=str(credential.pk),
        title=_("Sending tool"),
        login=credential.login,
        link=_away(_("Open the sending tool"), getattr(settings, "SENDING_TOOL_URL", "https://app.plusvibe.ai/")),
        note=note,
        warning=_(
            "Our set-up uses this login too. If you change its password, new mailboxes no longer arrive in the tool."
        ),
        href=reverse("credential", args=[credential.pk]),
        can_reveal=shown is None,
    )


def _away(label: str, href: Any) -> Option | None:
    return Option(label, str(href), away=True) if href else None


def _cards(provision: Provision) -> list[Card]:
    facts = provision.facts
    name = str(facts.get("heyreach_list_name") or "")
    if not name and not facts.get("heyreach_list_id"):
        return []
    return [
        Card(
            title=_("Lead list"),
            text=_("An empty LinkedIn list for this order. Campaigns are made by you, in the tool."),
            facts=[Fact(_("Name"), name)] if name else [],
            link=_away(_("Open the lead list"), getattr(settings, "LEAD_TOOL_URL", "https://app.heyreach.io/")),
        )
    ]


def instructions(provision: Provision) -> str:
    """Return the operator's instructions for the package, as Markdown."""
    return str(provision.order.get("instructions") or (provision.tier.instructions if provision.tier else ""))


def markdown(text: str) -> SafeString:
    """The operator's Markdown as HTML. Raw HTML is off, so the result is safe."""
    rendered = MarkdownIt("commonmark", {"html": False}).render(text) if text.strip() else ""
    return mark_safe(rendered)  # noqa: S308, the renderer escapes whatever HTML the text holds
