"""GoDaddy: is a name free, what does it cost, register it, lead it to other name servers. Two generations, one interface.

Documentation: https://developer.godaddy.com (v3: "Domain Lifecycle Management API"; v1: "Domains API"). Every verb returns
a `Call`; nothing is sent here. Which generation is spoken is a setting; a verb that one of them lacks is Unsupported.

Their behaviour that shapes this file (their contracts, and notes of people who call the running service):
- v3 buys in three steps: a free quote of ten minutes, its execution with an Idempotency-Key, and polling. The same key
  again has the same answer; a new key with a new quote buys a second time.
- v1 buys at once and knows no such key: a purchase is never sent twice, the domain itself is what shows it.
- v3 names money in minor units of its currency, v1 in millionths.
- Errors come in two envelopes, their words in any case; the sentence is for people and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quote_path

from .http.call import Call, Proof, Raw, Request
from .http.errors import NotConfigured, PlatformError, RateLimited, Rejected, Unsupported
from .http.options import Options
from .http.redact import Hidden
from .http.replies import (
    EXISTS,
    Judge,
    Object,
    Refusal,
    UnknownShape,
    as_object,
    as_rows,
    at_most,
    count,
    document,
    first,
    flag,
    measure,
    required,
    text,
    tidy,
)

T = TypeVar("T")

PLATFORM: Final = "godaddy"
BASE_URL: Final = "https://api.godaddy.com"
GENERAL: Final = "godaddy.general"

MOST_NAMES: Final = {"v3": 25, "v1": 500}
FEWEST_SERVERS, MOST_SERVERS = 2, 13
MICRO: Final = Decimal(1_000_000)
# Digits behind the point (ISO 4217), where they are not two.
EXPONENTS: Final = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "ISK": 0, "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3}
PLAIN_INVENTORY: Final = "REGISTRY"  # anything else is a premium name, whose price is whatever somebody asks


@dataclass(frozen=True, slots=True)
class GodaddySettings:
    """How to reach GoDaddy, and every choice its documentation leaves to us. Times in seconds.

    authorization  a token, or key and secret, as the header has it
    api            "v3" or "v1"
    phone_as       of v3: "object" as its type says, or "text" as its description shows
    """

    authorization: Hidden
    base_url: str = BASE_URL
    api: str = "v3"
    phone_as: str = "object"
    deadline: float = 30.0
    buy_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> GodaddySettings:
        """Read GODADDY_* settings: a token, or for v1 also key and secret. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        api = options.text("GODADDY_API", "v3").lower()
        phone_as = options.text("GODADDY_PHONE_AS", "object").lower()
        if api not in MOST_NAMES:
            raise NotConfigured("GODADDY_API is neither v3 nor v1", platform=PLATFORM)
        if phone_as not in ("object", "text"):
            raise NotConfigured("GODADDY_PHONE_AS is neither object nor text", platform=PLATFORM)
        if api == "v1" and options.text("GODADDY_API_KEY"):
            key, secret = options.secret("GODADDY_API_KEY"), options.secret("GODADDY_API_SECRET")
            is_ours = not isinstance(values.get("GODADDY_API_KEY"), Hidden)  # see registry.Clients.with_own
            authorization = Hidden(f"sso-key {key.open()}:{secret.open()}", pinned=is_ours)
        else:
            is_ours = not isinstance(values.get("GODADDY_API_TOKEN"), Hidden)
            authorization = Hidden(f"Bearer {options.secret('GODADDY_API_TOKEN').open()}", pinned=is_ours)
        return cls(
            authorization=authorization,
            base_url=options.address("GODADDY_API_URL", BASE_URL),
            api=api,
            phone_as=phone_as,
            late_execution=options.seconds("GODADDY_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("GODADDY_LIST_LAG_SECONDS", 120.0),
        )


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Money:
    """A sum in major units of its currency."""

    amount: Decimal
    currency: str

    @property
    def minor(self) -> int:
        """The sum in minor units, as v3 writes it."""
        return int((self.amount * 10 ** EXPONENTS.get(self.currency, 2)).to_integral_value())


def has_cents(currency: str) -> bool:
    """Tell whether a currency has two digits behind the point, as pages write sums."""
    return currency not in EXPONENTS


def major(minor: int, currency: str) -> Decimal:
    """Return a sum of minor units in major ones."""
    return Decimal(minor).scaleb(-EXPONENTS.get(currency, 2))


@dataclass(frozen=True, slots=True)
class Offer:
    """Availability and price of a name for a year. A price of None means that they named none: do not buy.

    definitive  whether the registry was asked just now
    problem     why they say nothing of this name: mismatch_format, unsupported_tld, invalid_domain, error_unknown, ...
    """

    name: str
    available: bool
    premium: bool = False
    price: Money | None = None
    renewal: Money | None = None
    definitive: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    kind: str
    title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a registration would cost. `token` opens it once, until `expires_at`; "" where the name is taken.

    total           price and fees: what is compared with the ceiling
    fees            as they came: the consent repeats them word for word
    contact_source  INLINE, PROFILE or ACCOUNT: the last is shown, it is the account's own contact
    """

    name: str
    available: bool
    token: Hidden
    total: Money | None = None
    renewal: Money | None = None
    expires_at: str = ""
    agreements: tuple[Agreement, ...] = ()
    fees: tuple[Object, ...] = ()
    premium: bool = False
    contact_source: str = ""
    period: int = 1


@dataclass(frozen=True, slots=True)
class Contact:
    """The registrant. `phone` as +1.4805551234, `country` as two letters."""

    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    city: str
    state: str
    postal_code: str
    country: str
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Consent:
    """The student's agreement: what was agreed to, the moment of the click (ISO 8601) and from which address (v1)."""

    agreements: tuple[str, ...]
    agreed_at: str
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something under way. `status` is upper case: CONFIRMED, EXECUTING, COMPLETED, FAILED, or a word nobody knows.

    ids     registration_id and operation_id (v3), order_id (both): all are kept
    again   seconds until asking again makes sense, None where they do not say
    """

    status: str
    operation_id: str = ""
    registration_id: str = ""
    order_id: str = ""
    domain: str = ""
    total: Money | None = None
    problem: str = ""
    again: float | None = None

    @property
    def done(self) -> bool:
        return self.status == "COMPLETED"

    @property
    def failed(self) -> bool:
        return self.status == "FAILED"


@dataclass(frozen=True, slots=True)
class Domain:
    """A name of the account. `status` is upper case and may be a word nobody has documented."""

    name: str
    status: str
    nameservers: tuple[str, ...] = ()
    auto_renew: bool | None = None
    expires_at: str = ""
    locked: bool | None = None

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"

    @property
    def waiting(self) -> bool:
        return self.status.startswith(("PENDING", "AWAITING"))

    @property
    def failed(self) -> bool:
        return self.status.startswith(("FAILED", "CANCELLED"))

    @property
    def needs_operator(self) -> bool:
        """Whether somebody has to look: held, locked, suspended, expired, or a word that we do not know."""
        return not (self.active or self.waiting or self.failed)


@dataclass(frozen=True, slots=True)
class DomainPage:
    domains: tuple[Domain, ...]
    next_marker: str = ""


# --- refusals --------------------------------------------------------------------------------------------------------

# By their words, whatever the sentence is and whatever the case. What is not here has its meaning from the status.
_CODES: Final[Mapping[str, str]] = {
    "quote_expired": "quote_gone",
    "quote_consumed": "quote_gone",
    "quote_mismatch": "quote_mismatch",
    "consent_fees_required": "consent_refused",
    "invalid_agreement_keys": "consent_refused",
    "domain_already_exists": EXISTS,
    "domain_not_available": "name_taken",
    "unavailable_domain": "name_taken",
    "no_payment_profile": "no_funds",
    "billing_declined": "no_funds",
    "invalid_payment_info": "no_funds",
    "missing_contact": "contact_refused",
    "missing_billing_phone": "contact_refused",
    "unsupported_tld": "ending_not_sold",
    "access_denied": "not_eligible",
    "insufficient_scope": "scope_missing",
    "missing_idempotency_key": "malformed",
}


def meaning(word: str) -> str:
    """Return what a word of theirs means, as the code of a refusal; the word itself where nobody has told us."""
    return _CODES.get(word.strip().lower(), word.strip().lower())


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What `Judge` says, after their own words: a gate of theirs is no wrong key, and 429 may name its wait inside."""

    judge: Judge

    def __call__(self, raw: Raw) -> PlatformError | None:
        error, body = self.judge(raw), _body(raw)
        if isinstance(error, RateLimited):
            waits = [wait for wait in (error.advised_wait, measure(body.get("retryAfterSec"))) if wait is not None]
            return RateLimited(error.sentence, advised_wait=max(waits, default=None), **error.origin)
        if error is not None and raw.status == 403 and (code := _CODES.get(_word(body))) is not None:
            return Rejected(code, error.sentence, **error.origin)
        return error


# --- client ----------------------------------------------------------------------------------------------------------


class GodaddyClient:
    """Verbs of GoDaddy in the generation that the settings name, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    Any verb may be Rejected not_eligible (the account is too small for their gate) or scope_missing.
    """

    def __init__(self, settings: GodaddySettings) -> None:
        self.settings = settings

    @property
    def asks_registrant(self) -> bool:
        """Whether a purchase has to name the registrant; v3 takes the contact that the account has."""
        return not self._v3

    @property
    def _v3(self) -> bool:
        return self.settings.api == "v3"

    # Names

    def check_domain(self, name: str, accurate: bool = False, weight_class: str = "search") -> Call[Offer]:
        """Ask for availability and price of one name; `accurate` asks the registry. Indicative: the quote decides.

        Docs: v3 `GET /v3/domains/check-availability`, v1 `GET /v1/domains/available`. Returns an Offer.
        """
        query = {"domain": _name(name), **self._exactness(accurate)}
        path = "/v3/domains/check-availability" if self._v3 else "/v1/domains/available"

        def parse(raw: Raw) -> Offer:
            return self._offer(as_object(document(raw), "offer"))

        return self._read("check_domain", "GET", path, parse, query=query, weight_class=weight_class)

    def check_domains(
        self, names: Sequence[str], accurate: bool = False, weight_class: str = "search"
    ) -> Call[tuple[Offer, ...]]:
        """Ask for many names in one call: 25 in v3, 500 in v1.

        Docs: v3 `POST /v3/domains/check-availability`, v1 `POST /v1/domains/available`. Returns an Offer per name that
        they say something of, in the order asked; a name with a `problem` is not available. Raises ValueError.
        """
        asked = tuple(dict.fromkeys(map(_name, names)))
        at_most(asked, "names", MOST_NAMES[self.settings.api])

        def parse(raw: Raw) -> tuple[Offer, ...]:
            body = as_object(document(raw), "offers")
            rows = as_rows(body.get("items" if self._v3 else "domains"), "offers")
            rows += [{**row, "error": row} for row in as_rows(body.get("errors") or [], "errors")]  # v1 with 203
            offers = {offer.name: offer for offer in map(self._offer, rows)}
            return tuple(offers[name] for name in asked if name in offers)

        exact = self._exactness(accurate)
        if self._v3:
            return self._read("check_domains", "POST", "/v3/domains/check-availability", parse,
                              body={"domains": list(asked), **exact}, weight_class=weight_class)  # fmt: skip
        return self._read("check_domains", "POST", "/v1/domains/available", parse, query=exact, body=list(asked),
                          weight_class=weight_class)  # fmt: skip

    # Buying

    def quote(
        self, name: str, period: int = 1, contact: Contact | None = None, nameservers: Sequence[str] = (),
        auto_renew: bool = False,
    ) -> Call[Quote]:  # fmt: skip
        """Ask what a registration costs now: free, may be repeated, a new token each time. v3 only.

        Docs: v3 `POST /v3/domains/registration-quotes`. Returns a Quote. Raises Unsupported (v1), Rejected no_funds (no
        way to pay is set up), contact_refused, ending_not_sold, malformed.
        """
        self._only("v3", "quote")

        def parse(raw: Raw) -> Quote:
            return _quote(as_object(document(raw), "quote"), period)

        body = self._order(name, period, contact, nameservers, auto_renew)
        return self._read("quote", "POST", "/v3/domains/registration-quotes", parse, body=body)

    def register(
        self, quote: Quote, consent: Consent, idempotency_key: str, ceiling_cents: int, contact: Contact | None = None,
        nameservers: Sequence[str] = (), auto_renew: bool = False,
    ) -> Call[Operation]:  # fmt: skip
        """Register what was quoted, which charges and cannot be undone. v3 only; everything as in the quote.

        `idempotency_key` belongs to the intent and is kept before sending: the same key has the same answer, so that the
        call may be sent again with it. `ceiling_cents` is compared with price and fees here. Docs: v3 `POST
        /v3/domains/registrations`. Returns an Operation to poll. Raises Unsupported (v1), AlreadyExists, Rejected
        quote_gone, quote_mismatch, consent_refused, name_taken, no_funds, contact_refused; ValueError for a premium name, a
        price above the ceiling or none, a consent that lacks an agreement, a quote without token.
        """
        self._only("v3", "register")
        if quote.premium:
            raise ValueError("a premium name is never bought")
        if not quote.token or quote.total is None or quote.total.minor > ceiling_cents:
            raise ValueError("no price, or one above the ceiling")
        if set(consent.agreements) != {one.kind for one in quote.agreements}:
            raise ValueError("the consent does not name the agreements of the quote")
        body = self._order(quote.name, quote.period, contact, nameservers, auto_renew)
        body["quoteToken"] = quote.token.open()
        body["consent"] = {"agreementTypes": list(consent.agreements), "agreedAt": consent.agreed_at}
        if quote.fees:
            body["consent"]["acknowledgedFees"] = [dict(fee) for fee in quote.fees]
        call = self._write(
            "register", "POST", "/v3/domains/registrations", _operation, items=(_name(quote.name),), body=body,
            key=idempotency_key, deadline=self.settings.buy_deadline,
        )  # fmt: skip
        return replace(call, price_ceilings={_name(quote.name): ceiling_cents})

    def agreements(self, ending: str, privacy: bool = False) -> Call[tuple[Agreement, ...]]:
        """The agreements that an ending needs consent to. v1 only: the quote of v3 has them. Raises Unsupported.

        Docs: v1 `GET /v1/domains/agreements`.
        """
        self._only("v1", "agreements")

        def parse(raw: Raw) -> tuple[Agreement, ...]:
            rows = as_rows(document(raw), "agreements")
            return tuple(Agreement(required(r, "agreementKey"), tidy(text(r, "title")), text(r, "url")) for r in rows)

        query = {"tlds": ending.lstrip("."), "privacy": str(privacy).lower()}
        return self._read("agreements", "GET", "/v1/domains/agreements", parse, query=query)

    def validate(
        self, name: str, consent: Consent, contact: Contact, nameservers: Sequence[str] = (), auto_renew: bool = False
    ) -> Call[bool]:
        """Ask whether a purchase would be taken, without buying. v1 only.

        Docs: v1 `POST /v1/domains/purchase/validate`. Raises Unsupported, and Rejected as `purchase`.
        """
        self._only("v1", "validate")
        body = self._purchase(name, consent, contact, nameservers, auto_renew)
        return self._read("validate", "POST", "/v1/domains/purchase/validate", _empty, body=body)

    def purchase(
        self, name: str, consent: Consent, contact: Contact, ceiling_cents: int, nameservers: Sequence[str] = (),
        auto_renew: bool = False,
    ) -> Call[Operation]:  # fmt: skip
        """Buy a name at once, from the prepaid account. v1 only, and never repeated blindly: `get_domain` shows it.

        `ceiling_cents` is stored with the intent; the offer must have been compared with it. Docs: v1 `POST
        /v1/domains/purchase`. Returns an Operation with order id and sum, whose proof is the domain. Raises Unsupported,
        Rejected no_funds, name_taken, consent_refused, contact_refused, malformed.
        """
        self._only("v1", "purchase")

        def parse(raw: Raw) -> Operation:
            row = as_object(document(raw), "order")
            return Operation(
                "CONFIRMED", order_id=required(row, "orderId"), domain=_name(name), total=_micro(row, "total")
            )

        body = self._purchase(name, consent, contact, nameservers, auto_renew)
        call = self._write("purchase", "POST", "/v1/domains/purchase", parse, items=(_name(name),), body=body,
                           repeatable=False, deadline=self.settings.buy_deadline)  # fmt: skip
        return replace(call, price_ceilings={_name(name): ceiling_cents})

    def get_operation(self, operation_id: str) -> Call[Operation]:
        """Look at something under way. v3 only. Docs: v3 `GET /v3/domains/operations/{id}`. Raises Unsupported, NotFound."""
        self._only("v3", "get_operation")
        return self._read("get_operation", "GET", f"/v3/domains/operations/{_id(operation_id)}", _operation)

    # Own names

    def list_domains(self, marker: str = "") -> Call[DomainPage]:
        """The names of the account, page by page. Docs: v3 `GET /v3/domains/domain-names`, v1 `GET /v1/domains`."""
        size, v3 = 100, self._v3

        def parse(raw: Raw) -> DomainPage:
            body = document(raw)
            rows = as_rows(as_object(body, "names").get("items") if v3 else body, "names")
            found = tuple(map(_domain, rows))
            after = _page_token(body) if v3 else found[-1].name if len(found) >= size else ""
            return DomainPage(found, after)

        query = {"pageSize": str(size)} if v3 else {"limit": str(size)}
        if marker:
            query["pageToken" if v3 else "marker"] = marker
        return self._read(
            "list_domains", "GET", "/v3/domains/domain-names" if v3 else "/v1/domains", parse, query=query
        )

    def get_domain(self, name: str) -> Call[Domain]:
        """One name of the account: the proof of a purchase. Raises NotFound when it is not ours (believe two reads).

        Docs: v3 `GET /v3/domains/domain-names/{domain}`, v1 `GET /v1/domains/{domain}`. Returns a Domain.
        """
        return self._read(
            "get_domain", "GET", self._path_of(name), lambda raw: _domain(as_object(document(raw), "name"))
        )

    def set_nameservers(self, name: str, servers: Sequence[str], idempotency_key: str) -> Call[Operation]:
        """Lead a name to 2-13 name servers. An absolute value, so it may be sent again.

        Docs: v3 `PUT /v3/domains/domain-names/{domain}/nameservers`, v1 `PATCH /v1/domains/{domain}`. Returns an Operation
        (COMPLETED in v1); `get_domain` shows them, DNS follows late. Raises NotFound, Rejected protected; ValueError.
        """
        hosts = _servers(servers)
        if self._v3:
            return self._write("set_nameservers", "PUT", f"{self._path_of(name)}/nameservers", _operation,
                               items=(_name(name),), body=hosts, key=idempotency_key)  # fmt: skip
        return self._write("set_nameservers", "PATCH", self._path_of(name), _patched, items=(_name(name),),
                           body={"nameServers": hosts})  # fmt: skip

    def set_auto_renew(self, name: str, on: bool, idempotency_key: str) -> Call[Operation]:
        """Switch the renewal of a name. An absolute value, so it may be sent again.

        Docs: v3 `POST /v3/domains/domain-names/{domain}/auto-renew` (not public there), v1 `PATCH /v1/domains/{domain}`.
        Returns an Operation; `get_domain` shows it. Raises NotFound.
        """
        if self._v3:
            return self._write("set_auto_renew", "POST", f"{self._path_of(name)}/auto-renew", _operation,
                               items=(_name(name),), body=on, key=idempotency_key)  # fmt: skip
        return self._write("set_auto_renew", "PATCH", self._path_of(name), _patched, items=(_name(name),),
                           body={"renewAuto": on})  # fmt: skip

    # How a call is put together

    def _only(self, api: str, verb: str) -> None:
        if self.settings.api != api:
            raise Unsupported(f"their {self.settings.api} has no such call", platform=PLATFORM, verb=verb)

    def _exactness(self, accurate: bool) -> dict[str, str]:
        if self._v3:
            return {"optimizeFor": "ACCURACY" if accurate else "SPEED"}
        return {"checkType": "FULL" if accurate else "FAST"}

    def _path_of(self, name: str) -> str:
        return f"/v3/domains/domain-names/{_id(_name(name))}" if self._v3 else f"/v1/domains/{_id(_name(name))}"

    def _offer(self, row: Object) -> Offer:
        return _offer_v3(row) if self._v3 else _offer_v1(row)

    def _order(
        self, name: str, period: int, contact: Contact | None, nameservers: Sequence[str], auto_renew: bool
    ) -> dict[str, Any]:
        profile: dict[str, Any] = {"autoRenew": auto_renew}
        if contact is not None:
            profile["contacts"] = {"registrant": _contact_v3(contact, self.settings.phone_as)}
        if nameservers:
            profile["nameServers"] = _servers(nameservers)
        return {"domain": _name(name), "period": period, "profile": profile}

    def _purchase(
        self, name: str, consent: Consent, contact: Contact, nameservers: Sequence[str], auto_renew: bool
    ) -> dict[str, Any]:
        person = _contact_v1(contact)
        agreed = {"agreementKeys": list(consent.agreements), "agreedBy": consent.ip, "agreedAt": consent.agreed_at}
        return {
            "domain": _name(name), "period": 1, "privacy": False, "renewAuto": auto_renew, "consent": agreed,
            **{f"contact{role}": person for role in ("Registrant", "Admin", "Tech", "Billing")},
            **({"nameServers": _servers(nameservers)} if nameservers else {}),
        }  # fmt: skip

    def _request(self, method: str, path: str, query: Mapping[str, str] | None, body: Any, key: str = "") -> Request:
        headers = {"Authorization": self.settings.authorization.open(), "accept": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        return Request(method, self.settings.base_url + path, headers, dict(query or {}), body)

    def _read(
        self, verb: str, method: str, path: str, parse: Callable[[Raw], T], *, query: Mapping[str, str] | None = None,
        body: Any = None, weight_class: str = "paid",
    ) -> Call[T]:  # fmt: skip
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, query, body),
            parse,
            _Verdict(Judge(PLATFORM, verb, False, _speak, _refusals(verb))),
            budgets=(GENERAL,),
            weight_class=weight_class,
            deadline=self.settings.deadline,
        )

    def _write(
        self, verb: str, method: str, path: str, parse: Callable[[Raw], T], *, items: tuple[str, ...], body: Any,
        key: str = "", repeatable: bool = True, deadline: float | None = None,
    ) -> Call[T]:  # fmt: skip
        if self._v3 and not key.strip():
            raise ValueError("an idempotency key is missing")
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, None, body, key if self._v3 else ""),
            parse,
            _Verdict(Judge(PLATFORM, verb, True, _speak, _refusals(verb))),
            items=items,
            proof=Proof.READ,
            repeatable=repeatable,
            budgets=(GENERAL,),
            deadline=self.settings.deadline if deadline is None else deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
        )


