"""Names that are registered at GoDaddy for an order, in the student's own account: the part of the page of domains."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.dns.names import display
from infra.models import PlatformConnection, Provision, Registration
from infra.presenters_base import ChoiceRow, Option, Problem, Tag, listed, money, version_of
from infra.throttle import client_address
from provisioning import registering
from provisioning.actions import Refused
from provisioning.engine.accounts import FROZEN, good

from . import drafts, own, steps

State, GODADDY = Registration.State, PlatformConnection.Platform.GODADDY
ANCHORS = {"error": "#id_register_names", "refusal": "#id_consent"}

PROBLEMS: Mapping[str, str | Promise] = {
    registering.TAKEN: gettext_lazy("Somebody has this name already."),
    registering.PREMIUM: gettext_lazy("A premium name: those are never bought here."),
    registering.CURRENCY: gettext_lazy("GoDaddy names its price in a currency that we cannot show. Buy it yourself."),
    registering.NO_PRICE: gettext_lazy("GoDaddy names no price for it at the moment."),
    registering.WRONG_TOKEN: gettext_lazy("GoDaddy does not take your token any more. Look at your accounts."),
    registering.NO_ANSWER: gettext_lazy("GoDaddy does not answer at the moment. We go on asking."),
    "no_funds": gettext_lazy("Your GoDaddy account has no way to pay. Add one there, then look the name up again."),
    "contact_refused": gettext_lazy("The contact of your GoDaddy account is incomplete, or not in plain letters."),
    "ending_not_sold": gettext_lazy("GoDaddy does not sell this ending through its interface."),
    "not_eligible": gettext_lazy("GoDaddy does not let this account buy through its interface."),
    "scope_missing": gettext_lazy("Your token lacks the scope domains.domain:create. Make one that has it."),
}
ELSEWHERE = gettext_lazy(
    "GoDaddy refuses it. Buy it yourself, anywhere, and type it in above as a domain that you own."
)


class RegistrantForm(forms.Form):
    """Who registers a name, where the account does not say so itself. Plain letters only: registries take no others."""

    first_name = forms.CharField(label=gettext_lazy("First name"), max_length=30)
    last_name = forms.CharField(label=gettext_lazy("Last name"), max_length=30)
    email = forms.EmailField(label=gettext_lazy("E-mail"), max_length=80)
    phone = forms.RegexField(
        r"^\+[0-9]{1,3}\.[0-9]{4,13}$",
        label=gettext_lazy("Phone"),
        help_text=gettext_lazy("Written like +1.4805551234."),
        error_messages={"invalid": gettext_lazy("Write the phone number like +1.4805551234.")},
    )
    address = forms.CharField(label=gettext_lazy("Street and number"), max_length=41)
    city = forms.CharField(label=gettext_lazy("City"), max_length=30)
    state = forms.CharField(label=gettext_lazy("State or province"), max_length=30)
    postal_code = forms.CharField(label=gettext_lazy("Postal code"), max_length=10)
    country = forms.RegexField(
        r"^[A-Za-z]{2}$",
        label=gettext_lazy("Country, two letters"),
        error_messages={"invalid": gettext_lazy("Write the country as two letters, for example US.")},
    )
    organization = forms.CharField(label=gettext_lazy("Organisation (optional)"), max_length=100, required=False)

    prefix = "registrant"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, value in list(cleaned.items()):
            if not str(value).isascii():
                self.add_error(name, _("Registries take plain letters only, without accents."))
        return cleaned

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()


@dataclass(frozen=True, slots=True)
class Registrations:
    """The whole part of the page. `version` changes when it would look different; `seen` says which offers it shows.

    error  belongs to the names that were typed, `refusal` to the consent
    """

    connect: Option | None
    rows: list[ChoiceRow]
    seen: list[str]
    agreements: list[Option]
    has_offers: bool
    checking: bool
    contact_note: str
    registrant: RegistrantForm | None
    typed: str
    error: str
    refusal: str
    poll_href: str
    version: str


def is_offered(draft: Provision) -> bool:
    """Tell whether names can be registered for the draft's package at all."""
    if draft.enlarges is not None and GODADDY not in draft.enlarges.order.get(FROZEN, ()):
        return False  # the set-up keeps to the accounts that it was paid with
    return registering.is_offered() and drafts.takes_own(draft) and GODADDY in drafts.platforms(draft)


def part(
    draft: Provision, data: QueryDict | None = None, *, typed: str = "", error: str = "", refusal: str = ""
) -> Registrations | None:
    """Return the part of the page, with the ticks and the registrant of `data`; None where nothing is offered."""
    if not is_offered(draft):
        return None
    connected = good(draft.student_id, GODADDY) is not None
    found = registering.listed(draft) if connected else []
    ticked = None if data is None or "registrations" not in data else set(data.getlist("register"))
    rows = [_row(place, one, ticked) for place, one in enumerate(found)]
    offers = [one for one in found if one.state == State.OFFERED]
    asks = [one for one in offers if one.asks_registrant]
    version = version_of([(one.pk, one.state, one.problem, registering.digest(one)) for one in found])
    return Registrations(
        connect=None if connected else Option(_("Connect your GoDaddy account"), _accounts(draft)),
        rows=rows,
        seen=[f"{one.name} {registering.digest(one)}" for one in offers],
        agreements=agreement_links([row for one in offers for row in one.agreements]),
        has_offers=bool(offers),
        checking=any(one.state == State.ASKED for one in found),
        contact_note=_("They are registered with the contact of your GoDaddy account.")
        if any(one.contact_source == "ACCOUNT" for one in offers)
        else "",
        registrant=RegistrantForm(data if data is not None and data.get("action") == "agree" else None)
        if asks
        else None,
        typed=typed,
        error=error,
        refusal=refusal,
        poll_href=f"{steps.address(draft, 'domains-registrations')}?version={version}",
        version=version,
    )


