"""The database refuses impossible rows: one case per constraint, which must fail by that constraint's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import DataError, IntegrityError, connection, models, transaction
from django.utils import timezone

from billing.models import Booking, Checkout, Downgrade, Payment, Refund, Subscription, Upgrade, WebhookEvent
from infra.models import (
    AuthenticationTest,
    Counter,
    Credential,
    CredentialReveal,
    Domain,
    DomainHold,
    Flag,
    KeyCanary,
    Mail,
    Mailbox,
    NameCheck,
    OperatorItem,
    PlatformConnection,
    PropagationWatch,
    Provision,
    ProvisionState,
    Registration,
    RenewalChoice,
    SpfFlattening,
    TaskDone,
    Tier,
    User,
    WarmupDay,
)
from infra.secret import Secret
from provisioning.models import Capture, Circuit, Flight, Operation, OperationItem, Permit, Run, Step, Timing

from .world import new_order, paid, starter

pytestmark = pytest.mark.django_db

OURS = ("infra", "billing", "provisioning")
MODELS: list[type[models.Model]] = [model for app in OURS for model in apps.get_app_config(app).get_models()]
CASES: dict[str, Callable[[], None]] = {}


def breaks(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Declare what breaks the constraint `name`."""

    def declare(case: Callable[[], None]) -> Callable[[], None]:
        CASES[name] = case
        return case

    return declare


def order() -> Provision:
    """Return an order with its domains; one for the whole case."""
    return Provision.objects.filter(enlarges=None).first() or new_order()


def owner(**values: Any) -> dict[str, Any]:
    provision = order()
    return {"provision": provision, "student": provision.student, **values}


def run() -> Run:
    return Run.objects.first() or paid(order())


def operation(**values: Any) -> Operation:
    now = timezone.now()
    made = {"platform": "zapmail", "verb": "buy_domains", "token": 1, "send_before": now, "absent_after": now, **values}
    return Operation.objects.create(run=run(), student=run().student, **made)


def checkout(**values: Any) -> Checkout:
    return Checkout.objects.create(**owner(amount_cents=1, expires_at=timezone.now(), **values))


def payment(**values: Any) -> Payment:
    return Payment.objects.create(**owner(**{"amount_cents": 5, "paid_at": timezone.now(), **values}))


def downgrade(**values: Any) -> Downgrade:
    return Downgrade.objects.create(**owner(**{"tier": starter(), "monthly_cents": 1, **values}))


def upgrade(**values: Any) -> Upgrade:
    draft = order().extensions.first() or Provision.objects.create(student=order().student, enlarges=order())
    made = {"extension": draft, "proration_at": 1, "due_cents": 1, "monthly_cents": 1, **values}
    return Upgrade.objects.create(**owner(**made))


# ---- people, packages, orders ----------------------------------------------------------------------------------------


@breaks("infra_user_email_unique")
def _two_users() -> None:
    User.objects.create_user("ada@students.example")
    User.objects.create(email="ADA@students.example")


def _tier(**values: Any) -> None:
    starter()
    Tier.objects.update(**values)


CASES["infra_tier_domain_range"] = lambda: _tier(domain_count=3, domain_count_max=2)
CASES["infra_tier_has_domains"] = lambda: _tier(domain_count=0)
CASES["infra_tier_has_mailboxes"] = lambda: _tier(mailbox_count=0)


@breaks("infra_warmupday_once")
def _two_rows_of_a_day() -> None:
    run()
    box, now = Mailbox.objects.get(address="ada@getacme.com"), timezone.now()
    for _ in range(2):
        WarmupDay.objects.create(mailbox=box, student=box.student, day=now, connection="connected", measured_at=now)


def dns_watch(**values: Any) -> PropagationWatch:
    domain = order().domains.get(name="getacme.com")
    return PropagationWatch.objects.create(
        domain=domain, student=order().student, **{"since": timezone.now(), **values}
    )


@breaks("infra_propagationwatch_one_polling")
def _two_watches_of_a_domain() -> None:
    dns_watch()
    dns_watch()


@breaks("infra_propagationwatch_ended_paired")
def _a_watch_ended_at_no_time() -> None:
    dns_watch(state="timeout")


@breaks("infra_spfflattening_one_in_use")
def _two_flattenings_in_use() -> None:
    domain = order().domains.get(name="getacme.com")
    counts = {"lookups_before": 2, "lookups_after": 0, "characters": 9, "refresh": 300}
    for _ in range(2):
        SpfFlattening.objects.create(
            domain=domain, student=order().student, original="v=spf1 -all", written_at=timezone.now(), **counts
        )


@breaks("infra_taskdone_once")
def _a_task_done_twice() -> None:
    for _ in range(2):
        TaskDone.objects.create(**owner(task="calendar"))


