"""What a simulated Workspace account holds, and what people do there in a browser: DKIM keys, app passwords, two steps."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import mailhost
from .dns import ZoneRecord, texts
from .reading import Refusal

if TYPE_CHECKING:
    from .world import World

ADMIN = "admin@operator.example"
PRIMARY = "operator.example"
CUSTOMER = "C00000001"
MAIL = "https://mail.google.com/"
FOREIGN = "20230601.gappssmtp.com"  # what Gmail signs with before a domain's own key is started
FOREIGN_SELECTOR = "20230601"
EPOCH = "1970-01-01T00:00:00.000Z"


@dataclass
class AppPassword:
    """Made by a person, shown once."""

    code_id: int
    name: str
    value: str
    created_at: float


@dataclass
class User:
    """A user of the account. Times are virtual; a deleted one can be brought back for a while."""

    id: str
    address: str
    given_name: str
    family_name: str
    password: str
    created_at: float
    visible_at: float = 0.0  # until then readers do not find it
    complete_at: float = 0.0  # until then it cannot be changed
    mailbox_seconds: float = 0.0  # from its licence to its mailbox
    org_unit: str = "/"
    external_ids: list[dict[str, Any]] = field(default_factory=list)
    must_change: bool = False
    suspended: bool = False
    deleted_at: float | None = None
    is_admin: bool = False
    two_step: bool = False
    customer: str = CUSTOMER
    imap: bool = False
    app_passwords: list[AppPassword] = field(default_factory=list)


@dataclass
class Dkim:
    """The one key of a domain. Its private half never leaves Google; here it signs the simulated mail."""

    selector: str
    private_key: str
    public_key: str
    bits: int
    started_at: float | None = None

    @property
    def txt(self) -> str:
        return f"v=DKIM1; k=rsa; p={self.public_key}"


@dataclass
class Domain:
    name: str
    created_at: float
    verified_at: float | None = None
    is_primary: bool = False
    dkim: Dkim | None = None
    customer: str = CUSTOMER


@dataclass
class Customer:
    """A Workspace account. `scopes`: what it has delegated to the service account; None: what the switch says."""

    id: str
    primary: str
    admin: str
    scopes: str | None = None


@dataclass
class Token:
    """An access token: whose, for what, until when."""

    subject: str
    scopes: frozenset[str]
    until: float


@dataclass
class GoogleWorkspaceState:
    """The operator's account, and others of `customers`, which see nothing of each other.

    `verified`: (who, domain); `licences`: (product, sku, address) -> when; `aliases`: name -> domain.
    """

    customers: dict[str, Customer] = field(default_factory=lambda: {CUSTOMER: Customer(CUSTOMER, PRIMARY, ADMIN)})
    domains: dict[str, Domain] = field(default_factory=lambda: {PRIMARY: Domain(PRIMARY, 0.0, 0.0, True)})
    users: dict[str, User] = field(default_factory=lambda: {"1": _admin()})
    aliases: dict[str, str] = field(default_factory=dict)
    verified: set[tuple[str, str]] = field(default_factory=set)
    licences: dict[tuple[str, str, str], float] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    foreign: Dkim | None = None


@dataclass(frozen=True)
class Signature:
    """What Gmail signs a message with. `own` is False for Google's own domain, which does not align."""

    domain: str
    selector: str
    private_key: str
    own: bool


def _admin() -> User:
    return User("1", ADMIN, "Olive", "Operator", "the administrator's own", 0.0, is_admin=True, two_step=True)


def user_at(world: World, address: str) -> User | None:
    """Return a user that is there, whether readers find it already or not."""
    wanted = address.lower()
    found = world.google_workspace.users.values()
    return next((one for one in found if wanted in (one.address, one.id) and one.deleted_at is None), None)


def is_verified(domain: Domain | None, now: float) -> bool:
    return domain is not None and domain.verified_at is not None and domain.verified_at <= now


def has_licence(world: World, user: User) -> bool:
    """Tell whether a user may have a mailbox."""
    assigned = any(address == user.address for _, _, address in world.google_workspace.licences)
    return user.is_admin or assigned or world.switches.google_workspace_licences == "automatic"


def has_mailbox(world: World, user: User, now: float) -> bool:
    """Tell whether the mailbox is set up: some time after the user, or after the licence that came later."""
    since = [at for (_, _, address), at in world.google_workspace.licences.items() if address == user.address]
    return has_licence(world, user) and max([user.created_at, *since]) + user.mailbox_seconds <= now


def customer_of(world: World, address: str) -> Customer | None:
    """Return the account that a person belongs to."""
    person = user_at(world, address)
    return world.google_workspace.customers.get(person.customer) if person else None


# What people do


def delegate(world: World, admin: str, scopes: str | None = None) -> Customer:
    """Open a Workspace account with this administrator, or change what it has delegated. Its domain is the address's."""
    admin = admin.strip().lower()
    state, primary = world.google_workspace, admin.rpartition("@")[2]
    found = customer_of(world, admin)
    if found is None:
        if not admin.partition("@")[0] or "." not in primary or primary in state.domains:
            raise Refusal(400, f"{admin or 'Nobody'} cannot be the administrator of a new account.")
        found = Customer(f"C{len(state.customers) + 1:08d}", primary, admin)
        state.customers[found.id] = found
        state.domains[primary] = Domain(primary, 0.0, 0.0, True, customer=found.id)
        number = str(len(state.customers))
        state.users[number] = User(
            number, admin, "Ada", "Administrator", "the administrator's own", 0.0,
            is_admin=True, two_step=True, customer=found.id,
        )  # fmt: skip
    found.scopes = scopes
    return found


