"""Salesforge: holds the student's sending mailboxes, and by doing so makes warmup free of charge.

Documentation: https://developer.salesforge.ai and https://api.salesforge.ai/public/v2/swagger/doc.json. Every verb
returns a `Call`; nothing is sent here.

Their behaviour that shapes this file (the requests are the vendor's contract, most replies observed by callers, 2026):
- The key goes bare; a "Bearer " before it makes every request fail.
- Lists hold ten rows unless `limit` says otherwise; filters are repeated names in brackets, unknown names are refused.
- Nothing keeps workspace names unique and nothing deletes a workspace: creation is never repeated blindly.
- Connecting a mailbox tests both logins first. 409 means that this address is being connected right now.
- A deleted mailbox may go on being listed, as "deleted".
- Warmup is not theirs: it lives in Warmforge alone. Neither are sequences and contacts ours: no verb touches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from .http.call import Call, Proof, Raw, Request
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
    count,
    document,
    required,
    text,
)
from .logins import Login

T = TypeVar("T")

PLATFORM: Final = "salesforge"
BASE_URL: Final = "https://api.salesforge.ai/public/v2"

GENERAL: Final = "salesforge.general"

LONGEST_NAME: Final = 100
LEAST_DAILY, MOST_DAILY = 1, 100
GONE: Final = "deleted"

SECRET_FIELDS: Final = frozenset({"password"})


@dataclass(frozen=True, slots=True)
class SalesforgeSettings:
    """How to reach Salesforge, and every choice its documentation leaves to us. Times in seconds.

    page_size         rows of a page; theirs is 10 when nothing is said
    tracking_domain   sent with each connected mailbox; its CNAME, whose target is not published, must stand before
    connect_deadline  connecting tests two logins before it answers
    """

    api_key: Hidden
    base_url: str = BASE_URL
    page_size: int = 100
    tracking_domain: str = ""
    deadline: float = 30.0
    connect_deadline: float = 60.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> SalesforgeSettings:
        """Read SALESFORGE_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        return cls(
            api_key=options.secret("SALESFORGE_API_KEY"),
            base_url=options.address("SALESFORGE_API_URL", BASE_URL),
            page_size=options.whole("SALESFORGE_PAGE_SIZE", 100, least=1),
            tracking_domain=options.text("SALESFORGE_TRACKING_DOMAIN"),
            late_execution=options.seconds("SALESFORGE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("SALESFORGE_LIST_LAG_SECONDS", 120.0),
        )


@dataclass(frozen=True, slots=True)
class Me:
    """Whose key it is."""

    account_id: str
    key_name: str


@dataclass(frozen=True, slots=True)
class Workspace:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkspacePage:
    workspaces: tuple[Workspace, ...]
    offset: int
    last: bool

    @property
    def next_offset(self) -> int:
        """Where the next page begins: `limit` may be clipped there, so it follows what came."""
        return self.offset + len(self.workspaces)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox at Salesforge. `status` is lower case and may be a word nobody has documented.

    `reason` is theirs, for a mailbox that lost access.
    """

    id: str
    address: str
    status: str
    first_name: str = ""
    last_name: str = ""
    daily_limit: int | None = None
    reason: str = ""

    @property
    def connected(self) -> bool:
        return self.status == "active"

    @property
    def pending(self) -> bool:
        """Being connected: it turns into connected or lost within minutes."""
        return self.status == "pending"

    @property
    def lost(self) -> bool:
        """They cannot log in any more: after a change of password, until `update_connection_settings`."""
        return self.status == "access_lost"

    @property
    def gone(self) -> bool:
        """Deleted, and listed all the same: counts as absent."""
        return self.status == GONE


@dataclass(frozen=True, slots=True)
class MailboxPage:
    mailboxes: tuple[Mailbox, ...]
    offset: int
    total: int
    shown: int
    last: bool

    @property
    def next_offset(self) -> int:
        """Where the next page begins: `limit` may be clipped there, so it follows what came."""
        return self.offset + self.shown


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to connect by its passwords. `daily_limit` is in mails; None leaves it to them (30)."""

    address: str
    first_name: str
    last_name: str
    smtp: Login
    imap: Login
    daily_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen by reading the mailbox."""


_ELSEWHERE: Final = Refusal("elsewhere", r"(another|other|different) workspace")
_CREDITS: Final = Refusal("no_credits", r"credit|subscription|\bplan\b|upgrade|payment", frozenset({400, 402}))
_LIMIT: Final = Refusal("bad_limit", r"daily.{0,9}limit|limit.{0,40}\b\d+|\bcap\b", frozenset({400, 422}))
_LOGIN: Final = Refusal(
    "wrong_login", r"\b(smtp|imap)\b|log ?in|password|credential|authenticat|\b535\b", frozenset({400, 422})
)

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_workspace": (
        Refusal(EXISTS, r"already|exists|duplicate|taken"),
        _CREDITS,
        Refusal("workspace_limit", r"limit|maximum"),
        Refusal("bad_name", r"name"),
    ),
    "connect_mailbox": (
        _ELSEWHERE,
        Refusal(EXISTS, r"already|exists|duplicate|being connected"),
        _LIMIT,
        _CREDITS,
        Refusal("bad_tracking_domain", r"tracking", frozenset({400, 422})),
        _LOGIN,
    ),
    "update_mailbox": (_LIMIT,),
    "update_connection_settings": (_LOGIN,),
}


class SalesforgeClient:
    """Verbs of https://developer.salesforge.ai, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: SalesforgeSettings) -> None:
        self.settings = settings

    def me(self) -> Call[Me]:
        """Check the key. Docs: swagger, "GET /me". Returns Me. Raises BadCredentials."""

        def parse(raw: Raw) -> Me:
            body = as_object(document(raw), "reply")
            return Me(required(body, "accountId"), text(body, "apiKeyName"))

        return self._read("me", "/me", parse)

    def list_workspaces(self, offset: int = 0) -> Call[WorkspacePage]:
        """One page of the account's workspaces: the read-back of `create_workspace`.

        Docs: swagger, "GET /workspaces". Returns a WorkspacePage; read on from `next_offset` until `last`.
        """

        def parse(raw: Raw) -> WorkspacePage:
            rows, total = _rows(raw)
            found = tuple(Workspace(required(row, "id"), text(row, "name")) for row in rows)
            return WorkspacePage(found, offset, not rows or offset + len(rows) >= total)

        return self._read("list_workspaces", "/workspaces", parse, self._paging(offset))

    def create_workspace(self, name: str) -> Call[Workspace]:
        """Create a workspace, which nothing deletes. `name` must end in our reference: nothing keeps names unique.

        Read back by `list_workspaces`. Docs: swagger, "POST /workspaces". Returns the Workspace. Raises AlreadyExists,
        or Rejected with no_credits, workspace_limit, bad_name; ValueError for a name longer than 100.
        """
        if not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(f"a workspace's name has 1 to {LONGEST_NAME} characters, not {len(name)}")

        def parse(raw: Raw) -> Workspace:
            row = as_object(document(raw), "reply")
            return Workspace(required(row, "id"), text(row, "name") or name)

        return self._write(
            "create_workspace", "POST", "/workspaces", parse, {"name": name}, items=(name,), proof=Proof.ANSWER
        )

    def list_mailboxes(self, workspace_id: str, addresses: Sequence[str] = (), offset: int = 0) -> Call[MailboxPage]:
        """One page of a workspace's mailboxes, those of `addresses` or all of them, deleted ones left out.

        Without a filter for the state: it is the read-back of `connect_mailbox` and of an export from InfraForge.
        Docs: swagger, "GET /workspaces/{workspaceID}/mailboxes". Returns a MailboxPage; read on from `next_offset`
        until `last`.
        """

        def parse(raw: Raw) -> MailboxPage:
            rows, total = _rows(raw)
            found = tuple(one for one in map(_mailbox, rows) if not one.gone)
            return MailboxPage(found, offset, total, len(rows), not rows or offset + len(rows) >= total)

        query: dict[str, str | tuple[str, ...]] = {**self._paging(offset)}
        if addresses:
            query["addresses[]"] = tuple(address.strip().lower() for address in addresses)
        return self._read("list_mailboxes", _within(workspace_id), parse, query)

    def connect_mailbox(self, workspace_id: str, mailbox: NewMailbox) -> Call[Mailbox]:
        """Connect a mailbox by its passwords: for addresses proven absent, and never while an export may still land.

        Both logins are tested first; a new mailbox is "pending" and turns "active" or "access_lost" by itself.
        Docs: swagger, "POST /workspaces/{workspaceID}/mailboxes". Returns the Mailbox. Raises AlreadyExists (being
        connected right now, or there already: read it back by `list_mailboxes`), or Rejected with elsewhere (another
        workspace), wrong_login, bad_limit, no_credits, bad_tracking_domain; ValueError for a limit outside 1 to 100.
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
            "smtp": _door(mailbox.smtp),
            "imap": _door(mailbox.imap),
        }
        if mailbox.daily_limit is not None:
            body["dailyEmailLimit"] = _daily(mailbox.daily_limit)
        if self.settings.tracking_domain:
            body["trackingDomain"] = self.settings.tracking_domain
        return self._write(
            "connect_mailbox",
            "POST",
            _within(workspace_id),
            parse,
            body,
            items=(address,),
            proof=Proof.ANSWER,
            deadline=self.settings.connect_deadline,
        )

    def get_mailbox(self, workspace_id: str, mailbox_id: str) -> Call[Mailbox]:
        """One mailbox by id, deleted ones included.

        Docs: swagger, "GET /workspaces/{workspaceID}/mailboxes/{mailboxID}". Returns the Mailbox. Raises NotFound.
        """

        def parse(raw: Raw) -> Mailbox:
            found = _mailbox(as_object(document(raw), "reply"))
            if found.id != mailbox_id:
                raise UnknownShape("another mailbox")
            return found

        return self._read("get_mailbox", _within(workspace_id, mailbox_id), parse)

    def update_mailbox(self, workspace_id: str, mailbox_id: str, daily_limit: int) -> Call[Accepted]:
        """Set how many mails a mailbox may send a day, 1 to 100. An absolute value.

        Docs: swagger, "PATCH /workspaces/{workspaceID}/mailboxes/{mailboxID}". Returns Accepted; reading it back is the
        proof. Raises NotFound, or Rejected with bad_limit; ValueError for a limit outside 1 to 100.
        """
        return self._write(
            "update_mailbox",
            "PATCH",
            _within(workspace_id, mailbox_id),
            _updated,
            {"dailyEmailLimit": _daily(daily_limit)},
            items=(mailbox_id,),
            repeatable=True,
        )

    def update_connection_settings(
        self, workspace_id: str, mailbox_id: str, smtp: Login, imap: Login
    ) -> Call[Accepted]:
        """Give a mailbox its new passwords, after they were changed at InfraForge. Tested before they are kept.

        Docs: swagger, "PATCH /workspaces/{workspaceID}/mailboxes/{mailboxID}/connection-settings". Returns Accepted;
        no password is ever shown, the mailbox's status is the proof. Raises NotFound, or Rejected with wrong_login.
        """
        return self._write(
            "update_connection_settings",
            "PATCH",
            _within(workspace_id, mailbox_id) + "/connection-settings",
            _accepted,
            {"smtp": _door(smtp), "imap": _door(imap)},
            items=(mailbox_id,),
            repeatable=True,
            deadline=self.settings.connect_deadline,
        )

    def delete_mailbox(self, workspace_id: str, mailbox_id: str) -> Call[Accepted]:
        """Take a mailbox out of Salesforge; at its provider it stays. By id, so sending it again does no harm.

        Docs: swagger, "DELETE /workspaces/{workspaceID}/mailboxes/{mailboxID}". Returns Accepted; the proof is a
        `get_mailbox` that raises NotFound or is `gone`. Raises NotFound when it is gone already.
        """
        return self._write(
            "delete_mailbox",
            "DELETE",
            _within(workspace_id, mailbox_id),
            _accepted,
            None,
            items=(mailbox_id,),
            repeatable=True,
        )

    # How a call is put together

    def _paging(self, offset: int) -> dict[str, str]:
        return {"limit": str(self.settings.page_size), "offset": str(offset)}

    def _request(
        self, method: str, path: str, query: Mapping[str, str | tuple[str, ...]] | None = None, body: Any = None
    ) -> Request:
        headers = {"authorization": self.settings.api_key.open(), "accept": "application/json"}
        return Request(method, self.settings.base_url + path, headers, dict(query or {}), body)

    def _read(
        self,
        verb: str,
        path: str,
        parse: Callable[[Raw], T],
        query: Mapping[str, str | tuple[str, ...]] | None = None,
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request("GET", path, query),
            parse,
            Judge(PLATFORM, verb, False, _speak),
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


def _within(workspace_id: str, mailbox_id: str = "") -> str:
    path = f"/workspaces/{quote(workspace_id, safe='')}/mailboxes"
    return f"{path}/{quote(mailbox_id, safe='')}" if mailbox_id else path


def _daily(limit: int) -> int:
    if not LEAST_DAILY <= limit <= MOST_DAILY:
        raise ValueError(f"the daily limit lies outside {LEAST_DAILY} to {MOST_DAILY}")
    return limit


def _door(login: Login) -> dict[str, Any]:
    return {
        "host": login.host,
        "port": login.port,
        "username": login.username,
        "password": login.password.open(),
    }


def _speak(body: Any) -> str:
    """Return the sentence of an error document: a message, and beside it what is wrong with which member."""
    data = body.get("data")
    more = [data] if isinstance(data, str) else data if isinstance(data, list) else []
    return "; ".join(part for part in (body.get("message"), *more) if isinstance(part, str) and part)


def _rows(raw: Raw) -> tuple[list[Object], int]:
    """Return the rows of a list and how many there are on all pages."""
    body = as_object(document(raw), "reply")
    total = count(body.get("total"))
    if total is None:
        raise UnknownShape("total is missing")
    return as_rows(body.get("data"), "data"), total


def _accepted(raw: Raw) -> Accepted:
    """Take an answer without body, or an object; a page of HTML comes from somebody else."""
    if raw.body.strip():
        as_object(document(raw), "reply")
    return Accepted()


def _updated(raw: Raw) -> Accepted:
    # The value is read back; here it counts that the answer is about a mailbox.
    required(as_object(document(raw), "reply"), "id", "address")
    return Accepted()


def _mailbox(row: Object) -> Mailbox:
    return Mailbox(
        id=required(row, "id"),
        address=required(row, "address").lower(),
        status=text(row, "status").lower(),
        first_name=text(row, "firstName"),
        last_name=text(row, "lastName"),
        daily_limit=count(row.get("dailyEmailLimit")),
        reason=text(row, "disconnectReason"),
    )
