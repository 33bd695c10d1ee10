"""The core of the sandbox: routing, faults around the work, quotas, log, clock and state file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from integrations.http.errors import NotSent, OutcomeUnknown
from integrations.sandbox import ManualClock, Request, RunningClock, Sandbox, Wire
from integrations.sandbox.faults import AFTER, BEFORE, KINDS
from integrations.sandbox.store import BadState
from integrations.sandbox.switches import Switches
from tests.unit.sandbox.kit import BILLING, HEYREACH, MACHINE, Box, call

KEY = {"x-api-key": "sandbox-heyreach-key"}
LIST = f"http://sandbox.test{HEYREACH}/list/CreateEmptyList"


@pytest.fixture
def box() -> Box:
    return Box()


def make_list(box: Box, name: str = "Prospects GTM-7K3F9Q") -> Any:
    return box.heyreach("POST", "/list/CreateEmptyList", {"name": name})


def lists(box: Box) -> list[str]:
    return [item["name"] for item in box.sandbox.state()["heyreach"]["lists"]]


# Chance and time


def test_the_same_seed_gives_the_same_ids_and_durations_and_another_seed_does_not() -> None:
    def story(seed: int) -> list[Any]:
        box = Box(seed=seed)
        workspace = box.workspace()
        box.buy(workspace, "getexamplebrand.com")
        return [workspace, [event.at for event in box.sandbox.world.events]]

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_durations_do_not_depend_on_the_order_of_requests() -> None:
    def due(*names: str) -> dict[str, float]:
        box = Box()
        workspace = box.workspace()
        for name in names:
            box.buy(workspace, name)
        ids = {d.id: d.name for d in box.sandbox.world.zapmail.domains.values()}
        return {ids[event.data["domain"]]: event.at for event in box.sandbox.world.events}

    assert due("getone.com", "gettwo.com") == due("gettwo.com", "getone.com")


def test_a_running_clock_goes_at_its_speed_and_is_continuous_over_a_change_of_speed() -> None:
    machine = [1000.0]
    clock = RunningClock.starting(60.0, machine=lambda: machine[0])
    machine[0] += 10
    assert clock.now() == 1600.0
    clock.advance(5)
    slower = clock.at_speed(1.0)
    assert slower.now() == clock.now() == 1605.0
    machine[0] += 10
    assert slower.now() == 1615.0
    assert slower.real() == 1025.0


def test_time_does_not_run_backwards(box: Box) -> None:
    with pytest.raises(ValueError, match="backwards"):
        box.sandbox.advance(-1)


def test_events_happen_in_order_at_their_own_time_even_when_the_clock_jumps(box: Box) -> None:
    workspace = box.workspace()
    start = box.clock.now()
    box.buy(workspace, "getexamplebrand.com")
    box.sandbox.advance(10 * 86_400)
    domain = box.sandbox.world.zapmail.domain_named("getexamplebrand.com")
    assert domain is not None
    assert start + 480 <= domain.updated_at <= start + 1200


# Faults before the work


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("refuse", Wire.REFUSED),
        ("unreachable", Wire.UNREACHABLE),
        ("timeout_before", Wire.SILENT),
        ("reset_before", Wire.RESET),
    ],
)
def test_a_connection_fault_before_the_work_leaves_nothing_done(box: Box, kind: str, wire: Wire) -> None:
    box.sandbox.faults.add(kind, platform="heyreach", verb="create_list", times=1)
    assert make_list(box).wire is wire
    assert lists(box) == []
    assert make_list(box).status == 200


@pytest.mark.parametrize("advice", [None, "30", "-5", "a while", "99999999999"])
def test_429_comes_with_without_and_with_absurd_advice(box: Box, advice: str | None) -> None:
    box.sandbox.faults.add("rate_limit", advice=advice, times=1)
    answer = make_list(box)
    assert (answer.status, answer.headers.get("retry-after")) == (429, advice)
    assert lists(box) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500, 502, 503])
def test_any_status_can_be_answered_before_the_work(box: Box, status: int) -> None:
    box.sandbox.faults.add("status", status=status)
    assert make_list(box).status == status
    assert lists(box) == []


def test_a_redirect_points_elsewhere(box: Box) -> None:
    box.sandbox.faults.add("redirect")
    answer = make_list(box)
    assert (answer.status, "location" in answer.headers) == (302, True)


def test_late_execution_does_the_work_after_the_answer_was_lost(box: Box) -> None:
    box.sandbox.faults.add("late_execution", verb="create_list", seconds=120.0, times=1)
    assert make_list(box).wire is Wire.SILENT
    box.sandbox.advance(119)
    assert lists(box) == []
    box.sandbox.advance(1)
    assert lists(box) == ["Prospects GTM-7K3F9Q"]


# Faults after the work


@pytest.mark.parametrize("kind", sorted(AFTER))
def test_a_fault_after_the_work_leaves_the_work_done(box: Box, kind: str) -> None:
    box.sandbox.faults.add(kind, verb="create_list", times=1)
    make_list(box)
    assert lists(box) == ["Prospects GTM-7K3F9Q"]


def test_answers_are_mangled_as_named(box: Box) -> None:
    def answer(kind: str) -> Any:
        box.sandbox.faults.add(kind, times=1)
        return make_list(box)

    assert answer("empty_body").body == b""
    assert answer("html_body").body.startswith(b"<!doctype html>")
    assert answer("null_id").json()["id"] is None
    assert answer("wrong_type").json()["id"] == "unexpected"
    assert len(answer("huge_body").body) > 1_000_000
    assert answer("status_after").status == 500
    with pytest.raises(ValueError):
        answer("garbage_body").json()
    cut = answer("truncated_body")
    assert cut.wire is Wire.TRUNCATED


def test_wrong_types_spare_no_member_and_odd_words_stand_where_words_stood(box: Box) -> None:
    plain = box.zapmail("POST", "/v2/workspaces", {"name": "Other GTM-AAAAAA", "billingDetails": BILLING}).json()
    box.sandbox.faults.add("wrong_type", verb="create_workspace", times=1)
    mangled = box.zapmail("POST", "/v2/workspaces", {"name": "More GTM-BBBBBB", "billingDetails": BILLING}).json()
    assert set(mangled) == set(plain)
    assert all(type(mangled[name]) is not type(plain[name]) for name in plain)

    box.sandbox.faults.add("unknown_word", value="QUEUED")
    rows = box.heyreach("POST", "/list/GetAll", {}).json()["items"] or [make_list(box).json()]
    assert (rows[0]["listType"], rows[0]["status"], rows[0]["name"]) == ("QUEUED", "QUEUED", "Prospects GTM-7K3F9Q")


def test_a_slow_body_takes_machine_seconds(box: Box) -> None:
    box.sandbox.faults.add("slow_body", seconds=3.0)
    assert make_list(box).delay == 3.0


def test_a_lagging_list_shows_new_things_later(box: Box) -> None:
    box.sandbox.faults.add("list_lag", platform="heyreach", verb="find_lists", seconds=90.0)
    make_list(box)
    assert box.heyreach("POST", "/list/GetAll", {}).json()["totalCount"] == 0
    box.sandbox.advance(90)
    assert box.heyreach("POST", "/list/GetAll", {}).json()["totalCount"] == 1


def test_a_shuffled_list_shows_the_same_things_in_another_order_each_time(box: Box) -> None:
    names = [f"Prospects GTM-{letter * 6}" for letter in "ABCDEFGH"]
    for name in names:
        make_list(box, name)
    box.sandbox.faults.add("shuffled", platform="heyreach")
    orders = []
    for _ in range(4):
        rows = box.heyreach("POST", "/list/GetAll", {}).json()["items"]
        orders.append([row["name"] for row in rows])
    assert all(sorted(order) == names for order in orders)
    assert len({tuple(order) for order in orders}) == 4


# The fault table


def test_faults_hit_only_their_platform_verb_and_items(box: Box) -> None:
    box.sandbox.faults.add("status", platform="zapmail")
    box.sandbox.faults.add("status", platform="heyreach", verb="add_leads")
    box.sandbox.faults.add("status", platform="heyreach", verb="create_list", items=["Other"])
    assert make_list(box).status == 200
    assert make_list(box, "Other").status == 500


def test_a_fault_can_be_about_one_students_requests_only(box: Box) -> None:
    box.sandbox.faults.add("status", ref="GTM-7K3F9Q", skip=1, times=1)
    assert [make_list(box, f"Prospects {ref}").status for ref in ("GTM-7K3F9Q", "GTM-ABC123")] == [200, 200]
    assert [make_list(box, f"More {ref}").status for ref in ("GTM-ABC123", "GTM-7K3F9Q")] == [200, 500]


def test_a_fault_can_skip_the_first_requests_and_end_after_some(box: Box) -> None:
    box.sandbox.faults.add("status", skip=1, times=2)
    assert [make_list(box).status for _ in range(4)] == [200, 500, 500, 200]


def test_a_share_hits_about_that_share_and_the_same_requests_for_the_same_seed() -> None:
    def pattern() -> list[int]:
        box = Box(seed=7)
        box.sandbox.faults.add("status", share=0.2)
        return [make_list(box).status for _ in range(300)]

    assert pattern() == pattern()
    assert 40 <= pattern().count(500) <= 80


def test_unknown_faults_and_members_are_refused(box: Box) -> None:
    for wrong in ({"kind": "gremlins"}, {"kind": "status", "colour": 1}, {"kind": "status", "share": 2}):
        values: dict[str, Any] = dict(wrong)
        with pytest.raises(ValueError):
            box.sandbox.faults.add(values.pop("kind"), **values)


def test_every_kind_of_fault_is_in_one_group_only() -> None:
    assert not BEFORE & AFTER
    assert BEFORE | AFTER < KINDS


def test_the_demo_profile_is_low_but_on_and_none_is_silent() -> None:
    assert Sandbox(speed=ManualClock()).faults.faults == []
    demo = Sandbox(speed=ManualClock(), profile="demo").faults.faults
    assert demo
    assert all(fault.share <= 0.05 for fault in demo if fault.kind in BEFORE | AFTER)
    with pytest.raises(ValueError, match="no profile"):
        Sandbox(speed=ManualClock(), profile="chaos")


# Switches


def test_a_switch_takes_only_its_positions_and_nothing_changes_when_one_is_wrong(box: Box) -> None:
    with pytest.raises(ValueError, match="zapmail_wallet is one of"):
        box.sandbox.switches.set(zapmail_prices_as="string", zapmail_wallet="pocket")
    assert box.sandbox.switches.zapmail_prices_as == "number"
    with pytest.raises(ValueError, match="no switch"):
        box.sandbox.switches.set(zapmail_unicorns=True)
    with pytest.raises(ValueError, match="least"):
        box.sandbox.switches.set(zapmail_slots_seconds=[5, 1])


def test_switches_take_json_and_form_values(box: Box) -> None:
    box.sandbox.switches.set(
        zapmail_unauthorised_status="403", plusvibe_names_in_bulk_update="true", zapmail_slots_seconds=[1, 2]
    )
    switches = box.sandbox.switches
    assert switches.zapmail_unauthorised_status == 403
    assert switches.plusvibe_names_in_bulk_update is True
    assert switches.zapmail_slots_seconds == (1.0, 2.0)


def test_every_switch_is_explained_in_the_divergences() -> None:
    page = (Path(__file__).parents[3] / "docs" / "divergences.md").read_text()
    assert [item.name for item in fields(Switches) if f"`{item.name}`" not in page] == []


# Log and quotas


def test_the_log_names_verb_items_reference_and_fault_but_no_body_or_key(box: Box) -> None:
    box.sandbox.faults.add("reset_after", verb="create_list")
    make_list(box)
    entry = box.sandbox.log[-1]
    assert (entry.platform, entry.verb, entry.items) == ("heyreach", "create_list", ("Prospects GTM-7K3F9Q",))
    assert (entry.student_ref, entry.fault, entry.work_done, entry.status) == ("GTM-7K3F9Q", "reset_after", True, 200)
    assert "sandbox-heyreach-key" not in repr(box.sandbox.log.entries)


def test_the_log_finds_the_reference_by_the_workspace_of_the_request(box: Box) -> None:
    workspace = box.workspace("Sample GTM-ABC123")
    box.domains(workspace)
    assert box.sandbox.log[-1].student_ref == "GTM-ABC123"


def test_an_exceeded_window_answers_429_records_the_violation_and_frees_again() -> None:
    box = Box(heyreach_per_minute=2, heyreach_retry_after="seconds")
    assert [make_list(box).status for _ in range(3)] == [200, 200, 429]
    assert [v.window for v in box.sandbox.quotas.violations] == ["general"]
    assert box.sandbox.quotas.used("heyreach", "general") == 2
    box.clock.advance(60)
    assert make_list(box).status == 200


def test_retry_after_of_an_exceeded_window_is_a_switch() -> None:
    box = Box(heyreach_per_minute=1)
    make_list(box)
    assert "retry-after" not in make_list(box).headers
    box.sandbox.switches.set(heyreach_retry_after="seconds")
    assert 0 < int(make_list(box).headers["retry-after"]) <= 61


def test_quotas_are_shown_without_keys(box: Box) -> None:
    make_list(box)
    assert "sandbox-heyreach-key" not in json.dumps(box.sandbox.quotas.snapshot())


# The in-process transport


def test_the_transport_answers_like_a_network(box: Box) -> None:
    raw = box.sandbox.transport().send(
        call(LIST, method="POST", json={"name": "A"}, headers={"X-API-KEY": KEY["x-api-key"]})
    )
    assert (raw.status, raw.document()["name"]) == (200, "A")
    assert "content-type" in raw.headers


def test_the_transport_refuses_to_begin_after_send_before(box: Box) -> None:
    with pytest.raises(NotSent):
        box.sandbox.transport().send(call(LIST, method="POST", json={"name": "A"}, headers=KEY), send_before=0.0)
    assert lists(box) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", NotSent),
        ("timeout_before", OutcomeUnknown),
        ("timeout_after", OutcomeUnknown),
        ("reset_before", OutcomeUnknown),
        ("reset_after", OutcomeUnknown),
        ("truncated_body", OutcomeUnknown),
        ("huge_body", OutcomeUnknown),
        ("late_execution", OutcomeUnknown),
    ],
)
def test_the_transport_translates_faults(box: Box, kind: str, error: type[Exception]) -> None:
    box.sandbox.faults.add(kind)
    with pytest.raises(error):
        box.sandbox.transport().send(call(LIST, method="POST", json={"name": "A"}, headers=KEY))


def test_a_body_slower_than_the_deadline_is_an_unknown_outcome(box: Box) -> None:
    box.sandbox.faults.add("slow_body", seconds=31.0)
    with pytest.raises(OutcomeUnknown):
        box.sandbox.transport().send(call(LIST, method="POST", json={"name": "A"}, headers=KEY))


# State


def test_the_state_is_plain_json_and_holds_no_secret(box: Box) -> None:
    _, sending, _ = box.exported("sample")
    text = json.dumps(box.sandbox.state())
    secrets = [c.password for c in box.sandbox.world.plusvibe.clients.values()]
    secrets += [m.password for m in box.sandbox.world.zapmail.mailboxes.values()]
    secrets += [m.app_password for m in box.sandbox.world.zapmail.mailboxes.values()]
    assert secrets
    assert not [secret for secret in secrets if secret in text]
    assert sending in text


def test_a_login_can_be_checked_without_showing_its_password(box: Box) -> None:
    sending = box.sending_workspace()
    email, password = box.login_for(sending)
    assert box.sandbox.check_login(email, password) == [sending]
    assert box.sandbox.check_login(email, "wrong") is None


def test_a_restart_finds_everything_again_and_time_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "var" / "sandbox.state"
    first = Sandbox(seed=3, speed=60.0, state_path=path)
    first.faults.add("status", platform="plusvibe", status=503)
    body = json.dumps({"name": "A GTM-7K3F9Q", "billingDetails": BILLING}).encode()
    headers = {"x-auth-zapmail": "sandbox-zapmail-key"}
    first.handle(Request.to("POST", "/zapmail/api/v2/workspaces", headers=headers, body=body))
    before = first.clock.now()
    del first  # no stop, no save: as a crash would leave it
    again = Sandbox(seed=99, speed=60.0, state_path=path)
    assert "A GTM-7K3F9Q" in [w["name"] for w in again.state()["zapmail"]["workspaces"]]
    assert (again.world.seed, again.faults.faults[0].status) == (3, 503)
    assert again.clock.now() >= before


def test_a_world_from_before_a_platform_was_there_is_continued_with_it(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.state"
    first = Sandbox(state_path=path)
    del first.world.__dict__["infraforge"]
    first.faults.extra_kinds.clear()
    first.save()
    again = Sandbox(state_path=path)
    assert again.state()["infraforge"]["domains"] == []
    assert again.faults.add("partial_purchase", times=1).id == 1


def test_the_log_survives_a_restart_and_a_line_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.state"

    def once(sandbox: Sandbox, name: str) -> None:
        body = json.dumps({"name": name}).encode()
        sandbox.handle(Request.to("POST", f"{HEYREACH}/list/CreateEmptyList", headers=KEY, body=body))

    first = Sandbox(state_path=path)
    once(first, "A")
    once(first, "B")
    with path.with_name("sandbox.state.log").open("a") as journal:
        journal.write('[3, 1.0, "hey')
    again = Sandbox(state_path=path)
    once(again, "C")
    assert [(entry.n, entry.items) for entry in again.log] == [(1, ("A",)), (2, ("B",)), (3, ("C",))]
    assert [entry.items for entry in Sandbox(state_path=path).log] == [("A",), ("B",), ("C",)]
    again.reset()
    assert len(Sandbox(state_path=path).log) == 0


def test_a_state_file_that_cannot_be_read_is_named_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.state"
    path.write_bytes(b"not a pickle")
    with pytest.raises(BadState, match="sandbox.state; delete it"):
        Sandbox(state_path=path)


def test_a_webhook_that_was_on_its_way_at_a_crash_is_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.state"
    first = Sandbox(state_path=path)
    headers = {"x-auth-zapmail": "sandbox-zapmail-key"}
    body = json.dumps({"url": "http://127.0.0.1:1/hook", "enabled_events": []}).encode()
    first.handle(Request.to("POST", "/zapmail/api/v2/webhooks/endpoints", headers=headers, body=body))
    from integrations.sandbox.zapmail_world import emit

    emit(first.world, "domain.updated", {}, 0.0)
    first.world.deliveries[0].state = "sending"
    first.save()
    assert Sandbox(state_path=path).world.deliveries[0].state == "waiting"


def test_reset_forgets_what_the_platforms_hold(box: Box) -> None:
    make_list(box)
    box.sandbox.reset()
    assert lists(box) == []


# Bad input


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'"text"', b"[" * 5000, b'{"name": 5}'])
def test_no_body_crashes_a_platform(box: Box, body: bytes) -> None:
    headers = {"x-auth-zapmail": "sandbox-zapmail-key", "x-api-key": "sandbox-plusvibe-key"}
    for platform in box.sandbox.platforms.values():
        if platform.name == "stripe":
            continue
        key = f"sandbox-{platform.name}-key"
        keyed = {**headers, "x-api-key": key, "authorization": key, "user-agent": "a test"}
        router = __import__(f"integrations.sandbox.{platform.name}", fromlist=["ROUTER"]).ROUTER
        for route in router.routes:
            url = f"{platform.prefix}{route.path}?api_key={key}"
            request = Request.to(route.method, url, headers=keyed, body=body)
            assert 200 <= box.sandbox.handle(request).status <= 500


def test_an_address_outside_every_platform_is_not_found(box: Box) -> None:
    assert box.send("GET", "/nowhere", None, {}, {}).status == 404
    assert box.clock.machine() == MACHINE
