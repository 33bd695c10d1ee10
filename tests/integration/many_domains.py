"""Orders of many own domains, as rows: some done, some failed, some under way."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from infra.models import Domain, DomainState, Origin, Provision, RunState, StepState
from provisioning import actions
from provisioning.models import Run, Step
from provisioning.queries import building_run
from tests.integration.stories.kit import make_order


def many(name: str = "acme", count: int = 7) -> Run:
    """Make a paid order of so many domains that waits for its first step: `0.<name>.com` and so on."""
    order = make_order(name, tier="own-domains")
    order.domains.all().delete()
    for place in range(count):
        Domain.objects.create(
            provision=order, student=order.student, name=f"{name}{place}.com", position=place,
            state=DomainState.SELECTED, origin=Origin.OWN,
        )  # fmt: skip
    actions.freeze_order(provision=order, actor="test")
    run = actions.start_run(provision=order, actor="test", paid_at=timezone.now())
    Run.objects.filter(pk=run.pk).update(state=RunState.WAITING, next_attempt_at=timezone.now())
    run.refresh_from_db()
    return run


def rows_of(run: Run, *names: str) -> Sequence[Step]:
    """Return the rows of domains and their mailboxes."""
    mine = {name.partition("@")[2] or name for name in names}
    rows = run.steps.exclude(item_key="").select_related("domain", "mailbox__domain")
    return [row for row in rows if (row.domain or row.mailbox.domain).name in mine]  # type: ignore[union-attr]


def finish(run: Run, *names: str) -> None:
    """Let domains and their mailboxes be done."""
    keys = [row.pk for row in rows_of(run, *names)]
    now = timezone.now()
    run.steps.filter(pk__in=keys).update(state=StepState.COMPLETED, started_at=now, finished_at=now)


def fail(run: Run, name: str, step: str, code: str) -> None:
    """Let an item, a domain or the address of a mailbox, be set aside at a step, as the engine does it."""
    now = timezone.now()
    mine = [row for row in rows_of(run, name) if name in (str(row.domain), str(row.mailbox)) or "@" not in name]
    at = next(row for row in mine if row.key == step)
    for row in mine:
        is_it = row.pk == at.pk
        early = row.position < at.position
        row.state = StepState.COMPLETED if early else StepState.FAILED if is_it else StepState.SKIPPED
        row.failure_code = code if is_it else ""
        row.started_at = row.finished_at = now
        row.save()
        item = row.domain or row.mailbox
        assert item is not None
        item.state = "failed"
        item.save()


def end(run: Run, state: str = "active_with_exceptions") -> Provision:
    """Let the run have come to its end."""
    now = timezone.now()
    run.steps.filter(key="finish").update(state=StepState.COMPLETED, finished_at=now)
    Run.objects.filter(pk=run.pk).update(state=RunState.DONE, finished_at=now, next_attempt_at=None)
    Provision.objects.filter(pk=run.provision_id).update(state=state, ready_at=now)
    return Provision.objects.get(pk=run.provision_id)


def newest(order: Provision) -> Run:
    """Return the run that builds an order, as it is now."""
    run = building_run(order)
    assert run is not None
    return run
