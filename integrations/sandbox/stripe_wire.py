"""How Stripe reads a request: bracketed forms, allowed parameters, refusals and idempotency keys.

Pure: nothing here keeps state of its own or reads a clock. platforms/stripe.md sections 1, 3 and 6.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

IDEMPOTENCY_SECONDS = 24 * 3600
IDEMPOTENCY_KEY_LENGTH = 255

# How a value is written in a form. A nested mapping is an object, a list with one mapping is a list of objects.
Kind = str | Mapping[str, Any] | list[Mapping[str, Any]]
Shape = Mapping[str, Kind]

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


class Refusal(Exception):
    """An answer of Stripe's error shape: `{"error": {"type", "code", "message", "param"}}`."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",  # noqa: A002 - Stripe's own word
        code: str | None = None,
        param: str | None = None,
        saved: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        # Under an idempotency key only what began to execute is kept; a validation error is not (saved=False).
        self.saved = saved

    def document(self) -> dict[str, Any]:
        """Return the body. All members but `type` are optional, as at Stripe."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["code"] = self.code
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> Refusal:
    """Return a validation error: 400, and never kept under an idempotency key."""
    return Refusal(message, code=code, param=param, saved=False)


def missing(kind: str, identifier: str, *, param: str = "id", status: int = 404) -> Refusal:
    """Return `resource_missing`: 404 for the object of the address, 400 for one that a parameter names."""
    return Refusal(f"No such {kind}: '{identifier}'", status=status, code="resource_missing", param=param, saved=False)


# --- forms --------------------------------------------------------------------------------------------------------


def decode(text: str) -> dict[str, Any]:
    """Decode a form with brackets into nested mappings; all leaves are text.

    `a[b][0][c]=1` and `a[b][][c]=1` both make a list. Raises Refusal when a name is both a value and a group.
    """
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        match = _KEY.match(name)
        if match is None:
            raise invalid(f"Invalid parameter name: {name}", code="parameter_unknown", param=name)
        path = [match[1], *_BRACKET.findall(match[2])]
        _put(root, path, value, name)
    return {name: _lists(value) for name, value in root.items()}


def _put(node: dict[str, Any], path: list[str], value: str, name: str) -> None:
    *groups, last = path
    for group in groups:
        child = node.setdefault(group or str(len(node)), {})
        if not isinstance(child, dict):
            raise invalid(f"Invalid object: {name}", param=name)
        node = child
    key = last or str(len(node))
    if isinstance(node.get(key), dict):
        raise invalid(f"Invalid object: {name}", param=name)
    node[key] = value


def _lists(value: Any) -> Any:
    """Turn a mapping whose keys are 0, 1, 2 ... into a list, in order of the numbers."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(child) for key, child in value.items()}


def read(shape: Shape, given: Mapping[str, Any], *, path: str = "") -> dict[str, Any]:
    """Check names and convert values of `given` by `shape`. Raises Refusal: `parameter_unknown` for a foreign name."""
    known: dict[str, Any] = {}
    for name, value in given.items():
        where = f"{path}[{name}]" if path else name
        kind = shape.get(name)
        if kind is None:
            raise invalid(f"Received unknown parameter: {where}", code="parameter_unknown", param=where)
        known[name] = _value(kind, value, where)
    return known


def _value(kind: Kind, value: Any, where: str) -> Any:
    if isinstance(kind, Mapping):
        if not isinstance(value, Mapping):
            raise invalid("Invalid object", param=where)
        return read(kind, value, path=where)
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise invalid("Invalid array", param=where)
        return [_value(kind[0], item, f"{where}[{number}]") for number, item in enumerate(value)]
    if kind == "unsimulated":
        raise invalid(
            f"Stripe knows {where}; this sandbox does not simulate it.", code="sandbox_not_simulated", param=where
        )
    if kind == "texts":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid("Invalid array", param=where)
        return value
    if kind == "map":
        return _metadata(value, where)
    if not isinstance(value, str):
        raise invalid("Invalid string", param=where)
    return _scalar(kind, value, where)


def _metadata(value: Any, where: str) -> dict[str, str]:
    # A metadata map whose keys happen to be 0, 1, 2 ... arrives as a list: put the keys back.
    pairs = {str(number): item for number, item in enumerate(value)} if isinstance(value, list) else value
    if pairs == "":
        return {}
    if not isinstance(pairs, Mapping):
        raise invalid("Invalid object", param=where)
    if len(pairs) > 50:
        raise invalid("Metadata can have at most 50 keys.", param=where)
    for key, item in pairs.items():
        if not isinstance(item, str) or len(key) > 40 or len(item) > 500:
            raise invalid("Metadata keys have at most 40 and values at most 500 characters.", param=f"{where}[{key}]")
    return dict(pairs)


