"""A student reaches their own rows and nobody else's, in the database itself: also when a view forgets its filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client

from billing.models import Booking, Checkout, Downgrade, Payment, Refund, Subscription, Upgrade
from infra import rls
from infra.models import (
    AuthenticationTest,
    Credential,
    CredentialReveal,
    DnsCheck,
    Domain,
    DomainHold,
    Inventory,
    Mail,
    Mailbox,
    MailboxSecret,
    Measurement,
    OrderLine,
    PlatformConnection,
    PropagationObservation,
    PropagationWatch,
    Provision,
    Registration,
    RenewalChoice,
    SpfFlattening,
    TaskDone,
    Tier,
    User,
    WarmupDay,
)
from infra.secret import Secret
from infra.wizard import drafts
from provisioning.models import Capture, Event, Operation, OperationItem, Run, Step
from tests import harness

from .world import new_order, new_world, paid, starter

pytestmark = pytest.mark.django_db

OURS = ("infra", "billing", "provisioning")
TABLES: list[type[models.Model]] = [model for app in OURS for model in apps.get_app_config(app).get_models()]
OWNED = [model for model in TABLES if any(field.column == "student_id" for field in model._meta.concrete_fields)]
NOT_FOR_STUDENTS = (Booking, Operation, OperationItem, Capture)


def query(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


@contextmanager
def acting(role: str, student: User | None = None) -> Iterator[None]:
    """Act as one of the roles, as a request does; a broken statement inside breaks no transaction of the test."""
    rls.set_role(role, str(student.pk) if student else "")
    try:
        yield
    finally:
        rls.set_role("worker")


@contextmanager
def refused(words: str, role: str, student: User | None = None) -> Iterator[None]:
    """Expect the database to refuse what a role does."""
    with acting(role, student), pytest.raises(DatabaseError, match=words), transaction.atomic():
        yield


@pytest.fixture
def two() -> tuple[User, User]:
    """Two students, the first of whom has a row in every table of theirs."""
    world = new_world()
    run = paid(new_order("ada"))
    for _ in range(3):
        world.run_once()
        world.advance(600)
    ada, provision = run.student, run.provision
    mine: dict[str, Any] = {"student": ada, "provision": provision}
    password = {"login": "ada", "password": Secret("x")}
    login, _ = Credential.objects.update_or_create(**mine, kind="sending_tool", defaults=password)
    CredentialReveal.objects.create(credential=login, student=ada)
    Mail.objects.create(key="k", kind="paid", to=ada.email, **mine)
    now = run.paid_at
    box = provision.mailboxes.first()
    assert box is not None
    WarmupDay.objects.create(mailbox=box, student=ada, day=now, connection="connected", measured_at=now)
    Measurement.objects.create(**mine)
    Inventory.objects.create(**mine)
    MailboxSecret.objects.create(mailbox=box, student=ada, app_password=Secret("x"))
    RenewalChoice.objects.create(domain=box.domain, student=ada, choice="keep", actor=ada.email)
    PlatformConnection.objects.create(
        student=ada, platform="smartlead", owner="student", credential=Secret("x"), actor=ada.email
    )
    AuthenticationTest.objects.create(mailbox=box, student=ada, token="t", asked_at=now, due_at=now)
    DnsCheck.objects.create(domain=box.domain, **mine)
    Registration.objects.create(name="tryada.com", due_at=now, **mine)
    watch = PropagationWatch.objects.create(domain=box.domain, student=ada, since=now)
    PropagationObservation.objects.create(watch=watch, student=ada, at=now, state="absent")
    counts = {"lookups_before": 2, "lookups_after": 0, "characters": 9, "refresh": 300}
    SpfFlattening.objects.create(domain=box.domain, student=ada, original="v=spf1 -all", written_at=now, **counts)
    TaskDone.objects.create(**mine, task="calendar")
    DomainHold.objects.create(name="heldada.com", expires_at=now, **mine)
    checkout = Checkout.objects.create(**mine, amount_cents=1, expires_at=now)
    payment = Payment.objects.create(**mine, checkout=checkout, amount_cents=1, paid_at=now)
    Subscription.objects.create(**mine, stripe_id=f"sub_{ada.pk}")
    Refund.objects.create(payment=payment, student=ada, key="k", amount_cents=1)
    Booking.objects.create(
        payment=payment, student=ada, stripe_id="txn_1", amount=1, gross=1, fee=0, net=1, booked_at=now
    )
    Downgrade.objects.create(**mine, tier=starter(), monthly_cents=1)
    draft = Provision.objects.create(student=ada, enlarges=payment.provision)
    Upgrade.objects.create(
        provision=payment.provision, extension=draft, student=ada, proration_at=1, due_cents=1, monthly_cents=1
    )
    bo = new_order("bo").student
    return ada, bo


# ---- declared for every table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [*OWNED, User], ids=lambda model: model.__name__)
def test_a_students_table_has_its_policies(model: type[models.Model]) -> None:
    table = model._meta.db_table
    [(enabled, forced)] = query("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = %s", table)
    assert (enabled, forced) == (True, True)
    policies = {
        name: (set(roles), using, check)
        for name, roles, using, check in query(
            "SELECT policyname, roles::text[], qual, with_check FROM pg_policies WHERE tablename = %s", table
        )
    }
    roles, using, check = policies[f"{table}_student"]
    column = "id" if model is User else "student_id"
    assert roles == {"gtm_student"}
    assert using == check == f"({column} = gtm_student_id())"
    staff, using, _check = policies[f"{table}_staff"]
    assert {"gtm_operator", "gtm_worker"} < staff and using == "true"  # noqa: PT018
    assert len(staff) == 3, "the owner too, or a data migration would change nothing, silently"


def test_no_table_of_a_student_is_overlooked() -> None:
    columns = query(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'student_id' AND table_schema = 'public'"
    )
    assert {name for (name,) in columns} == {model._meta.db_table for model in OWNED}


def foreign_keys(table: str) -> set[tuple[tuple[str, ...], str]]:
    """Return columns and target of each foreign key of a table."""
    rows = query(
        "SELECT array_agg(a.attname::text ORDER BY k.n), c.confrelid::regclass::text FROM pg_constraint c"
        " CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k(attnum, n)"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum"
        " WHERE c.contype = 'f' AND c.conrelid = %s::regclass GROUP BY c.oid, c.confrelid",
        table,
    )
    return {(tuple(columns), target) for columns, target in rows}


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__name__)
def test_parents_belong_to_the_same_student(model: type[models.Model]) -> None:
    """Foreign-key checks bypass policies: without the student in the key, a row could hang on somebody else's."""
    found = foreign_keys(model._meta.db_table)
    parents = [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model in OWNED
    ]
    missing = [
        field.name
        for field in parents
        if ((field.column, "student_id"), field.related_model._meta.db_table) not in found
    ]
    assert missing == []


