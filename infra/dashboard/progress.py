"""Plain values for the progress page: every state that an order can be in, said in plain words."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing.models import Checkout
from infra import clock, rls
from infra.models import NameAnswer, ParkedReason, Provision, ProvisionState, User
from infra.models.domain import HELD
from infra.presenters_base import Fact, Line, Option, Tag, day, in_zone_of, listed, moment, money, usual, version_of
from infra.troubles import CATALOGUE, Trouble
from infra.wizard import drafts, names
from infra.wizard.registering import agreement_links
from provisioning import queries
from provisioning.engine.accounts import UPDATE_KEY
from provisioning.engine.entries import ASKED
from provisioning.models import ACTIVE_RUN
from provisioning.queries import ItemStatus, StageStatus, Status
from provisioning.steps.workspace import registering

from . import billing_notices, owning, words
from .presenters import Notice

BUILDING = (ProvisionState.PROVISIONING, ProvisionState.UPGRADING)
UP = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
OFFERED_REPLACEMENTS = 6
NAMESERVERS, MAY_STOP = "nameservers", "may_stop"  # the questions to the owner of a domain
REGISTER = registering.QUESTION
TO_OWNERS = (NAMESERVERS, MAY_STOP)
ELSEWHERE = (UPDATE_KEY, ASKED)  # answered on a page of their own


@dataclass(frozen=True, slots=True)
class Advice:
    """What stands in a stage's way, from the catalogue of troubles: what it is, what is done about it, what else is left."""

    code: str
    sentence: str
    action: str
    fallback: str
    href: str


def advice(found: Trouble | None) -> Advice | None:
    """Return an entry of the catalogue as the page shows it."""
    if found is None:
        return None
    href = reverse("help", args=[found.help])
    return Advice(found.code, str(found.sentence), str(found.action), str(found.fallback), href)


@dataclass(frozen=True, slots=True)
class StageRow:
    key: str
    number: int
    title: str
    word: str
    tone: str
    current: bool
    sentence: str
    usual: str
    meta: str
    lines: list[Line]
    lines_id: str
    lines_title: str
    folded: bool
    trouble: Advice | None = None


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    id: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Registering:
    """A name that GoDaddy did not register: why, what is left, and what it asks now where that is something else.

    shown  names those terms, so that nobody agrees to others than the page has shown
    """

    title: str
    text: str
    action: str
    price: str
    agreements: list[Option]
    shown: str
    agree_label: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The question which name replaces a lost one."""

    id: str
    title: str
    text: str
    href: str
    options: list[ChoiceOption]
    options_note: str
    value: str
    own_error: str
    error: str
    drop_label: str
    ask: owning.Ask | None = None
    may_stop: bool = False
    register: Registering | None = None
    takes_own: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was answered to the question about a lost domain, and why it cannot be. `of_own` names were typed by hand."""

    domain: str
    typed: str
    sentence: str
    of_own: bool


@dataclass(frozen=True, slots=True)
class ProgressPage:
    """The whole page. `version` changes when anything but the clock would look different."""

    tag: Tag
    title: str
    lede: str
    since: str
    notices: list[Notice]
    choices: list[Choice]
    links: list[Option]
    can_change: bool
    bar_label: str
    bar_value: int
    bar_max: int
    bar_words: str
    stages: list[StageRow]
    facts: list[Fact]
    announce: str
    polling: bool
    can_check: bool
    checked_at: str
    zone: str
    version: str = ""
    poll_href: str = ""


def progress(
    student: User,
    provision: Provision,
    *,
    now: datetime,
    refused: Refusal | None = None,
    status: Status | None = None,
) -> ProgressPage:
    """Return the progress page of a provision. `refused` is an answer that was just refused.

    `status` is the provision's, where the caller has read it already.
    """
    status = status or queries.status_of(provision)
    page = _page(student, provision, status, now=now, refused=refused)
    version = hashlib.sha256(repr(replace(page, checked_at="")).encode()).hexdigest()[:16]
    return replace(page, version=version, poll_href=f"{reverse('progress-state')}?version={version}")


