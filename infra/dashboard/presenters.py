"""Plain values for the pages after (and around) the order. What a template shows is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

from infra.models import (
    Credential,
    DomainState,
    Provision,
    ProvisionState,
    User,
)
from infra.presenters_base import Fact, Option, Tag, ago, moment

from . import words

RUNNING = (
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
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
    ended = Provision.objects.filter(student=student, enlarges=None, state=ProvisionState.CANCELLED)
    return ended.select_related("tier").first()


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
        ProvisionState.CANCELLING: (_("Open the dashboard"), _("Your infrastructure is being taken down.")),
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


def unfinished(provision: Provision, *, number: int, of: int, href: str, now: datetime) -> Unfinished:
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
        href=href,
    )


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that stands above everything else on a page, and where to do something about it."""

    tone: str
    title: str
    text: str
    link: Option | None = None


# Logins and links ---------------------------------------------------------------------------------------------------


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


def logins(student: User, provision: Provision, *, now: datetime) -> list[Login]:
    """Return the logins of a provision, without passwords."""
    rows = Credential.logins(provision).defer("password").prefetch_related("reveals").order_by("kind")
    return [login(student, one, now=now) for one in rows]


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
        link=away(_("Open the sending tool"), getattr(settings, "SENDING_TOOL_URL", "https://app.plusvibe.ai/")),
        note=note,
        warning=_(
            "Our set-up uses this login too. If you change its password, new mailboxes no longer arrive in the tool."
        ),
        href=reverse("credential", args=[credential.pk]),
        can_reveal=shown is None,
    )


def away(label: str, href: Any) -> Option | None:
    """Return a link that leaves our site; none without an address."""
    return Option(label, str(href), away=True) if href else None


def instructions(provision: Provision) -> str:
    """Return the operator's instructions for the package, as Markdown."""
    return str(provision.order.get("instructions") or (provision.tier.instructions if provision.tier else ""))


def markdown(text: str) -> SafeString:
    """The operator's Markdown as HTML. Raw HTML is off, so the result is safe."""
    rendered = MarkdownIt("commonmark", {"html": False}).render(text) if text.strip() else ""
    return mark_safe(rendered)  # noqa: S308, the renderer escapes whatever HTML the text holds
