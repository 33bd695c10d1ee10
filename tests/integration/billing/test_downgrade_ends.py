"""How a change to a smaller package ends: what counts on, what is said, and what is not asked any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from billing import agreed, downgrades, gateway, prices
from billing import life as billing_life
from billing.meter import Why
from billing.models import Downgrade
from infra import clock
from infra.models import DomainState, Mail, MailboxState, OperatorItem, ProvisionState, RunKind, RunState, Tier
from integrations.sandbox.zapmail_world import set_auto_renew
from provisioning import actions
from provisioning.engine.options import Options
from provisioning.models import Run
from provisioning.spending import spent
from tests.integration.pages import text

from .test_downgrades import Smaller, life_, mini
from .test_meter import items

__all__ = ["life_", "mini"]


def changed(life_: Smaller, mini: Tier) -> str:
    """Plan the smaller package, renew and let the change be done; return the domain that was left out."""
    dropped = life_.names()[2]
    life_.plan(mini)
    life_.month()
    life_.build()
    assert life_.provision.tier == mini
    return dropped


def dashboard(life_: Smaller) -> str:
    return text(life_.signed_in().get(reverse("dashboard")))


def mails(life_: Smaller) -> list[str]:
    kinds = Mail.objects.filter(provision=life_.provision, kind__startswith="downgrade").order_by("created_at")
    return list(kinds.exclude(kind="downgrade_planned").values_list("kind", flat=True))


def lose_the_third(life_: Smaller) -> None:
    """Let the third domain be one that could not be bought."""
    third = life_.provision.domains.get(name=life_.names()[2])
    third.mailboxes.update(state=MailboxState.FAILED)
    life_.provision.domains.filter(pk=third.pk).update(state=DomainState.FAILED, bought_at=None)
    life_.provision.state = ProvisionState.ACTIVE_WITH_EXCEPTIONS
    life_.provision.save(update_fields=["state"])


def test_what_was_left_out_costs_no_more_from_then_on(life_: Smaller, mini: Tier) -> None:
    def slots(days: float) -> dict[str, int | None]:
        rows = spent([life_.provision], options=Options(), now=clock.later(clock.vendor_now(), days * 86400))
        return {one.what: one.cents for one in rows[life_.provision.pk] if "slot" in one.what}

    assert slots(0) == {"6 × mailbox slot, 1 month": 2100}
    changed(life_, mini)
    assert slots(0) == {"4 × mailbox slot, 2 months": 2800, "2 × mailbox slot, 2 months": 1400}
    assert slots(70) == {"4 × mailbox slot, 4 months": 5600, "2 × mailbox slot, 2 months": 1400}


def test_a_domain_that_was_left_out_is_said_to_be_used_and_not_to_be_there(life_: Smaller, mini: Tier) -> None:
    changed(life_, mini)
    kinds = [why for why, _cents in items(life_)]
    assert (kinds.count(Why.BOUGHT), kinds.count(Why.LEFT_OUT)) == (2, 1)
    assert "you left it out when you took a smaller package" in dashboard(life_)


def test_an_order_that_lacked_what_the_smaller_package_has_not_is_whole_and_hears_of_it(
    life_: Smaller, mini: Tier
) -> None:
    lose_the_third(life_)
    assert life_.plan(mini).drops == []
    life_.month()
    life_.build()
    assert (life_.provision.state, life_.provision.tier) == (ProvisionState.ACTIVE, mini)
    assert life_.run_kinds() == [RunKind.SETUP]
    (mail,) = Mail.objects.filter(provision=life_.provision, kind="downgraded")
    assert mail.context["kept"] == "all"
    assert Downgrade.objects.get().state == Downgrade.State.APPLIED
    life_.hear()
    assert mails(life_) == ["downgraded"]


def test_what_may_have_been_bought_all_the_same_is_not_let_go(life_: Smaller, mini: Tier) -> None:
    lost = life_.names()[2]
    lose_the_third(life_)
    life_.plan(mini)
    operation = life_.provision.runs.get().operations.filter(verb="buy_domains").first()
    assert operation is not None
    operation.items.filter(natural_key=lost).update(state="unknown")
    life_.month()
    life_.build()
    assert life_.provision.domains.get(name=lost).state == DomainState.FAILED
    assert life_.provision.state == ProvisionState.ACTIVE_WITH_EXCEPTIONS


def test_a_package_that_no_choice_fits_is_not_offered_and_says_why(life_: Smaller, mini: Tier) -> None:
    student, address = life_.signed_in(), reverse("downgrade-choose", args=["mini"])
    Tier.objects.filter(pk=mini.pk).update(mailbox_count=3)
    page = text(student.get(reverse("downgrade")))
    assert "It holds 3 mailboxes, and every choice of your domains holds more." in page
    assert "Choose Mini" not in page
    assert student.get(address).headers["Location"] == reverse("downgrade")
    assert student.post(address, {"keep": life_.names()[:2]}).headers["Location"] == reverse("downgrade")
    assert not Downgrade.objects.exists()


def test_mailboxes_that_do_not_work_take_no_room(life_: Smaller, mini: Tier) -> None:
    Tier.objects.filter(pk=mini.pk).update(mailbox_count=3)
    mini.refresh_from_db()
    first = life_.provision.domains.get(name=life_.names()[0])
    first.mailboxes.filter(pk=first.mailboxes.all()[0].pk).update(state=MailboxState.FAILED)
    assert downgrades.fits(life_.provision, mini)
    assert life_.plan(mini).state == Downgrade.State.PLANNED


def skipped(life_: Smaller, tier: Tier) -> tuple[Run, str]:
    """Let the change begin, and its first domain, which renews itself, be skipped by the operator."""
    dropped = life_.names()[tier.domain_count]
    downgrades.plan(provision=life_.provision, tier=tier, keep=life_.names()[: tier.domain_count], actor="ada")
    life_.month()
    set_auto_renew(life_.sandbox.world, dropped, True)
    while life_.world.run_once():
        pass
    run = life_.provision.runs.get(kind=RunKind.DOWNGRADE)
    step = run.steps.get(key="renewal_off", domain__name=dropped)
    actions.skip_item(run=run, step=step, actor="olive", reason="It is done in the browser.")
    life_.build()
    run.refresh_from_db()
    return run, dropped


def test_what_did_not_stop_by_itself_is_told_to_the_student_too(life_: Smaller, mini: Tier) -> None:
    Tier.objects.filter(pk=mini.pk).update(domain_count=1, mailbox_count=2)
    mini.refresh_from_db()
    run, dropped = skipped(life_, mini)
    assert (run.state, life_.provision.tier, mails(life_)) == (RunState.DONE, mini, ["downgraded_partly"])
    page = dashboard(life_)
    assert "Your package is Mini now" in page
    assert f"This did not stop by itself: {dropped}." in page
    assert "The package has become smaller" in actions.why_no_retry(run)
    run.finished_at = timezone.now() - timedelta(days=15)
    run.save(update_fields=["finished_at"])
    assert "This did not stop by itself" not in dashboard(life_)


def test_a_change_of_which_the_operator_skips_everything_is_done_by_hand_and_ends(life_: Smaller, mini: Tier) -> None:
    run, dropped = skipped(life_, mini)  # nothing else was left out
    assert (run.state, life_.provision.state) == (RunState.DONE, ProvisionState.ACTIVE)
    assert (life_.provision.tier, mails(life_)) == (mini, ["downgraded_partly"])
    assert life_.provision.domains.get(name=dropped).state == DomainState.RELEASED
    assert f"This did not stop by itself: {dropped}." in dashboard(life_)
    assert not OperatorItem.objects.filter(kind="run_failed", resolved_at=None).exists()


def test_a_change_that_failed_is_not_hidden_from_the_student(life_: Smaller, mini: Tier) -> None:
    run, _dropped = skipped(life_, mini)
    Run.objects.filter(pk=run.pk).update(state=RunState.FAILED)
    page = dashboard(life_)
    assert "Your change to Mini takes longer" in page
    assert "The operator was told and continues it." in page


def set_price(life_: Smaller, tier: Tier) -> None:
    """Let Stripe carry out a change of the price that nobody waits for any more."""
    contract = gateway.current().contract(life_.subscription()["id"])
    late = {"items": [{"id": contract.item_id, "price": tier.stripe_monthly_price_id}], "proration_behavior": "none"}
    gateway.current().change_subscription(contract.id, late, key=f"much later: {tier.slug}")
    life_.hear()


def withdrawn_and_late(life_: Smaller, mini: Tier, *, hours: float) -> OperatorItem:
    life_.plan(mini)
    downgrades.withdraw(provision=life_.provision, actor="ada")
    life_.hear()
    assert not OperatorItem.objects.filter(resolved_at=None).exists()
    Downgrade.objects.update(updated_at=clock.machine_now() - timedelta(hours=hours))
    life_.advance(hours * 3600)
    life_.hear()
    set_price(life_, mini)
    return OperatorItem.objects.get(resolved_at=None)


@pytest.mark.parametrize("hours", [0.0, 1.0, 60.0])
def test_a_smaller_price_that_comes_for_a_withdrawn_plan_is_told_to_a_person_however_late(
    life_: Smaller, mini: Tier, hours: float
) -> None:
    item = withdrawn_and_late(life_, mini, hours=hours)
    assert item.kind == "subscription_price"
    assert "Stripe charges 27.00 USD a month, agreed are 47.00" in item.sentence
    starter = life_.provision.tier
    assert starter is not None
    set_price(life_, starter)  # by the operator, in Stripe's dashboard
    item.refresh_from_db()
    assert item.resolution == "Stripe charges what was agreed."
    assert Mail.objects.filter(kind="operator_subscription_price").count() == 1


def test_a_price_that_the_operator_says_is_meant_is_not_asked_about_again(life_: Smaller, mini: Tier) -> None:
    item = withdrawn_and_late(life_, mini, hours=1.0)
    OperatorItem.close(item.kind, key=item.key.partition(":")[2], resolution="A discount for a friend.")
    life_.advance(2 * 86_400)
    life_.hear()
    billing_life.follow(subscription_id=life_.subscription()["id"], actor="test")
    assert not OperatorItem.objects.filter(resolved_at=None).exists()
    starter = life_.provision.tier
    assert starter is not None
    other = Tier.objects.create(
        name="Odd", slug="odd", stack="zapmail", domain_count=3, mailbox_count=6, monthly_fee_cents=100,
        setup_fee_cents=100,
    )  # fmt: skip
    prices.sync_prices(actor="test")
    other.refresh_from_db()
    set_price(life_, other)
    assert "Stripe charges 1.00 USD" in OperatorItem.objects.get(resolved_at=None).sentence


def test_a_change_that_is_under_way_is_no_difference_of_the_price(life_: Smaller, mini: Tier) -> None:
    life_.plan(mini)
    assert agreed.agreed_cents(life_.provision) == {4700, 2700}
    life_.month()
    assert life_.provision.runs.filter(kind=RunKind.DOWNGRADE).exists()
    assert agreed.agreed_cents(life_.provision) == {4700, 2700}
    life_.build()
    assert agreed.agreed_cents(life_.provision) == {2700}
    life_.hear()
    assert not OperatorItem.objects.filter(resolved_at=None).exists()
