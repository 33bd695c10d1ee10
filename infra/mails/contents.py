"""What each kind of mail says: plain values for templates/mail/, read at the moment of sending.

A row of the outbox carries no link, no token and no password: links are made here, from rows that are true now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template import Context
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils import formats
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from infra import accounts, clock, troubles, warmup
from infra.dashboard import owning, presenters, words
from infra.dashboard.board import date_words
from infra.dashboard.domains.dns import changes
from infra.dns.names import display
from infra.models import (
    Credential,
    Domain,
    DomainState,
    Mail,
    Mailbox,
    MailboxState,
    OperatorItem,
    OrderLine,
    PlatformConnection,
    Provision,
    RenewalChoice,
    RunKind,
    User,
)
from infra.presenters_base import day, in_zone_of, listed, money, package_title
from infra.troubles import Trouble
from provisioning import connections, entering
from provisioning.inventory import choices, owned
from provisioning.models import ACTIVE_RUN, Run, Step
from provisioning.queries import set_aside
from provisioning.stacks import STACKS
from provisioning.steps.workspace import registering

OPERATOR = "operator"  # one template for every "operator_<kind>"

Values = dict[str, Any]


class Unsendable(Exception):
    """This mail can never be sent: its template or its recipient does not exist."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it goes out: the same words as text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that was ordered and is not there: what that means, and what it means for the money."""

    name: str
    what: str
    money: str


def letter(mail: Mail) -> Letter:
    """Render a mail. Raises Unsendable."""
    name = template_of(mail.kind)
    values = _common(mail) | KINDS[name](mail)
    subject = " ".join(_render(f"mail/{name}.subject.txt", values, escape=False).split())
    text = _render(f"mail/{name}.txt", values, escape=False)
    html = _render(f"mail/{name}.html", values | {"subject": subject}, escape=True)
    return Letter(subject, re.sub(r"\n\s*\n+", "\n\n", text).strip() + "\n", html)


def template_of(kind: str) -> str:
    """Return the name of a kind's templates. Raises Unsendable for a kind that nobody has written."""
    name = OPERATOR if kind.startswith(f"{OPERATOR}_") else kind
    if name not in KINDS:
        raise Unsendable(f"there is no mail called {kind!r}")
    return name


def _render(name: str, values: Values, *, escape: bool) -> str:
    template: Any = get_template(name)
    return str(template.template.render(Context(values, autoescape=escape)))


def absolute(name: str, *args: object) -> str:
    """Return the full address of one of our pages."""
    return f"{settings.SITE_URL}{reverse(name, args=args)}"


def _common(mail: Mail) -> Values:
    context, provision = mail.context, mail.provision
    return {
        **{key: value for key, value in context.items() if isinstance(value, str)},
        "to": mail.to,
        "name": provision.student.first_name if provision and mail.student_id else "",
        "reference": provision.reference if provision else "",
        "site_name": _("GTM Infrastructure"),
        "language": get_language() or settings.LANGUAGE_CODE,
        "contact": getattr(settings, "ENROLMENT_CONTACT", "") or settings.OPERATOR_EMAIL,
        "site_link": absolute("home"),
        "infrastructure_link": absolute("infrastructure"),
        "progress_link": absolute("progress"),
        "dashboard_link": absolute("dashboard"),
        "upgrade_link": absolute("upgrade"),
        "downgrade_link": absolute("downgrade"),
        "connections_link": absolute("connections"),
    }


# One function per kind: what it says beyond the common values ---------------------------------------------------------


def _nothing_more(mail: Mail) -> Values:
    return {}


def _invited(mail: Mail) -> Values:
    person = User.objects.filter(email__iexact=mail.to, is_active=True).first()
    if person is None:
        raise Unsendable("nobody with this address is invited any more")
    lasts = getattr(settings, "INVITATION_LASTS", accounts.LASTS)
    return {
        "name": person.first_name,
        "invitation_link": absolute("invitation", accounts.invitation_token(person)),
        "lasts_days": lasts.days,
    }


def _amount(mail: Mail) -> str:
    return money(int(mail.context.get("amount_cents", 0)), str(mail.context.get("currency", "usd")))


def _paid(mail: Mail) -> Values:
    how_long = words.how_long(str(_provision(mail).order.get("stack", "")))
    return {
        "amount": _amount(mail),
        "receipt_link": str(mail.context.get("receipt_url") or ""),
        "how_long": how_long,
    }


def _nameservers(mail: Mail) -> Values:
    """What the owner of a domain is to change at its registrar, and what is seen there now."""
    domain = _provision(mail).domains.filter(name=mail.context.get("item")).first()
    if domain is None:
        raise Unsendable("its domain does not exist")
    asked = owning.ask_of(domain)
    return {
        "servers": asked.servers,
        "seen": asked.seen,
        "how": asked.how,
        "must_say": asked.must_say,
        "stops": [f"{fact.label}: {fact.value}" for fact in asked.stops],
        "stops_text": asked.stops_text,
        "is_late": int(mail.context.get("notice", 0)) > 1,
    }


