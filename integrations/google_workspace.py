"""Google Workspace: domains, users and licences of a Workspace account, by a service account with domain-wide delegation.

Documentation: https://developers.google.com/workspace/admin/directory/reference/rest, /site-verification/v1,
/workspace/admin/licensing/reference/rest and /workspace/gmail/api/reference/rest; every path and field below stands in
the API descriptions that Google ships. Every verb returns a `Call`; nothing is sent here.

Their behaviour that shapes this file (the requests are Google's contract, replies to errors seen by callers, 2026):
- Requests carry an access token for one right of one person, which `Delegated` gets by `access_token` and keeps in memory.
- Nothing takes an idempotency key. Domain name, address and our mark in `externalIds` are what is read back.
- 409 is also seen after a call that did succeed, and a user may be unknown for a while after its creation.
- Limits come as 403 with a reason or as 429; missing seats as 412 or something else with one of two reasons.
- Users are suspended, never deleted: deleting destroys a mailbox. No verb here deletes anything.
- No call makes a DKIM key or an app password: both are done by a person in a browser.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import quote

from google.auth import crypt, jwt

from .http.call import Call, Grant, Proof, Raw, Request
from .http.errors import BadCredentials, NotConfigured, PlatformError, RateLimited, Rejected
from .http.options import Options
from .http.redact import Hidden
from .http.replies import (
    EXISTS,
    Judge,
    Object,
    Refusal,
    UnknownShape,
    advised_wait,
    as_object,
    as_rows,
    document,
    flag,
    number,
    required,
    text,
)

T = TypeVar("T")

PLATFORM: Final = "google_workspace"
BASE_URL: Final = "https://admin.googleapis.com"
# Each service has a host of its own; below any other base URL all of them are together.
HOSTS: Final = {
    "/siteVerification/": "https://www.googleapis.com",
    "/apps/licensing/": "https://licensing.googleapis.com",
    "/gmail/": "https://gmail.googleapis.com",
    "/token": "https://oauth2.googleapis.com",
}
AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # in every assertion, wherever it is posted to

GENERAL: Final = "google_workspace.general"
USERS: Final = "google_workspace.users"

_SCOPE: Final = "https://www.googleapis.com/auth/"
USER: Final = _SCOPE + "admin.directory.user"
DOMAIN: Final = _SCOPE + "admin.directory.domain"
SECURITY: Final = _SCOPE + "admin.directory.user.security"
VERIFICATION: Final = _SCOPE + "siteverification"
LICENSING: Final = _SCOPE + "apps.licensing"
GMAIL_SETTINGS: Final = _SCOPE + "gmail.settings.basic"
SCOPES: Final = (USER, DOMAIN, SECURITY, VERIFICATION, LICENSING, GMAIL_SETTINGS)

MARK: Final = "gtm"  # the custom type of our mark in a user's externalIds
LONGEST_NAME: Final = 60
TOKEN_SECONDS: Final = 3600
TXT: Final = "DNS_TXT"

SECRET_FIELDS: Final = frozenset({"password", "access_token", "assertion", "private_key"})


@lru_cache(maxsize=4)
def _signer(private_key: str, key_id: str | None) -> crypt.RSASigner:
    """Read a key once a process: it takes longer than most wake-ups, and every account is opened with the operator's own."""
    return crypt.RSASigner.from_string(private_key, key_id)  # type: ignore[no-untyped-call, no-any-return]


