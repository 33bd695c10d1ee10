"""InfraForge: registers domains, runs their DNS, creates mailboxes on dedicated IPs, hands them over to Salesforge.

Documentation: https://api.infraforge.ai/public/swagger and https://developer.salesforge.ai. Every verb returns a
`Call`; nothing is sent here.

Their behaviour that shapes this file (observed by people who call the API, 2026):
- The key stands alone in the Authorization header; with "Bearer" before it, it is refused.
- Lists are bare arrays of everything in the account, and most filters are ignored: compare exactly afterwards.
- Writes are answered with 202 or 204 and no body, or in shapes nobody has published: a later list proves them.
- A purchase answered with a checkout address has bought nothing.
- Changing DNS replaces the whole set of a domain, also the rows that are said not to be editable.
- A mailbox comes without a usable password: the one sent along is ignored, and only a change makes the login work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from .http.call import Call, Proof, Raw, Request
from .http.errors import NotConfigured, Rejected
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
    required,
    text,
    tidy,
)
from .logins import Login

T = TypeVar("T")

PLATFORM: Final = "infraforge"
BASE_URL: Final = "https://api.infraforge.ai/public"

GENERAL: Final = "infraforge.general"

MOST_NAMES_PER_CHECK: Final = 100
LONGEST_WORKSPACE_NAME: Final = 50

SECRET_FIELDS: Final = frozenset({"password", "imapPassword", "smtpPassword"})

NO_FUNDS: Final = "insufficient_wallet"

_IP: Final = re.compile(r"[0-9a-f.:]{3,45}", re.IGNORECASE)

# Rows of things that nobody has paid for.
UNPAID_STATES: Final = frozenset({"draft", "not_paid"})

POLICIES: Final = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class InfraforgeSettings:
    """How to reach InfraForge, and every choice its documentation leaves to us. Times in seconds.

    bulk_dns_by    what names a domain in their bulk call for DNS: "id", or "name" as an older text of theirs says
    preserve_spf   sent when a workspace moves to another IP; what it does is not documented, None leaves it out
    imap_port, smtp_port   of a workspace's mail server, where the mailbox list does not say
    export_grace   how long an export may go on before what has not arrived counts as not sent
    buy_deadline   their own programs wait 120 for a purchase; a call of ours may last 60, and what happens after
                   that is covered by late_execution and read back
    """

    api_key: Hidden
    base_url: str = BASE_URL
    bulk_dns_by: str = "id"
    preserve_spf: bool | None = None
    imap_port: int = 993
    smtp_port: int = 465
    deadline: float = 30.0
    buy_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0
    order_drop: float = 300.0
    export_grace: float = 900.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> InfraforgeSettings:
        """Read INFRAFORGE_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        by = options.text("INFRAFORGE_BULK_DNS_BY", "id").lower()
        if by not in ("id", "name"):
            raise NotConfigured("INFRAFORGE_BULK_DNS_BY is neither id nor name", platform=PLATFORM)
        preserve = options.text("INFRAFORGE_PRESERVE_SPF")
        return cls(
            api_key=options.secret("INFRAFORGE_API_KEY"),
            base_url=options.address("INFRAFORGE_API_URL", BASE_URL),
            bulk_dns_by=by,
            preserve_spf=options.flag("INFRAFORGE_PRESERVE_SPF", False) if preserve else None,
            imap_port=options.whole("INFRAFORGE_IMAP_PORT", 993, least=1),
            smtp_port=options.whole("INFRAFORGE_SMTP_PORT", 465, least=1),
            late_execution=options.seconds("INFRAFORGE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("INFRAFORGE_LIST_LAG_SECONDS", 120.0),
            order_drop=options.seconds("INFRAFORGE_ORDER_DROP_SECONDS", 300.0),
            export_grace=options.seconds("INFRAFORGE_EXPORT_GRACE_SECONDS", 900.0),
        )


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen in a list, later."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace. `mailserver` is the SMTP and IMAP host of its mailboxes, `ip` its dedicated IP; "" for none yet."""

    id: str
    name: str
    mailserver: str = ""
    ip: str = ""


@dataclass(frozen=True, slots=True)
class DomainOffer:
    """Availability and price of one name, in cents. A price of None means that they named none: do not buy.

    `months` is the shortest time it can be bought for. Premium and renewal are not part of any reply published so far.
    """

    name: str
    available: bool
    premium: bool
    price_cents: int | None
    renewal_cents: int | None
    months: int | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain in the account. `status` is lower case and may be a word nobody has documented.

    `auto_renew` is None where they say neither enabled nor disabled, as after a renewal that failed.
    """

    id: str
    name: str
    status: str
    workspace_id: str = ""
    auto_renew: bool | None = None
    expires_on: str = ""
    failed_reason: str = ""

    @property
    def bought(self) -> bool:
        """Whether the row may be ours. A draft or an unpaid one is a name on a list and nothing more."""
        return self.status not in UNPAID_STATES

    @property
    def active(self) -> bool:
        return self.status == "active"

    @property
    def failed(self) -> bool:
        return self.status == "failed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer to a purchase or a transfer. It proves nothing: only the domain list does."""

    domains: tuple[Domain, ...] = ()
    invoice_id: str = ""
    invoice_cents: int | None = None


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record as they list it. `name` is the full host name, for the apex the domain itself; a change keeps it all."""

    name: str
    type: str
    value: str
    editable: bool = True


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to create: `username` is the part before the @."""

    username: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox. `status` is lower case. `imap` and `smtp` are None unless asked for, and where a part is missing."""

    id: str
    address: str
    domain: str
    workspace_id: str
    first_name: str
    last_name: str
    status: str
    imap: Login | None = None
    smtp: Login | None = None

    @property
    def active(self) -> bool:
        return self.status == "active"

    @property
    def failed(self) -> bool:
        return self.status == "failed"


@dataclass(frozen=True, slots=True)
class Balance:
    """Credits in cents of US dollars."""

    balance_cents: int
    auto_topup: bool | None = None


# --- what goes in ----------------------------------------------------------------------------------------------------

CONTACT: Final = (
    *("firstName", "lastName", "email", "phone", "organization"),
    *("address1", "city", "province", "postalCode", "country"),
)


def contact_of(operator: Mapping[str, str], email: str) -> Mapping[str, str]:
    """Return the registrant they want from the operator's contact, which is worded as another platform has it."""
    words = {name: str(value).strip() for name, value in operator.items()}
    phone = words.get("phone", "")
    code = words.get("phoneCc", "").lstrip("+")
    return {
        "firstName": words.get("firstName", ""),
        "lastName": words.get("lastName", ""),
        "email": words.get("email") or email,
        "phone": phone if phone.startswith("+") or not code else f"+{code}{phone}",
        "organization": words.get("organization") or words.get("company", ""),
        "address1": words.get("address1") or words.get("addressLineOne", ""),
        "city": words.get("city", ""),
        "province": words.get("province") or words.get("state", ""),
        "postalCode": words.get("postalCode", ""),
        "country": words.get("country", ""),
    }


def own_logins(settings: InfraforgeSettings, mailserver: str, address: str, password: Hidden) -> tuple[Login, Login]:
    """Return SMTP and IMAP of a mailbox whose password we have set: by its workspace's server, as they document it."""
    return (
        Login(mailserver, settings.smtp_port, address, password),
        Login(mailserver, settings.imap_port, address, password),
    )


# --- refusals --------------------------------------------------------------------------------------------------------

# First in every verb. Their text of a 402 is not published, the status is enough.
_UNPAID: Final = Refusal(NO_FUNDS, r"", frozenset({402}))
_SHORT: Final = Refusal(NO_FUNDS, r"insufficient|not enough (credits?|balance|funds)|payment required|no (valid )?card")
_NO_WORKSPACE: Final = Refusal(MISSING, r"workspace.*(not found|unknown|does not exist)")
_NO_DOMAIN: Final = Refusal(MISSING, r"domain.*(not found|unknown|does not exist)")

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_workspace": (
        _SHORT,
        Refusal(EXISTS, r"already|exists|duplicate|taken"),
        Refusal("ip_not_available", r"\bip\b"),
        Refusal("bad_name", r"name"),
    ),
    "set_ip": (_NO_WORKSPACE, Refusal("ip_not_available", r"\bip\b|eligible")),
    "check_domains": (Refusal("too_many_names", r"\b100\b|too many|maximum"),),
    "buy_domains": (
        _SHORT,
        _NO_WORKSPACE,
        Refusal(EXISTS, r"already (in|added|exists?|purchased|owned|bought)|in your (account|workspace)"),
        Refusal("ending_not_sold", r"\btld\b|extension|ending|unsupported"),
        Refusal("price_changed", r"price"),
        Refusal("name_taken", r"not available|unavailable|taken|already registered"),
        Refusal(
            "contact_refused",
            r"contact|firstName|lastName|\bphone|\bemail\b|organization|address1|\bcity\b|province|postal|country",
        ),
    ),
    "set_dmarc_bulk": (_NO_DOMAIN, Refusal("bad_email", r"e-?mail"), Refusal("bad_policy", r"policy")),
    "put_dns": (_NO_DOMAIN, Refusal("bad_records", r"record|\bdns\b|value|type|name")),
    "transfer_domains": (
        _SHORT,
        _NO_WORKSPACE,
        Refusal(EXISTS, r"already"),
        Refusal("ending_not_sold", r"\btld\b|extension|ending|unsupported"),
    ),
    "create_mailboxes": (
        _SHORT,
        _NO_DOMAIN,
        Refusal(EXISTS, r"already|exists|duplicate|taken"),
        Refusal("domain_full", r"(limit|maximum|more than|up to|\bcap\b|exceed).*mailbox|mailbox.*(limit|exceed)"),
        Refusal("domain_not_ready", r"domain.*(not (yet )?active|pending|not ready)"),
        Refusal("bad_username", r"\bemail\b|user ?name|firstName|lastName"),
    ),
    "set_password": (Refusal("bad_password", r"password"),),
    "export_to_salesforge": (
        Refusal("no_subscription", r"subscription|\bplan\b"),
        _NO_WORKSPACE,
        Refusal("mailbox_not_ready", r"not (yet )?active|in progress|pending"),
        Refusal("nothing_to_export", r"no mailbox"),
    ),
    "credit_balance": (Refusal(MISSING, r"not (been )?(set ?up|configured|found)|no (credits?|balance)"),),
}