def _needs_you(mail: Mail) -> Values:
    """Which name is to be replaced, and whether by a domain of the student's own: where nobody sells names."""
    stack = STACKS.get(str(mail.provision.order.get("stack", ""))) if mail.provision else None
    return {"by_own": stack is not None and stack.registrar is None}


def _registering(mail: Mail) -> Values:
    """Why GoDaddy has not registered a name, and what its student can do about it."""
    rows = Step.objects.filter(run__provision=_provision(mail), domain__name=mail.context.get("item"))
    row = rows.filter(facts__question=registering.QUESTION).order_by("-run__created_at").first()
    if row is None:
        raise Unsendable("nothing is asked about this name any more")
    trouble = troubles.of(str(row.facts.get("cause", ""))) or troubles.CATALOGUE["GODADDY_API_ERROR"]
    return {"why": trouble.sentence, "action": trouble.action, "fallback": trouble.fallback}


def _by_hand(mail: Mail) -> Values:
    """What is asked for now, and how it is made."""
    run = _provision(mail).runs.filter(state__in=ACTIVE_RUN).order_by("-created_at").first()
    asked = entering.asked(run) if run is not None else []
    if run is None or not asked:
        raise Unsendable("nothing is asked for any more")
    return {
        "parts": [{"label": one.entry.label, "how": one.entry.how, "items": listed(one.items[:10])} for one in asked],
        "enter_link": absolute("enter", run.pk),
    }


def _connection_code(mail: Mail) -> Values:
    """The code is made here and kept nowhere."""
    rows = PlatformConnection.objects.filter(pk=mail.context.get("connection"), ended_at=None)
    row = rows.filter(state=PlatformConnection.State.PROVING).first()
    if row is None:
        raise Unsendable("nobody asks for its code any more")
    return {"code": connections.code_of(row)}


def _refunded(mail: Mail) -> Values:
    return {"amount": _amount(mail)}


def _stage(mail: Mail) -> Values:
    key = str(mail.context.get("stage", ""))
    stack = STACKS.get(str(_provision(mail).order.get("stack", "")))
    titles = {stage.key: str(stage.title) for stage in stack.stages} if stack else {}
    return {"stage": titles.get(key) or _("One step")}


def _ready(mail: Mail) -> Values:
    provision = _provision(mail)
    login = Credential.logins(provision).defer("password").order_by("kind").first()
    boxes = list(provision.mailboxes.select_related("domain"))
    starts = warmup.all_ready_on(warmup.standings(provision, boxes, now=clock.vendor_now()))
    lead_list = str(provision.facts.get("heyreach_list_name") or "")
    stack = STACKS.get(str(provision.order.get("stack", "")))
    # Where we make the login, the tool is of no use without it.
    tool = stack.pitch.sending_tool if stack and (login or not stack.stores_login) else ""
    text = presenters.instructions(provision)
    return {
        "sending_day": date_words(starts) if starts else _("two weeks from now"),
        "login": login.login if login else "",
        "sending_tool_link": str(getattr(settings, tool, "")) if tool else "",
        "lead_list_link": str(getattr(settings, "LEAD_TOOL_URL", "")) if lead_list else "",
        "lead_list_suffix": f" ({lead_list})" if lead_list else "",
        "instructions": text.strip(),
        "instructions_html": presenters.markdown(text),
    }


def _ready_with_exceptions(mail: Mail) -> Values:
    return _ready(mail) | {"exceptions": missing(_provision(mail))}


def _upgraded(mail: Mail) -> Values:
    provision = _provision(mail)
    pitch = STACKS[provision.order["stack"]].pitch
    return {"package": package_title(provision.order), "left_out": str(pitch.left_out)}


def _downgraded_partly(mail: Mail) -> Values:
    """Tell of a smaller package of which something that was left out did not stop by itself."""
    run = _downgrade(mail)
    return _upgraded(mail) | {"not_stopped": listed(set_aside(run)) if run else ""}


def _downgrade_held_up(mail: Mail) -> Values:
    run = _downgrade(mail)
    return {"package": package_title(run.order["becomes"]) if run else _("a smaller package")}


def _downgrade(mail: Mail) -> Run | None:
    return _provision(mail).runs.filter(kind=RunKind.DOWNGRADE).first()


def _downgrade_planned(mail: Mail) -> Values:
    return {"start_day": _day(mail, "starts_on")}


