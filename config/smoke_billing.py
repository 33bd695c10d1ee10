"""Stories about money after the order: a bigger and a smaller package, a renewal that fails, a cancellation, a dispute.

Each begins with the main job, lets something happen at the simulated Stripe (its control plane, its portal's page), and
compares our rows with what the sandbox holds. Days pass for this one subscription only, so that the demo's other orders
and its clocks stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from billing.models import Subscription
from infra.clock import vendor_now
from infra.models import Mail, OperatorItem, Provision, ProvisionState, Tier
from provisioning.models import ACTIVE_RUN

from .smoke import DEADLINE, SmokeFailed, Story

LONGER = 2 * DEADLINE  # a purchase whose answer is lost is sent again after hours of the platforms' time
OVER = (ProvisionState.CANCELLING, ProvisionState.CANCELLED)


def upgrade(story: Story) -> None:
    """The student moves to the next package on the wizard's own pages, paid by the card that is there."""
    provision = _ordered(story)
    before = provision.order["mailbox_count"]
    story.say(0.62, "choose a bigger package")
    story._open("/infrastructure/upgrade/")
    story._press("tier", "growth")
    story.say(0.65, "search two more domains")
    story._choose_domains(2, at="/infrastructure/upgrade/domains/")
    story.say(0.72, "see the price and pay")  # the mailboxes are named as those that are there
    pay = "form:has([name=total]):has(button)"
    for _ in story._until("the review page offered no button to pay"):
        if story.browser.page.select(pay):
            break
        story._open("/infrastructure/upgrade/review/")
    promised = int(story.browser.select_form(pay).form.find("input", attrs={"name": "total"})["value"])
    story._submit()
    story.ends = time.monotonic() + LONGER
    _await_state(story, provision, ProvisionState.UPGRADING)
    _must_say(story, "Your upgrade is under way")
    story.say(0.75, "only the difference is built")
    _await_state(story, provision, ProvisionState.ACTIVE)
    if provision.order["mailbox_count"] <= before or provision.tier != Tier.objects.get(slug="growth"):
        raise SmokeFailed(f"{provision.reference} is active, and still {provision.tier}.")
    price = _subscriptions(story, provision)[0]["items"]["data"][0]["price"]["id"]
    if price != Tier.objects.get(slug="growth").stripe_monthly_price_id:
        raise SmokeFailed("The subscription still has the price of the smaller package.")
    paid = list(provision.payments.order_by("paid_at").values_list("amount_cents", flat=True))
    if paid[1:] != [promised]:
        raise SmokeFailed(f"The page promised {promised} cents, and {paid[1:]} were paid.")
    _compare(story, provision, status="active", mails=("upgraded",))
    _raise(story.differences(provision, payments=2))
    story._see_dashboard(provision)
    story.say(1.0, f"{provision.reference} is {provision.tier}")


def downgrade(story: Story) -> None:
    """The student grows, plans to be smaller, withdraws, plans again; the period ends and only what was left out goes."""
    say = story.say
    story.say = lambda share, words: say(share * 0.6, words)
    upgrade(story)
    story.say, story.ends = say, time.monotonic() + LONGER
    provision = Provision.objects.get(student__email=story.email, enlarges=None)
    charged = sum(provision.payments.values_list("amount_cents", flat=True))
    names = list(provision.domains.filter(bought_at__isnull=False).order_by("position").values_list("name", flat=True))
    kept, dropped = names[:3], names[3:]
    small, big = Tier.objects.get(slug="starter"), Tier.objects.get(slug="growth")
    for tier, words in ((small, "planned"), (big, "withdrawn"), (small, "planned again")):
        story.say(0.64, f"a smaller package is {words}")
        story._open("/infrastructure/downgrade/")
        if tier == small:
            story._open("/infrastructure/downgrade/starter/")
            form = story.browser.select_form("#keep")
            form.set_checkbox({"keep": kept})
            story._submit()
        else:
            story.browser.select_form('form[action="/infrastructure/downgrade/withdraw/"]')
            story._submit()
        if _subscriptions(story, provision)[0]["items"]["data"][0]["price"]["id"] != tier.stripe_monthly_price_id:
            raise SmokeFailed(f"Stripe does not know that the change is {words}.")
    if sum(provision.payments.values_list("amount_cents", flat=True)) != charged:
        raise SmokeFailed("Planning a change has charged something.")
    _must_say(story, "Your package changes to Starter on")
    story.say(0.72, "the period ends")
    _at_stripe(story, provision, "renew")
    for _ in story._until("what was left out was not taken down"):
        for name in dropped:  # the operator, who is asked to
            story.control_post("/renewal", {"domain": name, "on": False})
        provision.refresh_from_db()
        if provision.tier == small and not provision.runs.filter(state__in=ACTIVE_RUN).exists():
            break
    story.say(0.95, "compare with the platforms")
    paid = list(provision.payments.order_by("paid_at").values_list("amount_cents", flat=True))
    if paid[-1] != small.monthly_fee_cents:
        raise SmokeFailed(f"The renewal charged {paid[-1]} cents instead of {small.monthly_fee_cents}.")
    warm = {row["email"] for row in story.state()["plusvibe"]["accounts"] if row["warmup_status"] == "ACTIVE"}
    if wrong := [
        box.address for box in provision.mailboxes.all() if (box.domain.name in kept) != (box.address in warm)
    ]:
        raise SmokeFailed("Warmup does not stand as it should of " + ", ".join(wrong))
    scheduled = {row["email"] for row in story.state()["zapmail"]["mailboxes"] if row["scheduled_for_removal"]}
    marked = scheduled & set(provision.mailboxes.values_list("address", flat=True))
    if {address.partition("@")[2] for address in marked} != set(dropped):
        raise SmokeFailed("Not exactly the mailboxes that were left out are marked for removal.")
    _compare(story, provision, status="active", mails=("downgrade_planned", "downgraded"))
    story.say(1.0, f"{provision.reference} is {provision.tier}")