def test_a_row_cannot_hang_on_somebody_elses(two: tuple[User, User]) -> None:
    ada, bo = two
    provision = Provision.objects.get(student=ada, enlarges=None)
    with pytest.raises(IntegrityError, match="same_student"), transaction.atomic():
        Domain.objects.create(provision=provision, student=bo, name="stolen.com")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


# ---- what a student reaches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", OWNED, ids=lambda model: model.__name__)
def test_another_students_rows_cannot_be_read(two: tuple[User, User], model: type[models.Model]) -> None:
    ada, bo = two
    rows = model._default_manager.filter(student=ada).count()
    assert rows, f"the control needs a row of {model.__name__}"

    if model in NOT_FOR_STUDENTS:
        for person in two:
            with refused("permission denied", "student", person):
                list(model._default_manager.all())
        return
    with acting("student", ada):
        assert model._default_manager.count() == rows
    with acting("student", bo):
        assert not model._default_manager.filter(student=ada).exists()
        assert set(model._default_manager.values_list("student", flat=True)) <= {bo.pk}


@pytest.mark.parametrize(
    "model", [Provision, Domain, Mailbox, DnsCheck, PropagationWatch, SpfFlattening], ids=lambda model: model.__name__
)
def test_students_read_their_order_and_never_write_it(two: tuple[User, User], model: type[models.Model]) -> None:
    """What is ordered and what it costs is written by the worker's role alone, under the order's lock."""
    _ada, bo = two
    with refused("permission denied", "student", bo):
        model._default_manager.filter(student=bo).update(updated_at=bo.created_at)
    with refused("permission denied", "student", bo):
        model._default_manager.filter(student=bo)._raw_delete(using="default")