# --- client ----------------------------------------------------------------------------------------------------------


class InfraforgeClient:
    """Verbs of https://api.infraforge.ai/public, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: InfraforgeSettings) -> None:
        self.settings = settings

    # Workspaces and their IPs

    def list_workspaces(self) -> Call[tuple[Workspace, ...]]:
        """All workspaces of the account, which the key sees whole.

        Finds one by our reference in its name, its mail server and its dedicated IP.
        Docs: Swagger, "GET /workspaces". Returns Workspaces.
        """
        return self._read("list_workspaces", "GET", "/workspaces", _all_of(_workspace, "workspaces"))

    def create_workspace(self, name: str, attach_ip: bool = False, ceiling_cents: int | None = None) -> Call[Workspace]:
        """Create a workspace. `name` must end in our reference, by which it is found again: nothing keeps names unique.

        `attach_ip` orders a dedicated IP along with it: a monthly price that no reply names. `ceiling_cents` is the
        most it may cost; it is stored with the intent and is not part of their API. Never repeated blindly: a second
        workspace orders a second IP. Docs: Swagger, "POST /workspaces". Returns the Workspace, whose `ip` may come
        later. Raises Rejected insufficient_wallet, ip_not_available, bad_name (1 to 50 characters).
        """

        def parse(raw: Raw) -> Workspace:
            return _workspace(_one(document(raw), "workspace"), name)

        return self._write(
            "create_workspace",
            "POST",
            "/workspaces",
            parse,
            items=(name,),
            proof=Proof.ANSWER,
            body={"name": name, "attachUniqueIp": attach_ip},
            deadline=self.settings.buy_deadline if attach_ip else None,
            price_ceilings={} if ceiling_cents is None else {name: ceiling_cents},
        )

    def eligible_ips(self, workspace_id: str) -> Call[tuple[str, ...]]:
        """The IPs that a workspace may be moved to. Docs: Swagger, "GET /workspaces/{id}/eligible-ips"."""

        def parse(raw: Raw) -> tuple[str, ...]:
            found = _texts(document(raw), "ip", "ips", "eligibleIps")
            if not all(_IP.fullmatch(ip) for ip in found):
                raise UnknownShape("an IP that is none")
            return found

        return self._read("eligible_ips", "GET", f"/workspaces/{_id(workspace_id)}/eligible-ips", parse)

    def set_ip(self, workspace_id: str, ip: str) -> Call[Accepted]:
        """Move a workspace to one of its eligible IPs. An absolute value, so it may be sent again.

        Docs: Swagger, "PATCH /workspaces/{id}". Returns Accepted; `list_workspaces` shows the IP.
        Raises NotFound, Rejected ip_not_available.
        """
        body: dict[str, Any] = {"ip": ip}
        if self.settings.preserve_spf is not None:
            body["preserveSpf"] = self.settings.preserve_spf
        return self._write(
            "set_ip",
            "PATCH",
            f"/workspaces/{_id(workspace_id)}",
            _accepted,
            items=(workspace_id,),
            repeatable=True,
            body=body,
        )

    # Names

    def check_domains(self, names: Sequence[str], weight_class: str = "search") -> Call[tuple[DomainOffer, ...]]:
        """Ask for availability and price of up to 100 names in one call.

        `weight_class` "paid" uses the share of the budget that is kept for orders.
        Docs: Swagger, "POST /check-domain-availability-bulk". Returns an offer per name that was answered, in the
        order asked; a name they left out, or did not call available or not, has no answer. Raises ValueError for no
        names or more than 100.
        """
        asked = tuple(dict.fromkeys(_name(name) for name in names))
        at_most(asked, "names", MOST_NAMES_PER_CHECK)

        def parse(raw: Raw) -> tuple[DomainOffer, ...]:
            found = [_offer(row) for row in _rows(document(raw), "domains")]
            offers = {offer.name: offer for offer in found if offer is not None}
            return tuple(offers[name] for name in asked if name in offers)

        return self._read(
            "check_domains",
            "POST",
            "/check-domain-availability-bulk",
            parse,
            body={"domains": list(asked)},
            weight_class=weight_class,
        )

    def buy_domains(
        self,
        workspace_id: str,
        names: Mapping[str, int],
        contact: Mapping[str, str],
        dmarc_email: str = "",
        forward_to: str = "",
    ) -> Call[Receipt]:
        """Register domains from the credits, into a workspace. `names` maps each name to the most it may cost, in cents.

        The ceiling is not part of their API: it is stored with the intent and must have been compared with a fresh
        offer. `contact` holds the registrant in their words (see `contact_of`). Not refundable, not idempotent; the
        vendor makes MX, SPF, DKIM and DMARC itself, and renewal begins switched off. Docs: Swagger, "POST /domains".
        Returns a Receipt, which proves nothing: only `list_domains` does. An answer that does not name every domain is
        an unknown outcome; a checkout address without bought domains is Rejected insufficient_wallet.
        Raises AlreadyExists, NotFound (workspace), or Rejected with insufficient_wallet, name_taken, ending_not_sold,
        price_changed, contact_refused; ValueError for no names or an incomplete contact.
        """
        ceilings = {_name(name): ceiling for name, ceiling in names.items()}
        if not ceilings:
            raise ValueError("nothing to buy")
        missing = [name for name in CONTACT if not contact.get(name, "").strip()]
        if missing:
            raise ValueError(f"the contact lacks {', '.join(missing)}")
        registrant = {name: contact[name] for name in (*CONTACT, "address2", "jobTitle") if contact.get(name)}
        extra = {"dmarcEmail": dmarc_email, "forwardToDomain": forward_to}

        def parse(raw: Raw) -> Receipt:
            receipt = _receipt(document(raw), "buy_domains", raw.status)
            if not set(ceilings) <= {domain.name for domain in receipt.domains}:
                raise UnknownShape("not every domain is named")
            return receipt

        return self._write(
            "buy_domains",
            "POST",
            "/domains",
            parse,
            items=tuple(ceilings),
            body={
                "workspaceId": workspace_id,
                "domains": list(ceilings),
                "contactDetails": {**registrant, **{name: value for name, value in extra.items() if value}},
            },
            deadline=self.settings.buy_deadline,
            order_drop=self.settings.order_drop,
            price_ceilings=ceilings,
        )

    # Domains

    def list_domains(self, search: str = "") -> Call[tuple[Domain, ...]]:
        """The domains of the whole account, or those that match a text: no other filter works there.

        Proves purchases, transfers and renewal settings: compare `name` exactly, and `workspace_id`.
        Docs: Swagger, "GET /domains". Returns Domains.
        """
        query = {"search": _name(search)} if search else {}
        return self._read("list_domains", "GET", "/domains", _all_of(_domain, "domains"), query=query)

    def enable_autorenew(self, domain_ids: Mapping[str, str]) -> Call[Accepted]:
        """Switch the renewal of some domains on. `domain_ids` maps domain name to domain id.

        An absolute value, so it may be sent again. Docs: Swagger, "PUT /domains/{id}/enable-autorenew", for several
        "POST /domains/bulk-enable-autorenew". Returns Accepted; `list_domains` shows auto_renew. Raises NotFound.
        """
        return self._autorenew("enable", domain_ids)

    def disable_autorenew(self, domain_ids: Mapping[str, str]) -> Call[Accepted]:
        """Switch the renewal of some domains off, as `enable_autorenew` switches it on.

        There is no call that deletes a domain: this lets it lapse. Docs: Swagger, "PUT /domains/{id}/disable-autorenew",
        for several "POST /domains/bulk-disable-autorenew".
        """
        return self._autorenew("disable", domain_ids)

    def get_dns(self, domain_id: str) -> Call[tuple[DnsRecord, ...]]:
        """All records of a domain, in their order. Docs: Swagger, "GET /domains/{id}/dns". Raises NotFound."""
        return self._read("get_dns", "GET", f"/domains/{_id(domain_id)}/dns", _all_of(_dns_record, "records", "dns"))

    def put_dns(self, domain: str, domain_id: str, records: Sequence[DnsRecord]) -> Call[Accepted]:
        """Replace *all* records of a domain by these: what is left out is gone, also MX, SPF, DKIM and DMARC.

        Read, merge, send everything in the order read, one writer per domain. An absolute value, so it may be sent
        again. Docs: Swagger, "PUT /domains/{id}/dns". Returns Accepted; `get_dns` is the proof, public DNS follows
        about a minute later. Raises NotFound, Rejected bad_records; ValueError for none.
        """
        if not records:
            raise ValueError("an empty set would take the domain out of service")
        rows = [{"name": r.name, "type": r.type, "value": r.value, "editable": r.editable} for r in records]
        return self._write(
            "put_dns",
            "PUT",
            f"/domains/{_id(domain_id)}/dns",
            _accepted,
            items=(_name(domain),),
            repeatable=True,
            body={"records": rows},
        )

    def set_dmarc_bulk(self, domain_ids: Mapping[str, str], policy: str, email: str = "") -> Call[Accepted]:
        """Set DMARC policy (none, quarantine or reject) and report address of some domains.

        `domain_ids` maps domain name to domain id. Whether they want ids or names is a setting. Absolute values, so it
        may be sent again. Docs: Swagger, "PUT /domains/bulk-dns". Returns Accepted; the _dmarc row of `get_dns` is the
        proof. Raises NotFound, Rejected bad_email, bad_policy; ValueError for an unknown policy or no domains.
        """
        if policy not in POLICIES:
            raise ValueError(f"a DMARC policy is one of {', '.join(POLICIES)}")
        names = _names(domain_ids)
        body: dict[str, Any] = {
            "domains": list(domain_ids.values()) if self.settings.bulk_dns_by == "id" else list(names),
            "dmarcPolicy": policy,
            **({"dmarcEmail": email} if email else {}),
        }
        return self._write(
            "set_dmarc_bulk", "PUT", "/domains/bulk-dns", _accepted, items=names, repeatable=True, body=body
        )

    def transfer_domains(self, workspace_id: str, names: Sequence[str], dmarc_email: str = "") -> Call[Receipt]:
        """Bring in domains that are registered elsewhere. They become active once their nameservers are changed there.

        May send an invoice, so never repeated blindly. Docs: Swagger, "POST /domains/transfer". Returns a Receipt;
        `list_domains` is the proof. Raises AlreadyExists, NotFound (workspace), Rejected insufficient_wallet,
        ending_not_sold; ValueError for no names.
        """
        asked = tuple(dict.fromkeys(_name(name) for name in names))
        if not asked:
            raise ValueError("no domains to bring in")

        def parse(raw: Raw) -> Receipt:
            body = document(raw)
            receipt = _receipt(body, "transfer_domains", raw.status)
            known = isinstance(body, dict) and flag(body.get("allDomainsAlreadyInWorkspace"))
            if not known and not set(asked) <= {domain.name for domain in receipt.domains}:
                raise UnknownShape("not every domain is named")
            return receipt

        email = {"dmarcEmail": dmarc_email} if dmarc_email else {}
        return self._write(
            "transfer_domains",
            "POST",
            "/domains/transfer",
            parse,
            items=asked,
            body={"workspaceId": workspace_id, "domains": list(asked), **email},
            deadline=self.settings.buy_deadline,
        )

    def transfer_nameservers(self) -> Call[tuple[str, ...]]:
        """The nameservers that the owner of a domain sets at the registrar. Docs: Swagger, "GET /domains/transfer-ns-info"."""

        def parse(raw: Raw) -> tuple[str, ...]:
            found = _texts(document(raw), "nameserver", "nameservers", "nameServers", "ns")
            if not found or not all("." in host for host in found):
                raise UnknownShape("no nameservers")
            return tuple(_name(host) for host in found)

        return self._read("transfer_nameservers", "GET", "/domains/transfer-ns-info", parse)

    # Mailboxes

    def create_mailboxes(
        self, mailboxes: Mapping[str, Sequence[NewMailbox]], ceiling_cents: int | None = None
    ) -> Call[Accepted]:
        """Create mailboxes, by domain; each lands in its domain's workspace. They cost money every month.

        `ceiling_cents` is the most that one of them may cost; it is stored with the intent and is not part of their API.
        Send only addresses proven absent. The reply says little, and a password sent along is ignored: `list_mailboxes`
        is the proof, `set_password` makes the login work. Docs: Swagger, "POST /mailboxes". Returns Accepted; an answer
        that lists mailboxes and leaves some out is an unknown outcome. Raises AlreadyExists, NotFound (domain), or
        Rejected with insufficient_wallet, domain_full, domain_not_ready, bad_username; ValueError for none.
        """
        rows: list[dict[str, Any]] = []
        addresses: list[str] = []
        for domain, wanted in mailboxes.items():
            boxes = [
                {
                    "email": f"{mailbox.username.lower()}@{_name(domain)}",
                    "firstName": mailbox.first_name,
                    "lastName": mailbox.last_name,
                }
                for mailbox in wanted
            ]
            rows.append({"domain": _name(domain), "mailboxes": boxes})
            addresses += [box["email"] for box in boxes]
        if not addresses:
            raise ValueError("no mailboxes to create")

        def parse(raw: Raw) -> Accepted:
            return _ordered(raw, set(addresses))

        return self._write(
            "create_mailboxes",
            "POST",
            "/mailboxes",
            parse,
            items=tuple(addresses),
            body={"domains": rows},
            deadline=self.settings.buy_deadline,
            price_ceilings={} if ceiling_cents is None else dict.fromkeys(addresses, ceiling_cents),
        )

    def list_mailboxes(
        self, workspace_id: str = "", search: str = "", with_credentials: bool = False
    ) -> Call[tuple[Mailbox, ...]]:
        """The mailboxes of a workspace, or those that match a text, all at once: nothing is paged there.

        `with_credentials` asks for servers and passwords. The passwords are kept as Hidden and remembered for
        redaction; whether they are always sent is not documented. Docs: Swagger, "GET /mailboxes". Returns Mailboxes.
        """
        query = {"workspace_id": workspace_id, "search": search}
        if with_credentials:
            query["with_credentials"] = "true"
        return self._read(
            "list_mailboxes",
            "GET",
            "/mailboxes",
            _all_of(_mailbox, "mailboxes"),
            query={name: value for name, value in query.items() if value},
        )

    def set_password(self, address: str, mailbox_id: str, password: str) -> Call[Accepted]:
        """Set a mailbox's password, without which its login is refused. Every program already connected loses it.

        An absolute value, so it may be sent again. Docs: Swagger, "PATCH /mailboxes/{id}". Returns Accepted; a login of
        our own is what shows it. Raises NotFound, Rejected bad_password.
        """
        return self._write(
            "set_password",
            "PATCH",
            f"/mailboxes/{_id(mailbox_id)}",
            _accepted,
            items=(address.strip().lower(),),
            repeatable=True,
            proof=Proof.ANSWER,  # no list of theirs shows whether the login works
            body={"password": taint(password)},
        )

    def export_to_salesforge(
        self,
        from_workspace_id: str,
        to_workspace_id: str,
        ids: Mapping[str, str],
        tag: str,
        to_warmforge_workspace_id: str = "",
        warmup_activated: bool = True,
    ) -> Call[Accepted]:
        """Hand mailboxes over to Salesforge, and to Warmforge when its workspace is named. `ids` maps address to id.

        By ids only. There is no job to follow: look for each address in both, and send again only what is absent in
        both after the grace time. Needs a Salesforge subscription. Docs: Swagger, "POST
        /mailboxes/export-to-salesforge". Returns Accepted. Raises NotFound (workspace), or Rejected with
        no_subscription, mailbox_not_ready, nothing_to_export; ValueError for none.
        """
        if not ids:
            raise ValueError("no mailboxes to export")
        body: dict[str, Any] = {
            "fromWorkspaceId": from_workspace_id,
            "toWorkspaceId": to_workspace_id,
            "tagName": tag,
            "warmupActivated": warmup_activated,
            "includedIds": list(ids.values()),
        }
        if to_warmforge_workspace_id:
            body["toWarmforgeWorkspaceId"] = to_warmforge_workspace_id
        return self._write(
            "export_to_salesforge",
            "POST",
            "/mailboxes/export-to-salesforge",
            _accepted,
            items=tuple(address.strip().lower() for address in ids),
            body=body,
            late_execution=self.settings.export_grace,
        )

    # Money

    def credit_balance(self) -> Call[Balance]:
        """Read the credits. Topping them up is a person's work: their call for it charges at once.

        Docs: Swagger, "GET /credits/balance". Returns a Balance in cents. Raises NotFound when credits were never set
        up (which they say with 400 or 404).
        """

        def parse(raw: Raw) -> Balance:
            body = _one(document(raw), "balance")
            available = count(first(body, "availableAmountCents"))
            if available is None:
                raise UnknownShape("availableAmountCents is not a sum")
            topup = body.get("topupSettings")
            return Balance(available, flag(topup.get("isEnabled")) if isinstance(topup, dict) else None)

        return self._read("credit_balance", "GET", "/credits/balance", parse)

    # How a call is put together

    def _autorenew(self, word: str, domain_ids: Mapping[str, str]) -> Call[Accepted]:
        names = _names(domain_ids)
        method, path, body = "POST", f"/domains/bulk-{word}-autorenew", {"domainIds": list(domain_ids.values())}
        if len(names) == 1:  # the call for one is the one that people have seen at work
            method, path, body = "PUT", f"/domains/{_id(next(iter(domain_ids.values())))}/{word}-autorenew", {}
        return self._write(
            f"{word}_autorenew", method, path, _accepted, items=names, repeatable=True, body=body or None
        )

    def _request(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Request:
        headers = {"Authorization": self.settings.api_key.open(), "accept": "application/json"}
        return Request(method, self.settings.base_url + path, headers, dict(query or {}), body)

    def _read(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        weight_class: str = "paid",
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, query, body),
            parse,
            Judge(PLATFORM, verb, False, _speak, (_UNPAID, *_REFUSALS.get(verb, ()))),
            budgets=(GENERAL,),
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
        proof: Proof = Proof.READ,
        repeatable: bool = False,
        body: Any = None,
        deadline: float | None = None,
        late_execution: float | None = None,
        order_drop: float = 0.0,
        price_ceilings: Mapping[str, int] | None = None,
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, None, body),
            parse,
            Judge(PLATFORM, verb, True, _speak, (_UNPAID, *_REFUSALS.get(verb, ()))),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=(GENERAL,),
            deadline=self.settings.deadline if deadline is None else deadline,
            late_execution=self.settings.late_execution if late_execution is None else late_execution,
            list_lag=self.settings.list_lag,
            order_drop=order_drop,
            price_ceilings=dict(price_ceilings or {}),
            secret_fields=SECRET_FIELDS,
        )


# --- parsing ---------------------------------------------------------------------------------------------------------


def _speak(body: Any) -> str:
    """Return the sentence of an error document, and after it those of its `data`, which name the fields."""
    message = body.get("message") or body.get("error") or ""
    details = body.get("data")
    parts = [message if isinstance(message, str) else ""]
    parts += [part for part in details if isinstance(part, str)] if isinstance(details, list) else []
    return "; ".join(part for part in parts if part)


def _rows(body: Any, *names: str) -> list[Object]:
    """Return the rows of a list: a bare array, or one under its own name or a usual one."""
    return as_rows(_listed(body, *names), names[0])


def _listed(body: Any, *names: str) -> list[Any]:
    found = body
    for _ in range(2):  # {"data": {"domains": [...]}} at the deepest
        if isinstance(found, dict):
            found = first(found, *names, "data", "items", "results")
    if not isinstance(found, list):
        raise UnknownShape(f"{names[0]} is not a list")
    return found


def _texts(body: Any, member: str, *names: str) -> tuple[str, ...]:
    """Return a list of texts that may also come as objects with one `member`."""
    found = []
    for value in _listed(body, *names):
        word = text(value, member, "name", "host") if isinstance(value, dict) else value
        if not isinstance(word, str) or not word.strip():
            raise UnknownShape(f"{member} is not text")
        found.append(word.strip())
    return tuple(found)


def _one(body: Any, name: str) -> Object:
    """Return a single object, bare or under its own name or `data`."""
    row = as_object(body, name)
    for wrapper in (name, "data"):
        if isinstance(row.get(wrapper), dict):
            row = row[wrapper]
    return row


def _all_of(row: Callable[[Object], T], *names: str) -> Callable[[Raw], tuple[T, ...]]:
    return lambda raw: tuple(map(row, _rows(document(raw), *names)))


def _accepted(raw: Raw) -> Accepted:
    """Read an answer that is empty as a rule. Enough for what a read confirms, and for absolute values."""
    if not raw.body.strip():
        return Accepted()
    return Accepted(tidy(text(as_object(document(raw), "reply"), "message")))


def _refuse_checkout(body: Any, verb: str, status: int) -> None:
    """Raise Rejected when a person would have to pay at an address first: the credits did not do.

    Only where the answer speaks of nothing bought. One that names bought things and an address at once says both.
    """
    if not isinstance(body, dict) or not text(body, "checkoutUrl"):
        return
    rows = [*(body.get("domains") or []), *(body.get("mailboxes") or [])]
    if any(text(as_object(row, "row"), "status").lower() not in UNPAID_STATES for row in rows):
        raise UnknownShape("bought, and a checkout address")
    sentence = "a payment by card is asked for: the credits do not cover it"
    raise Rejected(NO_FUNDS, sentence, platform=PLATFORM, verb=verb, status=status)


def _receipt(body: Any, verb: str, status: int) -> Receipt:
    _refuse_checkout(body, verb, status)
    if isinstance(body, list):
        return Receipt(tuple(map(_domain, as_rows(body, "domains"))))
    inner = _one(body, "order")
    _refuse_checkout(inner, verb, status)
    rows = as_rows(inner.get("domains") or [], "domains")
    invoice = inner.get("invoice")
    bill: Object = invoice if isinstance(invoice, dict) else {}
    return Receipt(tuple(map(_domain, rows)), text(bill, "id"), count(first(bill, "totalCents", "amountCents")))


def _ordered(raw: Raw, addresses: set[str]) -> Accepted:
    """Read the answer to an order of mailboxes, of which no shape is published."""
    if not raw.body.strip():
        return Accepted()
    body = document(raw)
    _refuse_checkout(body, "create_mailboxes", raw.status)
    try:
        rows = _rows(body, "mailboxes")
    except UnknownShape:
        given = as_object(body, "reply")
        if "message" not in given and "invoice" not in given:
            raise
        return Accepted(tidy(text(given, "message")))
    if not addresses <= {required(row, "email", "address").lower() for row in rows}:
        raise UnknownShape("not every mailbox is named")
    return Accepted()


def _name(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _names(domain_ids: Mapping[str, str]) -> tuple[str, ...]:
    if not domain_ids:
        raise ValueError("no domains")
    return tuple(_name(name) for name in domain_ids)


def _id(value: str) -> str:
    """Return an id fit for a path. Raises ValueError for an empty one, which would name the whole collection."""
    if not value.strip():
        raise ValueError("an id is missing")
    return quote(value, safe="")


def _workspace(row: Object, name: str = "") -> Workspace:
    ip = row.get("ip")
    return Workspace(
        id=required(row, "id", "_id", "workspaceId"),
        name=text(row, "name") or name or required(row, "name"),
        mailserver=_name(text(row, "mailserver", "mailServer")),
        ip=text(ip, "ip", "address") if isinstance(ip, dict) else text(row, "ip"),
    )


def _domain_name(row: Object) -> str:
    """Rows carry the parts of the name rather than the name."""
    label, ending = text(row, "sld"), text(row, "tld")
    return _name(f"{label}.{ending.lstrip('.')}" if label and ending else required(row, "domain", "name", "domainName"))


def _offer(row: Object) -> DomainOffer | None:
    """Return the offer, or None when they say neither yes nor no: a name is given up only when it is said to be gone."""
    available = flag(row.get("available"))
    if available is None:
        return None
    return DomainOffer(
        name=_domain_name(row),
        available=available,
        premium=bool(flag(first(row, "isPremium", "premium", "isPremiumDomain"))),
        price_cents=_price(row, "price"),
        renewal_cents=_price(row, "renewalPrice"),
        months=count(row.get("minCreationPeriodMonths")),
    )


def _price(row: Object, name: str) -> int | None:
    """A price of zero or less is no price: nobody gives domains away."""
    price = count(row.get(f"{name}Cents"))
    price = cents(row.get(name)) if price is None else price
    return price if price is not None and price > 0 else None


_RENEWAL: Final = {"enabled": True, "disabled": False}


def _domain(row: Object) -> Domain:
    return Domain(
        id=required(row, "id", "_id", "domainId"),
        name=_domain_name(row),
        status=text(row, "status").lower(),
        workspace_id=text(row, "workspaceId"),
        auto_renew=_RENEWAL.get(text(row, "autoRenewStatus").lower()),
        expires_on=text(row, "expiresAt"),
        failed_reason=tidy(text(row, "failedReason")),
    )


def _dns_record(row: Object) -> DnsRecord:
    return DnsRecord(
        name=_name(required(row, "name", "host", "hostName")),
        type=required(row, "type").upper(),
        value=required(row, "value", "content"),
        editable=flag(row.get("editable")) is not False,
    )


def _mailbox(row: Object) -> Mailbox:
    address = required(row, "email", "address").lower()
    if "@" not in address:
        raise UnknownShape("a mailbox without address")
    return Mailbox(
        id=required(row, "id", "_id", "mailboxId"),
        address=address,
        domain=_name(address.partition("@")[2]),
        workspace_id=text(row, "workspaceId"),
        first_name=text(row, "firstName"),
        last_name=text(row, "lastName"),
        status=text(row, "status").lower(),
        imap=_login(row.get("credentials"), "imap"),
        smtp=_login(row.get("credentials"), "smtp"),
    )


def _login(row: Any, door: str) -> Login | None:
    if not isinstance(row, dict):
        return None
    host, username = _name(text(row, f"{door}Host")), text(row, f"{door}Username")
    port, password = count(row.get(f"{door}Port")), row.get(f"{door}Password")
    if not host or not port or not isinstance(password, str) or not password:
        return None
    # Not stripped: a password may begin or end with anything.
    return Login(host, port, username, Hidden(password))
