"""Section 6 of platforms/cloudflare.md, "What the sandbox must reproduce": each heading below is one of its lines."""

from __future__ import annotations

from typing import Any

import pytest

from infra.dns.records import Type
from infra.dns.resolver import Answer, Status
from integrations.sandbox import Response, Wire
from integrations.sandbox.cloudflare_world import ACCOUNT
from integrations.sandbox.dns import delegate
from tests.integration.world import name_servers
from tests.unit.sandbox.kit import DAY, HOUR, Box

NAME = "ownexample.com"
SPF = {"type": "TXT", "name": "@", "content": '"v=spf1 include:_spf.google.com ~all"', "ttl": 300}
MX = {"type": "MX", "name": NAME, "content": "smtp.google.com", "priority": 1, "ttl": 1}


class Cloud(Box):
    """A sandbox, and short ways to talk to its Cloudflare."""

    def ask_zone(self, name: str = NAME, account: str = ACCOUNT) -> Response:
        return self.cloudflare("POST", "/zones", {"account": {"id": account}, "name": name, "type": "full"})

    def zone(self, name: str = NAME) -> dict[str, Any]:
        return dict(result(self.ask_zone(name)))

    def read(self, zone_id: str) -> Response:
        return self.cloudflare("GET", f"/zones/{zone_id}")

    def status(self, zone_id: str) -> str:
        return str(result(self.read(zone_id))["status"])

    def batch(self, zone_id: str, **changes: Any) -> Response:
        return self.cloudflare("POST", f"/zones/{zone_id}/dns_records/batch", changes)

    def add(self, zone_id: str, **row: Any) -> Response:
        return self.batch(zone_id, posts=[row])

    def records(self, zone_id: str, **query: Any) -> list[dict[str, Any]]:
        return list(result(self.cloudflare("GET", f"/zones/{zone_id}/dns_records", **query)))

    def delegate(self, *servers: str, name: str = NAME) -> None:
        delegate(self.sandbox.world, name, servers, self.clock.now())

    def dns(self, kind: Type = Type.TXT, server: str = "authoritative", name: str = NAME) -> Answer:
        servers = name_servers(self.sandbox)
        (found,) = [one for one in (*servers.resolvers, *servers.authoritative) if one.name == server]
        return found.query(name, kind)


def result(answer: Response) -> Any:
    body = answer.json()
    assert (answer.status, body["success"], body["errors"]) == (200, True, []), body
    return body["result"]


def refused(answer: Response) -> tuple[int, int]:
    """The status and the number of a refusal."""
    body = answer.json()
    assert (body["success"], body["result"]) == (False, None)
    return answer.status, body["errors"][0]["code"]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def zone_id(cloud: Cloud) -> str:
    return str(cloud.zone()["id"])


# Envelope, errors, paging, filters


@pytest.mark.parametrize(("header", "answer"), [("", (400, 6003)), ("Bearer wrong-token", (403, 9109))])
def test_only_the_token_opens(cloud: Cloud, header: str, answer: tuple[int, int]) -> None:
    headers = {"Authorization": header} if header else {}
    assert refused(cloud.send("GET", "/cloudflare/client/v4/zones", None, headers, {})) == answer