def terms(client: GodaddyClient, ask: Callable[[Call[Any]], Any], name: str) -> Quote:
    """Ask what registering a name would cost now and what has to be agreed to, in either generation; free.

    v3 quotes it. v1 has no quotes: what it says of the name, and its agreements, are put together without a token. `ask`
    executes a read. Raises what those reads raise, Rejected ending_not_sold among it.
    """
    if client.settings.api == "v3":
        quoted: Quote = ask(client.quote(name))
        return quoted
    offer: Offer = ask(client.check_domain(name, accurate=True, weight_class="paid"))
    agreed = ask(client.agreements(name.partition(".")[2])) if offer.available else ()
    return Quote(offer.name, offer.available, Hidden(""), offer.price, offer.renewal, agreements=agreed)


# --- reading ---------------------------------------------------------------------------------------------------------


def _body(raw: Raw) -> Object:
    try:
        found = document(raw)
    except UnknownShape:
        return {}
    return found if isinstance(found, dict) else {}


def _word(body: Object) -> str:
    """Return their word for an error, of either envelope, in lower case."""
    word = first(body, "code", "name")
    return word.strip().lower() if isinstance(word, str) else ""


def _speak(body: Any) -> str:
    """Return the sentence of an error document; their word stands behind it, in brackets, for the refusals."""
    message, word = body.get("message"), _word(body)
    return f"{message if isinstance(message, str) else ''} {f'[{word}]' if word else ''}".strip()


