"""Money, as rows."""

from .payment import Checkout, Payment, Refund
from .webhook_event import WebhookEvent

__all__ = ["Checkout", "Payment", "Refund", "WebhookEvent"]
