"""The operator's console: who gets in, what may be done, what is never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import gateway
from billing.models import Payment
from infra.models import (
    Credential,
    DnsCheck,
    Domain,
    Flag,
    Mail,
    OperatorItem,
    PropagationObservation,
    PropagationWatch,
    Provision,
    SpfFlattening,
    Tier,
    User,
)
from integrations.registry import PLATFORMS
from integrations.sandbox import ManualClock, Sandbox
from provisioning.models import Capture, Circuit, Event, Operation, OperationItem, Run, Step
from provisioning.stacks import STACKS

from .billing.shop import gateway_over
from .pages import signed_in, student, text, tier
from .stories.kit import make_tier
from .world import World, new_order, new_world, paid, starter

pytestmark = pytest.mark.django_db

# Steps that call no platform: they choose, look at public DNS, or wait for people.
NO_PLATFORM = {
    *(
        "choose_passwords",
        "account_passwords",
        "own_before",
        "registered",
        "nameservers",
        "records_seen",
        "dkim_keys",
        "signed",
    ),
    "finish",
}


@pytest.fixture
def olive() -> User:
    return User.objects.create_superuser("olive@ops.example", "pw")


@pytest.fixture
def console(olive: User, client: Client) -> Client:
    client.force_login(olive)
    return client


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return [f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry]


def ended(run: Run) -> Callable[[], bool]:
    return lambda: Run.objects.get(pk=run.pk).state in ("done", "failed", "cancelled")


def failed_run(world: World) -> Run:
    """Return a run in which no mailbox could be made."""
    world.sandbox.faults.add("failing_mailboxes")
    run = paid(new_order())
    world.run_until(ended(run), hours=72)
    world.sandbox.faults.clear()
    return run


def looks_failed(name: str = "acme") -> Run:
    """Return a run whose rows say the same, without the days of vendor time."""
    run = paid(new_order(name))
    now = timezone.now()
    failing = run.steps.get(key="mailboxes_active", mailbox__position=0, mailbox__domain__position=0).position
    run.steps.filter(position__lt=failing).update(state="completed", finished_at=now)
    mine = run.steps.filter(mailbox__isnull=False)
    mine.filter(position=failing).update(state="failed", failure_code="mailbox_failed", finished_at=now)
    mine.filter(position__gt=failing).update(state="skipped", finished_at=now)
    run.provision.domains.filter(state="selected").update(state="active", bought_at=now)
    Provision.objects.filter(pk=run.provision_id).update(state="failed", parked_reason="needs_operator")
    Run.objects.filter(pk=run.pk).update(state="failed", finished_at=now, failure_code="nothing_left")
    return Run.objects.get(pk=run.pk)


def verb(row: Any, name: str) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


# ---- who gets in -----------------------------------------------------------------------------------------------------


def test_a_visitor_is_sent_to_the_one_sign_in_page(client: Client) -> None:
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/login/?next=")


def test_a_student_gets_nowhere(pages: list[str]) -> None:
    browser = signed_in(student())
    for name in ["admin:index", *pages]:
        response = browser.get(reverse(name), follow=True)
        assert response.status_code == 403, name


def test_an_operator_gets_everywhere(console: Client, pages: list[str]) -> None:
    looks_failed()
    for name in ["admin:index", *pages]:
        assert console.get(reverse(name)).status_code == 200, name


def test_the_queues_own_pages_are_gone() -> None:
    """A schedule runs any function by its name, and a task unpickles when it is looked at."""
    assert [model for model in admin.site._registry if model._meta.app_label == "django_q"] == []


def test_every_row_has_a_page_that_opens(console: Client) -> None:
    world = new_world()
    run = looks_failed()
    paid(new_order("other"))
    world.run_once()
    OperatorItem.open("wallet_short", key="x", sentence="Short.", provision=run.provision)
    Circuit.objects.create(platform="zapmail")
    Flag.objects.create(key="orders")
    for model in admin.site._registry:
        row = model._default_manager.order_by("pk").first()
        if row is not None:
            assert console.get(change(row)).status_code == 200, model


def seen_domains(run: Run) -> list[Domain]:
    """Return the run's domains, each with a look, a watch and copied addresses; the first has lost a record."""
    domains = list(run.provision.domains.filter(state="active").order_by("position"))
    now = timezone.now()
    for number, one in enumerate(domains):
        DnsCheck.want(one, now=now)
        states = ["propagated", "drifted" if number == 0 else "propagated"]
        rows = [{"kind": "spf", "state": state, "value": "<b>v=spf1</b>"} for state in states]
        DnsCheck.objects.filter(domain=one).update(records=rows)
        watch = PropagationWatch.begin(one, now=now)
        watch.observations.create(student=one.student, at=now, state="partial", cause="missing", coverage=50)
        SpfFlattening.objects.create(
            domain=one, student=one.student, original="v=spf1 a -all", lookups_before=9, lookups_after=0, characters=9,
            refresh=300, written_at=now, drift={"added": ["192.0.2.0/24"]} if number == 0 else {},
        )  # fmt: skip
    return domains