def _refusals(verb: str) -> tuple[Refusal, ...]:
    found = [Refusal(code, re.escape(f"[{word}]")) for word, code in _CODES.items()]
    if verb == "set_nameservers":
        found.append(Refusal("protected", r"\[(domain_protected|not_eligible|invalid_status)\]"))
    return tuple(found)


def _minor(value: Any) -> Money | None:
    """Read a sum of v3. One of zero or less is no price."""
    if not isinstance(value, dict):
        return None
    minor, currency = count(value.get("value")), text(value, "currencyCode").upper()
    if not minor or not currency:
        return None
    return Money(major(minor, currency), currency)


def _micro(row: Object, name: str) -> Money | None:
    """Read a sum of v1."""
    millionths, currency = count(row.get(name)), text(row, "currency").upper() or "USD"
    return Money(Decimal(millionths) / MICRO, currency) if millionths else None


def _offer_v3(row: Object) -> Offer:
    name, problem = _name(required(row, "domain")), row.get("error")
    if isinstance(problem, dict):
        return Offer(name, False, problem=_word(problem) or "error_unknown")
    available = flag(row.get("available"))
    if available is None:
        raise UnknownShape("neither available nor an error")
    yearly = [one for one in as_rows(row.get("prices") or [], "prices") if count(one.get("period")) in (1, None)]
    price: Object = yearly[0] if yearly else {}
    return Offer(
        name,
        available,
        premium=text(row, "inventory").upper() not in ("", PLAIN_INVENTORY),
        price=_minor(price.get("price")),
        renewal=_minor(price.get("renewalPrice")),
        definitive=flag(row.get("definitive")) is True,
    )


