"""Domain search: one bulk call for many students, a fair queue, and never "available" without an answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection

from infra import clock
from infra.models import Counter, Domain, DomainHold, NameAnswer, NameCheck, Provision, User
from integrations.http.transport import Transport
from integrations.zapmail import SEARCH
from provisioning import search
from provisioning.engine import doorbell
from provisioning.engine.reader import send_read
from provisioning.models import Circuit, Permit
from provisioning.stacks import registrar_of
from tests.integration.pages import answered, at_domains, student
from tests.integration.world import World, new_order, new_world, paid

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return world_for(monkeypatch)


def world_for(monkeypatch: pytest.MonkeyPatch) -> World:
    world = new_world()
    monkeypatch.setattr(search, "default_workshop", lambda: world.workshop)
    return world


@pytest.fixture
def ada() -> User:
    return student()


@pytest.fixture
def bob() -> User:
    return student("bob@students.example")


def calls(world: World) -> list[tuple[str, ...]]:
    """Return the names of each bulk call that reached the platform."""
    return [entry.items for entry in world.sandbox.log.of("zapmail", "check_domains")]


def some(prefix: str, count: int, start: int = 0) -> list[str]:
    return [f"{prefix}{number:03}.com" for number in range(start, start + count)]


def ask(person: User, names: Sequence[str], **more: Any) -> int:
    return search.request_names(stack="zapmail", student=person, names=names, **more)


def known(person: User, name: str) -> search.Answer:
    return search.answers(stack="zapmail", names=[name], student=person)[name]


def fail_with(world: World, kind: str, **values: Any) -> None:
    world.sandbox.faults.add(kind, platform="zapmail", verb="check_domains", **values)


# One call for many --------------------------------------------------------------------------------------------------


def test_a_name_is_checking_until_somebody_answered(world: World, ada: User) -> None:
    ask(ada, ["getacme.com"])
    before = known(ada, "getacme.com")
    assert (before.answer, before.waiting, before.age_seconds) == (NameAnswer.CHECKING, True, None)
    search.drain()
    after = known(ada, "getacme.com")
    assert after.answer == NameAnswer.AVAILABLE
    assert after.price_cents > 0
    assert after.renewal_cents > 0
    assert after.is_fresh
    assert not after.waiting


def test_names_of_several_students_travel_in_one_call(world: World, ada: User, bob: User) -> None:
    ask(ada, some("acme", 3))
    ask(bob, some("bolt", 4))
    assert search.drain() == 7
    assert [sorted(names) for names in calls(world)] == [some("acme", 3) + some("bolt", 4)]


def test_a_name_that_several_want_is_asked_for_once(world: World, ada: User, bob: User) -> None:
    ask(ada, ["one.com", "two.com"])
    ask(bob, ["two.com", "three.com"])
    ask(ada, ["one.com"])
    search.drain()
    assert [sorted(names) for names in calls(world)] == [["one.com", "three.com", "two.com"]]
    assert all(known(one, "two.com").answer == NameAnswer.AVAILABLE for one in (ada, bob))


def test_more_names_than_a_call_takes_need_more_calls(world: World, ada: User) -> None:
    ask(ada, some("acme", 45))
    search.drain()
    assert [len(names) for names in calls(world)] == [20, 20, 5]


def test_the_best_suggestion_is_asked_for_first(world: World, ada: User) -> None:
    names = ["zebra.com", *some("acme", 25)]
    ask(ada, names)
    search.drain(1)
    assert set(calls(world)[0]) == set(names[:20])


# Answers are reused -------------------------------------------------------------------------------------------------


def test_an_answer_serves_everybody_for_fifteen_minutes(world: World, ada: User, bob: User) -> None:
    ask(ada, ["getacme.com"])
    search.drain()
    world.advance(14 * 60)
    assert ask(bob, ["getacme.com"]) == 0
    assert known(bob, "getacme.com").is_fresh
    world.advance(2 * 60)
    assert not known(bob, "getacme.com").is_fresh
    assert ask(bob, ["getacme.com"]) == 1
    search.drain()
    assert len(calls(world)) == 2


def test_an_old_answer_is_shown_as_old_while_it_is_renewed(world: World, ada: User) -> None:
    answered("getacme.com", age=3600)
    ask(ada, ["getacme.com"])
    answer = known(ada, "getacme.com")
    assert answer.answer == NameAnswer.AVAILABLE
    assert answer.waiting
    assert not answer.is_fresh


def test_a_name_left_out_of_the_answer_is_never_available(
    world: World, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(ada, ["one.com", "two.com"])
    original = send_read

    def without_two(transport: Transport, call: Any) -> Any:
        return tuple(offer for offer in original(transport, call) if offer.name != "two.com")

    monkeypatch.setattr(search, "send_read", without_two)
    assert search.drain() == 1
    assert known(ada, "one.com").answer == NameAnswer.AVAILABLE
    left_out = known(ada, "two.com")
    assert left_out.answer == NameAnswer.CHECKING
    assert left_out.gave_up
    assert search.drain() == 0
    assert ask(ada, ["two.com"]) == 0  # not at each click
    world.advance(200)
    assert ask(ada, ["two.com"]) == 1
    assert not known(ada, "two.com").gave_up
    monkeypatch.setattr(search, "send_read", send_read)
    search.drain()
    assert known(ada, "two.com").answer == NameAnswer.AVAILABLE


def test_an_available_name_without_a_price_is_not_offered(
    world: World, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrations.zapmail import DomainOffer

    ask(ada, ["one.com"])
    offer = DomainOffer(name="one.com", available=True, premium=False, price_cents=None, renewal_cents=None)
    monkeypatch.setattr(search, "send_read", lambda transport, call: (offer,))
    search.drain()
    assert known(ada, "one.com").answer == NameAnswer.CHECKING


def test_what_is_wrong_at_the_platform_is_never_available(world: World, ada: User) -> None:
    for kind in ("status", "timeout_after", "empty_body", "truncated_body", "html_body", "garbage_body", "wrong_type"):
        fail_with(world, kind, times=1)
        name = f"{kind.replace('_', '-')}.com"
        ask(ada, [name])
        search.drain()
        assert known(ada, name).answer == NameAnswer.CHECKING, kind
        Circuit.objects.all().delete()  # this is not about the circuit
        clock.advance_machine(search.LONGEST_PAUSE + 1)
        world.advance(2000)
        search.drain()
        assert known(ada, name).answer == NameAnswer.AVAILABLE, kind


# The allowance ------------------------------------------------------------------------------------------------------


def test_an_hour_allows_so_many_new_names(world: World, ada: User, bob: User) -> None:
    ask(ada, some("acme", 150))
    with pytest.raises(search.AllowanceUsedUp, match="search again in an hour") as refused:
        ask(ada, some("more", 60))
    assert refused.value.retry_after_seconds > 60
    assert not NameCheck.objects.filter(name__startswith="more").exists()
    assert ask(ada, some("more", 50)) == 50
    assert ask(bob, some("bolt", 20)) == 20
    clock.advance_machine(refused.value.retry_after_seconds + 1)
    assert ask(ada, ["again.com"]) == 1


def test_more_at_once_than_the_allowance_is_refused_too(world: World, ada: User) -> None:
    with pytest.raises(search.AllowanceUsedUp):
        ask(ada, some("acme", search.NAMES_AN_HOUR + 1))
    assert not NameCheck.objects.exists()


def test_known_and_waiting_names_cost_no_allowance(world: World, ada: User) -> None:
    answered("getacme.com")
    for _ in range(300):
        ask(ada, ["getacme.com", "tryacme.com"])
    assert Counter.objects.get(key=f"names:{ada.pk}").count == 1


# Fairness -----------------------------------------------------------------------------------------------------------


def test_a_thousand_clicks_delay_nobody(world: World, ada: User, bob: User) -> None:
    for start in range(0, search.NAMES_AN_HOUR, 10):
        ask(ada, some("acme", 10, start))
    ask(bob, some("bolt", 5))
    search.drain(2)
    assert set(some("bolt", 5)) <= {*calls(world)[0], *calls(world)[1]}


def test_what_a_student_got_lately_counts(world: World, ada: User, bob: User) -> None:
    """Without a memory, each answered chunk would put the student's next one first again."""
    ask(ada, some("acme", 100))
    search.drain(2)
    ask(bob, some("bolt", 20))
    search.drain(1)
    assert set(calls(world)[2]) == set(some("bolt", 20))