def test_what_was_seen_of_domains_is_read_and_found_by_what_is_wrong(
    console: Client, django_assert_max_num_queries: Any
) -> None:
    first, *others = seen_domains(looks_failed())
    for model in DNS:
        listed = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        with django_assert_max_num_queries(12):
            page = console.get(listed).content.decode()
        assert all(one.name in page for one in [first, *others]), model
        opened = console.get(change(model._default_manager.latest("created_at")))
        assert opened.status_code == 200
        assert "<b>v=spf1</b>" not in opened.content.decode()
    for model, query in ((DnsCheck, {"records": "drifted"}), (SpfFlattening, {"senders": "changed"})):
        page = console.get(reverse(f"admin:infra_{model._meta.model_name}_changelist"), query).content.decode()
        assert first.name in page
        assert not any(one.name in page for one in others)
    assert console.get(reverse("admin:infra_dnscheck_changelist"), {"records": "x"}).status_code == 200


def test_staff_without_the_right_may_look_and_not_press(client: Client) -> None:
    run = looks_failed()
    viewer = User.objects.create_user("vic@ops.example", "pw", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(viewer)

    page = client.get(change(run))
    assert page.status_code == 200
    assert verb(run, "retry") not in page.content.decode()
    assert client.post(verb(run, "retry"), {"reason": "x"}).status_code == 403

    viewer.user_permissions.add(Permission.objects.get(codename="change_run"))
    assert client.post(verb(run, "retry"), {"reason": "x"}).status_code == 302


DNS = (DnsCheck, PropagationWatch, PropagationObservation, SpfFlattening)
MACHINE_WRITTEN = (Provision, Run, Step, Event, Operation, Mail, OperatorItem, Payment, Circuit, *DNS)


@pytest.mark.parametrize("model", MACHINE_WRITTEN)
def test_machine_written_tables_are_read_only(console: Client, olive: User, rf: Any, model: type[Any]) -> None:
    request = rf.get("/")
    request.user = olive
    table = admin.site._registry[model]
    assert not table.has_add_permission(request)
    assert not table.has_change_permission(request)
    assert not table.has_delete_permission(request)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert console.get(reverse(f"{name}_add")).status_code == 403


def test_no_secret_is_shown_anywhere(console: Client) -> None:
    world = new_world()
    run = paid(new_order())
    world.run_until(ended(run))
    secret = Credential.objects.get().password.open()
    captured = [capture.body.open() for capture in Capture.objects.all()]
    assert any(secret in body for body in captured)

    assert not {Credential, Capture} & set(admin.site._registry)
    for row in [run.provision, run, *run.operations.all(), *run.steps.filter(key="sender_login"), run.student]:
        page = console.get(change(row)).content.decode()
        assert secret not in page
        assert "app_password" not in page
        assert "pbkdf2" not in page and "md5$" not in page  # noqa: PT018


def test_pages_fit_the_content_security_policy(console: Client) -> None:
    run = looks_failed()
    for address in ("/admin/", change(run), change(run.provision), verb(run, "retry"), change(starter())):
        response = console.get(address)
        page = response.content.decode()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert " style=" not in page and "<style" not in page and " onclick=" not in page  # noqa: PT018
        assert "css/admin." in page


# ---- verbs -----------------------------------------------------------------------------------------------------------


def test_retry_says_what_will_and_will_not_happen_again(console: Client) -> None:
    run = looks_failed()

    page = text(console.get(verb(run, "retry")))

    assert "3 of 3 domains are bought and will not be bought again." in page
    assert "Creating mailboxes: active is tried again: ada@getacme.com" in page
    assert "Creating mailboxes: done for 6 of 6 mailboxes" in page


def test_a_run_is_retried_from_the_admin_and_continues_there(console: Client) -> None:
    world = new_world()
    run = failed_run(world)
    before = len(world.sandbox.log)

    answer = console.post(verb(run, "retry"), {"reason": "the platform has mended it"}, follow=True)
    assert "6 steps are tried again." in text(answer)
    world.run_until(ended(run), hours=72)

    assert Provision.objects.get().state == "active"
    sent = {(entry.platform, entry.verb) for entry in world.sandbox.log.since(before)}
    assert not sent & {
        ("zapmail", "create_workspace"),
        ("zapmail", "buy_domains"),
        ("zapmail", "buy_mailbox_slots"),
        ("zapmail", "set_dmarc"),
        ("zapmail", "create_mailboxes"),
    }
    event = Event.objects.get(kind="retried")
    assert (event.actor, event.reason) == ("olive@ops.example", "the platform has mended it")


def test_retry_asks_for_a_reason(console: Client) -> None:
    run = looks_failed()
    response = console.post(verb(run, "retry"), {"reason": ""})
    assert response.status_code == 422
    assert Run.objects.get(pk=run.pk).state == "failed"


def test_retry_pressed_twice_says_a_sentence(console: Client) -> None:
    run = looks_failed()
    console.post(verb(run, "retry"), {"reason": "x"})

    answer = console.post(verb(run, "retry"), {"reason": "x"}, follow=True)

    assert answer.status_code == 200
    assert "an automatic attempt is due" in text(answer)
    assert Event.objects.filter(kind="retried").count() == 1


def test_retry_is_disabled_while_an_automatic_attempt_is_due(console: Client) -> None:
    new_world()
    run = paid(new_order())

    page = console.get(change(run)).content.decode()

    assert f'href="{verb(run, "retry")}"' not in page
    assert "an automatic attempt is due" in page


def test_an_item_is_skipped_from_the_admin(console: Client) -> None:
    world = new_world()
    run = paid(new_order())
    step = run.steps.filter(key="mailboxes", mailbox__address="ada@getacme.com").get()
    assert "active, with exceptions" in text(console.get(verb(step, "skip")))

    console.post(verb(step, "skip"), {"reason": "not wanted"})
    world.run_until(ended(run))
    again = console.post(verb(step, "skip"), {"reason": "not wanted"}, follow=True)

    assert Provision.objects.get().state == "active_with_exceptions"
    assert "closed already" in text(again)


def test_a_step_is_marked_done_by_hand_with_its_facts(console: Client) -> None:
    new_world()
    run = paid(new_order())
    step = run.steps.get(key="workspace")
    page = console.get(verb(step, "by_hand")).content.decode()
    assert "zapmail_workspace_id" in page

    wrong = console.post(verb(step, "by_hand"), {"reason": "made it", "facts": "[1]"})
    assert wrong.status_code == 422
    missing = console.post(verb(step, "by_hand"), {"reason": "made it", "facts": "{}"}, follow=True)
    assert "zapmail_workspace_id" in text(missing)
    facts = json.dumps({"zapmail_workspace_id": "ws-77"})
    console.post(verb(step, "by_hand"), {"reason": "made it in the console", "facts": facts})

    step.refresh_from_db()
    assert step.state == "completed"
    assert Provision.objects.get().facts["zapmail_workspace_id"] == "ws-77"


def test_a_password_entered_by_hand_is_not_shown_again(console: Client) -> None:
    new_world()
    run = paid(new_order())
    step = run.steps.get(key="sender_login")
    form = {
        "reason": "made it",
        "facts": json.dumps({"plusvibe_client_id": "1", "plusvibe_client_email": "ada@students.example"}),
        "login": "ada@students.example",
        "password": "=hand made ",
    }

    console.post(verb(step, "by_hand"), form)

    assert Credential.objects.get().password.open() == "=hand made "
    assert "hand made" not in console.get(change(step)).content.decode()
    refused = console.post(verb(step, "by_hand"), {**form, "reason": ""})
    assert "hand made" not in refused.content.decode()


def test_purchases_are_paused_and_released(console: Client) -> None:
    pause = reverse("admin:infra_flag_pause")
    assert "Stop everything that costs money?" in text(console.get(pause))

    console.post(pause, {"platform": "zapmail", "reason": "prices look wrong"})
    flag = Flag.objects.get(key="purchases:zapmail")
    assert (flag.phase, "prices look wrong" in flag.stopped_reason) == ("off", True)
    twice = console.post(pause, {"platform": "zapmail", "reason": "again"}, follow=True)
    assert "paused already" in text(twice)
    assert not console.get(change(flag)).context["has_change_permission"]

    console.post(verb(flag, "release"), {"reason": "prices are right"})
    flag.refresh_from_db()
    assert flag.phase == "all"
    again = console.post(verb(flag, "release"), {"reason": "x"}, follow=True)
    assert "not paused" in text(again)


def test_a_circuit_is_closed(console: Client) -> None:
    circuit = Circuit.objects.create(
        platform="zapmail", is_open=True, reason="credentials", opened_at=timezone.now(), try_again_at=timezone.now()
    )
    console.post(verb(circuit, "close"), {"reason": "new key"})
    circuit.refresh_from_db()
    assert not circuit.is_open
    assert "not stopped" in text(console.post(verb(circuit, "close"), {"reason": "x"}, follow=True))


def test_an_order_is_cancelled(console: Client) -> None:
    world = new_world()
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="buy_domains", state="completed").count() == 3)
    assert "3 domains are bought" in text(console.get(verb(run.provision, "cancel")))

    console.post(verb(run.provision, "cancel"), {"reason": "asked by mail"})

    assert Provision.objects.get().state == "cancelling"
    again = console.post(verb(run.provision, "cancel"), {"reason": "x"}, follow=True)
    assert "taken down already" in text(again)


