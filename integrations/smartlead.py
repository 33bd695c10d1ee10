"""Smartlead: sends the cold e-mail and warms the mailboxes of the stack `workspace`.

Documentation: https://api.smartlead.ai and https://help.smartlead.ai, which contradict each other. Every verb returns a
`Call`; nothing is sent here.

Their behaviour that shapes this file (their documentation, and what people who call the API have observed, 2026):
- The key travels in the query of every request and nowhere else: `Request.secret_query`, tainted.
- A mailbox is logged in to, by SMTP and IMAP, before the answer. One of the two may work alone.
- Three shapes of success, six of failure, one of them under HTTP 200. Codes count, then words.
- Names change between writing and reading; lists are bare arrays without a total, and hold the mailboxes' passwords.
- A duplicate names the account's id when the account is ours, and none when somebody else has it.
- The edge refuses Python's own User-Agents, and `POST /email-accounts/<text>` is an update of an account called <text>.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, TypeVar

from .http.call import Call, Proof, Raw, Request
from .http.errors import AlreadyExists, NotConfigured, OutcomeUnknown, PlatformError, RateLimited, Rejected, Unavailable
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
    number,
    required,
    text,
    tidy,
)
from .logins import Login

T = TypeVar("T")

PLATFORM: Final = "smartlead"
BASE_URL: Final = "https://server.smartlead.ai/api/v1"

GENERAL: Final = "smartlead.general"
HOUR: Final = "smartlead.hour"
RECONNECT: Final = "smartlead.reconnect"

USER_AGENT: Final = "gtm-infrastructure"
MOST_ROWS: Final = 100
GMAIL, OUTLOOK, SMTP = "GMAIL", "OUTLOOK", "SMTP"

# What their resets may look like: seconds from now, or a moment since 1970.
_A_MOMENT: Final = 1_000_000_000

SECRET_FIELDS: Final = frozenset(
    {"password", "imap_password", "smtp_password", "token", "access_token", "refresh_token", "api_key"}
)


@dataclass(frozen=True, slots=True)
class SmartleadSettings:
    """How to reach Smartlead, and every choice its documentation leaves to us. Times in seconds.

    client_id        a sub-account (white label) that accounts are saved for and listed of; None for the account itself
    page_size        rows of a page; 100 is the most
    tracking_label   first label of a domain's tracking host, e.g. "emailtracking"
    tracking_target  where its CNAME leads. Nobody there documents it
    oauth_types      what they call GMAIL and OUTLOOK where accounts come by OAuth; one of their documents says it in capitals
    spf              a mechanism for SPF: empty, because they send through the mailbox's own server
    save_deadline    two logins take up to a minute; what takes longer is read back
    """

    api_key: Hidden
    base_url: str = BASE_URL
    client_id: int | None = None
    page_size: int = MOST_ROWS
    tracking_label: str = "emailtracking"
    tracking_target: str = "open.sleadtrack.com"
    oauth_types: tuple[str, str] = ("gmail", "microsoft")
    spf: str = ""
    deadline: float = 30.0
    save_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> SmartleadSettings:
        """Read SMARTLEAD_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        size = options.whole("SMARTLEAD_PAGE_SIZE", MOST_ROWS, least=1)
        if size > MOST_ROWS:
            raise NotConfigured(f"SMARTLEAD_PAGE_SIZE is more than {MOST_ROWS}", platform=PLATFORM)
        types = options.words("SMARTLEAD_OAUTH_TYPES", ("gmail", "microsoft"))
        if len(types) != 2:
            raise NotConfigured("SMARTLEAD_OAUTH_TYPES are not two words", platform=PLATFORM)
        return cls(
            api_key=options.secret("SMARTLEAD_API_KEY"),
            base_url=options.address("SMARTLEAD_API_URL", BASE_URL),
            client_id=options.whole("SMARTLEAD_CLIENT_ID", 0) or None,
            page_size=size,
            tracking_label=options.text("SMARTLEAD_TRACKING_LABEL", "emailtracking").lower(),
            tracking_target=options.text("SMARTLEAD_TRACKING_TARGET", "open.sleadtrack.com").lower(),
            oauth_types=(types[0], types[1]),
            spf=options.text("SMARTLEAD_SPF"),
            late_execution=options.seconds("SMARTLEAD_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("SMARTLEAD_LIST_LAG_SECONDS", 120.0),
        )

    def tracking_host(self, domain: str) -> str:
        """Return the host whose CNAME must lead to `tracking_target` for mail from a domain."""
        return f"{self.tracking_label}.{_host(domain)}"


@dataclass(frozen=True, slots=True)
class WarmupSettings:
    """What we set on every mailbox. Absolute values; mails a day, and percent.

    per_day      warmup mails on a warm day
    ramp_up      how many more each day until then
    ramps_up     whether it begins low; else it sends `per_day` from the first day on
    auto_adjust  whether they may change the values by themselves

    Raises ValueError outside the narrower ranges of their two documentations.
    """

    enabled: bool = True
    per_day: int = 30
    ramp_up: int = 5
    reply_rate_percent: int = 30
    ramps_up: bool = True
    auto_adjust: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (("per_day", 1, 50), ("ramp_up", 5, 20), ("reply_rate_percent", 20, 100)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} lies outside {least} to {most}")

    @property
    def values(self) -> dict[str, int]:
        """The figures by the names that they have when writing."""
        return {
            "total_warmup_per_day": self.per_day,
            "daily_rampup": self.ramp_up,
            "reply_rate_percentage": self.reply_rate_percent,
        }


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What a mailbox's account is changed to; None leaves a value as it is. An empty tracking host takes it away.

    per_day        campaign mail and warmup mail together; 0 stops campaigns and keeps warmup
    gap_minutes    between two mails
    tracking_host  bare host name
    """

    per_day: int | None = None
    name: str | None = None
    tracking_host: str | None = None
    gap_minutes: int | None = None
    bcc: str | None = None
    signature: str | None = None

    def __post_init__(self) -> None:
        for name in ("per_day", "gap_minutes"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is not negative")

    @property
    def written(self) -> dict[str, Any]:
        """What is sent, by the names that they have when writing."""
        sent = {
            "max_email_per_day": self.per_day,
            "from_name": self.name,
            "custom_tracking_url": None if self.tracking_host is None else _host(self.tracking_host),
            "time_to_wait_in_mins": self.gap_minutes,
            "bcc": self.bcc,
            "signature": self.signature,
        }
        return {name: value for name, value in sent.items() if value is not None}


@dataclass(frozen=True, slots=True)
class AppPassword:
    """How a mailbox is reached by password: for Google an app password, never the user's own."""

    smtp: Login
    imap: Login


@dataclass(frozen=True, slots=True)
class Tokens:
    """How a mailbox is reached by OAuth. Nobody consents at Smartlead: the tokens are brought along.

    expires_at  Unix seconds; sent in milliseconds, as the library writes it whose member name they use
    """

    access_token: Hidden
    refresh_token: Hidden
    expires_at: int


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A mailbox to connect. `credential` says how it is reached, and so which of their two ways is taken.

    kind      "GMAIL", "OUTLOOK" or "SMTP"
    settings  limits and tracking host. By OAuth they are not taken along: set them afterwards
    warmup    None leaves warmup off
    """

    address: str
    name: str
    credential: AppPassword | Tokens
    kind: str = GMAIL
    settings: AccountSettings = AccountSettings()
    warmup: WarmupSettings | None = None


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Saved:
    """A connected mailbox. `smtp_works` and `imap_works` are None where they did not say: read the account."""

    id: int
    smtp_works: bool | None = None
    imap_works: bool | None = None

    @property
    def failed(self) -> bool:
        """Whether it is known that one of the logins does not work."""
        return False in (self.smtp_works, self.imap_works)


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen by reading the account."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """Warmup of a mailbox as read back. `status` is upper case and may be a word nobody has documented.

    reputation  percent
    blocked     why they have stopped it; "" while they have not
    """

    status: str
    per_day: int | None = None
    reply_rate_percent: int | None = None
    reputation: float | None = None
    blocked: str = ""
    sent: int | None = None
    spam: int | None = None

    @property
    def is_on(self) -> bool:
        return self.status == "ACTIVE" and not self.blocked

    def differing(self, wanted: WarmupSettings) -> tuple[str, ...]:
        """Return the names of the settings that read back as something else. What they do not show does not differ."""
        seen = {
            "enabled": self.status == "ACTIVE",
            "per_day": self.per_day,
            "reply_rate_percent": self.reply_rate_percent,
        }
        return tuple(name for name, value in seen.items() if value is not None and value != getattr(wanted, name))


@dataclass(frozen=True, slots=True)
class SendingAccount:
    """A mailbox at Smartlead, without its password. `kind` is upper case and may be a word nobody has documented.

    smtp_works, imap_works  None where they did not say
    failure     what the logins were refused with, redacted
    per_day     campaign mail and warmup mail together
    suspended   None in lists, which do not show it
    warmup      None before warmup was ever on
    user_id     whose account of theirs it is in, None where they did not say
    """

    id: int
    address: str
    name: str = ""
    kind: str = ""
    smtp_works: bool | None = None
    imap_works: bool | None = None
    failure: str = ""
    per_day: int | None = None
    gap_minutes: int | None = None
    tracking_host: str = ""
    client_id: int | None = None
    suspended: bool | None = None
    sent_today: int | None = None
    warmup: Warmup | None = None
    user_id: int | None = None

    @property
    def connected(self) -> bool:
        return self.smtp_works is True and self.imap_works is True

    @property
    def warming(self) -> bool:
        """Switched on and not blocked; that it also sends takes `connected`."""
        return self.warmup is not None and self.warmup.is_on

    @property
    def campaign_per_day(self) -> int | None:
        """What is left for campaigns of the limit, which counts warmup too. None where they did not say."""
        if self.per_day is None:
            return None
        warm = self.warmup.per_day if self.warmup is not None and self.warming else 0
        return None if warm is None else max(0, self.per_day - warm)

    def differing(self, wanted: AccountSettings) -> tuple[str, ...]:
        """Return the names of the settings that read back as something else. What they do not show does not differ."""
        seen = {
            "per_day": self.per_day,
            "name": self.name,
            "tracking_host": self.tracking_host,
            "gap_minutes": self.gap_minutes,
        }
        asked = {name: getattr(wanted, name) for name in seen} | {
            "tracking_host": None if wanted.tracking_host is None else _host(wanted.tracking_host)
        }
        return tuple(
            name
            for name, value in seen.items()
            if asked[name] is not None and value is not None and value != asked[name]
        )


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One page of a list. `last` and `next_offset` are about all rows, also about those that were not asked for."""

    accounts: tuple[SendingAccount, ...]
    next_offset: int
    last: bool


@dataclass(frozen=True, slots=True)
class WarmupDay:
    """One day of warmup, in mails. None is what they did not say; `rescued` from spam is not bounced."""

    day: date
    sent: int
    replies: int | None = None
    spam: int | None = None
    rescued: int | None = None


@dataclass(frozen=True, slots=True)
class WarmupStats:
    """What warmup did in about the last seven days, oldest day first. None is what they did not say."""

    sent: int
    spam: int | None = None
    inbox: int | None = None
    received: int | None = None
    reputation: float | None = None
    days: tuple[WarmupDay, ...] = field(default_factory=tuple)

    @property
    def inbox_percent(self) -> float | None:
        """Return how much of what was sent arrived in an inbox; None while nothing was sent, or nobody says where."""
        inbox = self.inbox if self.inbox is not None else None if self.spam is None else self.sent - self.spam
        return None if not self.sent or inbox is None else 100.0 * max(0, inbox) / self.sent


# --- refusals --------------------------------------------------------------------------------------------------------

# First in every verb: our mistake about the address, which says nothing about any account.
_NO_SUCH_PATH: Final = Refusal("no_such_path", r"account_id.{0,3} must be a number")
_VALUE: Final = Refusal(
    "bad_value", r"must be|is required|invalid parameters|validation|out of range|between|\blimit must"
)
_GONE: Final = Refusal(MISSING, r"account_not_found|account.*(not found|does not exist)|no such account")

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "save_account": (
        Refusal(EXISTS, r"account_already_exist|already (exist|connected|added)|please pass id|duplicate"),
        _GONE,
        Refusal("account_limit", r"\bplan\b|upgrade|maximum (number )?of|limit (reached|exceeded|of email accounts)"),
        _VALUE,
        Refusal("bad_tracking_domain", r"tracking", frozenset({400, 422})),
        Refusal("imap_off", r"not enabled for imap|imap[^;]{0,40}(disabled|turned off|switched off|not enabled)"),
        Refusal(
            "wrong_login",
            r"verif|oauth token|credential|password|authenticat|log ?in|(smtp|imap).*(fail|refused|error)|\b535\b",
        ),
    ),
    "update_account": (_GONE, _VALUE),
    "set_warmup": (_GONE, _VALUE),
    "reconnect_failed": (Refusal("too_often", r"\b(times|once|already)\b.*(day|24)|try again (later|tomorrow)"),),
}