def _page(
    student: User, provision: Provision, status: Status, *, now: datetime, refused: Refusal | None
) -> ProgressPage:
    head = _head(student, provision, status)
    is_ended = provision.state == ProvisionState.CANCELLED
    stages = [] if is_ended else _stages(student, provision, status, now=now)
    done, total = sum(stage.done for stage in status.stages), sum(stage.total for stage in status.stages)
    building = provision.state in BUILDING
    return ProgressPage(
        tag=head.tag,
        title=head.title,
        lede=head.lede,
        since=_since(student, provision, now=now),
        notices=head.notices,
        choices=[_choice(provision, item, refused) for item in status.questions if item.question not in ELSEWHERE]
        if building
        else [],
        links=[*head.links, *([] if is_ended else to_batch(provision))],
        can_change=head.can_change,
        bar_label=_("Finished"),
        bar_value=done,
        bar_max=total if stages and not is_ended else 0,
        bar_words=_("%(done)s of %(all)s steps") % {"done": done, "all": total},
        stages=stages,
        facts=_facts(status),
        announce=_announcement(head.title, stages),
        polling=building or provision.state in (ProvisionState.PENDING_PAYMENT, ProvisionState.FAILED),
        can_check=building,
        checked_at=_clock_time(student, now),
        zone=str(in_zone_of(student, now).tzinfo),
    )


MANY = 5  # domains, beyond which they have a page of their own


def to_batch(provision: Provision) -> list[Option]:
    """Return the link to the page of an order's domains, where it has many that are paid for."""
    count = int(provision.order.get("domain_count", 0))
    if count <= MANY or provision.paid_at is None:
        return []
    return [Option(_("See all %(n)s domains") % {"n": count}, reverse("batches"))]


def _clock_time(student: User, now: datetime) -> str:
    return moment(student, now, now=now)


# The head: what is happening, in one title and one paragraph ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    tag: Tag
    title: str
    lede: str
    notices: list[Notice]
    links: list[Option]
    can_change: bool = False


def _head(student: User, provision: Provision, status: Status) -> Head:
    tag = words.provision(provision.state)
    if provision.state == ProvisionState.PENDING_PAYMENT:
        return _paying(provision, tag)
    if provision.state in BUILDING:
        return _building(student, provision, status, tag)
    if provision.state == ProvisionState.FAILED:
        return _failed(provision, status, tag)
    if provision.state == ProvisionState.CANCELLED:
        return _ended(student, provision, tag)
    return _up(provision, tag)


def _paying(provision: Provision, tag: Tag) -> Head:
    checkout = provision.checkouts.order_by("-created_at").first()
    if checkout is not None and checkout.state in (Checkout.State.CONFIRMING, Checkout.State.PAID):
        lede = _(
            "Your order is placed and your bank is confirming the payment. Cards take seconds, bank debits some days. "
            "Building begins by itself; you need not pay again."
        )
        return Head(Tag(_("Confirming"), "busy"), _("Confirming your payment"), lede, [], [])
    lede = _(
        "If you have just paid, this page notices it by itself, usually within a minute. You need not pay again. "
        "If you left the payment page, go back to it, or change your order."
    )
    links = [Option(_("Go to the payment page"), checkout.url, away=True)] if checkout and checkout.url else []
    return Head(tag, _("Waiting for your payment"), lede, [], links, can_change=True)


