"""What `manage.py bench` measures, in parts: each is a process of its own on the benchmark's own database.

    provision   builds orders one after the other against a sandbox server, with both clocks jumped over every wait
    pages       counts the queries and takes the time of each page
    grow        copies everything the first part built until the database holds ten thousand provisions

`docs/performance.md` says what the numbers mean and where the smallest possible number of calls comes from.
"""

from __future__ import annotations

import json
import re
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from billing.models import Checkout, Payment
from infra import clock, rls
from infra.models import (
    Credential,
    Domain,
    Mail,
    Mailbox,
    NameAnswer,
    NameCheck,
    OperatorItem,
    OrderLine,
    Provision,
    ProvisionState,
    Tier,
    User,
)
from infra.wizard import drafts
from integrations.http.call import Call, Raw
from integrations.http.transport import HttpTransport, Transport
from integrations.registry import build_clients
from provisioning import actions
from provisioning.engine import claims, supervisor
from provisioning.engine.options import Options
from provisioning.engine.runner import Workshop, wake
from provisioning.management.commands.worker import prepare
from provisioning.models import Capture, Event, Operation, OperationItem, Run, Step

PLATFORMS = ("zapmail", "plusvibe", "heyreach")
# The smallest possible number of calls for one Starter package (3 domains, 6 mailboxes): docs/performance.md.
FEWEST_CALLS = {"zapmail": 13, "plusvibe": 6, "heyreach": 1}

BUILT = 7  # orders that are really built; with three unfinished ones, ten
FEW, MANY = 10, 10_000
REPEATS = 15
LONGEST_BUILD = 3 * 24 * 3600.0  # vendor seconds

Numbers = dict[str, float]


class BenchFailed(Exception):
    """Something that must work for a measurement did not. The text is one sentence."""


# ---- orders ----------------------------------------------------------------------------------------------------------


def draft(name: str) -> Provision:
    """Return a complete draft of the Starter package, made as the wizard makes it."""
    student = User.objects.create_user(
        f"{name}@students.example", "bench", first_name="Ada", last_name="Bench", cohort="bench", is_enrolled=True
    )
    provision = drafts.choose_package(Provision(student=student), tier=Tier.objects.get(slug="starter"))
    drafts.set_brand(provision, brand=name, main_domain="")
    names = drafts.suggested(provision)[: drafts.chunk_size(provision)]
    now = clock.vendor_now()
    NameCheck.objects.bulk_create(
        NameCheck(name=one, answer=NameAnswer.AVAILABLE, price_cents=1299, renewal_cents=1499, checked_at=now)
        for one in names
    )
    drafts.select(provision, chosen=names[:3], spares=names[3:4], prices=dict.fromkeys(names, (1299, 1499)))
    drafts.name_mailboxes(provision, first_name="Ada", last_name="Bench", patterns=["ada", "ada.bench"])
    return provision


def paid(name: str) -> Run:
    """Return the run of a new order that has just been paid."""
    provision = actions.freeze_order(provision=draft(name), actor="bench")
    checkout = Checkout.objects.create(
        provision=provision,
        student=provision.student,
        state=Checkout.State.PAID,
        session_id=f"cs_{provision.reference}",
        amount_cents=14400,
        expires_at=timezone.now(),
    )
    Payment.objects.create(
        provision=provision,
        student=provision.student,
        checkout=checkout,
        stripe_invoice_id=f"in_{provision.reference}",
        amount_cents=14400,
        paid_at=timezone.now(),
    )
    return actions.start_run(provision=provision, actor="bench", paid_at=timezone.now())


# ---- one provision: calls, our own time, statements ------------------------------------------------------------------