@dataclass(frozen=True, slots=True)
class GoogleWorkspaceSettings:
    """How to reach a Workspace account, and every choice its documentation leaves to us. Times in seconds.

    admin            the administrator in whose name the service account works: domains, users, licences, verification
    customer         the account; "my_customer" is the administrator's own
    licence_product  and `licence_sku`: what `assign_licence` assigns, where it is not assigned by itself
    page_size        rows of a page of users, 500 at most
    user_lag         how long a user that was created may be unknown
    """

    client_email: str
    private_key: Hidden
    admin: str
    private_key_id: str = ""
    client_id: str = ""
    base_url: str = BASE_URL
    customer: str = "my_customer"
    licence_product: str = "Google-Apps"
    licence_sku: str = "1010020027"  # Business Starter
    page_size: int = 500
    deadline: float = 30.0
    late_execution: float = 300.0
    list_lag: float = 120.0
    signer: crypt.RSASigner = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            signer = _signer(self.private_key.open(), self.private_key_id or None)
        except (ValueError, TypeError):
            signer = None
        if signer is None:  # outside the handler: what failed quotes the key
            raise NotConfigured("GOOGLE_WORKSPACE_SERVICE_ACCOUNT holds no private key we can read", platform=PLATFORM)
        object.__setattr__(self, "signer", signer)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> GoogleWorkspaceSettings:
        """Read GOOGLE_WORKSPACE_* settings; the service account is the JSON text of its key file. Raises NotConfigured.

        The key file's own `token_uri` is not followed: whoever hands in a file must not choose where we post to.
        """
        options = Options(PLATFORM, values)
        name = "GOOGLE_WORKSPACE_SERVICE_ACCOUNT"
        try:
            found = json.loads(options.needed(name))
            account = {key: found[key] for key in ("client_email", "private_key")}
            account |= {key: found.get(key) or "" for key in ("private_key_id", "client_id")}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            account = {}
        if not all(isinstance(value, str) for value in account.values()) or not all(
            account.get(key) for key in ("client_email", "private_key")
        ):
            raise NotConfigured(f"{name} is not the JSON of a service account's key file", platform=PLATFORM)
        return cls(
            client_email=account["client_email"],
            private_key=Hidden(account["private_key"], pinned=True),
            private_key_id=account["private_key_id"],
            client_id=account["client_id"],
            admin=options.needed("GOOGLE_WORKSPACE_ADMIN").lower(),
            base_url=options.address("GOOGLE_WORKSPACE_API_URL", BASE_URL),
            customer=options.text("GOOGLE_WORKSPACE_CUSTOMER", "my_customer"),
            licence_product=options.text("GOOGLE_WORKSPACE_LICENCE_PRODUCT", "Google-Apps"),
            licence_sku=options.text("GOOGLE_WORKSPACE_LICENCE_SKU", "1010020027"),
            page_size=min(500, options.whole("GOOGLE_WORKSPACE_PAGE_SIZE", 500, least=1)),
            late_execution=options.seconds("GOOGLE_WORKSPACE_LATE_EXECUTION_SECONDS", 300.0),
            list_lag=options.seconds("GOOGLE_WORKSPACE_LIST_LAG_SECONDS", 120.0),
        )

    def address_of(self, path: str) -> str:
        """Return the whole address of a path of any of the services."""
        if self.base_url == BASE_URL:
            for beginning, host in HOSTS.items():
                if path.startswith(beginning):
                    return host + path
        return self.base_url + path


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A right for `expires_in` seconds."""

    value: Hidden
    expires_in: float


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of the account. Users can be made in it once it is `verified`."""

    name: str
    verified: bool
    primary: bool = False


@dataclass(frozen=True, slots=True)
class VerificationToken:
    """What the domain's apex has to publish as a TXT record before `verify_domain`, and to keep: Google looks again."""

    domain: str
    txt: str


@dataclass(frozen=True, slots=True)
class User:
    """A user. `mark` is ours from its externalIds, "" for somebody else's; `mailbox_ready`: mail can be read and sent."""

    id: str
    address: str
    given_name: str = ""
    family_name: str = ""
    mark: str = ""
    suspended: bool = False
    mailbox_ready: bool = False
    two_step: bool = False

    def is_ours(self, mark: str) -> bool:
        """Tell whether we made it for `mark`, our reference. Only such a user is adopted, and never another's."""
        return bool(mark) and self.mark == mark


