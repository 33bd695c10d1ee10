"""Chapter: the dashboard with 20 mailboxes and 90 days of history, at ten students and at many; and the collector's calls.

Ten students are made as rows, with workspaces, mailboxes and lead lists of theirs at the simulated platforms; the collector
looks at them for some days. Then the rows are copied until there are ten thousand students, eighteen million days of
history among them. Days are copied in the order in which they come to be: all mailboxes' first day, then the second. So
the history of one mailbox lies scattered, as it does in a real table.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from config import postgres
from infra import clock, rls
from infra.models import (
    Credential,
    Domain,
    DomainState,
    Mailbox,
    MailboxState,
    Measurement,
    Provision,
    ProvisionState,
    TaskDone,
    Tier,
    User,
    WarmupDay,
)
from infra.secret import Secret
from integrations.http.call import Call
from integrations.http.redact import Hidden
from integrations.http.transport import HttpTransport
from integrations.plusvibe import NewAccount, PlusvibeClient
from integrations.registry import build_clients
from provisioning import collector
from provisioning.management.commands.worker import prepare

from .chapter import BenchFailed, Chapter, Note, Numbers
from .hammer import percentile
from .meters import Count, median_ms
from .provision import ask
from .rows import copy_statement, indexed_afterwards
from .worlds import run_part, world

T = TypeVar("T")

FEW, MANY = 10, 10_000
MAILBOXES, HISTORY = 20, 90
DAYS = 3  # days that the collector is watched for
VISITS = 60
TURNS = 3
GROWN = "gtm_grown"
OWNED = (User, Provision, Domain, Mailbox, Credential, Measurement, WarmupDay, TaskDone)

REMEMBER = """
    INSERT INTO infra_warmupday (id, created_at, updated_at, mailbox_id, student_id, day, measured_at, connection, is_warming,
        health, health_google, health_microsoft, health_other, reply_rate, bounce_rate, warmup_sent, campaign_sent)
    SELECT gen_random_uuid(), gtm_now('machine'), gtm_now('machine'), box.id, box.student_id,
        gtm_now('vendor')::date - age, gtm_now('vendor') - make_interval(days => age), 'connected', true,
        92 + age %% 6, 91 + age %% 6, 92 + age %% 6, 93 + age %% 6, 2, 0, 30, 0
    FROM infra_mailbox AS box CROSS JOIN generate_series(1, %s) AS age
