"""Connecting a student's own account at a platform: what is typed in is tried by a worker, and taken once it works.

What was typed stands beside the connection in use until the platform has taken it. Then it takes its place and whatever waited
for a key goes on. Another account than the one that orders of the student are built in is refused, where the platform lets us
tell: what was asked of one account must be looked for in the same one. Keyword-only, actor named, atomic. Vendor time.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from infra import clock, rls
from infra.models import (
    Inventory,
    Mail,
    Mailbox,
    Measurement,
    PlatformConnection,
    Provision,
    ProvisionState,
    StepState,
    User,
)
from infra.secret import Secret
from integrations import google_workspace as google
from integrations.http.call import Call
from integrations.http.errors import BadCredentials, NotFound, Permanent, PlatformError, Rejected
from integrations.registry import Clients

from . import actions, registering
from .actions import Refused
from .engine import budget, doorbell
from .engine.accounts import FROZEN, UPDATE_KEY, Accounts, operator_has
from .engine.reader import send_read
from .engine.runner import Workshop, default_workshop
from .looking import is_any_due, take_due
from .models import ACTIVE_RUN, Run, Step

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = PlatformConnection
State, Owner, Platform = Row.State, Row.Owner, Row.Platform

GOOGLE, SMARTLEAD, GODADDY = Platform.GOOGLE_WORKSPACE, Platform.SMARTLEAD, Platform.GODADDY
HELPERS = frozenset({GODADDY})  # nobody needs one, and the operator has none

BACKOFF = (60.0, 300.0, 900.0, 3600.0)  # seconds until the next try, by number of tries in a row without an answer
REFUSED_AGAIN = 6 * 3600.0  # seconds until a refused key in use is tried again: rights may have been given back
LONGEST_KEY = 500
MOST_TRIES = 10  # new keys or addresses of one platform in a day, and wrong codes for one address
CODE_DIGITS = 8
CODE_LASTS = timedelta(days=1)

NO_ANSWER, ANOTHER, ANOTHER_ADMIN, SHARED = "no_answer", "another_account", "another_admin", "shared_account"
WRONG_ADMIN, NO_SCOPES, NO_RIGHTS, NO_API = "wrong_admin", "missing_scopes", "no_rights", "no_api_access"
WRONG_KEY, OPERATORS_OWN = "wrong_key", "operators_account"
WRONG_TOKEN, NO_TOKEN_SCOPES = "wrong_token", "token_scopes"
TOKEN_SCOPES: Final = ("domains.domain:read", "domains.nameserver:update")
REGISTER_SCOPE: Final = "domains.domain:create"
OVER = (ProvisionState.DRAFT, ProvisionState.PENDING_PAYMENT, ProvisionState.CANCELLED)

# The rights that the steps use, in the order in which they are checked, and a read for each, of the account that an
# administrator's address opens.
GOOGLE_READS: Final[Mapping[str, Callable[[google.GoogleWorkspaceClient, str], Call[Any]]]] = {
    google.USER: lambda client, admin: client.get_user(admin),
    google.DOMAIN: lambda client, _admin: client.list_domains(),
    google.VERIFICATION: lambda client, _admin: client.list_verified(),
    google.LICENSING: lambda client, admin: client.get_licence(admin),
    google.GMAIL_SETTINGS: lambda client, admin: client.imap_enabled(admin),
}
SCOPES: Final = tuple(GOOGLE_READS)


@dataclass(frozen=True, slots=True)
class Found:
    """What a check has found: the platform's name of the account, which rights are there, and what is wrong."""

    account: str = ""
    scopes: Mapping[str, bool] = field(default_factory=dict)
    problem: str = ""


class Ask:
    """Reads with the key that is tried. Nothing it learns opens a circuit or refuses anybody's row."""

    def __init__(self, workshop: Workshop, row: Row) -> None:
        self.workshop = workshop
        self.accounts = _Trying({row.platform: row})
        self.clients: Clients = self.accounts.clients(workshop.clients)

    def __call__(self, call: Call[T], /) -> T:
        return send_read(self.workshop.transport, call, accounts=self.accounts)


