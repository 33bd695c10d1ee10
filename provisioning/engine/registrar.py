"""What a stack says about asking whether a domain name is free: the platform, what of its budget, and the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from integrations.http.call import Call
from integrations.registry import Clients


class Offer(Protocol):
    """Availability and price of one name, in cents. A price of None means that they named none: do not buy."""

    @property
    def name(self) -> str: ...
    @property
    def available(self) -> bool: ...
    @property
    def premium(self) -> bool: ...
    @property
    def price_cents(self) -> int | None: ...
    @property
    def renewal_cents(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Registrar:
    """Where a stack's names are asked for.

    platform    slug; answers of different platforms for one name are kept apart
    budget      name of the rate budget that a question takes a permit of
    most_names  so many names go in one question
    check       clients, names and weight class ("search" or "paid") -> the question
    """

    platform: str
    budget: str
    most_names: int
    check: Callable[[Clients, Sequence[str], str], Call[Any]]