def _offer_v1(row: Object) -> Offer:
    name, problem = _name(required(row, "domain")), row.get("error")
    if isinstance(problem, dict):
        return Offer(name, False, problem=_word(problem) or "error_unknown")
    available = flag(row.get("available"))
    if available is None:
        raise UnknownShape("neither available nor an error")
    price = _micro(row, "price") if count(row.get("period")) in (1, None) else None
    return Offer(name, available, price=price, definitive=flag(row.get("definitive")) is True)


def _quote(row: Object, period: int) -> Quote:
    name, available = _name(required(row, "domain")), flag(row.get("available"))
    token = text(row, "quoteToken")
    if available is None or (available and not token):
        raise UnknownShape("a quote without token")
    fees = tuple(as_rows(row.get("fees") or [], "fees"))
    price = _minor(row.get("price"))
    charged = [_minor(first(fee, "amount", "price", "fee")) for fee in fees]
    if price is not None and all(one is not None and one.currency == price.currency for one in charged):
        total: Money | None = Money(
            price.amount + sum((one.amount for one in charged if one), Decimal(0)), price.currency
        )
    else:
        total = None
    return Quote(
        name,
        available,
        Hidden(token),
        total=total,
        renewal=_minor(row.get("renewalPrice")),
        expires_at=text(row, "expiresAt"),
        agreements=tuple(
            Agreement(required(one, "agreementType"), tidy(text(one, "title")), text(one, "url"))
            for one in as_rows(row.get("requiredAgreements") or [], "agreements")
        ),
        fees=fees,
        premium=text(row, "inventory").upper() not in ("", PLAIN_INVENTORY),
        contact_source=text(as_object(row.get("resolved") or {}, "resolved"), "contactSource"),
        period=period,
    )


