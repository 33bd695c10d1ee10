"""What HeyReach is asked, and what its answers mean in every notation they come in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.heyreach import HeyreachClient, HeyreachSettings
from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import AlreadyExists, OutcomeUnknown, PlatformError, Rejected, Unavailable
from integrations.http.gate import judge
from integrations.http.redact import Hidden

from .verbs import heyreach

NAME = "Sample prospects GTM-7K3F9Q"


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, json.dumps(body).encode()))


def refusal(call: Call[Any], body: Any) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        answer(call, body, 400)
    return caught.value


def test_paths_keep_their_capitals() -> None:
    paths = [
        call.request.url.partition("/api/public")[2]
        for call in (heyreach.check_key(), heyreach.create_list("A"), heyreach.find_lists(), heyreach.get_list(1))
    ]
    assert paths == ["/auth/CheckApiKey", "/list/CreateEmptyList", "/list/GetAll", "/list/GetById"]


def test_any_200_means_that_the_key_is_valid() -> None:
    for body in (b"", b"true", b'"fine"'):
        assert judge(heyreach.check_key(), Raw(200, {}, body))


class TestCreate:
    call = heyreach.create_list(NAME)

    def test_what_is_asked(self) -> None:
        assert self.call.request.json == {"name": NAME, "type": "USER_LIST"}
        assert (self.call.items, self.call.proof, self.call.repeatable) == ((NAME,), Proof.ANSWER, False)

    def test_a_fresh_list(self) -> None:
        body = {
            "id": 104512, "name": NAME, "count": 0, "listType": "USER_LIST", "creationTime": "2026-01-05T10:00:00Z",
            "isDeleted": False, "campaigns": None, "search": None, "status": "UNKNOWN",
        }  # fmt: skip
        made = answer(self.call, body)
        assert (made.id, made.name, made.leads, made.list_type, made.deleted) == (104512, NAME, 0, "USER_LIST", False)

    @pytest.mark.parametrize("body", [{"name": NAME}, {"id": "x", "name": NAME}, {"id": 1}, {"id": True, "name": NAME}])
    def test_without_id_or_name_it_is_unknown(self, body: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(self.call, body)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"errors": {"name": ["The name field is required."]}, "title": "One or more errors"}, "bad_name"),
            ({"errorMessage": "name is too long"}, "bad_name"),
            ({"errorMessage": "The list limit of your plan is reached"}, "list_limit"),
            ({"title": "Bad Request"}, "refused"),
        ],
    )
    def test_refusals_in_both_forms(self, body: Any, code: str) -> None:
        error = refusal(self.call, body)
        assert isinstance(error, Rejected)
        assert error.code == code

    def test_a_name_in_use(self) -> None:
        error = refusal(self.call, {"errors": {"name": ["A list with this name already exists"]}})
        assert isinstance(error, AlreadyExists)


class TestFind:
    def page(self, body: Any, offset: int = 0) -> Any:
        return answer(heyreach.find_lists("GTM-7K3F9Q", offset), body)

    def test_what_is_asked(self) -> None:
        body = heyreach.find_lists("GTM-7K3F9Q", 100).request.json
        assert body == {"offset": 100, "limit": 100, "listType": "USER_LIST", "keyword": "GTM-7K3F9Q"}
        assert "keyword" not in heyreach.find_lists().request.json

    def test_optional_members_may_be_missing(self) -> None:
        page = self.page({"totalCount": "1", "items": [{"id": "7", "name": NAME}]})
        assert (page.lists[0].id, page.lists[0].leads) == (7, None)

    @pytest.mark.parametrize(
        ("total", "rows", "offset", "last"),
        [(1, 1, 0, True), (150, 100, 0, False), (150, 50, 100, True), (9, 0, 0, True)],
    )
    def test_the_end(self, total: int, rows: int, offset: int, last: bool) -> None:
        page = self.page({"totalCount": total, "items": [{"id": 1, "name": NAME}] * rows}, offset)
        assert (page.last, page.next_offset) == (last, offset + rows)

    def test_without_total_it_is_unreadable(self) -> None:
        with pytest.raises(Unavailable):
            self.page({"items": []})


class TestOne:
    def test_by_query(self) -> None:
        assert heyreach.get_list(7).request.query == {"listId": "7"}
        assert answer(heyreach.get_list(7), {"id": 7, "name": NAME, "totalItemsCount": "12"}).leads == 12

    def test_by_post_where_the_minority_is_right(self) -> None:
        client = HeyreachClient(HeyreachSettings(Hidden("key-12345"), list_by_post=True))
        assert (client.get_list(7).request.method, client.get_list(7).request.json) == ("POST", {"listId": 7})

    def test_another_list_is_no_answer(self) -> None:
        with pytest.raises(Unavailable):
            answer(heyreach.get_list(7), {"id": 8, "name": NAME})