# --- client ----------------------------------------------------------------------------------------------------------


class SmartleadClient:
    """Verbs of https://api.smartlead.ai, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: SmartleadSettings) -> None:
        self.settings = settings

    def check_key(self) -> Call[Accepted]:
        """Check the key: one row of the list. Docs: "List email accounts". Raises BadCredentials."""

        def parse(raw: Raw) -> Accepted:
            as_rows(document(raw), "accounts")
            return Accepted()

        return self._read("check_key", "/email-accounts/", parse, query={"limit": "1"})

    def list_accounts(self, offset: int = 0, address: str = "") -> Call[AccountPage]:
        """One page of the accounts from `offset` on; with `address` only the one of exactly this address.

        With an address they search for a part of it and answer with its neighbours too, so read on until `last`: the
        read-back of `save_account`. Passwords in the rows are dropped. Docs: "List email accounts"
        (`GET /email-accounts/`). Returns an AccountPage.
        """
        wanted = _address(address)

        def parse(raw: Raw) -> AccountPage:
            rows = as_rows(document(raw), "accounts")
            found = tuple(one for one in map(_account, rows) if wanted in ("", one.address))
            return AccountPage(found, offset + len(rows), len(rows) < self.settings.page_size)

        query = {"offset": str(offset), "limit": str(self.settings.page_size)}
        if wanted:
            query["username"] = wanted  # in whatever sub-account: a duplicate is refused everywhere
        elif self.settings.client_id is not None:
            query["client_id"] = str(self.settings.client_id)
        return self._read("list_accounts", "/email-accounts/", parse, query=query)

    def find_ids(self, addresses: Sequence[str]) -> Call[dict[str, int]]:
        """The ids of accounts by address, in one call for all of them; addresses that are not there are missing.

        Only other callers know of it, so presence is proof and absence is not: then ask `list_accounts`. Docs: none
        (`POST /email-accounts/tag-list`). Returns address -> id. Raises Rejected no_such_path where it does not exist;
        ValueError for no addresses or more than 100.
        """
        wanted = {_address(one) for one in at_most(addresses, "addresses", MOST_ROWS)}

        def parse(raw: Raw) -> dict[str, int]:
            rows = as_rows(_done(raw).get("data"), "data")
            found = {_address(required(row, "email_id")): _id(row, "email_account_id") for row in rows}
            return {address: account for address, account in found.items() if address in wanted}

        return self._read(
            "find_ids", "/email-accounts/tag-list", parse, method="POST", body={"email_ids": sorted(wanted)}
        )

    def get_account(self, account_id: int) -> Call[SendingAccount]:
        """One account. Read-back of `update_account`, `set_warmup`, `suspend_account`, `delete_account`.

        Docs: "Get email account" (`GET /email-accounts/{id}/`). Returns the SendingAccount. Raises NotFound.
        """

        def parse(raw: Raw) -> SendingAccount:
            found = _account(as_object(document(raw), "account"))
            if found.id != account_id:
                raise UnknownShape("another account")
            return found

        return self._read("get_account", f"/email-accounts/{_whole(account_id)}/", parse)

    def save_account(self, account: NewAccount, account_id: int | None = None) -> Call[Saved]:
        """Connect a mailbox, by app password or OAuth; with `account_id` give the one that is there a new password.

        They log in by SMTP and IMAP before they answer, in up to a minute and more. By password it may be sent again: a
        duplicate is refused. By OAuth read first. Docs: "Create email account" (`POST /email-accounts/save`), "Add OAuth
        email account" (`.../save-oauth`). Returns Saved, which may be `failed` all the same.

        Raises AlreadyExists (in our account: read it back by its address and adopt its id), NotFound (`account_id`), or
        Rejected with elsewhere (another Smartlead user has the address: for good), wrong_login (after a fresh app password
        try again in 5, 15, 30 minutes), imap_off, account_limit, bad_value; ValueError for tokens with `account_id`.
        """
        address, credential = _address(account.address), account.credential
        by_password = isinstance(credential, AppPassword)

        def parse(raw: Raw) -> Saved:
            body = _done(raw)
            inner = body.get("data")
            row = inner if isinstance(inner, dict) else body
            made = _id(row, "id", "emailAccountId")
            if _address(text(row, "from_email")) not in ("", address) or account_id not in (None, made):
                raise UnknownShape("another account")
            return Saved(made, flag(row.get("is_smtp_success")), flag(row.get("is_imap_success")))

        if isinstance(credential, Tokens):
            if account_id is not None:
                raise ValueError("tokens of an account that is there are not replaced: remove it and add it again")
            path, body = "/email-accounts/save-oauth", self._by_tokens(account, credential)
        else:
            path, body = "/email-accounts/save", self._by_password(account, credential, account_id)
        return self._write(
            "save_account",
            "POST",
            path,
            parse,
            body,
            items=(address,),
            proof=Proof.ANSWER,
            repeatable=by_password,
            deadline=self.settings.save_deadline,
        )

    def update_account(self, address: str, account_id: int, settings: AccountSettings) -> Call[Accepted]:
        """Change limits, sender name or tracking host. Absolute values; `get_account` shows them under other names.

        There is no call that verifies a tracking host: look its CNAME up. Docs: "Update email account"
        (`POST /email-accounts/{id}`, not PATCH). Returns Accepted. Raises NotFound, Rejected bad_value; ValueError for no
        change.
        """
        if not settings.written:
            raise ValueError("nothing to change")
        return self._of_one(
            "update_account", "POST", f"/email-accounts/{_whole(account_id)}", address, settings.written
        )

    def set_warmup(self, address: str, account_id: int, settings: WarmupSettings) -> Call[Accepted]:
        """Switch warmup on or off and set its values. Absolute; for how many days is nothing they know of.

        Docs: "Add/update warmup" (`POST /email-accounts/{id}/warmup`). Returns Accepted; `get_account` is the proof.
        Raises NotFound, Rejected bad_value.
        """
        path = f"/email-accounts/{_whole(account_id)}/warmup"
        body = {"warmup_enabled": settings.enabled, **settings.values, "is_rampup_enabled": settings.ramps_up}
        return self._of_one("set_warmup", "POST", path, address, body | {"auto_adjust_warmup": settings.auto_adjust})

    def warmup_stats(self, account_id: int) -> Call[WarmupStats]:
        """What warmup did in about the last seven days. Not split by provider.

        Docs: "Fetch warmup stats" (`GET /email-accounts/{id}/warmup-stats`). Returns WarmupStats. Raises NotFound.
        """

        def parse(raw: Raw) -> WarmupStats:
            found = _stats(raw)
            if found.sent and found.spam is not None and found.spam > found.sent:
                raise UnknownShape("more spam than mail")
            return found

        path = f"/email-accounts/{_whole(account_id)}/warmup-stats"
        return self._read("warmup_stats", path, parse, weight_class="figures")

    def suspend_account(self, address: str, account_id: int, suspended: bool = True) -> Call[Accepted]:
        """Stop campaigns and warmup of a mailbox, or let it work again. Absolute; `get_account` is the proof.

        Docs: "Suspend" (`PUT /email-accounts/suspend/{id}`), "Unsuspend" (which is a DELETE). Returns Accepted. Raises
        NotFound.
        """
        method, word = ("PUT", "suspend") if suspended else ("DELETE", "unsuspend")
        return self._of_one("suspend_account", method, f"/email-accounts/{word}/{_whole(account_id)}", address)

    def delete_account(self, address: str, account_id: int) -> Call[Accepted]:
        """Take a mailbox out of Smartlead and of all campaigns. What becomes of its warmup history is not known.

        Docs: "Delete email account" (`DELETE /email-accounts/{id}`). Returns Accepted; `get_account` raising NotFound is
        the proof. Raises NotFound when it is gone already.
        """
        return self._of_one("delete_account", "DELETE", f"/email-accounts/{_whole(account_id)}", address)

    def reconnect_failed(self) -> Call[Accepted]:
        """Let them try again every mailbox whose logins failed: the whole account, three times a day at most.

        Never repeated blindly. Docs: "Reconnect failed email accounts". Returns Accepted; `connected` in the list is the
        proof. Raises RateLimited, Rejected too_often.
        """
        return self._write(
            "reconnect_failed",
            "POST",
            "/email-accounts/reconnect-failed-email-accounts",
            _accepted,
            {},
            items=("all accounts",),
            budgets=(RECONNECT, GENERAL, HOUR),
        )

    # How a call is put together

    def _by_password(self, account: NewAccount, credential: AppPassword, account_id: int | None) -> dict[str, Any]:
        smtp, imap = credential.smtp, credential.imap
        body: dict[str, Any] = {
            "id": None if account_id is None else _whole(account_id),
            "from_name": account.name,
            "from_email": _address(account.address),
            "user_name": smtp.username,
            "password": smtp.password.open(),
            "smtp_host": smtp.host,
            "smtp_port": smtp.port,
            "imap_host": imap.host,
            "imap_port": imap.port,
            "type": account.kind,
            "warmup_enabled": account.warmup is not None and account.warmup.enabled,
        }
        if (imap.username, imap.password) != (smtp.username, smtp.password):
            body |= {"imap_user_name": imap.username, "imap_password": imap.password.open()}
        if account.warmup is not None:
            body |= account.warmup.values
        if self.settings.client_id is not None:
            body["client_id"] = self.settings.client_id
        return body | account.settings.written | {"from_name": account.settings.name or account.name}

    def _by_tokens(self, account: NewAccount, credential: Tokens) -> dict[str, Any]:
        kinds = dict(zip((GMAIL, OUTLOOK), self.settings.oauth_types, strict=True))
        if account.kind not in kinds:
            raise ValueError(f"by OAuth an account is one of {', '.join(kinds)}")
        body: dict[str, Any] = {
            "from_name": account.settings.name or account.name,
            "from_email": _address(account.address),
            "type": kinds[account.kind],
            "token": {
                "access_token": credential.access_token.open(),
                "refresh_token": credential.refresh_token.open(),
                "expiry_date": credential.expires_at * 1000,
            },
            "warmup_enabled": account.warmup is not None and account.warmup.enabled,
        }
        return body if self.settings.client_id is None else {**body, "client_id": self.settings.client_id}

    def _request(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Request:
        return Request(
            method,
            self.settings.base_url + path,
            {"accept": "application/json", "user-agent": USER_AGENT},
            dict(query or {}),
            body,
            secret_query={"api_key": self.settings.api_key.open()},
        )

    def _read(
        self,
        verb: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        query: Mapping[str, str] | None = None,
        method: str = "GET",
        body: Any = None,
        weight_class: str = "paid",
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, query, body),
            parse,
            _Verdict(Judge(PLATFORM, verb, False, _speak, (_NO_SUCH_PATH, _GONE))),
            budgets=(GENERAL, HOUR),
            weight_class=weight_class,
            deadline=self.settings.deadline,
            secret_fields=SECRET_FIELDS,
        )

    def _of_one(self, verb: str, method: str, path: str, address: str, body: Any = None) -> Call[Accepted]:
        return self._write(verb, method, path, _accepted, body, items=(_address(address),), repeatable=True)

    def _write(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        body: Mapping[str, Any] | None,
        *,
        items: tuple[str, ...],
        proof: Proof = Proof.READ,
        repeatable: bool = False,
        deadline: float | None = None,
        budgets: tuple[str, ...] = (GENERAL, HOUR),
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, None, body),
            parse,
            _Verdict(Judge(PLATFORM, verb, True, _speak, (_NO_SUCH_PATH, *_REFUSALS.get(verb, (_GONE,))))),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=budgets,
            deadline=deadline or self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
            secret_fields=SECRET_FIELDS,
        )


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Judges an answer of theirs: a refusal may come under 200, whose account it is stands in a member."""

    judge: Judge

    def __call__(self, raw: Raw) -> PlatformError | None:
        body = _members(raw)
        if 200 <= raw.status < 300:
            return self._refused_under_200(raw) if flag(first(body, "ok", "success")) is False else None
        error = self.judge(raw)
        if isinstance(error, RateLimited) and error.advised_wait is None:
            return RateLimited(error.sentence, advised_wait=_wait(body, raw.headers), **error.origin)
        return self._whose(error, body)

    def _refused_under_200(self, raw: Raw) -> PlatformError:
        """Return what they mean by "not ok". Words that we do not know prove nothing, not even that nothing happened."""
        error = self.judge(replace(raw, status=400))
        assert error is not None
        origin = {**error.origin, "status": raw.status}
        if isinstance(error, Rejected) and error.code == "refused":
            if "api key" in error.sentence.lower():
                error = self.judge(replace(raw, status=401))
            else:
                lost = OutcomeUnknown if self.judge.is_write else Unavailable
                return lost(error.sentence, **origin)
        error = self._whose(error, _members(raw))
        assert error is not None
        error.status = raw.status
        return error

    def _whose(self, error: PlatformError | None, body: Object) -> PlatformError | None:
        """Tell our own duplicate from somebody else's: theirs names no account."""
        if isinstance(error, AlreadyExists) and body.get("errorCode") and body.get("emailAccountId") is None:
            return Rejected("elsewhere", error.sentence, **error.origin)
        return error


