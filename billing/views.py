"""Where the payment page sends the student back to, and the student's buttons about the subscription.

A redirect proves nothing: what returns from a payment page asks Stripe.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from infra import throttle
from infra.models import Provision, ProvisionState, User
from integrations.http.errors import PlatformError
from provisioning.actions import Refused

from . import life
from .actions import CheckoutRefused, Fulfilment, abandon_checkout, fulfil
from .models import Checkout

log = logging.getLogger(__name__)

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,118}")
ASKING = (30, 3600)  # so often in so many seconds may one student's returning ask Stripe


@never_cache
@login_required
@require_safe
def returned(request: HttpRequest) -> HttpResponse:
    """After paying: the same idempotent check as the webhooks', then on to the progress page.

    That page shows "confirming your payment" while the money, or the news of it, is on its way.
    """
    session_id = request.GET.get("session_id", "")
    if not SESSION_ID.fullmatch(session_id):
        raise Http404
    checkout = Checkout.objects.filter(student_id=request.user.pk, session_id=session_id).first()
    if checkout is None:
        raise Http404
    if checkout.state == Checkout.State.PAID or not _may_ask(request):
        return redirect("progress")
    try:
        outcome = fulfil(checkout=checkout, actor=str(request.user))
    except PlatformError as error:
        # Nothing is lost: a webhook or the sweep will bring the news.
        log.warning("return page could not ask: %s", error, extra={"checkout": str(checkout.pk)})
        return redirect("progress")
    if outcome in (Fulfilment.EXPIRED, Fulfilment.FAILED):
        sentence = _("The payment did not go through. Nothing was charged, and your order is kept.")
        messages.warning(request, sentence, extra_tags="attention")
        return redirect("setup-review")
    if outcome is Fulfilment.REFUNDED:
        sentence = _("This payment was not needed. All of it is being refunded.")
        messages.warning(request, sentence, extra_tags="attention")
    return redirect("progress")


def _may_ask(request: HttpRequest) -> bool:
    """Count a question to Stripe. Whoever reloads the page for ever learns the news from webhooks and the sweep."""
    return throttle.hit(f"returned:{request.user.pk}", *ASKING).allowed


@never_cache
@login_required
@require_safe
def cancelled(request: HttpRequest) -> HttpResponse:
    """Back from the payment page without paying: close it, and go on where the student left off."""
    orders = Provision.objects.filter(student_id=request.user.pk, enlarges=None)
    provision = orders.filter(state=ProvisionState.PENDING_PAYMENT).first()
    if provision is None:
        return redirect("infrastructure")
    try:
        outcome = abandon_checkout(provision=provision, actor=str(request.user))
    except CheckoutRefused as refusal:
        messages.warning(request, refusal.sentence, extra_tags="attention")
        return redirect("infrastructure")
    if outcome in (Fulfilment.PAID, Fulfilment.CONFIRMING):
        return redirect("progress")
    messages.info(request, _("You have not paid, and nothing was charged. Everything you chose is still here."))
    return redirect("setup-review")


@require_POST
@never_cache
@login_required
def portal(request: HttpRequest) -> HttpResponse:
    """Open Stripe's customer portal: cards, receipts, cancelling. Its address is made for each click."""
    provision = _live(request)
    if provision is None:
        return redirect("infrastructure")
    try:
        return redirect(life.portal_url(provision=provision, return_url=settings.SITE_URL + reverse("dashboard")))
    except (PlatformError, Refused) as error:
        return _sorry(request, error)


@require_POST
@never_cache
@login_required
def run_out(request: HttpRequest) -> HttpResponse:
    """Cancel at the end of the period that is paid for."""
    done = _("Cancelled. Everything works until the end of the period, and nothing more is charged.")
    return _change(request, life.let_run_out, done)


@require_POST
@never_cache
@login_required
def keep(request: HttpRequest) -> HttpResponse:
    """Take the cancellation back."""
    return _change(request, life.keep, _("Your subscription goes on."))


def _change(request: HttpRequest, change: Callable[..., None], done: str) -> HttpResponse:
    provision = _live(request)
    if provision is None:
        return redirect("infrastructure")
    try:
        change(provision=provision, actor=str(request.user))
    except (PlatformError, Refused) as error:
        return _sorry(request, error)
    messages.success(request, done, extra_tags="done")
    return redirect("infrastructure")


def _live(request: HttpRequest) -> Provision | None:
    """Return the student's order, as long as there is one and they have not pressed too often."""
    assert isinstance(request.user, User)
    if not throttle.hit(f"billing:{request.user.pk}", *ASKING).allowed:
        return None
    return Provision.objects.filter(student=request.user, enlarges=None).exclude(state=ProvisionState.CANCELLED).first()


def _sorry(request: HttpRequest, error: Exception) -> HttpResponse:
    log.warning("subscription not changed: %s", error)
    sentence = str(error) if isinstance(error, Refused) else _("Stripe cannot be reached. Nothing was changed.")
    messages.warning(request, sentence, extra_tags="attention")
    return redirect("infrastructure")