def test_a_revoked_token_and_one_without_rights(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.faults.add("no_permission", verb="batch_records", times=1)
    assert refused(cloud.add(zone_id, **SPF)) == (403, 10000)
    cloud.sandbox.faults.add("key_revoked", platform="cloudflare")
    assert refused(cloud.read(zone_id)) == (403, 9109)


def test_the_page_after_the_last_is_empty(cloud: Cloud, zone_id: str) -> None:
    cloud.batch(zone_id, posts=[{**SPF, "name": f"n{n}"} for n in range(5)])
    bodies = [
        cloud.cloudflare("GET", f"/zones/{zone_id}/dns_records", page=page, per_page=2).json() for page in range(1, 5)
    ]
    assert [len(body["result"]) for body in bodies] == [2, 2, 1, 0]
    assert bodies[2]["result_info"] == {"page": 3, "per_page": 2, "count": 1, "total_count": 5, "total_pages": 3}


def test_filters_are_dotted(cloud: Cloud, zone_id: str) -> None:
    cloud.batch(zone_id, posts=[{**SPF, "comment": "gtm:GTM-7K3F9Q:spf"}, MX])
    for query in (
        {"name.exact": NAME, "type": "TXT"},
        {"comment.startswith": "gtm:"},
        {"content.exact": SPF["content"]},
    ):
        assert [row["type"] for row in cloud.records(zone_id, **query)] == ["TXT"]


@pytest.mark.parametrize(("form", "answer"), [("403", (403, 10000)), ("404", (404, 1001))])
def test_a_zone_that_is_not_there(cloud: Cloud, form: str, answer: tuple[int, int]) -> None:
    cloud.sandbox.switches.set(cloudflare_unknown_zone=form)
    assert refused(cloud.read("0" * 32)) == answer
    assert refused(cloud.cloudflare("GET", "/elsewhere")) == (400, 7003)


@pytest.mark.parametrize("body", [None, [], {"posts": "x"}, {"posts": [7]}, {"posts": [{"type": 7}]}, {}])
def test_bad_input_is_a_refusal(cloud: Cloud, zone_id: str, body: Any) -> None:
    answer = cloud.cloudflare("POST", f"/zones/{zone_id}/dns_records/batch", body)
    assert answer.status == 400
    assert cloud.ask_zone("no domain").status == cloud.ask_zone("").status == 400


# Zones


def test_a_zone_is_pending_with_a_pair_of_its_own(cloud: Cloud) -> None:
    zones = [cloud.zone(f"own{n}.com") for n in range(6)]
    assert {zone["status"] for zone in zones} == {"pending"}
    assert len({tuple(zone["name_servers"]) for zone in zones}) > 3
    assert all(len(zone["name_servers"]) == 2 for zone in zones)


def test_adding_again_assigns_another_pair(cloud: Cloud) -> None:
    first = cloud.zone()
    assert result(cloud.cloudflare("DELETE", f"/zones/{first['id']}")) == {"id": first["id"]}
    second = cloud.zone()
    assert second["id"] != first["id"]
    assert second["name_servers"] != first["name_servers"]


@pytest.mark.parametrize("status", [400, 409])
def test_a_name_that_somebody_has(cloud: Cloud, zone_id: str, status: int) -> None:
    cloud.sandbox.switches.set(cloudflare_conflict_status=status, cloudflare_held_names="held.com other.com")
    assert refused(cloud.ask_zone()) == refused(cloud.ask_zone("held.com")) == (status, 1061)
    assert result(cloud.cloudflare("GET", "/zones", name="held.com")) == []


def test_another_account_and_endings_that_are_refused(cloud: Cloud) -> None:
    assert refused(cloud.ask_zone(account="somebody")) == (403, 10000)
    assert refused(cloud.ask_zone("free.tk")) == (400, 1116)
    assert result(cloud.cloudflare("GET", "/zones", **{"account.id": "somebody"})) == []


@pytest.mark.parametrize(("form", "status"), [("accept", 200), ("refuse", 400)])
def test_a_name_that_nobody_has_registered(cloud: Cloud, form: str, status: int) -> None:
    cloud.sandbox.switches.set(cloudflare_unregistered=form)
    assert cloud.ask_zone().status == status
    cloud.delegate("ns1.registrar.example", name="real.com")
    assert cloud.ask_zone("real.com").status == 200


def test_it_is_active_at_the_first_look_after_the_delegation_matches(cloud: Cloud) -> None:
    zone = cloud.zone()
    cloud.sandbox.advance(30)
    cloud.delegate(*zone["name_servers"])
    assert cloud.status(zone["id"]) == "pending"
    cloud.sandbox.advance(29)
    assert cloud.status(zone["id"]) == "pending"
    cloud.sandbox.advance(1)
    assert cloud.status(zone["id"]) == "active"
    assert result(cloud.read(zone["id"]))["activated_on"]


def test_one_server_of_the_pair_is_not_enough(cloud: Cloud) -> None:
    zone = cloud.zone()
    cloud.delegate(zone["name_servers"][0], "ns1.registrar.example")
    cloud.sandbox.advance(DAY)
    assert cloud.status(zone["id"]) == "pending"


@pytest.mark.parametrize(("plan", "gap"), [("free", HOUR), ("paid", 300.0)])
@pytest.mark.parametrize("status", [400, 429])
def test_a_look_on_demand_has_its_own_pace(cloud: Cloud, plan: str, gap: float, status: int) -> None:
    cloud.sandbox.switches.set(cloudflare_plan=plan, cloudflare_early_check_status=status)
    zone = cloud.zone()
    path = f"/zones/{zone['id']}/activation_check"
    assert result(cloud.cloudflare("PUT", path)) == {"id": zone["id"]}
    cloud.delegate(*zone["name_servers"])
    cloud.sandbox.advance(1)
    assert refused(cloud.cloudflare("PUT", path))[0] == status
    assert cloud.status(zone["id"]) == "pending"
    cloud.sandbox.advance(gap)
    assert cloud.cloudflare("PUT", path).status == 200
    assert cloud.status(zone["id"]) == "active"


def test_the_clocks_of_28_and_7_and_7_days(cloud: Cloud) -> None:
    zone = cloud.zone()
    cloud.sandbox.advance(28 * DAY - 1)
    assert cloud.status(zone["id"]) == "pending"
    cloud.sandbox.advance(1)
    assert cloud.read(zone["id"]).status == 403
    assert cloud.dns().status is not Status.RECORDS
    assert [row["status"] for row in cloud.sandbox.state()["cloudflare"]["zones"]] == ["deleted"]
    cloud.sandbox.advance(7 * DAY)
    assert cloud.sandbox.state()["cloudflare"]["zones"] == []


def test_a_zone_that_is_led_away_moves_and_goes_after_seven_days_unless_it_comes_back(cloud: Cloud) -> None:
    zone = cloud.zone()
    cloud.delegate(*zone["name_servers"])
    cloud.sandbox.advance(60)
    cloud.delegate("ns1.registrar.example")
    cloud.sandbox.advance(DAY)
    assert cloud.status(zone["id"]) == "moved"
    cloud.delegate(*zone["name_servers"])
    cloud.sandbox.advance(9 * DAY)
    assert cloud.status(zone["id"]) == "active"
    cloud.delegate("ns1.registrar.example")
    cloud.sandbox.advance(8 * DAY)
    assert cloud.read(zone["id"]).status == 403


@pytest.mark.parametrize("status", [400, 429])
def test_25_zones_in_ten_minutes(cloud: Cloud, status: int) -> None:
    cloud.sandbox.switches.set(cloudflare_zone_limit_status=status)
    answers = [cloud.ask_zone(f"own{n}.com").status for n in range(26)]
    assert answers == [200] * 25 + [status]
    cloud.sandbox.advance(600)
    assert cloud.ask_zone("own25.com").status == 200


def test_more_pending_than_active_zones_in_a_big_account(cloud: Cloud) -> None:
    cloud.sandbox.switches.set(cloudflare_zones_unwatched=3, cloudflare_zones_per_10_min=0)
    zones = [cloud.zone(f"own{n}.com") for n in range(4)]
    assert cloud.ask_zone("own4.com").status == 400
    for zone in zones[:2]:
        cloud.delegate(*zone["name_servers"], name=zone["name"])
    cloud.sandbox.advance(60)
    assert cloud.ask_zone("own4.com").status == 200


def test_a_status_nobody_knows(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.faults.add("unknown_status", platform="cloudflare", times=1)
    assert cloud.status(zone_id) == "provisioning"


# Records


@pytest.mark.parametrize("code", [81058, 81057])
def test_the_same_record_again(cloud: Cloud, zone_id: str, code: int) -> None:
    cloud.sandbox.switches.set(cloudflare_identical_code=code)
    cloud.add(zone_id, **SPF)
    assert refused(cloud.add(zone_id, **SPF)) == (400, code)
    assert refused(cloud.add(zone_id, **{**SPF, "content": str(SPF["content"]).strip('"')})) == (400, code)


def test_an_alias_stands_alone_among_addresses_and_aliases(cloud: Cloud, zone_id: str) -> None:
    alias = {"type": "CNAME", "name": "inst", "content": "track.example.net", "ttl": 1}
    address = {"type": "A", "name": "www", "content": "192.0.2.1", "ttl": 1}
    cloud.batch(zone_id, posts=[alias, address])
    assert refused(cloud.add(zone_id, **{**alias, "content": "other.example.net"})) == (400, 81054)
    assert refused(cloud.add(zone_id, **{**address, "name": "inst"})) == (400, 81054)
    assert refused(cloud.add(zone_id, **{**alias, "name": "www"})) == (400, 81053)
    assert cloud.add(zone_id, **{**SPF, "name": "inst"}).status == 200


def test_a_second_spf_record_is_accepted_without_a_word(cloud: Cloud, zone_id: str) -> None:
    assert cloud.add(zone_id, **SPF).status == 200
    assert cloud.add(zone_id, **{**SPF, "content": '"v=spf1 -all"'}).status == 200
    assert len(cloud.records(zone_id)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"ttl": 59}, {"ttl": 86_401}, {"content": "k" * 4097}, {"type": "SPF"}, {"name": "a..b"}, {"proxied": True},
        {"comment": "k" * 101}, {"type": "A"}, {"type": "MX"}, {"type": "MX", "priority": 70_000},
        {"type": "CNAME", "content": "no host"},
    ],
    ids=str,
)  # fmt: skip
def test_limits_of_a_record(cloud: Cloud, zone_id: str, change: dict[str, Any]) -> None:
    assert refused(cloud.add(zone_id, **{**SPF, **change})) == (400, 1004)


