"""Registering a name at GoDaddy in the student's own account: once, for what they agreed to, and seen there.

v3 carries a request out once for its idempotency key: what its quote was and the key made of it are kept before anything is
sent, and a lost answer is asked for again with the same key. v1 knows no keys: a purchase whose answer was lost is looked for,
and sent again only once it is proven absent. In both, a name that the account holds already is never bought.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.dateparse import parse_datetime

from infra.clock import seconds_between
from infra.models import Registration
from integrations import godaddy
from integrations.godaddy import Agreement, Consent, Contact, Money, Operation, Quote, terms
from integrations.http.errors import BadCredentials, NotFound, OutcomeUnknown, RateLimited, Rejected, Retryable
from integrations.http.options import Options
from integrations.http.redact import Hidden

from ...engine.accounts import UPDATE_KEY
from ...engine.context import Context, DomainItem
from ...engine.outcomes import Done, NeedsOperator, NeedsStudent, Outcome, Wait
from ...engine.specs import DAY, HOUR, MINUTE
from ..common import one_by_one, wait_for

PLATFORM = "godaddy"
QUESTION = "register"  # the page's form
WISH = "register"  # fact of a domain: what its student agreed to, frozen with the order
ORDER = "registration"  # fact: the quote that is being executed, and what became of it
ASKED = "register_asked_at"  # fact: since when the student is asked
ANSWERS = "register_answers"  # fact: how often they answered
SILENCE = "register_silent_since"  # fact: since when GoDaddy says nothing
TERMS = "register_terms"  # fact: what GoDaddy asks now, where that is not what was agreed to

AGAIN = 5.0  # vendor seconds until an operation is looked at again where they name no time
MARGIN = 30.0  # vendor seconds that a quote is used before its end
ABSENT_READS = 2
SLOW = 30 * MINUTE  # what is not registered by then is looked at by a person
SILENT = 1 * HOUR  # so long it may say nothing before the student is told that there are other ways
LONGEST_ADVICE = 15 * MINUTE  # however long they ask us to wait
REMIND_AFTER, LATE_AFTER = 1 * DAY, 2 * DAY  # the student is asked again, and the operator told
VERBS = ("register", "purchase")  # of v3 and of v1

CHANGED, PAYMENT, CONTACT, NOT_SOLD, HELD, LOST = (
    "registration_terms",
    "registration_payment",
    "registration_contact",
    "GODADDY_API_ERROR",
    "registration_held",
    "registration_lost",
)
LETTER = "registering"  # kind of the letter
# What the student is asked when GoDaddy refuses; whatever is not here is its interface's matter.
ASKS = {
    "no_funds": PAYMENT,
    "contact_refused": CONTACT,
    "consent_refused": CHANGED,
    "quote_mismatch": CHANGED,
    "not_eligible": NOT_SOLD,
    "scope_missing": NOT_SOLD,
    "ending_not_sold": NOT_SOLD,
}
GONE = frozenset({"name_taken", "exists_elsewhere"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a student agreed to. `cents` is the most that may be charged, in minor units of `currency`."""

    cents: int
    currency: str
    agreements: tuple[str, ...]
    agreed_at: str
    address: str

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Wish | None:
        """Return what was agreed to for a domain; None where it is not to be registered."""
        kept = facts.get(WISH)
        return cls(**{**kept, "agreements": tuple(kept["agreements"])}) if kept else None

    @property
    def consent(self) -> Consent:
        return Consent(self.agreements, self.agreed_at, self.address)


def is_offered() -> bool:
    """Tell whether the operator lets students register names in accounts of their own."""
    return Options(PLATFORM, settings.PLATFORMS).flag("GODADDY_STUDENTS_REGISTER", False)


def registered(ctx: Context) -> Mapping[str, Outcome]:
    """Register each name whose student agreed to it, unless their account has it. What befalls one keeps no other back."""
    return one_by_one(ctx.domains, lambda domain: _registered(ctx, domain))


def _registered(ctx: Context, domain: DomainItem) -> Outcome:
    wish = Wish.of(domain.facts)
    if wish is None:
        return Done()
    if not ctx.accounts.is_own(PLATFORM):  # an order is frozen with the account; nobody else's is taken
        return _ask(ctx, domain, NOT_SOLD, "the order has no GoDaddy account of its student's")
    try:
        return _follow(ctx, domain) or _there(ctx, domain) or _register(ctx, domain, wish)
    except Rejected as refusal:  # of a read: what may be under way is as it was
        return _refused(ctx, domain, refusal)
    except BadCredentials as error:
        return NeedsStudent(UPDATE_KEY, f"{NOT_SOLD}: {error.sentence}", look_again=10 * MINUTE, mail="")
    except RateLimited as error:
        seconds = min(error.advised_wait or MINUTE, LONGEST_ADVICE)
        return Wait(seconds, why="GoDaddy asked us to slow down", firm=True, cause="rate_limited")
    except OutcomeUnknown:
        return _unclear(ctx, domain)
    except Retryable as error:
        return _silent(ctx, domain, error)