def _registration(**values: Any) -> None:
    Registration.objects.create(**owner(name="tryacme.com", **{"due_at": timezone.now(), **values}))


@breaks("infra_registration_once")
def _a_name_to_register_twice() -> None:
    for _ in range(2):
        _registration()


@breaks("infra_registration_due_while_asked")
def _a_name_that_is_asked_for_ever() -> None:
    _registration(due_at=None)


@breaks("infra_registration_agreed_to_a_price")
def _a_consent_to_no_price() -> None:
    _registration(state="agreed", due_at=None, agreed_at=timezone.now(), currency="USD")


def _connection(student: User, **values: Any) -> None:
    made = {"platform": "smartlead", "owner": "student", "credential": Secret("x"), "actor": "test", **values}
    PlatformConnection.objects.create(student=student, **made)


@breaks("infra_platformconnection_one_used")
def _two_connections_in_use() -> None:
    for _ in range(2):
        _connection(order().student, is_used=True)


@breaks("infra_platformconnection_one_tried")
def _two_connections_tried() -> None:
    for _ in range(2):
        _connection(order().student)


@breaks("infra_platformconnection_one_student")
def _two_students_in_one_account() -> None:
    for name in ("ada", "bo"):
        _connection(User.objects.create_user(f"{name}@own.example"), is_used=True, account="4711")


@breaks("infra_platformconnection_key_while_live")
def _a_connection_that_keeps_its_key() -> None:
    _connection(order().student, ended_at=timezone.now())


@breaks("infra_provision_one_live")
def _two_live_orders() -> None:
    Provision.objects.create(student=order().student)


@breaks("infra_provision_paid_is_frozen")
def _paid_but_not_frozen() -> None:
    order()
    Provision.objects.update(paid_at=timezone.now())


@breaks("infra_provision_cancelled_paired")
def _cancelled_at_no_time() -> None:
    order()
    Provision.objects.update(state="cancelled")


@breaks("infra_domain_one_live_name")
def _one_name_ordered_twice() -> None:
    now = timezone.now()
    for name in ("ada", "bo"):
        provision = new_order(name)
        Domain.objects.create(provision=provision, student=provision.student, name="same.com", ordered_at=now)


@breaks("infra_domain_once_per_provision")
def _one_name_twice_in_an_order() -> None:
    Domain.objects.create(**owner(name="getacme.com"))


@breaks("infra_domain_bought_was_ordered")
def _bought_but_never_ordered() -> None:
    order()
    Domain.objects.update(bought_at=timezone.now())


@breaks("infra_domain_connected_was_ordered")
def _connected_but_never_ordered() -> None:
    order()
    Domain.objects.update(origin="own", price_cents=0, state="selected", connected_at=timezone.now())


@breaks("infra_domain_own_is_not_bought")
def _an_own_domain_with_a_price() -> None:
    order()
    Domain.objects.update(origin="own", state="selected", price_cents=1299)


@breaks("infra_domain_own_is_no_spare")
def _an_own_domain_as_a_spare() -> None:
    order()
    Domain.objects.update(origin="own", state="spare", price_cents=0)


@breaks("infra_domainhold_one_per_name")
def _two_holds() -> None:
    for _ in range(2):
        DomainHold.objects.create(**owner(name="held.com", expires_at=timezone.now()))


@breaks("infra_mailbox_one_live_address")
def _one_address_twice() -> None:
    domain = order().domains.all()[0]
    for _ in range(2):
        Mailbox.objects.create(**owner(domain=domain, username="ada", address="ada@getacme.com"))


@breaks("infra_credential_one_per_kind")
def _two_logins() -> None:
    for _ in range(2):
        Credential.objects.create(**owner(kind="sending_tool", login="ada", password=Secret("x")))


@breaks("infra_credentialreveal_once")
def _shown_twice() -> None:
    login = Credential.objects.create(**owner(kind="sending_tool", login="ada", password=Secret("x")))
    for _ in range(2):
        CredentialReveal.objects.create(credential=login, student_id=login.student_id)


# ---- shared tables ---------------------------------------------------------------------------------------------------


def _twice(model: type[models.Model], **values: Any) -> Callable[[], None]:
    def case() -> None:
        for _ in range(2):
            model._default_manager.create(**values)

    return case


CASES["infra_counter_once"] = _twice(Counter, key="k", window_start=timezone.now())
CASES["infra_namecheck_once"] = _twice(NameCheck, name="acme.com")
CASES["infra_mail_once"] = _twice(Mail, key="k", kind="paid", to="ada@students.example")
CASES["infra_flag_once"] = _twice(Flag, key="orders")
CASES["infra_operatoritem_one_open"] = _twice(OperatorItem, key="k", kind="k", sentence="Look.")
CASES["billing_webhookevent_once"] = _twice(WebhookEvent, event_id="evt_1", type="x", payload={})
CASES["provisioning_permit_slot"] = _twice(Permit, budget="b", slot=1, window_seconds=1)
CASES["provisioning_timing_one_bucket"] = _twice(
    Timing, kind="call", name="zapmail", bound=0.1, number=1, seconds=0.05, last_at=timezone.now()
)
CASES["provisioning_flight_slot"] = _twice(Flight, platform="zapmail", slot=1)


