"""What Smartlead says of mailboxes that run: logins, warmup, mails. It does not tell providers apart."""

from __future__ import annotations

from contextlib import suppress

from integrations.http.errors import NotFound
from integrations.smartlead import SendingAccount, WarmupStats

from ...engine.measuring import Look, Measured

SUPPLIED = frozenset({"health", "reply_rate", "warmup_sent"})


def figures(look: Look) -> dict[str, Measured]:
    """Read what is said of each mailbox: two calls for one, because a list is the whole account's."""
    found = {}
    for address, facts in look.mailboxes.items():
        key = facts.get("smartlead_account_id")
        if key is None:
            continue
        with suppress(NotFound):  # removed at the platform: nothing is said of it
            account = look.read(look.clients.smartlead.get_account(int(key)))
            stats = look.read(look.clients.smartlead.warmup_stats(int(key))) if account.warmup is not None else None
            found[address] = _measured(account, stats, look)
    return found


def _measured(account: SendingAccount, stats: WarmupStats | None, look: Look) -> Measured:
    if stats is None:
        return Measured(is_connected=account.connected, is_warming=account.warming)
    today = look.now.date() if look.now is not None else None
    replies = [day.replies for day in stats.days if day.replies is not None]
    sent = sum(day.sent for day in stats.days if day.replies is not None)
    return Measured(
        is_connected=account.connected,
        is_warming=account.warming,
        health=stats.inbox_percent,
        reply_rate=100.0 * sum(replies) / sent if sent else None,
        warmup_sent=next((day.sent for day in stats.days if day.day == today), None),
    )
