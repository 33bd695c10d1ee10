"""Every state that a run and its steps can stand in, each reached by an order of its own; and every button there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from billing import actions as billing
from infra import clock
from infra.models import Provision, StepState
from provisioning import actions
from provisioning.actions import Refused
from provisioning.engine import claims
from provisioning.models import ACTIVE_RUN, Permit, Run, Step
from tests.integration.stories.kit import LONGEST_LEASE, Story, answer
from tests.integration.world import open_workshop

from .racing import racing_story

WHO: dict[str, Any] = {"actor": "olive@ops.example", "reason": "it was mended"}
ALL_FUNDS = 3 * 1299 + 6 * 350
Press = Callable[[], object]


@dataclass(frozen=True)
class Standing:
    """Where an order stands. `mend` takes away what keeps it there, if something does."""

    begin: Callable[[int], Story]
    mend: Callable[[Story], object] = lambda made: None


def _until(done: Callable[[Story], Callable[[], bool]], **world: Any) -> Callable[[int], Story]:
    def begin(seed: int) -> Story:
        made = racing_story(seed, **world)
        made.play(done(made), hours=96)
        return made

    return begin


def _claimed(seed: int, *, late: float = 0.0) -> Story:
    made = racing_story(seed)
    assert claims.take_next(made.run.pk)
    made.advance(late)
    made.refresh()
    return made


def _without_permits(seed: int) -> Story:
    made = racing_story(seed)
    Permit.objects.update(used_at=clock.vendor_now())
    made.play(lambda: made.run.steps.filter(waits_on="budget").exists(), hours=1)
    return made


def _paused(seed: int) -> Story:
    made = racing_story(seed)
    actions.pause_purchases(paused=True, **WHO)
    made.play(made.parks("needs_operator"))
    return made


def _after(standing: Callable[[int], Story], act: Callable[[Story], object]) -> Callable[[int], Story]:
    def begin(seed: int) -> Story:
        made = standing(seed)
        act(made)
        made.refresh()
        return made

    return begin


def _lost_name(made: Story) -> str:
    return made.names()[0]


def _choosing(seed: int) -> Story:
    made = racing_story(seed, spares=0)
    made.sandbox.faults.add("domain_taken", verb="buy_domains", items=(_lost_name(made),), times=1)
    made.play(made.parks("needs_choice"))
    return made


def _excepted(seed: int) -> Story:
    made = racing_story(seed)
    address = made.provision.mailboxes.order_by("address")[0].address
    made.sandbox.faults.add("failing_mailboxes", items=(address,))
    made.play(hours=96)
    return made


def _clear(made: Story) -> None:
    made.sandbox.faults.clear()


def _with_address(made: Story) -> None:
    workshop = made.world.workshop
    made.world.workshop = replace(workshop, options=open_workshop(workshop.transport, {}).options)


_waiting = _until(lambda made: made.waits("domains_active", "platform"))
_failed = _until(lambda made: made.has_ended, faults=({"kind": "failing_mailboxes"},))

STANDINGS: Mapping[str, Standing] = {
    "queued": Standing(racing_story),
    "at work": Standing(_claimed),
    "worker died": Standing(lambda seed: _claimed(seed, late=LONGEST_LEASE)),
    "waits for a platform": Standing(_waiting),
    "waits for a permit": Standing(_without_permits),
    "waits for the student": Standing(_choosing),
    "waits for the operator": Standing(
        _until(lambda made: made.waits("dmarc", "operator"), DMARC_REPORT_EMAIL=""), _with_address
    ),
    "waits for money": Standing(
        _until(lambda made: made.parks("waiting_funds"), switches={"zapmail_wallet_cents": ALL_FUNDS - 1}),
        lambda made: made.top_up(1),
    ),
    "purchases paused": Standing(_paused, lambda made: actions.pause_purchases(paused=False, **WHO)),
    "failed": Standing(_failed, _clear),
    "done": Standing(_until(lambda made: made.has_ended)),
    "done with exceptions": Standing(_excepted, _clear),
    "cancelled": Standing(_after(_waiting, lambda made: actions.cancel(provision=made.provision, **WHO))),
    "suspended": Standing(
        _after(_waiting, lambda made: Provision.objects.filter(pk=made.provision.pk).update(state="suspended"))
    ),
}


# ---- buttons ---------------------------------------------------------------------------------------------------------


def _fresh(made: Story) -> Run:
    return Run.objects.select_related("provision").get(pk=made.run.pk)


def _step(made: Story, key: str) -> Step:
    rows = made.run.steps.filter(key=key).select_related("domain", "mailbox", "run")
    return rows.order_by("domain__name", "mailbox__address")[0]


def _retry(made: Story) -> Press:
    return lambda: actions.retry_failed_step(run=_fresh(made), **WHO)


def _skip(made: Story) -> Press:
    step = _step(made, "mailboxes_active")
    return lambda: actions.skip_item(run=_fresh(made), step=step, **WHO)


def _by_hand(made: Story) -> Press:
    step, facts = _step(made, "dmarc"), {"dmarc_report_email": "dmarc@ops.example"}
    return lambda: actions.mark_done_by_hand(run=_fresh(made), step=step, facts=facts, **WHO)


def _cancel(made: Story) -> Press:
    return lambda: actions.cancel(provision=made.provision, **WHO)


def _check_now(made: Story) -> Press:
    return lambda: actions.check_now(provision=made.provision, actor="student")


def _replace(made: Story) -> Press:
    lost, name = _lost_domain(made), made.world.fresh("instead") + ".com"
    answer(name)
    return lambda: actions.choose_replacement(provision=made.provision, domain=lost, name=name, actor="student")


def _drop(made: Story) -> Press:
    lost = _lost_domain(made)
    return lambda: actions.drop_domain(provision=made.provision, domain=lost, actor="student")


def _lost_domain(made: Story) -> Any:
    return made.provision.domains.order_by("position", "name")[0]


def _start(made: Story) -> Press:
    return lambda: actions.start_run(provision=made.provision, actor="webhook").pk


def _pay(made: Story) -> Press:
    return lambda: billing.start_checkout(provision=made.provision, actor="student")


def _freeze(made: Story) -> Press:
    return lambda: actions.freeze_order(provision=made.provision, actor="student")


BUTTONS: Mapping[str, Callable[[Story], Press]] = {
    "retry": _retry,
    "skip": _skip,
    "done by hand": _by_hand,
    "cancel": _cancel,
    "check now": _check_now,
    "replace the name": _replace,
    "go on without it": _drop,
    "start": _start,
    "pay": _pay,
    "freeze": _freeze,
}
REFUSALS = (Refused, billing.CheckoutRefused)


def press(button: Press) -> str:
    """Press once; return what became of it: "done", "nothing" (it was not needed) or the refusal's sentence."""
    try:
        answered = button()
    except REFUSALS as refusal:
        return _sentence(refusal)
    return "nothing" if answered is False else "done"


def _sentence(refusal: Exception) -> str:
    sentence = str(refusal)
    assert sentence.endswith("."), f"no sentence: {refusal!r}"
    return sentence


def one_of_each(made: Story) -> None:
    """Assert that nothing of an order exists twice that must exist once."""
    assert made.provision.runs.filter(state__in=ACTIVE_RUN).count() <= 1
    assert made.provision.checkouts.filter(state__in=billing.PAYABLE).count() <= 1
    for kind in ("cancelled", "ready", "ready_with_exceptions", "failed"):
        said = made.provision.mails.filter(kind=kind).count()
        assert said <= 1, f"{said} mails say that the order is {kind}"


def vocabulary(made: Story) -> set[str]:
    """Return the states of a run and its steps, and what they wait for: the words that this standing covers."""
    rows = made.run.steps.all()
    return {
        f"run {made.run.state}",
        *(f"step {state}" for state in rows.values_list("state", flat=True)),
        *(f"waits on {on}" for on in rows.filter(state=StepState.WAITING).values_list("waits_on", flat=True)),
    }
