"""The change to a smaller package: which one, what stays, and a plan that can be withdrawn until the period ends."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing import downgrades
from billing.models import Downgrade, Subscription
from infra.models import Domain, Provision, ProvisionState, Tier, User
from infra.presenters_base import Problem, day, money, package_title
from infra.throttle import throttled
from provisioning.actions import Refused
from provisioning.stacks import STACKS

from . import drafts, presenters

BEGUN = (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT, ProvisionState.PROVISIONING)


@never_cache
@login_required
@require_safe
def downgrade(request: HttpRequest) -> HttpResponse:
    """Choose a smaller package, or see what is planned."""
    live = _live(request)
    if live is None:
        return redirect("infrastructure")
    plan = downgrades.open_plan(live)
    context = {
        "heading": _("Leave domains out") if live.order.get("is_by_domain") else _("Choose a smaller package"),
        "package": package_title(live.order),
        "plan": _plan_rows(_person(request), live, plan) if plan else None,
        "is_unsure": plan is not None and plan.state != Downgrade.State.PLANNED,
        "why_not": "" if plan else downgrades.why_not_smaller(live),
        "cards": [] if plan else presenters.downgrades(downgrades.smaller_tiers(live), live),
    }
    return render(request, "wizard/downgrade.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@throttled("write")
def choose(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose which domains stay in the smaller package, and plan it."""
    live = _live(request)
    tier = next((one for one in downgrades.smaller_tiers(live) if one.slug == slug), None) if live else None
    if live is None or tier is None or not downgrades.fits(live, tier):
        return redirect("downgrade")
    if request.method != "POST" and downgrades.open_plan(live) is not None:
        return redirect("downgrade")
    problems = []
    if request.method == "POST":
        try:
            downgrades.plan(provision=live, tier=tier, keep=request.POST.getlist("keep"), actor=_person(request))
        except Refused as refusal:
            problems = [Problem(str(refusal))]
        else:
            messages.success(
                request, _("The change is planned. Until then everything stays as it is."), extra_tags="done"
            )
            return redirect("downgrade")
    mine, starts_on = downgrades.owned(live), _renews_on(_person(request), live)
    kept = request.POST.getlist("keep") if problems else downgrades.likely(live, tier)
    context = {
        "errors": problems,
        "has_errors": bool(problems),
        "tier": presenters.downgrade(tier, live),
        "starts_on": starts_on,
        "heading": _heading(len(mine), tier, live),
        "lede": _lede(tier, starts_on),
        "left_out": STACKS[tier.stack].pitch.left_out,
        "later": STACKS[tier.stack].pitch.later,
        "rows": [_row(place, one, kept) for place, one in enumerate(mine)],
    }
    return render(request, "wizard/downgrade_choose.html", context, status=422 if problems else 200)


@require_POST
@never_cache
@login_required
@throttled("write")
def withdraw(request: HttpRequest) -> HttpResponse:
    """Take the plan back."""
    live = _live(request)
    if live is None:
        return redirect("infrastructure")
    try:
        downgrades.withdraw(provision=live, actor=_person(request))
    except Refused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
    else:
        messages.success(request, _("Withdrawn. Your package stays as it is."), extra_tags="done")
    return redirect("downgrade")


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _live(request: HttpRequest) -> Provision | None:
    live = drafts.current(_person(request))
    return None if live is None or live.state in BEGUN else live


def _renews_on(student: User, live: Provision) -> str:
    ends = Subscription.objects.filter(provision=live).values_list("period_end", flat=True).first()
    return day(student, ends) if ends else ""


def _lede(tier: Tier, starts_on: str) -> str:
    price = {"package": tier.name, "day": starts_on, "price": money(tier.monthly_fee_cents, tier.currency)}
    if downgrades.is_by_domain(tier):
        return (
            _("From %(day)s on you pay %(price)s a month for each domain that stays. Today nothing is charged.") % price
        )
    return (
        _("%(package)s begins on %(day)s and costs %(price)s a month from then on. Today nothing is charged.") % price
    )


def _heading(there: int, tier: Tier, live: Provision) -> str:
    if downgrades.is_by_domain(tier):
        return _("Choose the domains that stay")
    _least, kept = downgrades.kept_range(live, tier)
    wanted = ngettext("Choose the domain that stays", "Choose the %(count)d domains that stay", kept)
    return wanted % {"count": kept} if there > kept else _("Everything you have stays")


def _row(place: int, domain: Domain, kept: Collection[str]) -> dict[str, object]:
    boxes = downgrades.boxes_of(domain)
    return {
        "id": f"keep-{place}",
        "name": "keep",
        "value": domain.name,
        "label": domain.name,
        "checked": domain.name in kept,
        "open": True,
        "word": ngettext("%(count)d mailbox", "%(count)d mailboxes", len(boxes)) % {"count": len(boxes)},
        "tone": "off",
        "note": ", ".join(one.address for one in boxes),
        "warnings": [],
    }


def _plan_rows(student: User, live: Provision, plan: Downgrade) -> list[presenters.SummaryRow]:
    stays = [one.name for one in downgrades.owned(live) if one.name not in plan.drops]
    starts = day(student, plan.period_end) if plan.period_end else _("being noted")
    return presenters.plan_rows(
        package=package_title(plan.order),
        starts=starts,
        stays=stays,
        drops=plan.drops,
        monthly=plan.monthly_cents,
        currency=plan.currency,
    )