def _members(raw: Raw) -> Object:
    """Return the members of an answer; none where it is no object."""
    try:
        body = document(raw)
    except UnknownShape:
        return {}
    return body if isinstance(body, dict) else {}


def _wait(body: Object, headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that the body of a 429 advises, or else its header with the end of the window."""
    error = body.get("error")
    advised = measure(error.get("retry_after")) if isinstance(error, dict) else None
    reset = measure(headers.get("x-ratelimit-reset"))
    if advised is None and reset is not None and reset < _A_MOMENT:
        advised = reset
    return advised if advised is not None and advised >= 0 else None


def _speak(body: Any) -> str:
    """Return the sentence of an error document, which comes in six shapes, with its code behind it."""
    error, validation = body.get("error"), body.get("validation")
    code, parts = body.get("errorCode"), [body.get("message")]
    if isinstance(error, dict):
        code, details = code or error.get("code"), error.get("details")
        parts.append(error.get("message"))
        parts.append(details.get("field") if isinstance(details, dict) else None)
    else:
        parts.append(error)
    keys = validation.get("keys") if isinstance(validation, dict) else None
    parts += keys if isinstance(keys, list) else []
    said = "; ".join(dict.fromkeys(part for part in parts if isinstance(part, str) and part))
    return f"{said} ({code})".strip() if isinstance(code, str) and code else said


# --- reading ---------------------------------------------------------------------------------------------------------


def _done(raw: Raw) -> Object:
    """Return the object of an answer."""
    return as_object(document(raw), "reply")


def _accepted(raw: Raw) -> Accepted:
    body = _done(raw)
    if flag(first(body, "ok", "success")) is not True:
        raise UnknownShape("ok is missing")
    return Accepted()


def _account(row: Object) -> SendingAccount:
    failures = (row.get(name) for name in ("smtp_failure_error", "imap_failure_error"))
    return SendingAccount(
        id=_id(row, "id"),
        address=_address(required(row, "from_email")),
        name=text(row, "from_name"),
        kind=text(row, "type").upper(),
        smtp_works=flag(row.get("is_smtp_success")),
        imap_works=flag(row.get("is_imap_success")),
        failure="; ".join(tidy(said) for said in failures if isinstance(said, str) and said),
        per_day=count(first(row, "message_per_day", "max_email_per_day")),
        gap_minutes=count(first(row, "minTimeToWaitInMins", "time_to_wait_in_mins")),
        tracking_host=_host(text(row, "custom_tracking_domain", "custom_tracking_url")),
        client_id=count(row.get("client_id")),
        suspended=flag(row.get("is_suspended")),
        sent_today=count(row.get("daily_sent_count")),
        warmup=_warmup(row.get("warmup_details")),
        user_id=count(row.get("user_id")),
    )


def _warmup(value: Any) -> Warmup | None:
    """Return the warmup of a row, None before it was ever on: figures must not cost us the mailbox."""
    if not isinstance(value, dict) or not value:
        return None
    blocked = value.get("blocked_reason")
    if not blocked and flag(value.get("is_warmup_blocked")):
        blocked = "blocked"
    return Warmup(
        status=text(value, "status").upper(),
        per_day=count(first(value, "total_warmup_per_day", "warmup_max_count", "max_email_per_day")),
        reply_rate_percent=count(first(value, "reply_rate", "reply_rate_percentage")),
        reputation=measure(value.get("warmup_reputation")),
        blocked=tidy(str(blocked)) if blocked else "",
        sent=count(value.get("total_sent_count")),
        spam=count(value.get("total_spam_count")),
    )


def _stats(raw: Raw) -> WarmupStats:
    """Return the figures of any of their three documents."""
    body = _done(raw)
    sent = count(first(body, "sent_count", "total_sent"))
    if sent is None:
        raise UnknownShape("sent_count is missing")
    rows = first(body, "stats_by_date", "daily_stats")
    days = map(_day, as_rows(rows if rows is not None else [], "days"))
    return WarmupStats(
        sent=sent,
        spam=count(first(body, "spam_count", "total_spam")),
        inbox=count(first(body, "inbox_count", "total_inbox")),
        received=count(body.get("warmup_email_received_count")),
        reputation=measure(first(body, "reputation_score", "warmup_reputation")),
        days=tuple(sorted(days, key=lambda one: one.day)),
    )


def _day(row: Object) -> WarmupDay:
    sent = count(first(row, "sent_count", "sent"))
    if sent is None:
        raise UnknownShape("a day without figure")
    return WarmupDay(
        day=date.fromisoformat(required(row, "date")[:10]),
        sent=sent,
        replies=count(first(row, "reply_count", "replied")),
        spam=count(row.get("spam")),
        rescued=count(row.get("save_from_spam_count")),
    )


def _id(row: Object, *names: str) -> int:
    """Return an account's id. Raises UnknownShape for what is none."""
    value = first(row, *names)
    found = None if isinstance(value, float | bool) else number(value)
    if found is None or found < 1 or found != int(found):
        raise UnknownShape(f"{names[0]} is no id")
    return int(found)


def _whole(account_id: int) -> int:
    """Return an id fit for a path, where a text would name another operation. Raises ValueError."""
    if isinstance(account_id, bool) or not isinstance(account_id, int) or account_id < 1:
        raise ValueError("an account's id is a number of 1 or more")
    return account_id


def _address(address: str) -> str:
    return address.strip().lower()


def _host(value: str) -> str:
    """Return a bare host, also of what they show with `http://` before it."""
    return value.strip().lower().removeprefix("https://").removeprefix("http://").rstrip("/.")