def test_wanting_what_others_want_does_not_push_them_back(world: World, ada: User, bob: User) -> None:
    ask(bob, some("bolt", 190))
    ask(bob, ["shared.com"])
    ask(ada, ["shared.com"])
    assert search.position(stack="zapmail", student=ada) == search.Place(20, 0.0)
    search.drain(2)
    assert "shared.com" in calls(world)[1]


def test_paid_work_goes_first(world: World, ada: User, bob: User) -> None:
    ask(ada, some("acme", 60))
    ask(bob, ["replacement.com"], is_paid_work=True)
    search.drain(1)
    assert "replacement.com" in calls(world)[0]
    ask(ada, ["replacement.com"])
    world.advance(20 * 60)
    ask(ada, ["replacement.com"])
    assert not NameCheck.objects.get(name="replacement.com").is_paid_work


def test_paid_work_has_a_share_of_the_budget_that_searches_do_not_touch(world: World, ada: User, bob: User) -> None:
    ask(ada, some("acme", 200))
    search.drain(20)
    assert len(calls(world)) == 6
    assert not search.is_due()
    ask(bob, ["replacement.com"], is_paid_work=True)
    assert search.is_due()
    search.drain(20)
    assert known(bob, "replacement.com").answer == NameAnswer.AVAILABLE
    assert len(calls(world)) == 7


