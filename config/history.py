"""The demo's second student, three weeks in: everything she has is played, quickly, before the demo starts.

Both clocks stand weeks back, ours and the simulated platforms', and are moved forward to the present: she chooses, pays on
Stripe's page, and is built for; the collector looks twice a day; some mailboxes do worse than others; a renewal fails. Each
row is written by the code that writes it in life, each figure comes from the simulated platform. A play that was broken
off goes on where the rows and the clocks stand.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from django.utils import timezone

from billing.actions import check_payment, start_checkout
from billing.models import Subscription
from infra import clock
from infra.models import MailboxState, NameAnswer, Provision, ProvisionState, Tier, User
from infra.wizard import drafts
from provisioning import search
from provisioning.management.commands.worker import drain_here
from provisioning.models import Run

DAY = 86_400.0
BACK = 21.6 * DAY  # how far the clocks stand back at first: three weeks of warmup, and the set-up before them
RENEWED = 1.5 * DAY  # how long ago the simulated Stripe ended the month, early, and the card was declined
PRESENT = 1.0  # seconds that count as now
STEP = DAY / 2
LONGEST_SETUP = DAY
PACKAGE, BRAND = "growth", "Harbour Lane"
# How the figures of some mailboxes develop; the others are healthy. Collapsed: good for twelve days, then ever worse.
PROFILES = {0: "collapse", 3: "recovery", 6: "bad_start"}


class NotPlayed(Exception):
    """The story did not go as it should. The text is one sentence."""


@dataclass
class History:
    """One student's three weeks. `control` is the address of the sandbox's control plane.

    drain  lets our worker answer every bell once
    """

    student: User
    control: str
    drain: Callable[[], object] = drain_here

    def play(self) -> Provision:
        """Play it up to the present and return the order.

        Raises what goes wrong, NotPlayed among others; all clocks are at the present then as well.
        """
        with wall_clock(clock.machine_now):
            if not Provision.objects.filter(student=self.student).exists():
                clock.advance_machine(behind() - BACK)
            try:
                return self._play()
            except Exception:
                self._advance(behind())
                raise

    def _play(self) -> Provision:
        self._advance(0)
        order = drafts.current(self.student) or self._draft()
        if order.paid_at is None:
            self._choose(order)
            self._pay(order)
        self._build(order)
        for place, mailbox in enumerate(order.mailboxes.order_by("address")):
            if place in PROFILES:
                self._tell("/warmup", {"email": mailbox.address, "profile": PROFILES[place]})
        self._live(behind() % STEP)  # so that the last look of the collector is a fresh one
        while behind() > RENEWED + PRESENT:
            self._live(STEP)
        if not _is_overdue(order):
            for act in ({"do": "set_card", "card": "bad"}, {"do": "renew"}):
                self._tell("/stripe", {"reference": order.reference, **act})
        while (left := behind()) > PRESENT:
            self._live(min(STEP, left))
        self._check(order)
        return order

    def _draft(self) -> Provision:
        return drafts.choose_package(Provision(student=self.student), tier=Tier.objects.get(slug=PACKAGE))

    def _choose(self, draft: Provision) -> None:
        """Fill in the pages of the wizard: names that are available, mailboxes."""
        drafts.set_brand(draft, brand=BRAND, main_domain="")
        names = drafts.suggested(draft)[: drafts.chunk_size(draft)]
        stack = drafts.stack_of(draft)
        search.request_names(stack=stack, student=self.student, names=names)
        self.drain()
        answers = search.answers(stack=stack, names=names, student=self.student).values()
        free = [one for one in answers if one.answer == NameAnswer.AVAILABLE]
        wanted = drafts.size(draft).most
        if len(free) <= wanted:
            raise NotPlayed("Too few names were available.")
        prices = {one.name: (one.price_cents, one.renewal_cents) for one in free}
        chosen = [one.name for one in free]
        drafts.select(draft, chosen=chosen[:wanted], spares=chosen[wanted : wanted + 1], prices=prices)
        first, last = self.student.first_name, self.student.last_name
        patterns = [first.lower(), f"{first}.{last}".lower()]
        drafts.name_mailboxes(draft, first_name=first, last_name=last, patterns=patterns)

    def _pay(self, order: Provision) -> None:
        page = urlsplit(start_checkout(provision=order, actor=self.student))
        browser = HTTPConnection(page.netloc, timeout=30)
        # The page that it leads back to is not there yet, and asks what is asked here.
        browser.request("POST", page.path, b"action=pay", {"content-type": "application/x-www-form-urlencoded"})
        browser.getresponse().read()
        browser.close()
        check_payment(provision=order, actor=self.student)

    def _build(self, order: Provision) -> None:
        while not Provision.objects.filter(pk=order.pk, ready_at__isnull=False).exists():
            if behind() < BACK - LONGEST_SETUP:
                raise NotPlayed("The order was not built in time.")
            self._live(self._until_next())
        order.refresh_from_db()

    def _until_next(self) -> float:
        """Return the seconds until the unfinished run goes on."""
        due = Run.objects.filter(provision__student=self.student, next_attempt_at__isnull=False)
        next_at = due.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()
        return max(1.0, clock.seconds_between(clock.vendor_now(), next_at)) if next_at else 1.0

    def _live(self, seconds: float) -> None:
        """Let time pass for everybody, and let our worker do what is due."""
        self._advance(seconds)
        self.drain()

    def _advance(self, seconds: float) -> None:
        """Move our clocks forward, and those of the platforms to where ours are then."""
        clock.advance_machine(seconds)
        theirs = self._tell("/clock", {"advance": 0})["real"]
        self._tell("/clock", {"advance": max(0.0, clock.machine_now().timestamp() - theirs)})

    def _check(self, order: Provision) -> None:
        """Raise NotPlayed unless there is something to be seen of everything that was promised."""
        order.refresh_from_db()
        boxes = order.mailboxes.all()
        seen = {
            "a running order": order.state == ProvisionState.ACTIVE,
            "a mailbox in bad health": boxes.filter(bad_since__isnull=False).exists(),
            "a mailbox that is ready": boxes.filter(state=MailboxState.READY).exists(),
            "a failed payment": _is_overdue(order),
        }
        missing = [what for what, is_there in seen.items() if not is_there]
        if missing:
            raise NotPlayed(f"{order.reference} does not show {', '.join(missing)}.")

    def _tell(self, path: str, body: Mapping[str, Any]) -> Any:
        content = json.dumps(body).encode()
        with urllib.request.urlopen(self.control + path, content, timeout=30) as answer:  # noqa: S310 - our sandbox
            return json.load(answer)


def behind() -> float:
    """Return the seconds by which our clocks stand behind the machine's."""
    return time.time() - clock.machine_now().timestamp()


def _is_overdue(order: Provision) -> bool:
    return Subscription.objects.filter(provision=order, overdue_since__isnull=False).exists()


@contextmanager
def wall_clock(now: Callable[[], Any]) -> Iterator[None]:
    """Let what this process takes for the wall clock be another one."""
    with mock.patch.object(timezone, "now", now):
        yield
