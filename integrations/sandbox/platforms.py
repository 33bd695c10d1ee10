"""What a simulated platform is: one pure function over the world, and a few words about its requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .http import Request, Response, text_response
from .quota import Window

if TYPE_CHECKING:
    from .deliveries import Delivery
    from .dns import ZoneRecord
    from .world import World

Handler = Callable[["World", Request, float], Response]


def _no_items(request: Request) -> tuple[str, ...]:
    return ()


def _no_windows(world: World, verb: str, request: Request) -> list[Window]:
    return []


def _ignore_event(world: World, kind: str, data: dict[str, Any], now: float) -> None:
    """Do nothing: the platform schedules nothing."""


def _no_signature(world: World, delivery: Delivery, now: float) -> Mapping[str, str]:
    return {}


def _ignore_result(world: World, delivery: Delivery, status: int, now: float) -> None:
    """Do nothing: the platform does not care how its webhooks fare."""


def _nothing(world: World, now: float) -> Any:
    return {}


def _no_records(world: World, now: float) -> Iterable[ZoneRecord]:
    return ()


def _no_key(request: Request) -> str:
    return ""


def _no_ref(world: World, request: Request) -> str:
    return ""


def plain_error(world: World, status: int, sentence: str) -> Response:
    """Return an error in no particular platform's words."""
    return text_response(sentence, status)


@dataclass(frozen=True)
class Platform:
    """One simulated platform, mounted at `prefix`.

    handle      (world, request without the prefix, now) -> Response
    verb_of     the name of the operation; "unknown" for a path nobody serves
    items_of    natural keys, for the log and for faults that name items
    reads       verbs that change nothing: the state file is not written at once for them
    on_event    what happens when an event that the platform scheduled is due
    sign        headers of a webhook that depend on the moment of sending
    settled     told the status of every webhook attempt (0: nobody answered)
    error       how this platform words 429, 5xx and the like
    windows     the quota windows that a request counts in
    key_of      the credential that quotas are counted by
    ref_of      our reference (GTM-XXXXXX) that a request belongs to, where the body does not say
    snapshot    everything it holds, as plain JSON without secrets
    records_of  the DNS records that it publishes
    real_time   `now` is machine time plus advances instead of virtual time
    quota_in_real_time   only the quota windows go by machine time
    fault_kinds          names of faults that only this platform knows
    """

    name: str
    prefix: str
    handle: Handler
    verb_of: Callable[[Request], str]
    items_of: Callable[[Request], tuple[str, ...]] = _no_items
    reads: frozenset[str] = frozenset()
    on_event: Callable[[World, str, dict[str, Any], float], None] = _ignore_event
    sign: Callable[[World, Delivery, float], Mapping[str, str]] = _no_signature
    settled: Callable[[World, Delivery, int, float], None] = _ignore_result
    error: Callable[[World, int, str], Response] = plain_error
    windows: Callable[[World, str, Request], list[Window]] = _no_windows
    key_of: Callable[[Request], str] = _no_key
    ref_of: Callable[[World, Request], str] = _no_ref
    snapshot: Callable[[World, float], Any] = _nothing
    records_of: Callable[[World, float], Iterable[ZoneRecord]] = _no_records
    real_time: bool = False
    quota_in_real_time: bool = False
    fault_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Route:
    """One operation: method, path with `{names}`, verb, function(world, request, now, **names)."""

    method: str
    path: str
    verb: str
    function: Callable[..., Response]
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        object.__setattr__(self, "pattern", re.compile(pattern))


class Router:
    """Finds the route of a request. Paths match exactly, trailing slash included."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the names in its path, or None."""
        for route in self.routes:
            if route.method == request.method and (match := route.pattern.fullmatch(request.path)):
                return route, match.groupdict()
        return None

    def knows_path(self, request: Request) -> bool:
        """Whether the path exists under another method."""
        return any(route.pattern.fullmatch(request.path) for route in self.routes)

    def verb_of(self, request: Request) -> str:
        found = self.find(request)
        return found[0].verb if found else "unknown"