def test_an_item_for_a_human_is_resolved(console: Client) -> None:
    OperatorItem.open("circuit", key="x", sentence="Zapmail refuses our key.")
    item = OperatorItem.objects.get()
    console.post(verb(item, "resolve"), {"reason": "new key"})
    item.refresh_from_db()
    assert "olive@ops.example" in item.resolution
    assert "resolved already" in text(console.post(verb(item, "resolve"), {"reason": "x"}, follow=True))


def test_verbs_of_rows_that_do_not_exist_are_not_found(console: Client) -> None:
    address = reverse("admin:provisioning_run_retry", args=["00000000-0000-0000-0000-000000000000"])
    assert console.get(address).status_code == 404
    assert console.post(address.replace("00000000-0000", "nonsense"), {"reason": "x"}).status_code == 404


def test_a_verb_needs_its_token(olive: User) -> None:
    run = looks_failed()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(olive)
    assert strict.post(verb(run, "retry"), {"reason": "x"}).status_code == 403


# ---- the operator's questions ----------------------------------------------------------------------------------------


def runs_found(console: Client, **query: str) -> set[Any]:
    response = console.get(reverse("admin:provisioning_run_changelist"), query)
    return set(response.context["cl"].queryset)


def orders_found(console: Client, **query: str) -> set[Any]:
    response = console.get(reverse("admin:infra_provision_changelist"), query)
    return set(response.context["cl"].queryset)