@dataclass(frozen=True, slots=True)
class UserPage:
    users: tuple[User, ...]
    next_page: str

    @property
    def last(self) -> bool:
        return not self.next_page


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to create. `password` is ours, captured before the call; `mark` is our reference, by which it is adopted."""

    address: str
    given_name: str
    family_name: str
    password: Hidden
    mark: str
    org_unit: str = "/"


@dataclass(frozen=True, slots=True)
class Licence:
    address: str
    product: str
    sku: str


@dataclass(frozen=True, slots=True)
class AppPassword:
    """An app password that a user has made in a browser. It is shown there once, and never to us."""

    code_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took the request. What it did is seen by reading it back."""


_INVALID: Final = Refusal("invalid", r"\(invalid\w*\)", frozenset({400}))
_SEATS: Final = Refusal("no_seats", r"limitExceeded|conditionNotMet|licen[cs]e|user limit")
_NOT_READY: Final = Refusal("not_ready", r"creation is not complete")

_REFUSALS: Final[Mapping[str, tuple[Refusal, ...]]] = {
    "add_domain": (Refusal("domain_limit", r"limitExceeded|limit of domains"), _INVALID),
    "create_user": (
        Refusal("weak_password", r"password", frozenset({400})),
        Refusal("bad_org_unit", r"invalidOrgunit|org ?unit", frozenset({400})),
        _SEATS,
        _INVALID,
    ),
    "suspend_user": (_NOT_READY, _INVALID),
    "enable_imap": (Refusal("not_ready", r"failedPrecondition|mail service not enabled|not complete"),),
    "assign_licence": (_NOT_READY, Refusal(EXISTS, r"already (has|assigned)|duplicate"), _SEATS, _INVALID),
}

