"""What the operator's credentials may do at the platforms: free reads, one for each right that a read can show.

For `manage.py check_platforms`. Nothing is written anywhere: no circuit opens, nothing is asked of a person, and what a read
cannot show (that zones may be made, that money may be spent) is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from integrations import registry
from integrations.http.call import Call
from integrations.http.errors import NotFound, PlatformError
from integrations.registry import Clients

from .connections import GOOGLE_READS, SCOPES
from .engine import budget
from .engine.claims import LEASE_MARGIN
from .engine.reader import is_answer
from .engine.runner import Workshop

T = TypeVar("T")

NOBODY = "0" * 48  # the token of no test message


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that the credentials should let us do.

    problem   empty where they do; the sentence holds no secret
    is_tried  false where there is nothing in the account to try it with, which is nobody's mistake
    """

    platform: str
    name: str
    problem: str = ""
    is_tried: bool = True


class Ask:
    """Executes a read within the budgets, and leaves no trace of what it found."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.clients: Clients = workshop.clients

    def __call__(self, call: Call[T], /) -> T:
        held, answered = budget.acquire(call, lease=call.deadline + LEASE_MARGIN), False
        try:
            raw = self.workshop.transport.send(call)
            error = call.classify(raw)
            answered = is_answer(error)
        finally:
            budget.release(held, answered=answered)
        if error is not None:
            raise error
        return call.parse(raw)


Read = Callable[[Ask], Any]


class Absent(Exception):
    """The platform answered, and what has to be there is not. The text is one sentence."""


class Untried(Exception):
    """There is nothing to try this with. The text is one sentence."""


def _plusvibe_workspace(ask: Ask) -> None:
    client = ask.clients.plusvibe
    seen = {one.id for one in ask(client.authenticate()).workspaces}
    if client.settings.agency_workspace_id not in seen:
        raise Absent("the key does not cover the workspace of PLUSVIBE_AGENCY_WORKSPACE_ID")


def _cloudflare_records(ask: Ask) -> None:
    client = ask.clients.cloudflare
    zones = ask(client.list_zones()).zones
    if not zones:
        raise Untried("the account has no zone yet")
    ask(client.list_records(zones[0].id))


def _google_read(scope: str) -> Read:
    def read(ask: Ask) -> None:
        client = ask.clients.google_workspace
        try:
            ask(GOOGLE_READS[scope](client, client.settings.admin))
        except NotFound:
            return  # nothing is there, and we may see that

    return read


READS: Mapping[str, Mapping[str, Read]] = {
    "zapmail": {
        "list workspaces": lambda ask: ask(ask.clients.zapmail.list_workspaces()),
        "read the wallet": lambda ask: ask(ask.clients.zapmail.wallet_balance()),
    },
    "plusvibe": {
        "list workspaces": lambda ask: ask(ask.clients.plusvibe.authenticate()),
        "see the agency's workspace": _plusvibe_workspace,
    },
    "heyreach": {
        "use the key": lambda ask: ask(ask.clients.heyreach.check_key()),
        "list lead lists": lambda ask: ask(ask.clients.heyreach.find_lists()),
    },
    "infraforge": {
        "list workspaces": lambda ask: ask(ask.clients.infraforge.list_workspaces()),
        "read the credits": lambda ask: ask(ask.clients.infraforge.credit_balance()),
    },
    "warmforge": {"list workspaces": lambda ask: ask(ask.clients.warmforge.list_workspaces())},
    "salesforge": {
        "use the key": lambda ask: ask(ask.clients.salesforge.me()),
        "list workspaces": lambda ask: ask(ask.clients.salesforge.list_workspaces()),
    },
    "cloudflare": {
        "list the account's zones": lambda ask: ask(ask.clients.cloudflare.list_zones()),
        "read a zone's records": _cloudflare_records,
    },
    "google_workspace": {scope.rpartition("/")[2]: _google_read(scope) for scope in SCOPES},
    "smartlead": {"list accounts": lambda ask: ask(ask.clients.smartlead.list_accounts())},
    "godaddy": {"list domains": lambda ask: ask(ask.clients.godaddy.list_domains())},
}

UNSEEN: Mapping[str, str] = {
    "zapmail": "that domains and mailboxes may be bought",
    "plusvibe": "that workspaces and logins may be made",
    "heyreach": "that lists may be made",
    "infraforge": "that domains, mailboxes and addresses may be bought",
    "warmforge": "that mailboxes may be connected",
    "salesforge": "that mailboxes may be connected",
    "cloudflare": "that zones may be made and records written",
    "google_workspace": "that there are free licences",
    "smartlead": "that accounts may be added",
    "godaddy": "that name servers may be changed",
}


def rights_of(slug: str, workshop: Workshop) -> Iterator[Right]:
    """Yield each right of a platform, with what is wrong with it."""
    ask = Ask(workshop)
    for name, read in READS[slug].items():
        yield _tried(slug, name, read, ask)


def mail_rights(workshop: Workshop) -> Iterator[Right]:
    """Yield whether the probe mailbox may be read, where there is one."""
    post = workshop.post
    if post is not None:
        yield _tried("mail", "read the probe mailbox", lambda _ask: post.find(NOBODY), Ask(workshop))


def _tried(platform: str, name: str, read: Read, ask: Ask) -> Right:
    try:
        return Right(platform, name, _problem(ask, read))
    except Untried as error:
        return Right(platform, name, str(error), is_tried=False)


def _problem(ask: Ask, read: Read) -> str:
    try:
        read(ask)
    except Untried:
        raise
    except budget.NotNow as error:
        return f"not tried: {error.why}"
    except Absent as error:
        return str(error)
    except PlatformError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a parser raises, the shape is unknown
        return f"the answer has an unknown shape ({type(error).__name__})"
    return ""


def wanted(stacks: Mapping[str, Any], values: Mapping[str, object], needed: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield the platforms of these stacks, and whether the operator has credentials there.

    needed  names of the settings that the stacks cannot do without
    """
    named = {slug for stack in stacks.values() for slug in (*stack.connections, *stack.helpers)}
    for row in registry.PLATFORMS:
        own = (*row.secrets, *row.needs)
        if row.slug in named or needed & set(own):
            own = own or tuple(
                name for name in values if name.startswith(f"{row.slug.upper()}_API_") and "URL" not in name
            )
            is_there = bool(own) and all(str(values.get(name) or "").strip() for name in own)
            yield row.slug, is_there
