"""What the student's pages say of the subscription: how it stands, by when what happens, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import downgrades, life
from billing.models import Subscription
from billing.standing_rules import Stands, Verdict, judge
from infra.models import Provision, ProvisionState, RunKind, RunState, User
from infra.presenters_base import Fact, Option, day, listed, money, package_title
from provisioning.models import ACTIVE_RUN, Run
from provisioning.queries import set_aside

from . import refund_meter
from .presenters import Notice

OVER = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)
NEWS = timedelta(days=14)  # how long the dashboard tells of what the operator finishes by hand


@dataclass(frozen=True, slots=True)
class BillingCard:
    """The subscription in short, and what its buttons may do."""

    facts: list[Fact]
    note: str
    can_cancel: bool
    can_keep: bool
    packages: list[Option]
    meter: refund_meter.MeterCard | None = None


def card(student: User, provision: Provision) -> BillingCard | None:
    """Return the card of an order that has a subscription which goes on, else None."""
    row = Subscription.objects.filter(provision=provision).first()
    if row is None or row.ended_at or provision.state in OVER:
        return None
    ends = _ends(row)
    facts = []
    if ends:
        facts.append(Fact(_("Ends on"), day(student, ends)))
    elif row.period_end:
        facts.append(Fact(_("Next payment"), day(student, row.period_end)))
    if row.card:
        facts.append(Fact(_("Paid by"), row.card.title()))
    note = (
        _("Everything works until then. After that warmup and campaigns stop, and domains are not renewed.")
        if ends
        else _("Cancelled, everything works until the end of the period that is paid for; nothing more is charged.")
    )
    return BillingCard(facts, note, not ends, bool(ends), _packages(provision), refund_meter.card(student, provision))


def _ends(row: Subscription | None) -> datetime | None:
    """Return when a subscription ends that was cancelled, else None."""
    if row is None:
        return None
    return row.cancel_at or (row.period_end if row.cancel_at_period_end else None)


def _packages(provision: Provision) -> list[Option]:
    """Return the ways to another package."""
    if provision.state == ProvisionState.UPGRADING:
        return [Option(_("See the progress"), reverse("progress"))]
    if downgrades.open_plan(provision) is not None:
        return [Option(_("See the planned change"), reverse("downgrade"))]
    bigger, smaller = _("Choose a bigger package"), _("Choose a smaller package")
    if provision.order.get("is_by_domain"):
        bigger, smaller = _("Add domains"), _("Leave domains out")
    ways = [Option(bigger, reverse("upgrade"))]
    if downgrades.smaller_tiers(provision):
        ways.append(Option(smaller, reverse("downgrade")))
    elif downgrades.why_not_smaller(provision):
        ways.append(Option(_("About a smaller package"), reverse("downgrade")))
    return ways


def notices(student: User, provision: Provision, *, now: datetime) -> list[Notice]:
    """Return what stands above everything else on a page; nothing while the subscription is in order.

    `now` is vendor time.
    """
    row = Subscription.objects.filter(provision=provision).first()
    if provision.state in OVER:
        return []
    found = _notice(student, row, judge(row, now=now, days=life.days())) if row else None
    if found is None and provision.state == ProvisionState.SUSPENDED:
        text = _("Warmup and sending rest; nothing has been deleted. The operator can say why.")
        found = Notice("attention", _("Your infrastructure is paused"), text)
    return [*([found] if found else []), *_of_downgrade(student, provision, _ends(row))]


def _of_downgrade(student: User, provision: Provision, ends: datetime | None) -> list[Notice]:
    """Return what is planned for the end of the period, or being taken down since; nothing that will not come to be."""
    plan = downgrades.open_plan(provision)
    if plan is not None and plan.period_end is not None and (ends is None or ends > plan.period_end):
        drops = (
            _(" Left out then, with the mailboxes: %(names)s.") % {"names": ", ".join(plan.drops)} if plan.drops else ""
        )
        text = _("Until then everything works as before; you can withdraw the change.") + drops
        title = _("Your package changes to %(package)s on %(day)s")
        return [
            Notice("wait", title % {"package": package_title(plan.order), "day": day(student, plan.period_end)}, text)
        ]
    run = provision.runs.filter(kind=RunKind.DOWNGRADE).first()
    return [found] if run is not None and (found := _of_run(run)) is not None else []


def _of_run(run: Run) -> Notice | None:
    """Return what there is to say of a change to a smaller package that has begun."""
    package = {"package": package_title(run.order["becomes"])}
    if run.state in ACTIVE_RUN:
        text = _("Being taken down, with the mailboxes: %(names)s. What you kept goes on as before.")
        title = _("Your package is being changed to %(package)s")
        return Notice("busy", title % package, text % {"names": ", ".join(run.order["drops"])})
    if run.state == RunState.FAILED:
        text = _(
            "What you left out could not be stopped by itself. The operator was told and continues it. You pay the"
            " smaller price all the same, and what you kept goes on as before."
        )
        return Notice("wait", _("Your change to %(package)s takes longer") % package, text)
    if run.state == RunState.DONE and run.finished_at and run.finished_at > timezone.now() - NEWS and (
        names := set_aside(run)
    ):  # fmt: skip
        text = _(
            "This did not stop by itself: %(names)s. The operator was told and does it by hand; it costs you nothing."
        )
        return Notice("wait", _("Your package is %(package)s now") % package, text % {"names": listed(names)})
    return None


def _notice(student: User, row: Subscription, verdict: Verdict) -> Notice | None:
    days = {
        "amount": money(row.invoice_cents, row.invoice_currency or "usd"),
        "suspend": day(student, verdict.suspend_at) if verdict.suspend_at else "",
        "end": day(student, verdict.end_at) if verdict.end_at else "",
    }
    pay = Option(_("To the payment method"), reverse("dashboard") + "#billing")
    match verdict.stands:
        case Stands.ACTION_REQUIRED:
            text = _(
                "Your bank wants you to confirm the payment of %(amount)s. Everything goes on for now. From %(suspend)s"
                " warmup and sending rest; nothing is deleted. The order ends on %(end)s."
            )
            return Notice("attention", _("Please confirm a payment"), text % days, pay)
        case Stands.GRACE:
            text = _(
                "The payment of %(amount)s did not go through. Everything goes on for now. From %(suspend)s warmup and"
                " sending rest; nothing is deleted. The order ends on %(end)s. Update your payment method to keep it."
            )
            return Notice("attention", _("A payment did not go through"), text % days, pay)
        case Stands.SUSPENDED | Stands.OVERDUE_TOO_LONG:
            text = _(
                "The payment of %(amount)s is missing. Warmup and sending rest until it is settled; nothing has been"
                " deleted. The order ends on %(end)s. Update your payment method to let everything go on."
            )
            return Notice("attention", _("Your infrastructure is paused"), text % days, pay)
        case Stands.DISPUTED:
            text = _(
                "Your bank disputes a payment. Until that is decided, warmup and sending rest, and nothing is built;"
                " nothing has been deleted. Write to the operator if you did not ask your bank for this."
            )
            return Notice("attention", _("Your infrastructure is paused"), text)
        case Stands.ENDING:
            ends = row.cancel_at or row.period_end
            text = _("It works until %(day)s, and nothing more is charged. Until then you can keep it.")
            return Notice("wait", _("Your subscription is ending"), text % {"day": day(student, ends) if ends else ""})
    return None
