"""The four pages, and the two fragments that a page asks for while it is open.

Every page works with plain form posts: POST, then redirect. What was refused is shown again as it was typed, with 422.
"""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from billing import actions as billing
from infra import naming
from infra.connecting import views as connecting
from infra.connecting.presenters import Typed
from infra.connecting.presenters import accounts as account_cards
from infra.models import Provision
from infra.presenters_base import Problem, said
from infra.suggestions import BrandRefused
from infra.throttle import throttled
from provisioning.actions import Refused

from . import drafts, forms, names, people_file, presenters, registering, upgrade
from .steps import address, first_incomplete, sender_address, wizard_step

REFUSED = 422


@wizard_step("package")
def package(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Step 1: the cards. Choosing one makes the draft."""
    form = forms.PackageForm(request.POST or None, instance=Provision(student=draft.student))
    if request.method == "POST" and form.is_valid():
        draft = drafts.choose_package(draft, tier=form.cleaned_data["tier"])
        asks = drafts.asks_for_accounts(draft)  # shown once, also where nothing has to be done
        return redirect(address(draft, "accounts" if asks else first_incomplete(draft).key))
    tiers = list(drafts.offered_tiers())
    return _page(
        request,
        "wizard/package.html",
        "package",
        draft,
        problems=list(forms.problems(form)) if request.method == "POST" else [],
        groups=presenters.package_groups(tiers, draft),
    )


@sensitive_post_parameters("value", "code")
@wizard_step("accounts")
@throttled("write")
def accounts(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Whose accounts the order is built in: the operator's, or some of the student's own."""
    slugs, typed, problems = drafts.platforms(draft), Typed(), list[Problem]()
    if request.method == "POST" and request.POST.get("action") == "continue":
        here = first_incomplete(draft)
        if here.key not in ("package", "accounts"):
            return redirect(address(draft, here.key))
        problems = [Problem(here.missing(draft))]
    elif request.method == "POST":
        refused = connecting.answer(request, draft.student, slugs)
        if refused is None:
            return redirect(address(draft, "accounts"))
        typed, problems = refused, [Problem(refused.error, f"#{refused.wrong}-{refused.slug}")]
    shown = account_cards(draft.student, slugs, typed)
    return _page(request, "wizard/accounts.html", "accounts", draft, problems=problems, accounts=shown)


@wizard_step("domains")
@throttled("write")
def domains(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Step 2: brand, names, choice. One form; its buttons say what is meant, and each keeps what is ticked."""
    if request.method == "POST":
        return _answer_domains(request, draft)
    form = forms.DomainsForm(instance=draft)
    refused = names.ask(draft, drafts.shown_names(draft))
    return _domains_page(request, draft, form, *_kept(draft), problems=[], notice=refused)


def _answer_domains(request: HttpRequest, draft: Provision) -> HttpResponse:
    form = forms.DomainsForm(request.POST, request.FILES, instance=draft)
    chosen, spares = form.picked()
    kept_brand, kept_main = draft.brand, draft.main_domain
    valid = form.is_valid()
    brand, main_domain = (form.cleaned_data.get(name, "") for name in ("brand", "main_domain"))
    draft.brand, draft.main_domain = kept_brand, kept_main  # `is_valid` has put the form's values on the row
    if not valid:
        return _domains_page(request, draft, form, chosen, spares, problems=list(forms.problems(form)))
    refused, typed = registering.answer(request, draft)
    own = list(dict.fromkeys([*form.cleaned_data.get("own", []), *registering.agreed(draft)]))
    chosen, spares = ([name for name in some if name not in own] for some in (chosen, spares))
    known = names.known(draft, {*chosen, *spares, *drafts.shown_names(draft)})
    wanted = form.cleaned_data["wanted"].strip()
    action = request.POST.get("action", "continue")
    if action == "find" and wanted and brand == draft.brand:
        action = "add"  # Enter in the second field presses the first button of the form
    _keep(draft, chosen, spares, known, own)
    if refused:
        return _domains_page(request, draft, form, chosen, spares, problems=refused, registrations=typed)
    if action in ("find", "more", "add") or brand != draft.brand or not draft.names_shown:
        try:
            drafts.set_brand(draft, brand=brand, main_domain=main_domain)
        except BrandRefused as refusal:
            # A name typed by hand needs no brand, and neither does a domain that the student has.
            if brand or not (action in ("add", "lookup", "agree") or (action == "continue" and own)):
                form.refuse("brand", said(refusal.sentence))
                return _domains_page(request, draft, form, chosen, spares, problems=list(forms.problems(form)))
    if action in ("lookup", "agree"):
        return redirect(f"{address(draft, 'domains')}#registrations")
    if action in ("find", "look"):
        return redirect(f"{address(draft, 'domains')}#names")
    if action == "more":
        drafts.show_more(draft)
        return redirect(f"{address(draft, 'domains')}#names")
    if action == "add":
        return _add_name(request, draft, form, wanted, chosen, spares)
    return _choose_domains(request, draft, form, known, chosen, spares)


def _add_name(
    request: HttpRequest,
    draft: Provision,
    form: forms.DomainsForm,
    wanted: str,
    chosen: list[str],
    spares: list[str],
) -> HttpResponse:
    try:
        name = naming.parse_domain(wanted, sold=drafts.sold_endings(draft), main_domain=draft.main_domain)
    except naming.NameRefused as refusal:
        form.refuse("wanted", said(refusal.sentence))
        return _domains_page(request, draft, form, chosen, spares, problems=list(forms.problems(form)))
    drafts.add_searched(draft, name=name.name)
    messages.info(
        request, _("We understood %(name)s. It is on top of the list.") % {"name": name.name}, extra_tags="busy"
    )
    return redirect(f"{address(draft, 'domains')}#names")


def _choose_domains(
    request: HttpRequest,
    draft: Provision,
    form: forms.DomainsForm,
    known: dict[str, names.Known],
    chosen: list[str],
    spares: list[str],
) -> HttpResponse:
    assert draft.tier is not None
    problems = []
    if sentence := forms.count_problem(len(chosen) + len(drafts.own(draft)), drafts.size(draft)):
        problems.append(Problem(sentence, "#names"))
    for name in [*chosen, *spares]:
        word, _tone, note, is_open = presenters.judge(known.get(name), draft.tier)
        if not is_open:
            problems.append(Problem(_not_free(name, word, note), "#names"))
    sent_spares = [value for key, value in sorted(request.POST.items()) if key.startswith("spare_") and value]
    if len(set(sent_spares)) < len(sent_spares) or set(sent_spares) & set(chosen):
        problems.append(Problem(_("Each spare must be another name, and none of the chosen ones."), "#id_spare_1"))
    if not problems and (lost := names.hold(draft, [*chosen, *spares])):
        problems += [Problem(_("%(name)s: somebody else is ordering it.") % {"name": name}, "#names") for name in lost]
    if problems:
        return _domains_page(request, draft, form, chosen, spares, problems=problems)
    return redirect(address(draft, first_incomplete(draft).key))


def _not_free(name: str, word: str, note: str) -> str:
    said_of_it = f"{word.lower()}, {note[0].lower()}{note[1:]}" if note else word.lower()
    return _("%(name)s cannot be ordered: %(reason)s.") % {"name": name, "reason": said_of_it}


def _keep(
    draft: Provision, chosen: list[str], spares: list[str], known: dict[str, names.Known], own: list[str]
) -> None:
    prices = {name: (one.price_cents, one.renewal_cents) for name, one in known.items()}
    drafts.select(draft, chosen=chosen, spares=spares, prices=prices, own=own)


def _kept(draft: Provision) -> tuple[list[str], list[str]]:
    bought = [one.name for one in drafts.chosen(draft) if not one.is_own]
    return bought, [one.name for one in drafts.spares(draft)]


def _domains_page(
    request: HttpRequest,
    draft: Provision,
    form: forms.DomainsForm,
    chosen: list[str],
    spares: list[str],
    *,
    problems: list[Problem],
    notice: str = "",
    registrations: registering.Registrations | None = None,
) -> HttpResponse:
    return _page(
        request,
        "wizard/domains.html",
        "domains",
        draft,
        problems=problems,
        form=form,
        notice=notice,
        names=_names_on_page(draft, chosen, spares),
        wanted=presenters.wanted_sentence(draft),
        has_search=drafts.has_search(draft),
        registrations=registrations or registering.part(draft, request.POST if problems else None),
    )


def _names_on_page(draft: Provision, chosen: list[str], spares: list[str]) -> presenters.NamesOnPage:
    return presenters.names_on_page(
        draft,
        names.known(draft, drafts.shown_names(draft)),
        chosen=chosen,
        spares=spares,
        busy=presenters.queue_sentence(names.seconds_until_asked(draft)),
    )


@wizard_step("domains")
@throttled("status", reads=True)
def domain_names(request: HttpRequest, draft: Provision) -> HttpResponse:
    """The list of names while answers arrive: 204 as long as it would look the same. Keeps the ticks on the page."""
    chosen, spares = request.GET.getlist("chosen"), [request.GET.get(f"spare_{place}", "") for place in (1, 2, 3)]
    page = _names_on_page(draft, chosen, spares)
    if request.GET.get("version") == page.version:
        return HttpResponse(status=204)
    return render(request, "wizard/_names.html", {"names": page})


@wizard_step("domains")
@throttled("status", reads=True)
def domain_registrations(request: HttpRequest, draft: Provision) -> HttpResponse:
    """The names to register while answers arrive: 204 as long as they would look the same. Keeps the ticks on the page."""
    part = registering.part(draft, request.GET)
    if part is None or request.GET.get("version") == part.version:
        return HttpResponse(status=204)
    return render(request, "wizard/_registrations.html", {"part": part})


@wizard_step("mailboxes")
def mailboxes(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Step 3: the sender's name and the patterns."""
    form = forms.MailboxesForm(request.POST or None, instance=draft)
    problems: list[Problem] = []
    if request.method == "POST" and request.POST.get("action") != "preview":
        if form.is_valid():
            drafts.name_mailboxes(
                draft,
                first_name=form.cleaned_data["sender_first_name"],
                last_name=form.cleaned_data["sender_last_name"],
                patterns=form.cleaned_data["patterns"],
            )
            return redirect(address(draft, first_incomplete(draft).key))
        problems = list(forms.problems(form))
    elif request.method == "POST":
        form = forms.MailboxesForm(instance=draft, initial=request.POST.dict())
    return _page(
        request,
        "wizard/mailboxes.html",
        "mailboxes",
        draft,
        problems=problems,
        form=form,
        preview=replace(_preview(draft, form), reasons=[]) if problems else _preview(draft, form),
        people_href=address(draft, "people") if drafts.takes_people(draft) else "",
    )


@wizard_step("mailboxes")
@throttled("status", reads=True)
def mailbox_preview(request: HttpRequest, draft: Provision) -> HttpResponse:
    """The preview of what is typed right now. Saves nothing."""
    form = forms.MailboxesForm(instance=draft, initial=request.POST.dict())
    return render(request, "wizard/_preview.html", {"preview": _preview(draft, form)})


def _preview(draft: Provision, form: forms.MailboxesForm) -> presenters.Preview:
    return presenters.preview(
        draft,
        first_name=str(form["sender_first_name"].value() or ""),
        last_name=str(form["sender_last_name"].value() or ""),
        patterns=form.patterns,
    )


@wizard_step("mailboxes")
def people(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Step 3 for those who name the people who write one by one, in rows or by a file."""
    if not drafts.takes_people(draft):
        return redirect(address(draft, "mailboxes"))
    action = request.POST.get("action", "continue")
    is_sent = request.method == "POST" and action not in ("preview", "more")
    form = forms.PeopleForm(request, draft, is_sent=is_sent, more=action == "more")
    problems = [Problem(form.problem.messages[0], "#id_file")] if form.problem else []
    if is_sent:
        if form.is_valid():
            drafts.name_people(draft, named=form.cleaned_data["named"])
            return redirect(address(draft, first_incomplete(draft).key))
        problems = list(forms.problems(form))
    preview = _people_preview(draft, form)
    return _page(
        request,
        "wizard/people.html",
        "mailboxes",
        draft,
        problems=problems,
        form=form,
        rules=presenters.dealing_rule(draft),
        preview=replace(preview, reasons=[]) if problems else preview,
        preview_href=address(draft, "people-preview"),
        sender_href=sender_address(draft),
        example_href=address(draft, "people-example"),
    )


@wizard_step("mailboxes")
@throttled("status", reads=True)
def people_preview(request: HttpRequest, draft: Provision) -> HttpResponse:
    """The preview of the people who are typed right now. Saves nothing."""
    if not drafts.takes_people(draft):
        return redirect(address(draft, "mailboxes"))
    form = forms.PeopleForm(request, draft, is_sent=False)
    return render(request, "wizard/_preview.html", {"preview": _people_preview(draft, form)})


def _people_preview(draft: Provision, form: forms.PeopleForm) -> presenters.Preview:
    named, wrong = forms.judged(form.rows, form.most)
    return presenters.people_preview(draft, named, [sentence for _place, _name, sentence in wrong])


@wizard_step("mailboxes")
def people_example(request: HttpRequest, draft: Provision) -> HttpResponse:
    """A file of people as it may look."""
    headers = {"Content-Disposition": 'attachment; filename="people.csv"'}
    return HttpResponse(people_file.EXAMPLE.encode(), content_type="text/csv; charset=utf-8", headers=headers)


@wizard_step("review")
@throttled("write")
def review(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Step 4: check the answers, then pay. Names whose answer is old are asked again before the button appears."""
    picked = [one.name for one in drafts.to_buy(draft)]
    known = names.known(draft, picked)
    if gone := _gone(draft, known):
        messages.warning(request, gone, extra_tags="attention")
        return redirect(address(draft, "domains"))
    stale = [name for name in picked if not (name in known and known[name].fresh)]
    if stale:
        names.ask(draft, stale)
    try:
        bill = upgrade.bill_of(draft) if draft.enlarges_id else presenters.bill_of(draft)
    except billing.CheckoutRefused as refusal:
        messages.warning(request, refusal.sentence, extra_tags="attention")
        return redirect("upgrade")
    if request.method == "POST":
        return _pay(request, draft, bill, stale)
    return _review_page(request, draft, bill, stale, problems=[])


def _pay(request: HttpRequest, draft: Provision, bill: presenters.Bill, stale: list[str]) -> HttpResponse:
    form = forms.ReviewForm(request.POST, instance=draft, due=(bill.today_cents, bill.monthly_cents))
    problems = list(forms.problems(form))
    if stale and not problems:
        problems = [Problem(_("Your names are being checked once more. You can pay as soon as that is done."))]
    if problems:
        return _review_page(request, draft, bill, stale, problems=problems)
    try:
        url = upgrade.pay(draft) if draft.enlarges_id else billing.start_checkout(provision=draft, actor=draft.student)
    except (billing.CheckoutRefused, Refused) as refusal:
        draft.refresh_from_db()
        return _review_page(request, draft, bill, stale, problems=[Problem(str(refusal))])
    return _see_other(url)


def _see_other(url: str) -> HttpResponse:
    return HttpResponse(status=303, headers={"Location": url})


def _gone(draft: Provision, known: dict[str, names.Known]) -> str:
    """Say which chosen names can no longer be ordered, or nothing."""
    assert draft.tier is not None
    for domain in drafts.to_buy(draft):
        one = known.get(domain.name)
        word, tone, note, is_open = presenters.judge(one, draft.tier)
        if not is_open and tone != "busy":
            return _not_free(domain.name, word, note) + " " + _("Please choose another name.")
    return ""


def _review_page(
    request: HttpRequest, draft: Provision, bill: presenters.Bill, stale: list[str], *, problems: list[Problem]
) -> HttpResponse:
    busy = presenters.queue_sentence(names.seconds_until_asked(draft))
    page = presenters.review(draft, bill, checking=stale, busy=busy)
    return _page(request, "wizard/review.html", "review", draft, problems=problems, review=page)


@wizard_step("review")
@throttled("status", reads=True)
def review_state(request: HttpRequest, draft: Provision) -> HttpResponse:
    """Asked while names are checked once more: 204 until something changed, then "load the page anew"."""
    picked = [one.name for one in drafts.to_buy(draft)]
    known = names.known(draft, picked)
    stale = [name for name in picked if not (name in known and known[name].fresh)]
    version = presenters.review_version(
        checking=stale, busy=presenters.queue_sentence(names.seconds_until_asked(draft))
    )
    if request.GET.get("version") == version:
        return HttpResponse(status=204)
    return HttpResponse(status=204, headers={"HX-Redirect": address(draft, "review")})


def _page(
    request: HttpRequest, template: str, key: str, draft: Provision, *, problems: list[Problem], **values: object
) -> HttpResponse:
    context = {
        "steps": presenters.step_links(draft, key),
        "step": presenters.step_of(draft, key),
        "errors": problems,
        "has_errors": bool(problems),
        "back": presenters.back(draft, key),
        "preview_href": address(draft, "mailboxes-preview"),
        "page_narrow": key in ("accounts", "mailboxes", "review"),
        "paused": presenters.paused_sentence(draft) if key in ("package", "review") else "",
        **values,
    }
    return render(request, template, context, status=REFUSED if problems else 200)
