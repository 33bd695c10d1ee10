"""Plain values for the pages of connections: whose accounts an order works in, what was checked, and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra import clock
from infra.models import PlatformConnection, User
from infra.presenters_base import Fact, Line, Tag, ago
from provisioning import connections
from provisioning.connections import GODADDY, GOOGLE, HELPERS, SMARTLEAD
from provisioning.engine.accounts import CODES, operator_has
from provisioning.stacks import STACKS

Row = PlatformConnection
State, Owner = Row.State, Row.Owner


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of one platform.

    what   what of an order lives in its account
    label  of the field; `hint` beneath it
    how    steps to take there, in order
    """

    what: str | Promise
    label: str | Promise
    hint: str | Promise
    how: tuple[str | Promise, ...]


WORDS: Mapping[str, Words] = {
    GOOGLE: Words(
        what=gettext_lazy("Your domains and mailboxes are made in it. Each mailbox needs a paid seat there."),
        label=gettext_lazy("E-mail address of its administrator"),
        hint=gettext_lazy("A super administrator. We send a code to this address: nobody connects what is not theirs."),
        how=(
            gettext_lazy("Sign in at admin.google.com as a super administrator."),
            gettext_lazy("Open Security, Access and data control, API controls, Manage domain-wide delegation."),
            gettext_lazy(
                "Press “Add new” and paste the client ID and the scopes below, all of them. Press “Authorise”."
            ),
            gettext_lazy("Type the administrator's address here and press “Save and check”."),
        ),
    ),
    SMARTLEAD: Words(
        what=gettext_lazy("It sends from your mailboxes and warms them up. Your plan there must include its API."),
        label=gettext_lazy("API key"),
        hint=gettext_lazy("Kept encrypted. It is never shown again, not even to you."),
        how=(
            gettext_lazy("Sign in at app.smartlead.ai and open Settings, then API keys."),
            gettext_lazy("Copy the key, paste it here and press “Save and check”."),
        ),
    ),
    GODADDY: Words(
        what=gettext_lazy(
            "Nobody needs it. If your domains are registered there, we change their name servers for you after you have paid;"
            " and names that you choose can be registered there, if you agree to each."
        ),
        label=gettext_lazy("Personal access token"),
        hint=gettext_lazy(
            "Kept encrypted and never shown again. Nothing is bought with it that you have not agreed to by name and price."
            " A key and secret of their older interface work as well, written as key:secret."
        ),
        how=(
            gettext_lazy("Sign in at developer.godaddy.com, open Personal access tokens and press “Create”."),
            gettext_lazy("Tick the scopes below and no others, then copy the token: it is shown once."),
            gettext_lazy("Paste it here and press “Save and check”."),
        ),
    ),
}

SENTENCES: Mapping[str, str | Promise] = {
    connections.NO_ANSWER: gettext_lazy(
        "It is saved and not checked yet, because the platform does not answer. We try again by ourselves; you can go on"
        " meanwhile."
    ),
    connections.ANOTHER: gettext_lazy(
        "This opens another account than the one that your set-up lives in. Take a key of that one."
    ),
    connections.ANOTHER_ADMIN: gettext_lazy(
        "Your set-up is being built in the name of another administrator. Change the address once it is ready."
    ),
    connections.SHARED: gettext_lazy(
        "This account is connected by somebody else here. If it is yours, write to the operator."
    ),
    connections.WRONG_ADMIN: gettext_lazy(
        "Google knows no such administrator, or has not been told yet that we may act there. A change of the delegation"
        " takes some minutes; then press “Check again”."
    ),
    connections.NO_SCOPES: gettext_lazy(
        "Google lets us in, but not for everything: add the scopes that are missing to the same client ID, then press"
        " “Check again”."
    ),
    connections.NO_RIGHTS: gettext_lazy(
        "This person may not manage domains and users there. Take the address of a super administrator."
    ),
    connections.NO_API: gettext_lazy(
        "Google says that this account may not be used by programs: its plan or its state forbids it."
    ),
    connections.WRONG_KEY: gettext_lazy(
        "Smartlead does not take this key. Copy it once more, whole, and look whether your plan includes the API."
    ),
    connections.OPERATORS_OWN: gettext_lazy("This is the operator's account. Choose it by its own button instead."),
    CODES[GOOGLE]: gettext_lazy(
        "Google no longer lets us act in this account. Look at the delegation there, then press “Check again”."
    ),
    connections.WRONG_TOKEN: gettext_lazy("GoDaddy does not take this token. Copy it once more, whole."),
    connections.NO_TOKEN_SCOPES: gettext_lazy(
        "GoDaddy takes the token, but not for this: make another one with all scopes, or the account is too small for it."
    ),
    CODES[GODADDY]: gettext_lazy("GoDaddy no longer takes this token. Make a new one there and type it in below."),
    CODES[SMARTLEAD]: gettext_lazy("Smartlead no longer takes this key. Make a new one there and type it in below."),
}