def generate_key(world: World, domain: str, now: float, selector: str = "google", bits: int = 2048) -> Dkim:
    """Make a domain's key in the console. Raises Refusal, also while a fresh account has to wait."""
    found = _known(world, domain)
    if bits not in (1024, 2048) or not selector.replace("-", "").isalnum():
        raise Refusal(400, "Choose 1024 or 2048 bits, and a selector of letters and digits.")
    if not is_verified(found, now) or found.verified_at is None:
        raise Refusal(400, f"{domain} is not verified.")
    ready = found.verified_at + world.uniform(world.switches.google_workspace_dkim_wait_seconds, "google dkim", domain)
    if now < ready:
        raise Refusal(400, "Gmail must be turned on for 24-72 hours before a DKIM record can be created.")
    found.dkim = _make_key(selector, bits)
    return found.dkim


def start_authentication(world: World, domain: str, now: float) -> None:
    """Press "Start authentication". Raises Refusal until the record is visible."""
    found = _known(world, domain)
    if found.dkim is None:
        raise Refusal(400, f"{domain} has no key yet.")
    there = texts(world, f"{found.dkim.selector}._domainkey.{domain}", now)
    if not any(found.dkim.public_key in text.replace(" ", "") for text in there):
        raise Refusal(400, "The DKIM record is not visible in DNS yet. It can take up to 48 hours.")
    found.dkim.started_at = now + world.uniform(world.switches.google_workspace_dkim_start_seconds, "start", domain)


def stop_authentication(world: World, domain: str) -> None:
    """Press "Stop authentication"."""
    found = _known(world, domain)
    if found.dkim is not None:
        found.dkim.started_at = None


def switch_two_step(world: World, address: str, on: bool) -> None:
    """Enrol a user in 2-step verification, or end it, which ends the app passwords too."""
    user = _person(world, address)
    user.two_step = on
    if not on:
        revoke_app_passwords(world, user)


def make_app_password(world: World, address: str, name: str, now: float) -> AppPassword:
    """Make an app password in the user's browser. The newest one opens the mailbox. Raises Refusal without two steps."""
    user = _person(world, address)
    if not user.two_step:
        raise Refusal(400, "App passwords need 2-step verification, which is off for this account.")
    if not has_mailbox(world, user, now):
        raise Refusal(400, "This account has no mailbox yet.")
    letters = world.hex_id("google app password", 16).translate(str.maketrans("0123456789", "ghijklmnop"))
    made = AppPassword(world.count("google app password id"), name or "Mail", letters, now)
    user.app_passwords.append(made)
    open_doors(world, user, now)
    return made


def revoke_app_passwords(world: World, user: User) -> None:
    """Let no app password open the mailbox any more."""
    user.app_passwords.clear()
    mailhost.remove(world, user.address)


def open_doors(world: World, user: User, now: float) -> None:
    """Let the mail server know what opens a mailbox by password now: the newest app password, never the account's own."""
    if user.app_passwords and not user.suspended and user.deleted_at is None:
        mailhost.set_password(world, user.address, user.app_passwords[-1].value, now)
    else:
        mailhost.remove(world, user.address)


def opens(world: World, address: str, now: float, *, door: str = "smtp", password: str = "", token: str = "") -> bool:
    """Tell whether a login at smtp.gmail.com or imap.gmail.com would succeed: by app password, or by token (XOAUTH2)."""
    user = user_at(world, address)
    if user is None or user.suspended or not has_mailbox(world, user, now) or (door == "imap" and not user.imap):
        return False
    held = world.google_workspace.tokens.get(token)
    if held is not None and now < held.until:
        return held.subject == user.address and MAIL in held.scopes
    return user.two_step and any(one.value == password.replace(" ", "") for one in user.app_passwords)


def signature_of(world: World, address: str, now: float) -> Signature:
    """Return what a message from an address is signed with: the domain's key once it was started, else Google's own."""
    name = address.rpartition("@")[2].lower()
    domain = world.google_workspace.domains.get(name)
    key = domain.dkim if domain else None
    if key is not None and key.started_at is not None and key.started_at <= now:
        return Signature(name, key.selector, key.private_key, own=True)
    if world.google_workspace.foreign is None:
        world.google_workspace.foreign = _make_key(FOREIGN_SELECTOR, 2048)
    foreign = world.google_workspace.foreign
    return Signature(f"{name.replace('.', '-')}.{FOREIGN}", FOREIGN_SELECTOR, foreign.private_key, own=False)


def records(world: World, now: float) -> Iterable[ZoneRecord]:
    """Yield the key that mail is signed with before a domain's own is started."""
    foreign = world.google_workspace.foreign
    if foreign is not None:
        name = f"{FOREIGN_SELECTOR}._domainkey"
        for domain in world.google_workspace.domains:
            yield ZoneRecord(FOREIGN, f"{name}.{domain.replace('.', '-')}.{FOREIGN}", "TXT", foreign.txt)


def _known(world: World, domain: str) -> Domain:
    found = world.google_workspace.domains.get(domain.lower())
    if found is None:
        raise Refusal(400, f"{domain or 'This domain'} is not in the account.")
    return found


def _person(world: World, address: str) -> User:
    user = user_at(world, address)
    if user is None:
        raise Refusal(400, f"{address or 'Nobody'} is no user of the account.")
    return user


def _make_key(selector: str, bits: int) -> Dkim:
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Dkim(selector, private.decode(), base64.b64encode(public).decode(), bits)
