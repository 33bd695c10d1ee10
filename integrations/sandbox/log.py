"""The request log: what reached each platform, without bodies, keys or passwords."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

KEEP = 20_000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request as the platform saw it.

    n            running number from 1
    at           virtual time (real time for stripe)
    verb         the name our client gives the request; "unknown" for a path nobody serves
    status       what the platform answered, or meant to answer before a fault lost it; 0 when it did nothing
    items        natural keys: domain names, addresses, workspace and list names
    student_ref  our reference (GTM-XXXXXX), where the request or its workspace names one
    fault        the fault that was drawn, or an empty string
    work_done    False when a fault stopped the request before the platform's work
    """

    n: int
    at: float
    platform: str
    verb: str
    method: str
    path: str
    status: int
    items: tuple[str, ...] = ()
    student_ref: str = ""
    fault: str = ""
    work_done: bool = True


@dataclass
class RequestLog:
    """The newest entries in order. Iterates like a list."""

    entries: list[LogEntry] = field(default_factory=list)
    count: int = 0

    def __getstate__(self) -> dict[str, object]:
        """Pickle the count only: the state file keeps entries in a journal beside it, or every save would grow."""
        return {"entries": [], "count": self.count}

    def add(self, **values: object) -> LogEntry:
        self.count += 1
        entry = LogEntry(n=self.count, **values)  # type: ignore[arg-type]
        self.entries.append(entry)
        if len(self.entries) > KEEP:
            del self.entries[: KEEP // 10]
        return entry

    def since(self, number: int) -> list[LogEntry]:
        """Return the entries after entry `number`."""
        newer = self.count - number
        return self.entries[-newer:] if newer > 0 else []

    def of(self, platform: str, verb: str = "") -> list[LogEntry]:
        """Return the entries of one platform, or of one of its verbs."""
        return [e for e in self.entries if e.platform == platform and verb in ("", e.verb)]

    def __iter__(self) -> Iterator[LogEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> LogEntry:
        return self.entries[index]
