"""The sending side of the stack `forge`: what Warmforge measures, and whether Salesforge still has access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, timedelta
from typing import Any

from integrations.http.errors import NotFound
from integrations.warmforge import Mailbox, WarmupDay

from ...engine.measuring import Look, Measured
from ..common import MOST_PAGES

SUPPLIED = frozenset({"health", "health_google", "health_microsoft", "health_other", "reply_rate", "warmup_sent"})

SEVEN_DAYS = 7
GOOGLE, MICROSOFT = "gmail", "outlook"  # every other name in their statistics is "other"
TODAY, WARM, HELD, DAYS = "today", "warm", "held", "days"  # in the notes


def figures(look: Look) -> dict[str, Measured]:
    """Read what is said of the student's mailboxes: one call at each platform, and one more for the days of each mailbox.

    Warmforge shows days for one mailbox at a time. What was read stands in the notes, so that a look that runs out of
    permits goes on where it stopped.
    """
    assert look.now is not None
    today = look.now.astimezone(UTC).date()
    if look.notes.get(TODAY) != today.isoformat():  # what was noted before midnight is not told as today's
        look.notes.clear()
        look.notes[TODAY] = today.isoformat()
    if WARM not in look.notes:
        look.notes[WARM] = _warm(look)
    if HELD not in look.notes:
        look.notes[HELD] = _held(look)
    held, known = look.notes[HELD], look.notes.setdefault(DAYS, {})
    for address, (_connected, _warming, has_days) in look.notes[WARM].items():
        if has_days and address not in known:
            known[address] = _seven_days(look, address, today)
    return {
        address: Measured(
            is_connected=connected and (held is None or address in held),
            is_warming=warming,
            **known.get(address, {}),
        )
        for address, (connected, warming, _has_days) in look.notes[WARM].items()
    }


def _warm(look: Look) -> dict[str, list[bool]]:
    """Return what Warmforge lists, by address: can it log in, is warmup switched on, are there days to ask for."""
    workspace, found = str(look.facts["warmforge_workspace_id"]), dict[str, Mailbox]()
    for page in range(1, MOST_PAGES + 1):
        answer = look.read(look.clients.warmforge.list_mailboxes(workspace, page))
        found |= {box.address: box for box in answer.mailboxes}
        if answer.last:
            break
    return {address: [box.connected, box.warming, _has_days(box)] for address, box in sorted(found.items())}


def _held(look: Look) -> list[str] | None:
    """Return the addresses that Salesforge can send from; None where the set-up goes without Salesforge."""
    if "salesforge_workspace_id" not in look.facts:
        return None
    workspace, found, offset = str(look.facts["salesforge_workspace_id"]), set[str](), 0
    for _ in range(MOST_PAGES):
        page = look.read(look.clients.salesforge.list_mailboxes(workspace, offset=offset))
        found |= {box.address for box in page.mailboxes if box.connected}
        offset = page.next_offset
        if page.last:
            break
    return sorted(found)


def _has_days(box: Mailbox) -> bool:
    # Any of it may be missing in their answer; who never warmed shows none of it.
    return box.warming or bool(box.days_completed) or box.started_on is not None


def _seven_days(look: Look, address: str, today: date) -> dict[str, Any]:
    workspace, days = str(look.facts["warmforge_workspace_id"]), tuple[WarmupDay, ...]()
    since = today - timedelta(days=SEVEN_DAYS - 1)
    with suppress(NotFound):  # removed since it was listed: the next look will not list it
        days = look.read(look.clients.warmforge.warmup_stats(workspace, address, since, today))
    return summed_up(days, today)


def summed_up(days: Sequence[WarmupDay], today: date) -> dict[str, Any]:
    """Return a mailbox's figures by the names of Measured: shares of all the days' mails, and how many went out today."""
    sent = sum(one.sent for one in days)
    of_today = next((one.sent for one in days if one.day == today), None)
    return {
        "health": _inbox_share(days, lambda name: True),
        "health_google": _inbox_share(days, lambda name: name == GOOGLE),
        "health_microsoft": _inbox_share(days, lambda name: name == MICROSOFT),
        "health_other": _inbox_share(days, lambda name: name not in (GOOGLE, MICROSOFT)),
        "reply_rate": 100 * sum(one.replies for one in days) / sent if sent else None,
        "warmup_sent": of_today,
    }


def _inbox_share(days: Sequence[WarmupDay], counts: Callable[[str], bool]) -> float | None:
    """Return the share of mails in the inbox, in percent; None without a mail, which is not zero."""
    seen = [place for one in days for name, place in one.providers.items() if counts(name)]
    primary, spam = sum(place.primary for place in seen), sum(place.spam for place in seen)
    return 100 * primary / (primary + spam) if primary + spam else None
