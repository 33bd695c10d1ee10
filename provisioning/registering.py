"""Names that a student wants registered at GoDaddy, in an account of their own: looked up, agreed to, part of the order.

GoDaddy lets nobody register for others, so the student's own token asks and, after payment, buys; their account is charged.
A page puts names in a list, a worker asks what each costs and what has to be agreed to, and what the student agreed to
is frozen with the order. Off unless the operator switches it on (`GODADDY_STUDENTS_REGISTER`). Vendor time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import clock, rls
from infra.dns.names import display
from infra.models import Provision, Registration
from infra.secret import Secret
from integrations.godaddy import PLATFORM, Contact, Quote, has_cents, terms
from integrations.http.errors import BadCredentials, PlatformError, Rejected

from .actions import Refused
from .engine import budget, doorbell
from .engine.accounts import Accounts, good
from .engine.reader import send_read
from .engine.runner import Workshop, default_workshop
from .looking import is_any_due, take_due
from .steps.workspace.registering import is_offered as is_offered

log = logging.getLogger(__name__)

State = Registration.State

MOST = 25  # names of one order
FRESH_FOR = 3600.0  # vendor seconds that an answer may be agreed to; what it costs is asked again before the purchase
BACKOFF = (30.0, 60.0, 300.0, 900.0)  # vendor seconds until the next try, by number of tries in a row without an answer
LARGEST = 10_000_000  # minor units: more is a premium name, whatever it is called
TAKEN, PREMIUM, NO_PRICE, CURRENCY, WRONG_TOKEN, NO_ANSWER = (
    "taken",
    "premium",
    "no_price",
    "currency",
    "wrong_token",
    "no_answer",
)


def listed(draft: Provision) -> list[Registration]:
    """Return the names of an order, in the order in which they were typed."""
    if draft._state.adding:
        return []
    return list(Registration.objects.filter(provision=draft).defer("registrant"))


def agreed(draft: Provision) -> list[Registration]:
    """Return the names of an order that its student agreed to register."""
    return [row for row in listed(draft) if row.state == State.AGREED]


# ---- what a student does ----------------------------------------------------------------------------------------------


def look_up(*, draft: Provision, names: Sequence[str]) -> None:
    """Have names looked up. What is agreed to stays so. Raises Refused."""
    with rls.acting_as("worker"), transaction.atomic():
        _hold(draft)
        if good(draft.student_id, PLATFORM) is None:
            raise Refused(_("Connect your GoDaddy account first: it is asked, and later charged."))
        Registration.objects.filter(provision=draft, state=State.REFUSED).exclude(name__in=names).delete()
        rows = {row.name: row for row in Registration.objects.filter(provision=draft)}
        fresh = [name for name in dict.fromkeys(names) if name not in rows]
        room = MOST - sum(row.state in (State.AGREED, State.OFFERED, State.ASKED) for row in rows.values())
        if len(fresh) > room:
            raise Refused(
                _("At most %(most)d names are looked up for an order. Those below are too many with these.")
                % {"most": MOST}
            )
        now = clock.vendor_now()
        again = [row for name, row in rows.items() if name in names and row.state in (State.OFFERED, State.REFUSED)]
        for row in again:
            row.state, row.due_at, row.failures, row.problem = State.ASKED, now, 0, ""
            row.save()
        for name in fresh:
            Registration.objects.create(provision=draft, student_id=draft.student_id, name=name, due_at=now)
        doorbell.ring("registrations")


def digest(row: Registration) -> str:
    """Return what names all that a page shows of an offer: nobody agrees to another one than they have seen."""
    shown = [row.price_cents, row.renewal_cents, row.currency, row.agreements, row.contact_source, row.asks_registrant]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]


def agree(
    *, draft: Provision, seen: Mapping[str, str], address: str, registrant: Mapping[str, str] | None = None
) -> None:
    """Take the student's consent: to register names for at most the sums that the page showed, and to their agreements.

    `seen`: the digest of each name's offer; `address`: where the click came from; `registrant`: the fields of a Contact.
    Raises Refused.
    """
    with rls.acting_as("worker"), transaction.atomic():
        _hold(draft)
        rows = list(Registration.objects.select_for_update(of=("self",)).filter(provision=draft, name__in=seen))
        for row in rows:
            name = {"name": display(row.name)}
            if row.state == State.AGREED:
                continue
            if row.state != State.OFFERED or row.answered_at is None:
                raise Refused(_("%(name)s is not offered at the moment. Look it up again.") % name)
            is_old = clock.seconds_between(row.answered_at, clock.vendor_now()) > FRESH_FOR
            if is_old or digest(row) != seen[row.name]:
                raise Refused(_("What %(name)s costs was said a while ago, or has changed. Look it up again.") % name)
            if row.asks_registrant and registrant is None:
                raise Refused(_("GoDaddy asks who registers %(name)s: fill in all of the registrant's fields.") % name)
            row.state, row.agreed_at, row.agreed_from = State.AGREED, timezone.now(), address or None
            row.registrant = (
                Secret(json.dumps(asdict(Contact(**registrant)))) if row.asks_registrant and registrant else None
            )
            row.save()


def keep(*, draft: Provision, ticked: Collection[str]) -> None:
    """Take out of the order whatever was agreed to and is not ticked any more; it can be agreed to again. Raises Refused."""
    with rls.acting_as("worker"), transaction.atomic():
        rows = Registration.objects.filter(provision=draft, state=State.AGREED).exclude(name__in=ticked)
        if rows.exists():
            _hold(draft)
            rows.update(state=State.OFFERED, agreed_at=None, agreed_from=None, registrant=None)


def _hold(draft: Provision) -> None:
    """Lock an order that is still a draft of this student. Raises Refused."""
    mine = Provision.objects.select_for_update(of=("self",)).filter(pk=draft.pk, student_id=draft.student_id)
    if mine.values_list("state", flat=True).first() != "draft":
        raise Refused(_("This order is being paid and can no longer be changed here."))


# ---- what a worker does -----------------------------------------------------------------------------------------------


def is_due() -> bool:
    """Tell whether a name waits to be looked up: asked by the supervisor's tick."""
    return is_any_due(Registration)