def _unclear(ctx: Context, domain: DomainItem) -> Outcome:
    """Ask for a lost answer again: at once, and then ever more rarely. What was counted of its absence counts anew."""
    why = f"whether GoDaddy registers {domain.name} is being asked again, with the same key"
    if ctx.waited > SLOW:
        return NeedsOperator("registration_slow", f"{why}, for half an hour already")
    order = domain.facts.get(ORDER)
    facts = {ORDER: {**order, "refused_at": "", "absent_reads": 0}} if order else {}
    return Wait(max(AGAIN, min(ctx.waited / 4, 5 * MINUTE)), why=why, facts=facts)


def _silent(ctx: Context, domain: DomainItem, error: Retryable) -> Outcome:
    """Wait for an answer; after an hour of silence the student is told of other ways, if nothing has been sent."""
    since = parse_datetime(str(domain.facts.get(SILENCE) or ""))
    is_long = since is not None and seconds_between(since, ctx.now) > SILENT
    if is_long and not domain.facts.get(ORDER) and not _attempts(ctx, domain):
        return _ask(ctx, domain, NOT_SOLD, f"GoDaddy has not answered for an hour: {error.sentence}")
    facts = {} if since else {SILENCE: ctx.now.isoformat()}
    return Wait(ctx.poll, why=f"GoDaddy does not answer as it should: {error.sentence}", facts=facts)


def _attempts(ctx: Context, domain: DomainItem, *verbs: str, since: Collection[str] = ()) -> list[str]:
    """Return the requests to buy a name that may have been carried out, besides those that were there before."""
    found = [one for verb in verbs or VERBS for one in ctx.ledger.attempts(PLATFORM, verb, domain.name)]
    return [one for one in found if one not in since]


def _there(ctx: Context, domain: DomainItem) -> Outcome | None:
    """Judge a name that the account holds; None where it holds none."""
    client = ctx.clients.godaddy
    try:
        held = ctx.read(client.get_domain(domain.name))
    except NotFound:
        return None
    status = f"GoDaddy says that {domain.name} is {held.status.lower().replace('_', ' ')}"
    if held.failed:  # an entry that a failed purchase has left
        return _ask(ctx, domain, NOT_SOLD, status)
    for verb in VERBS:
        ctx.ledger.prove(PLATFORM, verb, {domain.name: {"read_back": True}})
    if held.active:
        now = ctx.now.isoformat()
        facts = {
            "registered_at": now,
            "registered_until": held.expires_at[:10],
            "godaddy_registration_id": (domain.facts.get(ORDER) or {}).get("id", ""),
        }
        # Nothing lies at a name that we have just registered, so nothing stops when it leads elsewhere.
        bought = {"may_stop_at": now} if _attempts(ctx, domain) else {}
        return Done({**facts, **bought, **dict.fromkeys((ORDER, TERMS, ASKED, SILENCE))})
    if not held.waiting or held.status.startswith("AWAITING"):
        return _ask(ctx, domain, HELD, status, look_again=HOUR)
    if ctx.waited > 4 * SLOW:
        return NeedsOperator("registration_slow", f"{status}, for two hours already")
    return Wait(ctx.poll, why=status)


def _register(ctx: Context, domain: DomainItem, wish: Wish) -> Outcome:
    is_old = ctx.clients.godaddy.asks_registrant
    if _attempts(ctx, domain, VERBS[not is_old]):  # by a key of the other interface: this one cannot look at those
        why = f"{domain.name} was asked for with another kind of key, and is not in the account: look whether it was bought"
        return NeedsOperator("registration_slow", f"{why}; then mark this step as done by hand, or skip it")
    if is_old:
        return _purchase(ctx, domain, wish)
    order = domain.facts.get(ORDER) or {}
    if order.get("operation"):
        why = f"{domain.name} is registered, and not in the account's list yet"
        return _slow(ctx, order, why) or Wait(AGAIN, why=why)
    if not order or (_has_ended(ctx, order) and not _sent(ctx, domain, order)):
        return _quote(ctx, domain, wish)
    return _execute(ctx, domain, wish, order)


# ---- v3: quote, execute, follow ----------------------------------------------------------------------------------------


