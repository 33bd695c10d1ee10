from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.prices import PricesNotMade, make_prices
from infra.models import Provision, Tier
from infra.models.tier import default_warmup
from infra.presenters_base import money
from infra.wizard import presenters
from provisioning.admin.base import BaseModelForm
from provisioning.admin.verbs import HasVerbs, Plan, Verb
from provisioning.engine.options import Options
from provisioning.spending import monthly_cents
from provisioning.stacks import STACKS

CURRENCIES = ("usd", "eur", "gbp")
MARGIN_PER_MAILBOX_CENTS = 100
DMARC_POLICIES = ("none", "quarantine", "reject")


class Range(NamedTuple):
    """A number of the warmup plan, with what the sending tools take (docs/platforms)."""

    key: str
    label: Any
    least: int
    most: int


WARMUP = (
    Range("initial_daily_limit", gettext_lazy("Warmup mails on the first day"), 1, 50),
    Range("pace_increment", gettext_lazy("More each day"), 1, 50),
    Range("max_daily_limit", gettext_lazy("Warmup mails a day at most"), 1, 50),
    Range("reply_rate_percent", gettext_lazy("Share answered, percent"), 0, 100),
    Range("randomize_num", gettext_lazy("Randomised by, percent"), 1, 50),
    Range("campaign_daily_limit", gettext_lazy("Campaign mails a day at most"), 1, 1000),
    Range("gap_minutes", gettext_lazy("Minutes between two mails"), 0, 1440),
)


