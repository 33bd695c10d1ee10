"""What the vendors leave unknown or let their customers set: one switch each, with the default of `platforms/*.md`.

Both positions of every switch work. `docs/divergences.md` lists them beside the sentence they come from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

Span = tuple[float, float]  # least and most virtual seconds


@dataclass
class Switches:
    """The positions of all switches. Names begin with the platform's slug, or with `dns`."""

    # Zapmail: limits (the lower, official figures)
    zapmail_general_per_minute: int = 20
    zapmail_search_per_30_min: int = 10
    zapmail_purchase_counts_as_search: bool = False
    zapmail_reexports_per_week: int = 3
    zapmail_retry_after: Literal["none", "seconds", "date"] = "none"
    # Zapmail: shapes
    zapmail_bulk_nesting: Literal["top", "data"] = "top"
    zapmail_bulk_status_case: Literal["upper", "lower"] = "upper"
    zapmail_prices_as: Literal["number", "string"] = "number"
    zapmail_workspaces_as: Literal["object", "array"] = "object"
    zapmail_counters_as: Literal["string", "number"] = "string"
    zapmail_unauthorised_status: Literal[401, 403] = 401
    zapmail_duplicate_name_status: Literal[400, 409, 422] = 400
    zapmail_dmarc_reply: Literal["envelope", "empty"] = "envelope"
    zapmail_create_mailboxes_status: Literal[200, 202] = 200
    zapmail_export_id: Literal["absent", "present"] = "absent"
    zapmail_missing_account_status: Literal[400, 422] = 400
    # Zapmail: money and slots
    zapmail_wallet: Literal["account", "workspace"] = "account"
    zapmail_wallet_cents: int = 500_000
    zapmail_short_wallet_reply: Literal["invoice", "payment_link", "error"] = "invoice"
    zapmail_new_workspace: Literal["zero", "inherits", "needs_plan"] = "zero"
    zapmail_domain_price_cents: int = 1299
    zapmail_plan: Literal["Starter", "Growth", "Pro"] = "Starter"
    zapmail_billing_cycle: Literal["monthly", "quarterly", "yearly"] = "monthly"
    # Zapmail: rules
    zapmail_billing_details: Literal["required", "optional"] = "required"
    zapmail_inherited_slots: int = 30
    zapmail_taken_share: float = 0.0
    zapmail_taken_names: str = ""
    zapmail_premium_names: str = ""
    zapmail_names_with_workspace: str = ""
    zapmail_endings: str = "com net org biz live info"
    zapmail_banned_phrases: str = "google microsoft paypal phish"
    zapmail_mailboxes_per_domain: int = 5
    zapmail_domain_cooldown_seconds: float = 0.0
    zapmail_provider_on_writes: Literal["header", "google"] = "header"
    zapmail_lists: Literal["both_providers", "one_provider"] = "both_providers"
    zapmail_full_domain: Literal["not_assignable", "assignable"] = "not_assignable"
    zapmail_bought_in_connection_requests: bool = False
    zapmail_duplicate_sender: Literal["refuse", "accept"] = "refuse"
    zapmail_wrong_sender_login: Literal["refuse", "accept"] = "refuse"
    zapmail_client_logins: Literal["accepted", "refused"] = "accepted"
    zapmail_export_target: Literal["first_visible", "last_visible"] = "first_visible"
    zapmail_auto_renew: Literal["on", "off", "unsaid"] = "on"
    zapmail_expired_domain: Literal["listed", "gone"] = "listed"
    zapmail_owned_name: Literal["refuse", "charge"] = "refuse"
    zapmail_page_most: int = 100
    # Zapmail: times (virtual seconds)
    zapmail_domain_active_seconds: Span = (480.0, 1200.0)
    zapmail_slots_seconds: Span = (30.0, 120.0)
    zapmail_mailbox_active_seconds: Span = (600.0, 1500.0)
    zapmail_export_seconds: Span = (120.0, 360.0)
    zapmail_refund_seconds: Span = (60.0, 240.0)
    zapmail_order_drop_seconds: float = 300.0
    # The name servers: times are virtual seconds, names stand apart by spaces
    dns_lag_seconds: float = 90.0
    dns_negative_ttl_seconds: float = 60.0
    dns_failing: Literal["no", "servfail", "refused", "silent"] = "no"
    dns_authoritative: Literal["answers", "servfail", "refused", "silent"] = "answers"
    dns_delegation_seconds: float = 300.0
    dns_withheld_names: str = ""
    dns_broken_zones: str = ""
    # Stripe
    stripe_after_last_attempt: Literal["canceled", "unpaid", "past_due"] = "past_due"
    stripe_balance_seconds: float = 90.0
    stripe_settles_in: str = ""
    stripe_exchange_rate: float = 0.92
    stripe_refund_fee: Literal["kept", "returned"] = "kept"
    stripe_dispute_fee: Literal["kept", "returned"] = "kept"
    # PlusVibe
    plusvibe_per_second: int = 5
    plusvibe_retry_after: Literal["none", "seconds"] = "none"
    plusvibe_error_shape: Literal["errors", "message", "error"] = "message"
    plusvibe_account_id: Literal["id", "_id", "both"] = "id"
    plusvibe_updated_ids: Literal["top", "data"] = "top"
    plusvibe_bulk_update_reply: Literal["status", "empty"] = "status"
    plusvibe_create_client_reply: Literal["flat", "data", "no_password"] = "flat"
    plusvibe_duplicate_email: Literal["refuse", "accept", "elsewhere"] = "refuse"
    plusvibe_deleted_email: Literal["reusable", "blocked"] = "reusable"
    plusvibe_duplicate_workspace: Literal["allow", "refuse"] = "allow"
    plusvibe_client_workspace_item: Literal["id", "workspace_id"] = "id"
    plusvibe_inbox_permission: Literal["sufficient", "insufficient"] = "sufficient"
    plusvibe_names_in_bulk_update: bool = False
    plusvibe_bulk_add_big_hosts: Literal["dropped", "accepted"] = "dropped"
    plusvibe_warmup_on_arrival: Literal["INACTIVE", "ACTIVE"] = "INACTIVE"
    plusvibe_flags_as: Literal["yes_no", "boolean"] = "yes_no"
    plusvibe_disconnected_status: str = "AUTH_EXPIRED"
    plusvibe_unauthorised_status: Literal[401, 403] = 401
    plusvibe_max_workspaces: int = 0
    plusvibe_max_clients: int = 0
    plusvibe_warmup_profile: Literal["healthy", "bad_start", "collapse", "recovery"] = "healthy"
    plusvibe_bulk_add_seconds: Span = (60.0, 300.0)
    # HeyReach
    heyreach_per_minute: int = 300
    heyreach_retry_after: Literal["none", "seconds"] = "none"
    heyreach_unauthorised_status: Literal[401, 403] = 401
    heyreach_error_form: Literal["aspnet", "message"] = "aspnet"
    heyreach_duplicate_names: Literal["allow", "refuse"] = "allow"
    heyreach_over_limit: Literal["refuse", "clip"] = "refuse"
    heyreach_page_most: int = 100
    heyreach_optional_members: Literal["present", "missing"] = "present"
    heyreach_list_visible_seconds: float = 5.0
    heyreach_get_by_id_post_status: Literal[404, 405] = 404
    heyreach_keyword: Literal["substring", "word", "nothing"] = "substring"
    heyreach_max_name_length: int = 0
    heyreach_max_lists: int = 0
    # Warmforge
    warmforge_per_second: int = 4
    warmforge_retry_after: Literal["none", "seconds"] = "none"
    warmforge_auth: Literal["both", "raw", "bearer"] = "both"
    warmforge_strict_addresses: bool = True
    warmforge_same_workspace: Literal["same", "409", "duplicate"] = "same"
    warmforge_bad_login: Literal["access_lost", "400"] = "access_lost"
    warmforge_slots: int = 0
    warmforge_without_slot: Literal["off", "402"] = "off"
    warmforge_answers: Literal["full", "sparse"] = "full"
    warmforge_dates_as: Literal["day", "moment"] = "day"
    warmforge_scenario: Literal[
        "healthy",
        "bad_start",
        "collapse",
        "recovery",
        "spam_at_microsoft",
        "blacklisted",
        "dkim_missing",
        "access_lost",
        "suspended",
    ] = "healthy"
    warmforge_connect_seconds: Span = (30.0, 180.0)
    warmforge_check_seconds: float = 3600.0
    # Salesforge
    salesforge_per_second: int = 4
    salesforge_retry_after: Literal["none", "seconds"] = "none"
    salesforge_unknown_query: Literal["refuse", "ignore"] = "refuse"
    salesforge_page_most: int = 100
    salesforge_same_workspace: Literal["409", "400", "same"] = "409"
    salesforge_other_workspace: Literal["400", "409"] = "400"
    salesforge_daily_cap: int = 100
    salesforge_deleted: Literal["listed", "gone"] = "listed"
    salesforge_export: Literal["once", "doubled"] = "once"
    salesforge_reaches_warmforge: Literal["by_export", "always"] = "by_export"
    salesforge_credits: Literal["enough", "used_up"] = "enough"
    salesforge_scope: Literal["account", "none"] = "account"
    salesforge_connect_seconds: Span = (5.0, 60.0)
    salesforge_check_seconds: float = 3600.0
    # InfraForge: limits and shapes
    infraforge_per_second: int = 4
    infraforge_retry_after: Literal["none", "seconds"] = "none"
    infraforge_lists: Literal["bare", "named", "data", "items", "results"] = "bare"
    infraforge_workspace_reply: Literal["bare", "named"] = "bare"
    infraforge_purchase_reply: Literal["full", "array", "message"] = "full"
    infraforge_mailboxes_reply: Literal["rows", "message", "empty"] = "rows"
    infraforge_export_reply: Literal["empty", "message"] = "empty"
    infraforge_402_body: Literal["code", "message", "empty"] = "code"
    infraforge_eligible_ips: Literal["texts", "objects"] = "texts"
    infraforge_nameservers: Literal["array", "object"] = "array"
    infraforge_prices_as: Literal["dollars", "cents"] = "dollars"
    infraforge_bulk_dns_by: Literal["id", "name"] = "id"
    infraforge_credentials: Literal["with_passwords", "without_passwords"] = "with_passwords"
    # InfraForge: money
    infraforge_credits: Literal["set_up", "never_404", "never_400"] = "set_up"
    infraforge_credits_cents: int = 500_000
    infraforge_short_credits: Literal["402", "checkout"] = "402"
    infraforge_checkout_rows: Literal["none", "unpaid"] = "none"
    infraforge_owned_name: Literal["charge", "refuse"] = "charge"
    infraforge_domain_price_cents: int = 1400
    infraforge_mailbox_price_cents: int = 300
    infraforge_ip_price_cents: int = 9900
    infraforge_transfer: Literal["free", "invoice", "checkout"] = "free"
    # InfraForge: rules
    infraforge_taken_share: float = 0.0
    infraforge_taken_names: str = ""
    infraforge_taken_in_order: Literal["refuse_all", "skip", "failed_row"] = "refuse_all"
    infraforge_endings: str = "com net org biz info co io"
    infraforge_mailboxes_per_domain: int = 10
    infraforge_first_login: Literal["refused", "works"] = "refused"
    infraforge_preserve_spf: Literal["keeps", "ignored"] = "keeps"
    infraforge_spf: Literal["include", "ip4"] = "include"
    infraforge_public_dns: Literal["right", "not_visible", "wrong_value"] = "right"
    infraforge_owner_changes_nameservers: Literal["by_itself", "by_control"] = "by_itself"
    infraforge_salesforge_subscription: bool = True
    infraforge_export_lands: Literal["both", "salesforge", "warmforge", "never"] = "both"
    infraforge_export_warmup: Literal["as_asked", "off"] = "as_asked"
    infraforge_repeated_export: Literal["again", "nothing"] = "again"
    # InfraForge: times (virtual seconds)
    infraforge_ip_seconds: Span = (60.0, 300.0)
    infraforge_domain_active_seconds: Span = (300.0, 1200.0)
    infraforge_dns_visible_seconds: Span = (300.0, 3600.0)
    infraforge_dns_change_seconds: float = 60.0
    infraforge_owner_seconds: Span = (0.0, 0.0)
    infraforge_autorenew: Literal["as_asked", "fails"] = "as_asked"
    infraforge_transfer_seconds: Span = (3600.0, 86_400.0)
    infraforge_mailbox_active_seconds: Span = (300.0, 900.0)
    infraforge_export_seconds: Span = (60.0, 300.0)
    infraforge_order_drop_seconds: float = 300.0
    # Cloudflare: limits and rules
    cloudflare_per_5_min: int = 1200
    cloudflare_zones_per_10_min: int = 25
    cloudflare_zones_unwatched: int = 50
    cloudflare_zone_limit_status: Literal[400, 429] = 400
    cloudflare_conflict_status: Literal[400, 409] = 400
    cloudflare_identical_code: Literal[81058, 81057] = 81058
    cloudflare_early_check_status: Literal[400, 429] = 400
    cloudflare_unknown_zone: Literal["403", "404"] = "403"
    cloudflare_unregistered: Literal["accept", "refuse"] = "accept"
    cloudflare_held_names: str = ""
    cloudflare_plan: Literal["free", "paid"] = "free"
    cloudflare_record_quota: int = 200
    cloudflare_quota_of: Literal["zone", "account"] = "zone"
    cloudflare_batch_most: int = 200
    cloudflare_dashboard_touched: bool = False
    cloudflare_edge_seconds: Span = (2.0, 60.0)
    # GoDaddy
    godaddy_per_minute: int = 60
    godaddy_retry_after: Literal["seconds", "none"] = "seconds"
    godaddy_429_body: bool = True
    godaddy_envelope: Literal["v3", "v1"] = "v3"
    godaddy_code_case: Literal["as_written", "upper", "lower"] = "as_written"
    godaddy_v1_gate: Literal["open", "closed"] = "open"
    godaddy_token_buys: bool = True
    godaddy_scopes: str = (
        "domains.domain:read domains.domain:create domains.domain:update domains.nameserver:update domains.dns:update"
    )
    godaddy_payment: Literal["set_up", "none"] = "set_up"
    godaddy_account_contact: Literal["whole", "incomplete"] = "whole"
    godaddy_phone: Literal["either", "object", "text"] = "either"
    godaddy_price_cents: int = 1199
    godaddy_renewal_cents: int = 2299
    godaddy_taken_names: str = ""
    godaddy_cached_names: str = ""
    godaddy_premium_names: str = ""
    godaddy_protected_names: str = ""
    godaddy_auto_renew: Literal["works", "not_public"] = "works"
    godaddy_v1_taken_code: Literal["UNAVAILABLE_DOMAIN", "DOMAIN_NOT_AVAILABLE"] = "UNAVAILABLE_DOMAIN"
    godaddy_v1_status: Literal["ACTIVE", "PENDING_FRAUD_VERIFICATION"] = "ACTIVE"
    godaddy_operation_seconds: Span = (5.0, 120.0)
    godaddy_nameserver_seconds: Span = (60.0, 3600.0)
    # Google Workspace: limits and shapes
    google_workspace_per_minute: int = 2400
    google_workspace_users_per_second: int = 10
    google_workspace_retry_after: Literal["none", "seconds", "date"] = "none"
    google_workspace_rate_reply: Literal["429 rateLimitExceeded", "403 userRateLimitExceeded", "403 quotaExceeded"] = (
        "429 rateLimitExceeded"
    )
    google_workspace_limit_reply: Literal[
        "412 limitExceeded", "412 conditionNotMet", "403 limitExceeded", "400 limitExceeded"
    ] = "412 limitExceeded"
    google_workspace_error_form: Literal["errors", "details"] = "errors"
    # Google Workspace: the account
    google_workspace_seats: int = 300
    google_workspace_password_length: int = 8
    google_workspace_licences: Literal["automatic", "manual"] = "automatic"
    google_workspace_most_domains: int = 600
    google_workspace_most_aliases: int = 20
    google_workspace_foreign_domains: str = ""
    google_workspace_scopes: str = (
        "admin.directory.user admin.directory.domain admin.directory.user.security siteverification apps.licensing"
        " gmail.settings.basic postmaster mail.google.com"
    )
    google_workspace_api_access: Literal["allowed", "none"] = "allowed"
    google_workspace_clocks: Literal["agree", "differ"] = "agree"
    # Google Workspace: rules
    google_workspace_unknown_domain: Literal["404", "403"] = "404"
    google_workspace_unverified: Literal["400", "503"] = "400"
    google_workspace_compliance: Literal["compliant", "needs_work", "absent"] = "compliant"
    # Google Workspace: times (virtual seconds)
    google_workspace_token_seconds: float = 2_592_000.0
    google_workspace_verified_seconds: Span = (5.0, 120.0)
    google_workspace_visible_seconds: Span = (2.0, 30.0)
    google_workspace_complete_seconds: Span = (10.0, 90.0)
    google_workspace_mailbox_seconds: Span = (60.0, 1800.0)
    google_workspace_undelete_seconds: float = 1_728_000.0
    google_workspace_dkim_wait_seconds: Span = (86_400.0, 259_200.0)
    google_workspace_dkim_start_seconds: Span = (60.0, 3600.0)
    # Smartlead: limits
    smartlead_per_2_seconds: int = 10
    smartlead_per_minute: int = 60
    smartlead_per_hour: int = 1000
    smartlead_reconnects_per_day: int = 3
    smartlead_429_advice: Literal["both", "header", "body", "none"] = "both"
    smartlead_max_accounts: int = 0
    # Smartlead: shapes
    smartlead_save_reply: Literal["old", "new", "openapi"] = "old"
    smartlead_write_reply: Literal["full", "bare"] = "full"
    smartlead_stats_reply: Literal["old", "new", "openapi"] = "old"
    smartlead_refusal: Literal["status", "200"] = "status"
    smartlead_error_form: Literal["error", "guide", "validation"] = "error"
    smartlead_validation_status: Literal[400, 422] = 400
    smartlead_login_failure: Literal["400 code", "400 message", "406 code"] = "400 code"
    smartlead_passwords_as: Literal["plain", "base64"] = "plain"
    smartlead_reputation_as: Literal["text", "number"] = "text"
    smartlead_tracking: Literal["taken", "refused"] = "taken"
    smartlead_tag_list: Literal["works", "absent"] = "works"
    smartlead_tags_in_lists: bool = True
    # Smartlead: rules
    smartlead_user_agent: Literal["python_refused", "any"] = "python_refused"
    smartlead_oauth_types: Literal["lower", "upper"] = "lower"
    smartlead_held_addresses: str = ""
    smartlead_imap_failure: Literal["saved", "refused"] = "saved"
    smartlead_warmup_bounds: Literal["strict", "lax"] = "strict"
    smartlead_deleted_history: Literal["gone", "kept"] = "gone"
    smartlead_fresh_password_seconds: float = 0.0
    smartlead_check_seconds: float = 3600.0
    smartlead_scenario: Literal["healthy", "bad_start", "collapse", "recovery", "spam_at_microsoft", "blocked"] = (
        "healthy"
    )

    def set(self, **values: Any) -> None:
        """Set switches by name. Raises ValueError for an unknown name or position; then none is changed."""
        hints = _hints()
        known = {item.name for item in fields(self)}
        checked = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no switch is called {name!r}")
            checked[name] = _position(name, hints[name], value)
        for name, value in checked.items():
            setattr(self, name, value)

    def snapshot(self) -> dict[str, Any]:
        """Return all positions as plain JSON."""
        return asdict(self)

    @classmethod
    def positions(cls) -> dict[str, tuple[Any, ...]]:
        """Return the switches that have named positions, with all of them."""
        hints = _hints()
        positions = {name: get_args(hint) for name, hint in hints.items() if get_args(hint) and hint != Span}
        return positions | {name: (False, True) for name, hint in hints.items() if hint is bool}


@cache
def _hints() -> dict[str, Any]:
    # Takes milliseconds, and tests set switches thousands of times.
    return get_type_hints(Switches)


def _position(name: str, hint: Any, value: Any) -> Any:
    """Return `value` as the switch's type, so that JSON and form texts work too."""
    if hint == Span:
        return _span(name, value)
    for position in get_args(hint):
        if value == position or str(value) == str(position):
            return position
    if get_args(hint):
        raise ValueError(f"{name} is one of {', '.join(map(str, get_args(hint)))}")
    if hint is bool:
        if str(value).lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{name} is true or false")
        return str(value).lower() in ("true", "1")
    try:
        number = hint(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is a {hint.__name__}") from error
    if hint is not str and number < 0:
        raise ValueError(f"{name} is not negative")
    return number


def _span(name: str, value: Any) -> Span:
    try:
        low, high = (float(part) for part in value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is two numbers, least and most") from error
    if not 0 <= low <= high:
        raise ValueError(f"{name} runs from the least to the most")
    return low, high