def _scalar(kind: str, value: str, where: str) -> str | int | bool:
    if kind == "int":
        if re.fullmatch(r"-?\d{1,18}", value) is None:
            raise invalid(f"Invalid integer: {value}", code="parameter_invalid_integer", param=where)
        return int(value)
    if kind == "bool":
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=where)
        return value == "true"
    if value == "":
        raise invalid(
            f"You passed an empty string for '{where}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{where}' cannot be unset.",
            code="parameter_invalid_empty",
            param=where,
        )
    return value


def require(parameters: Mapping[str, Any], *names: str) -> None:
    """Raise `parameter_missing` for the first of `names` that was not given."""
    for name in names:
        if name not in parameters:
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)


def one_of(parameters: Mapping[str, Any], name: str, *allowed: str) -> None:
    """Raise when `name` was given with a value outside `allowed`."""
    value = parameters.get(name)
    if value is not None and value not in allowed:
        raise invalid(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)


def absolute_url(parameters: Mapping[str, Any], name: str) -> None:
    """Raise `url_invalid` for a relative, malformed or over-long address (recorded replies: platforms/stripe.md 1)."""
    value = parameters.get(name)
    if value is None:
        return
    if len(value) > 5000:
        raise invalid("Invalid URL: URL must be 5000 characters or less.", code="url_invalid", param=name)
    if re.fullmatch(r"https?://[^\s/?#]+\S*", value) is None:
        raise invalid("Not a valid URL", code="url_invalid", param=name)


# --- idempotency keys ---------------------------------------------------------------------------------------------