def test_needs_a_human(console: Client) -> None:
    paid(new_order("quiet"))
    failed = looks_failed()

    assert runs_found(console, question="human") == {failed}
    assert orders_found(console, question="human") == {failed.provision}


def test_stuck_for_over_an_hour(console: Client) -> None:
    new_world()
    moving, stuck = paid(new_order("moving")), paid(new_order("stuck"))
    long_ago = timezone.now() - timedelta(hours=2)
    Run.objects.update(paid_at=long_ago)
    Event.objects.filter(run=stuck).update(created_at=long_ago)

    assert runs_found(console, question="stuck") == {stuck}
    assert orders_found(console, question="stuck") == {stuck.provision}
    assert moving.pk != stuck.pk


def test_waiting_on_a_platform(console: Client) -> None:
    world = new_world()
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(key="domains_active", state="waiting").exists())

    assert runs_found(console, platform="zapmail") == {run}
    assert runs_found(console, platform="heyreach") == set()
    assert orders_found(console, platform="zapmail") == {run.provision}


def test_outcome_unknown(console: Client) -> None:
    world = new_world()
    world.sandbox.faults.add("timeout_before", platform="zapmail", verb="create_workspace")
    run = paid(new_order())
    world.run_once()

    assert OperationItem.objects.filter(state="unknown").exists()
    assert runs_found(console, question="unknown") == {run}


