"""Money, as rows."""

from .booking import Booking
from .downgrade import Downgrade
from .payment import Checkout, Payment, Refund
from .subscription import Subscription
from .upgrade import Upgrade
from .webhook_event import WebhookEvent

__all__ = ["Booking", "Checkout", "Downgrade", "Payment", "Refund", "Subscription", "Upgrade", "WebhookEvent"]
