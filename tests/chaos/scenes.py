"""Which calls a stack makes: seen in undisturbed runs, written down nowhere. A new stack enters by itself.

A plain run makes the calls of a good day. Others are made only when something has gone wrong before: a *scene* is a
story in which that is so, and its own calls are those that no earlier scene of the same stack has shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from infra.management.commands.load_tiers import DEFAULTS
from integrations.http.call import Call, Raw
from integrations.http.transport import Transport
from tests.integration.stories.kit import Story

from .harness import story

HOURS = 10 * 24.0  # vendor hours in which every scene ends
# As unforgiving as a platform can be: what is asked for twice is given, and charged, twice.
SWITCHES = {"plusvibe_bulk_add_big_hosts": "accepted", "zapmail_owned_name": "charge"}


@dataclass(frozen=True)
class Seen:
    """A call that a stack makes. `deadline` is in machine seconds."""

    platform: str
    verb: str
    is_write: bool
    repeatable: bool
    deadline: float

    def __str__(self) -> str:
        return f"{self.platform}.{self.verb}"


@dataclass(frozen=True, eq=False)
class Scene:
    """A story with a beginning of its own.

    faults   what goes wrong in it anyhow, in the words of `FaultTable.add`
    loses    the answer to every write of the plain scene is lost once
    prelude  what happens before anything else is disturbed
    """

    name: str
    tier: str
    stack: str
    faults: tuple[dict[str, Any], ...] = ()
    loses: bool = False
    prelude: Callable[[Story], None] | None = None

    def __str__(self) -> str:
        return f"{self.stack}, {self.name}"

    def begin(self, *, switches: dict[str, Any] | None = None, **world: Any) -> Story:
        """Begin the story and play its prelude."""
        lost: tuple[dict[str, Any], ...] = ()
        if self.loses:
            writes = [call for call in calls_of(SCENES[self.stack][0]) if call.is_write]
            lost = tuple(
                {"kind": "timeout_after", "platform": one.platform, "verb": one.verb, "times": 1} for one in writes
            )
        made = story(tier=self.tier, faults=(*self.faults, *lost), switches={**SWITCHES, **(switches or {})}, **world)
        if self.prelude is not None:
            self.prelude(made)
        return made


class Listener:
    """A transport that hears which calls are made."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.heard: dict[Seen, None] = {}

    def send(self, call: Call[Any], *, send_before: float | None = None) -> Raw:
        self.heard[Seen(call.platform, call.verb, call.is_write, call.repeatable, call.deadline)] = None
        return self.inner.send(call, send_before=send_before)


def put_on_the_line(made: Story, between: Callable[[Transport], Transport]) -> None:
    """Let a transport of the test's stand between the worker and the line."""
    workshop = made.world.workshop
    made.world.workshop = replace(workshop, transport=between(workshop.transport))


@cache
def calls_of(scene: Scene) -> tuple[Seen, ...]:
    """Return the calls that a scene makes when nothing more goes wrong in it, in order."""
    made = scene.begin()
    listener = Listener(made.world.workshop.transport)
    put_on_the_line(made, lambda _inner: listener)
    made.play(hours=HOURS)
    made.check()
    return tuple(listener.heard)


def own_calls(scene: Scene) -> tuple[Seen, ...]:
    """Return the calls of a scene that no earlier scene of its stack has shown."""
    earlier: set[Seen] = set()
    for other in SCENES[scene.stack]:
        if other is scene:
            break
        earlier |= set(calls_of(other))
    return tuple(call for call in calls_of(scene) if call not in earlier)


# ---- the scenes ------------------------------------------------------------------------------------------------------


def grow_old(made: Story) -> None:
    """Let the answers about the names grow older than they may be at a purchase."""
    made.advance(1200)


def let_a_mailbox_fail(made: Story) -> None:
    made.sandbox.faults.add("failing_mailboxes", platform="zapmail", times=1)


def lose_an_exported_box(made: Story) -> None:
    """Let one mailbox never arrive by export, so that it is uploaded in the end."""
    address = made.provision.mailboxes.order_by("address").values_list("address", flat=True)[0]
    made.sandbox.faults.add("export_incomplete", items=[address])


def let_the_login_expire(made: Story) -> None:
    """Let the login of the sending tool stop working at the other platform after its first export."""
    made.play(made.waits("export", on="platform"), hours=HOURS)
    for sender in made.sandbox.world.zapmail.senders.values():
        sender.password = "forgotten"


def let_the_bulk_call_want_names(made: Story) -> None:
    made.sandbox.switches.set(infraforge_bulk_dns_by="name")


PARTICULAR: dict[str, tuple[tuple[str, Callable[[Story], None]], ...]] = {
    "zapmail": (
        ("old answers about names", grow_old),
        ("a mailbox that fails", let_a_mailbox_fail),
        ("a box that never arrives", lose_an_exported_box),
        ("a login that expires", let_the_login_expire),
    ),
    "forge": (
        ("old answers about names", grow_old),
        ("a bulk call that wants names", let_the_bulk_call_want_names),
    ),
}


def _scenes(stack: str, tier: str) -> tuple[Scene, ...]:
    return (
        Scene("plain", tier, stack),
        Scene("answers lost", tier, stack, loses=True),
        *(Scene(name, tier, stack, prelude=prelude) for name, prelude in PARTICULAR.get(stack, ())),
    )


# The smallest package of every stack.
SCENES = {
    stack: _scenes(stack, min(sizes, key=lambda size: size.mailboxes).slug)
    for stack, sizes in DEFAULTS.items()
    if sizes
}
EVERY_SCENE = tuple(scene for scenes in SCENES.values() for scene in scenes)