def _quote(ctx: Context, domain: DomainItem, wish: Wish) -> Outcome:
    """Ask what it costs now, and keep that before anything is sent. What is more than was agreed to asks the student."""
    quote = terms(ctx.clients.godaddy, ctx.read, domain.name)
    if (other := _not_as_agreed(ctx, domain, wish, quote)) is not None:
        return other
    assert quote.total is not None
    kept = {
        "quote": quote.token.open(),  # opens nothing without the account's token, and ten minutes long
        "cents": quote.total.minor,
        "fees": [dict(fee) for fee in quote.fees],
        "expires_at": quote.expires_at,
        "before": _attempts(ctx, domain, "register"),
    }
    return Wait(1.0, why=f"GoDaddy has quoted {domain.name}", facts={ORDER: kept, SILENCE: None})


def _not_as_agreed(ctx: Context, domain: DomainItem, wish: Wish, quote: Quote) -> Outcome | None:
    """Ask the student where a quote is not what was agreed to; None where it is. Nothing is under way then."""
    if not quote.available:
        return _ask(ctx, domain, LOST, f"{domain.name} was registered by somebody else", {ORDER: None})
    if quote.premium:
        return _ask(ctx, domain, LOST, f"{domain.name} is a premium name by now", {ORDER: None})
    if quote.total is None:
        return Wait(5 * MINUTE, why="GoDaddy names no price at the moment", facts={SILENCE: None})
    if not godaddy.has_cents(quote.total.currency):
        return _ask(ctx, domain, NOT_SOLD, f"GoDaddy asks for {quote.total.currency}", {ORDER: None})
    kinds = {one.kind for one in quote.agreements}
    if quote.total.currency != wish.currency or quote.total.minor > wish.cents or kinds != set(wish.agreements):
        asked = {
            "cents": quote.total.minor,
            "currency": quote.total.currency,
            "agreements": [[one.kind, one.title, one.url] for one in quote.agreements],
        }
        why = (
            f"GoDaddy asks {quote.total.amount} {quote.total.currency} for {domain.name}, or something else to agree to"
        )
        return _ask(ctx, domain, CHANGED, why, {ORDER: None, TERMS: asked})
    return None


def _execute(ctx: Context, domain: DomainItem, wish: Wish, order: Mapping[str, Any]) -> Outcome:
    quote = Quote(
        domain.name,
        True,
        Hidden(order["quote"]),
        total=Money(godaddy.major(order["cents"], wish.currency), wish.currency),
        agreements=tuple(Agreement(kind) for kind in wish.agreements),
        fees=tuple(order["fees"]),
    )
    key = uuid.uuid5(uuid.NAMESPACE_DNS, f"{ctx.reference} {domain.name} {order['quote']}")
    try:
        made = ctx.ledger.apply(ctx.clients.godaddy.register(quote, wish.consent, str(key), wish.cents))
    except Rejected as refusal:
        return _not_executed(ctx, domain, wish, order, refusal)
    except NotFound as error:  # they know the quote no more
        return _not_executed(ctx, domain, wish, order, Rejected("quote_gone", error.sentence, **error.origin))
    kept = {**order, "operation": made.operation_id, "id": made.registration_id, "at": ctx.now.isoformat()}
    return Wait(made.again or AGAIN, why=f"GoDaddy is registering {domain.name}", facts={ORDER: kept})


def _not_executed(ctx: Context, domain: DomainItem, wish: Wish, order: Mapping[str, Any], refusal: Rejected) -> Outcome:
    """Forget a quote that was refused, since another one is another key: only once nothing can have come of it.

    Where an earlier request of its key may have arrived, a refusal of a later one says nothing of that: its absence takes the
    bounds of the ledger and two reads after them.
    """
    if _sent(ctx, domain, order) > 1:  # not only the one that was refused just now
        refused = parse_datetime(str(order.get("refused_at") or ""))
        if refused is None:
            kept = {**order, "refused_at": ctx.now.isoformat()}
            why = "it is refused now, and an earlier answer was lost: being looked for"
            return Wait(MINUTE, why=why, facts={ORDER: kept})
        its = ctx.clients.godaddy.settings
        bound = its.buy_deadline + its.late_execution + its.list_lag + MARGIN
        reads = int(order.get("absent_reads", 0)) + (seconds_between(refused, ctx.now) > bound)
        if reads < ABSENT_READS:
            kept = {**order, "absent_reads": reads}
            return Wait(MINUTE, why=f"{domain.name} is not in the account", facts={ORDER: kept})
    if refusal.code == "quote_gone":
        return _quote(ctx, domain, wish)
    return _refused(ctx, domain, refusal, {ORDER: None})


