"""Section 6 of platforms/stripe.md, "Form parsing with brackets" and "Idempotency table exactly as in section 3"."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from integrations.sandbox.stripe_wire import (
    IDEMPOTENCY_SECONDS,
    PARAMETERS,
    IdempotencyTable,
    Refusal,
    decode,
    fingerprint,
    read,
)

# The request options that `stripe.params` classes carry beside the parameters (platforms/stripe.md section 6).
REQUEST_OPTIONS = {
    "api_key",
    "stripe_version",
    "stripe_account",
    "stripe_context",
    "max_network_retries",
    "idempotency_key",
    "content_type",
    "headers",
}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("a=1&b=two", {"a": "1", "b": "two"}),
        ("items[0][price]=p&items[0][quantity]=2&items[1][price]=q",
         {"items": [{"price": "p", "quantity": "2"}, {"price": "q"}]}),
        ("expand[]=x&expand[]=y", {"expand": ["x", "y"]}),
        ("items[1]=b&items[0]=a", {"items": ["a", "b"]}),
        ("data[metadata][ref]=GTM-1", {"data": {"metadata": {"ref": "GTM-1"}}}),
        ("url=http%3A%2F%2Fx%2F%3Fa%3Db&empty=", {"url": "http://x/?a=b", "empty": ""}),
    ],
)  # fmt: skip
def test_bracketed_forms_become_nested_values(form: str, expected: dict[str, Any]) -> None:
    assert decode(form) == expected


@pytest.mark.parametrize("form", ["a=1&a[b]=2", "a[b]=2&a=1", "a[b=1", "[x]=1"])
def test_contradictory_names_are_refused(form: str) -> None:
    with pytest.raises(Refusal) as caught:
        decode(form)
    assert caught.value.status == 400


@pytest.mark.parametrize("operation", sorted(PARAMETERS))
def test_allowed_names_are_those_of_the_sdk_without_its_request_options(operation: str) -> None:
    *namespace, resource, verb = operation.split(".")
    name = f"{resource.removesuffix('s')}_{verb}_params"
    if verb == "list_line_items":
        name = "session_line_item_list_params"
    module = importlib.import_module(".".join(["stripe", "params", *namespace, "_" + name]))
    declared = getattr(module, "".join(word.title() for word in name.split("_"))).__annotations__
    assert set(PARAMETERS[operation]) == set(declared) - REQUEST_OPTIONS


@pytest.mark.parametrize(
    ("path", "class_name"),
    [
        (("line_items", 0), "SessionCreateParamsLineItem"),
        (("subscription_data",), "SessionCreateParamsSubscriptionData"),
        (("subscription_data", "billing_mode"), "SessionCreateParamsSubscriptionDataBillingMode"),
    ],
)
def test_allowed_nested_names_are_those_of_the_sdk(path: tuple[Any, ...], class_name: str) -> None:
    module = importlib.import_module("stripe.params.checkout._session_create_params")
    shape: Any = PARAMETERS["checkout.sessions.create"]
    for part in path:
        shape = shape[part]
    assert set(shape) == set(getattr(module, class_name).__annotations__)


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"line_items": [{"prise": "x"}]}, "parameter_unknown", "line_items[0][prise]"),
        ({"expires_at": "soon"}, "parameter_invalid_integer", "expires_at"),
        ({"success_url": ""}, "parameter_invalid_empty", "success_url"),
        ({"discounts": [{}]}, "sandbox_not_simulated", "discounts"),
        ({"line_items": "x"}, None, "line_items"),
        ({"metadata": "x"}, None, "metadata"),
        ({"mode": ["x"]}, None, "mode"),
    ],
)
def test_wrong_parameters_are_refused_by_name(given: dict[str, Any], code: str | None, param: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(PARAMETERS["checkout.sessions.create"], given)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)


def test_a_first_answer_is_replayed_even_a_500() -> None:
    table = IdempotencyTable({})
    assert table.begin("key", "print", now=0) is None
    table.finish("key", 500, "broken")
    assert table.begin("key", "print", now=IDEMPOTENCY_SECONDS - 1) == (500, "broken")


def test_other_parameters_under_a_key_are_an_error() -> None:
    table = IdempotencyTable({})
    table.begin("key", fingerprint("POST", "/v1/x", {"a": "1"}), now=0)
    table.finish("key", 200, "{}")
    with pytest.raises(Refusal) as caught:
        table.begin("key", fingerprint("POST", "/v1/x", {"a": "2"}), now=1)
    assert (caught.value.status, caught.value.type) == (400, "idempotency_error")


def test_a_key_in_flight_is_a_conflict() -> None:
    table = IdempotencyTable({})
    table.begin("key", "print", now=0)
    with pytest.raises(Refusal) as caught:
        table.begin("key", "print", now=1)
    assert (caught.value.status, caught.value.code) == (409, "idempotency_key_in_use")


def test_a_key_is_forgotten_after_24_hours_and_not_before() -> None:
    rows: dict[str, dict[str, Any]] = {}
    table = IdempotencyTable(rows)
    table.begin("key", "print", now=0)
    table.finish("key", 200, "{}")
    table.prune(IDEMPOTENCY_SECONDS - 1)
    assert rows
    assert table.begin("key", "other", now=IDEMPOTENCY_SECONDS) is None


def test_a_key_has_at_most_255_characters() -> None:
    with pytest.raises(Refusal):
        IdempotencyTable({}).begin("k" * 256, "print", now=0)
