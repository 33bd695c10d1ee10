"""HeyReach: LinkedIn outreach. One lead list per student in the operator's organisation.

Documentation: HeyReach's public Postman documenter. Every verb returns a `Call`; nothing is sent here.

Their behaviour that shapes this file:
- Nothing keeps list names unique and nothing deletes a list: creation is never repeated blindly.
- Reads are POSTs with `offset` and `limit` in the body; the end is `offset >= totalCount` or an empty page.
- The request says `type`, the reply `listType`; a fresh list has the literal status "UNKNOWN".
- Leads themselves are other people's personal data: there is no verb that fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

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
    first,
    flag,
    required,
    text,
)

T = TypeVar("T")

PLATFORM: Final = "heyreach"
BASE_URL: Final = "https://api.heyreach.io/api/public"

GENERAL: Final = "heyreach.general"

LISTS_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class HeyreachSettings:
    """How to reach HeyReach, and every choice its documentation leaves to us. Times in seconds.

    list_type        USER_LIST or COMPANY_LIST
    list_by_post     read one list by POST with a body, as one note says, instead of GET with a query
    """

    api_key: Hidden
    base_url: str = BASE_URL
    list_type: str = "USER_LIST"
    list_by_post: bool = False
    deadline: float = 30.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> HeyreachSettings:
        """Read HEYREACH_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        return cls(
            api_key=options.secret("HEYREACH_API_KEY"),
            base_url=options.address("HEYREACH_API_URL", BASE_URL),
            list_type=options.text("HEYREACH_LIST_TYPE", "USER_LIST").upper(),
            list_by_post=options.flag("HEYREACH_LIST_BY_POST", False),
            late_execution=options.seconds("HEYREACH_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("HEYREACH_LIST_LAG_SECONDS", 120.0),
        )


@dataclass(frozen=True, slots=True)
class LeadList:
    """A lead list. `leads` is None where no counter was sent; `id` needs a 64-bit column."""

    id: int
    name: str
    list_type: str = ""
    leads: int | None = None
    created_at: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ListPage:
    lists: tuple[LeadList, ...]
    total: int
    offset: int
    last: bool

    @property
    def next_offset(self) -> int:
        """Where the next page begins: `limit` may be clipped there, so it follows what came."""
        return self.offset + len(self.lists)


@dataclass(frozen=True, slots=True)
class KeyIsValid:
    """The key works."""


_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_list": (
        Refusal(EXISTS, r"already|exists|duplicate|taken|unique"),
        Refusal("list_limit", r"(limit|maximum).*lists?\b|lists?\b.*(limit|maximum)|upgrade"),
        Refusal("bad_name", r"name"),
    ),
    "find_lists": (Refusal("page_too_large", r"limit"),),
}


class HeyreachClient:
    """Verbs of HeyReach's public Postman documenter, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular.
    """

    def __init__(self, settings: HeyreachSettings) -> None:
        self.settings = settings

    def check_key(self) -> Call[KeyIsValid]:
        """Check the key. Docs: Postman documenter, "CheckApiKey". Any 200 says yes. Raises BadCredentials."""

        def parse(raw: Raw) -> KeyIsValid:
            # The body is not relied upon, but a page of HTML comes from somebody else.
            if raw.body.lstrip().startswith(b"<"):
                raise UnknownShape("a page instead of an answer")
            return KeyIsValid()

        return self._read("check_key", "GET", "/auth/CheckApiKey", parse)

    def create_list(self, name: str) -> Call[LeadList]:
        """Create an empty lead list. `name` must end in our reference: nothing makes it unique, nothing deletes it.

        Docs: Postman documenter, "CreateEmptyList". Returns the LeadList. Raises AlreadyExists, or Rejected with
        list_limit, bad_name.
        """

        def parse(raw: Raw) -> LeadList:
            return _list(as_object(document(raw), "reply"))

        return Call(
            PLATFORM,
            "create_list",
            self._request("POST", "/list/CreateEmptyList", body={"name": name, "type": self.settings.list_type}),
            parse,
            Judge(PLATFORM, "create_list", True, _speak, _REFUSALS["create_list"]),
            items=(name,),
            proof=Proof.ANSWER,
            budgets=(GENERAL,),
            deadline=self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
        )

    def find_lists(self, keyword: str = "", offset: int = 0) -> Call[ListPage]:
        """One page of lists whose name matches a keyword; how it matches is not documented, so compare names exactly.

        An empty keyword lists all. Docs: Postman documenter, "GetAll" (lists). Returns a ListPage; read on from
        `next_offset` until `last`.
        """

        def parse(raw: Raw) -> ListPage:
            body = as_object(document(raw), "reply")
            rows = as_rows(body.get("items"), "items")
            total = count(body.get("totalCount"))
            if total is None:
                raise UnknownShape("totalCount is missing")
            return ListPage(tuple(map(_list, rows)), total, offset, not rows or offset + len(rows) >= total)

        body: dict[str, Any] = {"offset": offset, "limit": LISTS_PER_PAGE, "listType": self.settings.list_type}
        if keyword:
            body["keyword"] = keyword
        return self._read("find_lists", "POST", "/list/GetAll", parse, body=body)

    def get_list(self, list_id: int) -> Call[LeadList]:
        """One list by id with its number of leads. Docs: Postman documenter, "GetById" (lists). Raises NotFound."""

        def parse(raw: Raw) -> LeadList:
            found = _list(as_object(document(raw), "reply"))
            if found.id != list_id:
                raise UnknownShape("another list")
            return found

        if self.settings.list_by_post:
            return self._read("get_list", "POST", "/list/GetById", parse, body={"listId": list_id})
        return self._read("get_list", "GET", "/list/GetById", parse, query={"listId": str(list_id)})

    def _request(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Request:
        headers = {"X-API-KEY": self.settings.api_key.open(), "accept": "application/json"}
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
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, query, body),
            parse,
            Judge(PLATFORM, verb, False, _speak, _REFUSALS.get(verb, ())),
            budgets=(GENERAL,),
            deadline=self.settings.deadline,
        )


def _speak(body: Any) -> str:
    """Return the sentence of an error document: ASP.NET's `errors` by field, or `errorMessage`."""
    errors = body.get("errors")
    if isinstance(errors, dict):
        parts = [
            f"{field}: {sentence}"
            for field, sentences in errors.items()
            for sentence in (sentences if isinstance(sentences, list) else [sentences])
        ]
        return "; ".join(parts)
    for name in ("errorMessage", "message", "title", "detail"):
        if isinstance(body.get(name), str):
            return str(body[name])
    return ""


def _list(row: Object) -> LeadList:
    list_id = count(row.get("id"))
    if list_id is None:
        raise UnknownShape("id is not a number")
    return LeadList(
        id=list_id,
        name=required(row, "name"),
        list_type=text(row, "listType", "type").upper(),
        leads=count(first(row, "totalItemsCount", "count")),
        created_at=text(row, "creationTime"),
        deleted=bool(flag(row.get("isDeleted"))),
    )
