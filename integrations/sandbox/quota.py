"""Request limits, counted per key and sliding window as the platform counts them."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` requests in any `seconds`. A limit of 0 switches the window off."""

    name: str
    limit: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that came when its window was full."""

    platform: str
    window: str
    at: float
    limit: int
    verb: str


@dataclass
class Quotas:
    """Counters of every window seen so far. A refused request is not counted in its window, only as a violation."""

    hits: dict[tuple[str, str, str], deque[float]] = field(default_factory=dict)
    windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    peaks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def take(self, platform: str, key: str, verb: str, windows: list[Window], at: float) -> float | None:
        """Count one request in all `windows`. Return None, or the seconds until a full window has room again."""
        for window in windows:
            self.windows[platform, window.name] = window
            hits = self._recent(platform, key, window, at)
            if window.limit and len(hits) >= window.limit:
                self.violations.append(Violation(platform, window.name, at, window.limit, verb))
                return max(0.0, hits[0] + window.seconds - at)
        for window in windows:
            place = (platform, window.name, key)
            self.hits[place].append(at)
            self.peaks[place] = max(self.peaks.get(place, 0), len(self.hits[place]))
        return None

    def has_room(self, platform: str, key: str, window: Window, at: float) -> bool:
        """Return whether `take` would count one more request."""
        return not window.limit or len(self._recent(platform, key, window, at)) < window.limit

    def refused(self, platform: str, window: Window, verb: str, at: float) -> None:
        """Record a request that a platform turned away by itself."""
        self.windows[platform, window.name] = window
        self.violations.append(Violation(platform, window.name, at, window.limit, verb))

    def used(self, platform: str, window: str, key: str = "") -> int:
        """Return how many requests of `key` (of all keys when empty) the window held when it was last touched."""
        return sum(len(h) for (p, w, k), h in self.hits.items() if (p, w) == (platform, window) and key in ("", k))

    def snapshot(self) -> dict[str, Any]:
        """Return counters and violations as plain JSON, without the keys themselves."""
        rows = [
            {
                "platform": platform,
                "window": name,
                "key": f"...{key[-4:]}",
                "limit": self.windows[platform, name].limit,
                "seconds": self.windows[platform, name].seconds,
                "used": len(hits),
                "peak": self.peaks.get((platform, name, key), 0),
            }
            for (platform, name, key), hits in self.hits.items()
        ]
        return {"windows": rows, "violations": [asdict(violation) for violation in self.violations]}

    def _recent(self, platform: str, key: str, window: Window, at: float) -> deque[float]:
        hits = self.hits.setdefault((platform, window.name, key), deque())
        while hits and hits[0] <= at - window.seconds:
            hits.popleft()
        return hits