def _accounts(draft: Provision) -> str:
    """Return where accounts are connected: for an order that runs, on a page of their own."""
    return reverse("connections") if draft.enlarges_id else steps.address(draft, "accounts")


def _row(place: int, one: Registration, ticked: Collection[str] | None) -> ChoiceRow:
    tag, note = _said(one)
    is_open = one.state in (State.OFFERED, State.AGREED)
    checked = one.state == State.AGREED if ticked is None else one.name in ticked
    return ChoiceRow(
        id=f"register-{place}",
        name="register",
        value=one.name,
        label=display(one.name),
        checked=checked and is_open,
        open=is_open,
        word=tag.word,
        tone=tag.tone,
        note=note,
    )


def _said(one: Registration) -> tuple[Tag, str]:
    price = {
        "price": money(one.price_cents, one.currency or "usd"),
        "renewal": money(one.renewal_cents or one.price_cents, one.currency or "usd"),
    }
    match one.state:
        case State.ASKED:
            return Tag(_("Being looked up"), "busy"), str(PROBLEMS.get(one.problem, ""))
        case State.OFFERED:
            return Tag(_("Free"), "done"), _("%(price)s for a year, then %(renewal)s a year") % price
        case State.AGREED:
            return Tag(_("In your order"), "done"), _(
                "At most %(price)s, charged by GoDaddy after you have paid us"
            ) % price
        case _:
            return Tag(_("Not possible"), "off"), str(PROBLEMS.get(one.problem, ELSEWHERE))


def agreement_links(agreements: Iterable[Sequence[str]]) -> list[Option]:
    """Return where what has to be agreed to can be read, each once, from kind, title and address of each."""
    links = {
        kind: Option(title or kind, url if str(url).startswith("https://") else "", away=True)
        for kind, title, url in agreements
    }
    return list(links.values())


def agreed(draft: Provision) -> dict[str, str]:
    """Return the names that are to be registered for the draft, part of its own domains, and what each costs at most."""
    rows = registering.agreed(draft) if is_offered(draft) else []
    return {row.name: money(row.price_cents, row.currency) for row in rows}


def answer(request: HttpRequest, draft: Provision) -> tuple[list[Problem], Registrations | None]:
    """Do what the page's buttons say about names to register. Returns what was refused, and the part as it was typed.

    Whatever the button, a name that was agreed to and is not ticked any more leaves the order; a tick alone agrees to nothing.
    """
    data, action = request.POST, request.POST.get("action", "")
    if not is_offered(draft) or "registrations" not in data:
        return [], None
    sent, typed = set(data.getlist("register")), data.get("register_names", "")
    ticked = [one.name for one in registering.listed(draft) if one.name in sent]
    try:
        registering.keep(draft=draft, ticked=ticked)
        if action == "lookup":
            return _look_up(draft, data, typed)
        if action == "agree":
            return _agree(request, draft, ticked)
    except Refused as refusal:
        where = "error" if action == "lookup" else "refusal"
        return [Problem(str(refusal), ANCHORS[where])], part(draft, data, typed=typed, **{where: str(refusal)})
    waiting = [one.name for one in registering.listed(draft) if one.state == State.OFFERED and one.name in ticked]
    if action == "continue" and waiting:
        text = _("%(names)s: agree to what is said below the names, or take the ticks away.") % {
            "names": listed(waiting)
        }
        return [Problem(text, ANCHORS["refusal"])], part(draft, data, typed=typed, refusal=text)
    return [], None


def _look_up(draft: Provision, data: QueryDict, typed: str) -> tuple[list[Problem], Registrations | None]:
    try:
        names = own.parse(typed, draft)
    except forms.ValidationError as error:
        problems = [Problem(sentence, ANCHORS["error"]) for sentence in error.messages]
        return problems, part(draft, data, typed=typed, error=" ".join(error.messages))
    if not names:
        text = _("Type the names that you would like.")
        return [Problem(text, ANCHORS["error"])], part(draft, data, typed=typed, error=text)
    registering.look_up(draft=draft, names=names)
    return [], None


def _agree(request: HttpRequest, draft: Provision, ticked: list[str]) -> tuple[list[Problem], Registrations | None]:
    data = request.POST
    shown = dict(pair.rsplit(" ", 1) for pair in data.getlist("seen") if " " in pair)
    offered = {one.name: one for one in registering.listed(draft) if one.state == State.OFFERED}
    wanted = [name for name in ticked if name in offered]
    if not wanted:
        raise Refused(_("Tick the names that you want, then agree."))
    if data.get("consent") != "yes":
        raise Refused(_("Tick that you agree: without that nothing can be registered in your name."))
    form = RegistrantForm(data) if any(offered[name].asks_registrant for name in wanted) else None
    if form is not None and not form.is_valid():
        problems = [
            Problem(f"{form[name].label}: {error}", f"#{form[name].id_for_label}")
            for name, errors in form.errors.items()
            for error in errors
        ]
        return problems, part(draft, data)
    seen = {name: shown.get(name, "") for name in wanted}
    contact = form.cleaned_data if form is not None else None
    registering.agree(draft=draft, seen=seen, address=client_address(request), registrant=contact)
    return [], None
