"""Every row of the error family, for every verb of every client, through the real transport.

A test takes one verb through all rows of its table and names the row that fails.
"""

from __future__ import annotations

import inspect
import itertools
import json
from typing import Any

import pytest
import requests
import responses

from integrations import registry
from integrations.http.call import Call, Raw
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotFound,
    NotSent,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge
from integrations.http.transport import HttpTransport

from .verbs import KEYS, READS, VERBS, WRITES, Verb


def execute(call: Call[Any], status: int = 200, body: Any = b"", headers: dict[str, str] | None = None) -> Any:
    """Execute a call against one canned answer. An exception as body stands for a broken connection."""
    canned = body if isinstance(body, bytes | Exception) else json.dumps(body).encode()
    with responses.RequestsMock() as network:
        network.add(call.request.method, call.request.url, body=canned, status=status, headers=headers or {})
        return judge(call, HttpTransport().send(call))


def lost(verb: Verb) -> type[PlatformError]:
    """The meaning of a lost answer."""
    return OutcomeUnknown if verb.build().is_write else Unavailable


def error_of(verb: Verb, status: int, body: Any, headers: dict[str, str] | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        execute(verb.build(), status, body, headers)
    return caught.value


every_verb = pytest.mark.parametrize("verb", VERBS, ids=str)


def test_the_table_holds_every_verb() -> None:
    tabled = {str(verb) for verb in VERBS}
    for row in registry.PLATFORMS:
        for name, method in inspect.getmembers(row.client, inspect.isfunction):
            if not name.startswith("_"):
                assert f"{row.slug}.{name}" in tabled
                assert method.__doc__


@every_verb
def test_an_accepted_answer_is_a_reply(verb: Verb) -> None:
    assert execute(verb.build(), 200, verb.accepted) is not None


ADVICE: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"Retry-After": "30"}, 30.0),
    ({"Retry-After": "soon"}, None),
    ({"Retry-After": "Mon, 05 Jan 2026 10:01:30 GMT", "Date": "Mon, 05 Jan 2026 10:00:00 GMT"}, 90.0),
]


@every_verb
def test_429(verb: Verb) -> None:
    for headers, wait in ADVICE:
        error = error_of(verb, 429, {"status": 429, "message": "Too many requests"}, headers)
        assert isinstance(error, RateLimited), headers
        assert error.advised_wait == wait, headers


@every_verb
def test_bad_credentials(verb: Verb) -> None:
    for status, body in itertools.product((401, 403), (b"", b"<html>", {"message": "Invalid API key"})):
        assert isinstance(error_of(verb, status, body), BadCredentials), (status, body)


@every_verb
def test_other_4xx(verb: Verb) -> None:
    unpaid = "insufficient_wallet" if verb.build().platform == "infraforge" else "refused"  # what 402 was made for
    for status, code in ((400, "refused"), (402, unpaid), (422, "malformed")):
        error = error_of(verb, status, {"message": "We do not like this"})
        assert isinstance(error, Rejected), status
        assert (error.code, error.sentence, error.status) == (code, "We do not like this", status)
    assert isinstance(error_of(verb, 404, {"message": "No such thing"}), NotFound)
    assert isinstance(error_of(verb, 409, {"message": "Conflict"}), AlreadyExists)


@every_verb
def test_lost_behind_a_status(verb: Verb) -> None:
    for status in (301, 302, 307, 408, 425, 500, 502, 503, 504, 520):
        error = error_of(verb, status, verb.accepted, {"Location": "https://elsewhere.example/"})
        assert (type(error), error.status) == (lost(verb), status)


SENSELESS = {
    "page": b"<html><body>Sign in</body></html>",
    "truncated": b'{"status": 200, "data": {"domains": [',
    "null": b"null",
    "array": b"[]",
    "text": b'"ok"',
    "number": b"12",
    "bytes": b"\xff\xfe",
    "nesting": b"[" * 5000,
}