class _Trying(Accounts):
    """The accounts of a check: a key that was refused before is tried all the same, and a refusal is the answer."""

    def admit(self, call: Call[Any]) -> None:
        pass

    def refuse(self, call: Call[Any], error: BadCredentials) -> Any:
        raise error


# ---- what a page asks ------------------------------------------------------------------------------------------------


def service_account() -> str:
    """Return the client id that a student lets into their Google account; empty where the operator has none."""
    try:
        values = {**settings.PLATFORMS, "GOOGLE_WORKSPACE_ADMIN": "nobody@example.com"}
        return google.GoogleWorkspaceSettings.from_mapping(values).client_id
    except PlatformError:
        return ""


def token_scopes() -> tuple[str, ...]:
    """Return the scopes of a GoDaddy token: one more where names are registered with it."""
    return (*TOKEN_SCOPES, REGISTER_SCOPE) if registering.is_offered() else TOKEN_SCOPES


def live(student: User, slug: str) -> list[Row]:
    """Return what a student has connected or is connecting at a platform: what is in use first."""
    rows = Row.objects.filter(student=student, platform=slug, ended_at=None).defer("credential")
    return sorted(rows, key=lambda row: not row.is_used)


def keeps(student_id: Any, slug: str) -> bool:
    """Tell whether an order of a student lives in the student's own account at a platform."""
    return bool(_orders(student_id, slug).exists())


def is_bound(student_id: Any, slug: str) -> bool:
    """Tell whether a student cannot give an own account up now: an order lives in it. A helper's key may go any time but
    while something is built, for what is on its way at its platform is looked for with it."""
    return keeps(student_id, slug) and (slug not in HELPERS or _is_being_built(student_id))


def _orders(student_id: Any, slug: str) -> Any:
    orders = Provision.objects.filter(student_id=student_id, **{f"order__{FROZEN}__contains": [slug]})
    return orders.exclude(state__in=OVER)


# ---- what a student does ---------------------------------------------------------------------------------------------


def connect(*, student: User, slug: str, key: str, actor: str) -> Row:
    """Keep a key, or the address of a Google administrator, and have it tried. Raises Refused for what can be none.

    An address is tried only after the code that it is sent was typed in: otherwise a student could name somebody else's.
    """
    key = _readable(slug, key)
    with rls.acting_as("worker"), transaction.atomic():
        User.objects.select_for_update(of=("self",)).get(pk=student.pk)
        mine = Row.objects.filter(student=student, platform=slug)
        if mine.filter(created_at__gt=timezone.now() - timedelta(days=1), owner=Owner.STUDENT).count() >= MOST_TRIES:
            raise Refused(_("That was tried too often today. Please try again tomorrow, or ask the operator."))
        _end(mine.filter(ended_at=None, is_used=False), actor)
        proven = slug != GOOGLE or _is_proven(mine, key)
        row = Row(
            student=student,
            platform=slug,
            owner=Owner.STUDENT,
            label=key if slug == GOOGLE else "",
            state=State.CHECKING if proven else State.PROVING,
            due_at=clock.vendor_now() if proven else None,
            actor=actor[:320],
        )
        row.credential = Secret(key)
        row.save()
        if proven:
            doorbell.ring("connections")
        else:
            Mail.post("connection_code", key=str(row.pk), to=key, connection=str(row.pk), who=student.email)
            doorbell.ring("mails")
    return row


def _is_proven(mine: Any, admin: str) -> bool:
    """Tell whether this student has shown already that they read the mail of this administrator."""
    return bool(mine.filter(is_used=True, ended_at=None, label=admin, owner=Owner.STUDENT).exists())