def test_another_students_rows_cannot_be_written(two: tuple[User, User]) -> None:
    ada, bo = two
    row = CredentialReveal.objects.filter(student=ada).first()
    assert row is not None
    with refused("row-level security", "student", bo):
        clone(row).save(force_insert=True)


def clone(row: models.Model) -> models.Model:
    """Return an unsaved copy of a row, still in its owner's name."""
    values = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if not field.primary_key
    }
    return type(row)(**values)


def test_students_see_no_other_people(two: tuple[User, User]) -> None:
    ada, bo = two
    with acting("student", bo):
        assert list(User.objects.all()) == [bo]
    with refused("permission denied", "student", bo):
        User.objects.filter(pk=bo.pk).update(is_staff=True)
    assert not User.objects.get(pk=bo.pk).is_staff
    assert ada.pk != bo.pk


FORGETFUL: list[tuple[str, Callable[[], models.QuerySet[Any]]]] = [
    ("/infrastructure/progress/", lambda: Provision.objects.all()),
    ("/infrastructure/dashboard/", lambda: Provision.objects.all()),
    ("/infrastructure/", lambda: Provision.objects.all()),
]


@pytest.mark.parametrize(("address", "rows"), FORGETFUL, ids=[address for address, _rows in FORGETFUL])
def test_a_view_without_its_filter_shows_nothing_of_others(
    two: tuple[User, User],
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    rows: Callable[[], models.QuerySet[Any]],
) -> None:
    """The page asks for all rows, as if somebody had removed the filter."""
    ada, bo = two
    seen: list[Any] = []

    def forgetful(student: User) -> Provision | None:
        seen.extend([list(rows()), list(Domain.objects.all()), list(Mailbox.objects.all()), list(Run.objects.all())])
        return rows().select_related("tier", "student").first()

    monkeypatch.setattr(drafts, "current", forgetful)
    client.force_login(bo)
    page = client.get(address, follow=True)

    assert page.status_code in (200, 404)
    assert seen, "the page asked"
    assert {row.student_id for found in seen for row in found} <= {bo.pk}
    assert Provision.objects.get(student=ada, enlarges=None).reference not in page.content.decode()


def test_every_request_says_anew_who_is_asking(two: tuple[User, User], client: Client, rf: Any) -> None:
    ada, bo = two
    found: list[tuple[User, list[User]]] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append((request.user, [row.student for row in Provision.objects.filter(enlarges=None)]))  # type: ignore[arg-type]
        return HttpResponse()

    for person in (ada, bo, ada):
        request = rf.get("/")
        request.user = person
        rls.VisitorRoleMiddleware(rls.DatabaseRoleMiddleware(view))(request)

    assert found == [(ada, [ada]), (bo, [bo]), (ada, [ada])]


def test_who_has_signed_in_sees_their_own_whoever_the_connection_served_before(two: tuple[User, User], rf: Any) -> None:
    ada, bo = two
    request = rf.get("/")
    request.user = bo
    with acting("student", ada):
        rls.DatabaseRoleMiddleware(lambda _: HttpResponse())(request)
        assert {row.student_id for row in Provision.objects.all()} == {bo.pk}