"""


def run(folder: Path, note: Note) -> Numbers:
    """Make a world, let the collector work in it, and measure the page beside what it is when the world has grown.

    The two are opened in turns: whatever else the machine does, it does to both.
    """
    with world(folder / "figures", time_scale="1") as environment:
        note("the collector's calls for ten students")
        numbers = run_part("figures_collect", environment)
        owner = environment | {"GTM_DATABASE_OWNER": "1"}
        grown = {"DATABASE_URL": _copy_database(postgres.url(Path(environment["VAR_DIR"]) / "postgres"))}
        note(f"copying students until there are {MANY:,} (some minutes)")
        numbers |= run_part("figures_grow", owner | grown)
        few, many = list[Numbers](), list[Numbers]()
        for turn in range(1, TURNS + 1):
            note(f"the dashboard at {FEW} and at {numbers['figures_students']:,.0f} students, turn {turn} of {TURNS}")
            few.append(run_part("figures_page", environment))
            many.append(run_part("figures_page", environment | grown))
    for name in few[0]:
        numbers[f"{name}_at_10"] = statistics.median(one[name] for one in few)
        numbers[f"{name}_at_many"] = statistics.median(one[name] for one in many)
    ratios = (b["figures_page_p95_ms"] / a["figures_page_p95_ms"] for a, b in zip(few, many, strict=True))
    growth = max(one["figures_page_queries"] for one in many) - min(one["figures_page_queries"] for one in few)
    return numbers | {"figures_page_queries_growth": growth, "figures_page_p95_ratio": statistics.median(ratios)}


def _copy_database(url: str) -> str:
    """Copy the database of a world beside it; return its address."""
    there = urlsplit(url)
    with psycopg.connect(urlunsplit(there._replace(path="/postgres")), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {GROWN} TEMPLATE {there.path.removeprefix('/')}")
    return urlunsplit(there._replace(path=f"/{GROWN}"))


# Parts, each in a process of its own ----------------------------------------------------------------------------------


def collect() -> Numbers:
    """Make ten students, look at them for some days, and count the calls that the platforms have seen."""
    rls.set_role("worker")
    prepare()
    for number in range(FEW):
        _student(number)
    with connection.cursor() as cursor:
        cursor.execute(REMEMBER, [HISTORY])
    _pass(600)  # the mailboxes arrive at the sending tool
    _look()  # the first look takes in whoever is new
    before = ask(f"{settings.SANDBOX_CONTROL_URL}/log")["count"]
    looks, count = 0, Count()
    for _ in range(2 * DAYS):
        _pass(43_300)
        with connection.execute_wrapper(count):
            looks += _look()
    entries = ask(f"{settings.SANDBOX_CONTROL_URL}/log?since={before}")["entries"]
    calls = Counter(entry["verb"] for entry in entries)
    each = sum(calls.values()) / FEW / DAYS
    fewest = 2 * (1 + 1 / FEW)  # a page of a hundred mailboxes each, and a page of a hundred lists for all, twice a day
    if set(calls) != {"list_accounts", "find_lists"}:
        raise BenchFailed(f"The collector has made other calls than reads of figures: {dict(calls)}.")
    return {
        "figures_calls_per_student_day": each,
        "figures_calls_fewest": fewest,
        "figures_calls_over_minimum": each / fewest,
        "figures_statements_per_look": count.statements / looks,
    }


def page() -> Numbers:
    """Open the dashboard of many students and return its queries, and the times of first and later visits in milliseconds."""
    with rls.acting_as("worker"):
        people = list(User.objects.filter(is_staff=False).order_by("pk")[:VISITS])
        browsers = [_browser(one) for one in people]
    address, took, queries = reverse("dashboard"), list[float](), set[int]()
    browsers[0].get(address)  # for the caches of this process
    while len(took) < VISITS + len(browsers):
        for browser in browsers:
            count, began = Count(), time.perf_counter()
            with connection.execute_wrapper(count):
                answer = browser.get(address)
            took.append(1000 * (time.perf_counter() - began))
            queries.add(count.statements)
            if answer.status_code != 200 or answer.content.count(b'<svg class="spark"') != MAILBOXES:
                raise BenchFailed(f"The dashboard answered {answer.status_code}, or without its figures.")
    if len(queries) != 1:
        raise BenchFailed(f"Alike dashboards take different numbers of queries: {sorted(queries)}.")
    with rls.acting_as("worker"):
        tick = median_ms(collector.is_due, 15)
    first, took = took[1 : len(browsers)], took[len(browsers) :]
    return {
        "figures_page_queries": queries.pop(),
        "figures_page_first_p95_ms": percentile(first, 0.95),
        "figures_page_p50_ms": percentile(took, 0.5),
        "figures_page_p95_ms": percentile(took, 0.95),
        "figures_tick_ms": tick,
    }


def grow() -> Numbers:
    """Copy every student until there are MANY. Needs the owner, who may skip the checks and let indexes rest."""
    began, copies = time.perf_counter(), [1, MANY // FEW - 1]
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what is copied was checked
        for model in OWNED:
            table = model._meta.db_table
            cursor.execute(f"CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}")
            if model is WarmupDay:  # none of it needs to survive a power cut, and reading it is the same
                cursor.execute(f"ALTER TABLE {table} SET UNLOGGED")
            with indexed_afterwards(cursor, model):
                for source in _sources(f"first_{table}", model):
                    cursor.execute(copy_statement(model, source), copies)
        took = time.perf_counter() - began
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does in time
    return {
        "figures_students": Provision.objects.count(),
        "figures_days": WarmupDay.objects.count(),
        "figures_loading_seconds": took,
    }


def _sources(first: str, model: type[Model]) -> Iterator[str]:
    """Yield what is to be copied of the first rows of a model, one statement each."""
    if model is not WarmupDay:
        yield first
        return
    days = sorted(set(WarmupDay.objects.values_list("day", flat=True)))
    yield from (f"(SELECT * FROM {first} WHERE day = '{day}') AS a_day" for day in days)


# Making ten students --------------------------------------------------------------------------------------------------


def _student(number: int) -> None:
    tier = Tier.objects.get(slug="scale")
    person = User.objects.create_user(f"warm{number}@students.example", "bench", first_name="Ada", is_enrolled=True)
    now = clock.vendor_now()
    order = {"stack": "zapmail", "tier_name": tier.name, "warmup": tier.warmup, "warmup_days": tier.warmup_days}
    provision = Provision.objects.create(
        student=person, tier=tier, state=ProvisionState.ACTIVE, order=order, frozen_at=now, paid_at=now, ready_at=now
    )
    owned = {"provision": provision, "student": person}
    addresses = []
    for place in range(MAILBOXES // 2):
        name = f"warm{number}-{place}.com"
        domain = Domain.objects.create(**owned, name=name, state=DomainState.ACTIVE, position=place, ordered_at=now)
        for user in ("ada", "ada.bench"):
            address = f"{user}@{name}"
            addresses.append(address)
            Mailbox.objects.create(
                **owned,
                domain=domain,
                username=user,
                address=address,
                state=MailboxState.WARMING,
                warmup_started_at=now - timedelta(days=HISTORY),
            )
    Credential.objects.create(**owned, kind="sending_tool", login=person.email, password=Secret("s3cret"))
    TaskDone.objects.create(**owned, task="calendar")
    provision.facts = _at_the_platforms(provision.reference, addresses)
    provision.save(update_fields=["facts"])


def _at_the_platforms(reference: str, addresses: list[str]) -> dict[str, object]:
    """Make workspace, mailboxes and lead list there; return the facts that a set-up leaves."""
    clients = build_clients(settings.PLATFORMS)
    _pass(2)  # so that no limit of a second is met
    space = _do(clients.plusvibe.create_workspace(f"Ada {reference}"))
    rows = [NewAccount(address, "Ada", "Bench", Hidden("s3cret")) for address in addresses]
    elsewhere = replace(clients.plusvibe.settings, smtp_host="smtp.bench.example", imap_host="imap.bench.example")
    _do(PlusvibeClient(elsewhere).add_accounts(space.id, rows))
    made = _do(clients.heyreach.create_list(f"Ada prospects {reference}"))
    return {"plusvibe_workspace_id": space.id, "heyreach_list_id": made.id, "heyreach_list_name": made.name}


def _do(call: Call[T]) -> T:
    raw = HttpTransport().send(call)
    if error := call.classify(raw):
        raise BenchFailed(f"A simulated platform refused {call.verb}: {error}")
    return call.parse(raw)


def _pass(seconds: float) -> None:
    clock.advance_vendor(seconds)
    ask(f"{settings.SANDBOX_CONTROL_URL}/clock", {"advance": seconds})


def _look() -> int:
    """Look at everything that is due, letting the budgets' windows pass; return how much that was."""
    done = 0
    while found := collector.drain():
        done += found
        _pass(5)
    return done


