"""Zapmail: registers domains, runs their DNS, creates Google or Microsoft mailboxes, exports them to a sending tool.

Documentation: https://docs.zapmail.ai. Every verb returns a `Call`; nothing is sent here.

Their behaviour that shapes this file (observed by people who call the API, 2026):
- Most writes answer "accepted" with `data: null`. Only a later list proves them, hence Proof.READ nearly everywhere.
- A purchase that the wallet does not cover looks like a success: 200 with an invoice, and nothing is registered.
- Counters are strings, `nextPage` is no end marker, `contains` is a substring filter: compare exactly afterwards.
- The mailbox list carries live passwords. They are parsed into `Hidden` or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from .http.call import Call, Proof, Raw, Request
from .http.options import Options
from .http.redact import Hidden, taint
from .http.replies import (
    EXISTS,
    MISSING,
    Judge,
    Object,
    Refusal,
    UnknownShape,
    as_object,
    as_rows,
    at_most,
    cents,
    count,
    document,
    first,
    flag,
    number,
    required,
    text,
    tidy,
)

T = TypeVar("T")

PLATFORM: Final = "zapmail"
BASE_URL: Final = "https://api.zapmail.ai/api"

GENERAL: Final = "zapmail.general"
SEARCH: Final = "zapmail.search"

MOST_NAMES_PER_CHECK: Final = 20
MOST_MAILBOXES_PER_DOMAIN: Final = 5

SECRET_FIELDS: Final = frozenset({"password", "appPassword", "secret", "adminDetails"})


@dataclass(frozen=True, slots=True)
class ZapmailSettings:
    """How to reach Zapmail, and every choice its documentation leaves to us. Times in seconds.

    provider                   GOOGLE or MICROSOFT, sent with every call
    app                        the sending tool's name at Zapmail; PIPL is PlusVibe
    dns_shield                 buy their DNS shield along with domains
    purchase_counts_as_search  a purchase also spends a permit of the search budget (whether it does there is unknown)
    """

    api_key: Hidden
    base_url: str = BASE_URL
    provider: str = "GOOGLE"
    app: str = "PIPL"
    page_size: int = 50
    dns_shield: bool = False
    purchase_counts_as_search: bool = False
    deadline: float = 30.0
    buy_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0
    order_drop: float = 300.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> ZapmailSettings:
        """Read ZAPMAIL_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        return cls(
            api_key=options.secret("ZAPMAIL_API_KEY"),
            base_url=options.address("ZAPMAIL_API_URL", BASE_URL),
            provider=options.text("ZAPMAIL_PROVIDER", "GOOGLE").upper(),
            app=options.text("ZAPMAIL_EXPORT_APP", "PIPL").upper(),
            page_size=options.whole("ZAPMAIL_PAGE_SIZE", 50, least=1),
            dns_shield=options.flag("ZAPMAIL_DNS_SHIELD", False),
            purchase_counts_as_search=options.flag("ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH", False),
            late_execution=options.seconds("ZAPMAIL_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("ZAPMAIL_LIST_LAG_SECONDS", 120.0),
            order_drop=options.seconds("ZAPMAIL_ORDER_DROP_SECONDS", 300.0),
        )


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen in a list, later."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace. Domain and mailbox counters are None where the list does not carry them."""

    id: str
    name: str
    domains: int | None = None
    purchased_mailboxes: int | None = None
    assigned_mailboxes: int | None = None


@dataclass(frozen=True, slots=True)
class WorkspacePage:
    workspaces: tuple[Workspace, ...]
    page: int
    last: bool


@dataclass(frozen=True, slots=True)
class DomainOffer:
    """Availability and price of one name, in cents. A price of None means that they named none: do not buy."""

    name: str
    available: bool
    premium: bool
    price_cents: int | None
    renewal_cents: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer to a purchase. No proof of anything: an unpaid order answers the same (see the module's text)."""

    message: str
    invoice_link: str = ""
    payment_link: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain we own at Zapmail. `status` is upper case and may be a word nobody has documented."""

    id: str
    name: str
    status: str
    workspace_id: str = ""
    provider: str = ""
    dns_in_progress: bool = False
    nameservers_invalid: bool = False
    dmarc_email: str = ""
    dmarc_applied: bool = False
    assigned_mailboxes: int = 0
    auto_renew: bool | None = None
    expires_on: str = ""

    @property
    def dns_ready(self) -> bool:
        """ACTIVE alone is not enough: DNS work may still run, or the name servers may be wrong."""
        return self.status == "ACTIVE" and not self.dns_in_progress and not self.nameservers_invalid


@dataclass(frozen=True, slots=True)
class DomainPage:
    domains: tuple[Domain, ...]
    page: int
    last: bool


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record of a domain as they list it. `host` is relative to the domain, @ for the domain itself."""

    type: str
    host: str
    value: str
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to create: `username` is the part before the @."""

    username: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox at Zapmail. `status` is upper case: ACTIVE, IN_PROGRESS, FAILED and others."""

    id: str
    address: str
    username: str
    domain: str
    domain_id: str
    first_name: str
    last_name: str
    status: str
    app_password: Hidden | None = None
    expires_on: str = ""

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"

    @property
    def failed(self) -> bool:
        return self.status == "FAILED"


@dataclass(frozen=True, slots=True)
class MailboxPage:
    """Mailboxes of one page of *domains*. The counters are the workspace's, None where they are not sent."""

    mailboxes: tuple[Mailbox, ...]
    page: int
    last: bool
    purchased: int | None = None
    assigned: int | None = None
    available: int | None = None
    scheduled: int | None = None


@dataclass(frozen=True, slots=True)
class Wallet:
    """Balance in cents of US dollars."""

    balance_cents: int
    auto_recharge: bool | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """A login of the sending tool registered in a workspace. `error` is set when it has stopped working."""

    id: str
    email: str
    app: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class ExportStarted:
    """An export began. They promise no id."""

    export_id: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExportState:
    """What they say about an export. `completed` is no proof: it is said with mailboxes missing."""

    export_id: int | None
    status: str
    failure_reason: str = ""

    @property
    def completed(self) -> bool:
        return self.status == "COMPLETED"

    @property
    def failed(self) -> bool:
        return self.status == "FAILED"


# --- natural keys ----------------------------------------------------------------------------------------------------


def slots_key(workspace_id: str, batch: str = "") -> str:
    """Return the natural key of a workspace's slot counter: purchases that share it take turns.

    batch  tells the purchase of a later order for the same workspace from the first one
    """
    return f"slots:{workspace_id}:{batch}" if batch else f"slots:{workspace_id}"


def sender_key(workspace_id: str, email: str) -> str:
    """Return the natural key of a sending tool's login in a workspace."""
    return f"{workspace_id}:{email.strip().lower()}"


# --- refusals --------------------------------------------------------------------------------------------------------

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_workspace": (
        Refusal(EXISTS, r"already|exists|unique|duplicate|taken"),
        Refusal("billing_missing", r"billing|(address|country|postal|phone).*required"),
    ),
    "check_domains": (Refusal("too_many_names", r"\b20\b|too many|maximum"),),
    "buy_domains": (
        Refusal("insufficient_wallet", r"insufficient.*(wallet|balance)"),
        Refusal("ending_not_sold", r"\btld\b|extension|ending"),
        Refusal("banned_name", r"banned|phrase|not allowed|prohibited|blacklist"),
        Refusal("name_has_workspace", r"(google|microsoft|existing).*workspace|workspace.*already"),
        Refusal(EXISTS, r"already (in|added|exists?|purchased|owned|connected|bought)|in your account"),
        Refusal("price_changed", r"price"),
        Refusal("name_taken", r"not available|unavailable|taken|already registered"),
        Refusal("billing_missing", r"billing"),
    ),
    "set_dmarc": (Refusal("bad_email", r"e-?mail"),),
    "create_mailboxes": (
        # The same words for "no slots" and "bought slots not landed yet": whoever reads this code must wait and look.
        Refusal("not_enough_slots", r"(don'?t have|do not have|not) enough mailbox"),
        Refusal("domain_full", r"per domain|(limit|maximum|more than|up to).*mailbox|\b5\b.*mailbox"),
        Refusal(EXISTS, r"already|exists|duplicate"),
        Refusal("domain_not_ready", r"(domain|\.[a-z]{2,}\b).*(not (yet )?active|pending|not ready)"),
        Refusal("earlier_mailboxes_pending", r"not (yet )?active|in progress|wait"),
        Refusal("bad_username", r"user ?name|separator|consecutive"),
    ),
    "buy_mailbox_slots": (
        Refusal("insufficient_wallet", r"insufficient.*(wallet|balance)"),
        Refusal("no_plan", r"\bplan\b|subscription"),
        Refusal("billing_missing", r"billing"),
    ),
    "register_sender": (
        Refusal(EXISTS, r"already|exists|duplicate"),
        Refusal("app_unknown", r"\bapp\b"),
        Refusal("wrong_login", r"password|credential|log ?in|invalid|unauthori[sz]ed|authenticat"),
    ),
    "update_sender": (
        Refusal(MISSING, r"not found|unknown account"),
        Refusal("wrong_login", r"password|credential|log ?in|invalid|unauthori[sz]ed|authenticat"),
    ),
    "export_mailboxes": (
        Refusal("no_account", r"no .*account"),
        Refusal("nothing_to_export", r"no mailbox"),
        Refusal("account_required", r"thirdPartyAccountId|multiple|several|which account"),
        Refusal("export_limit", r"limit|per week|weekly|too many|re-?export"),
        Refusal("sender_login_expired", r"expired|re-?connect|log ?in|credential"),
        Refusal("mailbox_not_ready", r"not (yet )?active|in progress"),
    ),
}


