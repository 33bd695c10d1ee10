"""The one way a question about names leaves the engine. Within a run it costs no permit, and it changes nothing.

A name server may be silent: one look has a deadline, all looks of a wake-up together have another, and the lease of the
claim lasts beyond it. What is asked is asked between transactions, as every read is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from infra import clock
from infra.dns import delegation, present
from infra.dns.delegation import Delegation
from infra.dns.present import Present
from infra.dns.propagation import Evidence, Finding, look, undelegated
from infra.dns.records import Record
from infra.dns.replay import OwnFirst
from infra.dns.resolver import NameServers, Patience, Resolver, Unreachable

from . import claims
from .claims import LEASE_MARGIN, Claim
from .failpoints import failpoint

SILENT = "it did not answer a moment ago"
LOOKS = 4  # the full looks that one wake-up has time for; quick ones are not counted


@dataclass(frozen=True, slots=True)
class Question:
    """What a look is for, as failpoints are told: `key` is to a look what a step's key is to its record."""

    records: tuple[Record, ...] = ()
    key: str = "dns.look"


class Looker:
    """Looks at DNS for one wake-up, or for who holds no run; equal looks are made once."""

    def __init__(self, name_servers: NameServers, claim: Claim | None) -> None:
        self.name_servers = name_servers
        self.claim = claim
        self.left = name_servers.seconds * LOOKS  # machine seconds for the rest of the wake-up
        self._seen: dict[tuple[tuple[Record, ...], str, int | None], Evidence] = {}
        self._own: dict[str, tuple[Resolver, ...]] = {}
        self._above: dict[str, Delegation] = {}
        self._silent: set[str] = set()  # servers that kept one look of this wake-up waiting, and are left out since

    def look(self, expected: Sequence[Record], *, at: datetime, zone: str = "", quorum: int | None = None) -> Evidence:
        """Return which name servers show what should be there. Raises LostClaim, and BadName for a zone that is none.

        zone  whose own servers are asked first; without it only resolvers are, unless the settings name others
        """
        key = (tuple(expected), zone, quorum)
        if key not in self._seen:
            with self._patience(Question(key[0])) as patience:
                self._seen[key] = self._look(key[0], at, zone, quorum, patience)
        return self._seen[key]

    def delegation(self, zone: str) -> Delegation:
        """Return where the servers above a domain say that it is. Raises LostClaim, and BadName for what is no domain."""
        if zone not in self._above:
            servers = self.name_servers
            with self._patience(Question(key="dns.delegation")) as patience:
                if servers.authoritative or servers.connect is None:
                    self._above[zone] = delegation.named_by(servers.authoritative, zone, patience)
                else:
                    self._above[zone] = delegation.find(zone, servers.resolvers, servers.connect, patience)
        return self._above[zone]

    def present(self, zone: str) -> Present:
        """Return what lies at a domain now; nothing where it leads nowhere. Raises LostClaim and BadName."""
        if not self.delegation(zone).is_delegated:
            return Present()
        servers = self.name_servers
        with self._patience(Question(key="dns.present")) as patience:
            own = servers.authoritative
            if not own and servers.connect is not None:
                own = delegation.own_servers(self._above[zone], servers.resolvers, servers.connect, patience)
            return present.find(zone, own, patience)

    @contextmanager
    def resolver(self, zone: str) -> Iterator[Resolver | None]:
        """Let somebody ask more about a domain for the time of one look; None where it leads nowhere.

        Its names are asked of its own servers, all others of public ones. Raises LostClaim and BadName.
        """
        servers = self.name_servers
        if not self.delegation(zone).is_delegated:
            yield None
            return
        with self._patience(Question(key="dns.resolver")) as patience:
            own = servers.authoritative or self._own_servers(zone, patience) or ()
            yield OwnFirst(zone, self._heard(own), self._heard(servers.resolvers), patience)

    @contextmanager
    def _patience(self, question: Question) -> Iterator[Patience]:
        """Give one look the time that is left for it, with a lease that lasts longer."""
        seconds = max(0.0, min(self.name_servers.seconds, self.left))
        if self.claim is not None:
            claims.prolong(self.claim, seconds + LEASE_MARGIN)
        failpoint("before_look", question)
        began = clock.monotonic()
        yield Patience(clock.monotonic, began + seconds, self.name_servers.timeout)
        self.left -= clock.monotonic() - began
        failpoint("after_look", question)

    def _look(
        self, expected: tuple[Record, ...], at: datetime, zone: str, quorum: int | None, patience: Patience
    ) -> Evidence:
        servers = self.name_servers
        own: Sequence[Resolver] = servers.authoritative
        if zone and not own and servers.connect is not None:
            if (found := self._own_servers(zone, patience)) is None:
                return undelegated(expected, was_answered=self._above[zone].was_answered, at=at)
            own = found
        evidence = look(
            expected,
            self._heard(servers.resolvers),
            patience=patience,
            authoritative=self._heard(own),
            quorum=quorum,
            at=at,
        )
        sights = ((name, sight.finding) for row in evidence.rows for name, sight in row.sights.items())
        self._silent |= {name for name, finding in sights if finding is Finding.TIMEOUT}
        return evidence

    def _own_servers(self, zone: str, patience: Patience) -> tuple[Resolver, ...] | None:
        """Return a domain's own servers, found once; None where it leads nowhere, as `_above` says then."""
        servers = self.name_servers
        if servers.connect is None:
            return ()
        if zone not in self._own:
            if zone not in self._above:
                self._above[zone] = delegation.find(zone, servers.resolvers, servers.connect, patience)
            if not self._above[zone].is_delegated:
                return None
            self._own[zone] = delegation.own_servers(self._above[zone], servers.resolvers, servers.connect, patience)
        return self._own[zone]

    def _heard(self, resolvers: Sequence[Resolver]) -> list[Resolver]:
        return [one if one.name not in self._silent else Unreachable(one.name, SILENT) for one in resolvers]
