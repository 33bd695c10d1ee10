"""Cloudflare DNS: zones of domains that students bring or buy elsewhere, and the records in them.

Documentation: https://developers.cloudflare.com/api/resources/zones/ and .../resources/dns/. Every verb returns a `Call`;
nothing is sent here.

Their behaviour that shapes this file (their documentation, their SDK's source, recorded replies of others):
- Answers come in an envelope with `success`, `errors` that have numbers, and `result_info` where there are pages.
- A page is read by `result_info` and nothing else: asking on until a page is empty costs a call, or never ends.
- There is no idempotency key: a POST that is repeated meets "already exists", which an equal record must explain.
- A batch of changes is one transaction: all of it or nothing.
- A second SPF or DMARC record is accepted without a word. Preventing it is the caller's work.
- The text of a TXT record comes back as it was sent, and in quotes once somebody has touched it in the dashboard.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from .http.call import Call, Proof, Raw, Request
from .http.errors import BadCredentials, NotConfigured, PlatformError, Rejected
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
    count,
    document,
    flag,
    required,
    text,
)

T = TypeVar("T")

PLATFORM: Final = "cloudflare"
BASE_URL: Final = "https://api.cloudflare.com/client/v4"

GENERAL: Final = "cloudflare.general"
ZONES: Final = "cloudflare.zones"

API_VERSION: Final = "2026-11-01"  # their SDK sends a date along; one of ours is known to have been tried

STATUSES: Final = frozenset({"initializing", "pending", "active", "moved"})
MARK: Final = "gtm"
LONGEST_COMMENT: Final = 100  # characters, on their free plan
AUTOMATIC_TTL: Final = 1
MOST_OCTETS: Final = 255  # of one string of a TXT record: RFC 1035, 3.3.14
HOSTS: Final = frozenset({"CNAME", "MX", "NS", "PTR"})  # types whose content is a name

# Errors that mean our token, whatever their status is.
TOKEN_ERRORS: Final = frozenset({6003, 6111, 9103, 9106, 9109})
# Their answer to a token without rights, and to the id of a zone that is not there: nobody can tell which.
NO_ACCESS: Final = 10000


@dataclass(frozen=True, slots=True)
class CloudflareSettings:
    """How to reach Cloudflare. Times in seconds.

    account_id   the operator's account: zones of others are never adopted
    page_size    rows asked for at once
    batch_most   changes in one batch: 200 on the free plan, 3,500 on paid ones
    ttl          of records that name none
    """

    api_token: Hidden
    account_id: str
    base_url: str = BASE_URL
    page_size: int = 500
    batch_most: int = 200
    ttl: int = 300
    deadline: float = 30.0
    late_execution: float = 300.0
    list_lag: float = 120.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> CloudflareSettings:
        """Read CLOUDFLARE_* settings. Raises NotConfigured."""
        options = Options(PLATFORM, values)
        ttl = options.whole("CLOUDFLARE_TTL", 300, least=AUTOMATIC_TTL)
        if ttl != AUTOMATIC_TTL and not 60 <= ttl <= 86_400:
            raise NotConfigured("CLOUDFLARE_TTL is neither 1 nor between 60 and 86400", platform=PLATFORM)
        return cls(
            api_token=options.secret("CLOUDFLARE_API_TOKEN"),
            account_id=options.needed("CLOUDFLARE_ACCOUNT_ID"),
            base_url=options.address("CLOUDFLARE_API_URL", BASE_URL),
            page_size=options.whole("CLOUDFLARE_PAGE_SIZE", 500, least=5),
            batch_most=options.whole("CLOUDFLARE_BATCH_MOST", 200, least=1),
            ttl=ttl,
            late_execution=options.seconds("CLOUDFLARE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("CLOUDFLARE_LIST_LAG_SECONDS", 120.0),
        )


# --- records ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record. `name` is the whole name; `content` the logical text of a TXT record, unquoted and in one piece.

    id        theirs; "" for a record that is not there yet
    priority  of an MX record
    ttl       seconds, 1 for automatic, None for the setting's
    comment   what nobody but the account sees: our mark, see `mark`
    proxied   whether their network stands before it: never for what mail needs, and never written by us
    """

    type: str
    name: str
    content: str
    priority: int | None = None
    ttl: int | None = None
    comment: str = ""
    id: str = ""
    proxied: bool = False

    @property
    def key(self) -> tuple[str, str, int | None, str]:
        """What two spellings of the same record have in common."""
        kind = self.type.strip().upper()
        return (kind, _name(self.name), self.priority if kind == "MX" else None, _meaning(kind, self.content))

    @property
    def is_ours(self) -> bool:
        return marked(self.comment) is not None


