"""A key that is taken in one of two forms: found out by reads, remembered, and never by sending a write twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from integrations.http.call import Call, Raw
from integrations.http.either import EitherForm
from integrations.http.errors import NotSent, OutcomeUnknown

from .verbs import heyreach, warmforge

RAW, BEARER = "warmforge-key-1234", "Bearer warmforge-key-1234"


@dataclass
class Platform:
    """Takes one form of the key, or answers each request with the next of `instead`."""

    taken: str
    instead: list[int | Exception] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        sent = call.request.headers.get("authorization", "")
        self.seen.append((call.request.method, call.request.url.rpartition("/")[2], sent))
        if self.instead:
            answer = self.instead.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return Raw(answer, {}, b"{}")
        return Raw(200 if sent == self.taken else 401, {}, json.dumps({"id": "wfw_1"}).encode())

    @property
    def writes(self) -> list[str]:
        return [sent for method, _, sent in self.seen if method == "POST"]


CREATE = warmforge.create_workspace("Acme GTM-7K3F9Q")
GET = warmforge.get_mailbox("wfw_1", "sam@getacme.com")


@pytest.mark.parametrize("taken", [RAW, BEARER])
@pytest.mark.parametrize("call", [CREATE, GET], ids=["write", "read"])
def test_the_first_call_of_a_process_is_made_once_in_the_form_that_is_taken(taken: str, call: Call[Any]) -> None:
    platform = Platform(taken)
    assert EitherForm(platform).send(call).status == 200
    *checks, last = platform.seen
    assert [(method, path) for method, path, _ in checks] == [("GET", "workspaces")] * (1 if taken == RAW else 2)
    assert last[0::2] == (call.request.method, taken)


def test_what_was_found_out_is_remembered() -> None:
    platform = Platform(BEARER)
    either = EitherForm(platform)
    for call in (CREATE, GET, CREATE):
        either.send(call)
    assert [sent for _, _, sent in platform.seen] == [RAW, BEARER, BEARER, BEARER, BEARER]
    assert platform.writes == [BEARER, BEARER]


def test_a_key_that_is_taken_in_neither_form_goes_out_once_and_is_refused() -> None:
    platform = Platform("another key")
    assert EitherForm(platform).send(CREATE).status == 401
    assert platform.writes == [RAW]


@pytest.mark.parametrize("trouble", [429, 500, OutcomeUnknown("lost"), NotSent("refused")])
def test_trouble_at_the_check_decides_nothing(trouble: int | Exception) -> None:
    platform = Platform(BEARER, instead=[trouble])
    either = EitherForm(platform)
    assert either.send(CREATE).status == 401
    assert platform.writes == [RAW]
    assert either.send(CREATE).status == 200
    assert platform.writes == [RAW, BEARER]


def test_a_write_whose_answer_is_lost_is_not_sent_again() -> None:
    platform = Platform(RAW, instead=[200, OutcomeUnknown("lost")])
    with pytest.raises(OutcomeUnknown):
        EitherForm(platform).send(CREATE)
    assert platform.writes == [RAW]


def test_calls_with_one_form_are_left_alone() -> None:
    platform = Platform("")
    EitherForm(platform).send(heyreach.check_key())
    assert len(platform.seen) == 1
