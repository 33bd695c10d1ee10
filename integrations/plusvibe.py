"""PlusVibe (PIPL): sends the cold e-mail and warms the mailboxes.

Documentation: https://developer.plusvibe.ai. Every verb returns a `Call`; nothing is sent here.

Their behaviour that shapes this file (observed by people who call the API, 2026):
- One key covers all workspaces of the account; `workspace_id` goes into the query of reads and the body of writes.
- A wrong verb or path is answered with 404 "Page not found", which must never be read as "that thing is gone".
- `_id` in the samples, `id` live; `updated_ids` at the top or under `data`; errors as `errors[]`, `message` or `error`.
- The password of a client login is in the reply of its creation and nowhere else, ever.
- The warmup reply rate goes in as a fraction and comes out in percent.

The partner endpoints (password in the URL) are left out on purpose: GET /account/list returns the same figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from .http.call import Call, Proof, Raw, Request
from .http.errors import NotConfigured
from .http.options import Options
from .http.redact import Hidden
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

PLATFORM: Final = "plusvibe"
BASE_URL: Final = "https://api.plusvibe.ai/api/v1"

GENERAL: Final = "plusvibe.general"

ACCOUNTS_PER_PAGE: Final = 100
MOST_IDS_PER_CALL: Final = 100

_HEX_ID: Final = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)

SECRET_FIELDS: Final = frozenset({"password", "smtp_password", "imap_password", "pipl_password"})


@dataclass(frozen=True, slots=True)
class PlusvibeSettings:
    """How to reach PlusVibe, and every choice its documentation leaves to us. Times in seconds.

    agency_workspace_id   an existing workspace of the account; creating another one asks for it
    client_workspace_item the member that names a workspace when creating a client: "id", or "workspace_id" as listed
    client_permissions    what a student's login may do in its workspace. Whether the first value is enough for an
                          export to add mailboxes is not documented; FULL_ACCESS is the other known value
    send_names            send first and last name in the bulk update; whether it takes them is not proven
    imap_*, smtp_*        servers for mailboxes that are added directly
    """

    api_key: Hidden
    agency_workspace_id: str = ""
    base_url: str = BASE_URL
    client_permissions: tuple[str, ...] = ("UNIBOX_FULL_ACCESS",)
    client_workspace_item: str = "id"
    send_names: bool = False
    imap_host: str = "imap.gmail.com"
    imap_port: int = 993
    smtp_host: str = "smtp.gmail.com"
    smtp_port: int = 465
    deadline: float = 30.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> PlusvibeSettings:
        """Read PLUSVIBE_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        return cls(
            api_key=options.secret("PLUSVIBE_API_KEY"),
            agency_workspace_id=options.text("PLUSVIBE_AGENCY_WORKSPACE_ID"),
            base_url=options.address("PLUSVIBE_API_URL", BASE_URL),
            client_permissions=options.words("PLUSVIBE_CLIENT_PERMISSIONS", ("UNIBOX_FULL_ACCESS",)),
            client_workspace_item=options.text("PLUSVIBE_CLIENT_WORKSPACE_ITEM", "id"),
            send_names=options.flag("PLUSVIBE_SEND_NAMES", False),
            imap_host=options.text("PLUSVIBE_IMAP_HOST", "imap.gmail.com"),
            imap_port=options.whole("PLUSVIBE_IMAP_PORT", 993, least=1),
            smtp_host=options.text("PLUSVIBE_SMTP_HOST", "smtp.gmail.com"),
            smtp_port=options.whole("PLUSVIBE_SMTP_PORT", 465, least=1),
            late_execution=options.seconds("PLUSVIBE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("PLUSVIBE_LIST_LAG_SECONDS", 120.0),
        )


@dataclass(frozen=True, slots=True)
class WarmupSettings:
    """What we set on every mailbox. Absolute values; `reply_rate_percent` is sent as a fraction.

    Raises ValueError outside the platform's ranges.
    """

    daily_limit: int = 30
    interval_minutes: int = 5
    initial_daily: int = 2
    increment: int = 2
    max_daily: int = 30
    reply_rate_percent: int = 30
    slow_rampup: bool = True
    randomize: bool = True
    randomize_percent: int = 20

    def __post_init__(self) -> None:
        for name, least, most in (
            ("daily_limit", 0, 10_000),
            ("interval_minutes", 0, 1_440),
            ("initial_daily", 1, 50),
            ("increment", 1, 50),
            ("max_daily", 1, 50),
            ("reply_rate_percent", 0, 100),
            ("randomize_percent", 1, 50),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} lies outside {least} to {most}")


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workspace:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """What our key can see."""

    workspaces: tuple[Workspace, ...]


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client login just created. Nothing ever shows `password` again."""

    id: str
    email: str
    password: Hidden


@dataclass(frozen=True, slots=True)
class Grant:
    workspace_id: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """A client login as listed: without password. Addresses are lower case, `status` upper case."""

    id: str
    email: str
    first_name: str
    last_name: str
    business_name: str
    status: str
    grants: tuple[Grant, ...]

    def sees(self, workspace_id: str) -> bool:
        return any(grant.workspace_id == workspace_id for grant in self.grants)


@dataclass(frozen=True, slots=True)
class CurrentSettings:
    """Settings of a mailbox as read back, named like WarmupSettings; None where they were not sent."""

    daily_limit: int | None = None
    interval_minutes: int | None = None
    initial_daily: int | None = None
    increment: int | None = None
    max_daily: int | None = None
    reply_rate_percent: int | None = None
    slow_rampup: bool | None = None
    randomize: bool | None = None
    randomize_percent: int | None = None

    @property
    def known(self) -> bool:
        """Whether anything at all was sent."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def differing(self, wanted: WarmupSettings) -> tuple[str, ...]:
        """Return the names of the settings that read back as something else. What was not sent does not differ."""
        return tuple(
            field.name
            for field in fields(self)
            if getattr(self, field.name) is not None and getattr(self, field.name) != getattr(wanted, field.name)
        )


@dataclass(frozen=True, slots=True)
class Analytics:
    """Health and reply figures in percent, counters in mails. None means no figure yet, which is not zero."""

    health: float | None = None
    health_google: float | None = None
    health_microsoft: float | None = None
    health_other: float | None = None
    missed_warmup_1d: float | None = None
    bounce_rate_3d: float | None = None
    reply_rate_7d: float | None = None
    out_of_office_rate_7d: float | None = None
    sent_today: int | None = None
    warmup_sent_today: int | None = None


@dataclass(frozen=True, slots=True)
class SendingAccount:
    """A mailbox at PlusVibe. `status` and `warmup_status` are upper case and may be words nobody has documented.

    `analytics` is None when they sent none: no data yet.
    """

    id: str
    email: str
    status: str
    warmup_status: str
    provider: str = ""
    first_name: str = ""
    last_name: str = ""
    warmup_since: str = ""
    settings: CurrentSettings = CurrentSettings()
    analytics: Analytics | None = None

    @property
    def connected(self) -> bool:
        """Only ACTIVE is known to mean connected; the names of the other states are not documented."""
        return self.status == "ACTIVE"

    @property
    def warming(self) -> bool:
        return self.warmup_status == "ACTIVE"


@dataclass(frozen=True, slots=True)
class AccountPage:
    accounts: tuple[SendingAccount, ...]
    skip: int
    last: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """Answer to a bulk change. `count` and `ids` are None and empty where they say nothing; the list is the proof."""

    count: int | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen in a list, later."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A mailbox to add directly, by app password."""

    email: str
    first_name: str
    last_name: str
    password: Hidden


# --- natural keys ----------------------------------------------------------------------------------------------------


def client_key(workspace_id: str, email: str) -> str:
    """Return the natural key of a client login: the e-mail alone may belong to another student's workspace."""
    return f"{workspace_id}:{email.strip().lower()}"


# --- refusals --------------------------------------------------------------------------------------------------------

# First in every verb: their answer to a wrong verb or path, which is our mistake and says nothing about the thing.
_NO_SUCH_PATH: Final = Refusal("no_such_path", r"page not found", frozenset({404}))
_FOREIGN: Final = Refusal(
    "foreign_workspace", r"workspace.*(invalid|not valid|not found|not belong|access|unknown)|invalid.*workspace"
)

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_workspace": (
        Refusal(EXISTS, r"already|exists|duplicate|taken"),
        Refusal("workspace_limit", r"limit|maximum|upgrade|\bplan\b"),
    ),
    "create_client": (
        Refusal("email_is_user", r"(already|existing).*\buser\b|\buser\b.*(already|exists)"),
        Refusal(EXISTS, r"already|exists|duplicate|in use|taken"),
        Refusal("email_blocked", r"cannot be used|blocked"),
        Refusal("client_limit", r"limit|maximum|upgrade|\bplan\b"),
        Refusal("bad_email", r"e-?mail"),
        Refusal("bad_permissions", r"permission"),
    ),
    "delete_client": (Refusal(MISSING, r"client.*(not found|does not exist|unknown)|no such client"),),
    "update_accounts": (
        Refusal(MISSING, r"account.*not found"),
        Refusal("bad_value", r"must|between|range|invalid|yes or no|at least"),
    ),
    "set_warmup": (
        Refusal(MISSING, r"account.*not found"),
        Refusal("bad_value", r"must|invalid|ACTIVE"),
    ),
    "add_accounts": (
        Refusal("provider_refused", r"google|microsoft|gmail|outlook"),
        Refusal(EXISTS, r"already|exists|duplicate"),
    ),
}