def mark(reference: str, purpose: str) -> str:
    """Return the comment by which we know a record again: the order's reference and what the record is for.

    Raises ValueError for what a comment cannot hold.
    """
    comment = f"{MARK}:{reference}:{purpose}"
    if marked(comment) != (reference, purpose) or len(comment) > LONGEST_COMMENT:
        raise ValueError("a mark holds a reference and a purpose of letters, digits, - and _")
    return comment


def marked(comment: str) -> tuple[str, str] | None:
    """Return reference and purpose of a comment of ours, None for any other."""
    found = re.fullmatch(rf"{MARK}:([\w-]+):([\w-]+)", comment.strip(), re.ASCII)
    return (found[1], found[2]) if found else None


def quoted(content: str) -> str:
    """Return a text as a server's file has it: quoted strings of at most 255 octets."""
    octets = content.encode("utf-8", "surrogateescape")
    parts = [octets[start : start + MOST_OCTETS] for start in range(0, len(octets), MOST_OCTETS)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def unquoted(content: str) -> str:
    """Return the text of one or more quoted strings, or what came bare as it is."""
    bare = content.strip()
    if not _STRINGS.fullmatch(bare):
        return bare
    inner = "".join(found[1] for found in _STRING.finditer(bare))
    octets = _ESCAPE.sub(_unescape, inner.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(\d{3}|.)", re.DOTALL)


def _unescape(found: re.Match[bytes]) -> bytes:
    word = found[1]
    return bytes([int(word)]) if len(word) == 3 and int(word) < 256 else word


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return "\\" + chr(octet)
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03}"


def _meaning(kind: str, content: str) -> str:
    if kind == "TXT":
        return unquoted(content)
    if kind in HOSTS:
        return _name(content)
    if kind in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(content.strip()))
        except ValueError:
            pass
    return " ".join(content.split())


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone. `status` is lower case and may be a word nobody has documented, which counts as pending.

    name_servers           the pair that the domain's owner sets at the registrar. Another one after the zone was made
                           anew: never kept, always read
    original_name_servers  where the domain was before, as far as they know
    """

    id: str
    name: str
    status: str
    name_servers: tuple[str, ...] = ()
    account_id: str = ""
    original_name_servers: tuple[str, ...] = ()
    created_on: str = ""
    activated_on: str = ""
    paused: bool = False

    @property
    def active(self) -> bool:
        return self.status == "active"

    @property
    def moved(self) -> bool:
        """Whether its name servers lead elsewhere again: they delete it after seven days."""
        return self.status == "moved"

    @property
    def is_known(self) -> bool:
        """Whether their documentation has this status. Somebody should look at any other."""
        return self.status in STATUSES


@dataclass(frozen=True, slots=True)
class ZonePage:
    zones: tuple[Zone, ...]
    next_page: int | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some records of a zone, in their order. `next_page` is None at the end."""

    records: tuple[DnsRecord, ...]
    next_page: int | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What a batch says it did. Only `list_records` proves it."""

    created: tuple[DnsRecord, ...] = ()
    updated: tuple[DnsRecord, ...] = ()
    deleted: tuple[DnsRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """How many records a zone has, and may have; a quota of None is one of the whole account, which they do not name."""

    used: int
    quota: int | None = None

    def has_room_for(self, more: int) -> bool:
        return self.quota is None or self.used + more <= self.quota


@dataclass(frozen=True, slots=True)
class Done:
    """They did it. `id` is the zone's, where they name it."""

    id: str = ""


