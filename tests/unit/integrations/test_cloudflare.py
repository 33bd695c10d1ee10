"""What Cloudflare is asked, and what its answers mean in every spelling they come in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.cloudflare import CloudflareClient, CloudflareSettings, DnsRecord, mark, marked, quoted, unquoted
from integrations.http.call import Call, Proof, Raw
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Unavailable,
)
from integrations.http.gate import judge
from integrations.http.redact import Hidden

from .verbs import DOMAIN, SPF, SPF_ROW, ZONE, cloudflare, wrapped

BATCH = cloudflare.batch_records(DOMAIN, "z1", posts=[SPF])


def answer(call: Call[Any], body: Any, status: int = 200) -> Any:
    return judge(call, Raw(status, {}, json.dumps(body).encode()))


def refusal(call: Call[Any], code: int, message: str = "No", status: int = 400) -> PlatformError:
    body = {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}
    with pytest.raises(PlatformError) as caught:
        answer(call, body, status)
    return caught.value


class TestHowItAsks:
    def test_the_token_and_a_date_go_with_every_call(self) -> None:
        headers = cloudflare.get_zone("z1").request.headers
        assert headers["Authorization"] == "Bearer cloudflare-key-1234"
        assert headers["api-version"]

    def test_filters_are_dotted(self) -> None:
        assert cloudflare.find_zone(DOMAIN.upper()).request.query == {"name": DOMAIN, "account.id": "acc1"}

    def test_an_empty_id_would_name_the_whole_collection(self) -> None:
        for build in (cloudflare.get_zone, cloudflare.list_records, cloudflare.record_usage):
            with pytest.raises(ValueError, match="id"):
                build(" ")

    def test_adding_a_zone_spends_a_budget_of_its_own(self) -> None:
        assert cloudflare.create_zone(DOMAIN).budgets == ("cloudflare.general", "cloudflare.zones")


class TestRecords:
    @pytest.mark.parametrize(
        ("content", "written"),
        [
            ("v=spf1 ~all", '"v=spf1 ~all"'),
            ('say "hi" \\', '"say \\"hi\\" \\\\"'),
            ("é", '"\\195\\169"'),
            ("", '""'),
            ("k" * 300, f'"{"k" * 255}" "{"k" * 45}"'),
        ],
    )
    def test_texts_are_quoted_at_the_edge_and_come_back_whole(self, content: str, written: str) -> None:
        assert quoted(content) == written
        assert unquoted(written) == content

    @pytest.mark.parametrize("bare", ["v=spf1 ~all", 'half "quoted', '"open', "a\\b"])
    def test_what_is_not_quoted_stays_as_it_is(self, bare: str) -> None:
        assert unquoted(bare) == bare

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (DnsRecord("TXT", "A.com", "v=spf1 ~all"), DnsRecord("txt", "a.com.", '"v=spf1" " ~all"')),
            (DnsRecord("MX", "a.com", "Smtp.google.com.", 1), DnsRecord("MX", "a.com", "smtp.google.com", 1)),
            (DnsRecord("CNAME", "a.com", "b.com.", ttl=1), DnsRecord("CNAME", "a.com", "B.com", 9, 300, "x", "r1")),
            (DnsRecord("AAAA", "a.com", "2001:DB8::1"), DnsRecord("AAAA", "a.com", "2001:db8:0::1")),
        ],
    )
    def test_two_spellings_of_one_record(self, one: DnsRecord, other: DnsRecord) -> None:
        assert one.key == other.key

    def test_case_and_priority_tell_records_apart(self) -> None:
        assert DnsRecord("TXT", "a.com", "K").key != DnsRecord("TXT", "a.com", "k").key
        assert DnsRecord("MX", "a.com", "b.com", 1).key != DnsRecord("MX", "a.com", "b.com", 5).key

    def test_marks(self) -> None:
        assert mark("GTM-7K3F9Q", "spf") == "gtm:GTM-7K3F9Q:spf"
        assert marked("gtm:GTM-7K3F9Q:spf") == ("GTM-7K3F9Q", "spf")
        for foreign in ("", "gtm", "gtm:x", "my gtm:GTM-7K3F9Q:spf", "gtm:GTM-7K3F9Q:spf:x"):
            assert marked(foreign) is None
        for bad in ("", "a b", "a:b", "k" * 100):
            with pytest.raises(ValueError, match="mark"):
                mark("GTM-7K3F9Q", bad)

    @pytest.mark.parametrize(
        ("info", "following"),
        [
            ({"page": 1, "per_page": 1, "total_count": 3, "total_pages": 3}, 2),
            ({"page": 1, "per_page": 1, "total_count": 3}, 2),
            ({"page": 1, "total_pages": 1}, None),
            ({}, None),
            (None, None),
        ],
    )
    def test_pages_end_where_they_say(self, info: Any, following: int | None) -> None:
        page = answer(cloudflare.list_records("z1"), wrapped([SPF_ROW], result_info=info))
        assert (page.records[0].content, page.next_page) == ("v=spf1 ~all", following)

    def test_an_empty_page_is_the_last(self) -> None:
        empty = answer(cloudflare.list_records("z1", 4), wrapped([], result_info={"page": 4, "total_pages": 9}))
        assert empty.next_page is None


class TestBatch:
    def test_what_is_sent(self) -> None:
        old = DnsRecord("TXT", DOMAIN, "old", comment=SPF.comment, id="r1")
        gone = DnsRecord("MX", DOMAIN, "mx.old.com", 1, comment="gtm:GTM-7K3F9Q:mx", id="r2")
        mx = DnsRecord("MX", DOMAIN, "smtp.google.com.", 1, ttl=1, comment=gone.comment)
        call = cloudflare.batch_records(DOMAIN, "z1", deletes=[gone], patches=[(old, SPF)], posts=[mx])
        assert call.request.json == {
            "deletes": [{"id": "r2"}],
            "patches": [{"id": "r1", "type": "TXT", "name": DOMAIN, "content": '"v=spf1 ~all"', "ttl": 300,
                         "proxied": False, "comment": SPF.comment}],
            "posts": [{"type": "MX", "name": DOMAIN, "content": "smtp.google.com", "ttl": 1, "proxied": False,
                       "comment": gone.comment, "priority": 1}],
        }  # fmt: skip
        assert (call.items, call.proof, call.repeatable) == ((DOMAIN,), Proof.READ, False)

    def test_what_somebody_else_made_is_touched_with_a_persons_word_only(self) -> None:
        foreign = DnsRecord("TXT", DOMAIN, "v=spf1 -all", id="r9")
        for change in ({"deletes": [foreign]}, {"patches": [(foreign, SPF)]}):
            with pytest.raises(ValueError, match="agreed"):
                cloudflare.batch_records(DOMAIN, "z1", **change)
            assert cloudflare.batch_records(DOMAIN, "z1", **change, agreed={"r9"})

    def test_nothing_too_much_and_half_a_record(self) -> None:
        for rows in ([], [SPF] * 201):
            with pytest.raises(ValueError, match="changes"):
                cloudflare.batch_records(DOMAIN, "z1", posts=rows)
        with pytest.raises(ValueError, match="id"):
            cloudflare.batch_records(DOMAIN, "z1", deletes=[SPF])
        with pytest.raises(ValueError, match="priority"):
            cloudflare.batch_records(DOMAIN, "z1", posts=[DnsRecord("MX", DOMAIN, "b.com")])

    @pytest.mark.parametrize("result", [None, {}, {"posts": []}, {"posts": [{**SPF_ROW, "content": "other"}]}])
    def test_what_does_not_name_every_record_is_unknown(self, result: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(BATCH, wrapped(result))

    def test_it_comes_back_as_it_was_sent_or_in_quotes(self) -> None:
        for content in ("v=spf1 ~all", '"v=spf1 ~all"'):
            assert answer(BATCH, wrapped({"posts": [{**SPF_ROW, "content": content}]})).created[0].key == SPF.key

    @pytest.mark.parametrize(
        ("code", "message", "ours"),
        [
            (81053, "An A, AAAA, or CNAME record with that host already exists.", "name_conflict"),
            (81054, "A CNAME record with that host already exists.", "name_conflict"),
            (81045, "Record quota exceeded.", "quota_exceeded"),
            (81044, "Record does not exist.", "record_gone"),
            (1004, "DNS Validation Error", "bad_record"),
            (890, "Email Routing manages these records", "email_routing"),
            (1, "We do not like this", "refused"),
        ],
    )
    def test_refusals(self, code: int, message: str, ours: str) -> None:
        error = refusal(BATCH, code, message)
        assert isinstance(error, Rejected)
        assert error.code == ours

    @pytest.mark.parametrize("code", [81057, 81058])
    @pytest.mark.parametrize("status", [400, 409])
    def test_there_already(self, code: int, status: int) -> None:
        assert isinstance(refusal(BATCH, code, "An identical record already exists.", status), AlreadyExists)

    def test_the_reason_hangs_on_a_chain(self) -> None:
        row = {
            "code": 1004,
            "message": "DNS Validation Error",
            "error_chain": [{"code": 9021, "message": "Invalid TTL"}],
        }
        with pytest.raises(Rejected, match="Invalid TTL"):
            answer(BATCH, {"success": False, "errors": [row], "result": None}, 400)


class TestZones:
    def test_only_our_account_and_exactly_this_name(self) -> None:
        other = {**ZONE, "id": "z2", "account": {"id": "acc2"}}
        longer = {**ZONE, "id": "z3", "name": f"my{DOMAIN}"}
        assert [zone.id for zone in answer(cloudflare.find_zone(DOMAIN), wrapped([other, longer, ZONE]))] == ["z1"]

    @pytest.mark.parametrize("change", [{"account": {"id": "acc2"}}, {"name": "other.com"}, {"id": None}])
    def test_another_zone_than_the_one_asked_for_is_unknown(self, change: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            answer(cloudflare.create_zone(DOMAIN), wrapped({**ZONE, **change}))

    @pytest.mark.parametrize(("status", "is_known"), [("pending", True), ("moved", True), ("Odd_Word", False)])
    def test_a_status_that_is_not_active(self, status: str, is_known: bool) -> None:
        zone = answer(cloudflare.get_zone("z1"), wrapped({**ZONE, "status": status}))
        assert (zone.active, zone.is_known, zone.moved) == (False, is_known, status == "moved")

    @pytest.mark.parametrize(
        ("code", "message", "ours"),
        [
            (1105, "You have exceeded the limit for adding zones", "zone_limit"),
            (1, "Too many pending zones", "zone_limit"),
            (1049, "x.com is not a registered domain", "not_registered"),
            (1116, "You cannot use this API for domains with a .cf, .ga TLD", "ending_refused"),
            (1097, "x is not a valid zone name", "bad_name"),
        ],
    )
    def test_refusals(self, code: int, message: str, ours: str) -> None:
        error = refusal(cloudflare.create_zone(DOMAIN), code, message)
        assert isinstance(error, Rejected)
        assert error.code == ours

    def test_a_zone_that_somebody_has(self) -> None:
        assert isinstance(refusal(cloudflare.create_zone(DOMAIN), 1061, f"{DOMAIN} already exists"), AlreadyExists)

    def test_an_early_activation_check(self) -> None:
        error = refusal(cloudflare.activation_check(DOMAIN, "z1"), 1224, "only once per hour")
        assert isinstance(error, Rejected)
        assert error.code == "checked_recently"

    @pytest.mark.parametrize(("code", "status"), [(1001, 404), (7003, 400), (1001, 400)])
    def test_a_zone_that_is_not_there(self, code: int, status: int) -> None:
        assert isinstance(refusal(cloudflare.get_zone("z1"), code, "Invalid zone identifier", status), NotFound)


class TestPermissions:
    @pytest.mark.parametrize("code", [6003, 6111, 9103, 9106, 9109])
    @pytest.mark.parametrize("status", [400, 403])
    def test_a_wrong_token_shows_under_two_statuses(self, code: int, status: int) -> None:
        for call in (cloudflare.find_zone(DOMAIN), BATCH):
            assert isinstance(refusal(call, code, "Invalid", status), BadCredentials)

    def test_authentication_error_of_one_zone_may_mean_that_it_is_not_there(self) -> None:
        for call in (cloudflare.get_zone("z1"), cloudflare.list_records("z1"), BATCH):
            error = refusal(call, 10000, "Authentication error", 403)
            assert isinstance(error, Rejected)
            assert error.code == "zone_not_accessible"

    def test_authentication_error_of_the_account_means_the_token(self) -> None:
        for call in (cloudflare.find_zone(DOMAIN), cloudflare.create_zone(DOMAIN), cloudflare.list_zones()):
            assert isinstance(refusal(call, 10000, "Authentication error", 403), BadCredentials)


def test_usage() -> None:
    usage = answer(cloudflare.record_usage("z1"), wrapped({"record_quota": 200, "record_usage": 198}))
    assert (usage.has_room_for(2), usage.has_room_for(3)) == (True, False)
    assert answer(cloudflare.record_usage("z1"), wrapped({"record_quota": None, "record_usage": 9})).has_room_for(999)


def test_an_envelope_that_says_no_success_is_no_answer() -> None:
    with pytest.raises(Unavailable):
        answer(cloudflare.list_records("z1"), {**wrapped([]), "success": False})


def test_settings() -> None:
    settings = CloudflareSettings.from_mapping(
        {"CLOUDFLARE_API_TOKEN": "token-123", "CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_BATCH_MOST": "3500"}
    )
    assert (settings.batch_most, settings.ttl) == (3500, 300)
    assert "token-123" not in repr(CloudflareClient(settings).settings)
    assert CloudflareSettings(Hidden("token-123"), "a").page_size == 500