def missing(provision: Provision) -> list[Missing]:
    """Return what was ordered and is not there. A lost name whose place another one took is not missing."""
    mailboxes = list(provision.mailboxes.exclude(domain__state=DomainState.RELEASED).select_related("domain"))
    gone = [domain for domain in provision.domains.all() if _is_missing(domain, mailboxes)]
    shares = {
        line.domain_id: line
        for line in provision.order_lines.filter(kind=OrderLine.Kind.DOMAIN_SHARE)
        if line.state != OrderLine.State.OPEN
    }
    found = [_missing_domain(domain, mailboxes, shares.get(domain.pk)) for domain in gone]
    bad = (MailboxState.FAILED, MailboxState.REMOVED)
    return found + [
        Missing(
            one.address,
            _sentence(_("This mailbox could not be made."), one.reason),
            _("The operator was told and looks at it. Nothing more is charged for it."),
        )
        for one in mailboxes
        if one.state in bad and one.domain not in gone
    ]


def _is_missing(domain: Domain, mailboxes: Sequence[Mailbox]) -> bool:
    if domain.state == DomainState.LOST:  # the mailboxes of a replaced name have moved to the new one
        return any(one.domain_id == domain.pk for one in mailboxes)
    return domain.state == DomainState.FAILED


def _missing_domain(domain: Domain, mailboxes: Sequence[Mailbox], share: OrderLine | None) -> Missing:
    addresses = [one.address for one in mailboxes if one.domain_id == domain.pk]
    what = _sentence(_("This domain could not be set up."), domain.reason)
    if addresses:
        what += " " + _("With it are missing: %(addresses)s.") % {"addresses": listed(addresses)}
    if share is None:
        return Missing(domain.name, what, _("The operator was told and looks at it. Nothing more is charged for it."))
    amount = money(share.amount_cents, share.currency)
    return Missing(
        domain.name, what, _("Its share of the set-up fee, %(amount)s, goes back to you.") % {"amount": amount}
    )


def _sentence(first: str, reason: str) -> str:
    return f"{first} {reason.rstrip('.')}." if reason else first


def _health(mail: Mail) -> Values:
    cause, action = HEALTH_CAUSES.get(str(mail.context.get("cause")), HEALTH_CAUSES["unknown"])
    return {"cause": str(cause), "action": str(action)}


WAIT_IT_OUT = _lazy(
    "Send no campaign mails from it for now. Warmup goes on and usually mends this within a week; we watch it and write"
    " again. If it lasts longer, ask the operator."
)
HEALTH_CAUSES: dict[str, tuple[str | Promise, str | Promise]] = {
    "disconnected": (
        _lazy("The sending tool has lost its connection to the mailbox, so nothing is warmed."),
        _lazy("Open the sending tool and connect the mailbox again, or ask the operator to do so."),
    ),
    "paused": (
        _lazy("Warmup is switched off for this mailbox."),
        _lazy(
            "Open the sending tool and switch warmup on again. Each day without it moves the day on which you may send."
        ),
    ),
    "google": (_lazy("Mails to Gmail addresses land in spam folders more often than elsewhere."), WAIT_IT_OUT),
    "microsoft": (_lazy("Mails to Outlook addresses land in spam folders more often than elsewhere."), WAIT_IT_OUT),
    "other": (
        _lazy("Mails to addresses outside Gmail and Outlook land in spam folders more often than elsewhere."),
        WAIT_IT_OUT,
    ),
    "unknown": (_lazy("More of its warmup mails than usual land in spam folders."), WAIT_IT_OUT),
}


def _dns_changed(mail: Mail) -> Values:
    """Every domain of the order whose records are not as they were; the one that was found, where all is well by now."""
    found = _provision(mail).domains.filter(dns_check__isnull=False).select_related("dns_check").order_by("name")
    lines = {one.name: changes(one.dns_check.records) for one in found}
    names = [name for name, said in lines.items() if said] or [str(mail.context["item"])]
    return {
        "lines": [f"{display(name)}. {' '.join(lines.get(name, ()))}".strip() for name in names],
        "subject_name": display(names[0]),
        "others": len(names) - 1,
        "dns_link": absolute("domain-dns", names[0]),
    }


def _cancelled(mail: Mail) -> Values:
    """What works until when. Before anything was bought there is nothing to say."""
    provision = _provision(mail)
    own = provision.domains.filter(connected_at__isnull=False).exclude(state=DomainState.LOST)
    return {
        "leaving_link": f"{absolute('leaving')}?order={provision.reference}",
        "has_mailboxes": provision.mailboxes.exclude(state__in=[MailboxState.PLANNED, MailboxState.REMOVED]).exists(),
        "domains": [
            *(_("%(name)s: until %(day)s") % {"name": one.name, "day": _paid_until(one)} for one in owned(provision)),
            *(_("%(name)s: stays at your registrar") % {"name": one.name} for one in own),
        ],
    }


