"""Stripe's own SDK on the simulated account: the SDK is the judge of what the sandbox answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from integrations.sandbox import ManualClock, Request, Response, Sandbox, Wire

NOW = 1_790_000_000
WEBHOOK_URL = "http://shop.test/billing/webhook/"


class OverSandbox(stripe.HTTPClient):
    """Hands the SDK's requests to a sandbox in the same process; keeps the last answer's headers."""

    name = "sandbox"

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.headers: Mapping[str, str] = {}
        self.status = 0

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        body = (post_data or "").encode()
        response = self.sandbox.handle(Request.to(method, url, headers=headers, body=body))
        self.headers, self.status = response.headers, response.status
        if response.wire is not Wire.ANSWERED:
            raise stripe.APIConnectionError("no answer")  # type: ignore[no-untyped-call]
        return response.body.decode(), response.status, response.headers

    def close(self) -> None:
        """Nothing is open."""


class Shop:
    """An account with one product, a set-up price and a monthly price; and what a shop does with them."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(seed=1, speed=ManualClock(machine=lambda: float(NOW)), webhook_url=WEBHOOK_URL)
        self.http = OverSandbox(self.sandbox)
        self.client = stripe.StripeClient(
            "sk_test_sandbox",
            base_addresses={"api": "http://sandbox.test/stripe"},
            max_network_retries=0,
            http_client=self.http,
        )
        self.v1 = self.client.v1
        self.product = self.v1.products.create({"id": "prod_starter", "name": "Starter"})
        self.setup = self.v1.prices.create(
            {"product": "prod_starter", "currency": "usd", "unit_amount": 9700, "lookup_key": "starter_setup"}
        )
        self.monthly = self.v1.prices.create(
            {
                "product": "prod_starter",
                "currency": "usd",
                "unit_amount": 4700,
                "recurring": {"interval": "month"},
                "lookup_key": "starter_monthly",
            }
        )

    def parameters(self, **changes: Any) -> Any:
        """Return the parameters of a good Checkout Session; a change to None leaves one out."""
        good: dict[str, Any] = {
            "mode": "subscription",
            "success_url": "http://shop.test/return/?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.test/cancel/",
            "client_reference_id": "GTM-7K3F9Q",
            "customer_email": "ann@example.org",
            "metadata": {"provision_ref": "GTM-7K3F9Q"},
            "line_items": [{"price": self.setup.id, "quantity": 1}, {"price": self.monthly.id, "quantity": 1}],
            "subscription_data": {
                "metadata": {"provision_ref": "GTM-7K3F9Q"},
                "billing_mode": {"type": "flexible"},
            },
            "expires_at": NOW + 3600,
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def checkout(self, **changes: Any) -> Any:
        return self.v1.checkout.sessions.create(self.parameters(**changes))

    def press(self, session_id: str, action: str) -> Response:
        """Press a button of the hosted page."""
        return self.sandbox.handle(Request.to("POST", f"/stripe/pay/{session_id}", body=f"action={action}".encode()))

    def page(self, session_id: str) -> Response:
        return self.sandbox.handle(Request.to("GET", f"/stripe/pay/{session_id}"))

    def paid(self) -> Any:
        """Return a paid session."""
        session = self.checkout()
        self.press(session.id, "pay")
        return self.v1.checkout.sessions.retrieve(session.id)

    def event_types(self) -> list[str]:
        """Return the types of all events, oldest first."""
        return [event["type"] for event in self.sandbox.world.stripe["events"].values()]