def fingerprint(method: str, path: str, parameters: Mapping[str, Any]) -> str:
    """Return what must be equal when a key is used again: method, path and parameters."""
    text = json.dumps([method, path, parameters], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class IdempotencyTable:
    """First answers under a key, over a plain mapping so that the world can be written to disk.

    A key is kept for 24 hours. What began to execute is kept with status and body, also a 500. A validation error and
    a conflict with a request in flight are not kept. Other parameters under the key are refused.
    """

    def __init__(self, rows: dict[str, dict[str, Any]]) -> None:
        self._rows = rows

    def begin(self, key: str, print_: str, now: float) -> tuple[int, str] | None:
        """Return the saved (status, body) to replay, or None after noting the key as in flight. Raises Refusal."""
        if len(key) > IDEMPOTENCY_KEY_LENGTH:
            raise invalid("Idempotency-Key is longer than 255 characters.", param="Idempotency-Key")
        row = self._rows.get(key)
        if row is not None and now - row["at"] >= IDEMPOTENCY_SECONDS:
            row = None
        if row is None:
            self._rows[key] = {"print": print_, "at": now, "status": None, "body": None}
            return None
        if row["print"] != print_:
            raise Refusal(
                f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
                saved=False,
            )
        if row["status"] is None:
            raise Refusal(
                f"There is currently another in-progress request using this Idempotent Key: '{key}'.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
                saved=False,
            )
        return row["status"], row["body"]

    def finish(self, key: str, status: int, body: str) -> None:
        """Keep the first answer."""
        self._rows[key].update(status=status, body=body)

    def forget(self, key: str) -> None:
        """Drop a key whose request never began to execute."""
        self._rows.pop(key, None)

    def prune(self, now: float) -> None:
        """Forget keys older than 24 hours."""
        for key in [key for key, row in self._rows.items() if now - row["at"] >= IDEMPOTENCY_SECONDS]:
            del self._rows[key]


# --- allowed parameter names --------------------------------------------------------------------------------------
# Names are those of the `stripe.params` classes of SDK 16.1.0 without the request options; a test compares them.
# "unsimulated" is a name that Stripe takes and this sandbox refuses loudly rather than ignore.


def _shape(simulated: Shape, unsimulated: str = "") -> Shape:
    return {**simulated, **dict.fromkeys(unsimulated.split(), "unsimulated")}


_CREATED: Shape = {"gt": "int", "gte": "int", "lt": "int", "lte": "int"}
_PAGE: Shape = {"limit": "int", "starting_after": "text", "ending_before": "text", "expand": "texts"}
_EXPAND: Shape = {"expand": "texts"}

_LINE_ITEM = _shape({"price": "text", "quantity": "int"}, "adjustable_quantity metadata price_data tax_rates")

_PRICE_DATA = _shape({"currency": "text", "product": "text", "unit_amount": "int"}, "tax_behavior unit_amount_decimal")
_INVOICE_ITEM = _shape(
    {"price": "text", "price_data": _PRICE_DATA, "quantity": "int"},
    "amount currency description discountable discounts invoiceitem metadata period quantity_decimal tax_behavior "
    "tax_code tax_rates unit_amount unit_amount_decimal",
)
_ONE_TIME = _shape(
    {"price": "text", "price_data": _PRICE_DATA, "quantity": "int"}, "discounts metadata period tax_rates"
)
_ITEM = _shape(
    {"id": "text", "price": "text", "quantity": "int"},
    "billing_thresholds clear_usage deleted discounts metadata price_data tax_rates",
)

_SUBSCRIPTION_DATA = _shape(
    {"metadata": "map", "description": "text", "billing_mode": {"type": "text", "flexible": "unsimulated"}},
    "application_fee_percent billing_cycle_anchor billing_cycle_anchor_config default_tax_rates invoice_settings "
    "on_behalf_of pending_invoice_item_interval proration_behavior transfer_data trial_end trial_period_days "
    "trial_settings",
)

PARAMETERS: dict[str, Shape] = {
    "products.create": _shape(
        {"id": "text", "name": "text", "active": "bool", "description": "text", "metadata": "map", **_EXPAND},
        "default_price_data images marketing_features package_dimensions shippable statement_descriptor tax_code "
        "tax_details type unit_label url",
    ),
    "products.update": _shape(
        {"name": "text", "active": "bool", "description": "text", "metadata": "map", **_EXPAND},
        "default_price images marketing_features package_dimensions shippable statement_descriptor tax_code "
        "tax_details unit_label url",
    ),
    "products.retrieve": _EXPAND,
    "products.list": _shape({"active": "bool", "ids": "texts", **_PAGE}, "created shippable type url"),
    "prices.create": _shape(
        {
            "product": "text",
            "currency": "text",
            "unit_amount": "int",
            "recurring": _shape({"interval": "text", "interval_count": "int"}, "meter trial_period_days usage_type"),
            "lookup_key": "text",
            "transfer_lookup_key": "bool",
            "active": "bool",
            "nickname": "text",
            "metadata": "map",
            **_EXPAND,
        },
        "billing_scheme currency_options custom_unit_amount product_data tax_behavior tiers tiers_mode "
        "transform_quantity unit_amount_decimal",
    ),
    "prices.update": _shape(
        {
            "active": "bool",
            "lookup_key": "text",
            "transfer_lookup_key": "bool",
            "nickname": "text",
            "metadata": "map",
            **_EXPAND,
        },
        "currency_options tax_behavior",
    ),
    "prices.retrieve": _EXPAND,
    "prices.list": _shape(
        {
            "active": "bool",
            "currency": "text",
            "lookup_keys": "texts",
            "product": "text",
            "type": "text",
            **_PAGE,
        },
        "created recurring",
    ),
    "customers.create": _shape(
        {"email": "text", "name": "text", "description": "text", "metadata": "map", "phone": "text", **_EXPAND},
        "address balance business_name cash_balance individual_name invoice_prefix invoice_settings "
        "next_invoice_sequence payment_method preferred_locales shipping source tax tax_exempt tax_id_data test_clock "
        "validate",
    ),
    "customers.retrieve": _EXPAND,
    "customers.list": _shape({"email": "text", "created": _CREATED, **_PAGE}, "test_clock"),
    "checkout.sessions.create": _shape(
        {
            "mode": "text",
            "ui_mode": "text",
            "success_url": "text",
            "cancel_url": "text",
            "client_reference_id": "text",
            "currency": "text",
            "customer": "text",
            "customer_creation": "text",
            "customer_email": "text",
            "expires_at": "int",
            "line_items": [_LINE_ITEM],
            "locale": "text",
            "metadata": "map",
            "payment_method_collection": "text",
            "subscription_data": _SUBSCRIPTION_DATA,
            **_EXPAND,
        },
        "adaptive_pricing after_expiration allow_promotion_codes allowed_payment_method_types automatic_tax "
        "billing_address_collection branding_settings consent_collection custom_fields custom_text customer_account "
        "customer_update discounts excluded_payment_method_types integration_identifier invoice_creation "
        "managed_payments name_collection optional_items origin_context payment_intent_data "
        "payment_method_configuration payment_method_data payment_method_options permissions phone_number_collection "
        "redirect_on_completion return_url saved_payment_method_options setup_intent_data shipping_address_collection "
        "shipping_options submit_type tax_id_collection wallet_options",
    ),
    "checkout.sessions.retrieve": _EXPAND,
    "checkout.sessions.expire": _EXPAND,
    "checkout.sessions.list": _shape(
        {
            "created": _CREATED,
            "customer": "text",
            "payment_intent": "text",
            "status": "text",
            "subscription": "text",
            **_PAGE,
        },
        "customer_account customer_details payment_link",
    ),
    "checkout.sessions.list_line_items": _PAGE,
    "subscriptions.retrieve": _EXPAND,
    "subscriptions.list": _shape(
        {"customer": "text", "status": "text", "price": "text", "created": _CREATED, **_PAGE},
        "automatic_tax collection_method current_period_end current_period_start customer_account plan test_clock",
    ),
    "subscriptions.update": _shape(
        {
            "add_invoice_items": [_ONE_TIME],
            "items": [_ITEM],
            "payment_behavior": "text",
            "proration_behavior": "text",
            "proration_date": "int",
            "cancel_at_period_end": "bool",
            "cancellation_details": {"comment": "text", "feedback": "text", "feedback_option": "text"},
            "description": "text",
            "metadata": "map",
            **_EXPAND,
        },
        "application_fee_percent automatic_tax billing_cycle_anchor billing_schedules "
        "billing_thresholds cancel_at collection_method days_until_due default_payment_method default_source "
        "default_tax_rates discounts invoice_settings off_session on_behalf_of pause_collection "
        "payment_settings pending_invoice_item_interval "
        "transfer_data trial_end trial_from_plan trial_settings",
    ),
    "subscriptions.cancel": {
        "cancellation_details": {"comment": "text", "feedback": "text", "feedback_option": "text"},
        "invoice_now": "bool",
        "prorate": "bool",
        **_EXPAND,
    },
    "invoices.create_preview": _shape(
        {
            "subscription": "text",
            "subscription_details": _shape(
                {"items": [_ITEM], "proration_behavior": "text", "proration_date": "int"},
                "billing_cycle_anchor billing_mode billing_schedules cancel_at cancel_at_period_end cancel_now "
                "default_tax_rates resume_at start_date trial_end",
            ),
            "invoice_items": [_INVOICE_ITEM],
            **_EXPAND,
        },
        "automatic_tax currency customer customer_account customer_details discounts issuer on_behalf_of preview_mode "
        "schedule schedule_details",
    ),
    "invoices.retrieve": _EXPAND,
    "invoices.list": _shape(
        {"customer": "text", "subscription": "text", "status": "text", "created": _CREATED, **_PAGE},
        "collection_method customer_account due_date",
    ),
    "payment_intents.retrieve": _shape(_EXPAND, "client_secret"),
    "payment_methods.retrieve": _EXPAND,
    "charges.retrieve": _EXPAND,
    "charges.list": _shape(
        {"customer": "text", "payment_intent": "text", "created": _CREATED, **_PAGE}, "transfer_group"
    ),
    "balance_transactions.retrieve": _EXPAND,
    "balance_transactions.list": _shape(
        {"created": _CREATED, "currency": "text", "source": "text", "type": "text", **_PAGE}, "payout"
    ),
    "disputes.retrieve": _EXPAND,
    "disputes.list": {"charge": "text", "payment_intent": "text", "created": _CREATED, **_PAGE},
    "billing_portal.sessions.create": _shape(
        {"customer": "text", "return_url": "text", **_EXPAND},
        "after_expiration configuration customer_account flow_data locale on_behalf_of",
    ),
    "refunds.create": _shape(
        {
            "amount": "int",
            "charge": "text",
            "payment_intent": "text",
            "reason": "text",
            "metadata": "map",
            **_EXPAND,
        },
        "currency customer instructions_email origin refund_application_fee reverse_transfer",
    ),
    "refunds.retrieve": _EXPAND,
    "refunds.list": {"charge": "text", "payment_intent": "text", "created": _CREATED, **_PAGE},
    "events.retrieve": _EXPAND,
    "events.list": {"created": _CREATED, "delivery_success": "bool", "type": "text", "types": "texts", **_PAGE},
}