def test_paid_but_not_started(console: Client) -> None:
    new_world()
    run = paid(new_order("queued"))
    Run.objects.update(paid_at=timezone.now() - timedelta(minutes=6))
    without = new_order("without")
    Payment.objects.create(
        provision=without, student=without.student, amount_cents=14400, paid_at=timezone.now(), stripe_invoice_id="in_1"
    )

    assert runs_found(console, question="not_started") == {run}
    assert orders_found(console, question="not_started") == {run.provision, without}


def test_waiting_for_funds(console: Client) -> None:
    world = new_world()
    world.sandbox.switches.set(zapmail_wallet_cents=100)
    run = paid(new_order())
    world.run_until(lambda: run.steps.filter(waits_on="funds").exists())

    assert runs_found(console, question="funds") == {run}
    assert orders_found(console, question="funds") == {run.provision}


def test_every_step_of_every_stack_has_a_platform_that_it_waits_for() -> None:
    for stack in STACKS.values():
        without = {spec.key for spec in stack.steps if not spec.asks}
        assert without <= NO_PLATFORM
        assert {spec.asks for spec in stack.steps} - {""} <= {platform.slug for platform in PLATFORMS}


def test_attempts_and_events_stand_on_the_runs_page(console: Client) -> None:
    world = new_world()
    run = paid(new_order())
    world.run_once()
    page = text(console.get(change(run)))
    assert "zapmail.create_workspace" in page
    assert f"{run.provision.reference}: Done" in page
    assert "run_started" in page
    assert "It looks again when its next time has come." in page


def test_lists_cost_the_same_however_long_they_are(console: Client, django_assert_max_num_queries: Any) -> None:
    new_world()
    for name in ("one", "two", "three", "four"):
        paid(new_order(name))
    for name in (
        "admin:provisioning_run_changelist",
        "admin:infra_provision_changelist",
        "admin:provisioning_step_changelist",
    ):
        with django_assert_max_num_queries(12):
            console.get(reverse(name))


def test_a_runs_page_costs_the_same_however_many_rows_it_has(
    console: Client, django_assert_max_num_queries: Any
) -> None:
    run = looks_failed()
    with django_assert_max_num_queries(35):
        console.get(change(run))


# ---- tiers -----------------------------------------------------------------------------------------------------------