def test_who_has_not_signed_in_is_nobody_whoever_the_connection_served_before(two: tuple[User, User], rf: Any) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            Provision.objects.exists()
        return HttpResponse()

    with acting("student", two[0]):
        rls.VisitorRoleMiddleware(view)(rf.get("/"))


# ---- nobody, and the control -----------------------------------------------------------------------------------------


def test_before_signing_in_nothing_of_students_is_seen(two: tuple[User, User]) -> None:
    for model in OWNED:
        with refused("permission denied", "visitor"):
            list(model._default_manager.all())


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__name__)
def test_the_login_itself_may_do_nothing(model: type[models.Model]) -> None:
    [(name,)] = query("SELECT session_user")
    assert name == rls.LOGIN
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE NONE")
        model._default_manager.count()


def test_the_login_and_its_roles_stand_above_no_policy() -> None:
    names = [rls.LOGIN, *(f"gtm_{role}" for role in rls.ROLES)]
    rows = query("SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = ANY(%s)", names)
    assert {name: any(rights) for name, *rights in rows} == dict.fromkeys(names, False)
    assert query("SELECT rolinherit FROM pg_roles WHERE rolname = %s", rls.LOGIN) == [(False,)]


def test_a_student_without_a_number_sees_nothing(two: tuple[User, User]) -> None:
    with acting("student"):
        assert not Provision.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_comes_back_as_the_first_role(settings: Any) -> None:
    settings.DATABASE_DEFAULT_ROLE = "visitor"
    Tier.objects.exists()
    rls.set_role("operator")
    assert query("SELECT current_user") == [("gtm_operator",)]

    connection.close()  # lost, e.g. because the server was restarted

    assert query("SELECT current_user, current_setting('gtm.student_id', true)") == [("gtm_visitor", "")]
    with pytest.raises(DatabaseError, match="permission denied"):
        Provision.objects.exists()
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_control_without_the_policy_the_rows_are_seen() -> None:
    """The proof that the tests above see the policy at work, and not something else."""
    ada, bo = new_order("ada").student, new_order("bo").student
    with acting("student", bo):
        assert {row.student_id for row in Provision.objects.all()} == {bo.pk}

    with harness.as_owner(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE infra_provision DISABLE ROW LEVEL SECURITY")
            cursor.execute("SET LOCAL ROLE gtm_student")
            cursor.execute("SELECT set_config('gtm.student_id', %s, true)", [str(bo.pk)])
        assert {row.student_id for row in Provision.objects.all()} == {ada.pk, bo.pk}
        transaction.set_rollback(True)

    with acting("student", bo):
        assert {row.student_id for row in Provision.objects.all()} == {bo.pk}


def test_the_tests_run_as_the_powerless_login() -> None:
    assert settings.DATABASES["default"]["USER"] == rls.LOGIN
    assert {model.__name__ for model in (OrderLine, Event, Step)} <= {model.__name__ for model in OWNED}


@pytest.mark.django_db(transaction=True)
def test_one_statement_in_another_role_leaves_the_connection_as_it_was() -> None:
    rls.set_role("visitor")
    with pytest.raises(DatabaseError, match="permission denied"):
        query("SELECT * FROM billing_webhookevent")
    rls.execute_as("worker", "SELECT * FROM billing_webhookevent WHERE event_id = %s", ["evt_1"])
    assert query("SELECT current_user") == [("gtm_visitor",)]
    with pytest.raises(DatabaseError, match="division by zero"):
        rls.execute_as("worker", "SELECT 1 / %s", [0])
    assert query("SELECT current_user") == [("gtm_visitor",)]
    with transaction.atomic():
        rls.execute_as("worker", "SELECT * FROM billing_webhookevent", [])
        assert query("SELECT current_user") == [("gtm_visitor",)]