def _browser(person: User) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(person)
    return client


def table(numbers: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"\n{'the collector, a student and day':<34}{'calls':>8}{'fewest':>8}{'ratio':>8}"
    each, fewest = numbers["figures_calls_per_student_day"], numbers["figures_calls_fewest"]
    yield f"  {f'{FEW} students, {MAILBOXES} mailboxes each':<32}{each:>8.2f}{fewest:>8.2f}{each / fewest:>8.2f}"
    students, days = numbers["figures_students"], numbers["figures_days"]
    yield f"\n{f'dashboard, {MAILBOXES} mailboxes, {HISTORY} days':<34}{'queries':>8}{'p50 ms':>8}{'p95 ms':>8}{'first':>8}"
    for label, at in ((f"at {FEW} students", "at_10"), (f"at {students:,.0f} students, {days:,.0f} days", "at_many")):
        figures = [numbers[f"figures_page_{name}_{at}"] for name in ("queries", "p50_ms", "p95_ms", "first_p95_ms")]
        yield f"  {label:<32}{figures[0]:>8.0f}" + "".join(f"{one:>8.1f}" for one in figures[1:])
    yield f"  p95 grows to {numbers['figures_page_p95_ratio']:.2f} times; copied in {numbers['figures_loading_seconds']:.0f} s"


CHAPTER = Chapter(run, table, {"figures_collect": collect, "figures_page": page, "figures_grow": grow})