def _readable(slug: str, key: str) -> str:
    """Return what was typed as it is kept. Raises Refused, never quoting it."""
    key = key.strip()
    if not key:
        raise Refused(_("Nothing was entered."))
    if slug == GOOGLE:
        key = key.lower()
        try:
            validate_email(key)
        except ValidationError as error:
            raise Refused(
                _("This is no e-mail address. Type the address that the administrator signs in with.")
            ) from error
        if len(key) > 320 or key == str(settings.PLATFORMS.get("GOOGLE_WORKSPACE_ADMIN") or "").strip().lower():
            raise Refused(_("This is not an administrator of an account of yours."))
        return key
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise Refused(_("This cannot be a key: keys have no spaces, line breaks or accents. Copy it once more."))
    return key


def code_of(row: Row) -> str:
    """Return the code that proves who reads the mail of an administrator: made of the row, kept nowhere."""
    text = f"connection:{row.pk}:{row.label}"
    digest = hmac.new(settings.SECRET_KEY.encode(), text.encode(), "sha256").digest()
    return str(int.from_bytes(digest[:8]) % 10**CODE_DIGITS).zfill(CODE_DIGITS)


def prove(*, student: User, slug: str, code: str, actor: str) -> None:
    """Take the code that an administrator was sent; then the account is tried. Raises Refused."""
    problem = ""
    with rls.acting_as("worker"), transaction.atomic():
        rows = Row.objects.select_for_update(of=("self",))
        row = rows.filter(student=student, platform=slug, ended_at=None, state=State.PROVING).first()
        if row is None:
            raise Refused(_("No code is asked for at the moment."))
        typed = "".join(code.split())
        if timezone.now() - row.created_at > CODE_LASTS:
            problem = _("This code is more than a day old. Type the address again, and you get another one.")
            _end(Row.objects.filter(pk=row.pk), actor)
        elif hmac.compare_digest(typed.encode(), code_of(row).encode()):
            row.state, row.due_at = State.CHECKING, clock.vendor_now()
            row.save(update_fields=["state", "due_at", "updated_at"])
            doorbell.ring("connections")
        elif row.wrong_codes + 1 >= MOST_TRIES:
            problem = _("Too many wrong codes. Type the address again, and you get another one.")
            _end(Row.objects.filter(pk=row.pk), actor)
        else:
            Row.objects.filter(pk=row.pk).update(wrong_codes=row.wrong_codes + 1)
            problem = _("That is not the code of the newest message. It has %(digits)d digits.") % {
                "digits": CODE_DIGITS
            }
    if problem:
        raise Refused(problem)


def check_again(*, student: User, slug: str) -> bool:
    """Have a key tried at once that was refused or could not be checked; return whether there was one."""
    with rls.acting_as("worker"), transaction.atomic():
        rows = Row.objects.filter(
            student=student, platform=slug, ended_at=None, state__in=[State.CHECKING, State.REFUSED]
        )
        found = rows.update(due_at=clock.vendor_now())
        if found:
            doorbell.ring("connections")
    return bool(found)


def use_operators(*, student: User, slug: str, actor: str) -> None:
    """Have orders work in the operator's account from now on, or without a helper. Raises Refused while one lives in it."""
    if slug not in HELPERS and not operator_has(slug):
        raise Refused(_("The operator has no account there. Please connect your own."))
    with rls.acting_as("worker"), transaction.atomic():
        User.objects.select_for_update(of=("self",)).get(pk=student.pk)
        mine = Row.objects.filter(student=student, platform=slug, ended_at=None)
        _end(mine.filter(is_used=False), actor)
        if mine.filter(owner=Owner.OPERATOR).exists():
            return
        if is_bound(student.pk, slug):
            if slug in HELPERS:
                raise Refused(_("Your set-up is being built with it. You can disconnect it once that is done."))
            raise Refused(_("Your set-up lives in your own account. It cannot move to another one."))
        _end(mine, actor)
        if slug in HELPERS:
            return
        Row.objects.create(
            student=student, platform=slug, owner=Owner.OPERATOR, state=State.GOOD, is_used=True, actor=actor[:320]
        )


