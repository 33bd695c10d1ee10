"""Sets of faults and switches under one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .world import World

OURS = ("zapmail", "plusvibe", "heyreach")
FORGE = ("warmforge", "salesforge", "infraforge")


@dataclass(frozen=True)
class Profile:
    """Faults in the words of `FaultTable.add`, switches by name."""

    faults: tuple[dict[str, Any], ...] = ()
    switches: tuple[tuple[str, Any], ...] = ()


_ON_EVERY_PLATFORM: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limit", "share": 0.01, "advice": "15"},
    {"kind": "rate_limit", "share": 0.005},
    {"kind": "status", "share": 0.005, "status": 503},
    {"kind": "reset_after", "share": 0.003},
    {"kind": "slow_body", "share": 0.02, "seconds": 0.4},
    {"kind": "list_lag", "seconds": 8.0},
)

PROFILES = {
    "none": Profile(),
    # Low but on: a run of the demo can meet any of it and must still arrive.
    "demo": Profile(
        faults=(
            *({"platform": platform, **fault} for platform in OURS for fault in _ON_EVERY_PLATFORM),
            {"kind": "failing_mailboxes", "platform": "zapmail", "share": 0.03, "times": 3},
            {
                "kind": "unknown_status",
                "platform": "zapmail",
                "share": 0.01,
                "value": "PROVISIONING_QUEUED",
                "times": 9,
            },
            # Last: a fault's number is part of its chance, and those before keep theirs.
            *({"platform": platform, **fault} for platform in FORGE for fault in _ON_EVERY_PLATFORM),
        ),
        switches=(
            ("zapmail_taken_share", 0.2),
            ("infraforge_taken_share", 0.2),
            ("infraforge_owner_changes_nameservers", "by_control"),  # whoever plays the student presses the button
            ("google_workspace_dkim_wait_seconds", (1800.0, 3600.0)),  # days at Google: nobody waits so long for a demo
        ),
    ),
}


def apply(world: World, name: str) -> None:
    """Replace the world's faults by those of a profile and set its switches. Raises ValueError for an unknown name."""
    if name not in PROFILES:
        raise ValueError(f"no profile is called {name!r}; known: {', '.join(PROFILES)}")
    world.profile = name
    world.faults.clear()
    for fault in PROFILES[name].faults:
        values = dict(fault)
        world.faults.add(values.pop("kind"), **values)
    world.switches.set(**dict(PROFILES[name].switches))