def test_the_engine_can_buy_while_students_search(world: World, ada: User) -> None:
    ask(ada, some("acme", 200))
    search.drain(20)
    run = paid(new_order())
    NameCheck.objects.filter(name="getacme.com").update(checked_at=clock.later(clock.vendor_now(), -3600))
    world.run_until(lambda: Domain.objects.filter(provision=run.provision, bought_at__isnull=False).count() == 3)
    assert len(calls(world)) == 7


def test_names_typed_after_payment_are_paid_work(ada: User) -> None:
    from infra.wizard import names

    provision = at_domains(ada)
    names.ask(provision, ["before.com"])
    run = paid(new_order())
    run.provision.refresh_from_db()
    names.ask(run.provision, ["after.com"])
    assert list(NameCheck.objects.filter(is_paid_work=True).values_list("name", flat=True)) == ["after.com"]


# The budget ---------------------------------------------------------------------------------------------------------


def test_a_used_up_budget_keeps_names_queued_until_its_window_passes(world: World, ada: User) -> None:
    ask(ada, some("acme", 130))
    assert search.drain(20) == 120
    assert known(ada, "acme129.com").waiting
    assert not search.is_due()
    world.advance(1700)
    assert search.drain(20) == 0
    world.advance(110)
    assert search.is_due()
    assert search.drain(20) == 10
    assert len(calls(world)) == 7
    assert world.sandbox.log.of("zapmail")[-1].status == 200


def test_the_platform_never_counts_more_than_its_limit(world: World) -> None:
    for number in range(12):
        ask(student(f"s{number}@students.example"), some(f"brand{number}x", 40))
    for _ in range(40):
        search.drain(20)
        world.advance(300)
    at = [entry.at for entry in world.sandbox.log.of("zapmail", "check_domains")]
    assert max(sum(start <= one < start + 1800 for one in at) for start in at) <= 10
    assert not NameCheck.objects.filter(wanted_at__isnull=False).exists()


def test_the_place_in_the_queue(world: World, ada: User, bob: User) -> None:
    assert search.position(stack="zapmail", student=ada) is None
    ask(ada, some("acme", 20))
    ask(bob, some("bolt", 5))
    assert search.position(stack="zapmail", student=ada) == search.Place(0, 0.0)
    assert search.position(stack="zapmail", student=bob) == search.Place(20, 0.0)
    search.drain()
    assert search.position(stack="zapmail", student=bob) is None


def test_the_place_says_when_the_budget_has_room_again(world: World, ada: User, bob: User) -> None:
    ask(ada, some("acme", 120))
    search.drain(20)
    world.advance(600)
    ask(bob, some("bolt", 5))
    place = search.position(stack="zapmail", student=bob)
    assert place is not None
    assert place.names_before == 0
    assert 1190 <= place.seconds <= 1210
    world.advance(place.seconds)
    search.drain()
    assert search.position(stack="zapmail", student=bob) is None