def _end(rows: Any, actor: str) -> None:
    """End rows: who and when stays, the key does not."""
    rows.update(ended_at=timezone.now(), ended_by=actor[:320], credential=None, due_at=None)


# ---- what a worker does ----------------------------------------------------------------------------------------------


def is_due() -> bool:
    """Tell whether a key waits to be tried: asked by the supervisor's tick."""
    return is_any_due(Row)


def drain(limit: int = 10) -> int:
    """Try up to `limit` keys; return how many. Answers the bell `connections`."""
    workshop, done = default_workshop(), 0
    while done < limit and (row := take_due(Row, BACKOFF)) is not None:
        check(row, workshop)
        done += 1
    return done


def check(row: Row, workshop: Workshop) -> None:
    """Try a key by reading, and write down what was found. Without an answer it stays unchecked, and is tried later."""
    try:
        found = PROBES[row.platform](Ask(workshop, row), row)
    except budget.NotNow as error:
        due_at = clock.later(clock.vendor_now(), max(1.0, error.seconds))
        Row.objects.filter(pk=row.pk, ended_at=None).update(due_at=due_at)
    except PlatformError as error:
        log.warning("connection not checked: %s", error, extra={"platform": row.platform})
        if row.state == State.CHECKING:
            Row.objects.filter(pk=row.pk, ended_at=None).update(problem=NO_ANSWER)
    else:
        write_down(row, found)


def write_down(row: Row, found: Found) -> None:
    """Keep what a check has found. A key that works takes the place of the one in use, and what waits for it goes on."""
    try:
        with transaction.atomic():
            _write_down(row, found)
    except IntegrityError:  # somebody else has connected the same account meanwhile
        with transaction.atomic():
            _write_down(row, Found(scopes=found.scopes, problem=SHARED))


def _write_down(row: Row, found: Found) -> None:
    User.objects.select_for_update(of=("self",)).get(pk=row.student_id)
    row = Row.objects.select_for_update(of=("self",)).select_related("student").get(pk=row.pk)
    if row.ended_at is not None:
        return
    mine = Row.objects.filter(student_id=row.student_id, platform=row.platform, ended_at=None)
    before = mine.filter(is_used=True, owner=Owner.STUDENT).exclude(pk=row.pk).first()
    problem = found.problem or _is_another(before, row, found)
    row.checked_at, row.scopes, row.failures = clock.vendor_now(), dict(found.scopes), 0
    row.problem = problem
    row.account = found.account or (row.account if row.is_used else "")
    if problem:
        again = clock.later(clock.vendor_now(), REFUSED_AGAIN) if row.is_used else None
        row.state, row.due_at = State.REFUSED, again
        if not row.is_used:
            row.account = ""
        row.save()
        return
    _end(mine.filter(is_used=True).exclude(pk=row.pk), row.actor)
    row.state, row.due_at, row.is_used = State.GOOD, None, True
    row.save()
    _wake(row)


def _is_another(before: Row | None, row: Row, found: Found) -> str:
    """Return why a key may not take the place of the one in use: it opens another account while orders live in that one."""
    if before is None or not keeps(row.student_id, row.platform):
        return ""
    if before.account and found.account and before.account != found.account:
        return ANOTHER
    if row.platform == GOOGLE and before.label != row.label and _is_being_built(row.student_id):
        return ANOTHER_ADMIN  # what Google wants published to prove a domain is made for one administrator
    return ""


def _is_being_built(student_id: Any) -> bool:
    return Run.objects.filter(student_id=student_id, state__in=ACTIVE_RUN).exists()