# --- client ----------------------------------------------------------------------------------------------------------


class PlusvibeClient:
    """Verbs of https://developer.plusvibe.ai, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: PlusvibeSettings) -> None:
        self.settings = settings

    def authenticate(self) -> Call[Account]:
        """Check the key and list the workspaces it covers. Health check and read-back of `create_workspace` in one.

        Docs: developer.plusvibe.ai, "Authenticate". Returns an Account. Raises BadCredentials.
        """

        def parse(raw: Raw) -> Account:
            body = _body(raw)
            rows = as_rows(_either(body, "workspaces"), "workspaces")
            return Account(tuple(Workspace(_id(row), text(row, "name", "workspace_name")) for row in rows))

        return self._read("authenticate", "/authenticate", parse, {})

    def create_workspace(self, name: str) -> Call[Workspace]:
        """Create a workspace. `name` must end in our reference: nothing keeps names unique there.

        Docs: developer.plusvibe.ai, "Add workspace". Returns the Workspace. Raises NotConfigured at once when the
        agency's own workspace id is not set; AlreadyExists, Rejected workspace_limit.
        """
        agency = self.settings.agency_workspace_id
        if not agency:
            raise NotConfigured("PLUSVIBE_AGENCY_WORKSPACE_ID is not set", platform=PLATFORM, verb="create_workspace")

        def parse(raw: Raw) -> Workspace:
            body = _body(raw)
            inner = first(body, "workspace", "data")
            row = body if first(body, "_id", "id", "workspace_id") is not None else as_object(inner, "workspace")
            made = required(row, "_id", "id", "workspace_id")
            if not _HEX_ID.fullmatch(made):
                raise UnknownShape("_id is no id")  # everything that follows would go to a workspace that is not there
            return Workspace(made, text(row, "name", "workspace_name") or name)

        return self._write(
            "create_workspace",
            "POST",
            "/workspaces/add/",  # with this slash
            parse,
            agency,
            {"workspace_name": name},
            items=(name,),
            proof=Proof.ANSWER,
        )

    def create_client(
        self, workspace_id: str, email: str, first_name: str, last_name: str, business_name: str
    ) -> Call[NewClient]:
        """Create a login that sees exactly one workspace. The password is shown in this reply and never again.

        Never repeated blindly: the list shows the client but not its password. Docs: developer.plusvibe.ai, "Add
        client". Returns a NewClient; a reply without password is an unknown outcome, and the stored answer is kept.
        Raises AlreadyExists, or Rejected with email_is_user, email_blocked, client_limit, bad_email, bad_permissions.
        """
        email = email.strip()

        def parse(raw: Raw) -> NewClient:
            body = _body(raw)
            row: Object = body
            for name in ("client", "data"):
                inner = row.get(name)
                if isinstance(inner, dict):
                    row = inner
            made = required(row, "client_id", "_id", "id")
            if not _HEX_ID.fullmatch(made):
                raise UnknownShape("client_id is no id")  # what is not one would be kept, and open nothing later
            return NewClient(
                id=made,
                email=(text(row, "email", "client_email") or email).lower(),
                # Not stripped: a password may begin or end with anything.
                password=Hidden(_password(row)),
            )

        # `workspace_id` does not decide what the login sees, `workspaces` does.
        access = {self.settings.client_workspace_item: workspace_id, "hide_labels": []}
        body = {
            "client_email": email,
            "client_first_name": first_name,
            "client_last_name": last_name,
            "client_business_name": business_name,
            "workspaces": [{**access, "permissions": list(self.settings.client_permissions)}],
        }
        return self._write(
            "create_client",
            "POST",
            "/client",
            parse,
            workspace_id,
            body,
            items=(client_key(workspace_id, email),),
            proof=Proof.ANSWER,
        )

    def list_clients(self, workspace_id: str) -> Call[tuple[Client, ...]]:
        """The client logins known in a workspace, without passwords.

        Docs: developer.plusvibe.ai, "List clients". Returns Clients: match e-mail *and* `sees(workspace_id)`.
        """

        def parse(raw: Raw) -> tuple[Client, ...]:
            return tuple(map(_client, as_rows(_either(_body(raw), "clients"), "clients")))

        return self._read("list_clients", "/client/", parse, {"workspace_id": workspace_id})

    def delete_client(self, workspace_id: str, client_id: str) -> Call[Accepted]:
        """Delete a client login. By id, so sending it again does no harm.

        The body is not documented. Docs: developer.plusvibe.ai, "Delete client". Returns Accepted; `list_clients` is
        the proof. Raises NotFound when it is gone already.
        """
        return self._write(
            "delete_client",
            "DELETE",
            "/client",
            _accepted,
            workspace_id,
            {"client_id": client_id},
            items=(client_id,),
            repeatable=True,
        )

    def list_accounts(self, workspace_id: str, skip: int = 0) -> Call[AccountPage]:
        """100 mailboxes of a workspace from `skip` on, with settings and figures.

        One call for four purposes: it proves exports, yields the ids, confirms settings and feeds the dashboard.
        Docs: developer.plusvibe.ai, "List email accounts". Returns an AccountPage; read on until `last`.
        """

        def parse(raw: Raw) -> AccountPage:
            rows = as_rows(_either(_body(raw), "accounts"), "accounts")
            return AccountPage(tuple(map(_account, rows)), skip, len(rows) < ACCOUNTS_PER_PAGE)

        query = {"workspace_id": workspace_id, "skip": str(skip), "limit": str(ACCOUNTS_PER_PAGE)}
        return self._read("list_accounts", "/account/list", parse, query)

    def update_accounts(
        self,
        workspace_id: str,
        ids: Mapping[str, str],
        settings: WarmupSettings,
        *,
        first_name: str = "",
        last_name: str = "",
    ) -> Call[Changed]:
        """Set sending and warmup settings. `ids` maps address to account id, at most 100; absolute values.

        The names go to all of `ids` alike, and only when the settings say so (`send_names`).
        Docs: developer.plusvibe.ai, "Bulk update email accounts" (PUT; a note saying PATCH is wrong). Returns Changed;
        `list_accounts` is the proof. Raises Rejected bad_value; ValueError for no ids or too many.
        """
        at_most(tuple(ids), "ids", MOST_IDS_PER_CALL)
        body: dict[str, Any] = {
            "ids": list(ids.values()),
            "daily_limit": settings.daily_limit,
            "interval_limit_in_min": settings.interval_minutes,
            "warmup_initial_daily_limit": settings.initial_daily,
            "warmup_pace_increment": settings.increment,
            "warmup_max_daily_limit": settings.max_daily,
            "warmup_reply_rate": settings.reply_rate_percent / 100,  # a fraction in, percent out
            "warmup_randomize": _yes(settings.randomize),
            "warmup_randomize_num": settings.randomize_percent,
            "bulk_warmup_is_slow_rampup": _yes(settings.slow_rampup),
        }
        if self.settings.send_names and (first_name or last_name):
            body |= {"first_name": first_name, "last_name": last_name}
        return self._write(
            "update_accounts",
            "PUT",
            "/account/bulk-update",
            _changed,
            workspace_id,
            body,
            items=_addresses(ids),
            repeatable=True,
        )

    def set_warmup(self, workspace_id: str, ids: Mapping[str, str], on: bool) -> Call[Changed]:
        """Switch warmup on or off. `ids` maps address to account id, at most 100; an absolute value.

        Docs: developer.plusvibe.ai, "Bulk update warmup" (PATCH; PUT gives 404). Returns Changed; `list_accounts` is
        the proof. Raises Rejected bad_value; ValueError for no ids or too many.
        """
        at_most(tuple(ids), "ids", MOST_IDS_PER_CALL)
        return self._write(
            "set_warmup",
            "PATCH",
            "/account/bulk-update-warmup",
            _changed,
            workspace_id,
            {"ids": list(ids.values()), "warmup_status": "ACTIVE" if on else "INACTIVE"},
            items=_addresses(ids),
            repeatable=True,
        )

    def add_accounts(
        self, workspace_id: str, accounts: Sequence[NewAccount], settings: WarmupSettings | None = None
    ) -> Call[Accepted]:
        """Add mailboxes by app password: the fallback for exports that never arrive.

        Only for addresses proven absent, and never while an export may still land. Documented for servers that are
        neither Google's nor Microsoft's. Docs: developer.plusvibe.ai, "Bulk add regular accounts".
        Returns Accepted only: results go to the account owner by mail, `list_accounts` is the proof.
        Raises Rejected provider_refused, AlreadyExists; ValueError for none or more than 100.
        """
        at_most(accounts, "accounts", MOST_IDS_PER_CALL)
        wanted = settings or WarmupSettings()
        return self._write(
            "add_accounts",
            "POST",
            "/account/bulk-add-regular-accounts",
            _accepted,
            workspace_id,
            {"accounts": [self._row(account, wanted) for account in accounts]},
            items=tuple(account.email.strip().lower() for account in accounts),
        )

    def _row(self, account: NewAccount, settings: WarmupSettings) -> dict[str, Any]:
        mine = self.settings
        password = account.password.open()
        return {
            "first_name": account.first_name,
            "last_name": account.last_name,
            "email": account.email,
            "username": account.email,
            "password": password,
            "imap_host": mine.imap_host,
            "imap_port": mine.imap_port,
            "smtp_host": mine.smtp_host,
            "smtp_port": mine.smtp_port,
            "smtp_username": account.email,
            "smtp_password": password,
            "daily_limit": settings.daily_limit,
            "min_interval": settings.interval_minutes,
            "enable_camp_rampup": "no",
            "enable_warmup": "yes",
            "warmup_daily_limit": settings.max_daily,
            "enable_warmup_rampup": _yes(settings.slow_rampup),
            "warmup_rampup_start": settings.initial_daily,
            "warmup_rampup_increment": settings.increment,
        }

    # How a call is put together

    def _headers(self) -> dict[str, str]:
        return {"x-api-key": self.settings.api_key.open(), "accept": "application/json"}

    def _read(self, verb: str, path: str, parse: Callable[[Raw], T], query: Mapping[str, str]) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            Request("GET", self.settings.base_url + path, self._headers(), dict(query)),
            parse,
            Judge(PLATFORM, verb, False, _speak, (_NO_SUCH_PATH, _FOREIGN)),
            budgets=(GENERAL,),
            deadline=self.settings.deadline,
            secret_fields=SECRET_FIELDS,
        )

    def _write(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        workspace_id: str,
        body: Mapping[str, Any],
        *,
        items: tuple[str, ...],
        proof: Proof = Proof.READ,
        repeatable: bool = False,
    ) -> Call[T]:
        whole = {"workspace_id": workspace_id, **body}
        return Call(
            PLATFORM,
            verb,
            Request(method, self.settings.base_url + path, self._headers(), json=whole),
            parse,
            Judge(PLATFORM, verb, True, _speak, (_NO_SUCH_PATH, *_REFUSALS.get(verb, ()), _FOREIGN)),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=(GENERAL,),
            deadline=self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
            secret_fields=SECRET_FIELDS,
        )


# --- parsing ---------------------------------------------------------------------------------------------------------


def _speak(body: Any) -> str:
    """Return the sentence of an error document, which comes in three shapes."""
    parts: list[str] = []
    errors = body.get("errors")
    for part in errors if isinstance(errors, list) else [errors]:
        inner = part.get("message") or part.get("msg") if isinstance(part, dict) else part
        if isinstance(inner, str) and inner:
            parts.append(inner)
    parts += [body[name] for name in ("message", "error") if isinstance(body.get(name), str)]
    return "; ".join(dict.fromkeys(parts))


def _body(raw: Raw) -> Object:
    """Return the document. There is no envelope, but a `status` that says error contradicts a 2xx."""
    body = as_object(document(raw), "reply")
    status = body.get("status")
    if status is False or (isinstance(status, str) and status.casefold() in ("error", "fail", "failed", "failure")):
        raise UnknownShape("the reply contradicts the HTTP status")
    return body


def _either(body: Object, name: str) -> Any:
    """Return a member at the top or under `data`."""
    data = body.get("data")
    if body.get(name) is None and isinstance(data, dict):
        return data.get(name)
    return body.get(name)


def _id(row: Object) -> str:
    return required(row, "id", "_id")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _addresses(ids: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(address.strip().lower() for address in ids)


def _password(row: Object) -> str:
    password = first(row, "password", "client_password")
    if not isinstance(password, str) or not password:
        raise UnknownShape("password is missing")
    return password


def _accepted(raw: Raw) -> Accepted:
    body = _body(raw)
    if not body:
        raise UnknownShape("an empty object")
    return Accepted(tidy(text(body, "message")))


def _changed(raw: Raw) -> Changed:
    # Also an empty object: the reply of the bulk update is documented nowhere, and the list confirms the values.
    body = _body(raw)
    ids = _either(body, "updated_ids")
    return Changed(count(_either(body, "updated_count")), tuple(map(str, ids)) if isinstance(ids, list) else ())


def _client(row: Object) -> Client:
    grants = row.get("client_permissions")
    return Client(
        id=required(row, "client_id", "_id", "id"),
        email=required(row, "client_email", "email").lower(),
        first_name=text(row, "first_name", "client_first_name"),
        last_name=text(row, "last_name", "client_last_name"),
        business_name=text(row, "client_business_name", "business_name"),
        status=text(row, "status").upper(),
        grants=tuple(map(_grant, as_rows(grants if grants is not None else [], "client_permissions"))),
    )


def _grant(row: Object) -> Grant:
    permissions = row.get("permissions")
    return Grant(
        workspace_id=text(row, "workspace_id", "id"),
        permissions=tuple(map(str, permissions)) if isinstance(permissions, list) else (),
    )


def _account(row: Object) -> SendingAccount:
    payload = _part(row, "payload")
    name = _part(payload, "name")
    return SendingAccount(
        id=_id(row),
        email=required(row, "email").lower(),
        status=text(row, "status").upper(),
        warmup_status=text(row, "warmup_status").upper(),
        provider=text(row, "provider").upper(),
        first_name=text(name, "first_name"),
        last_name=text(name, "last_name"),
        warmup_since=text(row, "warmup_enb_dt"),
        settings=_settings(payload),
        analytics=_analytics(payload.get("analytics", row.get("analytics"))),
    )


def _part(row: Object, name: str) -> Object:
    """Return a nested object, empty when it is absent or of another kind: figures must not cost us the mailbox."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _settings(payload: Object) -> CurrentSettings:
    warmup, rampup = _part(payload, "warmup"), _part(payload, "warmup_rampup")
    return CurrentSettings(
        daily_limit=count(payload.get("daily_limit")),
        interval_minutes=count(first(payload, "sending_gap", "interval_limit_in_min")),
        initial_daily=count(rampup.get("initial_daily_limit")),
        increment=count(warmup.get("increment")),
        max_daily=count(warmup.get("limit")),
        reply_rate_percent=_percent(warmup.get("reply_rate")),
        slow_rampup=flag(rampup.get("is_slow_rampup")),
        randomize=flag(rampup.get("randomize")),
        randomize_percent=count(rampup.get("randomize_num")),
    )