@breaks("infra_keycanary_single")
def _two_canaries() -> None:
    KeyCanary.objects.create(pk=2, token="t")


@breaks("provisioning_circuit_open_paired")
def _open_at_no_time() -> None:
    Circuit.objects.create(platform="zapmail", is_open=True)


# ---- money -----------------------------------------------------------------------------------------------------------


@breaks("billing_checkout_one_open")
def _two_open_checkouts() -> None:
    checkout(state="open")
    checkout(state="intended")


@breaks("billing_checkout_one_paid")
def _two_paid_checkouts() -> None:
    checkout(state="paid")
    checkout(state="paid")


@breaks("billing_checkout_session")
def _one_session_twice() -> None:
    checkout(state="paid", session_id="cs_1")
    checkout(state="expired", session_id="cs_1")


@breaks("billing_payment_one_per_invoice")
def _one_invoice_twice() -> None:
    payment(stripe_invoice_id="in_1")
    payment(stripe_invoice_id="in_1")


@breaks("billing_subscription_once")
def two_orders_with_one_subscription() -> None:
    for provision in (order(), new_order("other")):
        Subscription.objects.create(provision=provision, student=provision.student, stripe_id="sub_1")


@breaks("billing_payment_refund_within")
def _more_back_than_came() -> None:
    payment(amount_cents=5, refunded_cents=6)


def booking(**values: Any) -> Booking:
    paid_in = payment()
    made = {"stripe_id": "txn_1", "amount": 5, "gross": 5, "fee": 1, "net": 4, "booked_at": timezone.now(), **values}
    return Booking.objects.create(payment=paid_in, student=paid_in.student, **made)


@breaks("billing_booking_once")
def _booked_twice() -> None:
    for _time in range(2):
        booking()


@breaks("billing_booking_adds_up")
def _booked_with_a_gap() -> None:
    booking(net=5)


@breaks("billing_refund_once")
def _one_reason_refunded_twice() -> None:
    paid_in = payment()
    for _ in range(2):
        Refund.objects.create(payment=paid_in, student=paid_in.student, key="k", amount_cents=1)


# ---- runs ------------------------------------------------------------------------------------------------------------


@breaks("provisioning_run_one_active")
def _two_active_runs() -> None:
    first = run()
    Run.objects.create(
        **owner(kind="upgrade", stack="zapmail", stack_version=1, paid_at=first.paid_at, state="waiting")
    )


@breaks("provisioning_run_finished_paired")
def _done_at_no_time() -> None:
    Run.objects.filter(pk=run().pk).update(state="done")


@breaks("provisioning_step_one_per_item")
def _one_step_twice() -> None:
    Step.objects.create(run=run(), student=run().student, key="workspace", position=0)


@breaks("provisioning_step_one_item")
def _a_step_of_two_items() -> None:
    mailbox = run().provision.mailboxes.all()[0]
    Step.objects.filter(mailbox=mailbox).update(domain=mailbox.domain)


@breaks("infra_provision_one_extension")
def _two_drafts_of_an_upgrade() -> None:
    for _ in range(2):
        Provision.objects.create(student=order().student, enlarges=order())


@breaks("billing_upgrade_one_open")
def _two_upgrades_at_once() -> None:
    for state in ("quoted", "pending"):
        upgrade(state=state)


@breaks("billing_downgrade_one_open")
def _two_downgrades_at_once() -> None:
    for state in ("intended", "withdrawing"):
        downgrade(state=state)


@breaks("billing_downgrade_planned_has_date")
def _a_planned_downgrade_without_a_date() -> None:
    downgrade(state="planned")


@breaks("provisioning_operationitem_one_unresolved")
def _two_unresolved_attempts() -> None:
    for state in ("unknown", "intended"):
        attempt = operation()
        OperationItem.objects.create(
            operation=attempt,
            student=attempt.student,
            platform="zapmail",
            verb="buy_domains",
            natural_key="getacme.com",
            state=state,
        )


@breaks("provisioning_capture_once")
def _two_answers_to_one_attempt() -> None:
    attempt = operation()
    for _ in range(2):
        Capture.objects.create(operation=attempt, student=attempt.student, attempt=1, status=200, body=Secret("{}"))


# ---- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_database_refuses_it_by_name(name: str) -> None:
    with pytest.raises(IntegrityError, match=f'constraint "{name}"'), transaction.atomic():
        CASES[name]()


