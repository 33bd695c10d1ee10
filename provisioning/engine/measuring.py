"""What a stack says about looking at mailboxes that run: data and two functions. The collector does everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from integrations.http.call import Call
from integrations.registry import Clients

T = TypeVar("T")


class Read(Protocol):
    """Executes a read within what the budgets have to spare."""

    def __call__(self, call: Call[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Look:
    """What a function of a stack looks with.

    facts      those of the provision; a listing of all has none
    domains    names of the domains that the provision owns, where they are looked at
    mailboxes  address -> facts of each mailbox that was made for it
    now        vendor time, for platforms that are asked about days
    notes      plain JSON that a function which makes many calls writes down as it goes: a look that a budget interrupts
               is made again with what it noted, an hour later at most, and need not ask twice
    """

    clients: Clients
    read: Read
    facts: Mapping[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    now: datetime | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    mailboxes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a platform says of one mailbox. Rates in percent; None is "it does not say", which is not zero."""

    is_connected: bool
    is_warming: bool
    health: float | None = None
    health_google: float | None = None
    health_microsoft: float | None = None
    health_other: float | None = None
    reply_rate: float | None = None
    bounce_rate: float | None = None
    warmup_sent: int | None = None
    campaign_sent: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """A page of a listing: sizes by the platform's id, and where the next page begins; None after the last."""

    sizes: Mapping[str, int]
    next_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing that is the same for all students, read page by page.

    name  what its place is remembered under
    page  Look and offset -> Counts
    fact  the provision's fact that holds the id
    one   Look -> size of the provision's own, asked once, for who is new and stands in no page yet
    """

    name: str
    page: Callable[[Look, int], Counts]
    fact: str
    one: Callable[[Look], int | None]


@dataclass(frozen=True, slots=True)
class Measuring:
    """How a stack's mailboxes are measured.

    figures   Look -> what is said of each mailbox, by address in lower case
    supplied  the figures that these platforms know at all; the others are "not measured by this platform"
    lists     where the sizes of the lead lists are read
    """

    figures: Callable[[Look], Mapping[str, Measured]]
    supplied: frozenset[str]
    lists: Listing | None = None