# --- client ----------------------------------------------------------------------------------------------------------


class ZapmailClient:
    """Verbs of https://docs.zapmail.ai, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: ZapmailSettings) -> None:
        self.settings = settings

    # Workspaces

    def list_workspaces(self, contains: str = "", page: int = 1) -> Call[WorkspacePage]:
        """One page of workspaces whose name contains a text (a substring filter: compare `name` exactly).

        Docs: docs.zapmail.ai, "Get all workspaces". Returns a WorkspacePage; read on until `last`.
        """
        size = self.settings.page_size

        def parse(raw: Raw) -> WorkspacePage:
            data = _data(raw)
            if isinstance(data, list):  # one public fixture has a plain array here
                rows, pages = as_rows(data, "data"), None
            else:
                data = as_object(data, "data")
                rows = as_rows(data.get("workspaces"), "workspaces")
                pages = count(data.get("totalPages"))
            ended = _ended(page, pages, len(rows), size)
            # `workspaces` holds only the others; the one named by the header stands apart, on every page.
            current = data.get("currentWorkspace") if isinstance(data, dict) else None
            if current is not None:
                rows = [as_object(current, "currentWorkspace"), *rows]
            found = {workspace.id: workspace for workspace in map(_workspace, rows)}
            return WorkspacePage(tuple(found.values()), page, ended)

        query = {**self._page(page), **({"contains": contains} if contains else {})}
        return self._read("list_workspaces", "GET", "/v2/workspaces", parse, query=query)

    def create_workspace(self, name: str, billing: Mapping[str, str] | None = None) -> Call[Workspace]:
        """Create a workspace. `name` must end in our reference, by which it is found again; names are unique there.

        `billing` is their billingDetails object (company, firstName, ..., phone); None leaves it out.
        Docs: docs.zapmail.ai, "Create workspace". Returns the Workspace with its id.
        Raises AlreadyExists for a name in use (the status and text of that refusal are not documented),
        Rejected billing_missing.
        """

        def parse(raw: Raw) -> Workspace:
            return _workspace(as_object(_data(raw), "data"), name=name)

        body: dict[str, Any] = {"name": name}
        if billing:
            body["billingDetails"] = dict(billing)
        return self._write(
            "create_workspace", "POST", "/v2/workspaces", parse, items=(name,), proof=Proof.ANSWER, body=body
        )

    # Names

    def check_domains(self, names: Sequence[str], weight_class: str = "search") -> Call[tuple[DomainOffer, ...]]:
        """Ask for availability and price of up to 20 names in one call.

        `weight_class` "paid" uses the share of the search budget that is kept for orders.
        Docs: docs.zapmail.ai, "Check domain availability in bulk". Returns an offer per name that was answered, in the
        order asked; a name they left out, or used an unknown word for, has no answer. Raises ValueError for no names or
        more than 20.
        """
        asked = tuple(dict.fromkeys(_name(name) for name in names))
        at_most(asked, "names", MOST_NAMES_PER_CHECK)

        def parse(raw: Raw) -> tuple[DomainOffer, ...]:
            body = as_object(_checked(raw), "reply")
            # Both nestings are in use: at the top, and under `data`.
            data = body.get("data") if body.get("domains") is None else body
            rows = data if isinstance(data, list) else as_object(data, "data").get("domains")
            found = [_offer(row) for row in as_rows(rows, "domains")]
            offers = {offer.name: offer for offer in found if offer is not None}
            return tuple(offers[name] for name in asked if name in offers)

        return self._read(
            "check_domains",
            "POST",
            "/v2/domains/available-bulk",
            parse,
            body={"domainNames": list(asked)},
            budgets=(GENERAL, SEARCH),
            weight_class=weight_class,
        )

    def buy_domains(self, workspace_id: str, names: Mapping[str, int], years: int = 1) -> Call[Receipt]:
        """Register domains from the wallet. `names` maps each name to the most it may cost, in cents.

        The ceiling is not part of their API: it is stored with the intent and must have been compared with a fresh
        offer. Not idempotent, charges before asking the registry, and drops an unpaid order after about five minutes.
        Docs: docs.zapmail.ai, "Buy domains". Returns a Receipt, which proves nothing: only `list_domains` does.
        A payment link instead of a purchase is an unknown outcome.
        Raises AlreadyExists, or Rejected with insufficient_wallet, banned_name, name_has_workspace, price_changed,
        name_taken, ending_not_sold, billing_missing; ValueError for no names.
        """
        ceilings = {_name(name): ceiling for name, ceiling in names.items()}
        if not ceilings or years < 1:
            raise ValueError("nothing to buy")

        def parse(raw: Raw) -> Receipt:
            receipt = _receipt(raw)
            if receipt.payment_link:
                raise UnknownShape("a payment link instead of a purchase")
            return receipt

        return self._write(
            "buy_domains",
            "POST",
            "/v2/domains/buy",
            parse,
            workspace_id=workspace_id,
            items=tuple(ceilings),
            body={
                "domains": [{"domainName": name, "years": years} for name in ceilings],
                "useWallet": True,
                "enableDnsShield": self.settings.dns_shield,
            },
            budgets=(GENERAL, SEARCH) if self.settings.purchase_counts_as_search else (GENERAL,),
            deadline=self.settings.buy_deadline,  # a purchase can take most of a minute
            order_drop=self.settings.order_drop,
            price_ceilings=ceilings,
        )

    def list_domains(self, workspace_id: str, contains: str = "", page: int = 1) -> Call[DomainPage]:
        """One page of the workspace's domains, optionally those whose name contains a text (a substring filter).

        Proves purchases and DMARC settings. Docs: docs.zapmail.ai, "Get domains". Returns a DomainPage.
        """
        size = self.settings.page_size

        def parse(raw: Raw) -> DomainPage:
            data = as_object(_data(raw), "data")
            rows = as_rows(data.get("domains"), "domains")
            ended = _ended(page, count(data.get("totalPages")), len(rows), size)
            return DomainPage(tuple(map(_domain, rows)), page, ended)

        query = {**self._page(page), **({"contains": contains} if contains else {})}
        return self._read("list_domains", "GET", "/v2/domains", parse, workspace_id=workspace_id, query=query)

    def set_dmarc(self, workspace_id: str, domain_ids: Mapping[str, str], email: str) -> Call[Accepted]:
        """Set the address for DMARC aggregate reports. `domain_ids` maps domain name to domain id.

        An absolute value, so it may be sent again. Docs: docs.zapmail.ai, "Add DMARC". Returns Accepted; `list_domains`
        shows dmarc_email and dmarc_applied.
        """
        # Null filters are answered with 422: empty ones are sent.
        body = {"domainIds": list(domain_ids.values()), "email": email, "contains": "", "status": [], "tagIds": []}
        return self._write(
            "set_dmarc",
            "POST",
            "/v2/domains/dmarc",
            _accepted_silently,
            workspace_id=workspace_id,
            items=_names(domain_ids),
            repeatable=True,
            body=body,
        )

    def list_dns_records(self, workspace_id: str, domain_id: str) -> Call[tuple[DnsRecord, ...]]:
        """Read a domain's records. Those that are switched off there are left out.

        Not documented by them; as people who call the API describe it. Returns DnsRecords.
        """

        def parse(raw: Raw) -> tuple[DnsRecord, ...]:
            data = as_object(_data(raw), "data")
            rows = as_rows(first(data, "records", "domainDnsRecords"), "records")
            return tuple(_dns_record(row) for row in rows)

        return self._read(
            "list_dns_records", "GET", "/v2/dns/", parse, workspace_id=workspace_id, query={"id": domain_id}
        )

    # Mailboxes

    def create_mailboxes(
        self, workspace_id: str, mailboxes: Mapping[str, tuple[str, Sequence[NewMailbox]]]
    ) -> Call[Accepted]:
        """Create mailboxes. `mailboxes` maps domain name to (domain id, new mailboxes); at most 5 per domain in total.

        Bought slots must cover the request. One mailbox that exists already makes the whole batch fail: send only the
        missing ones. Docs: docs.zapmail.ai, "Assign mailboxes". Returns Accepted; `list_mailboxes` is the proof.
        Raises AlreadyExists, or Rejected with not_enough_slots (also said while bought slots have not landed),
        domain_full, domain_not_ready, earlier_mailboxes_pending, bad_username; ValueError for none or over 5 each.
        """
        body: dict[str, list[dict[str, str]]] = {}
        addresses: list[str] = []
        for domain, (domain_id, wanted) in mailboxes.items():
            at_most(wanted, f"mailboxes of {domain}", MOST_MAILBOXES_PER_DOMAIN)
            body[domain_id] = [
                {
                    "firstName": mailbox.first_name,
                    "lastName": mailbox.last_name,
                    "mailboxUsername": mailbox.username,
                    "domainName": _name(domain),
                }
                for mailbox in wanted
            ]
            addresses += [f"{mailbox.username.lower()}@{_name(domain)}" for mailbox in wanted]
        if not addresses:
            raise ValueError("no mailboxes to create")
        return self._write(
            "create_mailboxes",
            "POST",
            "/v2/mailboxes",
            _accepted,
            workspace_id=workspace_id,
            items=tuple(addresses),
            body=body,
        )

    def list_mailboxes(self, workspace_id: str, page: int = 1) -> Call[MailboxPage]:
        """One page of the workspace's mailboxes with their state, and the workspace's slot counters.

        Paging counts domains, not mailboxes. The reply holds live secrets: of these only the app password is kept,
        as Hidden. Docs: docs.zapmail.ai, "List mailboxes". Returns a MailboxPage.
        """
        size = self.settings.page_size

        def parse(raw: Raw) -> MailboxPage:
            data = as_object(_data(raw), "data")
            rows = as_rows(data.get("domains"), "domains")
            found = [
                _mailbox(mailbox, row)
                for row in rows
                for mailbox in as_rows(row["mailboxes"] if row.get("mailboxes") is not None else [], "mailboxes")
            ]
            return MailboxPage(
                mailboxes=tuple(found),
                page=page,
                last=_ended(page, count(data.get("totalPages")), len(rows), size),
                purchased=count(data.get("purchasedMailboxes")),
                assigned=count(data.get("totalAssignedMailboxes")),
                available=count(data.get("availableMailboxes")),
                scheduled=count(data.get("scheduledMailboxes")),
            )

        # `GET /v2/mailboxes` (by id) answered 500 for months in 2026: not used.
        return self._read(
            "list_mailboxes",
            "GET",
            "/v2/mailboxes/list",
            parse,
            workspace_id=workspace_id,
            query=self._page(page),
        )

    def retry_failed_mailboxes(self, workspace_id: str, domain_ids: Mapping[str, str]) -> Call[Accepted]:
        """Have the failed mailboxes of some domains tried again. `domain_ids` maps domain name to domain id.

        Only while a mailbox is FAILED. Docs: docs.zapmail.ai, "Retry failed mailboxes". Returns Accepted.
        """
        return self._write(
            "retry_failed_mailboxes",
            "PUT",
            "/v2/mailboxes/retry-failed",
            _accepted,
            workspace_id=workspace_id,
            items=_names(domain_ids),
            repeatable=True,  # it changes only what has failed
            body={"domainIds": list(domain_ids.values())},
        )

    def schedule_removal(self, workspace_id: str, domain_ids: Mapping[str, str], remove: bool = True) -> Call[Accepted]:
        """Mark all mailboxes of some domains for removal at the next renewal, or take the mark away.

        `domain_ids` maps domain name to domain id. An absolute value, so it may be sent again.
        Docs: docs.zapmail.ai, "Schedule mailbox removal". Returns Accepted.
        """
        return self._write(
            "schedule_removal",
            "PUT",
            "/v2/mailboxes/scheduled-removal",
            _accepted,
            workspace_id=workspace_id,
            items=_names(domain_ids),
            repeatable=True,
            # No list shows it by domain, so the answer has to do.
            proof=Proof.ANSWER,
            body={"domainIds": list(domain_ids.values()), "remove": remove},
        )

    # Slots and money

    def buy_mailbox_slots(
        self,
        workspace_id: str,
        quantity: int,
        baseline: int,
        target: int,
        ceiling_cents: int | None = None,
        batch: str = "",
    ) -> Call[Receipt]:
        """Buy mailbox slots from the wallet: bring the workspace's counter from `baseline` to `target`.

        Never repeated blindly; the counter in `list_mailboxes` (`purchased`) is the proof. `ceiling_cents` is the most
        the whole purchase may cost; it is stored with the intent and is not part of their API.
        Docs: docs.zapmail.ai, "Buy add-on mailboxes". Returns a Receipt (their reply has a payment link even when the
        wallet pays). Raises Rejected with insufficient_wallet, no_plan, billing_missing; ValueError when the quantity
        does not lead from baseline to target.
        """
        if quantity < 1 or baseline < 0 or baseline + quantity != target:
            raise ValueError("the quantity must lead from baseline to target")
        key = slots_key(workspace_id, batch)
        return self._write(
            "buy_mailbox_slots",
            "POST",
            "/v2/wallet/buy-addon-mailboxes",
            _receipt,
            workspace_id=workspace_id,
            items=(key,),
            query={"quantity": str(quantity)},
            deadline=self.settings.buy_deadline,
            order_drop=self.settings.order_drop,
            price_ceilings={} if ceiling_cents is None else {key: ceiling_cents},
            target={"baseline": baseline, "target": target},
        )

    def wallet_balance(self, workspace_id: str | None = None) -> Call[Wallet]:
        """Read the wallet. Whether there is one per account or one per workspace is not documented.

        Docs: docs.zapmail.ai, "Get wallet balance". Returns a Wallet in cents.
        """

        def parse(raw: Raw) -> Wallet:
            data = as_object(_data(raw), "data")
            balance = cents(first(data, "walletBalance", "balance"))
            if balance is None:
                raise UnknownShape("walletBalance is not a sum")
            return Wallet(balance, flag(data.get("autoRechargeEnabled")))

        return self._read("wallet_balance", "GET", "/v2/wallet/balance", parse, workspace_id=workspace_id)

    # Export

    def register_sender(self, workspace_id: str, email: str, password: str, app: str = "") -> Call[Accepted]:
        """Register a login of the sending tool in a workspace. `app` defaults to the settings' one (PIPL).

        Only when `list_senders` does not show it; otherwise `update_sender`. What a second one with the same e-mail
        does is not documented. Docs: docs.zapmail.ai, "Add third party account". Returns Accepted (no id).
        Raises Rejected wrong_login, AlreadyExists.
        """
        return self._write(
            "register_sender",
            "POST",
            "/v2/exports/accounts/third-party",
            _accepted,
            workspace_id=workspace_id,
            items=(sender_key(workspace_id, email),),
            body={"email": email, "password": taint(password), "app": app or self.settings.app},
        )

    def update_sender(
        self, workspace_id: str, email: str, password: str, app: str = "", account_id: str | None = None
    ) -> Call[Accepted]:
        """Set the password of a registered login. An absolute value, so it may be sent again.

        `account_id` is a Sender's id, needed when the workspace has several. Docs: docs.zapmail.ai, "Update third
        party account". Returns Accepted. Raises NotFound, Rejected wrong_login.
        """
        body = {"email": email, "password": taint(password), "app": app or self.settings.app}
        return self._write(
            "update_sender",
            "PUT",
            "/v2/exports/accounts/third-party",
            _accepted,
            workspace_id=workspace_id,
            items=(sender_key(workspace_id, email),),
            repeatable=True,
            proof=Proof.ANSWER,  # a password can be read back nowhere
            body=body if account_id is None else {**body, "accountId": account_id},
        )

    def list_senders(self, workspace_id: str, app: str = "") -> Call[tuple[Sender, ...]]:
        """The logins of the sending tool registered in a workspace.

        Docs: docs.zapmail.ai, "Get third party accounts". Returns Senders; `error` tells that a login has expired.
        """
        wanted = app or self.settings.app

        def parse(raw: Raw) -> tuple[Sender, ...]:
            data = _data(raw)
            rows = data if isinstance(data, list) else as_object(data, "data").get("accounts")
            return tuple(_sender(row, wanted) for row in as_rows(rows, "accounts"))

        # Without `app` the answer is 400.
        return self._read(
            "list_senders",
            "GET",
            "/v2/exports/accounts/third-party",
            parse,
            workspace_id=workspace_id,
            query={"app": wanted},
        )

    def export_mailboxes(
        self, workspace_id: str, ids: Mapping[str, str], account_id: str | None = None
    ) -> Call[ExportStarted]:
        """Start exporting mailboxes to the sending tool. `ids` maps address to mailbox id.

        By ids only: `contains` is a substring filter and would export acme.com along with getacme.com. Each mailbox may
        be exported about three times a week, and an unclear attempt counts. `account_id` (a Sender's id) is required
        when the workspace has several logins of the app. Docs: docs.zapmail.ai, "Export mailboxes".
        Returns ExportStarted; the account list of the sending tool is the proof.
        Raises Rejected with no_account, nothing_to_export, account_required, export_limit, sender_login_expired,
        mailbox_not_ready; ValueError for none.
        """
        if not ids:
            raise ValueError("no mailboxes to export")

        def parse(raw: Raw) -> ExportStarted:
            body = as_object(_checked(raw), "reply")
            data = body.get("data")
            inner = data if isinstance(data, dict) else {}
            export_id = count(first(inner, "exportId", "export_id", "id"))
            return ExportStarted(export_id, tidy(text(body, "message")))

        # Every selector key has to be present, empty when unused.
        selection = {"ids": list(ids.values()), "excludeIds": [], "tagIds": [], "contains": "", "status": ""}
        account = {} if account_id is None else {"thirdPartyAccountId": account_id}
        return self._write(
            "export_mailboxes",
            "POST",
            "/v2/exports/mailboxes",
            parse,
            workspace_id=workspace_id,
            items=tuple(address.strip().lower() for address in ids),
            body={"apps": [self.settings.app], **selection, **account},
        )

    def export_status(self, workspace_id: str, export_id: int) -> Call[ExportState]:
        """Read what they say about an export. Docs: docs.zapmail.ai, "Get export status". Returns an ExportState."""

        def parse(raw: Raw) -> ExportState:
            data = as_object(_data(raw), "data")
            return ExportState(
                export_id=count(first(data, "export_id", "exportId", "id")),
                status=required(data, "status").upper(),  # seen in both cases
                failure_reason=tidy(text(data, "failure_reason", "failureReason")),
            )

        return self._read(
            "export_status",
            "GET",
            "/v2/exports/status",
            parse,
            workspace_id=workspace_id,
            query={"exportId": str(export_id)},
        )

    # How a call is put together

    def _page(self, page: int) -> dict[str, str]:
        return {"page": str(page), "limit": str(self.settings.page_size)}

    def _request(
        self, method: str, path: str, workspace_id: str | None, query: Mapping[str, str] | None, body: Any
    ) -> Request:
        headers = {
            "x-auth-zapmail": self.settings.api_key.open(),
            # Required on some writes, harmless elsewhere: always sent.
            "x-service-provider": self.settings.provider,
            "accept": "application/json",
        }
        if workspace_id:
            headers["x-workspace-key"] = workspace_id  # absent means the primary workspace
        return Request(method, self.settings.base_url + path, headers, dict(query or {}), body)

    def _read(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        workspace_id: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        budgets: tuple[str, ...] = (GENERAL,),
        weight_class: str = "paid",
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, workspace_id, query, body),
            parse,
            Judge(PLATFORM, verb, False, _speak, _REFUSALS.get(verb, ())),
            budgets=budgets,
            weight_class=weight_class,
            deadline=self.settings.deadline,
            secret_fields=SECRET_FIELDS,
        )

    def _write(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        items: tuple[str, ...],
        workspace_id: str | None = None,
        proof: Proof = Proof.READ,
        repeatable: bool = False,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        budgets: tuple[str, ...] = (GENERAL,),
        deadline: float | None = None,
        order_drop: float = 0.0,
        price_ceilings: Mapping[str, int] | None = None,
        target: Mapping[str, int] | None = None,
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, workspace_id, query, body),
            parse,
            Judge(PLATFORM, verb, True, _speak, _REFUSALS.get(verb, ())),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=budgets,
            deadline=self.settings.deadline if deadline is None else deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
            order_drop=order_drop,
            price_ceilings=dict(price_ceilings or {}),
            target=dict(target or {}),
            secret_fields=SECRET_FIELDS,
        )


# --- parsing ---------------------------------------------------------------------------------------------------------


def _speak(body: Any) -> str:
    """Return the sentence of an error document."""
    message = body.get("message") or body.get("error") or ""
    if isinstance(message, list):
        message = "; ".join(str(part) for part in message)
    return message if isinstance(message, str) else ""


def _checked(raw: Raw) -> Any:
    """Return the document; an envelope that contradicts its own 2xx is an unknown shape."""
    body = document(raw)
    if isinstance(body, dict):
        inner = body.get("status")
        code = number(inner) if not isinstance(inner, bool) else None
        if code is not None and not 200 <= code < 300:
            raise UnknownShape("the envelope contradicts the HTTP status")
    return body


def _data(raw: Raw) -> Any:
    """Return what the envelope holds."""
    return as_object(_checked(raw), "reply").get("data")


def _accepted(raw: Raw) -> Accepted:
    """Read "accepted": an envelope or a bare message. An empty object says nothing and is not enough."""
    body = as_object(_checked(raw), "reply")
    if "message" not in body and "status" not in body:
        raise UnknownShape("neither message nor status")
    return Accepted(tidy(text(body, "message")))


def _accepted_silently(raw: Raw) -> Accepted:
    """Read an answer that may also be empty. Enough for an absolute value that a list confirms."""
    if not raw.body.strip():
        return Accepted()
    return Accepted(tidy(text(as_object(_checked(raw), "reply"), "message")))


def _receipt(raw: Raw) -> Receipt:
    """Read a purchase, which comes without envelope; inside one it is accepted too."""
    body = as_object(_checked(raw), "reply")
    inner = body.get("data")
    both = {**body, **inner} if isinstance(inner, dict) else body
    invoice, payment = text(both, "invoiceLink", "invoiceUrl"), text(both, "paymentLink")
    message = text(both, "message")
    if not message and not invoice and not payment:
        raise UnknownShape("neither message nor link")
    return Receipt(tidy(message), invoice, payment)


def _ended(page: int, pages: int | None, rows: int, size: int) -> bool:
    """Whether a page is the last. `nextPage` is no end marker: it is 2 on page 1 of 1, and never becomes null."""
    if rows == 0:
        return True
    return page >= pages if pages is not None else rows < size


def _name(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _names(domain_ids: Mapping[str, str]) -> tuple[str, ...]:
    if not domain_ids:
        raise ValueError("no domains")
    return tuple(_name(name) for name in domain_ids)


def _sum(row: Object, *names: str) -> int | None:
    """Add up counters that are split by provider; None when none of them was sent."""
    known = [value for value in (count(row.get(name)) for name in names) if value is not None]
    return sum(known) if known else None


def _workspace(row: Object, name: str = "") -> Workspace:
    return Workspace(
        id=required(row, "id", "_id", "workspaceId"),
        name=text(row, "name", "workspaceName") or name or required(row, "name"),
        domains=_sum(row, "domainCountGoogle", "domainCountMicrosoft"),
        purchased_mailboxes=_sum(row, "totalMailboxesPurchasedGoogle", "totalMailboxesPurchasedMicrosoft"),
        assigned_mailboxes=_sum(row, "assignedMailboxesCountGoogle", "assignedMailboxesCountMicrosoft"),
    )


_AVAILABLE: Final = frozenset({"available"})
_GONE: Final = frozenset({"unavailable", "not_available", "taken", "registered", "reserved", "sold"})


def _offer(row: Object) -> DomainOffer | None:
    """Return the offer, or None for a word that we do not know: a name is given up only when it is said to be gone."""
    word = re.sub(r"[\s-]+", "_", required(row, "status").casefold())
    if word not in _AVAILABLE | _GONE:
        return None
    return DomainOffer(
        name=_name(required(row, "domainName", "domain", "name")),
        available=word in _AVAILABLE,
        premium=bool(flag(first(row, "isPremiumDomain", "isPremium", "premium"))),
        price_cents=_price(first(row, "domainPrice", "price")),
        renewal_cents=_price(first(row, "renewPrice", "renewalPrice")),
    )


def _price(value: Any) -> int | None:
    """A price of zero or less is no price: nobody gives domains away."""
    price = cents(value)
    return price if price is not None and price > 0 else None


def _domain(row: Object) -> Domain:
    return Domain(
        id=required(row, "id", "_id"),
        name=_name(required(row, "domain", "domainName")),
        status=text(row, "status").upper(),
        workspace_id=text(row, "workspaceId"),
        provider=text(row, "serviceProvider").upper(),
        dns_in_progress=bool(flag(row.get("dnsAuthenticationInProgress"))),
        nameservers_invalid=bool(flag(row.get("dnsBoxInvalidNameServers"))),
        dmarc_email=text(row, "dmarcEmail").lower(),
        dmarc_applied=bool(flag(row.get("dmarcEmailAddedToReseller"))),
        assigned_mailboxes=count(row.get("assignedMailboxesCount")) or 0,
        auto_renew=flag(row.get("autoRenew")),
        expires_on=text(row, "expireOn"),
    )


def _mailbox(row: Object, parent: Object) -> Mailbox:
    domain = _name(text(row, "domain", "domainName") or text(parent, "domain", "domainName"))
    # Some rows carry the whole address as `email`, some only the part before the @.
    address = text(row, "email").lower()
    username = (text(row, "username", "mailboxUsername") or address.partition("@")[0]).lower()
    if "@" in username:
        username, _, domain = username.partition("@")
    if not username or not domain:
        raise UnknownShape("a mailbox without address")
    password = text(row, "appPassword")
    return Mailbox(
        id=required(row, "id", "_id", "mailboxId"),
        address=f"{username}@{domain}",
        username=username,
        domain=domain,
        domain_id=text(row, "domainId") or text(parent, "id", "_id"),
        first_name=text(row, "firstName"),
        last_name=text(row, "lastName"),
        status=re.sub(r"[\s-]+", "_", text(row, "status").upper()),
        app_password=Hidden(password) if password else None,
        expires_on=text(row, "expireOn"),
    )


def _dns_record(row: Object) -> DnsRecord:
    return DnsRecord(
        type=required(row, "recordType", "type").upper(),
        host=text(row, "host", "name") or "@",
        value=required(row, "value", "content"),
        priority=count(row.get("priority")),
    )


def _sender(row: Object, app: str) -> Sender:
    error = row.get("error")
    return Sender(
        id=required(row, "id", "_id", "accountId"),
        email=required(row, "email").lower(),
        app=text(row, "appName", "app").upper() or app,
        error=tidy(str(error)) if error else "",
    )