class TierForm(BaseModelForm):
    """A package, held against what can be built, paid and sent."""

    stack = forms.ChoiceField(label=gettext_lazy("Stack"))
    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=[(code, code.upper()) for code in CURRENCIES])
    dmarc_policy = forms.ChoiceField(
        label=gettext_lazy("First DMARC policy"), choices=[(policy, policy) for policy in DMARC_POLICIES]
    )
    warmup_slow_rampup = forms.BooleanField(label=gettext_lazy("Slow ramp-up"), required=False)

    class Meta:
        model = Tier
        fields = (
            *("name", "slug", "description", "stack", "domain_count", "domain_count_max", "mailbox_count"),
            *("dedicated_ip_count", "setup_fee_cents", "monthly_fee_cents", "currency", "domain_price_cap_cents"),
            *("stripe_setup_price_id", "stripe_monthly_price_id", "warmup_days", "dmarc_policy", "instructions"),
            *("is_active", "sort_order"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan = default_warmup() | (self.instance.warmup or {})
        self.fields["stack"].choices = [(stack.key, f"{stack.key}: {stack.title}") for stack in STACKS.values()]  # type: ignore[attr-defined]
        for row in WARMUP:
            self.fields[f"warmup_{row.key}"].initial = plan[row.key]
        self.fields["warmup_slow_rampup"].initial = plan["slow_rampup"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self._check_counts(data)
        if (data.get("warmup_initial_daily_limit") or 0) > (data.get("warmup_max_daily_limit") or 0):
            self.add_error("warmup_max_daily_limit", _("Less than on the first day."))
        if data.get("is_active"):
            self._check_prices(data)
        return data

    def _check_counts(self, data: Mapping[str, Any]) -> None:
        domains, mailboxes = data.get("domain_count") or 0, data.get("mailbox_count") or 0
        if not domains or not mailboxes or data.get("domain_count_max"):
            return
        most = Options.from_mapping(settings.BUILD_OPTIONS).mailboxes_per_domain
        if mailboxes < domains:
            self.add_error("mailbox_count", _("Each domain needs a mailbox at least."))
        elif -(-mailboxes // domains) > most:
            self.add_error(
                "mailbox_count",
                _("A domain takes %(most)d mailboxes at most: %(all)d in all.") % {"most": most, "all": most * domains},
            )

    def _check_prices(self, data: Mapping[str, Any]) -> None:
        """An offered package charges what it says."""
        ids = ("stripe_setup_price_id", "stripe_monthly_price_id")
        if not all(data.get(name) for name in ids):
            self.add_error(
                "is_active",
                _(
                    "An offered package needs its prices at Stripe. Save it as not offered, make the prices, then offer it."
                ),
            )
        elif self.instance.pk and self.fees_changed() and not set(ids) & set(self.changed_data):
            self.add_error(
                "is_active",
                _(
                    "The prices at Stripe still charge the old fees. Save it as not offered, make the prices, then offer it."
                ),
            )

    def fees_changed(self) -> bool:
        """Tell whether the prices at Stripe, which never change, are those of other fees."""
        return bool({"setup_fee_cents", "monthly_fee_cents", "currency"} & set(self.changed_data))

    def save(self, commit: bool = True) -> Tier:
        plan = {row.key: self.cleaned_data[f"warmup_{row.key}"] for row in WARMUP}
        self.instance.warmup = plan | {"slow_rampup": self.cleaned_data["warmup_slow_rampup"]}
        ids = {"stripe_setup_price_id", "stripe_monthly_price_id"}
        if not self.instance._state.adding and self.fees_changed() and not ids & set(self.changed_data):
            self.instance.stripe_setup_price_id = self.instance.stripe_monthly_price_id = ""
        saved: Tier = super().save(commit)
        return saved


def _with_warmup_fields(form: type[TierForm]) -> type[TierForm]:
    # Declared here, so that the plan stays one table.
    for row in WARMUP:
        form.base_fields[f"warmup_{row.key}"] = forms.IntegerField(
            label=row.label, min_value=row.least, max_value=row.most, help_text=f"{row.least} - {row.most}"
        )
        form.declared_fields[f"warmup_{row.key}"] = form.base_fields[f"warmup_{row.key}"]
    return form


_with_warmup_fields(TierForm)


class MakePrices(Verb):
    """Create the product and prices at Stripe and write their ids to the package."""

    name = "prices"
    label = gettext_lazy("Make prices at Stripe")
    permission = "infra.change_tier"
    refusals = (PricesNotMade,)
    form = forms.Form

    def plan(self, row: Tier) -> Plan:
        fees = {
            "setup": money(row.setup_fee_cents, row.currency),
            "monthly": money(row.monthly_fee_cents, row.currency),
        }
        return Plan(
            question=_("Make the prices of %(name)s at Stripe?") % {"name": row.name},
            button=_("Make prices"),
            will=[
                _("Prices of %(setup)s once and %(monthly)s a month stand at Stripe, and the package knows them.")
                % fees
            ],
            will_not=[_("Prices that stand there already are kept, and running subscriptions do not change.")],
        )

    def perform(self, row: Tier, data: Mapping[str, Any], *, actor: str) -> str:
        made = make_prices(tier=row, actor=actor)
        return _("%(count)d prices were made; %(all)d stand at Stripe.") % {
            "count": sum(price.done == "created" for price in made),
            "all": len(made),
        }


@admin.register(Tier)
class TierAdmin(HasVerbs):
    """The packages that students can order."""

    form = TierForm
    actions = None
    list_display = (
        "name",
        "stack",
        "domain_count",
        "mailbox_count",
        "setup_said",
        "monthly_said",
        "margin",
        "is_active",
        "sort_order",
    )
    list_filter = ("is_active", "stack")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("preview", "costs", "margin")
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "stack", "is_active", "sort_order", "preview")}),
        (
            gettext_lazy("Contents"),
            {
                "fields": (
                    "domain_count",
                    "domain_count_max",
                    "mailbox_count",
                    "dedicated_ip_count",
                    "domain_price_cap_cents",
                )
            },
        ),
        (
            gettext_lazy("Money"),
            {
                "fields": (
                    "setup_fee_cents",
                    "monthly_fee_cents",
                    "currency",
                    "stripe_setup_price_id",
                    "stripe_monthly_price_id",
                    "costs",
                    "margin",
                )
            },
        ),
        (
            gettext_lazy("Warmup and policy"),
            {"fields": (*(f"warmup_{row.key}" for row in WARMUP), "warmup_slow_rampup", "warmup_days", "dmarc_policy")},
        ),
        (gettext_lazy("After the set-up"), {"fields": ("instructions",)}),
    )
    verbs = (MakePrices(),)

    @admin.display(description=gettext_lazy("set-up"), ordering="setup_fee_cents")
    def setup_said(self, row: Tier) -> str:
        return money(row.setup_fee_cents, row.currency)

    @admin.display(description=gettext_lazy("a month"), ordering="monthly_fee_cents")
    def monthly_said(self, row: Tier) -> str:
        return money(row.monthly_fee_cents, row.currency)

    @admin.display(description=gettext_lazy("costs a month"))
    def costs(self, row: Tier) -> str:
        if row._state.adding:
            return "-"
        cost = monthly_cents(row, Options.from_mapping(settings.BUILD_OPTIONS))
        return _("about %(amount)s, without the sending tool") % {"amount": money(cost, "usd")}

    @admin.display(description=gettext_lazy("left of a month"))
    def margin(self, row: Tier) -> str:
        if row._state.adding or row.currency != "usd":  # costs are in dollars
            return "-"
        left = row.monthly_fee_cents - monthly_cents(row, Options.from_mapping(settings.BUILD_OPTIONS))
        return _("about %(amount)s, before Stripe's fees") % {"amount": money(left, "usd")}

    @admin.display(description=gettext_lazy("as students see it"))
    def preview(self, row: Tier) -> str | SafeString:
        if row._state.adding:
            return _("Shown once it is saved.")
        card = presenters.packages([row], Provision())[0]
        facts = format_html_join("", "<dt>{}</dt><dd>{}</dd>", ((fact.label, fact.value) for fact in card.facts))
        included = format_html_join("", "<li>{}</li>", ((line,) for line in card.included))
        return format_html(
            '<div class="tier-card"><h3>{}</h3><p class="tier-card__price"><strong>{}</strong> {}</p><p>{}</p>'
            "<dl>{}</dl><ul>{}</ul></div>",
            *(card.name, card.today, card.then, card.description, facts, included),
        )

    def save_model(self, request: HttpRequest, obj: Tier, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        needed = monthly_cents(obj, Options.from_mapping(settings.BUILD_OPTIONS))
        needed += MARGIN_PER_MAILBOX_CENTS * obj.mailbox_count
        if obj.currency == "usd" and obj.monthly_fee_cents < needed:
            messages.warning(
                request,
                _("%(fee)s a month is little: the costs and about 1 USD per mailbox come to %(needed)s.")
                % {"fee": money(obj.monthly_fee_cents, "usd"), "needed": money(needed, "usd")},
            )
        if not (obj.stripe_setup_price_id and obj.stripe_monthly_price_id):
            messages.warning(request, _("This package has no prices at Stripe yet, so nobody can order it: make them."))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Refuse to delete a package that somebody has chosen: orders name it."""
        row = self.get_object(request, object_id)
        if row is not None and row.provisions.exists():
            messages.error(
                request,
                _("%(name)s was chosen by students and cannot be deleted. Take it off the offer instead.")
                % {"name": row.name},
            )
            return redirect(reverse("admin:infra_tier_change", args=[row.pk]))
        return super().delete_view(request, object_id, extra_context)