def _building(student: User, provision: Provision, status: Status, tag: Tag) -> Head:
    mail = _("You can close this page; we will e-mail you at %(email)s.") % {"email": student.email}
    lede = f"{words.how_long(str(provision.order.get('stack', '')))} {mail}".strip()
    title = _("We are building your infrastructure")
    notices = billing_notices.notices(student, provision, now=clock.vendor_now())
    links = []
    if provision.state == ProvisionState.UPGRADING:
        title = _("We are enlarging your infrastructure")
        links = [Option(_("Open the dashboard"), reverse("dashboard"))]  # what is there goes on working
    notices += [*_asked_elsewhere(provision, status)]
    here = [item for item in status.questions if item.question not in ELSEWHERE]
    if notices and status.questions and not here:
        return Head(Tag(_("Needs you"), "attention"), title, lede, notices, links)
    if asked := [item.name for item in here if item.question in TO_OWNERS]:
        tag, title = Tag(_("Needs you"), "attention"), _("Change the name servers of your domain")
        if all(item.question == MAY_STOP for item in here):
            title = _("Say whether what your domain does today may stop")
        lede = _(
            "%(names)s joins your set-up as soon as it leads to our name servers. Everything else goes on meanwhile."
        ) % {"names": listed(asked)}
    elif names := [item.name for item in here if item.question == REGISTER]:
        tag, title = Tag(_("Needs you"), "attention"), _("GoDaddy needs something of you")
        lede = _("%(names)s could not be registered yet. Everything else goes on meanwhile.") % {"names": listed(names)}
    elif here:
        tag, title = Tag(_("Needs you"), "attention"), _("We need your choice")
        lost = listed([item.name for item in here])
        lede = _("Somebody else registered %(names)s after you had paid. Everything else goes on meanwhile.") % {
            "names": lost
        }
    elif provision.parked_reason in (ParkedReason.NEEDS_OPERATOR, ParkedReason.WAITING_FUNDS):
        tag = Tag(_("With the operator"), "wait")
        notices.append(
            Notice(
                "wait",
                _("The operator is looking at one step"),
                _("They were told at once. You need not do anything; nothing is lost, and nothing is paid twice."),
            )
        )
    elif provision.parked_reason == ParkedReason.WAITING_VENDOR:
        tag = Tag(_("Waiting for a platform"), "wait")
    return Head(tag, title, lede, notices, links)


def _asked_elsewhere(provision: Provision, status: Status) -> Iterator[Notice]:
    """Yield what the student is asked on another page: a key that works, and what only the owner of an account can make."""
    asked = {item.question for item in status.questions}
    if UPDATE_KEY in asked:
        text = _("One of your own accounts no longer lets us in. Everything else goes on meanwhile; nothing is lost.")
        link = Option(_("Look at your accounts"), reverse("connections"))
        yield Notice("attention", _("An account of yours needs you"), text, link)
    run = provision.runs.filter(state__in=ACTIVE_RUN).order_by("-created_at").first()
    if ASKED in asked and run is not None:
        items = listed([item.name for item in status.questions if item.question == ASKED][:6])
        text = _("Google lets only the owner of an account make it: for %(items)s. We say how, step by step.")
        link = Option(_("Make it and paste it"), reverse("enter", args=[run.pk]))
        yield Notice("attention", _("Something only you can make"), text % {"items": items}, link)


def _failed(provision: Provision, status: Status, tag: Tag) -> Head:
    bought = provision.domains.filter(bought_at__isnull=False).count()
    kept = (
        ngettext("%(n)s domain is bought and stays yours.", "%(n)s domains are bought and stay yours.", bought)
        % {"n": bought}
        if bought
        else _("No domain has been bought.")
    )
    lede = (
        _("The set-up has stopped and cannot go on by itself. The operator was told and will continue it from here.")
        + f" {kept} "
        + _("You are not charged again.")
    )
    quoted = _("If you write to the operator, quote %(reference)s.") % {"reference": provision.reference}
    return Head(
        tag, _("The set-up has stopped"), lede, [Notice("failed", status.failure or _("What happened"), quoted)], []
    )


def _ended(student: User, provision: Provision, tag: Tag) -> Head:
    ended = provision.cancelled_at or provision.updated_at
    lede = _(
        "This order ended on %(day)s. Domains that were bought stay registered until the end of the paid year; "
        "nothing is deleted before."
    ) % {"day": day(student, ended)}
    links = [Option(_("Order again"), reverse("setup-package"))] if student.is_enrolled else []
    if provision.domains.filter(HELD).exists():
        links.append(Option(_("Take everything along"), reverse("leaving")))
    return Head(tag, _("Your infrastructure has ended"), lede, [], links)