def test_the_seventh_call_waits_for_the_first_slot(world: World, ada: User) -> None:
    ask(ada, some("acme", 20))
    search.drain()
    world.advance(300)
    ask(ada, some("more", 20))
    assert [search._seconds_until_call(registrar_of("zapmail"), place) for place in (0, 4)] == [0, 0]
    assert 1490 <= search._seconds_until_call(registrar_of("zapmail"), 5) <= 1510
    assert 1790 <= search._seconds_until_call(registrar_of("zapmail"), 6) <= 1810


def test_places_are_told_in_the_readers_time(world: World, ada: User) -> None:
    ask(ada, some("acme", 130))
    search.drain(20)
    clock.set_scale(60)
    place = search.position(stack="zapmail", student=ada)
    assert place is not None
    assert 25 <= place.seconds <= 35


# Errors -------------------------------------------------------------------------------------------------------------


def test_a_failing_platform_is_not_asked_again_at_once(world: World, ada: User) -> None:
    fail_with(world, "status", times=1)
    ask(ada, ["getacme.com"])
    assert search.drain(20) == 0
    assert not search.is_due()
    assert len(calls(world)) == 1
    clock.advance_machine(search.PAUSE + 1)
    assert search.is_due()
    assert search.drain() == 1


def test_an_advised_pause_is_kept(world: World, ada: User) -> None:
    fail_with(world, "rate_limit", times=1, advice="120")
    ask(ada, ["getacme.com"])
    search.drain()
    clock.advance_machine(110)
    assert not search.is_due()
    clock.advance_machine(15)
    assert search.drain() == 1


def test_a_refused_question_does_not_hold_up_the_others(
    world: World, ada: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrations.http.errors import Rejected

    original = send_read

    def refuse_poison(transport: Transport, call: Any) -> Any:
        if "poison000.com" in str(call.request.json):
            raise Rejected("bad_name", "no such ending")
        return original(transport, call)

    monkeypatch.setattr(search, "send_read", refuse_poison)
    ask(ada, some("poison", 20))
    ask(bob, ["getbolt.com"])
    search.drain()
    assert known(ada, "poison000.com").gave_up
    assert known(bob, "getbolt.com").answer == NameAnswer.AVAILABLE


def test_refused_credentials_keep_the_names(world: World, ada: User) -> None:
    fail_with(world, "key_revoked")
    ask(ada, ["getacme.com"])
    for _ in range(3):
        search.drain()
        clock.advance_machine(5)
    assert len(calls(world)) == 1
    assert known(ada, "getacme.com").waiting
    world.sandbox.faults.clear()
    clock.advance_machine(400)
    assert search.drain() == 1


class Crash(BaseException):
    """The process dies here: nothing catches it."""


@pytest.mark.parametrize("after_the_answer", [False, True])
def test_a_crash_in_mid_call_leaves_the_names_to_somebody_else(
    world: World, ada: User, monkeypatch: pytest.MonkeyPatch, after_the_answer: bool
) -> None:
    ask(ada, ["getacme.com"])
    original = send_read

    def die(transport: Transport, call: Any) -> Any:
        if after_the_answer:
            original(transport, call)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(search, "send_read", die)
        with pytest.raises(Crash):
            search.drain()
    assert not search.is_due()
    assert search.drain() == 0
    assert known(ada, "getacme.com").answer == NameAnswer.CHECKING
    clock.advance_machine(search.CLAIM + 1)
    assert search.is_due()
    assert search.drain() == 1
    assert known(ada, "getacme.com").answer == NameAnswer.AVAILABLE


def test_the_bell_is_rung_once_names_wait(world: World, ada: User) -> None:
    assert "names" not in doorbell.due_names()
    ask(ada, ["getacme.com"])
    assert "names" in doorbell.due_names()


# Many at once -------------------------------------------------------------------------------------------------------

WORKERS = 5


def at_once(work: Any, arguments: Sequence[Any]) -> list[Any]:
    start, results = threading.Barrier(len(arguments)), []

    def run(argument: Any) -> None:
        try:
            connection.ensure_connection()
            start.wait(30)
            results.append(work(argument))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=run, args=[argument]) for argument in arguments]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    return results