def _follow(ctx: Context, domain: DomainItem) -> Outcome | None:
    """Look at an operation under way; None where there is none, or its end has to be looked for in the account."""
    order, client = domain.facts.get(ORDER) or {}, ctx.clients.godaddy
    if not order.get("operation") or client.asks_registrant:
        return None
    try:
        found: Operation = ctx.read(client.get_operation(order["operation"]))
    except NotFound:  # they know it no more
        return None
    if found.done:
        return None
    if found.failed:
        code = godaddy.meaning(found.problem)
        return _refused(ctx, domain, Rejected(code, found.problem), {ORDER: None})
    why = f"GoDaddy is registering {domain.name}"
    return _slow(ctx, order, why) or Wait(found.again or AGAIN, why=why)


def _slow(ctx: Context, order: Mapping[str, Any], why: str) -> Outcome | None:
    """Let a person look at what takes too long; None while it does not."""
    if seconds_between(parse_datetime(str(order["at"])) or ctx.now, ctx.now) <= SLOW:
        return None
    why = f"{why}, for half an hour already (operation {order['operation']})"
    return NeedsOperator("registration_slow", f"{why}: nothing is sent again; it is looked at every hour")


def _has_ended(ctx: Context, order: Mapping[str, Any]) -> bool:
    ends = parse_datetime(str(order.get("expires_at", "")))
    return ends is not None and seconds_between(ctx.now, ends) < MARGIN


def _sent(ctx: Context, domain: DomainItem, order: Mapping[str, Any]) -> int:
    """Return how many requests have gone out with the key of a quote, or may have."""
    return len(_attempts(ctx, domain, "register", since=order["before"]))


# ---- v1: buy and look -----------------------------------------------------------------------------------------------


def _purchase(ctx: Context, domain: DomainItem, wish: Wish) -> Outcome:
    """Buy at once. What it costs is asked right before, and whether it would be taken."""
    client, name = ctx.clients.godaddy, domain.name
    contact = _registrant(ctx, name)
    if contact is None:
        return _ask(ctx, domain, CONTACT, f"nobody has said who registers {name}")
    if ctx.ledger.sendable(PLATFORM, "purchase", [name]):
        if (other := _not_as_agreed(ctx, domain, wish, terms(client, ctx.read, name))) is not None:
            return other
        ctx.read(client.validate(name, wish.consent, contact))
    book = ctx.ledger.bring_about(
        [name],
        lambda _names: client.purchase(name, wish.consent, contact, wish.cents),
        dict,  # it was looked for just now
        again=frozenset(ASKS) | GONE | {"malformed", "refused"},  # none of them has bought anything
    )
    if (refusal := book.rejected.get(name) or book.refusal) is not None:
        return _refused(ctx, domain, refusal)
    return wait_for(book, name, ctx, f"{name} was ordered; it is not in the account's list yet")


def _registrant(ctx: Context, name: str) -> Contact | None:
    rows = Registration.objects.filter(student=ctx.provision.student_id, name=name, registrant__isnull=False)
    row = rows.order_by("-created_at").first()
    return Contact(**json.loads(row.registrant.open())) if row is not None and row.registrant else None


# ---- words ------------------------------------------------------------------------------------------------------------


def _refused(ctx: Context, domain: DomainItem, refusal: Rejected, facts: Mapping[str, Any] | None = None) -> Outcome:
    if refusal.code in GONE:
        return _ask(ctx, domain, LOST, f"{domain.name} was registered by somebody else", facts)
    why = f"GoDaddy refused {domain.name}: {refusal.sentence}"
    return _ask(ctx, domain, ASKS.get(refusal.code, NOT_SOLD), why, facts)


def _ask(
    ctx: Context,
    domain: DomainItem,
    code: str,
    why: str,
    facts: Mapping[str, Any] | None = None,
    *,
    look_again: float = 0.0,
) -> NeedsStudent:
    """Ask the student: a letter at once, another after a day, and after two the operator is told as well.

    A quote is forgotten (`facts`) only where its execution is known to have come to nothing.
    """
    asked = domain.facts.get(ASKED) or ctx.now.isoformat()
    waited = seconds_between(parse_datetime(str(asked)) or ctx.now, ctx.now)
    notice = 2 if waited >= LATE_AFTER else 1 if waited >= REMIND_AFTER else 0
    return NeedsStudent(
        QUESTION,
        why,
        look_again=look_again,
        mail=LETTER,
        letter=f"{domain.key}:{code}:{domain.facts.get(ANSWERS, 0)}:{notice}",
        notice=notice,
        code=code if notice == 2 else "",
        cause=code,
        facts={TERMS: None, SILENCE: None, ASKED: asked, **(facts or {})},
    )