def drain(limit: int = 10) -> int:
    """Look up to `limit` names up; return how many. Answers the bell `registrations`."""
    workshop, done = default_workshop(), 0
    while done < limit and (row := take_due(Registration, BACKOFF)) is not None:
        ask_terms(row, workshop)
        done += 1
    return done


def ask_terms(row: Registration, workshop: Workshop) -> None:
    """Ask what a name costs and what has to be agreed to, with its student's own token, and write it down."""
    rows: QuerySet[Registration] = Registration.objects.filter(pk=row.pk, state=State.ASKED)
    if not Provision.objects.filter(pk=row.provision_id, state="draft").exists():
        rows.delete()  # nobody waits for it any more
        return
    account = good(row.student_id, PLATFORM)
    if account is None:
        rows.update(state=State.REFUSED, problem=WRONG_TOKEN, due_at=None)
        return
    accounts = Accounts({PLATFORM: account})
    client = accounts.clients(workshop.clients).godaddy
    try:
        quote = terms(client, lambda call: send_read(workshop.transport, call, accounts=accounts), row.name)
    except budget.NotNow as error:
        rows.update(due_at=clock.later(clock.vendor_now(), max(1.0, error.seconds)), failures=max(0, row.failures - 1))
    except BadCredentials:
        rows.update(state=State.REFUSED, problem=WRONG_TOKEN, due_at=None)
    except Rejected as refusal:
        rows.update(state=State.REFUSED, problem=refusal.code[:40], due_at=None)
    except PlatformError as error:
        log.warning("a name was not looked up: %s", error)
        rows.update(problem=NO_ANSWER)
    else:
        rows.update(**_said(quote), asks_registrant=client.asks_registrant, answered_at=clock.vendor_now(), due_at=None)


def _said(quote: Quote) -> dict[str, Any]:
    """Return the columns that a quote fills."""
    if not quote.available:
        problem = TAKEN
    elif quote.total is None:
        problem = NO_PRICE
    elif quote.premium or quote.total.minor > LARGEST:
        problem = PREMIUM
    else:
        problem = "" if has_cents(quote.total.currency) else CURRENCY
    if problem or quote.total is None:
        return {"state": State.REFUSED, "problem": problem}
    return {
        "state": State.OFFERED,
        "problem": "",
        "price_cents": quote.total.minor,
        "renewal_cents": min(quote.renewal.minor, LARGEST) if quote.renewal else 0,
        "currency": quote.total.currency[:3],
        "agreements": [[one.kind, one.title, one.url] for one in quote.agreements],
        "contact_source": quote.contact_source[:12],
    }
