"""The demo's second student: three weeks played against the real sandbox, also when the play is broken off once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import Count

from billing import gateway, prices
from billing.models import Payment, Subscription
from config import env
from config.history import BACK, DAY, PRESENT, History, behind
from config.management.commands.create_demo_users import SECOND_STUDENT
from infra import clock
from infra.models import Mail, MailboxState, Measurement, Provision, User, WarmupDay
from integrations.sandbox.server import Options, Servers
from provisioning.engine.runner import default_workshop
from provisioning.management.commands import worker

pytestmark = pytest.mark.django_db

SECONDS_APART = 5.0  # what a busy machine may need between two readings of a clock


class Killed(BaseException):
    """Whoever plays is killed here."""


@pytest.fixture
def platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """A sandbox whose clock stands back, and our processes' settings pointed at it."""
    running = Servers(Options(0, 0, 0, 0, 0, tmp_path / "sandbox.state", 1.0, profile="none", behind=BACK), {})
    running.start()
    found = env.platform_settings(sandbox_url=running.public_url)
    monkeypatch.setattr(settings, "PLATFORMS", found)
    monkeypatch.setattr(settings, "STRIPE_API_URL", found["STRIPE_API_URL"])
    for made in (default_workshop, gateway.current):
        made.cache_clear()
    yield running
    for made in (default_workshop, gateway.current):
        made.cache_clear()
    running.stop()


def test_three_weeks_are_played_once_also_when_the_player_is_killed(platforms: Servers) -> None:
    call_command("create_demo_users", verbosity=0)
    call_command("load_tiers", verbosity=0)
    prices.sync_prices(actor="test")
    worker.prepare()
    student = User.objects.get(email=SECOND_STUDENT.email)
    control = f"http://127.0.0.1:{platforms.control.server_address[1]}"
    with pytest.raises(Killed):
        History(student, control, drain=killed_after(8)).play()
    assert behind() > BACK - DAY

    order = History(student, control).play()

    assert abs(behind()) < PRESENT
    assert abs(platforms.sandbox.clock.real() - clock.machine_now().timestamp()) < SECONDS_APART
    assert Provision.objects.count() == 1
    assert Payment.objects.filter(provision=order).count() == 1
    assert order.ready_at is not None
    assert clock.seconds_between(order.created_at, order.ready_at) < DAY
    assert clock.seconds_between(order.ready_at, clock.machine_now()) > 21 * DAY
    days = WarmupDay.objects.order_by().values_list("mailbox").annotate(Count("day"))
    assert len(days) == 10
    assert min(count for _mailbox, count in days) >= 21
    assert order.mailboxes.filter(state=MailboxState.READY).count() == 9
    assert order.mailboxes.get(bad_since__isnull=False).state == MailboxState.WARMING
    assert Subscription.objects.get(provision=order).status == "past_due"
    assert set(Mail.objects.values_list("kind", flat=True)) >= {"ready", "health_bad", "health_good", "payment_failed"}
    looked_at: Any = Measurement.objects.get(provision=order).looked_at
    assert clock.seconds_between(looked_at, clock.vendor_now()) < 60


def killed_after(times: int) -> Any:
    """Return a worker that answers so often, and is killed then."""
    left = iter(range(times))

    def drain() -> None:
        if next(left, None) is None:
            raise Killed
        worker.drain_here()

    return drain
