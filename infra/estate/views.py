"""Keep or drop, exports, and the leaving kit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from infra import clock, rls
from infra.models import Domain, Mail, Mailbox, Provision, RenewalChoice, User
from infra.presenters_base import Problem
from infra.throttle import client_address, throttled
from infra.wizard import forms as wizard_forms
from provisioning import actions, inventory
from provisioning.engine import doorbell

from . import exports, presenters
from .forms import ExportForm
from .zone import zone_file


def _student(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _estate(request: HttpRequest) -> Provision | None:
    return presenters.estate_of(_student(request), request.GET.get("order", "")[:16])


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@throttled("write")
def renewals(request: HttpRequest) -> HttpResponse:
    """Each domain's end, and the choice to keep or drop it."""
    student, provision = _student(request), _estate(request)
    if provision is None:
        return redirect("infrastructure")
    if request.method == "POST":
        return _choose(request, provision)
    page = presenters.renewals(student, provision, now=clock.vendor_now())
    return render(request, "estate/renewals.html", {"page": page, "places": presenters.places("renewals")})


def _choose(request: HttpRequest, provision: Provision) -> HttpResponse:
    choice = request.POST.get("choice", "")
    if choice not in RenewalChoice.Choice.values:
        raise Http404
    domain = get_object_or_404(Domain, name=request.POST.get("domain", ""), provision=provision)
    try:
        inventory.choose(provision=provision, domain=domain, choice=choice, actor=_student(request).email)
    except actions.Refused as refusal:
        messages.warning(request, str(refusal), extra_tags="attention")
    else:
        kept = _("%(name)s is kept.") if choice == RenewalChoice.Choice.KEEP else _("%(name)s ends with its paid year.")
        messages.success(request, kept % {"name": domain.name}, extra_tags="done")
    return redirect("renewals")


@require_safe
@never_cache
@login_required
def leaving(request: HttpRequest) -> HttpResponse:
    """The leaving kit."""
    provision = _estate(request)
    if provision is None:
        return redirect("infrastructure")
    page = presenters.leaving(_student(request), provision, now=clock.vendor_now())
    return render(request, "estate/leaving.html", {"page": page, "places": presenters.places("leaving")})


@require_safe
@never_cache
@login_required
def leaving_mailboxes(request: HttpRequest) -> HttpResponse:
    """The list of mailboxes as CSV, without passwords."""
    provision = _estate(request)
    if provision is None:
        raise Http404
    rows = exports.mailbox_rows(provision, exports.mailboxes_of(provision), with_passwords=False)
    return file_of("mailboxes.csv", exports.as_csv(rows, exports.PLAIN, for_spreadsheets=True))


@require_safe
@never_cache
@login_required
def leaving_zone(request: HttpRequest, name: str) -> HttpResponse:
    """A domain's records as a zone file, as they were read last."""
    provision = _estate(request)
    domain = next((one for one in exports.domains_of(provision) if one.name == name), None) if provision else None
    if domain is None:
        raise Http404
    read_at = str(domain.facts.get("dns_read_at") or "")[:10]
    text = zone_file(domain.name, domain.facts.get("dns_records") or (), read_at=read_at)
    return file_of(f"{domain.name}.zone", text.encode())


@sensitive_post_parameters()
@sensitive_variables("rows", "body")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@throttled("write")
def export(request: HttpRequest) -> HttpResponse:
    """Choose what to export; passwords only after the own one was typed again, written down, and told by e-mail."""
    student, provision = _student(request), _estate(request)
    if provision is None:
        return redirect("infrastructure")
    boxes, domains = exports.mailboxes_of(provision), exports.domains_of(provision)
    keys = [one.address for one in boxes] + [one.name for one in domains]
    form = ExportForm(student, keys, request.POST or None)
    problems: list[Problem] = []
    if request.method == "POST":
        if form.is_valid():
            wanted = Wanted.of(form.cleaned_data)
            try:
                body = content(provision, wanted, boxes, domains)
            except exports.Unsafe as unsafe:
                problems = [Problem(not_for_spreadsheets(unsafe), "#id_format")]
            else:
                if wanted.with_passwords:
                    note_export(provision, student, address=client_address(request), count=len(wanted.of_these(boxes)))
                return file_of(f"{wanted.what}.{wanted.format}", body)
        else:
            problems = list(wizard_forms.problems(form))
    context = {
        "form": form,
        "boxes": _ticks(boxes, form),
        "domains": _ticks(domains, form),
        "errors": problems,
        "has_errors": bool(problems),
        "places": presenters.places("exports"),
    }
    return render(request, "estate/exports.html", context, status=422 if problems else 200)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export as it was asked for. No rows chosen means all."""

    what: str
    format: str
    layout: str
    rows: frozenset[str]
    with_passwords: bool

    @classmethod
    def of(cls, values: dict[str, Any]) -> Wanted:
        rows = frozenset(values.get("rows") or ())
        return cls(values["what"], values["format"], values["layout"], rows, bool(values["with_passwords"]))

    def of_these(self, items: list[Any]) -> list[Any]:
        """Return the chosen items, in their order."""
        chosen = [one for one in items if str(one) in self.rows]
        return chosen or items


def content(provision: Provision, wanted: Wanted, boxes: list[Mailbox], domains: list[Domain]) -> bytes:
    """Return an export's bytes. Raises Unsafe."""
    if wanted.what == "domains":
        rows = exports.domain_rows(wanted.of_these(domains), boxes)
        if wanted.format == "json":
            return exports.as_json("domains", rows)
        return exports.as_csv(rows, exports.DOMAIN_COLUMNS, for_spreadsheets=True)
    full = exports.mailbox_rows(provision, wanted.of_these(boxes), with_passwords=wanted.with_passwords)
    rows = exports.laid_out(full, wanted.layout)
    if wanted.format == "json":
        return exports.as_json("mailboxes", rows)
    columns = list(rows[0]) if rows else list(exports.LAYOUTS[wanted.layout].columns)
    return exports.as_csv(rows, columns, for_spreadsheets=wanted.layout == "plain")


def not_for_spreadsheets(unsafe: exports.Unsafe) -> str:
    """Say why a file is refused, and what to take instead."""
    return _(
        "The password of %(addresses)s begins like a formula: a spreadsheet would run it. Take JSON, or the columns of a "
        "sending tool; both hold it exactly as it is."
    ) % {"addresses": ", ".join(unsafe.addresses)}


def note_export(provision: Provision, student: User, *, address: str, count: int) -> None:
    """Write down that passwords went out, and tell the student."""
    with rls.acting_as("worker"):
        sentence = f"{count} mailboxes with passwords, from {address or 'an unknown address'}"
        actions.note(provision, "credentials_exported", actor=student.email, sentence=sentence)
        key = f"{provision.pk}:{clock.machine_now().isoformat()}"
        Mail.post("credentials_exported", key=key, provision=provision, count=str(count))
        doorbell.ring("mails")


def _ticks(items: list[Any], form: ExportForm) -> list[dict[str, Any]]:
    chosen = form.data.getlist("rows") if hasattr(form.data, "getlist") else []
    return [{"value": str(one), "id": f"row-{one.pk}", "checked": str(one) in chosen} for one in items]


def file_of(name: str, body: bytes) -> HttpResponse:
    """Return a file to be kept; its ending says what it is."""
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json", "zone": "text/plain; charset=utf-8"}
    response = HttpResponse(body, content_type=kinds[name.rpartition(".")[2]])
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
