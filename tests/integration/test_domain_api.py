"""The API says of a domain what its pages say, and does what their buttons do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from infra import clock, throttle
from infra.dashboard.domains.compliance import compliance_page
from infra.dashboard.domains.dns import dns_page
from infra.dashboard.domains.kit import Sight
from infra.dashboard.domains.policy import policy_page
from infra.dashboard.domains.spf import spf_page
from infra.models import DnsCheck, PropagationWatch, Provision, User
from provisioning.models import Run
from tests.integration.dns_sights import NAME, body, checked, domain_of, mail_records, order_up, servers
from tests.integration.pages import signed_in, student

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

API = f"/api/infrastructure/domains/{NAME}/"
PAGES: dict[str, Callable[[Sight], Any]] = {
    "dns/": dns_page,
    "dns/spf/": spf_page,
    "policy/": policy_page,
    "compliance/": compliance_page,
}
BUTTONS: dict[str, dict[str, str]] = {
    "dns/check/": {},
    "dns/watch/": {"action": "start"},
    "dns/spf/": {"action": "restore"},
    "policy/": {"rung": "reject"},
}


def post(person: User, where: str, values: Any) -> Any:
    return signed_in(person).post(f"{API}{where}", values, content_type="application/json")


def plain(order: Provision, where: str) -> Any:
    """Return what the page's presenter says, as it reads after a journey as JSON."""
    page = PAGES[where](Sight(order.student, domain_of(order), clock.vendor_now(), timezone.now()))
    return json.loads(json.dumps(asdict(page), cls=DjangoJSONEncoder))


@pytest.mark.parametrize("where", PAGES)
@pytest.mark.parametrize("stack", ["zapmail", "forge", "workspace"])
def test_each_body_is_what_the_pages_presenter_says(stack: str, where: str) -> None:
    order = order_up(stack)
    assert body(signed_in(order.student).get(f"{API}{where}")) == plain(order, where)
    checked(order, servers(mail_records()))
    assert body(signed_in(order.student).get(f"{API}{where}")) == plain(order, where)


def test_check_now_answers_with_the_page_and_is_made_once_in_25_seconds() -> None:
    order = order_up()
    assert body(post(order.student, "dns/check/", {}))["looking"]
    first = DnsCheck.objects.get().asked_at
    assert body(post(order.student, "dns/check/", {}))["looking"]
    assert DnsCheck.objects.get().asked_at == first


def test_a_watch_is_started_stopped_and_told_to_go_on() -> None:
    order = order_up()
    for action, state in (("start", "polling"), ("stop", "cancelled"), ("resume", "polling")):
        assert body(post(order.student, "dns/watch/", {"action": action}))["watch"]["state"] == state
    assert PropagationWatch.objects.count() == 1


def test_a_change_is_begun_once_and_what_is_impossible_is_refused_with_the_pages_sentence() -> None:
    order = order_up("workspace")
    for _ in range(2):
        assert body(post(order.student, "policy/", {"rung": "reject"}))["looking"]
    assert Run.objects.filter(kind="change").count() == 1
    other = post(order.student, "policy/", {"rung": "quarantine"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "refused")
    assert other.json()["error"]["sentence"].startswith("Something else is under way")
    nothing = post(order.student, "dns/spf/", {"action": "restore"})
    assert nothing.status_code == 409


@pytest.mark.parametrize(("where", "values"), [("dns/watch/", {"action": "x"}), ("dns/spf/", {}), ("policy/", {"rung": 7}),
                                               ("policy/", [])])  # fmt: skip
def test_nonsense_is_400(where: str, values: Any) -> None:
    assert post(order_up().student, where, values).status_code == 400


def test_another_students_domain_is_404_for_everything() -> None:
    order_up("workspace")
    person = student("bo@students.example")
    for where in PAGES:
        assert signed_in(person).get(f"{API}{where}").status_code == 404
    for where, values in BUTTONS.items():
        assert post(person, where, values).status_code == 404
    assert not DnsCheck.objects.exists()
    assert not Run.objects.filter(kind="change").exists()


@pytest.mark.parametrize("where", BUTTONS)
def test_buttons_are_counted_with_those_of_the_pages(where: str, settings: Any) -> None:
    order = order_up()
    settings.THROTTLES = {"write": (1, 3600)}
    assert throttle.allow("write", str(order.student.pk)).allowed
    assert post(order.student, where, BUTTONS[where]).status_code == 429
    assert signed_in(order.student).post(f"/infrastructure/domains/{NAME}/{where}", BUTTONS[where]).status_code == 429