@every_verb
def test_2xx_that_makes_no_sense_is_lost(verb: Verb) -> None:
    for name, body in SENSELESS.items():
        if str(verb) == "heyreach.check_key" and name != "page":
            execute(verb.build(), 200, body)  # any 200 means that the key is valid
        elif name == "array" and isinstance(verb.accepted, list):
            reply = execute(verb.build(), 200, body)  # where a bare array is the shape, an empty one holds nothing
            assert not tuple(getattr(reply, "accounts", reply if isinstance(reply, tuple) else ()))
        else:
            assert type(error_of(verb, 200, body)) is lost(verb), name


@pytest.mark.parametrize("verb", [verb for verb in VERBS if "zapmail" in str(verb)], ids=str)
def test_an_envelope_that_contradicts_its_status_is_lost(verb: Verb) -> None:
    contradicting = {**verb.accepted, "status": 500}
    assert type(error_of(verb, 200, contradicting)) is lost(verb)


@pytest.mark.parametrize("verb", WRITES, ids=str)
def test_a_write_without_readable_answer_is_never_retryable(verb: Verb) -> None:
    with pytest.raises(OutcomeUnknown):
        execute(verb.build(), body=requests.ReadTimeout())


@every_verb
def test_a_refused_connection_was_not_sent(verb: Verb) -> None:
    with pytest.raises(NotSent):
        execute(verb.build(), body=requests.ConnectionError("refused"))


@every_verb
def test_errors_name_the_call_and_the_request_id(verb: Verb) -> None:
    error = error_of(verb, 400, {"message": "No"}, {"X-Request-Id": "req-1\t"})
    assert (f"{error.platform}.{error.verb}", error.request_id) == (str(verb), "req-1")


@every_verb
def test_errors_show_no_key_and_no_body(verb: Verb) -> None:
    call = verb.build()
    key = KEYS[call.platform]
    error = error_of(verb, 400, {"message": f"bad key {key} <b>or</b> password=hunter2-hunter2"})
    assert key not in str(error)
    assert "hunter2" not in str(error)
    assert "<b>" not in str(error)
    silent = error_of(verb, 400, b"<html>internal: password of the day</html>")
    assert silent.sentence == ""


def test_calls_show_no_secret() -> None:
    for verb in VERBS:
        call = verb.build()
        key = KEYS[call.platform]
        assert key not in repr(call), verb
        assert key not in f"{call.request.url} {dict(call.request.query)} {call.items}", verb
        assert "pass" not in repr(call.request), verb


def test_calls_are_the_same_when_built_again() -> None:
    for verb in VERBS:
        assert verb.build().request.digest(b"k") == verb.build().request.digest(b"k"), verb


def test_every_call_fits_into_a_wake_up() -> None:
    for verb in VERBS:
        call = verb.build()
        assert 0 < call.deadline <= 60, verb
        assert f"{call.platform}.general" in call.budgets, verb


def test_writes_say_how_long_they_may_stay_open() -> None:
    for verb in WRITES:
        call = verb.build()
        assert all(call.items), verb
        grace = 900.0 if str(verb) == "infraforge.export_to_salesforge" else 300.0
        assert (call.late_execution, call.list_lag) == (grace, 120.0), verb
        assert bool(call.order_drop) == call.verb.startswith("buy_"), verb


def test_reads_have_no_items() -> None:
    for verb in READS:
        assert verb.build().items == (), verb


def test_judge_says_unknown_for_any_exception_of_a_parser() -> None:
    from dataclasses import replace

    def broken(raw: Raw) -> Any:
        raise ZeroDivisionError("secret body")

    call = replace(WRITES[0].build(), parse=broken)
    with pytest.raises(OutcomeUnknown) as caught:
        judge(call, Raw(200, {}, b"{}"))
    assert "secret body" not in str(caught.value)
    assert caught.value.__context__ is None