def _renewal(mail: Mail) -> Values:
    """Domains whose year ends on one day: what another one costs, and what was chosen."""
    provision, ends = _provision(mail), date.fromisoformat(str(mail.context["ends_on"]))
    chosen = choices(provision)
    domains = [one for one in owned(provision) if one.expires_at and one.expires_at.astimezone(UTC).date() == ends]
    return {
        "n": int(mail.context["days"]),
        "ends_day": formats.date_format(ends, "j F Y"),
        "lines": [_renewal_line(provision, one, chosen.get(one.name, "")) for one in domains],
        "renewals_link": absolute("renewals"),
    }


def _renewal_line(provision: Provision, domain: Domain, choice: str) -> str:
    words = {RenewalChoice.Choice.KEEP: _("you keep it"), RenewalChoice.Choice.DROP: _("you let it end")}
    return _("%(name)s: another year costs %(price)s; %(choice)s") % {
        "name": domain.name,
        "price": money(domain.renewal_cents, str(provision.order.get("currency", "usd"))),
        "choice": words.get(RenewalChoice.Choice(choice), "") if choice else _("you have not chosen yet"),
    }


def _paid_until(domain: Domain) -> str:
    if domain.expires_at is None:
        return _("a year after it was bought")
    return formats.date_format(domain.expires_at, "j F Y")


def _revealed(mail: Mail) -> Values:
    when = in_zone_of(_provision(mail).student, mail.created_at)
    return {"shown_at": f"{day(_provision(mail).student, mail.created_at)}, {when:%H:%M} ({when.tzname()})"}


def _overdue(mail: Mail) -> Values:
    return {
        "amount": _amount(mail),
        "pay_link": str(mail.context.get("invoice_url") or ""),
        "suspend_day": _day(mail, "suspend_on"),
        "end_day": _day(mail, "end_on"),
    }


def _ending(mail: Mail) -> Values:
    return {"end_day": _day(mail, "ends_on")}


def _suspended(mail: Mail) -> Values:
    return {"end_day": _day(mail, "end_on"), "is_disputed": mail.context.get("why") == "dispute"}


def _day(mail: Mail, name: str) -> str:
    """Return a day that the row names, as its student reads it; nothing where it names none."""
    when = parse_datetime(str(mail.context.get(name) or ""))
    return day(_provision(mail).student, when) if when else ""


def _operator(mail: Mail) -> Values:
    item = mail.key.rpartition(":")[2]
    found = OperatorItem.objects.filter(pk=item).first() if _is_uuid(item) else None
    trouble = trouble_of(found) if found is not None else None
    return {
        "student_reads": str(trouble.sentence) if trouble else "",
        "help_link": absolute("help", trouble.help) if trouble else "",
        "name": "",
        "site_link": absolute("admin:index"),
        "short": Truncator(str(mail.context.get("sentence", ""))).chars(90),
        "item_link": _admin_link("infra_operatoritem", item),
    }


def trouble_of(item: OperatorItem) -> Trouble | None:
    """Return what the student reads of what an operator is asked about a step; None for other items."""
    parts = item.key.split(":")
    return troubles.of(str(item.details.get("code", "")), step=parts[2] if len(parts) > 3 else "")


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _admin_link(model: str, key: str) -> str:
    try:
        return absolute(f"admin:{model}_change", key)
    except NoReverseMatch:
        return absolute("admin:index")


def _provision(mail: Mail) -> Provision:
    if mail.provision is None:
        raise Unsendable("its order does not exist")
    return mail.provision


KINDS: dict[str, Callable[[Mail], Values]] = {
    "invited": _invited,
    "paid": _paid,
    "confirming_late": _nothing_more,
    "ready": _ready,
    "ready_with_exceptions": _ready_with_exceptions,
    "needs_you": _needs_you,
    "registering": _registering,
    "nameservers": _nameservers,
    "update_key": _nothing_more,
    "connection_code": _connection_code,
    "by_hand": _by_hand,
    "delayed": _stage,
    "fixed": _stage,
    "failed": _nothing_more,
    "refunded": _refunded,
    "upgraded": _upgraded,
    "downgraded": _upgraded,
    "downgraded_partly": _downgraded_partly,
    "downgrade_held_up": _downgrade_held_up,
    "downgrade_planned": _downgrade_planned,
    "upgrade_declined": _nothing_more,
    "cancelled": _cancelled,
    "renewal": _renewal,
    "credentials_exported": _revealed,
    "payment_failed": _overdue,
    "action_required": _overdue,
    "grace": _overdue,
    "suspended": _suspended,
    "recovered": _nothing_more,
    "ending": _ending,
    "credential_revealed": _revealed,
    "health_bad": _health,
    "health_good": _nothing_more,
    "dns_changed": _dns_changed,
    OPERATOR: _operator,
}