@dataclass(frozen=True, slots=True)
class Status:
    """Whose account is used and whether it works: the part that changes while a worker tries it."""

    id: str
    tag: Tag
    title: str
    sentence: str
    lines: Sequence[Line]
    checked: str
    polling: bool
    poll_href: str
    can_check: bool
    announce: str
    slug: str


@dataclass(frozen=True, slots=True)
class Account:
    """One platform. `error` belongs to the field named by `wrong`: value or code."""

    slug: str
    title: str
    what: str
    status: Status
    label: str
    hint: str
    how: Sequence[str]
    pastes: Sequence[Fact]
    is_secret: bool
    value: str
    code: str
    asks_code: str
    can_use_operators: bool
    use_operators_label: str
    is_open: bool
    uses_own: bool
    summary: str
    wrong: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Typed:
    """What was refused: for which platform and field, as it was typed unless it is a key, and why."""

    slug: str = ""
    wrong: str = ""
    text: str = field(default="", repr=False)
    error: str = ""


def platforms_of(student: User, stack: str) -> tuple[str, ...]:
    """Return the platforms at which a student may have an account: those of the stack, and those that are connected."""
    mine = set(Row.objects.filter(student=student, ended_at=None).values_list("platform", flat=True))
    offered = (*STACKS[stack].connections, *STACKS[stack].helpers) if stack in STACKS else ()
    return (*offered, *(slug for slug in WORDS if slug in mine and slug not in offered))


def accounts(student: User, slugs: Sequence[str], typed: Typed | None = None) -> list[Account]:
    """Return what the page says of each platform."""
    return [_account(student, slug, typed if typed is not None and typed.slug == slug else Typed()) for slug in slugs]


def _account(student: User, slug: str, typed: Typed) -> Account:
    words, rows = WORDS[slug], connections.live(student, slug)
    own = [row for row in rows if row.owner == Owner.STUDENT]
    proving = next((row for row in own if row.state == State.PROVING), None)
    is_secret = slug != GOOGLE
    known = next((row.label for row in reversed(own)), "")
    title = Row.Platform(slug).label
    return Account(
        slug=slug,
        title=str(title),
        what=str(words.what),
        status=status(student, slug, rows),
        label=str(words.label),
        hint=str(words.hint),
        how=[str(line) for line in words.how],
        pastes=_pastes(slug),
        is_secret=is_secret,
        value=(typed.text if typed.wrong == "value" else known) if not is_secret else "",
        code=typed.text if typed.wrong == "code" else "",
        asks_code=proving.label if proving else "",
        can_use_operators=bool(own)
        and (slug in HELPERS or operator_has(slug))
        and not connections.is_bound(student.pk, slug),
        use_operators_label=_("Disconnect it")
        if slug in HELPERS
        else _("Use the account of %(bootcamp)s") % {"bootcamp": settings.BOOTCAMP_NAME},
        is_open=bool(typed.error)
        or not (slug in HELPERS or operator_has(slug))
        or any(row.state != State.GOOD for row in own),
        uses_own=bool(own),
        summary=_("Update it") if own else _("Use an account of your own"),
        wrong=typed.wrong,
        error=typed.error,
    )


