"""Money for the operator: the account of an order to the cent, and of the newest orders together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing.account import Account, Check, Group, Line, Origin, Sum, together
from billing.accounting import accounts
from infra import clock
from infra.models import Provision
from infra.presenters_base import Fact, exact
from provisioning.admin.verbs import HasVerbs
from provisioning.engine.options import Options
from provisioning.spending import monthly_cents

PERMISSION = "billing.view_payment"
MOST = 100  # orders on the page of all

GROUPS = {
    Group.PAID: gettext_lazy("Paid by the student"),
    Group.BACK: gettext_lazy("Went back"),
    Group.CONVERTED: gettext_lazy("Exchanged"),
    Group.FEES: gettext_lazy("Stripe's fees"),
    Group.SPENT: gettext_lazy("Spent at the platforms"),
}
ORIGINS = {
    Origin.STRIPE: gettext_lazy("Stripe"),
    Origin.NAMED: gettext_lazy("named by the platform"),
    Origin.SETTING: gettext_lazy("estimate, by the settings"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line as it is shown."""

    when: str
    what: str
    amount: str
    origin: str
    parts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of one group, with their sum in each currency."""

    title: str
    rows: Sequence[Row]
    totals: Sequence[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """What our lines say beside what Stripe says."""

    what: str
    ours: str
    theirs: str
    difference: str
    is_equal: bool


@dataclass(frozen=True, slots=True)
class Order:
    """One order in one currency, in the list of all."""

    reference: str
    href: str
    state: str
    figures: Sequence[str]
    note: str


class MoneyPages(HasVerbs):
    """Pages of money beside the rows and buttons of orders."""

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path("money/", self.admin_site.admin_view(self._all), name="infra_provision_money_all"),
            path("<path:object_id>/money/", self.admin_site.admin_view(self._one), name="infra_provision_money"),
        ]
        return mine + list(super().get_urls())

    def buttons(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """Return the verbs' buttons, and before them the way to the money."""
        found = super().buttons(request, row)
        if not request.user.has_perm(PERMISSION):
            return found
        href = reverse("admin:infra_provision_money_all" if row is None else "admin:infra_provision_money",
                       args=[] if row is None else [row.pk])  # fmt: skip
        return [{"label": _("Money"), "href": href, "refusal": ""}, *found]

    def _one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        _check(request)
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        account = accounts([row], now=clock.vendor_now())[row.pk]
        context = {
            "row": row,
            "title": _("Money of %(reference)s") % {"reference": row.reference},
            "sums": [_sums(account, currency) for currency in account.currencies()],
            "tables": [_table(account, group) for group in Group if account.of(group)],
            "checks": [_compared(check) for check in account.checks],
            "month": _month(row),
            "back_href": reverse("admin:infra_provision_change", args=[row.pk]),
        }
        return self._show(request, "admin/money/order.html", context)

    def _all(self, request: HttpRequest) -> HttpResponse:
        _check(request)
        paid = Provision.objects.filter(payments__isnull=False).distinct().order_by("-created_at")
        orders = list(paid.select_related("student")[:MOST])
        found = accounts(orders, now=clock.vendor_now())
        every = together(found)
        groups = [group for group in Group if group is not Group.CONVERTED or every.of(group)]
        context = {
            "title": _("Money of the newest orders"),
            "columns": [str(GROUPS[group]) for group in groups],
            "orders": [
                _order(one, found[one.pk], code, groups) for one in orders for code in found[one.pk].currencies()
            ],
            "totals": [_figures(every, currency, groups) for currency in every.currencies()],
            "note": _unknown(sum(1 for line in every.lines if line.amount is None)),
            "differences": sum(1 for check in every.checks if check.difference),
            "most": MOST if len(orders) == MOST else 0,
        }
        return self._show(request, "admin/money/orders.html", context)

    def _show(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "list_href": reverse("admin:infra_provision_changelist"),
        }
        return TemplateResponse(request, template, {**shared, **context})


def _check(request: HttpRequest) -> None:
    """Let in who may see payments."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied


def said(found: Sum, currency: str) -> str:
    """Return a sum; where not all of it is known, that too."""
    if not found.unknown:
        return exact(found.known, currency)
    if not found.figures:
        return _("not known yet")
    return _("%(known)s known so far") % {"known": exact(found.known, currency)}


def _unknown(count: int) -> str:
    words = ngettext("%(count)d figure is not known yet.", "%(count)d figures are not known yet.", count)
    return words % {"count": count} if count else ""


def _sums(account: Account, currency: str) -> dict[str, Any]:
    facts = [
        Fact(str(title), said(account.total(currency, group), currency))
        for group, title in GROUPS.items()
        if any(line.currency == currency for line in account.of(group))
    ]
    left, paid = account.total(currency), account.total(currency, Group.PAID)
    words = said(left, currency)
    if paid.known and not left.unknown:
        share = {"left": words, "percent": round(100 * left.known / paid.known)}
        words = _("%(left)s, %(percent)d %% of what was paid") % share
    return {
        "currency": currency.upper(),
        "facts": [*facts, Fact(_("Left"), words)],
        "note": _unknown(left.unknown),
    }


def _table(account: Account, group: Group) -> Table:
    lines = account.of(group)
    currencies = dict.fromkeys(line.currency for line in lines)
    totals = [said(account.total(currency, group), currency) for currency in currencies]
    return Table(str(GROUPS[group]), [_row(line) for line in lines], totals)


def _row(line: Line) -> Row:
    parts = [_("%(what)s: %(amount)s") % {"what": what, "amount": exact(cents, line.currency)}
             for what, cents in line.parts]  # fmt: skip
    if line.unexplained:
        parts.append(_("Not explained by the order: %(amount)s") % {"amount": exact(line.unexplained, line.currency)})
    amount = _("not known yet") if line.amount is None else exact(line.amount, line.currency)
    return Row(_when(line.at), line.what, amount, str(ORIGINS[line.origin]), parts)


def _when(at: datetime | None) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d") if at else ""


def _compared(check: Check) -> Compared:
    ours, theirs, difference = (exact(one, check.currency) for one in (check.ours, check.theirs, check.difference))
    return Compared(check.what, ours, theirs, difference, not check.difference)


def _month(row: Provision) -> list[Fact]:
    """Return what a month brings and costs by the settings: an estimate, before Stripe's fees."""
    if row.tier is None or not row.order:
        return []
    fee, currency = int(row.order["monthly_fee_cents"]), str(row.order["currency"])
    cost = monthly_cents(row.tier, Options.from_mapping(settings.BUILD_OPTIONS))
    facts = [Fact(_("Monthly fee"), exact(fee, currency)), Fact(_("Costs by the settings"), exact(cost, "usd"))]
    if currency == "usd":
        facts.append(Fact(_("Margin before Stripe's fees"), exact(fee - cost, currency)))
    return facts


def _figures(account: Account, currency: str, groups: Sequence[Group]) -> list[str]:
    found = [account.total(currency, group) for group in groups]
    return [said(one, currency) for one in [*found, account.total(currency)]]


def _order(row: Provision, account: Account, currency: str, groups: Sequence[Group]) -> Order:
    note = _unknown(account.total(currency).unknown)
    if any(check.difference and check.currency == currency for check in account.checks):
        note = " ".join(filter(None, [_("Differs from what Stripe says."), note]))
    href = reverse("admin:infra_provision_money", args=[row.pk])
    return Order(row.reference, href, row.get_state_display(), _figures(account, currency, groups), note)
