"""How often one may ask: exactly the limit, whoever counts at the same moment; and what a refused person is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory

from infra import clock, throttle
from infra.models import Counter, User
from tests.integration.pages import PASSWORD, at_domains, signed_in, student, text

DOMAINS = "/infrastructure/setup/domains/"
THREADS, LIMIT = 8, 20


def at_once(work: Callable[[], Any]) -> list[Any]:
    """Run `work` in many threads, each on a connection of its own, that start together; return what they return."""
    start, results = threading.Barrier(THREADS), []

    def run() -> None:
        try:
            connection.ensure_connection()
            start.wait(30)
            results.append(work())
        finally:
            connection.close()

    running = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    return results


@pytest.mark.django_db(transaction=True)
def test_a_limit_holds_over_all_processes() -> None:
    passed = at_once(lambda: sum(throttle.hit("k", LIMIT, 3600).allowed for _ in range(10)))
    assert len(passed) == THREADS
    assert sum(passed) == LIMIT


@pytest.mark.django_db(transaction=True)
def test_control_counting_after_looking_lets_more_through() -> None:
    """The same race with reading and writing apart, as a throttle on a shared cache does it."""
    everybody_looked = threading.Barrier(THREADS)
    Counter.objects.create(key="k", window_start=clock.machine_now(), count=LIMIT - 1)

    def naive() -> bool:
        row = Counter.objects.get(key="k")
        everybody_looked.wait(30)
        if row.count >= LIMIT:
            return False
        Counter.objects.filter(pk=row.pk).update(count=row.count + 1)
        return True

    assert sum(at_once(naive)) > 1  # one more was allowed


@pytest.mark.django_db
def test_a_refusal_names_the_time_and_costs_nothing() -> None:
    assert [throttle.hit("k", 3, 3600).allowed for _ in range(3)] == [True] * 3
    verdicts = [throttle.hit("k", 3, 3600) for _ in range(5)]
    assert not any(verdict.allowed for verdict in verdicts)
    assert all(1 <= verdict.retry_after_seconds <= 7200 for verdict in verdicts)
    assert Counter.objects.get(key="k").count == 3


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_named_time_is_true(limit: int) -> None:
    while throttle.hit("k", limit, 3600).allowed:
        pass
    wait = throttle.hit("k", limit, 3600).retry_after_seconds
    assert wait <= 3600 + 300
    clock.advance_machine(wait - 5)
    assert not throttle.hit("k", limit, 3600).allowed
    clock.advance_machine(6)
    assert throttle.hit("k", limit, 3600).allowed


@pytest.mark.django_db
def test_no_hour_holds_more_than_the_limit() -> None:
    """A window that began anew would let twice as many through around its edge."""
    allowed = []
    for _minute in range(240):
        allowed.append(sum(throttle.hit("k", 100, 3600).allowed for _ in range(5)))
        clock.advance_machine(60)
    fullest = max(sum(allowed[start : start + 60]) for start in range(180))
    assert fullest == 100
    assert sum(allowed) >= 350


@pytest.mark.django_db
def test_a_request_may_cost_more_and_never_overshoots() -> None:
    assert throttle.hit("k", 10, 60, cost=8).allowed
    assert not throttle.hit("k", 10, 60, cost=3).allowed
    assert throttle.hit("k", 10, 60, cost=2).allowed
    assert not throttle.hit("other", 10, 60, cost=11).allowed


@pytest.mark.django_db
def test_people_and_classes_are_counted_apart() -> None:
    for key in ("write:a", "write:b", "status:a"):
        assert throttle.hit(key, 1, 3600).allowed


@pytest.mark.django_db
def test_settings_may_change_a_rate(settings: Any) -> None:
    assert throttle.rate("write") == throttle.Rate(100, 3600)
    settings.THROTTLES = {"write": (7, 60)}
    assert throttle.rate("write") == throttle.Rate(7, 60)


# Who asks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, "", "10.0.0.9"),
        (0, "1.2.3.4", "10.0.0.9"),  # nobody of ours wrote it
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # the left one came from the client
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),  # somebody reached us past a proxy
        (1, "nonsense", "10.0.0.9"),
        (1, "", "10.0.0.9"),
    ],
)
def test_only_our_own_proxies_are_believed(proxies: int, forwarded: str, found: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.9")
    assert throttle.client_address(request) == found


def test_a_whole_ipv6_network_is_one_client() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="2001:db8:1:2:aaaa::7")
    assert throttle.address_key(request) == "2001:db8:1:2::/64"


def test_a_connection_without_an_address_is_counted_too() -> None:
    assert throttle.address_key(RequestFactory().get("/", REMOTE_ADDR="")) == "unknown"


# Pages --------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_searching_too_often_is_a_page_with_the_time(client: Client, settings: Any) -> None:
    settings.THROTTLES = {"write": (2, 3600)}
    ada = student()
    draft = at_domains(ada)
    browser = signed_in(ada)
    for brand in ("Acme", "Acme Labs"):
        assert browser.post(DOMAINS, {"brand": brand, "action": "find"}).status_code == 302
    response = browser.post(DOMAINS, {"brand": "Third", "action": "find"})
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert "You can go on at" in text(response)
    draft.refresh_from_db()
    assert draft.brand == "Acme Labs"
    assert browser.get(DOMAINS).status_code == 200


@pytest.mark.django_db
def test_what_a_page_polls_is_a_class_of_its_own(client: Client, settings: Any) -> None:
    settings.THROTTLES = {"status": (2, 3600), "write": (1, 3600)}
    ada = student()
    at_domains(ada)
    browser = signed_in(ada)
    assert [browser.get(f"{DOMAINS}names/").status_code for _ in range(3)] == [200, 200, 429]
    assert browser.post(DOMAINS, {"brand": "Acme", "action": "find"}).status_code == 302


@pytest.mark.django_db
def test_passwords_are_tried_ten_times_per_address_of_a_person(client: Client) -> None:
    student()
    wrong = {"username": "ada@students.example", "password": "wrong"}
    answers = [client.post("/login/", wrong).status_code for _ in range(11)]
    assert answers == [422] * 10 + [429]
    right = {"username": " ADA@students.example", "password": PASSWORD}
    assert client.post("/login/", right).status_code == 429
    clock.advance_machine(1800)
    assert client.post("/login/", right).status_code == 302


@pytest.mark.django_db
def test_getting_in_forgives_what_was_mistyped(client: Client) -> None:
    student()
    for _ in range(3):
        for _ in range(8):
            client.post("/login/", {"username": "ada@students.example", "password": "wrong"})
        assert client.post("/login/", {"username": "ada@students.example", "password": PASSWORD}).status_code == 302
        client.logout()


@pytest.mark.django_db
def test_one_address_may_not_try_everybody(client: Client, settings: Any) -> None:
    settings.THROTTLES = {"login_address": (3, 900)}
    answers = [
        client.post("/login/", {"username": f"s{n}@students.example", "password": "x"}).status_code for n in range(4)
    ]
    assert answers == [422, 422, 422, 429]


@pytest.mark.django_db
def test_operators_sign_in_where_it_is_limited(client: Client) -> None:
    User.objects.create_superuser("operator@demo.example", PASSWORD)
    response = client.post("/admin/login/", {"username": "operator@demo.example", "password": PASSWORD})
    assert response["Location"].startswith("/login/")
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_counters_hold_no_address_of_a_person(client: Client) -> None:
    client.post("/login/", {"username": "ada@students.example", "password": "x"})
    assert not [key for key in Counter.objects.values_list("key", flat=True) if "@" in key or "ada" in key]