def payment_failed(story: Story) -> None:
    """A renewal fails, the days of grace pass, the order rests, and a new card in the portal lets it go on."""
    provision = _ordered(story)
    story.say(0.62, "the renewal fails")
    _at_stripe(story, provision, "set_card", card="bad")
    _at_stripe(story, provision, "renew")
    _await_mail(story, provision, "payment_failed")
    _must_say(story, "A payment did not go through")
    story.say(0.68, "the days of grace pass")
    _pass_days(provision, settings.BILLING_SUSPEND_DAYS)
    _await_state(story, provision, ProvisionState.SUSPENDED)
    _await_rest(story, provision, "INACTIVE")
    _must_say(story, "Your infrastructure is paused")
    story.say(0.80, "another card in the portal")
    _press(story, "/billing/portal/")
    if "/stripe/portal/" not in story.browser.url:
        raise SmokeFailed(f"The payment method leads to {story.browser.url} instead of the portal.")
    story._press("action", "card_good")
    _await_state(story, provision, ProvisionState.ACTIVE)
    _await_rest(story, provision, "ACTIVE")
    _await_mail(story, provision, "recovered")
    _compare(story, provision, status="active", mails=("payment_failed", "suspended", "recovered"))
    _raise(story.differences(provision))
    story.say(1.0, f"{provision.reference} is active again")


def cancel(story: Story) -> None:
    """The student cancels, keeps, and cancels again; then the period ends."""
    provision = _ordered(story)
    for path, ending, words in (
        ("/billing/run-out/", True, "cancelled at the end of the period"),
        ("/billing/keep/", False, "kept"),
        ("/billing/run-out/", True, "cancelled again"),
    ):
        story.say(0.65, words)
        _press(story, path)
        if _subscriptions(story, provision)[0]["cancel_at_period_end"] is not ending:
            raise SmokeFailed(f"Stripe does not know that the subscription is {words}.")
    _must_say(story, "Your subscription is ending")
    story.say(0.80, "the period ends")
    _at_stripe(story, provision, "cancel_now")
    _await_state(story, provision, *OVER)
    _compare(story, provision, status="canceled", mails=("ending", "cancelled"))
    story.say(1.0, f"{provision.reference} is taken down")


def dispute(story: Story) -> None:
    """The bank disputes a payment and decides for us; then it disputes the renewal and decides against us."""
    provision = _ordered(story)
    story.say(0.62, "the bank disputes the payment")
    _at_stripe(story, provision, "dispute")
    _await_state(story, provision, ProvisionState.SUSPENDED)
    if not OperatorItem.objects.filter(provision=provision, kind="dispute", resolved_at=None).exists():
        raise SmokeFailed("Nobody was told of the dispute.")
    story.say(0.72, "the bank decides for us")
    _at_stripe(story, provision, "dispute_won")
    _await_state(story, provision, ProvisionState.ACTIVE)
    _await_rest(story, provision, "ACTIVE")
    story.say(0.82, "the next payment is disputed, and lost")
    _at_stripe(story, provision, "renew")
    _at_stripe(story, provision, "dispute")
    _at_stripe(story, provision, "dispute_lost")
    _await_state(story, provision, *OVER)
    for _ in story._until("the subscription was not ended"):
        if _subscriptions(story, provision)[0]["status"] == "canceled":
            break
    _await_row(story, provision, "canceled")
    _compare(story, provision, status="canceled", mails=("recovered", "cancelled"))
    story.say(1.0, f"{provision.reference} is taken down")


