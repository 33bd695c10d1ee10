"""What a request to a platform is, before anybody sends it.

Clients are sans-IO: a client method returns a `Call`; the ledger (writes) or the reader (reads) of the engine
executes it. After a crash the same method builds the same call again and parses the stored answer.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .errors import PlatformError

T = TypeVar("T")

MAX_CAPTURE_BYTES = 1_000_000


class Proof(enum.StrEnum):
    """What proves that a write happened."""

    ANSWER = "answer"  # the reply itself
    READ = "read"  # the reply only says accepted; a later read proves it
    NONE = "none"  # nothing does; a person decides when the answer is lost


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What to send instead where a platform may want its key in another form (see `either`).

    headers  replace those of the request
    check    address of a read that asks for nothing but a valid key; `query` are its parameters
    """

    headers: Mapping[str, str] = field(repr=False)
    check: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request needs an access token for (see `delegated`).

    key   who acts as whom with which right: requests of equal keys share a token
    call  Unix seconds -> the Call that asks for a token; its reply has `value` (Hidden) and `expires_in` (seconds)
    """

    key: tuple[str, ...] = field(repr=False)
    call: Callable[[float], Call[Any]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `url` is absolute and without query; `json` and `form` exclude each other.

    A name of `query` that has several values is sent once for each of them. `secret_query` is added to it when the
    request goes out, and stays out of digests: for platforms that take their key nowhere else.
    """

    method: str
    url: str
    # Out of the repr, which ends up in tracebacks: they carry credentials and passwords.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict, repr=False)
    json: Any = field(default=None, repr=False)
    form: Sequence[tuple[str, str]] | None = field(default=None, repr=False)
    otherwise: Otherwise | None = field(default=None, repr=False)
    grant: Grant | None = field(default=None, repr=False)
    secret_query: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self, key: bytes) -> str:
        """Return the HMAC-SHA256 of the canonical request under `key`, without what carries credentials."""
        canonical = json.dumps(
            [self.method, self.url, sorted(self.query.items()), self.json, self.form],
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=True,
        )
        return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it arrived. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def document(self) -> Any:
        """Return the body as JSON. Raises ValueError when it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request with everything the engine must know to execute it safely.

    platform, verb   names, e.g. "zapmail", "buy_domains"
    request          what to send, credentials included
    parse            Raw -> typed reply. Pure. Any exception on a 2xx means the shape is unknown
    classify         Raw -> the error it means, or None when it is a success in the expected shape
    items            natural keys of a write, e.g. domain names. Empty for reads
    proof            what proves a write
    repeatable       a write of absolute values: sending it again does no harm
    budgets          names of the rate budgets it spends one permit of each
    weight_class     "paid", "search" or "figures": which reserved share of a budget it may use
    deadline         seconds of machine time for the whole call, 60 at most
    late_execution   vendor seconds after the deadline in which the platform may still execute it
    list_lag         vendor seconds a list may lag behind
    order_drop       vendor seconds after which the platform drops an unfinished order
    price_ceilings   minor units per item: what it may cost at most (stored with the intent)
    target           a counter's baseline and target, for writes without a natural key
    secret_fields    JSON member names whose values must never be shown
    """

    platform: str
    verb: str
    request: Request
    parse: Callable[[Raw], T]
    classify: Callable[[Raw], PlatformError | None]
    items: tuple[str, ...] = ()
    proof: Proof = Proof.NONE
    repeatable: bool = False
    budgets: tuple[str, ...] = ()
    weight_class: str = "paid"
    deadline: float = 30.0
    late_execution: float = 300.0
    list_lag: float = 120.0
    order_drop: float = 0.0
    price_ceilings: Mapping[str, int] = field(default_factory=dict)
    target: Mapping[str, int] = field(default_factory=dict)
    secret_fields: frozenset[str] = frozenset()

    @property
    def is_write(self) -> bool:
        """Writes have items; reads have none."""
        return bool(self.items)