@dataclass
class Spent:
    """Adds up what its blocks take: seconds by the wall, and of our processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> None:
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


@dataclass
class Timed:
    """A transport that remembers how long the platforms took, so that the rest is our own."""

    transport: Transport
    spent: Spent = field(default_factory=lambda: Spent())

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        with self.spent:
            return self.transport.send(call, send_before=send_before)


@dataclass
class Count:
    """Counts the statements that go to the database inside `with connection.execute_wrapper(count)`."""

    statements: int = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        return execute(sql, params, many, context)


@dataclass
class Bench:
    """Builds provisions on a sandbox server whose clock, like ours, is moved to the next moment at which work is due."""

    control: str
    timed: Timed = field(default_factory=lambda: Timed(HttpTransport()))
    count: Count = field(default_factory=Count)
    own: list[Spent] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)
    wakeups: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = Options.from_mapping(settings.BUILD_OPTIONS)
        self.workshop = Workshop(self.timed, build_clients(settings.PLATFORMS), options)

    def build(self, run: Run) -> None:
        """Build one order, and note what it took."""
        took, ends = Spent(), clock.later(clock.vendor_now(), LONGEST_BUILD)
        self.count.statements, self.timed.spent = 0, Spent()
        while not run.finished_at:
            with took:
                worked = self.work(run)
            run.refresh_from_db()
            if not worked:
                self._jump(run)
            if clock.vendor_now() > ends:
                raise BenchFailed(f"A provision was not built in time; it waits because {run.why or 'nobody knows'}.")
        if Provision.objects.get(pk=run.provision_id).state != ProvisionState.ACTIVE:
            raise BenchFailed(f"A provision ended {run.provision.state}: {run.failure_sentence}")
        platforms = self.timed.spent
        self.own.append(Spent(took.wall - platforms.wall, took.cpu - platforms.cpu))
        self.statements.append(self.count.statements)
        self.wakeups.append(run.wakeups)

    def work(self, run: Run) -> bool:
        """Wake the run if it is due; return whether it was."""
        with connection.execute_wrapper(self.count):
            claim = claims.take_next(run.pk)
            if claim is not None:
                wake(claim, self.workshop)
        return claim is not None

    def _jump(self, run: Run) -> None:
        wait = 1.0
        if run.next_attempt_at:
            wait = max(wait, (run.next_attempt_at - clock.vendor_now()).total_seconds())
        clock.advance_vendor(wait)
        ask(f"{self.control}/clock", {"advance": wait})

    def calls(self) -> Counter[str]:
        """Return the requests per platform as the platforms count them."""
        entries = ask(f"{self.control}/log")["entries"]
        return Counter(entry["platform"] for entry in entries if entry["platform"] in PLATFORMS)


def ask(url: str, body: Mapping[str, object] | None = None) -> Any:
    """Return the control plane's answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:  # noqa: S310 - our sandbox
        return json.load(answer)


def provision() -> Numbers:
    """Build the orders and return calls, our own time and statements per provision."""
    rls.set_role("worker")
    prepare()
    bench = Bench(settings.SANDBOX_CONTROL_URL)
    for number in range(BUILT):
        bench.build(paid(f"bench{number}"))
    calls = bench.calls()
    middle = paid("building")
    for _ in range(4):  # far enough to have domains under way
        if not bench.work(middle):
            middle.refresh_from_db()
            bench._jump(middle)
    actions.freeze_order(provision=draft("paying"), actor="bench")
    draft("drafting")
    return {
        **{f"calls_{name}": calls[name] / BUILT for name in PLATFORMS},
        **{f"calls_fewest_{name}": FEWEST_CALLS[name] for name in PLATFORMS},
        **{f"calls_over_minimum_{name}": calls[name] / BUILT / FEWEST_CALLS[name] for name in PLATFORMS},
        "calls_over_minimum": sum(calls.values()) / BUILT / sum(FEWEST_CALLS.values()),
        "provision_own_ms": 1000 * statistics.median(spent.wall for spent in bench.own),
        "provision_own_cpu_ms": 1000 * statistics.median(spent.cpu for spent in bench.own),
        "provision_statements": statistics.median(bench.statements),
        "provision_wakeups": statistics.median(bench.wakeups),
    }


# ---- pages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """One address, who opens it, and the status it must answer with."""

    name: str
    email: str
    path: str
    status: int = 200


def pages() -> Iterator[Page]:
    """Yield the pages to measure; those that this installation does not have are left out."""
    active, building, drafting = "bench0@students.example", "building@students.example", "drafting@students.example"
    operator = "operator@bench.example"
    status = Provision.objects.get(student__email=building).pk
    wanted = [
        ("home", active, "home", ()),
        ("package", drafting, "setup-package", ()),
        ("domains", drafting, "setup-domains", ()),
        ("mailboxes", drafting, "setup-mailboxes", ()),
        ("review", drafting, "setup-review", ()),
        ("progress", building, "progress", ()),
        ("dashboard", active, "dashboard", ()),
        ("admin_runs", operator, "admin:provisioning_run_changelist", ()),
        ("admin_provisions", operator, "admin:infra_provision_changelist", ()),
    ]
    for name, email, url_name, arguments in wanted:
        try:
            yield Page(name, email, reverse(url_name, args=arguments))
        except NoReverseMatch:
            continue
    yield Page("api_status", building, f"/api/infrastructure/status/{status}/")