def mail_test(**values: Any) -> AuthenticationTest:
    run()
    box = Mailbox.objects.first()
    assert box is not None
    now = timezone.now()
    made = {"token": "t", "asked_at": now, "due_at": now, **values}
    return AuthenticationTest.objects.create(mailbox=box, student=box.student, **made)


ENDED = {"due_at": None, "ended_at": timezone.now()}


@breaks("infra_authenticationtest_token")
def _two_tests_with_one_token() -> None:
    mail_test(state="failed", **ENDED)
    mail_test()


@breaks("infra_authenticationtest_one_open")
def _two_open_tests_of_a_mailbox() -> None:
    mail_test()
    mail_test(token="u", state="sent", sending_at=timezone.now())


@breaks("infra_authenticationtest_ends")
def _a_test_that_ended_and_did_not() -> None:
    mail_test(state="judged", sending_at=timezone.now())


@breaks("infra_authenticationtest_intent_first")
def _a_test_sent_without_an_intent() -> None:
    mail_test(state="sent")


def test_every_constraint_has_its_case() -> None:
    """Keys of (id, student) cannot be broken by themselves: they are what the composite foreign keys point at."""
    named = {constraint.name for model in MODELS for constraint in model._meta.constraints}
    assert {name for name in named if not name.endswith("_id_student")} == set(CASES)


def test_every_key_of_id_and_student_is_pointed_at() -> None:
    named = {c.name for model in MODELS for c in model._meta.constraints if c.name.endswith("_id_student")}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT i.relname FROM pg_constraint c JOIN pg_class i ON i.oid = c.conindid"
            " WHERE c.contype = 'f' AND c.conname LIKE '%same_student'"
        )
        assert named == {name for (name,) in cursor.fetchall()}


MONEY = [
    (model, field.name) for model in MODELS for field in model._meta.concrete_fields if field.name.endswith("_cents")
]


def _row(model: type[models.Model]) -> models.Model:
    """Return a row of a table that holds money."""
    match model.__name__:
        case "Tier":
            return starter()
        case "NameCheck":
            return NameCheck.objects.create(name="acme.com")
        case "Checkout":
            return checkout()
        case "Payment":
            return payment()
        case "Upgrade":
            return upgrade()
        case "Downgrade":
            return downgrade()
        case "Refund":
            paid_in = payment()
            return Refund.objects.create(payment=paid_in, student=paid_in.student, key="k", amount_cents=1)
        case "RenewalChoice":
            order()
            domain = Domain.objects.first()
            assert domain is not None
            return RenewalChoice.objects.create(domain=domain, student=domain.student, choice="keep", actor="ada")
        case "Registration":
            _registration()
        case "Subscription":
            return Subscription.objects.create(**owner(stripe_id="sub_1"))
        case "OrderLine":
            run()
    row = model._default_manager.first() or (order() and model._default_manager.first())
    assert row is not None
    return row


@pytest.mark.parametrize(("model", "field"), MONEY, ids=[f"{model.__name__}.{field}" for model, field in MONEY])
def test_money_is_never_negative(model: type[models.Model], field: str) -> None:
    row = _row(model)
    with pytest.raises((IntegrityError, DataError), match=f"{field}_check|refund_within"), transaction.atomic():
        model._default_manager.filter(pk=row.pk).update(**{field: -1})


@pytest.mark.parametrize("state", ["lost", "expired", "released"])
def test_a_name_that_is_gone_may_be_ordered_again(state: str) -> None:
    now = timezone.now()
    provision = order()
    Domain.objects.create(**owner(name="again.com", ordered_at=now, state=state))
    other = new_order("other")
    Domain.objects.create(provision=other, student=other.student, name="again.com", ordered_at=now)
    assert provision.pk != other.pk


@pytest.mark.parametrize("state", [state for state in ProvisionState if state != ProvisionState.CANCELLED])
def test_beside_an_order_in_any_other_state_no_new_one_may_begin(state: ProvisionState) -> None:
    provision = order()
    Provision.objects.update(state=state)
    with pytest.raises(IntegrityError, match='constraint "infra_provision_one_live"'), transaction.atomic():
        Provision.objects.create(student=provision.student)


def test_after_a_cancelled_order_a_new_one_may_follow() -> None:
    provision = order()
    Provision.objects.update(state="cancelled", cancelled_at=timezone.now())
    assert Provision.objects.create(student=provision.student).pk


def test_settled_attempts_may_be_repeated() -> None:
    for state in ("absent", "not_done", "rejected", "done", "intended"):
        attempt = operation()
        OperationItem.objects.create(
            operation=attempt,
            student=attempt.student,
            platform="zapmail",
            verb="buy_domains",
            natural_key="getacme.com",
            state=state,
        )
    assert OperationItem.objects.count() == 5
