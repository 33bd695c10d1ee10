"""Warmforge: warms mailboxes and measures them. Sends no campaigns, buys nothing, edits no DNS.

Documentation: https://api.warmforge.ai/public/swagger/doc.json. Every verb returns a `Call`; nothing is sent here.

Their behaviour that shapes this file (the requests are the vendor's contract, most replies observed by callers, 2026):
- The key goes bare or as a bearer token: the vendor's own pages disagree, so `auth` is a setting (http/either.py).
- One mailbox is named by its address in the path, URL-encoded and in lower case; ids are for bulk calls only.
- Both paging parameters are demanded, and no list of mailboxes says how many there are.
- Nothing keeps workspace names unique and nothing deletes a workspace: creation is never repeated blindly.
- A mailbox without a slot is connected all the same, and its warmup stays off.
- A deletion is answered by 202 without a body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Final, TypeVar
from urllib.parse import quote

from .http.call import Call, Otherwise, Proof, Raw, Request
from .http.errors import NotConfigured
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
    count,
    document,
    first,
    flag,
    measure,
    required,
    text,
)
from .logins import Login

T = TypeVar("T")

PLATFORM: Final = "warmforge"
BASE_URL: Final = "https://api.warmforge.ai/public/v1"

GENERAL: Final = "warmforge.general"

AUTO, RAW, BEARER = "auto", "raw", "bearer"
LONGEST_NAME: Final = 50

SECRET_FIELDS: Final = frozenset({"smtpPassword", "imapPassword"})


@dataclass(frozen=True, slots=True)
class WarmforgeSettings:
    """How to reach Warmforge, and every choice its documentation leaves to us. Times in seconds.

    auth           how the key is sent: "raw", "bearer", or "auto" to find out which of the two is taken
    workspace_key  the key is an old one, bound to one workspace: paths leave the workspace out
    page_size      rows of a page; 100 is the most that is documented, for workspaces
    """

    api_key: Hidden
    base_url: str = BASE_URL
    auth: str = AUTO
    workspace_key: bool = False
    page_size: int = 100
    deadline: float = 30.0
    connect_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> WarmforgeSettings:
        """Read WARMFORGE_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        auth = options.text("WARMFORGE_AUTH", AUTO).lower()
        if auth not in (AUTO, RAW, BEARER):
            raise NotConfigured("WARMFORGE_AUTH is none of auto, raw, bearer", platform=PLATFORM)
        return cls(
            api_key=options.secret("WARMFORGE_API_KEY"),
            base_url=options.address("WARMFORGE_API_URL", BASE_URL),
            auth=auth,
            workspace_key=options.flag("WARMFORGE_WORKSPACE_KEY", False),
            page_size=options.whole("WARMFORGE_PAGE_SIZE", 100, least=1),
            late_execution=options.seconds("WARMFORGE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("WARMFORGE_LIST_LAG_SECONDS", 120.0),
        )


@dataclass(frozen=True, slots=True)
class WarmupSettings:
    """What we set on every mailbox. Absolute values, mails a day and percent.

    Raises ValueError outside the platform's ranges.
    """

    enabled: bool = True
    min_daily: int = 2
    max_daily: int = 20
    ramp_up: int = 2
    reply_rate_percent: int = 30

    def __post_init__(self) -> None:
        for name, least, most in (
            ("min_daily", 1, 20),
            ("max_daily", 1, 20),
            ("ramp_up", 0, 20),
            ("reply_rate_percent", 0, 50),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} lies outside {least} to {most}")


@dataclass(frozen=True, slots=True)
class Workspace:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkspacePage:
    workspaces: tuple[Workspace, ...]
    page: int
    last: bool


@dataclass(frozen=True, slots=True)
class CurrentSettings:
    """Settings of a mailbox as read back, named like WarmupSettings; None where they were not sent."""

    enabled: bool | None = None
    min_daily: int | None = None
    max_daily: int | None = None
    ramp_up: int | None = None
    reply_rate_percent: int | None = None

    def differing(self, wanted: WarmupSettings) -> tuple[str, ...]:
        """Return the names of the settings that read back as something else. What was not sent does not differ."""
        return tuple(
            one.name
            for one in fields(self)
            if getattr(self, one.name) is not None and getattr(self, one.name) != getattr(wanted, one.name)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What they see of a DNS record. `status` is valid, invalid, missing, unknown, or a word nobody has documented."""

    status: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Their look at a mailbox's domain. `records` by "spf", "dkim", "dmarc", "mx"; any of them may be missing.

    heat_score  0 to 100, the best; listed_on counts the blacklists that matter
    """

    heat_score: float | None = None
    records: Mapping[str, Record] = field(default_factory=dict)
    listed_on: int | None = None
    checked_at: str = ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox at Warmforge. `status` is lower case and may be a word nobody has documented.

    `health` is None when they sent no report, dates are None when they sent none that can be read.
    """

    id: str
    address: str
    status: str
    warm: bool | None = None
    first_name: str = ""
    last_name: str = ""
    settings: CurrentSettings = CurrentSettings()
    started_on: date | None = None
    ends_on: date | None = None
    days_completed: int | None = None
    days_left: int | None = None
    health: HealthReport | None = None

    @property
    def connected(self) -> bool:
        return self.status == "active"

    @property
    def warming(self) -> bool:
        """Switched on; that it also sends takes `connected`."""
        return bool(self.settings.enabled)


@dataclass(frozen=True, slots=True)
class MailboxPage:
    mailboxes: tuple[Mailbox, ...]
    page: int
    last: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a day's warmup mails arrived at one provider, in mails."""

    primary: int
    spam: int
    replies: int = 0


@dataclass(frozen=True, slots=True)
class WarmupDay:
    """One day of warmup. Counters in mails; `providers` by the platform's name, "gmail" and "outlook" among them."""

    day: date
    sent: int
    replies: int
    spam: int
    providers: Mapping[str, Placement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to connect by password. `reference` is ours, kept by them as `externalReference`."""

    address: str
    first_name: str
    last_name: str
    smtp: Login
    imap: Login
    reference: str = ""
    warmup: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen by reading the mailbox."""


_ELSEWHERE: Final = Refusal("elsewhere", r"(another|other|different) workspace")
_SLOTS: Final = Refusal("no_slot", r"\bslots?\b|subscription|\bplan\b|upgrade|payment", frozenset({400, 402, 403}))

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_workspace": (
        Refusal(EXISTS, r"already|exists|duplicate|taken"),
        Refusal("workspace_limit", r"limit|maximum|upgrade|\bplan\b"),
        Refusal("bad_name", r"name"),
    ),
    "connect_smtp": (
        _ELSEWHERE,
        Refusal(EXISTS, r"already|exists|duplicate|connected"),
        _SLOTS,
        Refusal("wrong_login", r"log ?in|password|credential|authenticat|\b535\b"),
    ),
    "update_mailbox": (
        _SLOTS,
        Refusal("bad_value", r"must|between|range|at most|at least|invalid|less|greater", frozenset({400, 422})),
    ),
    "get_mailbox": (Refusal(MISSING, r"not found|no such|unknown", frozenset({404})),),
}


class WarmforgeClient:
    """Verbs of https://api.warmforge.ai/public/swagger/doc.json, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: WarmforgeSettings) -> None:
        self.settings = settings
        # What the wire shows of a key sent as a bearer token is tainted as a whole.
        self._bearer = taint(f"Bearer {settings.api_key.open()}", pinned=True)

    def list_workspaces(self, page: int = 1) -> Call[WorkspacePage]:
        """One page of the account's workspaces. Health check and read-back of `create_workspace` in one.

        Docs: swagger, "GET /workspaces". Returns a WorkspacePage; read on until `last`. Raises BadCredentials.
        """

        def parse(raw: Raw) -> WorkspacePage:
            body = as_object(document(raw), "reply")
            rows = as_rows(body.get("workspaces"), "workspaces")
            found = tuple(Workspace(required(row, "id"), text(row, "name")) for row in rows)
            pages = count(body.get("totalPages"))
            return WorkspacePage(
                found, page, not rows or (page >= pages if pages is not None else self._ends(body, rows))
            )

        return self._read("list_workspaces", "/workspaces", parse, self._paging(page))

    def create_workspace(self, name: str) -> Call[Workspace]:
        """Create a workspace, which nothing deletes. `name` must end in our reference: nothing keeps names unique.

        Read back by `list_workspaces`. Docs: swagger, "POST /workspaces". Returns the Workspace. Raises AlreadyExists,
        or Rejected with workspace_limit, bad_name; ValueError for a name longer than 50.
        """
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"a workspace's name has 1 to {LONGEST_NAME} characters, not {len(name)}")

        def parse(raw: Raw) -> Workspace:
            row = as_object(document(raw), "reply")
            return Workspace(required(row, "id"), text(row, "name") or name)

        return self._write(
            "create_workspace", "POST", "/workspaces", parse, {"name": name}, items=(name,), proof=Proof.ANSWER
        )

    def list_mailboxes(self, workspace_id: str, page: int = 1) -> Call[MailboxPage]:
        """One page of a workspace's mailboxes, with their settings and health reports.

        Docs: swagger, "GET /workspaces/{workspaceID}/mailboxes". Returns a MailboxPage; read on until `last`.
        """

        def parse(raw: Raw) -> MailboxPage:
            body = as_object(document(raw), "reply")
            rows = as_rows(body.get("mailboxes"), "mailboxes")
            # How many there are is not said: the end is a page that is not full.
            return MailboxPage(tuple(map(_mailbox, rows)), page, not rows or self._ends(body, rows))

        return self._read("list_mailboxes", self._within(workspace_id, "/mailboxes"), parse, self._paging(page))

    def get_mailbox(self, workspace_id: str, address: str) -> Call[Mailbox]:
        """One mailbox by address: read-back of `connect_smtp` and of an export from InfraForge.

        Docs: swagger, "GET /workspaces/{workspaceID}/mailboxes/{address}". Returns the Mailbox. Raises NotFound when
        it is not in this workspace.
        """
        address = address.strip().lower()

        def parse(raw: Raw) -> Mailbox:
            found = _mailbox(as_object(document(raw), "reply"))
            if found.address != address:
                raise UnknownShape("another mailbox")
            return found

        return self._read("get_mailbox", self._mailbox_path(workspace_id, address), parse, {})

    def connect_smtp(self, workspace_id: str, mailbox: NewMailbox) -> Call[Mailbox]:
        """Connect a mailbox by its passwords: for addresses proven absent, and never while an export may still land.

        Whether they test the logins before they answer is not documented: read it back until it is "active" or
        "access_lost". Docs: swagger, "POST /workspaces/{workspaceID}/mailboxes/connect-smtp". Returns the Mailbox.
        Raises AlreadyExists (read it back), or Rejected with elsewhere (another workspace), no_slot, wrong_login.
        """
        address = mailbox.address.strip().lower()

        def parse(raw: Raw) -> Mailbox:
            made = _mailbox(as_object(document(raw), "reply"))
            if made.address != address:
                raise UnknownShape("another mailbox")
            return made

        body: dict[str, Any] = {
            "address": address,
            "firstName": mailbox.first_name,
            "lastName": mailbox.last_name,
            **_door("smtp", mailbox.smtp),
            **_door("imap", mailbox.imap),
            "warmupEnabled": mailbox.warmup,
        }
        if mailbox.reference:
            body["externalReference"] = mailbox.reference
        return self._write(
            "connect_smtp",
            "POST",
            self._within(workspace_id, "/mailboxes/connect-smtp"),
            parse,
            body,
            items=(address,),
            proof=Proof.ANSWER,
            deadline=self.settings.connect_deadline,
        )

    def update_mailbox(self, workspace_id: str, address: str, settings: WarmupSettings) -> Call[Accepted]:
        """Set a mailbox's warmup: on or off, and its ramp. Absolute values.

        Without a slot warmup stays off and nothing says so: reading the mailbox is the proof. Docs: swagger,
        "PATCH /workspaces/{workspaceID}/mailboxes/{address}". Returns Accepted. Raises NotFound, or Rejected with
        no_slot, bad_value.
        """
        body = {
            "warmupEnabled": settings.enabled,
            "minEmailsPerDay": settings.min_daily,
            "maxEmailsPerDay": settings.max_daily,
            "emailRampUp": settings.ramp_up,
            "replyRatePercent": settings.reply_rate_percent,
        }
        return self._write(
            "update_mailbox",
            "PATCH",
            self._mailbox_path(workspace_id, address),
            _updated,
            body,
            items=(address.strip().lower(),),
            repeatable=True,
        )

    def warmup_stats(self, workspace_id: str, address: str, since: date, until: date) -> Call[tuple[WarmupDay, ...]]:
        """What warmup did on each day from `since` to `until`, both included. Days without warmup have no row.

        Docs: swagger, "GET /workspaces/{workspaceID}/mailboxes/{address}/warmup/stats". Returns WarmupDays, oldest
        first. Raises NotFound.
        """

        def parse(raw: Raw) -> tuple[WarmupDay, ...]:
            rows = as_rows(as_object(document(raw), "reply").get("stats"), "stats")
            return tuple(sorted(map(_day, rows), key=lambda one: one.day))

        path = self._mailbox_path(workspace_id, address) + "/warmup/stats"
        return self._read("warmup_stats", path, parse, {"from": since.isoformat(), "to": until.isoformat()})

    def delete_mailbox(self, workspace_id: str, address: str) -> Call[Accepted]:
        """Disconnect a mailbox; its warmup history is gone. By address, so sending it again does no harm.

        Docs: swagger, "DELETE /workspaces/{workspaceID}/mailboxes/{address}". Returns Accepted; `get_mailbox` raising
        NotFound is the proof. Raises NotFound when it is gone already.
        """
        return self._write(
            "delete_mailbox",
            "DELETE",
            self._mailbox_path(workspace_id, address),
            _accepted,
            None,
            items=(address.strip().lower(),),
            repeatable=True,
        )

    # How a call is put together

    def _within(self, workspace_id: str, path: str) -> str:
        return path if self.settings.workspace_key else f"/workspaces/{quote(workspace_id, safe='')}{path}"

    def _mailbox_path(self, workspace_id: str, address: str) -> str:
        return self._within(workspace_id, f"/mailboxes/{quote(address.strip().lower(), safe='')}")

    def _paging(self, page: int) -> dict[str, str]:
        return {"page": str(page), "page_size": str(self.settings.page_size)}

    def _ends(self, body: Object, rows: list[Object]) -> bool:
        """Tell whether a page is not full. They may give fewer rows than asked for, and then say how many."""
        return len(rows) < min(self.settings.page_size, count(body.get("pageSize")) or self.settings.page_size)

    def _request(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Request:
        key, bearer = {"authorization": self.settings.api_key.open()}, {"authorization": self._bearer}
        common, url = {"accept": "application/json"}, self.settings.base_url + path
        otherwise = None
        if self.settings.auth == AUTO:
            otherwise = Otherwise(bearer, f"{self.settings.base_url}/workspaces", self._paging(1))
        chosen = bearer if self.settings.auth == BEARER else key
        return Request(method, url, {**common, **chosen}, dict(query or {}), body, otherwise=otherwise)

    def _read(self, verb: str, path: str, parse: Callable[[Raw], T], query: Mapping[str, str]) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request("GET", path, query),
            parse,
            Judge(PLATFORM, verb, False, _speak, _REFUSALS.get(verb, ())),
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
        body: Mapping[str, Any] | None,
        *,
        items: tuple[str, ...],
        proof: Proof = Proof.READ,
        repeatable: bool = False,
        deadline: float | None = None,
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, body=body),
            parse,
            Judge(PLATFORM, verb, True, _speak, _REFUSALS.get(verb, ())),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=(GENERAL,),
            deadline=deadline or self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
            secret_fields=SECRET_FIELDS,
        )


def _speak(body: Any) -> str:
    """Return the sentence of an error document: a message, and beside it what is wrong with which member."""
    data = body.get("data")
    more = [data] if isinstance(data, str) else data if isinstance(data, list) else []
    return "; ".join(part for part in (body.get("message"), *more) if isinstance(part, str) and part)


def _accepted(raw: Raw) -> Accepted:
    """Take an answer without body, or an object; a page of HTML comes from somebody else."""
    if raw.body.strip():
        as_object(document(raw), "reply")
    return Accepted()


def _updated(raw: Raw) -> Accepted:
    # The values are read back; here it counts that the answer is about a mailbox.
    required(as_object(document(raw), "reply"), "address", "id")
    return Accepted()


def _door(name: str, login: Login) -> dict[str, Any]:
    return {
        f"{name}Host": login.host,
        f"{name}Port": login.port,
        f"{name}Username": login.username,
        f"{name}Password": login.password.open(),
    }


def _mailbox(row: Object) -> Mailbox:
    return Mailbox(
        id=required(row, "id"),
        address=required(row, "address").lower(),
        status=text(row, "status").lower(),
        warm=flag(row.get("warm")),
        first_name=text(row, "firstName"),
        last_name=text(row, "lastName"),
        settings=CurrentSettings(
            enabled=flag(row.get("warmupEnabled")),
            min_daily=count(row.get("minEmailsPerDay")),
            max_daily=count(row.get("maxEmailsPerDay")),
            ramp_up=count(row.get("emailRampUp")),
            reply_rate_percent=count(row.get("replyRatePercent")),
        ),
        started_on=_date(row.get("warmupStartDate")),
        ends_on=_date(row.get("warmupEndDate")),
        days_completed=count(row.get("warmupDaysCompleted")),
        days_left=count(row.get("warmupDaysLeft")),
        health=_health(row.get("healthReport")),
    )


def _health(value: Any) -> HealthReport | None:
    """Return the report, None when there is none: what is missing in it must not cost us the mailbox."""
    if not isinstance(value, dict) or not value:
        return None
    records = {}
    for name in ("spf", "dkim", "dmarc", "mx"):
        seen = value.get(name)
        if isinstance(seen, dict):
            records[name] = Record(_word(seen.get("status")).lower() or "unknown", _word(seen.get("value")))
    lists = value.get("blacklists")
    return HealthReport(
        heat_score=measure(value.get("heatScore")),
        records=records,
        listed_on=_listed(lists) if isinstance(lists, dict) else None,
        checked_at=_word(value.get("lastCheckedAt")),
    )


def _listed(lists: Object) -> int | None:
    """Return how many blacklists that matter name the mailbox; their own count where the lists are not told apart."""
    checks = lists.get("checks")
    if not isinstance(checks, list):
        return count(lists.get("detectedCount"))
    hits = [check for check in checks if isinstance(check, dict) and flag(check.get("detected"))]
    return sum(1 for check in hits if flag(check.get("significant")) is not False)


def _day(row: Object) -> WarmupDay:
    day = _date(required(row, "date"))
    sent = count(row.get("sentCount"))
    if day is None or sent is None:
        raise UnknownShape("date or sentCount is missing")
    by_provider = first(row, "providerStats")
    return WarmupDay(
        day=day,
        sent=sent,
        replies=count(row.get("replyCount")) or 0,
        spam=count(row.get("spamCount")) or 0,
        providers={
            str(name).lower(): Placement(
                primary=count(seen.get("primaryCount")) or 0,
                spam=count(seen.get("spamCount")) or 0,
                replies=count(seen.get("replyCount")) or 0,
            )
            for name, seen in (by_provider.items() if isinstance(by_provider, dict) else ())
            if isinstance(seen, dict)
        },
    )


def _date(value: Any) -> date | None:
    """Return the day of a date or a moment; None for what cannot be read, because no format is promised."""
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
