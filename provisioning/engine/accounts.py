"""Whose accounts at the platforms an order works on: the operator's, or its student's own.

An order keeps to what was so when it was paid (`own_accounts` of what was frozen): what was asked of one account is looked
for in the same one, whatever the student changes later. A key of a student's own that is refused is that student's matter:
it opens nobody's circuit, and whoever else works at the platform notices nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.conf import settings

from infra import clock
from infra.models import Mail, PlatformConnection, Provision, User
from integrations import registry
from integrations.http.call import Call
from integrations.http.errors import BadCredentials
from integrations.http.redact import Hidden
from integrations.registry import Clients

FROZEN = "own_accounts"  # member of an order: the platforms at which it works on the student's own account
UPDATE_KEY = "update_key"  # the question to the student
RECHECK = 300.0  # vendor seconds until a key that was just refused is tried again by itself


def _godaddy(credential: str) -> Mapping[str, object]:
    """The form of a credential says which generation of GoDaddy's interface it opens: a token v3, `key:secret` v1."""
    key, colon, secret = credential.partition(":")
    if colon:
        return {"GODADDY_API": "v1", "GODADDY_API_KEY": Hidden(key), "GODADDY_API_SECRET": Hidden(secret)}
    return {"GODADDY_API": "", "GODADDY_API_KEY": "", "GODADDY_API_TOKEN": Hidden(credential)}


# What stands in the place of the operator's settings. The operator's other choices do not fit another account.
OVERLAYS: Mapping[str, Callable[[str], Mapping[str, object]]] = {
    "google_workspace": lambda admin: {"GOOGLE_WORKSPACE_ADMIN": admin, "GOOGLE_WORKSPACE_CUSTOMER": ""},
    "smartlead": lambda key: {"SMARTLEAD_API_KEY": Hidden(key), "SMARTLEAD_CLIENT_ID": ""},
    "godaddy": _godaddy,
}
CODES = {  # of the errors that a student is told of
    "google_workspace": "GOOGLE_WORKSPACE_AUTH_FAILED",
    "smartlead": "SMARTLEAD_API_KEY_INVALID",
    "godaddy": "GODADDY_API_ERROR",
}
NO_KEY = ""  # in the place of a key that is gone: its client cannot be built, and nobody else's is taken instead


class OwnAccountRefused(BadCredentials):
    """The student's own account refuses our key, or did so a moment ago. Nobody else's platform is concerned."""


@dataclass(frozen=True)
class Accounts:
    """The accounts that one order works on. `own`: the student's by platform, None where the key is gone."""

    own: Mapping[str, PlatformConnection | None] = field(default_factory=dict)

    def is_own(self, platform: str) -> bool:
        """Tell whether a platform is worked at with the student's own account."""
        return platform in self.own

    def clients(self, operators: Clients) -> Clients:
        """Return the clients to work with: the student's own where the order says so, else the operator's."""
        values: dict[str, object] = {}
        for platform, connection in self.own.items():
            key = connection.credential.open() if connection is not None and connection.credential else NO_KEY
            values |= OVERLAYS[platform](key) if key else dict.fromkeys(OVERLAYS[platform](NO_KEY), NO_KEY)
        return operators.with_own(values) if values else operators

    def admit(self, call: Call[Any]) -> None:
        """Let a call of a student's own account go out unless its key is known to be refused. Raises OwnAccountRefused."""
        connection = self.own.get(call.platform)
        if connection is not None and connection.state == PlatformConnection.State.REFUSED:
            raise OwnAccountRefused("the account's own key is refused", platform=call.platform, verb=call.verb)

    def refuse(self, call: Call[Any], error: BadCredentials) -> NoReturn:
        """Write down that the student's own key is refused, and tell the student once. Raises OwnAccountRefused."""
        connection = self.own[call.platform]
        if connection is not None and note_refused(connection, CODES[call.platform]):
            connection.state = PlatformConnection.State.REFUSED
        raise OwnAccountRefused(error.sentence, **error.origin) from error


OPERATORS = Accounts()


def of_order(provision: Provision) -> Accounts:
    """Return the accounts of an order, as they are now."""
    platforms = provision.order.get(FROZEN) or ()
    if not platforms:
        return OPERATORS
    found = {one.platform: one for one in in_use(provision.student_id).filter(platform__in=platforms)}
    return Accounts({platform: found.get(platform) for platform in platforms})


def operator_has(slug: str) -> bool:
    """Tell whether the operator has an account at a platform, for students who bring none along."""
    row = registry.platform(slug)
    needed = (*row.secrets, *row.needs)
    return bool(needed) and all(str(settings.PLATFORMS.get(name) or "").strip() for name in needed)


def in_use(student_id: Any) -> Any:
    """Return the student's own connections that orders work with."""
    return PlatformConnection.objects.filter(
        student_id=student_id, owner=PlatformConnection.Owner.STUDENT, is_used=True, ended_at=None
    )


def good(student_id: Any, platform: str) -> PlatformConnection | None:
    """Return the student's own connection at a platform, if it works."""
    rows = in_use(student_id).filter(platform=platform, state=PlatformConnection.State.GOOD)
    found: PlatformConnection | None = rows.defer("credential").first()
    return found


def to_freeze(student: User, platforms: Sequence[str]) -> tuple[list[str], list[PlatformConnection]]:
    """Return at which platforms an order of this student that is paid now works on the student's own account; and what is
    not checked yet, or refused, so that it cannot be paid."""
    live = PlatformConnection.objects.filter(student=student, platform__in=platforms, ended_at=None)
    own = list(live.filter(owner=PlatformConnection.Owner.STUDENT).order_by("platform"))
    good = PlatformConnection.State.GOOD
    return (
        [one.platform for one in own if one.is_used and one.state == good],
        [one for one in own if not one.is_used or one.state != good],
    )


def shut_out(provision: Provision) -> bool:
    """Tell whether an own account that an order lives in refuses us at the moment."""
    platforms = provision.order.get(FROZEN) or ()
    refused = PlatformConnection.State.REFUSED
    return bool(platforms and in_use(provision.student_id).filter(platform__in=platforms, state=refused).exists())


def note_refused(connection: PlatformConnection, problem: str) -> bool:
    """Write down that a key in use is refused, and tell the student; return whether it is refused."""
    rows = PlatformConnection.objects.filter(pk=connection.pk, ended_at=None)
    refused = rows.exclude(state=PlatformConnection.State.REFUSED).update(
        state=PlatformConnection.State.REFUSED,
        problem=problem,
        due_at=clock.later(clock.vendor_now(), RECHECK),
    )
    if refused:
        provision = Provision.objects.filter(student_id=connection.student_id).order_by("-created_at").first()
        title = connection.get_platform_display()
        day = (
            clock.vendor_now().date()
        )  # told again when it is refused again another day, and not each time it comes and goes
        Mail.post("update_key", key=f"{connection.pk}:{day}", provision=provision, platform=title)
    return bool(rows.exists())
