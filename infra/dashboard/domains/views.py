"""The pages of one domain, and what can be pressed on them. What is somebody else's is not there."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from infra import clock
from infra.dns.dmarc import Rung
from infra.models import Domain, User
from infra.presenters_base import Problem
from infra.throttle import throttled
from provisioning import changing, seeing
from provisioning.actions import Refused

from .compliance import compliance_page
from .dns import dns_page
from .kit import PAGES, Sight, domain_of
from .policy import policy_page
from .spf import spf_page

WATCHING = {"start": seeing.watch, "resume": seeing.watch, "stop": seeing.stop_watching}
SPF = {"flatten": changing.flatten_spf, "restore": changing.restore_spf}


def sight_of(student: User, name: str) -> Sight:
    """Return a domain as the student's pages see it. Raises Http404 for one that is not theirs."""
    domain = domain_of(student, name)
    if domain is None:
        raise Http404
    return Sight(student, domain, clock.vendor_now(), timezone.now())


def _sight(request: HttpRequest, name: str) -> Sight:
    assert isinstance(request.user, User)
    return sight_of(request.user, name)


def _domain(request: HttpRequest, name: str) -> Domain:
    return _sight(request, name).domain


@require_safe
@never_cache
@login_required
def dns(request: HttpRequest, name: str) -> HttpResponse:
    """What name servers show of each record."""
    return render(request, "domains/dns.html", {"page": dns_page(_sight(request, name))})


@require_safe
@never_cache
@login_required
@throttled("status", reads=True)
def dns_state(request: HttpRequest, name: str) -> HttpResponse:
    """The page's changing part, asked for while a look is under way: 204 as long as it would look the same."""
    sight = _sight(request, name)
    if request.GET.get("version") == sight.version:
        return HttpResponse(status=204)
    return render(request, "domains/_dns.html", {"page": dns_page(sight)})


@require_POST
@login_required
@throttled("write")
def check(request: HttpRequest, name: str) -> HttpResponse:
    """Look again, at most every 25 seconds; the answer that is there is used otherwise."""
    try:
        is_new = seeing.check_now(domain=_domain(request, name), actor=request.user.get_username())
    except Refused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
    else:
        if not is_new:
            said = _("The last look is less than 25 seconds old and is used again. %(when)s.")
            messages.info(request, said % {"when": _sight(request, name).checked}, extra_tags="wait")
    wanted = request.POST.get("page", "")
    return redirect(wanted if wanted in dict(PAGES) else "domain-dns", name)


@require_POST
@login_required
@throttled("write")
def watch(request: HttpRequest, name: str) -> HttpResponse:
    """Start to watch the name servers, stop, or go on."""
    action = WATCHING.get(request.POST.get("action", ""))
    if action is None:
        raise Http404
    try:
        action(domain=_domain(request, name), actor=request.user.get_username())
    except Refused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
    return redirect("domain-dns", name)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def spf(request: HttpRequest, name: str) -> HttpResponse:
    """What the SPF record leads to; a POST writes addresses in place of names, or the earlier record back."""
    refused = ""
    if request.method == "POST":
        action = SPF.get(request.POST.get("action", ""))
        if action is None:
            raise Http404
        try:
            action(domain=_domain(request, name), actor=request.user.get_username())
        except Refused as refusal:
            refused = str(refusal)
        else:
            return redirect("domain-spf", name)
    return _shown(request, "domains/spf.html", spf_page(_sight(request, name)), refused)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """Where the policy stands; a POST sets another step of the ladder."""
    refused = ""
    if request.method == "POST":
        try:
            rung = Rung(request.POST.get("rung", ""))
        except ValueError:
            raise Http404 from None
        try:
            changing.change_policy(domain=_domain(request, name), rung=rung, actor=request.user.get_username())
        except Refused as refusal:
            refused = str(refusal)
        else:
            return redirect("domain-policy", name)
    return _shown(request, "domains/policy.html", policy_page(_sight(request, name)), refused)


def _shown(request: HttpRequest, template: str, page: object, refused: str) -> HttpResponse:
    problems = [Problem(refused)] if refused else []
    context = {"page": page, "errors": problems, "has_errors": bool(problems)}
    return render(request, template, context, status=422 if problems else 200)


@require_safe
@never_cache
@login_required
def compliance(request: HttpRequest, name: str) -> HttpResponse:
    """What Gmail, Yahoo and Outlook ask."""
    return render(request, "domains/compliance.html", {"page": compliance_page(_sight(request, name))})