def _operation(raw: Raw) -> Operation:
    row = as_object(document(raw), "operation")
    result, problem = row.get("result"), row.get("error")
    outcome: Object = result if isinstance(result, dict) else {}
    return Operation(
        status=required(row, "status").upper(),
        operation_id=required(row, "operationId"),
        registration_id=text(row, "registrationId"),
        order_id=text(outcome, "orderId") or text(row, "orderId"),
        domain=_name(text(row, "domain")),
        total=_minor(row.get("price")),
        problem=_word(problem) if isinstance(problem, dict) else "",
        again=measure(raw.headers.get("retry-after")),
    )


def _empty(raw: Raw) -> bool:
    """Read an answer that is empty when all is well."""
    if raw.body.strip() not in (b"", b"{}"):
        raise UnknownShape("something where nothing belongs")
    return True


def _patched(raw: Raw) -> Operation:
    _empty(raw)
    return Operation("COMPLETED")


def _domain(row: Object) -> Domain:
    return Domain(
        name=_name(required(row, "domain")),
        status=required(row, "status").upper(),
        nameservers=tuple(_name(host) for host in row.get("nameServers") or () if isinstance(host, str)),
        auto_renew=flag(first(row, "autoRenew", "renewAuto")),
        expires_at=text(row, "expiresAt", "expires"),
        locked=flag(first(row, "transferLock", "locked")),
    )