def tier_form(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "Large",
        "slug": "large",
        "description": "",
        "stack": "zapmail",
        "domain_count": 5,
        "domain_count_max": "",
        "mailbox_count": 10,
        "dedicated_ip_count": 0,
        "domain_price_cap_cents": 2000,
        "setup_fee_cents": 14700,
        "monthly_fee_cents": 7700,
        "currency": "usd",
        "stripe_setup_price_id": "price_1",
        "stripe_monthly_price_id": "price_2",
        "warmup_initial_daily_limit": 2,
        "warmup_pace_increment": 2,
        "warmup_max_daily_limit": 30,
        "warmup_reply_rate_percent": 30,
        "warmup_randomize_num": 20,
        "warmup_campaign_daily_limit": 30,
        "warmup_gap_minutes": 5,
        "warmup_slow_rampup": "on",
        "warmup_days": 14,
        "dmarc_policy": "none",
        "instructions": "",
        "is_active": "on",
        "sort_order": 9,
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


def add_tier(console: Client, **changes: Any) -> Any:
    return console.post(reverse("admin:infra_tier_add"), tier_form(**changes), follow=True)


def test_a_tier_is_added(console: Client) -> None:
    answer = add_tier(console)
    assert answer.redirect_chain, answer.context["adminform"].form.errors
    made = Tier.objects.get(slug="large")
    assert (made.warmup["max_daily_limit"], made.warmup["slow_rampup"]) == (30, True)
    assert "is little" not in text(answer)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("stripe_setup_price_id", "", "needs its prices at Stripe"),
        ("domain_count", 0, "greater than or equal to 1"),
        ("mailbox_count", 4, "Each domain needs a mailbox"),
        ("mailbox_count", 26, "25 in all"),
        ("setup_fee_cents", -1, "greater than or equal to 0"),
        ("currency", "gold", "not one of the available choices"),
        ("stack", "parcel", "not one of the available choices"),
        ("warmup_max_daily_limit", 51, "less than or equal to 50"),
        ("warmup_initial_daily_limit", 40, "Less than on the first day"),
        ("warmup_reply_rate_percent", 101, "less than or equal to 100"),
        ("dmarc_policy", "maybe", "not one of the available choices"),
    ],
)
def test_a_tier_that_cannot_work_is_refused(console: Client, field: str, value: Any, sentence: str) -> None:
    page = text(add_tier(console, **{field: value}))
    assert sentence in page
    assert not Tier.objects.filter(slug="large").exists()


def test_a_tier_that_is_not_offered_needs_no_prices_yet(console: Client) -> None:
    add_tier(console, is_active=None, stripe_setup_price_id="", stripe_monthly_price_id="")
    assert not Tier.objects.get(slug="large").is_active


@pytest.mark.parametrize(("slug", "left"), [("ignition", "$35.67"), ("dominance", "$101.17"), ("starter", "$22.76")])
def test_a_package_says_what_is_left_of_a_month(console: Client, slug: str, left: str) -> None:
    row = make_tier(slug)
    said = f"about {left}, before Stripe's fees"
    assert said in text(console.get(reverse("admin:infra_tier_change", args=[row.pk])))
    assert said in text(console.get(reverse("admin:infra_tier_changelist")))


def test_a_fee_below_costs_is_warned_of(console: Client) -> None:
    answer = add_tier(console, monthly_fee_cents=4900)
    assert Tier.objects.filter(slug="large").exists()
    assert "$49 a month is little" in text(answer)


def test_changed_fees_are_not_offered_at_the_old_prices(console: Client) -> None:
    add_tier(console)
    large = Tier.objects.get(slug="large")

    refused = console.post(change(large), tier_form(monthly_fee_cents=8700), follow=True)
    assert "still charge the old fees" in text(refused)
    console.post(change(large), tier_form(monthly_fee_cents=8700, is_active=None))

    large.refresh_from_db()
    assert (large.monthly_fee_cents, large.stripe_monthly_price_id, large.is_active) == (8700, "", False)


