"""What the operator is told of when it is slower or worse than usual, although nothing stopped: items that open and close by
themselves, each with a letter when it opens. Looked at by `rules`, once a minute.

    slow_propagation   records that their domain's own name servers do not show after ALERT_PROPAGATION_MINUTES, vendor time;
                       only where we write the records ourselves: another platform takes up to an hour as a rule
    slow_action        a wake-up of a run within the last hour took longer than ALERT_ACTION_SECONDS, machine time
    error_rate         more than ALERT_ERROR_PERCENT of the steps that ended within the last hour failed
    dns_backlog        more than ALERT_DNS_BACKLOG domains whose DNS is due to be looked at for a minute already
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from infra import clock
from infra.models import DnsCheck, OperatorItem, StepState

from .engine.outcomes import WaitsOn
from .engine.timing import WAKEUP
from .models import ACTIVE_RUN, Step, Timing
from .stacks import STACKS

WINDOW = timedelta(hours=1)
KEY = "all"  # one item of each kind
EVIDENCE = "dns_evidence"  # what a step that sees records notes
LATE = 60.0  # machine seconds after which what is due has waited


def look(error_share: tuple[int, int]) -> None:
    """Open and close the items. `error_share`: how many of how many steps failed within the hour."""
    findings: Mapping[str, str] = {
        "slow_propagation": _slow_propagation(),
        "slow_action": _slow_action(),
        "error_rate": _error_rate(*error_share),
        "dns_backlog": _dns_backlog(),
    }
    for kind, sentence in findings.items():
        if sentence:
            OperatorItem.open(kind, key=KEY, sentence=sentence)
            # What it says follows what is so.
            OperatorItem.objects.filter(key=OperatorItem.key_of(kind, KEY), resolved_at=None).update(sentence=sentence)
        else:
            OperatorItem.close(kind, key=KEY, resolution="It is so no more.")


def steps_that_see(*, ours_alone: bool = False) -> list[tuple[str, str]]:
    """Return (stack, key) of the steps that see records; with `ours_alone` where no platform has to publish them first."""
    return [
        (stack.key, spec.key)
        for stack in STACKS.values()
        for spec in stack.steps
        if EVIDENCE in spec.notes and not (ours_alone and spec.asks)
    ]


def _of(steps: list[tuple[str, str]]) -> QuerySet[Step]:
    """Return the open rows of such steps in runs that are worked on and wait for no person."""
    wanted = Q(pk=None)
    for stack, key in steps:
        wanted |= Q(run__stack=stack, key=key)
    rows = Step.objects.filter(wanted, state=StepState.WAITING, run__state__in=ACTIVE_RUN, run__held_since=None)
    return rows.exclude(waits_on__in=[WaitsOn.OPERATOR, WaitsOn.STUDENT])


def _slow_propagation() -> str:
    minutes, now = settings.ALERT_PROPAGATION_MINUTES, clock.vendor_now()
    late = _of(steps_that_see(ours_alone=True)).filter(opened_at__lt=clock.later(now, -60 * minutes))
    # From the moment its own servers show them, the rest is the resolvers' memory.
    late = late.exclude(domain__facts__dns_evidence__stage="resolvers")
    count = late.count()
    if not count:
        return ""
    oldest = late.select_related("domain", "run__provision").order_by("opened_at")[0]
    name = oldest.domain.name if oldest.domain else oldest.key
    return (
        f"The records of {count} domains are not to be seen at their own name servers after {minutes:g} minutes; the oldest is"
        f" {name} of {oldest.run.provision.reference}. Look at the zone and at Cloudflare's status page."
    )


def _slow_action() -> str:
    most = settings.ALERT_ACTION_SECONDS
    slow = Timing.objects.filter(kind=WAKEUP, bound__gt=most, last_at__gt=clock.machine_now() - WINDOW)
    if not slow.exists():
        return ""
    return (
        f"Within the last hour a wake-up of a run took longer than {most:g} seconds; after 120 the next one goes on. Look at"
        " how long the platforms take (gtm_call_seconds of /metrics)."
    )


def _error_rate(failed: int, total: int) -> str:
    percent = settings.ALERT_ERROR_PERCENT
    if 100 * failed <= percent * total:
        return ""
    return f"{failed} of {total} steps failed within an hour, more than {percent:g} %. Look at the runs that failed."


def _dns_backlog() -> str:
    most = settings.ALERT_DNS_BACKLOG
    since = clock.later(clock.vendor_now(), -LATE * clock.scale())
    waiting = DnsCheck.objects.filter(due_at__lt=since).count()
    waiting += _of(steps_that_see()).filter(next_attempt_at__lt=since).count()
    if waiting <= most:
        return ""
    return f"The DNS of {waiting} domains waits to be looked at, more than {most}. Start more workers, or look at their log."
