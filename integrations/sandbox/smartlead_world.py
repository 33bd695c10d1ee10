"""What simulated Smartlead holds: accounts, the logins that it tries, and how their warmup goes. Nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from . import google_world, mailhost, warmup
from .warmup import DAY, PROFILES, Spells

if TYPE_CHECKING:
    from .world import World

NAME = "smartlead"
API_KEY = "sandbox-smartlead-key"
OTHER_KEY = "sandbox-smartlead-other-key"  # another user of theirs, such as a student with an account of their own
OWNERS = {API_KEY: 456, OTHER_KEY: 789}
DOORS = ("smtp", "imap")
GOOGLE = ("smtp.gmail.com", "imap.gmail.com")
SCENARIOS = (*PROFILES, "blocked")
BLOCKED_ON_DAY = 5  # the day of warmup on which that scenario ends it
PROVIDERS = (("google", 0.5), ("microsoft", 0.4), ("other", 0.1))  # where its mails go, which they never show apart
FIRST_DAY = 3  # mails of the first day of warmup

WRONG = {
    "smtp": "Invalid login: 535-5.7.8 Username and Password not accepted",
    "imap": "[AUTHENTICATIONFAILED] Invalid credentials",
}
IMAP_OFF = "[ALERT] Your account is not enabled for IMAP use"
LOST = "Connection lost: the server no longer accepts the login"


@dataclass
class Door:
    """One of the two doors of a mailbox, and what its last login was refused with; "" while it works."""

    host: str
    port: int
    username: str
    password: str
    failure: str = ""


@dataclass
class Account:
    """A connected mailbox. Its doors are empty, and `token` is not, where it is reached by OAuth."""

    id: int
    owner: int
    address: str
    name: str
    kind: str
    created_at: float
    updated_at: float
    doors: dict[str, Door]
    token: str = ""
    client_id: int | None = None
    per_day: int = 50
    gap: int = 5
    tracking: str = ""
    bcc: str = ""
    signature: str = ""
    reply_to: str = ""
    suspended: bool = False
    warmup_on: bool = False
    warmup_since: float | None = None  # when it was on first
    warmup_key: str = "apple-keys"
    warming: Spells = field(default_factory=Spells)  # when it really sent
    scenario: str = ""  # how it fares; empty: as the switch says
    warmup: dict[str, Any] = field(
        default_factory=lambda: {
            "total_warmup_per_day": 20,
            "daily_rampup": 5,
            "reply_rate_percentage": 30,
            "is_rampup_enabled": True,
            "auto_adjust_warmup": False,
        }
    )


@dataclass
class SmartleadState:
    """What the platform holds. `owners`: whose account each key opens; `histories`: warmup of accounts that were deleted, by
    owner and address."""

    owners: dict[str, int] = field(default_factory=lambda: dict(OWNERS))

    accounts: dict[int, Account] = field(default_factory=dict)
    histories: dict[tuple[int, str], Spells] = field(default_factory=dict)


def account_at(world: World, address: str) -> Account | None:
    """Return the account of an address, whoever has it."""
    return next((one for one in world.smartlead.accounts.values() if one.address == address), None)


# Logins


def try_logins(world: World, account: Account, now: float) -> dict[str, str]:
    """Return what each door refuses a login with; "" where it opens."""
    return {name: _refused(world, account, name, now) for name in DOORS}


def _refused(world: World, account: Account, name: str, now: float) -> str:
    door = account.doors[name]
    if account.token:
        opened = google_world.opens(world, account.address, now, door=name, token=account.token)
    elif door.host.lower() in GOOGLE:
        opened = google_world.opens(world, door.username, now, door=name, password=door.password)
        opened = opened and not _too_fresh(world, door, now)
    else:
        opened = mailhost.opens(world, door.username, door.password)
    if opened:
        return ""
    user = google_world.user_at(world, account.address)
    is_off = name == "imap" and user is not None and not user.imap and (account.token or door.host.lower() in GOOGLE)
    return IMAP_OFF if is_off else WRONG[name]


def _too_fresh(world: World, door: Door, now: float) -> bool:
    user = google_world.user_at(world, door.username)
    made = [one.created_at for one in user.app_passwords if one.value == door.password.replace(" ", "")] if user else []
    return bool(made) and now < max(made) + world.switches.smartlead_fresh_password_seconds


def take_logins(world: World, account: Account, failures: dict[str, str], now: float) -> None:
    """Keep what the logins said."""
    for name, failure in failures.items():
        account.doors[name].failure = failure
    settle(account, now)


def failures_of(world: World, account: Account) -> dict[str, str]:
    """Return what each door is shown to have been refused with."""
    if world.faults.standing("account_disconnected", NAME, "list_accounts", account.address):
        return dict.fromkeys(DOORS, LOST)
    return {name: account.doors[name].failure for name in DOORS}


def check(world: World, account_id: int, now: float) -> None:
    """Try the logins of an account that works: one that has failed stays so until somebody reconnects it."""
    account = world.smartlead.accounts.get(account_id)
    if account is None:
        return
    if not any(door.failure for door in account.doors.values()):
        take_logins(world, account, try_logins(world, account, now), now)
    world.schedule(now + max(60.0, world.switches.smartlead_check_seconds), NAME, "check", account=account_id)


# Warmup


def settle(account: Account, now: float) -> None:
    """Let warmup really run while it is on, the logins work and nobody has suspended the account."""
    works = not account.suspended and not any(door.failure for door in account.doors.values())
    if account.warmup_on and account.warmup_since is None:
        account.warmup_since = now
    account.warming.switch(account.warmup_on and works, now)


def scenario_of(world: World, account: Account) -> str:
    return account.scenario or world.switches.smartlead_scenario


def is_blocked(world: World, account: Account, now: float) -> bool:
    return scenario_of(world, account) == "blocked" and account.warming.seconds(0, now) >= BLOCKED_ON_DAY * DAY


def set_scenario(world: World, address: str, scenario: str) -> int:
    """Let the account of an address fare so from now on; return how many there are. Raises ValueError."""
    if scenario not in ("", *SCENARIOS):
        raise ValueError(f"a scenario is one of {', '.join(SCENARIOS)}")
    found = account_at(world, address.strip().lower())
    if found is None:
        raise ValueError("no such account")
    found.scenario = scenario
    return 1


@dataclass(frozen=True)
class WarmDay:
    """What warmup did on one day."""

    day: date
    sent: int
    replies: int
    spam: int


def history(world: World, account: Account, now: float) -> list[WarmDay]:
    """Return the days on which warmup ran, today as far as it has come.

    Spam is counted on from the first day, so that few mails a day add up to the profile's share all the same.
    """
    spells, kept, scenario = account.warming, account.warmup, scenario_of(world, account)
    if spells.began is None:
        return []
    profile = scenario if scenario in PROFILES else "healthy"
    days, due, seen = list[WarmDay](), 0.0, 0
    start = spells.began - spells.began % DAY
    while start <= now:
        share, warmed = spells.seconds(start, min(start + DAY, now)) / DAY, int(spells.seconds(0, start) / DAY)
        day, start = datetime.fromtimestamp(start, UTC).date(), start + DAY
        if share <= 0 or (scenario == "blocked" and warmed >= BLOCKED_ON_DAY):
            continue
        most = kept["total_warmup_per_day"]
        if kept["is_rampup_enabled"]:
            most = min(most, FIRST_DAY + kept["daily_rampup"] * warmed)
        sent = round(most * share)
        due += sent * (100 - _score(world, profile, account.address, warmed + 1)) / 100
        spam = min(sent, int(due) - seen)
        seen += spam
        days.append(WarmDay(day, sent, sent * kept["reply_rate_percentage"] // 100, spam))
    return days


def _score(world: World, profile: str, address: str, day: int, cold_days: int = 0) -> float:
    return sum(
        part * warmup.health(world.seed, profile, address, day, provider, cold_days=cold_days)
        for provider, part in PROVIDERS
    )


def reputation(world: World, account: Account, now: float) -> int:
    """Return what they say of a mailbox, in percent; it loses while warmup is off."""
    scenario = scenario_of(world, account)
    profile = scenario if scenario in PROFILES else "healthy"
    day, cold = int(account.warming.seconds(0, now) / DAY), int(account.warming.cold(now) / DAY)
    return round(_score(world, profile, account.address, day, cold))


def snapshot(world: World, now: float) -> dict[str, Any]:
    """Return everything but passwords and tokens."""
    return {
        "accounts": [
            {
                "id": one.id,
                "owner": one.owner,
                "email": one.address,
                "name": one.name,
                "kind": one.kind,
                "by": "token" if one.token else "password",
                "failures": failures_of(world, one),
                "per_day": one.per_day,
                "tracking": one.tracking,
                "suspended": one.suspended,
                "warmup": one.warmup_on,
                "warmup_days": int(one.warming.seconds(0, now) / DAY),
                "settings": dict(one.warmup),
                "blocked": is_blocked(world, one, now),
                "scenario": one.scenario,
                "created_at": one.created_at,
            }
            for one in world.smartlead.accounts.values()
        ]
    }
