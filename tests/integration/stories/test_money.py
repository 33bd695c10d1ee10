"""The operator's wallet is short, before the purchase or found only by it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from infra.models import Provision, ProvisionState
from provisioning import actions

from .kit import begin, make_world, story

pytestmark = pytest.mark.django_db

ALL = 3 * 1299 + 6 * 350


def test_a_short_wallet_is_seen_before_anything_is_bought() -> None:
    made = story(switches={"zapmail_wallet_cents": ALL - 1})
    made.play(made.parks("waiting_funds"))
    made.advance(3600)
    made.play(made.parks("waiting_funds"))
    assert made.mails() == {"operator_wallet_short": 1}
    assert made.items("wallet_short", is_open=True).count() == 1
    assert not made.sandbox.world.zapmail.purchases

    made.top_up(1)
    made.play()
    made.check()
    assert made.mails() == {"operator_wallet_short": 1, "ready": 1}
    assert made.sandbox.world.zapmail.wallets["account"] == 0


@pytest.mark.parametrize("reply", ["invoice", "payment_link", "error"])
def test_a_wallet_that_is_found_short_by_the_purchase(reply: str) -> None:
    made = story(switches={"zapmail_short_wallet_reply": reply, "zapmail_wallet_cents": ALL})
    # Somebody else spends from the same wallet.
    made.play_on_after("wallet", lambda: made.top_up(-2500), made.parks("waiting_funds"))
    assert made.items("wallet_short", is_open=True).count() == 1
    made.advance(7200)
    while made.world.run_once():
        pass
    made.check("provisioning")
    assert made.calls()["zapmail.buy_domains"] == 1

    made.top_up(2500)
    made.play()
    made.check()
    assert made.mails() == {"operator_wallet_short": 1, "ready": 1}
    assert made.calls()["zapmail.buy_domains"] == 2


def test_a_wallet_that_is_short_for_the_slots_as_the_purchase_finds() -> None:
    made = story(faults=({"kind": "wallet_short", "verb": "buy_mailbox_slots", "times": 1},))
    made.play()
    made.check()
    assert made.done("zapmail.buy_mailbox_slots") == 2


def test_what_was_bought_goes_on_while_a_name_waits_for_money() -> None:
    made = story(faults=({"kind": "domain_taken", "verb": "buy_domains", "items": ["getacme.com"]},), spares=1)
    made.play(lambda: made.done("zapmail.buy_domains") == 1)
    made.top_up(-made.sandbox.world.zapmail.wallets["account"])
    made.sandbox.world.events[:] = [e for e in made.sandbox.world.events if e.kind != "refund"]
    made.sandbox.switches.set(zapmail_refund_seconds=(9e9, 9e9))
    made.play(made.parks("waiting_funds"))
    made.play(lambda: made.provision.mailboxes.filter(state="warming").count() == 4)
    made.refresh()
    assert made.provision.state == ProvisionState.PROVISIONING
    made.top_up(5000)
    made.play()
    assert made.provision.state == ProvisionState.ACTIVE


def test_a_wallet_per_workspace_waits_for_that_workspaces_money() -> None:
    made = story(switches={"zapmail_wallet": "workspace"})
    made.play(made.parks("waiting_funds"))
    made.top_up(ALL)
    made.play()
    made.check()


def test_waiting_long_for_money_is_not_held_against_the_platform() -> None:
    made = story(switches={"zapmail_short_wallet_reply": "error", "zapmail_wallet_cents": ALL})
    made.play_on_after("wallet", lambda: made.top_up(-2500), made.parks("waiting_funds"))
    made.advance(40 * 3600)
    made.top_up(2500)
    made.play()
    made.check()
    assert set(made.mails()) == {"operator_wallet_short", "ready"}


def test_two_orders_share_a_wallet_that_covers_one() -> None:
    world = make_world(switches={"zapmail_wallet_cents": ALL + 500})
    one, two = begin(world, "acme"), begin(world, "zenith")
    one.play(lambda: two.parks("waiting_funds")() or one.parks("waiting_funds")())
    one.top_up(ALL)
    one.play()
    two.play()
    one.check()
    two.check()


def test_the_kill_switch_stops_before_the_next_spending_and_releases() -> None:
    made = story()
    actions.pause_purchases(paused=True, actor="operator", reason="price list under review")
    made.play(made.parks("needs_operator"))
    assert not made.sandbox.world.zapmail.purchases
    assert made.done("zapmail.buy_mailbox_slots") == 0
    assert made.mails() == {"operator_purchases_paused": 1}
    actions.pause_purchases(paused=False, actor="operator", reason="reviewed")
    made.play()
    made.check()


def test_cancelling_stops_before_the_next_spending() -> None:
    made = story()

    def cancel() -> None:
        actions.cancel(provision=made.provision, actor="student", reason="changed their mind")

    made.play_on_after("wallet", cancel, made.has_ended)
    made.advance(24 * 3600)
    assert not made.world.run_once()
    made.check("cancelled")
    assert not made.sandbox.world.zapmail.purchases


@pytest.mark.parametrize("state", ["cancelling", "cancelled", "suspended"])
def test_an_order_at_rest_or_at_its_end_spends_nothing_even_if_its_run_goes_on(state: str) -> None:
    made = story()
    over = timezone.now() if state == "cancelled" else None
    order = Provision.objects.filter(pk=made.provision.pk)
    has_tried = made.rows("buy_domains").filter(attempts__gte=2).exists
    made.play_on_after("wallet", lambda: order.update(state=state, cancelled_at=over), has_tried)
    assert made.calls()["zapmail.buy_domains"] == 0
    assert not made.sandbox.world.zapmail.purchases