def _page_token(body: Any) -> str:
    for link in as_rows(body.get("links") or [], "links"):
        found = re.search(r"[?&]pageToken=([^&]+)", text(link, "href"))
        if text(link, "rel") == "next" and found:
            return found[1]
    return ""


# --- what goes in ----------------------------------------------------------------------------------------------------


def _contact_v3(one: Contact, phone_as: str) -> dict[str, Any]:
    code, _, number = one.phone.lstrip("+").partition(".")
    phone: Any = {"countryCode": code, "nationalNumber": number} if phone_as == "object" else one.phone
    address = {
        "line1": one.address, "city": one.city, "state": one.state, "postalCode": one.postal_code, "countryCode": one.country,
    }  # fmt: skip
    person = {
        "firstName": one.first_name,
        "lastName": one.last_name,
        "email": one.email,
        "phone": phone,
        "address": address,
    }
    return person | ({"organization": one.organization} if one.organization else {})


def _contact_v1(one: Contact) -> dict[str, Any]:
    address = {
        "address1": one.address, "city": one.city, "state": one.state, "postalCode": one.postal_code, "country": one.country,
    }  # fmt: skip
    person = {
        "nameFirst": one.first_name, "nameLast": one.last_name, "email": one.email, "phone": one.phone,
        "addressMailing": address,
    }  # fmt: skip
    return person | ({"organization": one.organization} if one.organization else {})


def _servers(servers: Sequence[str]) -> list[str]:
    hosts = list(dict.fromkeys(map(_name, servers)))
    if not FEWEST_SERVERS <= len(hosts) <= MOST_SERVERS:
        raise ValueError(f"{FEWEST_SERVERS} to {MOST_SERVERS} name servers")
    return hosts


def _name(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _id(value: str) -> str:
    """Return an id fit for a path. Raises ValueError for an empty one, which would name the whole collection."""
    if not value.strip():
        raise ValueError("an id is missing")
    return quote_path(value, safe="")
