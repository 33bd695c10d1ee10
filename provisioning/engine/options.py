"""What the operator may tune about building, and what the vendors leave unknown. Read from the settings once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Options:
    """Times are vendor seconds, money is minor units.

    operator_contact       who registers the domains and pays, in Zapmail's billingDetails terms (JSON in the settings)
    dmarc_report_email     where DMARC reports go; an address in a domain that the operator controls
    forge_domain_cost_cents, forge_mailbox_cost_cents   the same at InfraForge: a year, and a month
    dedicated_ip_cost_cents  what a dedicated IP costs for a month, and at most
    domain_cost_cents      what a domain is expected to cost when the order does not say
    slot_cost_cents        what a mailbox slot costs for a month
    slots_grace            how long bought mailbox slots may take to land before the purchase counts as absent
    reexport_limit         exports of one mailbox that the platform allows in a week
    export_grace           how long exported mailboxes may take to appear before they count as absent
    fallback_upload        whether absent mailboxes may be uploaded with their app password
    sender_login_alias     address of the sending tool's login, e.g. "students+{reference}@ops.example"; empty: the student's
    sending_tool_url       where students sign in to the sending tool
    lead_list_url          address of a lead list, with {id}; may lead to the tool's front page
    mailboxes_per_domain   at most so many on one domain
    figures_every          how often the figures of what runs are read
    """

    operator_contact: Mapping[str, str] = field(default_factory=dict)
    dmarc_report_email: str = ""
    domain_cost_cents: int = 1299
    slot_cost_cents: int = 350
    forge_domain_cost_cents: int = 1400
    forge_mailbox_cost_cents: int = 400
    dedicated_ip_cost_cents: int = 9900
    slots_grace: float = 1800.0
    reexport_limit: int = 3
    export_grace: float = 3600.0
    fallback_upload: bool = True
    sender_login_alias: str = ""
    sending_tool_url: str = "https://app.plusvibe.ai"
    lead_list_url: str = "https://app.heyreach.io"
    mailboxes_per_domain: int = 5
    figures_every: float = 43_200.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Options:
        """Build from a mapping such as the environment: DMARC_REPORT_EMAIL, EXPORT_GRACE, and so on."""
        plain, chosen = cls(), dict[str, object]()
        for option in fields(cls):
            value = values.get(option.name.upper())
            if value not in (None, ""):
                chosen[option.name] = _parse(str(value), getattr(plain, option.name))
        return cls(**chosen)  # type: ignore[arg-type]


def _parse(text: str, default: object) -> object:
    if isinstance(default, bool):
        return text.lower() in ("1", "true", "yes", "on")
    if isinstance(default, int | float | str):
        return type(default)(text)
    return json.loads(text)