@pytest.mark.django_db(transaction=True)
def test_many_workers_ask_for_each_name_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_for(monkeypatch)
    for number in range(4):
        ask(student(f"s{number}@students.example"), some(f"brand{number}x", 25))
    results = at_once(lambda _: search.drain(10), range(WORKERS))
    asked = [name for names in calls(world) for name in names]
    assert sorted(results) == sorted(one for one in results if isinstance(one, int))
    assert len(asked) == len(set(asked)) == 100


@pytest.mark.django_db(transaction=True)
def test_students_who_want_the_same_names_at_once_do_not_block_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world_for(monkeypatch)
    people = [student(f"s{number}@students.example") for number in range(6)]
    names = some("acme", 40)

    def want(number: int) -> int:
        return ask(people[number], names if number % 2 else names[::-1])

    assert at_once(want, range(6)) == [40] * 6
    row = NameCheck.objects.get(name="acme000.com")
    assert set(row.wanted_by) == {person.pk for person in people}


# Holds --------------------------------------------------------------------------------------------------------------


def order_of(person: User) -> Provision:
    return at_domains(person)


def test_a_held_name_is_somebody_elses_to_others(ada: User, bob: User) -> None:
    answered("getacme.com", "tryacme.com")
    mine, theirs = order_of(ada), order_of(bob)
    assert search.hold(provision=mine, names=["getacme.com"]) == []
    assert search.hold(provision=theirs, names=["getacme.com", "tryacme.com"]) == ["getacme.com"]
    assert known(bob, "getacme.com").held
    assert not known(ada, "getacme.com").held
    assert known(ada, "tryacme.com").held


def test_a_hold_ends_by_itself_and_is_prolonged_by_its_owner(ada: User, bob: User) -> None:
    mine, theirs = order_of(ada), order_of(bob)
    search.hold(provision=mine, names=["getacme.com"])
    clock.advance_machine(search.HOLD - 60)
    search.hold(provision=mine, names=["getacme.com"])
    clock.advance_machine(120)
    assert search.hold(provision=theirs, names=["getacme.com"]) == ["getacme.com"]
    clock.advance_machine(search.HOLD)
    assert not known(bob, "getacme.com").held
    assert search.hold(provision=theirs, names=["getacme.com"]) == []
    assert search.hold(provision=mine, names=["getacme.com"]) == ["getacme.com"]


def test_names_given_up_are_free_for_others(ada: User, bob: User) -> None:
    mine, theirs = order_of(ada), order_of(bob)
    search.hold(provision=mine, names=["getacme.com", "tryacme.com"])
    search.hold(provision=mine, names=["tryacme.com"])
    assert search.hold(provision=theirs, names=["getacme.com"]) == []
    search.release_holds(provision=mine)
    assert search.hold(provision=theirs, names=["getacme.com", "tryacme.com"]) == []
    assert DomainHold.objects.filter(provision=mine).count() == 0


def test_an_ordered_name_cannot_be_held(bob: User) -> None:
    paid(new_order())
    assert search.hold(provision=order_of(bob), names=["getacme.com"]) == ["getacme.com"]
    assert known(bob, "getacme.com").held


@pytest.mark.django_db(transaction=True)
def test_of_two_students_at_once_exactly_one_holds_a_name() -> None:
    orders = [order_of(student(f"s{number}@students.example")) for number in range(6)]
    names = some("acme", 5)

    def take(number: int) -> list[str]:
        return search.hold(provision=orders[number], names=names if number % 2 else names[::-1])

    lost = at_once(take, range(6))
    assert not [one for one in lost if isinstance(one, Exception)]
    assert sorted(map(len, lost)) == [0, 5, 5, 5, 5, 5]


# Tidying ------------------------------------------------------------------------------------------------------------


def test_old_answers_and_counters_go_and_waiting_names_stay(world: World, ada: User) -> None:
    answered("old.com", age=8 * 86400)
    answered("new.com")
    ask(ada, ["waiting.com"])
    clock.advance_machine(3 * 86400)
    assert search.prune() == 2
    assert set(NameCheck.objects.values_list("name", flat=True)) == {"new.com", "waiting.com"}


def test_the_budget_is_the_platforms(world: World) -> None:
    assert Permit.objects.filter(budget=SEARCH).count() == 10