def test_prices_are_made_at_stripe_for_a_package_that_is_not_offered_yet(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = gateway_over(Sandbox(seed=1, speed=ManualClock()).transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    add_tier(console, is_active=None, stripe_setup_price_id="", stripe_monthly_price_id="")
    large = Tier.objects.get(slug="large")
    assert "$147 once and $77 a month" in text(console.get(verb(large, "prices")))

    assert "2 prices were made" in text(console.post(verb(large, "prices"), follow=True))
    large.refresh_from_db()
    assert large.stripe_setup_price_id.startswith("price_")
    assert "0 prices were made" in text(console.post(verb(large, "prices"), follow=True))


def test_prices_that_cannot_be_made_now_say_so(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox(seed=1, speed=ManualClock())
    ours = gateway_over(sandbox.transport())
    monkeypatch.setattr(gateway, "current", lambda: ours)
    sandbox.faults.add("refuse", platform="stripe")

    answer = console.post(verb(starter(), "prices"), follow=True)

    assert answer.status_code == 200
    assert "Stripe could not be asked" in text(answer)


def test_the_form_shows_the_students_card(console: Client) -> None:
    page = text(console.get(change(tier(description="To begin with"))))
    assert "$144 today, then $47 a month" in page
    assert "To begin with" in page


def test_a_used_tier_is_not_deleted(console: Client) -> None:
    used = new_order().tier
    assert used is not None
    answer = console.post(reverse("admin:infra_tier_delete", args=[used.pk]), {"post": "yes"}, follow=True)
    assert "cannot be deleted" in text(answer)
    assert Tier.objects.filter(pk=used.pk).exists()

    unused = Tier.objects.create(
        name="X", slug="x", stack="zapmail", domain_count=1, mailbox_count=1, setup_fee_cents=1, monthly_fee_cents=1
    )
    console.post(reverse("admin:infra_tier_delete", args=[unused.pk]), {"post": "yes"})
    assert not Tier.objects.filter(pk=unused.pk).exists()


def test_the_default_tiers_are_those_of_the_specification() -> None:
    call_command("load_tiers", verbosity=0)
    Tier.objects.filter(slug="growth").update(monthly_fee_cents=9900)
    call_command("load_tiers", verbosity=0)

    rows = Tier.objects.values_list(
        "name", "stack", "domain_count", "mailbox_count", "setup_fee_cents", "monthly_fee_cents", "is_active"
    )
    assert list(rows) == [
        ("Starter", "zapmail", 3, 6, 9700, 4700, True),
        ("Growth", "zapmail", 5, 10, 14700, 9900, True),
        ("Scale", "zapmail", 10, 20, 24700, 14700, True),
        ("Ignition", "forge", 2, 3, 9700, 14900, True),
        ("Velocity", "forge", 3, 6, 14700, 19900, True),
        ("Dominance", "forge", 5, 11, 24700, 34900, True),
        ("Own domains", "workspace", 1, 2, 4900, 1500, True),
    ]
    assert Tier.objects.get(slug="own-domains").domain_count_max == 50
    assert list(Tier.objects.filter(stack="forge").values_list("dedicated_ip_count", flat=True)) == [1, 1, 2]


# ---- people ----------------------------------------------------------------------------------------------------------


def test_a_student_is_added_without_a_password(console: Client) -> None:
    page = console.get(reverse("admin:infra_user_add")).content.decode()
    assert 'type="password"' not in page

    form = {"email": "Bo@Students.example", "first_name": "Bo", "last_name": "Lind", "cohort": "spring"}
    console.post(reverse("admin:infra_user_add"), form)

    bo = User.objects.get(email="bo@students.example")
    assert (bo.is_enrolled, bo.is_staff, bo.has_usable_password()) == (True, False, False)
    assert Mail.objects.filter(kind="invited", to=bo.email).count() == 1
    twice = console.post(reverse("admin:infra_user_add"), form)
    assert "has an account already" in text(twice)


def test_inviting_ending_and_enrolling(console: Client) -> None:
    ada = student()
    console.post(verb(ada, "invite"))
    assert "few minutes ago" in text(console.post(verb(ada, "invite"), follow=True))
    assert Mail.objects.filter(kind="invited", to=ada.email).count() == 1

    assert "What was bought goes on" in text(console.get(verb(ada, "end-enrolment")))
    console.post(verb(ada, "end-enrolment"), {"reason": "left the class"})
    ada.refresh_from_db()
    assert not ada.is_enrolled
    assert "not enrolled" in text(console.post(verb(ada, "end-enrolment"), {"reason": "x"}, follow=True))
    console.post(verb(ada, "enrol"))
    ada.refresh_from_db()
    assert ada.is_enrolled


def test_a_class_list_is_pasted(console: Client) -> None:
    people = "bo@students.example\nnonsense\nChi Ma <chi@students.example>"
    answer = console.post(reverse("admin:infra_user_class-list"), {"people": people, "cohort": "spring"}, follow=True)
    assert "2 people invited." in text(answer)
    assert "nonsense" in text(answer)
    assert User.objects.filter(cohort="spring", is_enrolled=True).count() == 2


def test_students_are_searched(console: Client) -> None:
    ada, _bo = student(), student("bo@students.example", first_name="Bo", last_name="Lind")
    response = console.get(reverse("admin:infra_user_changelist"), {"q": "keen"})
    assert set(response.context["cl"].queryset) == {ada}


def test_only_a_superuser_makes_operators(client: Client) -> None:
    ada = student()
    helper = User.objects.create_user("vic@ops.example", "pw", is_staff=True)
    helper.user_permissions.add(*Permission.objects.filter(content_type__app_label="infra", codename__endswith="_user"))
    client.force_login(helper)
    form = {
        "email": ada.email,
        "time_zone": "UTC",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "provisions-TOTAL_FORMS": 0,
        "provisions-INITIAL_FORMS": 0,
    }

    assert client.post(change(ada), form).status_code == 302
    ada.refresh_from_db()
    assert (ada.is_staff, ada.is_superuser) == (False, False)

    olive = User.objects.create_superuser("olive@ops.example", "pw")
    assert client.post(change(olive), form | {"email": "vic2@ops.example"}).status_code == 403
    assert client.post(verb(olive, "invite")).status_code in (302, 403)


def test_nobody_is_deleted(console: Client) -> None:
    assert console.post(reverse("admin:infra_user_delete", args=[student().pk]), {"post": "yes"}).status_code == 403


# ---- flags -----------------------------------------------------------------------------------------------------------


def save_flag(console: Client, **values: Any) -> Any:
    form = {"key": "orders", "phase": "all", "named": "", "first_count": 0} | values
    return console.post(reverse("admin:infra_flag_add"), form, follow=True)


def test_a_flag_is_set_and_the_automatic_stop_reset(console: Client) -> None:
    save_flag(console, phase="off")
    flag = Flag.objects.get(key="orders")
    assert "olive@ops.example" in flag.stopped_reason
    OperatorItem.open("orders_stopped", key="orders", sentence="Stopped.")

    form = {"key": "orders", "phase": "all", "named": "", "first_count": 0}
    console.post(change(flag), form)

    flag.refresh_from_db()
    assert (flag.phase, flag.stopped_at, flag.stopped_reason) == ("all", None, "")
    assert not OperatorItem.objects.filter(kind="orders_stopped", resolved_at=None).exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"key": "purchases"}, "paused and released by the buttons"),
        ({"key": "stack:parcel"}, "Nothing asks for this flag"),
        ({"phase": "named"}, "at least one student"),
        ({"phase": "first"}, "How many orders?"),
    ],
)
def test_a_flag_that_means_nothing_is_refused(console: Client, values: dict[str, str], sentence: str) -> None:
    assert sentence in text(save_flag(console, **values))
    assert not Flag.objects.exists()