def _up(provision: Provision, tag: Tag) -> Head:
    links = [Option(_("Open the dashboard"), reverse("dashboard"))]
    if provision.state == ProvisionState.ACTIVE_WITH_EXCEPTIONS:
        lede = _("Everything that could be built is running. What is missing stands below and on the dashboard.")
        return Head(tag, _("Your infrastructure is ready, with exceptions"), lede, [], links)
    lede = _("Your mailboxes are warming up. The dashboard says when sending may start.")
    return Head(tag, _("Your infrastructure is ready"), lede, [], links)


def _since(student: User, provision: Provision, *, now: datetime) -> str:
    if provision.paid_at and provision.state in (*BUILDING, ProvisionState.FAILED):
        return _("paid %(when)s") % {"when": moment(student, provision.paid_at, now=now)}
    return ""


# Stages -------------------------------------------------------------------------------------------------------------

UNFINISHED = ("todo", "doing", "waiting")
STATES = {
    "todo": (gettext_lazy("Not started"), "off"),
    "doing": (gettext_lazy("In progress"), "busy"),
    "waiting": (gettext_lazy("Waiting"), "wait"),
    "done": (gettext_lazy("Done"), "done"),
    "failed": (gettext_lazy("Failed"), "failed"),
    "skipped": (gettext_lazy("Left out"), "off"),
}


def _stages(student: User, provision: Provision, status: Status, *, now: datetime) -> list[StageRow]:
    measured = _history(provision) if status.stages else {}
    scale = clock.scale() if status.stages else 1.0
    first_open = next((stage.key for stage in status.stages if stage.state not in ("done", "skipped")), "")
    has_stopped = provision.state == ProvisionState.FAILED
    return [
        _stage(
            student,
            place,
            stage,
            current=stage.key == first_open,
            measured=measured.get(stage.key),
            scale=scale,
            now=now,
            has_stopped=has_stopped,
        )
        for place, stage in enumerate(status.stages, start=1)
    ]


