from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.actions import CheckoutRefused
from billing.cancellation import cancel_order, end_subscription, why_not_ended
from billing.models import Payment, Subscription
from infra.admin.money import MoneyPages
from infra.dashboard import refund_meter
from infra.models import Domain, Inventory, Mailbox, OperatorItem, Provision, ProvisionState
from provisioning.actions import Refused
from provisioning.admin.base import ReadOnlyInline, link_to, state_means
from provisioning.admin.filters import ProvisionPlatform, ProvisionQuestion
from provisioning.admin.verbs import Plan, Section, Verb, VerbAdmin
from provisioning.models import Run


class Cancel(Verb):
    """End an order."""

    name = "cancel"
    label = gettext_lazy("Cancel this order")
    permission = "infra.change_provision"
    refusals = (Refused, CheckoutRefused)

    def refusal(self, row: Provision) -> str:
        if row.state == ProvisionState.CANCELLED:
            return _("This order is cancelled already.")
        return _("This order is being taken down already.") if row.state == ProvisionState.CANCELLING else ""

    def plan(self, row: Provision) -> Plan:
        bought = row.domains.filter(bought_at__isnull=False).count()
        return Plan(
            question=_("Cancel the order %(reference)s of %(student)s?")
            % {"reference": row.reference, "student": row.student.email},
            button=_("Cancel the order"),
            will=[
                _("Nothing more is bought or built; a call that is under way is the last."),
                _("An open payment page is closed, and the subscription ends."),
                _("Names that were not bought are free for others again."),
                _("Warmup and campaigns stop, and the login of the sending tool is removed."),
                _("Mailboxes are marked for removal at their next renewal."),
                _("You are asked to switch the domains' renewal off, and the list is watched until it is."),
                _("The student is told what works until when, and may order anew once all of this is done."),
            ],
            will_not=[
                _("%(count)d domains are bought and stay until their paid time ends.") % {"count": bought},
                _("The money that was paid is not sent back by this: decide that at Stripe."),
            ],
            more=self._meter(row),
        )

    def _meter(self, row: Provision) -> Section | None:
        found = refund_meter.card(row.student, row)
        if found is None:
            return None
        return Section(found.title, [f"{line.name}, {line.word}: {line.note}" for line in found.lines])

    def perform(self, row: Provision, data: Mapping[str, Any], *, actor: str) -> str:
        cancel_order(provision=row, actor=actor, reason=data["reason"])
        row.refresh_from_db()
        if row.state == ProvisionState.CANCELLED:
            return _("%(reference)s is cancelled.") % {"reference": row.reference}
        return _("%(reference)s is being taken down.") % {"reference": row.reference}


class EndSubscription(Verb):
    """End a subscription that outlived its order."""

    name = "end_subscription"
    label = gettext_lazy("End the subscription")
    permission = "infra.change_provision"

    def refusal(self, row: Provision) -> str:
        return why_not_ended(row)

    def plan(self, row: Provision) -> Plan:
        return Plan(
            question=_("End the subscription of %(reference)s at Stripe?") % {"reference": row.reference},
            button=_("End the subscription"),
            will=[_("The student is charged no more.")],
            will_not=[_("The money that was paid is not sent back by this: decide that at Stripe.")],
        )

    def perform(self, row: Provision, data: Mapping[str, Any], *, actor: str) -> str:
        if not end_subscription(provision=row, actor=actor, reason=data["reason"]):
            raise Refused(_("Stripe did not end it; the operator item says why. Try again later."))
        return _("The subscription has ended.")


class Runs(ReadOnlyInline):
    model = Run
    fields = ("kind", "state", "waits_on", "why", "next_attempt_at", "started_at", "finished_at", "failure_sentence")
    readonly_fields = fields


class Domains(ReadOnlyInline):
    model = Domain
    fields = (
        "name",
        "state",
        "price_cents",
        "origin",
        "ordered_at",
        "bought_at",
        "connected_at",
        "expires_at",
        "reason",
    )
    readonly_fields = fields


class Mailboxes(ReadOnlyInline):
    model = Mailbox
    fields = ("address", "state", "warmup_started_at", "reason")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mailbox]:
        return super().get_queryset(request).select_related("domain")


class Payments(ReadOnlyInline):
    model = Payment
    fields = ("paid_at", "amount_cents", "refunded_cents", "currency", "stripe_invoice_id")
    readonly_fields = fields


class Looks(ReadOnlyInline):
    model = Inventory
    fields = ("looked_at", "due_at", "failures", "problem")
    readonly_fields = fields


class Subscriptions(ReadOnlyInline):
    model = Subscription
    fields = (
        "status",
        "period_end",
        "cancel_at",
        "invoice_status",
        "invoice_cents",
        "needs_action",
        "card",
        "dispute",
        "overdue_since",
        "suspended_at",
        "checked_at",
    )
    readonly_fields = fields


class Items(ReadOnlyInline):
    model = OperatorItem
    fields = ("created_at", "kind", "sentence", "resolved_at", "resolution")
    readonly_fields = fields


@admin.register(Provision)
class ProvisionAdmin(MoneyPages, VerbAdmin):
    """Orders, from the first page of the wizard to their end."""

    list_display = ("reference", "student", "tier", "state", "parked_reason", "paid_at", "ready_at", "updated_at")
    list_filter = (ProvisionQuestion, ProvisionPlatform, "state", "parked_reason", "tier")
    list_select_related = ("student", "tier")
    search_fields = ("reference", "student__email", "brand", "domains__name", "stripe_subscription_id")
    fields = (
        "reference",
        "student_link",
        "tier",
        "state",
        "means",
        "parked_reason",
        "brand",
        "frozen_at",
        "paid_at",
        "ready_at",
        "cancelled_at",
        "stripe_customer_id",
        "stripe_subscription_id",
        "order",
        "facts",
    )
    readonly_fields = ("reference", "student_link", "means")
    inlines = (Items, Runs, Domains, Looks, Mailboxes, Subscriptions, Payments)
    verbs = (Cancel(), EndSubscription())

    @admin.display(description=gettext_lazy("student"))
    def student_link(self, row: Provision) -> str | SafeString:
        return link_to(row.student)

    @admin.display(description=gettext_lazy("what this means"))
    def means(self, row: Provision) -> str | SafeString:
        return state_means(row)
