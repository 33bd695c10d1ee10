"""Everything the simulated platforms hold. One object, saved and loaded as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .cloudflare_world import CloudflareState
from .deliveries import Delivery
from .faults import FaultTable
from .godaddy_world import GodaddyState
from .google_world import GoogleWorkspaceState
from .heyreach import HeyReachState
from .infraforge_world import InfraForgeState
from .log import RequestLog
from .mail import Mail
from .mailhost import Password
from .plusvibe import PlusVibeState
from .post_office import Letter
from .quota import Quotas
from .registrar import Registration
from .salesforge import SalesforgeState
from .seeds import fraction, hexadecimal
from .smartlead_world import SmartleadState
from .switches import Switches
from .warmforge import WarmforgeState
from .zapmail_world import ZapmailState


@dataclass(order=True)
class Event:
    """Something that will happen at a platform. `at` is in that platform's time."""

    at: float
    n: int
    platform: str = field(compare=False)
    kind: str = field(compare=False)
    data: dict[str, Any] = field(compare=False)


@dataclass
class World:
    """The state of all platforms, and the means they share."""

    seed: int = 1
    public_url: str = "http://sandbox.test"
    webhook_url: str = ""
    profile: str = "none"
    switches: Switches = field(default_factory=Switches)
    faults: FaultTable = field(default_factory=FaultTable)
    log: RequestLog = field(default_factory=RequestLog)
    quotas: Quotas = field(default_factory=Quotas)
    zapmail: ZapmailState = field(default_factory=ZapmailState)
    plusvibe: PlusVibeState = field(default_factory=PlusVibeState)
    heyreach: HeyReachState = field(default_factory=HeyReachState)
    warmforge: WarmforgeState = field(default_factory=WarmforgeState)
    salesforge: SalesforgeState = field(default_factory=SalesforgeState)
    infraforge: InfraForgeState = field(default_factory=InfraForgeState)
    cloudflare: CloudflareState = field(default_factory=CloudflareState)
    godaddy: GodaddyState = field(default_factory=GodaddyState)
    registrar: dict[str, Registration] = field(default_factory=dict)  # by name; see registrar.py
    google_workspace: GoogleWorkspaceState = field(default_factory=GoogleWorkspaceState)
    smartlead: SmartleadState = field(default_factory=SmartleadState)
    stripe: Any = None  # belongs to integrations/sandbox/stripe.py
    mail: list[Mail] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)  # of the operator's probe mailbox; see post_office.py
    mailhost: dict[str, Password] = field(default_factory=dict)  # by address; see mailhost.py
    delegations: dict[str, list[tuple[float, tuple[str, ...]]]] = field(default_factory=dict)  # see dns.delegate
    events: list[Event] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a saved world: what it knows nothing of, because it is older, begins empty."""
        self.__init__()  # type: ignore[misc]
        self.__dict__.update(state)

    def count(self, name: str) -> int:
        """Return 1, 2, 3 ... for each name."""
        self.counters[name] = self.counters.get(name, 0) + 1
        return self.counters[name]

    def uniform(self, span: tuple[float, float], *key: object) -> float:
        """Return a number in `span` that depends on the seed and the key only."""
        low, high = span
        return low + (high - low) * fraction(self.seed, *key)

    def chance(self, share: float, *key: object) -> bool:
        """Return True for `share` of all keys; the same answer for the same seed and key."""
        return fraction(self.seed, *key) < share

    def hex_id(self, kind: str, length: int = 24) -> str:
        """Return a new id of hexadecimal digits."""
        return hexadecimal(length, self.seed, kind, self.count(kind))

    def uuid(self, kind: str) -> str:
        """Return a new id in the form of a UUID."""
        digits = self.hex_id(kind, 32)
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def schedule(self, at: float, platform: str, kind: str, **data: Any) -> None:
        """Let `kind` happen at a platform at `at`, in its own time: its `on_event` is called then."""
        self.events.append(Event(at, self.count("event"), platform, kind, data))

    def queue(self, delivery: Delivery) -> Delivery:
        """Put a webhook into the outgoing queue."""
        delivery.id = self.count("delivery")
        self.deliveries.append(delivery)
        return delivery
