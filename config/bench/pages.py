"""Counts the queries and takes the time of each page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.test import Client
from django.urls import NoReverseMatch, reverse

from infra import clock, rls
from infra.models import Domain, NameCheck, Provision, User
from provisioning.engine import supervisor

from .chapter import BenchFailed, Numbers
from .meters import Count, median_ms

REPEATS = 15


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
        numbers |= {"tick_ms": median_ms(supervisor.tick, 5)}
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
        f"page_{page.name}_ms": median_ms(lambda: browser.get(page.path), REPEATS),
        f"page_{page.name}_first_ms": first,
    }
