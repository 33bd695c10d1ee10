"""What a step notes when it is done, for the person who does it by hand at the platform. A test compares it with a run."""

from __future__ import annotations

from collections.abc import Mapping

from .steps import sender

# Step key -> the facts that later steps read. Values as the platform shows them.
NOTES: Mapping[str, tuple[str, ...]] = {
    "workspace": ("zapmail_workspace_id",),
    "slots": ("mailbox_slots",),
    "buy_domains": ("zapmail_domain_id", "bought"),
    "domains_active": (),
    "dmarc": ("dmarc_report_email",),
    "mailboxes": ("zapmail_mailbox_id",),
    "sender_workspace": ("plusvibe_workspace_id",),
    "sender_login": ("plusvibe_client_id", "plusvibe_client_email"),
    "register_sender": ("sender_registered",),
    "export": ("exported",),
    "accounts_seen": ("plusvibe_account_id",),
    "warmup": ("warmup",),
    "rest": ("warmup",),
    "resume": ("warmup",),
    "schedule_removal": ("removal",),
    "renewal_off": ("renewal",),
    "lead_list": ("heyreach_list_id", "heyreach_list_name"),
}

# Noted when the platform says it; no step needs it.
EXTRAS = frozenset({"expires_on", "zapmail_sender_id", "dns_records", "dns_read_at"})

LOGINS: Mapping[str, str] = {"sender_login": sender.LOGIN}  # step key -> kind of the credential it stores


def notes_of(step_key: str) -> tuple[str, ...]:
    """Return the names of the facts that a step notes."""
    return NOTES.get(step_key, ())


def stores_login(step_key: str) -> bool:
    """Tell whether a step stores a login that later steps use."""
    return step_key in LOGINS