def measure_pages() -> Numbers:
    """Return queries and median milliseconds of every page."""
    with rls.acting_as("worker"):
        _refresh_answers()
        found = list(pages())
        browsers = {page.email: _browser(page.email) for page in found}
    numbers: Numbers = {}
    for page in found:
        numbers |= _measure(browsers[page.email], page)
    building = browsers["building@students.example"]
    version = re.search(r"[?]version=(\w+)", building.get(reverse("progress")).content.decode())
    if version is None:
        raise BenchFailed("The progress page does not say its version.")
    numbers |= _measure(building, Page("poll_204", "", f"{reverse('progress-state')}?version={version[1]}", 204))
    with rls.acting_as("worker"):
        numbers |= {"tick_ms": _median_ms(supervisor.tick, 5)}
    return numbers


def _refresh_answers() -> None:
    """The review page asks again for names whose answer is old, and the clock was jumped since."""
    NameCheck.objects.filter(
        name__in=Domain.objects.filter(provision__student__email="drafting@students.example").values("name")
    ).update(checked_at=clock.vendor_now())


def _browser(email: str) -> Client:
    if email == "operator@bench.example" and not User.objects.filter(email=email).exists():
        User.objects.create_superuser(email, "bench")
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(email=email))
    return client


def _measure(browser: Client, page: Page) -> Numbers:
    began = time.perf_counter()
    answer = browser.get(page.path)  # the first time is for caches
    first = 1000 * (time.perf_counter() - began)
    if answer.status_code == 404 and page.name == "api_status":
        return {}
    if answer.status_code != page.status:
        raise BenchFailed(f"{page.path} answered {answer.status_code} instead of {page.status}.")
    count = Count()
    with connection.execute_wrapper(count):
        browser.get(page.path)
    return {
        f"page_{page.name}_queries": count.statements,
        f"page_{page.name}_ms": _median_ms(lambda: browser.get(page.path), REPEATS),
        f"page_{page.name}_first_ms": first,
    }


def _median_ms(work: Callable[[], object], repeats: int) -> float:
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


# ---- many rows -------------------------------------------------------------------------------------------------------

COPIED: tuple[type[models.Model], ...] = (
    User, Provision, Domain, Mailbox, NameCheck, Credential, Mail, OperatorItem, OrderLine, Checkout, Payment,
    Run, Step, Event, Operation, OperationItem, Capture,
)  # fmt: skip
# What must differ from copy to copy, besides keys and what refers to them. `n` is the number of the copy.
UNIQUE = {
    "infra_user.email": "n || '.' || email",
    "infra_provision.reference": "'GTM-' || upper(left(md5(reference || n), 8))",
    "infra_domain.name": "n || '-' || name",
    "infra_mailbox.address": "replace(address, '@', '@' || n || '-')",
    "infra_namecheck.name": "n || '-' || name",
    "infra_mail.key": "key || ':' || n",
    "infra_operatoritem.key": "key || ':' || n",
    "billing_checkout.session_id": "session_id || '_' || n",
    "billing_payment.stripe_invoice_id": "stripe_invoice_id || '_' || n",
    "provisioning_step.item_key": "CASE WHEN item_key = '' THEN '' ELSE (md5(item_key || n)::uuid)::text END",
    "provisioning_operationitem.natural_key": "n || '-' || natural_key",
}


def grow() -> Numbers:
    """Copy every row of every student until there are MANY provisions. Needs the owner, who may skip the checks."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what is copied was checked
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for model in COPIED:
            # Building an index of random keys anew is several times as fast as growing it row by row.
            cursor.execute(
                f"UPDATE pg_index SET indisready = false WHERE indrelid = '{model._meta.db_table}'::regclass"
            )
            cursor.execute(copy_statement(model), [MANY // FEW - 1])
            cursor.execute(f"UPDATE pg_index SET indisready = true WHERE indrelid = '{model._meta.db_table}'::regclass")
            cursor.execute(f"REINDEX TABLE {model._meta.db_table}")
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does in time
    return {"provisions": Provision.objects.count(), "steps": Step.objects.count(), "events": Event.objects.count()}


def copy_statement(model: type[models.Model]) -> str:
    """Return the statement that copies all rows of a model; its parameter is the number of copies."""
    table = model._meta.db_table
    fields = model._meta.concrete_fields
    columns = [f'"{one.column}"' for one in fields]
    values = [copied(table, one) for one in fields]
    people = "WHERE NOT is_staff" if model is User else ""
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM {table} CROSS JOIN generate_series(1, %s) AS n {people}"
    )


def copied(table: str, one: models.Field[Any, Any]) -> str:
    """Return the expression of one column of a copy."""
    refers_to_copy = one.is_relation and one.related_model in COPIED
    if one.primary_key or refers_to_copy:
        return f"md5({one.column}::text || n)::uuid"
    return UNIQUE.get(f"{table}.{one.column}", f'"{one.column}"')


PARTS: Mapping[str, Callable[[], Numbers]] = {"provision": provision, "pages": measure_pages, "grow": grow}