def test_contents_of_one_name_and_type_have_a_limit_together(cloud: Cloud, zone_id: str) -> None:
    answers = [cloud.add(zone_id, **{**SPF, "content": letter * 3000}).status for letter in "abc"]
    assert answers == [200, 200, 400]


def test_the_quota(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.switches.set(cloudflare_record_quota=2)
    usage = f"/zones/{zone_id}/dns_records/usage"
    assert refused(cloud.batch(zone_id, posts=[{**SPF, "name": f"n{n}"} for n in range(3)])) == (400, 81045)
    cloud.add(zone_id, **SPF)
    assert result(cloud.cloudflare("GET", usage)) == {"record_quota": 2, "record_usage": 1}
    cloud.sandbox.switches.set(cloudflare_quota_of="account")
    assert result(cloud.cloudflare("GET", usage)) == {"record_quota": None, "record_usage": 1}


def test_a_batch_is_all_or_nothing(cloud: Cloud, zone_id: str) -> None:
    cloud.batch(zone_id, posts=[SPF, MX])
    before = cloud.records(zone_id)
    changes = {"deletes": [{"id": before[0]["id"]}], "posts": [{**SPF, "name": "new"}, {**SPF, "ttl": 5}]}
    assert refused(cloud.batch(zone_id, **changes)) == (400, 1004)
    assert cloud.records(zone_id) == before
    assert refused(cloud.batch(zone_id, deletes=[{"id": "nobody"}])) == (404, 81044)


def test_a_batch_goes_deletes_patches_puts_posts(cloud: Cloud, zone_id: str) -> None:
    cloud.batch(zone_id, posts=[{**SPF, "comment": "kept"}, {**MX, "comment": "lost"}, {**SPF, "name": "gone"}])
    spf, mx, gone = cloud.records(zone_id)
    done = result(
        cloud.batch(
            zone_id,
            posts=[{"type": "CNAME", "name": "gone", "content": "a.example.net", "ttl": 1}],
            puts=[{**MX, "id": mx["id"], "priority": 5}],
            patches=[{"id": spf["id"], "content": '"v=spf1 -all"'}],
            deletes=[{"id": gone["id"]}],
        )
    )
    assert [len(done[kind]) for kind in ("deletes", "patches", "puts", "posts")] == [1, 1, 1, 1]
    rows = {row["id"]: row for row in cloud.records(zone_id)}
    assert (rows[spf["id"]]["comment"], rows[spf["id"]]["content"]) == ("kept", '"v=spf1 -all"')
    assert (rows[mx["id"]]["comment"], rows[mx["id"]]["priority"]) == (None, 5)
    assert gone["id"] not in rows


def test_more_changes_than_a_batch_takes(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.switches.set(cloudflare_batch_most=2)
    assert cloud.batch(zone_id, posts=[{**SPF, "name": f"n{n}"} for n in range(3)]).status == 400


def test_a_single_record_is_made_changed_and_removed(cloud: Cloud, zone_id: str) -> None:
    path = f"/zones/{zone_id}/dns_records"
    made = result(cloud.cloudflare("POST", path, SPF))
    assert result(cloud.cloudflare("PATCH", f"{path}/{made['id']}", {"ttl": 600}))["content"] == SPF["content"]
    assert result(cloud.cloudflare("PUT", f"{path}/{made['id']}", {**SPF, "ttl": 900}))["ttl"] == 900
    assert result(cloud.cloudflare("DELETE", f"{path}/{made['id']}")) == {"id": made["id"]}
    assert cloud.records(zone_id) == []


def test_a_text_comes_back_as_it_was_sent_until_the_dashboard_has_touched_it(cloud: Cloud, zone_id: str) -> None:
    cloud.add(zone_id, **{**SPF, "content": "v=spf1 ~all"})
    assert cloud.records(zone_id)[0]["content"] == "v=spf1 ~all"
    cloud.sandbox.switches.set(cloudflare_dashboard_touched=True)
    assert cloud.records(zone_id)[0]["content"] == '"v=spf1 ~all"'


# Token bucket


def test_1200_calls_in_five_minutes_and_then_nothing_for_five(cloud: Cloud) -> None:
    cloud.sandbox.switches.set(cloudflare_per_5_min=3)
    answers = [cloud.cloudflare("GET", "/zones") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=300'
    assert "r=2;" in answers[0].headers["ratelimit"]
    assert answers[3].headers["retry-after"] == "300"
    cloud.sandbox.advance(299)
    again = cloud.cloudflare("GET", "/zones")
    assert (again.status, again.headers["retry-after"]) == (429, "1")
    cloud.sandbox.advance(1)
    assert cloud.cloudflare("GET", "/zones").status == 200
    assert len(cloud.sandbox.quotas.violations) == 2


# Faults


@pytest.mark.parametrize(
    ("kind", "seen", "happened"),
    [
        ("timeout_after", Wire.SILENT, True),
        ("status_after", Wire.ANSWERED, True),
        ("html_body", Wire.ANSWERED, True),
        ("status", Wire.ANSWERED, False),
        ("nothing_happens", Wire.ANSWERED, False),
    ],
)
def test_a_batch_whose_answer_is_lost(cloud: Cloud, zone_id: str, kind: str, seen: Wire, happened: bool) -> None:
    cloud.sandbox.faults.add(kind, platform="cloudflare", verb="batch_records", status=502, times=1)
    assert cloud.add(zone_id, **SPF).wire is seen
    assert bool(cloud.records(zone_id)) is happened


def test_a_list_that_lags(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.faults.add("list_lag", platform="cloudflare", seconds=60)
    cloud.add(zone_id, **SPF)
    assert cloud.records(zone_id) == []
    cloud.sandbox.advance(60)
    assert len(cloud.records(zone_id)) == 1


# Real DNS behind it


def test_the_assigned_servers_answer_while_the_zone_is_pending_and_nobody_else(cloud: Cloud) -> None:
    cloud.sandbox.switches.set(dns_negative_ttl_seconds=0)
    zone = cloud.zone()
    cloud.batch(zone["id"], posts=[SPF, MX])
    cloud.sandbox.advance(60)
    assert cloud.dns().values == ("v=spf1 include:_spf.google.com ~all",)
    assert cloud.dns(Type.NS).status is Status.NXDOMAIN  # where it is, the servers above it are asked
    assert cloud.dns(server="first").status is Status.NXDOMAIN
    cloud.delegate(*zone["name_servers"])
    assert cloud.dns(Type.NS).values == tuple(sorted(zone["name_servers"]))
    assert [one.shown for one in cloud.dns(Type.MX, "first").records] == ["1 smtp.google.com"]


def test_a_record_is_in_the_list_before_the_edge_shows_it(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.switches.set(cloudflare_edge_seconds=(30, 30))
    cloud.sandbox.faults.add("slow_edge", seconds=100, times=1)
    cloud.add(zone_id, **SPF)
    cloud.sandbox.advance(129)
    assert (len(cloud.records(zone_id)), cloud.dns().status) == (1, Status.NO_ANSWER)
    cloud.sandbox.advance(1)
    assert cloud.dns().status is Status.RECORDS


def test_name_servers_differ_for_a_while(cloud: Cloud, zone_id: str) -> None:
    cloud.sandbox.switches.set(cloudflare_edge_seconds=(0, 0))
    cloud.sandbox.advance(60)
    cloud.add(zone_id, **SPF)
    cloud.sandbox.advance(10)
    cloud.sandbox.faults.add("edge_differs", items=[NAME], seconds=30, times=1)
    assert [cloud.dns().status for _ in range(2)] == [Status.NO_ANSWER, Status.RECORDS]


def test_the_log_names_the_order_by_the_mark(cloud: Cloud, zone_id: str) -> None:
    cloud.add(zone_id, **{**SPF, "comment": "gtm:GTM-7K3F9Q:spf"})
    cloud.records(zone_id)
    cloud.cloudflare("GET", "/zones", name=NAME)
    entries = list(cloud.sandbox.log)[-3:]
    assert [entry.verb for entry in entries] == ["batch_records", "list_records", "find_zone"]
    assert {entry.student_ref for entry in entries} == {"GTM-7K3F9Q"}
