"""A shop in one process: our rows on real PostgreSQL, Stripe simulated, webhooks delivered to our own view."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.test import Client
from django.urls import reverse

from billing import actions, life, refunds, webhooks
from billing.gateway import Gateway, key_accepted
from billing.models import Checkout, Payment, Refund
from infra import clock
from infra.models import Mail, OperatorItem, Provision
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from integrations.sandbox import ManualClock, Request, Response, Sandbox
from integrations.sandbox.stripe_webhooks import signature_header
from tests.integration.world import new_order

SECRET = "whsec_sandbox"


def gateway_over(transport: Transport, **changes: Any) -> Gateway:
    """Return a gateway whose requests travel on `transport`."""
    values: dict[str, Any] = {
        "secret_key": "sk_test_sandbox",
        "webhook_secret": SECRET,
        "api_url": "http://sandbox.test/stripe",
        "livemode": False,
        "on_answer": key_accepted,
        **changes,
    }
    return Gateway(transport=transport, **values)


@dataclass
class Shop:
    """What a test does: order, press the page's buttons, deliver, drain, look."""

    sandbox: Sandbox
    provision: Provision
    client: Client

    @classmethod
    def open(cls, client: Client) -> Shop:
        sandbox = Sandbox(seed=1, speed=ManualClock(), webhook_url="http://testserver" + reverse("billing-webhook"))
        return cls(sandbox, new_order(), client)

    # the student

    def order(self) -> Checkout:
        """Press "pay" on the review page."""
        actions.start_checkout(provision=self.provision, actor=self.provision.student)
        return self.newest()

    def press(self, checkout: Checkout, button: str) -> Response:
        """Press a button of the payment page."""
        body = f"action={button}".encode()
        return self.sandbox.handle(Request.to("POST", f"/stripe/pay/{checkout.session_id}", body=body))

    def page(self, checkout: Checkout) -> bytes:
        """Return the payment page as it is now."""
        return self.sandbox.handle(Request.to("GET", f"/stripe/pay/{checkout.session_id}")).body

    def signed_in(self) -> Client:
        client = Client()
        client.force_login(self.provision.student)
        return client

    # Stripe and our worker

    def deliver(self) -> int:
        """Let Stripe send the webhooks that are due to our view; return how many it tried to send."""
        return self.sandbox.deliver_due(self.send)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        signature = {name: value for name, value in headers.items() if name.lower() == "stripe-signature"}
        return self.client.post(url, body, content_type="application/json", headers=signature).status_code

    def post_event(self, event: Any, *, secret: str = SECRET, age: int = 0) -> int:
        """Post a signed event of our own making; return the status."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        header = signature_header(body, secret, int(time.time()) - age)
        return self.send(reverse("billing-webhook"), {"Stripe-Signature": header}, body)

    def work(self) -> None:
        """Let a worker drain everything of billing."""
        webhooks.drain(100)
        refunds.drain(100)
        actions.sweep_open_checkouts(100)
        life.sweep(100)
        refunds.drain(100)

    def advance(self, seconds: float) -> None:
        """Let machine time pass, ours and Stripe's alike."""
        clock.advance_machine(seconds)
        self.sandbox.advance(seconds)

    # looking

    def newest(self) -> Checkout:
        return self.provision.checkouts.latest("created_at")

    def state(self) -> str:
        self.provision.refresh_from_db()
        return self.provision.state

    def picture(self) -> dict[str, Any]:
        """Return everything that a purchase leaves behind and that must not depend on what was heard when."""
        self.provision.refresh_from_db()
        order, payments = self.provision, Payment.objects.filter(provision=self.provision)
        # What is told without an order belongs to everybody, until somebody has dealt with it.
        items = OperatorItem.objects.filter(Q(provision=order) | Q(provision=None, resolved_at=None))
        return {
            "provision": order.state,
            "paid": order.paid_at is not None,
            "customer": bool(order.stripe_customer_id),
            "subscription": bool(order.stripe_subscription_id),
            "checkouts": sorted(order.checkouts.values_list("state", flat=True)),
            "payments": sorted(payments.values_list("amount_cents", "refunded_cents")),
            "refunds": sorted(Refund.objects.filter(payment__in=payments).values_list("state", "amount_cents")),
            "runs": sorted(order.runs.values_list("kind", flat=True)),
            "mails": sorted(Mail.objects.filter(provision=order).values_list("kind", flat=True)),
            "items": sorted(items.values_list("kind", flat=True)),
        }

    def charged(self) -> int:
        """Return what Stripe holds of the student's money, in cents."""
        charges = self.sandbox.world.stripe["charges"].values()
        return sum(charge["amount"] - charge["amount_refunded"] for charge in charges)

    def live_subscriptions(self) -> int:
        return sum(row["status"] != "canceled" for row in self.sandbox.world.stripe["subscriptions"].values())


@dataclass
class Wire:
    """A transport that does something just before or after a call passes: other people's timing."""

    inner: Transport
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        if (first := self.before.pop(call.verb, None)) is not None:
            first()
        raw = self.inner.send(call, send_before=send_before)
        if (then := self.after.pop(call.verb, None)) is not None:
            then()
        return raw