def _history(provision: Provision) -> dict[str, float]:
    return _measured(str(provision.order.get("stack", "")), int(time.time() // 600))


@lru_cache(maxsize=8)
def _measured(stack: str, _ten_minutes: int) -> dict[str, float]:
    """Average seconds per stage of everybody's history; read once in ten minutes, because it looks at every step."""
    if not stack:
        return {}
    with rls.acting_as("worker"):
        return {key: took.total_seconds() for key, took in queries.measured_usual(stack).items()}


def _stage(
    student: User,
    number: int,
    stage: StageStatus,
    *,
    current: bool,
    measured: float | None,
    scale: float,
    now: datetime,
    has_stopped: bool,
) -> StageRow:
    word, tone = _stage_words(stage)
    lines = [_line(item) for item in stage.items] if stage.state not in ("todo", "skipped") else []
    finished = sum(item.state == "done" for item in stage.items)
    usually = "" if has_stopped else _usual(stage, measured, scale)
    return StageRow(
        key=stage.key,
        number=number,
        title=stage.title,
        word=word,
        tone=tone,
        current=current,
        sentence=_stage_sentence(stage) if stage.state in ("doing", "waiting") else "",
        usual=usually,
        meta=_stage_meta(student, stage, usually, now=now),
        lines=lines,
        lines_id=f"stage-{stage.key}",
        lines_title=_("%(done)s of %(all)s finished") % {"done": finished, "all": len(stage.items)},
        folded=tone == "done",
        trouble=advice(stage.trouble) if stage.state == "waiting" else None,
    )


def _stage_words(stage: StageStatus) -> tuple[str, str]:
    failed = sum(item.state == "failed" for item in stage.items)
    if stage.state == "done" and failed:
        return (_("Failed"), "failed") if failed == len(stage.items) else (_("Done, not all"), "attention")
    return state_words(stage.state, stage.waits_on)


def state_words(state: str, waits_on: str) -> tuple[str, str]:
    """Return the word and the tone for the state of a stage, or of a domain or mailbox."""
    if state == "waiting" and waits_on == "student":
        return _("Needs you"), "attention"
    if state == "waiting" and waits_on in ("operator", "funds"):
        return _("With the operator"), "wait"
    word, tone = STATES[state]
    return str(word), tone


def _stage_sentence(stage: StageStatus) -> str:
    if stage.trouble is not None and stage.waits_on != "student":  # said below, with what is done about it
        return stage.doing
    waiting = {
        "student": _needed_of_student(stage),
        "operator": _("The operator was told and looks at it. You need not do anything."),
        "funds": _("The operator was told and looks at it. You need not do anything."),
        "platform": _("We wait for the platform that does this, and look again every few minutes."),
        "budget": _("Other orders are ahead of yours for a moment."),
    }.get(stage.waits_on, "")
    return f"{stage.doing} {waiting}".strip()


def _needed_of_student(stage: StageStatus) -> str:
    asked = {question: [item.name for item in stage.items if item.question == question] for question in TO_OWNERS}
    others = {item.question for item in stage.items if item.question and item.question not in TO_OWNERS}
    if others and others <= set(ELSEWHERE) and not any(asked.values()):
        return _("We need something of you, see above.")
    if others - set(ELSEWHERE) or not any(asked.values()):
        return _("We need your choice, see above.")
    sentences = []
    if names := asked[MAY_STOP]:
        sentences.append(_("Say whether what lies at %(names)s today may stop, see above.") % {"names": listed(names)})
    if names := asked[NAMESERVERS]:
        sentences.append(
            _(
                "%(names)s: we wait until you have changed the name servers, see above, and look again every few minutes."
            )
            % {"names": listed(names)}
        )
    return " ".join(sentences)


def _usual(stage: StageStatus, measured: float | None, scale: float) -> str:
    """Say how long an unfinished stage usually takes: from our own history, else what its platform's pages promise."""
    return usual(_usual_seconds(stage, measured, scale)) if stage.state in UNFINISHED else ""


def _usual_seconds(stage: StageStatus, measured: float | None, scale: float) -> tuple[float, float]:
    low, high = stage.usual_seconds
    return (measured * 0.7, measured * 1.4) if measured else (low / scale, high / scale)


def time_left(provision: Provision, status: Status) -> tuple[float, float] | None:
    """Return how many seconds what is left usually takes, from and to: the usual times of the unfinished stages.

    None where nothing is left, or nothing goes on by itself.
    """
    if provision.state not in BUILDING:
        return None
    measured, scale = _history(provision), clock.scale()
    left = [_usual_seconds(one, measured.get(one.key), scale) for one in status.stages if one.state in UNFINISHED]
    return (sum(low for low, _high in left), sum(high for _low, high in left)) if left else None


def _stage_meta(student: User, stage: StageStatus, usually: str, *, now: datetime) -> str:
    parts = []
    if stage.finished_at and stage.state == "failed":
        parts.append(_("stopped %(when)s") % {"when": moment(student, stage.finished_at, now=now)})
    elif stage.finished_at:
        parts.append(_("done %(when)s") % {"when": moment(student, stage.finished_at, now=now)})
    elif stage.started_at:
        parts.append(_("since %(when)s") % {"when": moment(student, stage.started_at, now=now)})
    if usually:
        parts.append(usually)
    text = " · ".join(parts)
    return text[:1].upper() + text[1:]


def _line(item: ItemStatus) -> Line:
    word, tone = state_words(item.state, item.waits_on)
    # What a platform answered is the operator's; the student is told why something failed.
    return Line(item.name, word, tone, item.why if item.state == "failed" else "")


def _announcement(title: str, stages: Sequence[StageRow]) -> str:
    current = next((stage for stage in stages if stage.current), None)
    return f"{title}. {current.title}: {current.word}." if current else title


def _facts(status: Status) -> list[Fact]:
    facts = [Fact(_("Reference"), status.reference)]
    # What is short at the operator's is the operator's business.
    told = [one for one in status.stages if one.state == "waiting" and one.waits_on not in ("operator", "funds")]
    return facts + [Fact(stage.title, stage.why) for stage in told if stage.why]


# The choice of another name -----------------------------------------------------------------------------------------


def replacement_names(provision: Provision) -> list[str]:
    """Return the names that may be offered in the place of a lost one: typed ones first, then suggestions."""
    used = set(provision.domains.values_list("name", flat=True))
    pool = [*reversed(provision.searched_names), *drafts.suggested(provision)]
    return [name for name in dict.fromkeys(pool) if name not in used][: drafts.chunk_size(provision)]


def _choice(provision: Provision, item: ItemStatus, refused: Refusal | None) -> Choice:
    pool = replacement_names(provision)
    known = names.known(provision, pool)
    cap, currency = int(provision.order["domain_price_cap_cents"]), str(provision.order["currency"])
    free = [
        (name, known[name])
        for name in pool
        if name in known
        and known[name].answer == NameAnswer.AVAILABLE
        and known[name].price_cents <= cap
        and not known[name].held_by_another
    ]
    waiting = sum(
        name not in known or (known[name].answer == NameAnswer.CHECKING and not known[name].gave_up) for name in pool
    )
    mine = refused if refused is not None and refused.domain == item.key else None
    is_own = item.question in TO_OWNERS
    takes_own = not drafts.has_search(provision)
    if takes_own:
        text = _("Another domain that you own can take its place. The mailboxes of %(name)s move to it.")
    else:
        text = _(
            "The set-up fee covers the new name, so it costs you nothing more. The mailboxes of %(name)s move to it."
        )
    return Choice(
        register=_registering(provision, item) if item.question == REGISTER else None,
        takes_own=takes_own,
        ask=owning.ask_of(provision.domains.get(pk=item.key)) if is_own else None,
        may_stop=item.question == MAY_STOP,
        id=item.key,
        title=_("Another name for %(name)s") % {"name": item.name},
        text=text % {"name": item.name},
        href=reverse("progress-replacement"),
        options=[
            ChoiceOption(
                f"name-{item.key}-{place}",
                name,
                _("renews at %(price)s") % {"price": money(one.renewal_cents or one.price_cents, currency)},
            )
            for place, (name, one) in enumerate(free[:OFFERED_REPLACEMENTS])
        ],
        options_note=ngettext("%(n)s more name is being checked.", "%(n)s more names are being checked.", waiting)
        % {"n": waiting}
        if waiting
        else "",
        value=mine.typed if mine and mine.of_own else "",
        own_error=mine.sentence if mine and mine.of_own else "",
        error=mine.sentence if mine and not mine.of_own else "",
        drop_label=_("Go on without it and get %(amount)s back")
        % {"amount": money(int(provision.order.get("refund_share_cents", 0)), currency)},
    )


def _registering(provision: Provision, item: ItemStatus) -> Registering:
    domain = provision.domains.get(pk=item.key)
    terms = domain.facts.get(registering.TERMS)
    trouble = item.trouble or CATALOGUE["GODADDY_API_ERROR"]
    price = money(int(terms["cents"]), str(terms["currency"])) if terms else ""
    return Registering(
        title=_("%(name)s was not registered") % {"name": item.name},
        text=str(trouble.sentence),
        action=str(trouble.action),
        price=price,
        agreements=agreement_links((terms or {}).get("agreements", ())),
        shown=terms_version(terms),
        agree_label=_("I agree: register it for at most %(price)s") % {"price": price} if terms else _("Try again"),
    )


def terms_version(terms: Mapping[str, Any] | None) -> str:
    """Return what changes when GoDaddy asks for something else; empty where it asks for nothing new."""
    return version_of(terms) if terms else ""