# --- refusals --------------------------------------------------------------------------------------------------------

_NO_ZONE: Final = Refusal(MISSING, r"\((1001|7003)\)|could not route|invalid zone identifier")
_ZONE_LIMIT: Final = Refusal(
    "zone_limit",
    r"(too many|limit|exceed|maximum|more than).*(zone|pending|domain)|(zone|pending|domain).*(limit|exceed|maximum)",
)

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "create_zone": (
        Refusal(EXISTS, r"\(1061\)|already exists"),
        _ZONE_LIMIT,
        Refusal("not_registered", r"\(1049\)|not (a )?registered"),
        Refusal("ending_refused", r"\.(cf|ga|gq|ml|tk)\b|\btld\b|public suffix"),
        Refusal("bad_name", r"invalid|not a valid"),
    ),
    "activation_check": (_NO_ZONE, Refusal("checked_recently", r"\(1224\)|once (an|per|every)|hour|too soon|recent")),
    "batch_records": (
        _NO_ZONE,
        Refusal(EXISTS, r"\((81057|81058)\)|identical record|record already exists"),
        Refusal("name_conflict", r"\((81053|81054|81055)\)|\bcname\b"),
        Refusal("quota_exceeded", r"\((81045)\)|quota"),
        Refusal("email_routing", r"email routing"),
        Refusal("record_gone", r"\((81044)\)|record does not exist|record not found"),
        Refusal("bad_record", r"\((1004|9\d{3})\)|validation|invalid|\bttl\b|content|too long|too large"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What `Judge` says, after the numbers of their errors: a token that is wrong shows under several statuses.

    of_zone  a verb about one zone, for which "authentication error" may only mean that the zone is not there. It opens
             no circuit: `find_zone`, which asks for none, tells whether the token works
    """

    judge: Judge
    of_zone: bool

    def __call__(self, raw: Raw) -> PlatformError | None:
        error, numbers = self.judge(raw), _numbers(raw)
        if error is None:
            return None
        if raw.status == 400 and numbers & TOKEN_ERRORS:
            return BadCredentials(error.sentence, **error.origin)
        if raw.status == 403 and self.of_zone and NO_ACCESS in numbers:
            return Rejected("zone_not_accessible", error.sentence, **error.origin)
        return error


# --- client ----------------------------------------------------------------------------------------------------------


class CloudflareClient:
    """Verbs of https://api.cloudflare.com/client/v4, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular. A
    verb about one zone is Rejected zone_not_accessible where their "authentication error" may only mean that the zone
    is not there.
    """

    def __init__(self, settings: CloudflareSettings) -> None:
        self.settings = settings

    # Zones

    def find_zone(self, name: str) -> Call[tuple[Zone, ...]]:
        """Find the zone of a domain in our account: one, or none. Asked before every creation, and after a lost one.

        Docs: API, "List Zones" (`GET /zones`). Returns the Zones of exactly this name and account.
        """
        asked = _name(name)

        def parse(raw: Raw) -> tuple[Zone, ...]:
            found, _ = _page(raw, _zone)
            return tuple(zone for zone in found if zone.name == asked and self._is_ours(zone))

        query = {"name": asked, "account.id": self.settings.account_id}
        return self._read("find_zone", "/zones", parse, query=query)

    def list_zones(self, page: int = 1, status: str = "", weight_class: str = "paid") -> Call[ZonePage]:
        """Read our zones page by page, of one status where it is named: for reconciling and for the pending ones.

        Docs: API, "List Zones". Returns a ZonePage.
        """

        def parse(raw: Raw) -> ZonePage:
            found, info = _page(raw, _zone)
            return ZonePage(tuple(filter(self._is_ours, found)), _next(info, page, len(found)), _total(info))

        size = min(50, self.settings.page_size)  # the most that they give of zones
        query = {"account.id": self.settings.account_id, "page": str(page), "per_page": str(size)}
        return self._read(
            "list_zones",
            "/zones",
            parse,
            query=query | ({"status": status} if status else {}),
            weight_class=weight_class,
        )

    def create_zone(self, name: str) -> Call[Zone]:
        """Add a domain to our account. It stays pending until its name servers at the registrar are the zone's.

        Docs: API, "Create Zone" (`POST /zones`). 25 in ten minutes at most, and none while an account of more than 50
        zones has more pending than active ones. Returns the Zone. Raises AlreadyExists (look in our account: absent there,
        somebody else holds it), or Rejected with zone_limit (wait, it is no failure), not_registered, ending_refused,
        bad_name.
        """
        asked = _name(name)

        def parse(raw: Raw) -> Zone:
            zone = _zone(as_object(_result(raw), "zone"))
            if zone.name != asked or not self._is_ours(zone):
                raise UnknownShape("another zone than the one asked for")
            return zone

        body = {"account": {"id": self.settings.account_id}, "name": asked, "type": "full"}
        return self._write(
            "create_zone", "POST", "/zones", parse, items=(asked,), body=body, budgets=(GENERAL, ZONES), of_zone=False
        )

    def get_zone(self, zone_id: str) -> Call[Zone]:
        """Read a zone's status and name servers. Docs: API, "Zone Details" (`GET /zones/{id}`). Raises NotFound."""
        return self._read(
            "get_zone", f"/zones/{_id(zone_id)}", lambda raw: _zone(as_object(_result(raw), "zone")), of_zone=True
        )

    def activation_check(self, name: str, zone_id: str) -> Call[Done]:
        """Ask them to look at the registrar's name servers again, once an hour at most (five minutes on paid plans).

        Only after our own look has found them right. Docs: API, "Rerun the Activation Check"
        (`PUT /zones/{id}/activation_check`). Returns Done; `get_zone` shows the status. Raises NotFound, Rejected
        checked_recently.
        """
        return self._write(
            "activation_check",
            "PUT",
            f"/zones/{_id(zone_id)}/activation_check",
            _done,
            items=(_name(name),),
            repeatable=True,
        )

    def delete_zone(self, name: str, zone_id: str) -> Call[Done]:
        """Delete a zone with all its records: at teardown, and only one that we created.

        Docs: API, "Delete Zone" (`DELETE /zones/{id}`). Returns Done. Raises NotFound.
        """
        return self._write(
            "delete_zone", "DELETE", f"/zones/{_id(zone_id)}", _done, items=(_name(name),), repeatable=True
        )

    # Records

    def list_records(self, zone_id: str, page: int = 1) -> Call[RecordPage]:
        """Read the records of a zone page by page, texts unquoted. Read all of them before and after every change.

        Docs: API, "List DNS Records" (`GET /zones/{id}/dns_records`). Returns a RecordPage. Raises NotFound.
        """

        def parse(raw: Raw) -> RecordPage:
            found, info = _page(raw, _record)
            return RecordPage(tuple(found), _next(info, page, len(found)), _total(info))

        query = {"page": str(page), "per_page": str(self.settings.page_size)}
        return self._read("list_records", f"/zones/{_id(zone_id)}/dns_records", parse, query=query, of_zone=True)

    def batch_records(
        self,
        zone: str,
        zone_id: str,
        *,
        deletes: Sequence[DnsRecord] = (),
        patches: Sequence[tuple[DnsRecord, DnsRecord]] = (),
        posts: Sequence[DnsRecord] = (),
        agreed: Collection[str] = (),
        key: str = "",
    ) -> Call[Changed]:
        """Change records in one transaction, in the order delete, patch, post: all of it happens or nothing.

        `deletes` are rows as they were read, `patches` such rows and what shall stand there instead. Rows that we did
        not make are touched only where a person has agreed to their ids. `key` names the batch where a zone sees several.
        Docs: API, "Batch DNS Records" (`POST /zones/{id}/dns_records/batch`). Returns Changed; `list_records` is the
        proof, and after a lost answer only what is missing there is sent again. Raises AlreadyExists (success if the list
        shows an equal record), NotFound (zone), or Rejected with name_conflict, quota_exceeded, email_routing, record_gone,
        bad_record; ValueError for no change, too many, or a foreign row.
        """
        there, most = [*deletes, *(old for old, _ in patches)], self.settings.batch_most
        if not 1 <= len(there) + len(posts) <= most:
            raise ValueError(f"1 to {most} changes in one batch, not {len(there) + len(posts)}")
        if not all(row.id for row in there):
            raise ValueError("a row that is there has an id")
        if any(not row.is_ours and row.id not in agreed for row in there):
            raise ValueError("a row that we did not make, and nobody has agreed")
        body = {
            "deletes": [{"id": row.id} for row in deletes],
            "patches": [{"id": old.id, **self._written(new)} for old, new in patches],
            "posts": [self._written(row) for row in posts],
        }

        def parse(raw: Raw) -> Changed:
            result = as_object(_result(raw), "batch")
            done = Changed(*(_rows_of(result, name) for name in ("posts", "patches", "deletes")))
            lacking = {row.key for row in posts} - {row.key for row in done.created}
            lacking |= {new.key for _, new in patches} - {row.key for row in done.updated}
            if lacking:
                raise UnknownShape("not every record is named")
            return done

        return self._write(
            "batch_records",
            "POST",
            f"/zones/{_id(zone_id)}/dns_records/batch",
            parse,
            items=(key or _name(zone),),
            proof=Proof.READ,
            body={name: rows for name, rows in body.items() if rows},
        )

    def record_usage(self, zone_id: str) -> Call[Usage]:
        """How many records the zone has and may have. Docs: API, "Get DNS Record Usage" (`.../dns_records/usage`)."""

        def parse(raw: Raw) -> Usage:
            row = as_object(_result(raw), "usage")
            used = count(row.get("record_usage"))
            if used is None:
                raise UnknownShape("record_usage is no number")
            return Usage(used, count(row.get("record_quota")))

        return self._read("record_usage", f"/zones/{_id(zone_id)}/dns_records/usage", parse, of_zone=True)

    # How a call is put together

    def _is_ours(self, zone: Zone) -> bool:
        return zone.account_id == self.settings.account_id

    def _written(self, record: DnsRecord) -> dict[str, Any]:
        """Return a record as they want it. The quotes of a text are made here and nowhere else."""
        kind = record.type.strip().upper()
        row: dict[str, Any] = {
            "type": kind,
            "name": _name(record.name),
            "content": quoted(record.content) if kind == "TXT" else _meaning(kind, record.content),
            "ttl": self.settings.ttl if record.ttl is None else record.ttl,
            "proxied": False,
            "comment": record.comment,
        }
        if kind == "MX":
            if record.priority is None:
                raise ValueError("an MX record needs a priority")
            row["priority"] = record.priority
        return row

    def _request(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Request:
        headers = {
            "Authorization": f"Bearer {self.settings.api_token.open()}",
            "api-version": API_VERSION,
            "accept": "application/json",
        }
        return Request(method, self.settings.base_url + path, headers, dict(query or {}), body)

    def _read(
        self,
        verb: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        query: Mapping[str, str] | None = None,
        of_zone: bool = False,
        weight_class: str = "paid",
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request("GET", path, query, None),
            parse,
            _Verdict(Judge(PLATFORM, verb, False, _speak, _REFUSALS.get(verb, (_NO_ZONE,))), of_zone),
            budgets=(GENERAL,),
            weight_class=weight_class,
            deadline=self.settings.deadline,
        )

    def _write(
        self,
        verb: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        items: tuple[str, ...],
        proof: Proof = Proof.ANSWER,
        repeatable: bool = False,
        body: Any = None,
        budgets: tuple[str, ...] = (GENERAL,),
        of_zone: bool = True,
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(method, path, None, body),
            parse,
            _Verdict(Judge(PLATFORM, verb, True, _speak, _REFUSALS.get(verb, (_NO_ZONE,))), of_zone),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=budgets,
            deadline=self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
        )


# --- reading ---------------------------------------------------------------------------------------------------------


def _result(raw: Raw) -> Any:
    """Return the `result` of an answer. An envelope that contradicts its status is of no known shape."""
    envelope = as_object(document(raw), "envelope")
    if envelope.get("success") is not True or "result" not in envelope:
        raise UnknownShape("no success")
    return envelope["result"]


def _page(raw: Raw, row: Callable[[Object], T]) -> tuple[list[T], Object]:
    """Return the rows of one page and what they say of the pages."""
    rows = as_rows(_result(raw), "result")
    info = as_object(document(raw), "envelope").get("result_info")
    return [row(one) for one in rows], info if isinstance(info, dict) else {}


def _next(info: Object, page: int, found: int) -> int | None:
    """Return the number of the page after this one, None at the end. A server that does not count ends here."""
    pages, total, size = count(info.get("total_pages")), count(info.get("total_count")), count(info.get("per_page"))
    if pages is None and total is not None and size:
        pages = -(-total // size)
    return page + 1 if found and pages is not None and page < pages else None


def _total(info: Object) -> int | None:
    return count(info.get("total_count"))


def _errors(body: Any) -> Iterable[Object]:
    """Yield the errors of an envelope, and the chain that some of them hang on."""
    listed = body.get("errors") if isinstance(body, dict) else None
    for error in listed if isinstance(listed, list) else ():
        if isinstance(error, dict):
            yield error
            chain = error.get("error_chain")
            yield from (one for one in (chain if isinstance(chain, list) else ()) if isinstance(one, dict))


def _numbers(raw: Raw) -> set[int]:
    try:
        found = [count(error.get("code")) for error in _errors(document(raw))]
    except UnknownShape:
        return set()
    return {number for number in found if number is not None}


def _speak(body: Any) -> str:
    """Return the sentences of an error document, each with its number behind it."""
    parts = []
    for error in _errors(body):
        message, number = error.get("message"), count(error.get("code"))
        parts.append(f"{message if isinstance(message, str) else ''} {f'({number})' if number else ''}".strip())
    message = body.get("message")
    return "; ".join(part for part in parts if part) or (message if isinstance(message, str) else "")


def _done(raw: Raw) -> Done:
    result = _result(raw)
    return Done(text(result, "id") if isinstance(result, dict) else "")


def _zone(row: Object) -> Zone:
    account = row.get("account")
    return Zone(
        id=required(row, "id"),
        name=_name(required(row, "name")),
        status=text(row, "status").lower(),
        name_servers=_hosts(row.get("name_servers")),
        account_id=text(account, "id") if isinstance(account, dict) else "",
        original_name_servers=_hosts(row.get("original_name_servers")),
        created_on=text(row, "created_on"),
        activated_on=text(row, "activated_on"),
        paused=flag(row.get("paused")) is True,
    )


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
        if value is None:
            return ()
        raise UnknownShape("name servers are no list of names")
    return tuple(_name(host) for host in value)


def _rows_of(result: Object, name: str) -> tuple[DnsRecord, ...]:
    return tuple(map(_record, as_rows(result.get(name) or [], name)))


def _record(row: Object) -> DnsRecord:
    kind = required(row, "type").upper()
    content = text(row, "content")
    return DnsRecord(
        type=kind,
        name=_name(required(row, "name")),
        content=unquoted(content) if kind == "TXT" else content,
        priority=count(row.get("priority")),
        ttl=count(row.get("ttl")),
        comment=text(row, "comment"),
        id=required(row, "id"),
        proxied=flag(row.get("proxied")) is True,
    )


def _name(name: str) -> str:
    return name.strip().lower().rstrip(".")


def _id(value: str) -> str:
    """Return an id fit for a path. Raises ValueError for an empty one, which would name the whole collection."""
    if not value.strip():
        raise ValueError("an id is missing")
    return quote(value, safe="")
