"""The page of an order's domains, the button that tries failed ones again, and the same as API and file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from infra import troubles
from infra.dashboard.batches import COLUMNS, batch
from infra.models import Domain, Mailbox, OperatorItem, Provision, StepState
from provisioning.actions import TRIES
from provisioning.models import Event, OperationItem, Run
from tests.integration.many_domains import end, fail, finish, many, newest
from tests.integration.pages import signed_in, student, text
from tests.integration.test_actions import ended, fresh, writes
from tests.integration.world import new_order, new_world, paid

# `client`: the tests show pages, so the static files are collected first.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

PAGE, AGAIN, FILE = (f"/infrastructure/batches/{where}" for where in ("", "again/", "domains.csv"))
STATE, PROGRESS, DASHBOARD = f"{PAGE}state/", "/infrastructure/progress/", "/infrastructure/dashboard/"
NOTHING = "There is nothing to try again"


def api(run: Run) -> str:
    return f"/api/infrastructure/batches/{run.provision_id}/"


def with_failures() -> Run:
    """Seven domains: two done, two failed, of which one by a mailbox, one waits for its owner, two not begun."""
    run = many()
    finish(run, "acme0.com", "acme1.com")
    fail(run, "acme2.com", "zones", "zone_elsewhere")
    finish(run, "acme3.com")
    fail(run, "ada@acme3.com", "users", "weak_password")
    waiting = run.steps.filter(key="nameservers", domain__name="acme4.com")
    run.steps.filter(key__in=["registered", "own_before", "zones"], domain__name="acme4.com").update(
        state=StepState.COMPLETED
    )
    waiting.update(
        state=StepState.WAITING, waits_on="student", started_at=timezone.now(), facts={"question": "nameservers"}
    )
    return run


def failed(run: Run) -> set[str]:
    rows = run.steps.filter(state=StepState.FAILED).select_related("domain", "mailbox")
    return {str(row.domain or row.mailbox) for row in rows}


# The page -----------------------------------------------------------------------------------------------------------


def test_the_page_counts_and_shows_failed_ones_first() -> None:
    run = with_failures()
    page = batch(run.student, run.provision, run, now=timezone.now())
    assert (page.total, page.done, page.under_way, page.waiting, page.failed) == (7, 2, 2, 1, 2)
    assert page.done + page.under_way + page.waiting + page.failed + page.left_out == page.total == len(page.rows)
    assert page.success_percent == 50
    assert [row.name for row in page.rows[:3]] == ["acme2.com", "acme3.com", "acme4.com"]
    shown = text(signed_in(run.student).get(PAGE))
    for words in (
        "2 of 7 domains are done",
        "Success rate so far 50 %",
        "This domain lies in somebody else's account",
        "ada@acme3.com: Google's rules in this account want a stronger password",
        "We need something of you",
        "This is an estimate",
        "Try the failed ones again",
    ):
        assert words in shown
    assert b'href="/help/google-workspace-setup/"' in signed_in(run.student).get(PAGE).content


def test_what_stands_in_the_way_and_who_may_try_again_do_not_contradict_each_other() -> None:
    run = with_failures()
    page = batch(run.student, run.provision, run, now=timezone.now())
    row = page.rows[0]
    assert row.can_retry
    assert row.obstacle is not None
    assert "you can have it tried again here" in row.note.lower()
    assert all("operator then has it tried" not in str(one.action) for one in troubles.CATALOGUE.values())


def test_an_estimate_that_is_one_length_of_time_is_said_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run = with_failures()
    for left, words in (((61.0, 100.0), "about 2 minutes."), ((61.0, 7300.0), "between 2 minutes and 3 hours.")):
        monkeypatch.setattr("infra.dashboard.batches.time_left", lambda *_, left=left: left)
        assert f"usually takes {words}" in batch(run.student, run.provision, run, now=timezone.now()).estimate


def test_the_page_is_asked_for_again_and_answers_204_while_it_would_look_the_same() -> None:
    run = with_failures()
    client = signed_in(run.student)
    version = batch(run.student, run.provision, run, now=timezone.now()).version
    assert f"{STATE}?version={version}" in client.get(PAGE).content.decode()
    assert client.get(STATE, {"version": version}).status_code == 204
    finish(run, "acme5.com")
    changed = client.get(STATE, {"version": version})
    assert "3 of 7 domains are done" in text(changed)


def test_an_order_that_is_done_says_so_and_is_not_asked_for_again() -> None:
    run = many(count=3)
    finish(run, "acme0.com", "acme1.com", "acme2.com")
    end(run, "active")
    response = signed_in(run.student).get(PAGE)
    shown = text(response)
    assert "3 of 3 domains are done" in shown
    assert "100 %" in shown
    assert "This is an estimate" not in shown
    assert "Try the failed ones again" not in shown
    assert b"data-poll" not in response.content


def test_a_domain_that_was_given_up_is_left_out_and_lowers_no_rate() -> None:
    run = many(count=2)
    finish(run, "acme0.com")
    fail(run, "acme1.com", "zones", "skipped")
    page = batch(run.student, run.provision, run, now=timezone.now())
    assert (page.done, page.failed, page.left_out, page.success_percent, page.retries) == (1, 0, 1, 100, 0)


def test_many_domains_are_linked_from_progress_and_dashboard_and_few_are_not() -> None:
    run = many(count=6)
    assert f'href="{PAGE}"' in signed_in(run.student).get(PROGRESS).content.decode()
    finish(run, *(f"acme{place}.com" for place in range(6)))
    end(run, "active")
    assert f'href="{PAGE}"' in signed_in(run.student).get(DASHBOARD).content.decode()
    few = many("bolt", count=5)
    assert f'href="{PAGE}"' not in signed_in(few.student).get(PROGRESS).content.decode()


def test_without_an_order_that_is_paid_there_is_no_page() -> None:
    client = signed_in(student())
    assert client.get(PAGE)["Location"] == "/infrastructure/"
    assert client.get(STATE).status_code == 204
    assert client.get(FILE).status_code == 404
    assert client.post(AGAIN).status_code == 404
    assert client.get(AGAIN).status_code == 405


# Trying again -------------------------------------------------------------------------------------------------------


def press(run: Run) -> str:
    """Press the button; return what the page says afterwards."""
    return text(signed_in(run.student).post(AGAIN, follow=True))


def test_all_that_failed_is_tried_again_at_once_and_twenty_presses_do_it_once() -> None:
    run = with_failures()
    others = run.steps.exclude(state__in=[StepState.FAILED, StepState.SKIPPED])
    before = dict(others.values_list("pk", "state"))
    assert "2 of them are tried again" in press(run)
    assert failed(run) == set()
    assert not run.steps.filter(state=StepState.SKIPPED).exists()
    assert Domain.objects.get(name="acme2.com").state != "failed"
    assert Mailbox.objects.get(address="ada@acme3.com").state != "failed"
    for _ in range(19):
        assert NOTHING in press(run)
    assert Event.objects.filter(run=run, kind="retried").count() == 1
    assert dict(run.steps.filter(pk__in=before).values_list("pk", "state")) == before


def test_an_item_is_tried_three_times_at_most() -> None:
    run = many(count=2)
    for _ in range(TRIES - 1):
        fail(run, "acme0.com", "zones", "zone_elsewhere")
        assert "1 of them is tried again" in press(run)
    fail(run, "acme0.com", "zones", "zone_elsewhere")
    shown = press(run)
    assert NOTHING in shown
    assert "The operator has to look at it." in shown
    assert "Try the failed ones again" not in shown
    assert failed(run) == {"acme0.com"}


def test_what_a_platform_may_have_done_all_the_same_is_left_alone() -> None:
    run = many(count=2)
    fail(run, "acme0.com", "zones", "zone_elsewhere")
    operation = run.operations.create(
        student=run.student, step_key="zones", platform="cloudflare", verb="create_zone", digest="x", proof="listed",
        token=1, send_before=timezone.now(), absent_after=timezone.now(),
    )  # fmt: skip
    item = OperationItem.objects.create(
        operation=operation, student=run.student, platform="cloudflare", verb="create_zone", natural_key="acme0.com",
        state="unknown",
    )  # fmt: skip
    assert NOTHING in press(run)
    assert failed(run) == {"acme0.com"}
    item.state = "absent"
    item.save()
    assert "1 of them is tried again" in press(run)


def test_a_mailbox_that_is_the_operators_stays_so_when_its_domain_is_tried_again() -> None:
    run = many(count=1)
    fail(run, "acme0.com", "signed", "test_failed")
    fail(run, "ada@acme0.com", "users", "skipped")
    assert "1 of them is tried again" in press(run)
    assert failed(run) == {"ada@acme0.com"}
    assert Mailbox.objects.get(address="ada@acme0.com").state == "failed"
    assert run.steps.filter(mailbox__address="ada@acme0.com", state=StepState.SKIPPED).exists()


def test_a_run_that_failed_as_a_whole_is_the_operators() -> None:
    run = with_failures()
    run.steps.filter(key="finish").update(state=StepState.FAILED, failure_code="internal_error")
    Run.objects.filter(pk=run.pk).update(state="failed")
    assert NOTHING in press(run)
    assert len(failed(run)) == 3


def test_an_order_that_has_ended_is_not_built_on() -> None:
    run = with_failures()
    end(run, "cancelling")
    assert "nothing is built for it" in press(run)
    assert newest(Provision.objects.get(pk=run.provision_id)).state == "done"


def test_what_failed_is_built_by_the_engine_when_it_is_tried_again() -> None:
    """The run is done with a mailbox missing; its student presses, and then it is there: nothing else is asked for."""
    world = new_world()
    world.sandbox.faults.add("failing_mailboxes", items=("ada@getacme.com",))
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    assert fresh(run).provision.state == "active_with_exceptions"
    world.sandbox.faults.clear()
    before = len(world.sandbox.log)

    assert "1 of them is tried again" in press(run)
    assert fresh(run).provision.state == "provisioning"
    assert NOTHING in press(run)
    world.run_until(ended(run), hours=72)

    assert (fresh(run).state, fresh(run).provision.state) == ("done", "active")
    assert ("zapmail", "create_mailboxes") not in writes(world, before)
    assert ("zapmail", "buy_domains") not in writes(world, before)
    assert not OperatorItem.objects.filter(resolved_at=None).exists()
    assert Event.objects.get(run=run, kind="retried").actor == run.student.email


# API ----------------------------------------------------------------------------------------------------------------


def test_the_api_says_what_the_page_says() -> None:
    run = with_failures()
    page = batch(run.student, run.provision, run, now=timezone.now())
    body = signed_in(run.student).get(api(run)).json()
    assert body == json.loads(json.dumps(asdict(page), cls=DjangoJSONEncoder))


def test_the_api_tries_again_once_and_refuses_with_the_pages_sentence() -> None:
    run = with_failures()
    client = signed_in(run.student)
    first = client.post(api(run), content_type="application/json")
    assert (first.status_code, first.json()["failed"]) == (200, 0)
    second = client.post(api(run), content_type="application/json")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "refused")
    assert second.json()["error"]["sentence"].startswith(NOTHING)


def test_another_students_order_is_not_there_and_is_not_touched() -> None:
    run = with_failures()
    bob = signed_in(student("bob@students.example"))
    assert bob.get(api(run)).status_code == 404
    assert bob.post(api(run), content_type="application/json").status_code == 404
    assert bob.get(PAGE)["Location"] == "/infrastructure/"
    assert bob.post(AGAIN).status_code == 404
    assert failed(run) == {"acme2.com", "ada@acme3.com"}
    assert signed_in(many("bolt", 2).student).get(api(run)).status_code == 404


def test_presses_are_counted_with_writes_and_looks_as_looks(settings: Any) -> None:
    settings.THROTTLES = {"write": (1, 3600), "status": (3, 3600)}
    run = with_failures()
    client = signed_in(run.student)
    answers = [client.post(api(run), content_type="application/json").status_code for _ in range(2)]
    assert answers == [200, 429]
    assert client.post(AGAIN).status_code == 429
    assert client.get(api(run)).status_code == 200


# File ---------------------------------------------------------------------------------------------------------------


def test_the_file_holds_the_rows_of_the_page() -> None:
    run = with_failures()
    response = signed_in(run.student).get(FILE)
    assert response["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["domain"] for row in rows if not row["mailbox"]][:3] == ["acme2.com", "acme3.com", "acme4.com"]
    assert rows[0]["state"] == "Failed"
    assert rows[0]["in_the_way"].startswith("This domain lies in somebody else's account")
    assert {row["mailbox"] for row in rows if row["domain"] == "acme3.com"} == {
        "",
        "ada@acme3.com",
        "ada.sample@acme3.com",
    }


def test_no_cell_of_the_file_is_a_formula() -> None:
    run = many(count=1)
    Domain.objects.filter(name="acme0.com").update(name="=1+1.com")
    rows = list(csv.DictReader(io.StringIO(signed_in(run.student).get(FILE).content.decode())))
    assert rows[0]["domain"] == "'=1+1.com"
