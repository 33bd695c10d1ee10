"""Sets of faults under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .world import World

OURS = ("zapmail", "plusvibe", "heyreach")

PROFILES: dict[str, tuple[dict[str, Any], ...]] = {
    "none": (),
    # Low but on: every run of the demo can meet some of it and must still arrive.
    "demo": tuple(
        {"platform": platform, **fault}
        for platform in OURS
        for fault in (
            {"kind": "rate_limit", "share": 0.01, "advice": "15"},
            {"kind": "rate_limit", "share": 0.005},
            {"kind": "status", "share": 0.005, "status": 503},
            {"kind": "reset_after", "share": 0.003},
            {"kind": "slow_body", "share": 0.02, "seconds": 0.4},
            {"kind": "list_lag", "seconds": 8.0},
        )
    )
    + (
        {"kind": "failing_mailboxes", "platform": "zapmail", "share": 0.03, "times": 3},
        {"kind": "unknown_status", "platform": "zapmail", "share": 0.01, "value": "PROVISIONING_QUEUED", "times": 10},
    ),
}


def apply(world: World, name: str) -> None:
    """Replace the world's faults by those of a profile. Raises ValueError for an unknown name."""
    if name not in PROFILES:
        raise ValueError(f"no profile is called {name!r}; known: {', '.join(PROFILES)}")
    world.profile = name
    world.faults.clear()
    for fault in PROFILES[name]:
        values = dict(fault)
        world.faults.add(values.pop("kind"), **values)
