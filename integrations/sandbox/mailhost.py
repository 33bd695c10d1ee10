"""The mail server behind mailboxes that are reached by password: who sells mailboxes sets them, who connects tries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True)
class Password:
    """What opens a mailbox, and since when (virtual time)."""

    value: str
    since: float


def set_password(world: World, address: str, value: str, now: float) -> None:
    """Let `value`, and nothing else, open a mailbox from now on."""
    world.mailhost[address.lower()] = Password(value, now)


def remove(world: World, address: str) -> None:
    """Let a mailbox be gone: nothing opens it."""
    world.mailhost.pop(address.lower(), None)


def password_of(world: World, address: str) -> str | None:
    """Return what opens a mailbox now; None when there is no such mailbox, or no password was ever set."""
    found = world.mailhost.get(address.lower())
    return found.value if found else None


def opens(world: World, address: str, password: str, *, at: float | None = None) -> bool:
    """Tell whether a login would succeed; with `at`, whether one at that earlier moment would have.

    Only the newest change is known: before it, a password that is wrong by now counts as right. An empty one never is.
    """
    found = world.mailhost.get(address.lower())
    if found is None or not password:
        return False
    return found.value == password or (at is not None and at < found.since)
