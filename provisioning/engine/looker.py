"""The one way a question about names leaves the engine. It costs no permit and changes nothing.

A name server may be silent: one look has a deadline, all looks of a wake-up together have another, and the lease of the
claim lasts beyond it. What is asked is asked between transactions, as every read is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from infra import clock
from infra.dns.propagation import Evidence, look
from infra.dns.records import Record
from infra.dns.resolver import NameServers

from . import claims
from .claims import LEASE_MARGIN, Claim
from .failpoints import failpoint

LOOKS = 4  # the full looks that one wake-up has time for; quick ones are not counted


class Looker:
    """Looks at DNS for one wake-up; equal looks are made once."""

    def __init__(self, name_servers: NameServers, claim: Claim) -> None:
        self.name_servers = name_servers
        self.claim = claim
        self.left = name_servers.seconds * LOOKS  # machine seconds for the rest of the wake-up
        self._seen: dict[tuple[tuple[Record, ...], int | None], Evidence] = {}

    def look(self, expected: Sequence[Record], *, at: datetime, quorum: int | None = None) -> Evidence:
        """Return which name servers show what should be there. Raises LostClaim."""
        key = (tuple(expected), quorum)
        if key not in self._seen:
            self._seen[key] = self._look(key[0], at, quorum)
        return self._seen[key]

    def _look(self, expected: tuple[Record, ...], at: datetime, quorum: int | None) -> Evidence:
        seconds = min(self.name_servers.seconds, self.left)
        claims.prolong(self.claim, seconds + LEASE_MARGIN)
        failpoint("before_look", expected)
        began = clock.monotonic()
        evidence = look(
            expected,
            self.name_servers.resolvers,
            authoritative=self.name_servers.authoritative,
            clock=clock.monotonic,
            seconds=seconds,
            timeout=self.name_servers.timeout,
            quorum=quorum,
            at=at,
        )
        self.left -= clock.monotonic() - began
        failpoint("after_look", expected)
        return evidence
