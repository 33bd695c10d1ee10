"""The sandbox itself: one world, one lock, one way in."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import (
    cloudflare,
    godaddy,
    google_workspace,
    heyreach,
    infraforge,
    pages,
    plusvibe,
    post_office,
    profiles,
    registrar,
    salesforge,
    smartlead,
    stripe,
    warmforge,
    zapmail,
)
from .clock import Clock, RunningClock
from .deliveries import Delivery, Send
from .dns import Dns
from .faults import AFTER, BEFORE, Fault, FaultTable
from .http import Request, Response, Wire
from .log import RequestLog
from .mail import Mail
from .mangle import after_the_work
from .platforms import Platform
from .quota import Quotas
from .store import StateFile
from .switches import Switches
from .world import World

if TYPE_CHECKING:
    from .transport import InProcessTransport

LATE = "__late_request__"
REFERENCE = re.compile(rb"GTM-[0-9A-Z]{6}")
ENDED = frozenset({"delivered", "given_up"})
BROKEN_WIRES = {
    "refuse": Wire.REFUSED,
    "unreachable": Wire.UNREACHABLE,
    "timeout_before": Wire.SILENT,
    "late_execution": Wire.SILENT,
    "reset_before": Wire.RESET,
}


def all_platforms() -> tuple[Platform, ...]:
    """Return the table of simulated platforms."""
    return (
        zapmail.PLATFORM,
        plusvibe.PLATFORM,
        heyreach.PLATFORM,
        stripe.PLATFORM,
        warmforge.PLATFORM,
        salesforge.PLATFORM,
        infraforge.PLATFORM,
        cloudflare.PLATFORM,
        godaddy.PLATFORM,
        google_workspace.PLATFORM,
        smartlead.PLATFORM,
    )


class Sandbox:
    """All simulated platforms over one world.

    seed         same seed and same requests: same ids, same durations, same faults
    speed        virtual seconds per machine second, or a clock of your own (`ManualClock` in tests)
    public_url   where the sandbox is reachable: the beginning of every address it hands out
    profile      "none" or "demo", see profiles.py
    state_path   keep the world in this file; an existing file is continued
    webhook_url  where Stripe's webhooks go
    behind       seconds that the clocks of a new world stand behind the machine's, to play what lies back
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        speed: float | Clock = 1.0,
        public_url: str = "http://sandbox.test",
        profile: str = "none",
        state_path: Path | None = None,
        webhook_url: str = "",
        behind: float = 0.0,
    ) -> None:
        self.lock = threading.RLock()
        self.platforms = {platform.name: platform for platform in all_platforms()}
        self.store = StateFile(state_path) if state_path else None
        self.dirty = False
        self.webhook_sender: Send | None = None
        self.dns = Dns(self)
        self._arguments = (seed, public_url, profile, webhook_url)
        saved = self.store.load() if self.store else None
        if saved is None:
            self.clock: Clock = (
                speed if not isinstance(speed, int | float) else RunningClock.starting(speed, behind=behind)
            )
            self.world = self._new_world()
        else:
            self.world, saved_clock = saved
            self.clock = saved_clock.at_speed(speed) if isinstance(speed, int | float) else speed
            self._continue(public_url, profile, webhook_url)

    # What tests and operators reach for

    @property
    def faults(self) -> FaultTable:
        return self.world.faults

    @property
    def switches(self) -> Switches:
        return self.world.switches

    @property
    def log(self) -> RequestLog:
        return self.world.log

    @property
    def quotas(self) -> Quotas:
        return self.world.quotas

    def transport(self) -> InProcessTransport:
        """Return a transport that hands calls to this sandbox without a socket."""
        from .transport import InProcessTransport

        return InProcessTransport(self)

    def reset(self) -> None:
        """Forget everything the platforms hold. The clock runs on; webhooks wait nowhere."""
        with self.lock:
            self.world = self._new_world()
            self.dns.forget()
            self.save()

    def advance(self, seconds: float) -> None:
        """Move the clock, and let everything that falls due happen."""
        with self.lock:
            self.clock.advance(seconds)
            self.run_due()
            self.save()

    # Requests

    def handle(self, request: Request) -> Response:
        """Answer one request. The response's `wire` says whether the client gets to see it."""
        with self.lock:
            self.run_due()
            platform = self._platform_at(request.path)
            if platform is None:
                return self._own_page(request)
            response, is_read = self._serve(platform, request.below(platform.prefix))
            self.dirty = True
            if not is_read:
                self.save()
            return response

    def run_due(self) -> None:
        """Let every scheduled event happen that is due, in order, each at its own time."""
        with self.lock:
            clocks = {True: self.clock.real(), False: self.clock.now()}
            events = self.world.events
            while events:
                due = [e for e in events if e.at <= clocks[self._platform(e.platform).real_time]]
                if not due:
                    return
                event = min(due)
                events.remove(event)
                self.dirty = True
                platform = self._platform(event.platform)
                if event.kind == LATE:
                    self._do(platform, event.data["request"], event.at)
                else:
                    platform.on_event(self.world, event.kind, event.data, event.at)

    def receive_mail(self, sender: str, recipients: tuple[str, ...], raw: bytes) -> Mail:
        """Keep a message that arrived by SMTP."""
        with self.lock:
            mail = Mail(self.world.count("mail"), self.clock.real(), sender, recipients, raw)
            self.world.mail.append(mail)
            self.save()
            return mail

    # Webhooks

    def deliver_due(self, send: Send, *, before_answer_only: bool = False) -> int:
        """Send every webhook that is due by `send(url, headers, body) -> status` (0: nobody answered).

        Returns how many were attempted. The lock is not held while sending.
        """
        self.run_due()
        attempted = 0
        while (taken := self._take_delivery(before_answer_only)) is not None:
            delivery, headers = taken
            try:
                status = send(delivery.url, headers, delivery.body)
            finally:
                if delivery.state == "sending":
                    delivery.state = "waiting"
            self._settle(delivery, status)
            attempted += 1
        return attempted

    def has_urgent_deliveries(self) -> bool:
        """Whether a webhook waits that must arrive before the answer of the request that caused it."""
        with self.lock:
            return any(d.before_answer and d.state == "waiting" for d in self.world.deliveries)

    # State

    def state(self) -> dict[str, Any]:
        """Return everything the platforms hold as plain JSON, without passwords."""
        with self.lock:
            self.run_due()
            now, real = self.clock.now(), self.clock.real()
            world = self.world
            return {
                "simulated": True,
                "seed": world.seed,
                "profile": world.profile,
                "clock": {"virtual": now, "real": real, "speed": getattr(self.clock, "speed", 0.0)},
                "registrar": registrar.snapshot(world, now),
                **{
                    platform.name: platform.snapshot(world, real if platform.real_time else now)
                    for platform in self.platforms.values()
                },
                "mail": [
                    {"n": m.n, "at": m.at, "sender": m.sender, "recipients": list(m.recipients), "subject": m.subject}
                    for m in world.mail
                ],
                "probe": [{"uid": one.uid, "at": one.at} for one in world.letters],
                "switches": world.switches.snapshot(),
                "faults": world.faults.snapshot(),
                "deliveries": [_delivery_row(delivery) for delivery in world.deliveries],
            }

    def check_login(self, email: str, password: str) -> list[str] | None:
        """Return the PlusVibe workspaces a client login sees, or None when it opens nothing."""
        with self.lock:
            return plusvibe.workspaces_of_login(self.world, email, password)

    def save(self) -> None:
        """Write the state file now, if there is one."""
        with self.lock:
            if self.store is not None:
                if not isinstance(self.clock, RunningClock):
                    raise TypeError("a state file needs a running clock")
                self.store.save(self.world, self.clock)
            self.dirty = False

    # Inside

    def _new_world(self) -> World:
        seed, public_url, profile, webhook_url = self._arguments
        world = World(seed=seed, public_url=public_url, webhook_url=webhook_url, faults=FaultTable(seed))
        self._name_faults(world)
        profiles.apply(world, profile)
        return world

    def _name_faults(self, world: World) -> None:
        world.faults.extra_kinds |= post_office.FAULTS
        for platform in self.platforms.values():
            world.faults.extra_kinds |= platform.fault_kinds

    def _continue(self, public_url: str, profile: str, webhook_url: str) -> None:
        """Take the arguments of a restart into a loaded world; a change of profile replaces its faults."""
        self.world.public_url, self.world.webhook_url = public_url, webhook_url
        self._name_faults(self.world)
        for delivery in self.world.deliveries:
            if delivery.state == "sending":  # its sender died: like every webhook it may arrive twice
                delivery.state = "waiting"
        if self.world.profile != profile:
            profiles.apply(self.world, profile)

    def _platform(self, name: str) -> Platform:
        return self.platforms[name]

    def _platform_at(self, path: str) -> Platform | None:
        for platform in self.platforms.values():
            if path == platform.prefix or path.startswith(platform.prefix + "/"):
                return platform
        return None

    def _own_page(self, request: Request) -> Response:
        response = pages.handle(self, request)
        if request.method == "POST":
            self.save()
        return response

    def _serve(self, platform: Platform, request: Request) -> tuple[Response, bool]:
        """Answer a platform's request with faults and quotas around the work."""
        verb, items = platform.verb_of(request), _safe_items(platform, request)
        reference = self._reference(platform, request)
        now = self.clock.real() if platform.real_time else self.clock.now()
        is_read = verb in platform.reads or verb == "unknown"
        fault = self.faults.draw(BEFORE, platform.name, verb, items, reference)
        work_done, response = False, None
        if fault is None or fault.kind == "rate_limit":
            response = self._over_quota(platform, verb, request)
        if response is None and fault is not None:
            response = self._before_the_work(platform, fault, request, now)
        if response is None:
            work_done, response = True, self._do(platform, request, now)
            fault = self.faults.draw(AFTER, platform.name, verb, items, reference)
        self.log.add(
            at=now,
            platform=platform.name,
            verb=verb,
            method=request.method,
            path=request.path,
            status=response.status,
            items=items,
            student_ref=reference or self._reference(platform, request),
            fault=fault.kind if fault else "",
            work_done=work_done,
        )
        if work_done and fault is not None:
            response = after_the_work(fault, response, platform.error(self.world, fault.status, "Simulated failure"))
        return response, is_read

    def _do(self, platform: Platform, request: Request, now: float) -> Response:
        """Let the platform do its work. Bad input of any kind is its answer, never our crash."""
        return platform.handle(self.world, request, now)

    def _over_quota(self, platform: Platform, verb: str, request: Request) -> Response | None:
        windows = platform.windows(self.world, verb, request)
        if not windows:
            return None
        real = platform.real_time or platform.quota_in_real_time
        at = self.clock.real() if real else self.clock.now()
        wait = self.quotas.take(platform.name, platform.key_of(request), verb, windows, at)
        if wait is None:
            return None
        response = platform.error(self.world, 429, "Too many requests")
        return _with_advice(response, self.world.switches.snapshot().get(f"{platform.name}_retry_after"), wait, at)

    def _before_the_work(self, platform: Platform, fault: Fault, request: Request, now: float) -> Response:
        if fault.kind == "late_execution":
            self.world.schedule(now + fault.seconds, platform.name, LATE, request=request)
        if fault.kind in BROKEN_WIRES:
            return Response(0, wire=BROKEN_WIRES[fault.kind])
        if fault.kind == "redirect":
            status = fault.status if 300 <= fault.status < 400 else 302
            return Response(status, {"location": f"{self.world.public_url}/elsewhere"})
        if fault.kind == "rate_limit":
            response = platform.error(self.world, 429, "Too many requests")
            advice = {} if fault.advice is None else {"retry-after": fault.advice}
            return Response(response.status, {**response.headers, **advice}, response.body)
        return platform.error(self.world, fault.status, "Simulated failure")

    def _reference(self, platform: Platform, request: Request) -> str:
        found = REFERENCE.search(request.body) or REFERENCE.search(str(request.pairs).encode())
        return found.group().decode() if found else platform.ref_of(self.world, request)

    def _take_delivery(self, before_answer_only: bool) -> tuple[Delivery, Mapping[str, str]] | None:
        with self.lock:
            for delivery in self.world.deliveries:
                platform = self._platform(delivery.platform)
                now = self.clock.real() if platform.real_time else self.clock.now()
                if delivery.state != "waiting" or delivery.due > now:
                    continue
                if before_answer_only and not delivery.before_answer:
                    continue
                delivery.state = "sending"
                delivery.attempts += 1
                headers = {"content-type": "application/json", **delivery.headers}
                return delivery, headers | dict(platform.sign(self.world, delivery, now))
        return None

    def _settle(self, delivery: Delivery, status: int) -> None:
        with self.lock:
            platform = self._platform(delivery.platform)
            now = self.clock.real() if platform.real_time else self.clock.now()
            delivery.statuses.append(status)
            if 200 <= status < 300:
                delivery.state = "delivered"
            elif delivery.gaps:
                delivery.due, delivery.gaps, delivery.state = now + delivery.gaps[0], delivery.gaps[1:], "waiting"
            else:
                delivery.state = "given_up"
            platform.settled(self.world, delivery, status, now)
            self._forget_old_deliveries()
            self.save()

    def _forget_old_deliveries(self) -> None:
        ended = [d for d in self.world.deliveries if d.state in ENDED]
        if len(ended) > 500:
            old = {d.id for d in ended[:-250]}
            self.world.deliveries = [d for d in self.world.deliveries if d.id not in old]


def _safe_items(platform: Platform, request: Request) -> tuple[str, ...]:
    """Return a request's natural keys; none when its body makes no sense."""
    try:
        return platform.items_of(request)
    except (ValueError, TypeError, AttributeError, KeyError):
        return ()


def _with_advice(response: Response, form: object, wait: float, at: float) -> Response:
    """Add a Retry-After header in the form that the platform's switch says."""
    if form not in ("seconds", "date"):
        return response
    advice = str(int(wait) + 1) if form == "seconds" else formatdate(at + wait + 1, usegmt=True)
    return Response(response.status, {**response.headers, "retry-after": advice}, response.body)


def _delivery_row(delivery: Delivery) -> dict[str, Any]:
    names = ("id", "platform", "url", "kind", "subject", "due", "attempts", "statuses", "state")
    return {name: getattr(delivery, name) for name in names}