STORIES: dict[str, Callable[[Story], None]] = {
    "upgrade": upgrade,
    "downgrade": downgrade,
    "payment-failed": payment_failed,
    "cancel": cancel,
    "dispute": dispute,
}


# --- what the stories are made of -------------------------------------------------------------------------------------


def _ordered(story: Story) -> Provision:
    say = story.say
    story.say = lambda share, words: say(share * 0.6, words)
    story.main()
    story.say = say
    story.ends = time.monotonic() + DEADLINE
    return Provision.objects.get(student__email=story.email)


def _at_stripe(story: Story, provision: Provision, verb: str, **given: str) -> None:
    story.control_post("/stripe", {"do": verb, "reference": provision.reference, **given})


def _pass_days(provision: Provision, days: int) -> None:
    """Let days pass for this overdue payment alone."""
    Subscription.objects.filter(provision=provision).update(
        overdue_since=F("overdue_since") - timedelta(days=days), look_at=vendor_now()
    )


def _press(story: Story, action: str) -> None:
    story._open("/infrastructure/dashboard/")
    story.browser.select_form(f'form[action="{action}"]')
    story._submit()


def _must_say(story: Story, words: str) -> None:
    story._open("/infrastructure/dashboard/")
    if words not in story.browser.page.get_text():
        raise SmokeFailed(f"The dashboard does not say {words!r}.")


def _await_state(story: Story, provision: Provision, *states: ProvisionState) -> None:
    for _ in story._until(f"the order did not become {' or '.join(states)}"):
        provision.refresh_from_db()
        if provision.state in states:
            return


def _await_row(story: Story, provision: Provision, status: str) -> None:
    for _ in story._until(f"our row did not say {status}"):
        if Subscription.objects.filter(provision=provision, status=status).exists():
            return


def _await_mail(story: Story, provision: Provision, kind: str) -> None:
    for _ in story._until(f"the mail {kind!r} was not written"):
        if Mail.objects.filter(provision=provision, kind=kind).exists():
            return


def _await_rest(story: Story, provision: Provision, warmup: str) -> None:
    """Wait until warmup of every mailbox stands so in the sending tool, and nothing is under way."""
    workspace = provision.facts["plusvibe_workspace_id"]
    for _ in story._until(f"warmup was not {warmup.lower()}"):
        accounts = [row for row in story.state()["plusvibe"]["accounts"] if row["workspace_id"] == workspace]
        under_way = provision.runs.filter(state__in=ACTIVE_RUN).exists()
        if not under_way and accounts and {row["warmup_status"] for row in accounts} == {warmup}:
            return


def _subscriptions(story: Story, provision: Provision) -> list[dict[str, Any]]:
    rows = story.state()["stripe"]["subscriptions"]
    return [row for row in rows if row["metadata"].get("provision_ref") == provision.reference]


def _compare(story: Story, provision: Provision, *, status: str, mails: tuple[str, ...]) -> None:
    _raise(_differences(story, provision, status=status, mails=mails))


def _raise(differences: Iterator[str]) -> None:
    found = list(differences)
    if found:
        raise SmokeFailed("Our rows and the platforms differ: " + "; ".join(found))


def _differences(story: Story, provision: Provision, *, status: str, mails: tuple[str, ...]) -> Iterator[str]:
    stripe = story.state()["stripe"]
    theirs = _subscriptions(story, provision)
    if len(theirs) != 1:
        yield f"{len(theirs)} subscriptions for one student"
    row = Subscription.objects.get(provision=provision)
    if [(one["id"], one["status"]) for one in theirs] != [(row.stripe_id, status)] or row.status != status:
        yield f"the subscription is {theirs[0]['status']} at Stripe and {row.status} here, not {status}"
    paid = {one["id"]: one["amount_paid"] for one in stripe["invoices"] if one["customer"] == theirs[0]["customer"]}
    ours = dict(provision.payments.values_list("stripe_invoice_id", "amount_cents"))
    if ours != {key: amount for key, amount in paid.items() if amount}:
        yield f"{sum(ours.values())} cents are noted as paid, and Stripe says {sum(paid.values())}"
    for kind in mails:
        if not Mail.objects.filter(provision=provision, kind=kind).exists():
            yield f"no mail {kind!r}"
