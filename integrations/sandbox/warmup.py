"""How a mailbox's warmup goes, for every simulated platform that warms: made from profile, seed and day, nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from .seeds import fraction

DAY = 86_400.0
PROFILES = ("healthy", "bad_start", "collapse", "recovery", "spam_at_microsoft")
COLD_DAY = 2  # health that a day without warmup costs
# How much worse each provider judges while something is wrong; it begins at Google.
HARSHNESS = {"overall": 0, "google": 6, "microsoft": 1, "other": -3}


def expected_health(profile: str, day: int, provider: str = "overall") -> int:
    """Return what the platform says on the `day`-th day of warmup, before chance adds up to two points.

    healthy            92 on the first days, 97 in the end
    bad_start          in the seventies for five days, good from the eighth on
    collapse           healthy until day 12, then four points a day down to 60
    recovery           healthy until day 7, bad from day 8 to 13, healthy again
    spam_at_microsoft  55 at Microsoft from the first day on, healthy everywhere else
    """
    best = 92 + min(day, 5)
    match profile:
        case "bad_start":
            level = min(best, 66 + 4 * max(0, day - 1))
        case "collapse":
            level = max(60, best - 4 * max(0, day - 12))
        case "recovery":
            level = best - 4 * max(0, min(day - 7, 5, 14 - day))
        case "spam_at_microsoft":
            return {"microsoft": 55, "overall": best - 15}.get(provider, best)
        case _:
            level = best
    return level - HARSHNESS[provider] if level < best else level


def health(seed: int, profile: str, address: str, day: int, provider: str = "overall", *, cold_days: int = 0) -> int:
    """Return a mailbox's health in percent on the `day`-th day of warmup, after `cold_days` without any."""
    noise = int(3 * fraction(seed, "health", address, day, provider))
    return max(0, min(100, expected_health(profile, day, provider) + noise - COLD_DAY * cold_days))


@dataclass
class Spells:
    """When warmup was on, in virtual time: the last spell has no end while it is."""

    spells: list[tuple[float, float | None]] = field(default_factory=list)

    @property
    def is_on(self) -> bool:
        return bool(self.spells) and self.spells[-1][1] is None

    @property
    def began(self) -> float | None:
        return self.spells[0][0] if self.spells else None

    def switch(self, on: bool, now: float) -> None:
        """Begin or end a spell; nothing where it is so already."""
        if on and not self.is_on:
            self.spells.append((now, None))
        elif not on and self.is_on:
            self.spells[-1] = (self.spells[-1][0], now)

    def cold(self, now: float) -> float:
        """Return for how long warmup has been off since it was on last; 0 while it is on or never was."""
        ended = self.spells[-1][1] if self.spells else None
        return 0.0 if ended is None else now - ended

    def seconds(self, since: float, until: float) -> float:
        """Return how long warmup was on between two moments."""
        ends = ((start, until if end is None else end) for start, end in self.spells)
        return sum(max(0.0, min(end, until) - max(start, since)) for start, end in ends)