def _percent(value: Any) -> int | None:
    """Return a rate in percent. Below 1 it can only be a fraction that was handed back as it was given."""
    rate = measure(value)
    if rate is None or rate < 0:
        return None
    return round(rate * 100 if 0 < rate < 1 else rate)


def _analytics(value: Any) -> Analytics | None:
    """Return the figures; None when there is no block, or an empty one: no data yet, which is not zero."""
    if not isinstance(value, dict) or not value:
        return None
    health = _part(value, "health_scores")
    replies = _part(value, "reply_rates")
    counters = _part(value, "daily_counters")
    return Analytics(
        health=measure(health.get("7d_overall_warmup_health")),
        health_google=measure(health.get("7d_google_warmup_health")),
        health_microsoft=measure(health.get("7d_microsoft_warmup_health")),
        health_other=measure(health.get("7d_other_warmup_health")),
        missed_warmup_1d=measure(health.get("1d_miss_warmup_rate")),
        bounce_rate_3d=measure(health.get("3d_bounce_rate")),
        reply_rate_7d=measure(replies.get("7d_replyrate")),
        out_of_office_rate_7d=measure(replies.get("7d_ooo_replyrate")),
        sent_today=count(counters.get("email_sent_today")),
        warmup_sent_today=count(counters.get("warmup_email_sent_today")),
    )