def _wake(row: Row) -> None:
    """Let everything go on that waited for this key."""
    waiting = Step.objects.filter(state=StepState.WAITING, facts__question=UPDATE_KEY, run__state__in=ACTIVE_RUN)
    for run in Run.objects.filter(student_id=row.student_id, pk__in=waiting.values("run")).order_by("pk"):
        run = actions.lock(run)
        actions.note(run.provision, "key_updated", run=run, actor=row.actor, item=row.get_platform_display())
        actions.wake(run, waiting.filter(run=run))
    now = clock.vendor_now()
    for model in (Measurement, Inventory):
        looks = model.objects.filter(provision__in=_orders(row.student_id, row.platform), failures__gt=0)
        looks.exclude(due_at=None).update(due_at=now)


# ---- how each platform is tried: reads alone, which cost nothing -------------------------------------------------------


def _try_google(ask: Ask, row: Row) -> Found:
    """Try every right by itself, in the administrator's name, and learn which account it is."""
    client, admin = ask.clients.google_workspace, row.label
    there, problems = dict[str, bool](), list[str]()
    domains: Sequence[google.Domain] = ()
    for scope in SCOPES:
        name = scope.rpartition("/")[2]
        try:
            answer = ask(GOOGLE_READS[scope](client, admin))
        except BadCredentials as error:
            there[name] = False
            problems.append(_why_not(error))
        except Rejected as error:
            there[name] = error.code not in ("forbidden", NO_API)
            problems += [NO_API] if error.code == NO_API else [NO_RIGHTS] if error.code == "forbidden" else []
        except NotFound:
            there[name] = True
        else:
            there[name] = True
            domains = answer if scope == google.DOMAIN else domains
    for problem in (WRONG_ADMIN, NO_API, NO_RIGHTS, NO_SCOPES):
        if problem in problems:
            return Found(scopes=there, problem=problem)
    operators = str(settings.PLATFORMS.get("GOOGLE_WORKSPACE_ADMIN") or "").strip().lower().rpartition("@")[2]
    if operators and operators in [one.name for one in domains]:
        return Found(scopes=there, problem=OPERATORS_OWN)
    return Found(next((one.name for one in domains if one.primary), ""), there)


def _why_not(error: BadCredentials) -> str:
    said = error.sentence
    if "unauthorized_client" in said or "insufficient" in said.lower():
        return NO_SCOPES
    return WRONG_ADMIN if "invalid_grant" in said else NO_RIGHTS


def _try_smartlead(ask: Ask, row: Row) -> Found:
    """List accounts, which tells whose they are; where mailboxes of ours are in the account, the key has to open one."""
    client = ask.clients.smartlead
    try:
        page = ask(client.list_accounts())
        known = _smartlead_account_of(row)
        if known is not None:
            try:
                ask(client.get_account(known))
            except NotFound:
                return Found(problem=ANOTHER)
    except Permanent:
        return Found(problem=WRONG_KEY)
    return Found(str(next((one.user_id for one in page.accounts if one.user_id), "")))


def _try_godaddy(ask: Ask, row: Row) -> Found:
    """List the account's names. Whether the token may change name servers, only a change would show."""
    reads = TOKEN_SCOPES[0]
    try:
        ask(ask.clients.godaddy.list_domains())
    except BadCredentials:
        return Found(problem=WRONG_TOKEN)
    except Rejected:
        return Found(scopes={reads: False}, problem=NO_TOKEN_SCOPES)
    return Found(scopes={reads: True})


def _smartlead_account_of(row: Row) -> int | None:
    """Return the id of a mailbox that lives in the student's own account, None while there is none."""
    boxes = Mailbox.objects.filter(provision__in=_orders(row.student_id, row.platform))
    known = boxes.filter(facts__has_key="smartlead_account_id").order_by("-created_at").first()
    return int(known.facts["smartlead_account_id"]) if known else None


PROBES: Mapping[str, Callable[[Ask, Row], Found]] = {
    GOOGLE: _try_google,
    SMARTLEAD: _try_smartlead,
    GODADDY: _try_godaddy,
}