def _pastes(slug: str) -> list[Fact]:
    """Return what has to be pasted there, exactly."""
    if slug == GODADDY:
        return [Fact(_("Scopes"), " ".join(connections.token_scopes()))]
    if slug != GOOGLE:
        return []
    return [
        Fact(_("Client ID"), connections.service_account()),
        Fact(_("Scopes"), ",".join(connections.SCOPES)),
    ]


def status(student: User, slug: str, rows: Sequence[Row] | None = None) -> Status:
    """Return whose account is used at a platform, and what was found when it was tried."""
    rows = connections.live(student, slug) if rows is None else rows
    used = next((row for row in rows if row.is_used), None)
    tried = next((row for row in rows if not row.is_used), None)
    row = tried or used
    tag, sentence = _said(row, slug)
    if tried is not None and used is not None and used.owner == Owner.STUDENT and used.state == State.GOOD:
        sentence = f"{sentence} {_('Until then the one before is used.')}"
    is_waiting = row is not None and row.state == State.CHECKING
    version = _version(row)
    title = _title(row, slug)
    return Status(
        id=f"account-{slug}",
        tag=tag,
        title=title,
        sentence=sentence,
        lines=_scopes(row),
        checked=_("checked %(when)s") % {"when": ago(row.checked_at, now=_now())} if row and row.checked_at else "",
        polling=is_waiting,
        poll_href=f"{reverse('connection-state', args=[slug])}?version={version}",
        can_check=row is not None and row.state in (State.CHECKING, State.REFUSED),
        announce=f"{title}: {tag.word}. {sentence}",
        slug=slug,
    )


def version(student: User, slug: str) -> str:
    """Return what changes when the status of a platform would look different."""
    rows = connections.live(student, slug)
    return _version(next((row for row in reversed(rows)), None))


def _version(row: Row | None) -> str:
    text = f"{row.pk}{row.state}{row.problem}{row.is_used}{row.checked_at}" if row else ""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _now() -> datetime:
    return clock.vendor_now()


def _title(row: Row | None, slug: str) -> str:
    if row is not None and row.owner == Owner.STUDENT:
        return _("Your own account: %(label)s") % {"label": row.label} if row.label else _("Your own account")
    if slug in HELPERS:
        return _("Not connected")
    if operator_has(slug):
        return _("The account of %(bootcamp)s") % {"bootcamp": settings.BOOTCAMP_NAME}
    return _("No account yet")


def _said(row: Row | None, slug: str) -> tuple[Tag, str]:
    if slug in HELPERS and row is None:
        return Tag(_("Optional"), "off"), _("You need not do anything.")
    if row is None or row.owner == Owner.OPERATOR:
        if operator_has(slug):
            return Tag(_("Ready"), "done"), _("You need not do anything.")
        return Tag(_("Needs you"), "attention"), _("Connect an account of your own to go on.")
    problem = str(SENTENCES.get(row.problem, ""))
    match row.state:
        case State.PROVING:
            sentence = _("We have sent a code to %(address)s. Type it in below.") % {"address": row.label}
            return Tag(_("Needs you"), "attention"), sentence
        case State.CHECKING:
            return Tag(_("Being checked"), "busy"), problem or _("That takes a few seconds.")
        case State.GOOD:
            return Tag(_("Works"), "done"), _("It is used.") if slug in HELPERS else _("Your set-up is made in it.")
        case _:
            return Tag(_("Refused"), "failed"), problem or _("The platform refuses it.")


def _scopes(row: Row | None) -> list[Line]:
    """Return each right that was checked."""
    found = row.scopes if row is not None and row.owner == Owner.STUDENT else {}
    words = {True: (_("There"), "done"), False: (_("Missing"), "failed")}
    return [Line(name, *words[bool(is_there)]) for name, is_there in found.items()]
