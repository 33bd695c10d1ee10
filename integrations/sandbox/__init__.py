"""Every platform simulated: for the demo as a server, for tests in process. Never for real use.

sandbox = Sandbox(seed=1, speed=ManualClock())
sandbox.handle(Request.to("GET", "/heyreach/api/public/auth/CheckApiKey", headers={...}))
sandbox.transport()          an integrations.http.transport.Transport
sandbox.advance(3600)        one virtual hour later
sandbox.faults.add("timeout_after", platform="zapmail", verb="buy_domains", times=1)
sandbox.switches.set(zapmail_wallet="workspace")
"""

from .clock import ManualClock, RunningClock
from .core import Sandbox
from .deliveries import Delivery
from .http import Request, Response, Wire, json_response, text_response
from .platforms import Platform, Route, Router

__all__ = [
    "Delivery",
    "ManualClock",
    "Platform",
    "Request",
    "Response",
    "Route",
    "Router",
    "RunningClock",
    "Sandbox",
    "Wire",
    "json_response",
    "text_response",
]