_RATES: Final = frozenset(
    {"userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "RATE_LIMIT_EXCEEDED"}
)
_AT_USERS: Final = frozenset({"create_user", "get_user", "list_users", "suspend_user"})


class GoogleWorkspaceClient:
    """Verbs of the Directory, Site Verification, Licensing and Gmail APIs, each returning a Call.

    Executing any of them can raise the whole family of `http.errors`; "Raises" below names only what is particular. Any
    of them raises BadCredentials where its right is not delegated, and Rejected with no_api_access where the account
    may not use APIs at all. Of several accounts each has a client of its own, made from settings of its own.
    """

    def __init__(self, settings: GoogleWorkspaceSettings) -> None:
        self.settings = settings

    def access_token(self, scope: str, subject: str = "", *, at: float) -> Call[AccessToken]:
        """Ask for a token: one right (`scope`), in the name of `subject` (default: the administrator), at Unix time `at`.

        Executed by itself it checks that the right is delegated. Docs: identity/protocols/oauth2/service-account.
        Returns the AccessToken. Raises BadCredentials: not delegated, no such person, a clock that is wrong, key revoked.
        """

        def parse(raw: Raw) -> AccessToken:
            body = as_object(document(raw), "reply")
            seconds = number(body.get("expires_in"))
            if seconds is None:
                raise UnknownShape("expires_in is missing")
            return AccessToken(Hidden(required(body, "access_token")), float(seconds))

        claims = {
            "iss": self.settings.client_email,
            "sub": subject or self.settings.admin,
            "scope": scope,
            "aud": AUDIENCE,
            "iat": int(at),
            "exp": int(at) + TOKEN_SECONDS,
        }
        assertion = jwt.encode(self.settings.signer, claims).decode()  # type: ignore[no-untyped-call]
        form = (("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion))
        request = Request("POST", self.settings.address_of("/token"), {"accept": "application/json"}, form=form)
        return Call(
            PLATFORM,
            "access_token",
            request,
            parse,
            _Classify(Judge(PLATFORM, "access_token", False, _speak)),
            budgets=(GENERAL,),
            deadline=10.0,  # what is left of a lease beside the call that needs it
            secret_fields=SECRET_FIELDS,
        )

    # Domains

    def list_domains(self) -> Call[tuple[Domain, ...]]:
        """All domains of the account, 600 at most. Docs: directory, domains.list. Returns them."""

        def parse(raw: Raw) -> tuple[Domain, ...]:
            return tuple(map(_domain, _rows(_object(raw), "domains")))

        return self._read("list_domains", DOMAIN, self._domains(), parse)

    def get_domain(self, name: str) -> Call[Domain]:
        """One domain: the read-back of `add_domain`, and after `verify_domain` the proof. Raises NotFound.

        Docs: directory, domains.get. Returns the Domain.
        """
        return self._read("get_domain", DOMAIN, self._domains(name), lambda raw: _same(_domain(_object(raw)), name))

    def add_domain(self, name: str) -> Call[Domain]:
        """Add a domain to the account; it is not verified by that. Read back by `get_domain`.

        Docs: directory, domains.insert. Returns the Domain. Raises AlreadyExists (ours where `get_domain` finds it, else
        another account holds it: ask, do not repeat), or Rejected with domain_limit, invalid.
        """
        return self._write(
            "add_domain",
            DOMAIN,
            "POST",
            self._domains(),
            lambda raw: _same(_domain(_object(raw)), name),
            {"domainName": name},
            items=(name,),
            proof=Proof.ANSWER,
        )

    def verification_token(self, domain: str) -> Call[VerificationToken]:
        """Ask what a domain has to publish. Changes nothing; the same again for the same administrator.

        Docs: siteVerification, webResource.getToken. Returns the VerificationToken.
        """

        def parse(raw: Raw) -> VerificationToken:
            return VerificationToken(domain, required(_object(raw), "token"))

        body = {"site": _site(domain), "verificationMethod": TXT}
        return self._read("verification_token", VERIFICATION, "/siteVerification/v1/token", parse, body=body)

    def verify_domain(self, domain: str) -> Call[Accepted]:
        """Let Google look for the TXT record. May be repeated freely; verified already is a success.

        `get_domain` is the proof. Docs: siteVerification, webResource.insert. Returns Accepted. Raises Rejected with any
        code, or an unknown outcome, while the record is not seen: not yet, until our own deadline.
        """
        return self._write(
            "verify_domain",
            VERIFICATION,
            "POST",
            "/siteVerification/v1/webResource",
            _accepted("site", "id"),
            {"site": _site(domain)},
            items=(domain,),
            repeatable=True,
            query={"verificationMethod": TXT},
        )

    def list_verified(self) -> Call[tuple[str, ...]]:
        """The domains that this administrator has verified. Docs: siteVerification, webResource.list. Returns names."""

        def parse(raw: Raw) -> tuple[str, ...]:
            body = _object(raw)
            # Theirs has no kind, and an empty one is an empty object.
            sites = [as_object(row.get("site"), "site") for row in (_rows(body, "items") if body else [])]
            return tuple(required(site, "identifier") for site in sites if text(site, "type") == "INET_DOMAIN")

        return self._read("list_verified", VERIFICATION, "/siteVerification/v1/webResource", parse)

    # Users

    def get_user(self, address: str) -> Call[User]:
        """One user: the read-back of `create_user`. Absent only after two reads apart, because creation is eventual.

        Docs: directory, users.get. Returns the User. Raises NotFound, or Rejected with forbidden (the domain is not in the
        account).
        """
        return self._read("get_user", USER, _user_path(address), lambda raw: _same(_user(_object(raw)), address))

    def list_users(self, domain: str, page: str = "") -> Call[UserPage]:
        """One page of a domain's users; read on with `next_page` until `last`. Docs: directory, users.list."""

        def parse(raw: Raw) -> UserPage:
            body = _object(raw)
            return UserPage(tuple(map(_user, _rows(body, "users"))), text(body, "nextPageToken"))

        query = {"domain": domain, "maxResults": str(self.settings.page_size), **({"pageToken": page} if page else {})}
        return self._read("list_users", USER, "/admin/directory/v1/users", parse, query=query)

    def create_user(self, user: NewUser) -> Call[User]:
        """Create a user with our mark, after `get_user` did not find it. Its mailbox follows: `User.mailbox_ready`.

        The password must be kept before the call, because nothing shows it again; a repetition sends the same one.
        Docs: directory, users.insert. Returns the User. Raises AlreadyExists (read it back: it may be our own success, or a
        stranger), or Rejected with no_seats, weak_password, bad_org_unit, invalid, forbidden (the domain is not in the
        account); ValueError for a name that is empty or longer than 60.
        """
        address = user.address.strip().lower()
        for name in (user.given_name, user.family_name):
            if not 1 <= len(name) <= LONGEST_NAME:
                raise ValueError(f"each name of a user has 1 to {LONGEST_NAME} characters, not {len(name)}")
        body = {
            "primaryEmail": address,
            "name": {"givenName": user.given_name, "familyName": user.family_name},
            "password": user.password.open(),
            "changePasswordAtNextLogin": False,
            "orgUnitPath": user.org_unit,
            "externalIds": [{"type": "custom", "customType": MARK, "value": user.mark}],
        }
        return self._write(
            "create_user",
            USER,
            "POST",
            "/admin/directory/v1/users",
            lambda raw: _same(_user(_object(raw)), address),
            body,
            items=(address,),
            proof=Proof.ANSWER,
            budgets=(USERS, GENERAL),
        )

    def suspend_user(self, address: str, suspended: bool = True) -> Call[Accepted]:
        """Suspend a user, which keeps its mailbox, or let it work again. An absolute value; `get_user` is the proof.

        Docs: directory, users.patch. Returns Accepted. Raises NotFound, or Rejected with not_ready (just created).
        """
        return self._write(
            "suspend_user",
            USER,
            "PATCH",
            _user_path(address),
            _accepted("id", "primaryEmail"),
            {"suspended": suspended},
            items=(address.lower(),),
            repeatable=True,
        )

    # Licences

    def get_licence(self, address: str) -> Call[Licence]:
        """A user's licence of the product and plan of the settings: the read-back of `assign_licence`. Raises NotFound.

        Docs: licensing, licenseAssignments.get. Returns the Licence.
        """
        path = f"{self._licences()}/{quote(address.lower(), safe='@')}"
        return self._read("get_licence", LICENSING, path, lambda raw: _same(_licence(_object(raw)), address))

    def assign_licence(self, address: str) -> Call[Licence]:
        """Give a user its licence, only where the account does not do so by itself. Read back by `get_licence`.

        Docs: licensing, licenseAssignments.insert. Returns the Licence. Raises AlreadyExists, or Rejected with no_seats,
        not_ready, invalid.
        """
        return self._write(
            "assign_licence",
            LICENSING,
            "POST",
            self._licences(),
            lambda raw: _same(_licence(_object(raw)), address),
            {"userId": address.lower()},
            items=(address.lower(),),
            proof=Proof.ANSWER,
        )

    # What a mailbox may be reached by

    def enable_imap(self, address: str) -> Call[Accepted]:
        """Switch IMAP on, in the name of the user itself. An absolute value; `imap_enabled` is the proof.

        Docs: gmail, users.settings.updateImap. Returns Accepted. Raises Rejected with not_ready (no mailbox yet).
        """
        return self._write(
            "enable_imap",
            GMAIL_SETTINGS,
            "PUT",
            _imap_path(address),
            _accepted("enabled"),
            {"enabled": True},
            items=(address.lower(),),
            repeatable=True,
            subject=address.lower(),
        )

    def imap_enabled(self, address: str) -> Call[bool]:
        """Whether IMAP is on. Docs: gmail, users.settings.getImap. Returns it; a reply without that member means off."""

        def parse(raw: Raw) -> bool:
            body = _object(raw)
            if body.keys() - {"enabled", "autoExpunge", "expungeBehavior", "maxFolderSize"}:
                raise UnknownShape("not IMAP settings")
            enabled = body.get("enabled", False)
            if not isinstance(enabled, bool):
                raise UnknownShape("it does not say whether IMAP is on")
            return enabled

        return self._read("imap_enabled", GMAIL_SETTINGS, _imap_path(address), parse, subject=address.lower())

    def list_app_passwords(self, address: str) -> Call[tuple[AppPassword, ...]]:
        """The app passwords that a user has made, without the passwords. A new one is the proof of that human step.

        Docs: directory, asps.list. Returns them.
        """

        def parse(raw: Raw) -> tuple[AppPassword, ...]:
            rows = _rows(_object(raw), "items")
            return tuple(AppPassword(required(row, "codeId"), text(row, "name")) for row in rows)

        return self._read("list_app_passwords", SECURITY, f"{_user_path(address)}/asps", parse)

    # How a call is put together

    def _domains(self, name: str = "") -> str:
        path = f"/admin/directory/v1/customer/{quote(self.settings.customer, safe='')}/domains"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _licences(self) -> str:
        product, sku = quote(self.settings.licence_product, safe=""), quote(self.settings.licence_sku, safe="")
        return f"/apps/licensing/v1/product/{product}/sku/{sku}/user"

    def _grant(self, scope: str, subject: str) -> Grant:
        settings = self.settings
        key = (settings.client_email, subject or settings.admin, scope, settings.address_of("/token"))
        return Grant(key, lambda at: self.access_token(scope, subject, at=at))

    def _request(
        self, scope: str, subject: str, method: str, path: str, query: Mapping[str, str] | None, body: Any
    ) -> Request:
        return Request(
            method,
            self.settings.address_of(path),
            {"accept": "application/json"},
            dict(query or {}),
            body,
            grant=self._grant(scope, subject),
        )

    def _read(
        self,
        verb: str,
        scope: str,
        path: str,
        parse: Callable[[Raw], T],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        subject: str = "",
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(scope, subject, "POST" if body else "GET", path, query, body),
            parse,
            _Classify(Judge(PLATFORM, verb, False, _speak)),
            budgets=(GENERAL,),
            deadline=self.settings.deadline,
            secret_fields=SECRET_FIELDS,
        )

    def _write(
        self,
        verb: str,
        scope: str,
        method: str,
        path: str,
        parse: Callable[[Raw], T],
        body: Mapping[str, Any],
        *,
        items: tuple[str, ...],
        proof: Proof = Proof.READ,
        repeatable: bool = False,
        query: Mapping[str, str] | None = None,
        subject: str = "",
        budgets: tuple[str, ...] = (GENERAL,),
    ) -> Call[T]:
        return Call(
            PLATFORM,
            verb,
            self._request(scope, subject, method, path, query, body),
            parse,
            _Classify(Judge(PLATFORM, verb, True, _speak, _REFUSALS.get(verb, ()))),
            items=items,
            proof=proof,
            repeatable=repeatable,
            budgets=budgets,
            deadline=self.settings.deadline,
            late_execution=self.settings.late_execution,
            list_lag=self.settings.list_lag,
            secret_fields=SECRET_FIELDS,
        )


@dataclass(frozen=True, slots=True)
class _Classify:
    """Judges an answer of Google's, whose 403 means a limit, a right, a domain or the account, by its reason."""

    judge: Judge

    def __call__(self, raw: Raw) -> PlatformError | None:
        error = self.judge(raw)
        if error is None or raw.status >= 500:
            return error
        reasons = _reasons(raw)
        if raw.status == 403:
            if _RATES & reasons:
                return RateLimited(error.sentence, advised_wait=advised_wait(raw.headers), **error.origin)
            if "domainCannotUseApis" in reasons:
                return Rejected("no_api_access", error.sentence, **error.origin)
            if {"limitExceeded", "conditionNotMet"} & reasons:
                code = "domain_limit" if error.verb == "add_domain" else "no_seats"
                return Rejected(code, error.sentence, **error.origin)
            if "forbidden" in reasons and error.verb in _AT_USERS:
                return Rejected("forbidden", error.sentence, **error.origin)
        if error.verb == "access_token" and raw.status == 400 and reasons:
            return BadCredentials(error.sentence, **error.origin)
        return error


def _failure(body: Any) -> Any:
    return body.get("error") if isinstance(body, dict) else None


def _reasons(raw: Raw) -> frozenset[str]:
    """Return every reason an error document gives, in any of the three forms of theirs."""
    try:
        failure = _failure(document(raw))
        if isinstance(failure, str):  # the token endpoint's
            return frozenset({failure})
        rows = [*(failure.get("errors") or ()), *(failure.get("details") or ())]
        return frozenset(row["reason"] for row in rows if isinstance(row, dict) and isinstance(row.get("reason"), str))
    except (ValueError, TypeError, AttributeError):
        return frozenset()


def _speak(body: Any) -> str:
    """Return the sentence of an error document, with the reason it gives, by which refusals are told apart."""
    failure = _failure(body)
    if isinstance(failure, str):
        return ": ".join(part for part in (failure, body.get("error_description")) if isinstance(part, str) and part)
    if not isinstance(failure, dict):
        return str(body.get("message") or "")
    sentence = str(failure.get("message") or "")
    rows = [row for row in (failure.get("errors") or failure.get("details") or ()) if isinstance(row, dict)]
    reason = next((str(row["reason"]) for row in rows if row.get("reason")), str(failure.get("status") or ""))
    return f"{sentence} ({reason})".strip() if reason else sentence


# --- reading ---------------------------------------------------------------------------------------------------------


def _object(raw: Raw) -> Object:
    return as_object(document(raw), "reply")


def _rows(body: Object, name: str) -> list[Object]:
    """Return the rows of a list. An empty list has no such member: then its kind or its version says that it is one."""
    if not body.keys() & {name, "kind", "etag"}:
        raise UnknownShape(f"{name} is missing")
    return as_rows(body.get(name) or [], name)


def _same(found: Any, wanted: str) -> Any:
    """Return `found` if it is what was asked for. Raises UnknownShape."""
    name = found.name if isinstance(found, Domain) else found.address
    if name != wanted.strip().lower():
        raise UnknownShape("something else than what was asked for")
    return found


def _accepted(*names: str) -> Callable[[Raw], Accepted]:
    def parse(raw: Raw) -> Accepted:
        if not _object(raw).keys() >= set(names):
            raise UnknownShape(f"{names[0]} is missing")
        return Accepted()

    return parse


def _domain(row: Object) -> Domain:
    return Domain(
        required(row, "domainName").lower(),
        flag(row.get("verified")) or False,
        flag(row.get("isPrimary")) or False,
    )


def _user(row: Object) -> User:
    found, marked = row.get("name"), row.get("externalIds")
    name = found if isinstance(found, dict) else {}
    marks = marked if isinstance(marked, list) else []
    mark = next((one for one in marks if isinstance(one, dict) and one.get("customType") == MARK), {})
    return User(
        id=required(row, "id"),
        address=required(row, "primaryEmail").lower(),
        given_name=text(name, "givenName"),
        family_name=text(name, "familyName"),
        mark=text(mark, "value"),
        suspended=flag(row.get("suspended")) or False,
        mailbox_ready=flag(row.get("isMailboxSetup")) or False,
        two_step=flag(row.get("isEnrolledIn2Sv")) or False,
    )


def _licence(row: Object) -> Licence:
    return Licence(required(row, "userId").lower(), text(row, "productId"), text(row, "skuId"))


def _site(domain: str) -> dict[str, str]:
    # Without it the site counts as a web address, for which no DNS method is taken.
    return {"type": "INET_DOMAIN", "identifier": domain}


def _user_path(address: str) -> str:
    return f"/admin/directory/v1/users/{quote(address.lower(), safe='@')}"


def _imap_path(address: str) -> str:
    return f"/gmail/v1/users/{quote(address.lower(), safe='@')}/settings/imap"
