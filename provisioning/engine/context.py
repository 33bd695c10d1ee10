"""What a step function is given: the order, the items that are ready, the clients, the ledger and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from infra.clock import VendorInstant
from infra.dns.delegation import Delegation
from infra.dns.present import Present
from infra.dns.propagation import Evidence
from infra.dns.records import Record
from infra.models import Credential, Provision
from infra.secret import Secret
from integrations.http.call import Call
from integrations.registry import Clients

from .accounts import OPERATORS, Accounts
from .ledger import Ledger
from .looker import Looker
from .options import Options
from .reader import Reader

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DomainItem:
    """A domain of the order. `ceiling_cents` is what it may cost at most, frozen at "pay"; `place` its position, which
    a substitute inherits; `is_own`: the student had it before."""

    key: str
    name: str
    ceiling_cents: int
    facts: Mapping[str, Any]
    step_facts: Mapping[str, Any] = field(default_factory=dict)
    place: int = 0
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class MailboxItem:
    """A mailbox of the order. `daily_limit` are campaign mails a day, where its person has a limit of their own."""

    key: str
    address: str
    username: str
    first_name: str
    last_name: str
    domain: DomainItem
    facts: Mapping[str, Any]
    step_facts: Mapping[str, Any] = field(default_factory=dict)
    daily_limit: int | None = None


@dataclass(slots=True)
class Context:
    """The world of one step in one wake-up.

    domains, mailboxes  the items that are ready for this step (for a run step: all that are still in the wave)
    built, there        every domain that this run builds, lost ones aside; those that the order had before
    facts               what earlier steps of the whole run left, by name
    step_facts          what this run step itself has noted so far
    accounts            whose accounts the clients work in
    waited              vendor seconds since the step was first tried
    """

    provision: Provision
    order: Mapping[str, Any]
    domains: Sequence[DomainItem]
    mailboxes: Sequence[MailboxItem]
    facts: Mapping[str, Any]
    clients: Clients
    ledger: Ledger
    reader: Reader
    looker: Looker
    options: Options
    now: VendorInstant
    poll: float
    accounts: Accounts = OPERATORS
    waited: float = 0.0
    built: Sequence[DomainItem] = ()
    there: Sequence[DomainItem] = ()

    @property
    def run_id(self) -> UUID:
        """The run that this step belongs to."""
        return self.ledger.claim.run_id

    @property
    def reference(self) -> str:
        """The end of every external name, e.g. GTM-7K3F9Q."""
        return self.provision.reference

    def read(self, call: Call[T]) -> T:
        """Execute a read; equal reads of one wake-up are made once. Raises PlatformError or budget.NotNow."""
        return self.reader.read(call)

    def look(self, expected: Sequence[Record], *, zone: str = "", quorum: int | None = None) -> Evidence:
        """Ask the name servers for what should be there: those of `zone` itself first, then resolvers.

        Equal looks of one wake-up are made once. The evidence's `as_json` is a fact to keep and to show. See
        `propagation.look` for `quorum`. Raises LostClaim, and BadName for a zone that is none.
        """
        return self.looker.look(expected, at=self.now, zone=zone, quorum=quorum)

    def delegation(self, domain: str) -> Delegation:
        """Ask the servers above a domain where it is. Equal questions of one wake-up are asked once. Raises LostClaim."""
        return self.looker.delegation(domain)

    def present(self, domain: str) -> Present:
        """Ask a domain's own servers what lies there today. Raises LostClaim."""
        return self.looker.present(domain)

    def credential(self, kind: str) -> Secret:
        """Return a password that an earlier step stored. Raises Credential.DoesNotExist."""
        password: Secret = Credential.objects.get(provision=self.provision, kind=kind).password
        return password
