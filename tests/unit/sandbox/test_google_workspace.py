"""Section 6 of platforms/google_workspace.md, "What the sandbox must reproduce", asked by our own client."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations import google_workspace
from integrations.cloudflare import DnsRecord
from integrations.google_workspace import NewUser
from integrations.http.errors import (
    AlreadyExists,
    BadCredentials,
    NotConfigured,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
)
from integrations.http.redact import Hidden
from integrations.sandbox import Request, Response, google_world
from integrations.sandbox.dns import delegate
from integrations.sandbox.reading import Refusal
from tests.integration.test_clients_against_sandbox import Bench

NAME, ADDRESS, MARK = "ownexample.com", "sample@ownexample.com", "GTM-7K3F9Q"
PASSWORD = "Word-4-you-and-me"


class Account(Bench):
    """A Workspace account with a verified domain."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(**switches)
        now = self.now
        self.state.domains[NAME] = google_world.Domain(NAME, now, now)

    @property
    def now(self) -> float:
        return self.sandbox.clock.now()

    @property
    def state(self) -> google_world.GoogleWorkspaceState:
        return self.sandbox.world.google_workspace

    def person(self, local: str = "sample", **more: Any) -> NewUser:
        values: dict[str, Any] = {"password": Hidden(PASSWORD), "mark": MARK, **more}
        return NewUser(f"{local}@{NAME}", "Sample", "Sender", **values)

    def settled(self) -> None:
        """A user whose mailbox is there."""
        self.do(self.google.create_user(self.person()))
        self.sandbox.advance(7200)


@pytest.fixture
def account() -> Account:
    return Account()


# Tokens


def test_a_right_that_is_not_delegated_is_a_matter_of_credentials() -> None:
    account = Account(google_workspace_scopes="admin.directory.domain")
    assert account.do(account.google.list_domains())
    assert isinstance(account.error(account.google.get_user(ADDRESS)), BadCredentials)
    denied = account.google.access_token(google_workspace.USER, at=time.time())
    assert "unauthorized_client" in account.error(denied).sentence


def test_a_wrong_clock_and_a_revoked_key_are_matters_of_credentials(account: Account) -> None:
    account.sandbox.switches.set(google_workspace_clocks="differ")
    assert isinstance(account.error(account.google.list_domains()), BadCredentials)
    account.sandbox.switches.set(google_workspace_clocks="agree")
    account.do(account.google.list_domains())
    account.sandbox.faults.add("key_revoked", platform="google_workspace")
    assert isinstance(account.error(account.google.list_domains()), PlatformError)
    assert isinstance(account.error(account.google.list_domains()), BadCredentials)


def test_one_token_serves_many_calls_of_the_same_right(account: Account) -> None:
    for _ in range(3):
        account.do(account.google.list_domains())
    assert len(account.state.tokens) == 1
    account.error(account.google.get_user(ADDRESS))
    assert len(account.state.tokens) == 2


def test_a_token_that_has_ended_is_asked_for_anew(account: Account) -> None:
    account.do(account.google.list_domains())
    account.state.tokens.clear()
    assert isinstance(account.error(account.google.list_domains()), PlatformError)
    assert account.do(account.google.list_domains())


def test_an_assertion_of_another_key_opens_nothing(account: Account) -> None:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    settings = account.google.settings
    forged = google_workspace.GoogleWorkspaceSettings(
        settings.client_email, Hidden(pem.decode()), settings.admin, base_url=settings.base_url
    )
    client = google_workspace.GoogleWorkspaceClient(forged)
    assert isinstance(account.error(client.list_domains()), BadCredentials)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"client_email": "a@b"}', '{"client_email": "a", "private_key": "x"}']
)
def test_what_is_no_key_file_is_refused_without_quoting_it(text: str) -> None:
    values = {"GOOGLE_WORKSPACE_SERVICE_ACCOUNT": text, "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example"}
    with pytest.raises(NotConfigured, match="GOOGLE_WORKSPACE_SERVICE_ACCOUNT"):
        google_workspace.GoogleWorkspaceSettings.from_mapping(values)


# Domains


def test_a_domain_that_another_account_holds_is_refused_and_not_in_the_list() -> None:
    account = Account(google_workspace_foreign_domains="theirs.com")
    assert isinstance(account.error(account.google.add_domain("theirs.com")), AlreadyExists)
    assert isinstance(account.error(account.google.get_domain("theirs.com")), NotFound)


def test_a_conflict_may_be_our_own_success(account: Account) -> None:
    account.sandbox.faults.add("duplicate_after_success", verb="add_domain", times=1)
    assert isinstance(account.error(account.google.add_domain("other.com")), AlreadyExists)
    assert account.do(account.google.get_domain("other.com")).name == "other.com"


def test_the_limit_of_domains() -> None:
    account = Account(google_workspace_most_domains=2)
    error = account.error(account.google.add_domain("third.com"))
    assert isinstance(error, Rejected)
    assert error.code == "domain_limit"


# Users


def test_a_user_is_found_changed_and_given_a_mailbox_each_a_while_later(account: Account) -> None:
    account.sandbox.switches.set(
        google_workspace_visible_seconds=(60, 60),
        google_workspace_complete_seconds=(120, 120),
        google_workspace_mailbox_seconds=(600, 600),
    )
    account.do(account.google.create_user(account.person()))
    assert isinstance(account.error(account.google.get_user(ADDRESS)), NotFound)
    account.sandbox.advance(60)
    assert not account.do(account.google.get_user(ADDRESS)).mailbox_ready
    error = account.error(account.google.suspend_user(ADDRESS))
    assert isinstance(error, Rejected)
    assert error.code == "not_ready"
    assert isinstance(account.error(account.google.enable_imap(ADDRESS)), Rejected)
    account.sandbox.advance(600)
    assert account.do(account.google.get_user(ADDRESS)).mailbox_ready
    account.do(account.google.suspend_user(ADDRESS))


def test_a_stranger_of_the_same_address_is_not_ours(account: Account) -> None:
    account.do(account.google.create_user(account.person(mark="GTM-OTHER1")))
    account.sandbox.advance(120)
    assert isinstance(account.error(account.google.create_user(account.person())), AlreadyExists)
    assert not account.do(account.google.get_user(ADDRESS)).is_ours(MARK)


@pytest.mark.parametrize(
    "reply", ["412 limitExceeded", "412 conditionNotMet", "403 limitExceeded", "400 limitExceeded"]
)
@pytest.mark.parametrize("form", ["errors", "details"])
def test_no_seat_left_is_told_by_its_reason(reply: str, form: str) -> None:
    account = Account(google_workspace_seats=0, google_workspace_limit_reply=reply, google_workspace_error_form=form)
    error = account.error(account.google.create_user(account.person()))
    assert isinstance(error, Rejected)
    assert error.code == "no_seats"


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", "gr\u00fc\u00dfe-aus-dem-norden"])
def test_a_weak_password_is_refused(account: Account, password: str) -> None:
    error = account.error(account.google.create_user(account.person(password=Hidden(password))))
    assert isinstance(error, Rejected)
    assert error.code == "weak_password"
    assert password not in str(error)


@pytest.mark.parametrize(("status", "expected"), [("404", NotFound), ("403", Rejected)])
def test_a_user_of_a_domain_that_is_not_verified(status: str, expected: type[PlatformError]) -> None:
    account = Account(google_workspace_unknown_domain=status)
    account.state.domains[NAME].verified_at = None
    assert isinstance(account.error(account.google.create_user(account.person())), expected)


@pytest.mark.parametrize("access", ["none"])
def test_an_account_without_api_access(access: str) -> None:
    error = (account := Account(google_workspace_api_access=access)).error(account.google.list_domains())
    assert isinstance(error, Rejected)
    assert error.code == "no_api_access"


@pytest.mark.parametrize("reply", ["429 rateLimitExceeded", "403 userRateLimitExceeded", "403 quotaExceeded"])
@pytest.mark.parametrize("advice", ["none", "seconds", "date"])
def test_a_used_up_limit_is_a_limit_whatever_its_status(reply: str, advice: str) -> None:
    account = Account(
        google_workspace_per_minute=2, google_workspace_rate_reply=reply, google_workspace_retry_after=advice
    )
    call = account.google.list_domains()
    errors = [call.classify(account.transport.send(call)) for _ in range(4)]
    assert any(isinstance(error, RateLimited) for error in errors)


def test_the_answer_to_a_creation_can_be_lost(account: Account) -> None:
    account.sandbox.faults.add("timeout_after", verb="create_user", times=1)
    assert isinstance(account.error(account.google.create_user(account.person())), OutcomeUnknown)
    account.sandbox.advance(120)
    assert account.do(account.google.get_user(ADDRESS)).is_ours(MARK)


def test_a_licence_where_none_is_assigned_by_itself() -> None:
    account = Account(google_workspace_licences="manual")
    account.settled()
    assert not account.do(account.google.get_user(ADDRESS)).mailbox_ready
    assert isinstance(account.error(account.google.get_licence(ADDRESS)), NotFound)
    account.do(account.google.assign_licence(ADDRESS))
    account.sandbox.advance(3600)
    assert account.do(account.google.get_user(ADDRESS)).mailbox_ready


# What our client never asks for, and other programs of the account may


def ask(account: Account, method: str, path: str, body: Any = None, *, scope: str = "") -> Response:
    """Ask with a right of the administrator's, as any program of the account may."""
    held = google_world.Token(google_world.ADMIN, frozenset({scope or google_workspace.USER}), account.now + 3600)
    account.state.tokens["other"] = held
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": "Bearer other"}
    return account.sandbox.handle(Request.to(method, f"/google_workspace{path}", headers=headers, body=content))


def test_a_deleted_user_can_be_brought_back_for_a_while(account: Account) -> None:
    account.settled()
    key = account.do(account.google.get_user(ADDRESS)).id
    users = "/admin/directory/v1/users"
    assert ask(account, "DELETE", f"{users}/{ADDRESS}").status == 204
    assert isinstance(account.error(account.google.get_user(ADDRESS)), NotFound)
    assert ask(account, "POST", f"{users}/{key}/undelete").status == 204
    assert account.do(account.google.get_user(ADDRESS)).id == key
    ask(account, "DELETE", f"{users}/{key}")
    account.sandbox.advance(21 * 86_400)
    assert ask(account, "POST", f"{users}/{key}/undelete").status == 400


def test_aliases_have_a_limit_and_take_a_name() -> None:
    account = Account(google_workspace_most_aliases=1)
    path, scope = "/admin/directory/v1/customer/my_customer/domainaliases", google_workspace.DOMAIN
    first, second = ({"domainAliasName": name, "parentDomainName": NAME} for name in ("one.com", "two.com"))
    assert ask(account, "POST", path, first, scope=scope).status == 200
    assert ask(account, "POST", path, second, scope=scope).status == 412
    assert isinstance(account.error(account.google.add_domain("one.com")), AlreadyExists)
    (alias,) = json.loads(ask(account, "GET", path, scope=scope).body)["domainAliases"]
    assert alias["domainAliasName"] == "one.com"


def test_an_app_password_that_is_deleted_opens_nothing(account: Account) -> None:
    account.settled()
    world, scope = account.sandbox.world, google_workspace.SECURITY
    google_world.switch_two_step(world, ADDRESS, True)
    made = google_world.make_app_password(world, ADDRESS, "Smartlead", account.now)
    path = f"/admin/directory/v1/users/{ADDRESS}/asps/{made.code_id}"
    assert json.loads(ask(account, "GET", path, scope=scope).body)["name"] == "Smartlead"
    assert ask(account, "DELETE", path, scope=scope).status == 204
    assert not google_world.opens(world, ADDRESS, account.now, password=made.value)
    assert ask(account, "GET", path, scope=scope).status == 404


@pytest.mark.parametrize(
    ("position", "words"), [("compliant", {"COMPLIANT"}), ("needs_work", {"NEEDS_WORK"}), ("absent", set())]
)
def test_compliance_is_as_the_switch_says(position: str, words: set[str]) -> None:
    account = Account(google_workspace_compliance=position)
    path, scope = f"/v2/domains/{NAME}/complianceStatus", "https://www.googleapis.com/auth/postmaster"
    assert ask(account, "GET", path, scope=scope).status == 403
    account.state.verified.add((google_world.ADMIN, NAME))
    rows = json.loads(ask(account, "GET", path, scope=scope).body).get("complianceData", {}).get("rowData", [])
    assert {row["status"]["status"] for row in rows} == words


def test_users_are_made_no_faster_than_the_account_allows() -> None:
    account = Account(google_workspace_users_per_second=2)
    calls = [account.google.create_user(account.person(f"person{number}")) for number in range(4)]
    errors = [call.classify(account.transport.send(call)) for call in calls]
    assert [type(error) for error in errors] == [type(None), type(None), RateLimited, RateLimited]


def test_a_domain_that_left_the_account_is_unknown(account: Account) -> None:
    path = f"/admin/directory/v1/customer/my_customer/domains/{NAME}"
    assert ask(account, "DELETE", path, scope=google_workspace.DOMAIN).status == 204
    assert isinstance(account.error(account.google.get_domain(NAME)), NotFound)


# What people do


def test_an_app_password_needs_two_steps_and_alone_opens_the_mailbox(account: Account) -> None:
    account.settled()
    account.do(account.google.enable_imap(ADDRESS))
    world = account.sandbox.world
    with pytest.raises(Refusal, match="2-step"):
        google_world.make_app_password(world, ADDRESS, "Smartlead", account.now)
    google_world.switch_two_step(world, ADDRESS, True)
    made = google_world.make_app_password(world, ADDRESS, "Smartlead", account.now)
    assert not google_world.opens(world, ADDRESS, account.now, password=PASSWORD)
    assert google_world.opens(world, ADDRESS, account.now, password=made.value)
    assert google_world.opens(world, ADDRESS, account.now, door="imap", password=made.value)
    google_world.switch_two_step(world, ADDRESS, False)
    assert not google_world.opens(world, ADDRESS, account.now, password=made.value)


def test_a_key_can_be_made_after_a_while_and_started_once_its_record_is_seen(account: Account) -> None:
    world = account.sandbox.world
    with pytest.raises(Refusal, match="24-72 hours"):
        google_world.generate_key(world, NAME, account.now)
    account.sandbox.advance(4 * 86_400)
    key = google_world.generate_key(world, NAME, account.now)
    with pytest.raises(Refusal, match="not visible"):
        google_world.start_authentication(world, NAME, account.now)
    foreign = google_world.signature_of(world, ADDRESS, account.now)
    assert (foreign.own, foreign.domain.endswith("gappssmtp.com")) == (False, True)
    zone = account.do(account.cloudflare.create_zone(NAME))
    row = DnsRecord("TXT", f"{key.selector}._domainkey.{NAME}", key.txt)
    account.do(account.cloudflare.batch_records(NAME, zone.id, posts=[row]))
    delegate(world, NAME, zone.name_servers, account.now)
    account.sandbox.advance(3600)
    google_world.start_authentication(world, NAME, account.now)
    account.sandbox.advance(2 * 3600)
    own = google_world.signature_of(world, ADDRESS, account.now)
    assert (own.own, own.domain, own.selector) == (True, NAME, "google")


# Shapes, judged by the descriptions that Google ships with its own client

DESCRIPTIONS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "array": list,
    "any": object,
}


def problems(schemas: dict[str, Any], name: str, value: Any, where: str = "") -> list[str]:
    """Return what a value has that the schema does not know, or has in another type."""
    found: list[str] = []
    for key, one in value.items():
        described = schemas[name]["properties"].get(key)
        if described is None:
            found.append(f"{where}{key} is unknown")
            continue
        rows = one if described.get("type") == "array" else [one]
        inner = described.get("items", described) if described.get("type") == "array" else described
        for row in rows if isinstance(rows, list) else [rows]:
            if "$ref" in inner:
                found += problems(schemas, inner["$ref"], row, f"{where}{key}.")
            elif "properties" in inner:
                found += problems({"": inner}, "", row, f"{where}{key}.")
            elif not isinstance(row, TYPES.get(inner.get("type", "any"), object)):
                found.append(f"{where}{key} is no {inner.get('type')}")
    return found


@pytest.mark.parametrize(
    ("description", "schema", "verb"),
    [
        ("admin.directory_v1", "Domains2", "list_domains"),
        ("admin.directory_v1", "Domains", "get_domain"),
        ("admin.directory_v1", "User", "get_user"),
        ("admin.directory_v1", "Users", "list_users"),
        ("admin.directory_v1", "Asps", "list_app_passwords"),
        ("siteVerification.v1", "SiteVerificationWebResourceGettokenResponse", "verification_token"),
        ("licensing.v1", "LicenseAssignment", "get_licence"),
        ("gmail.v1", "ImapSettings", "imap_enabled"),
    ],
)
def test_replies_are_of_the_shape_that_google_describes(
    account: Account, description: str, schema: str, verb: str
) -> None:
    account.settled()
    google_world.switch_two_step(account.sandbox.world, ADDRESS, True)
    google_world.make_app_password(account.sandbox.world, ADDRESS, "Smartlead", account.now)
    schemas = json.loads((DESCRIPTIONS / f"{description}.json").read_text())["schemas"]
    about = {
        "list_domains": (), "get_domain": (NAME,), "list_users": (NAME,), "verification_token": (NAME,),
    }.get(verb, (ADDRESS,))  # fmt: skip
    reply = json.loads(account.transport.send(getattr(account.google, verb)(*about)).body)
    assert problems(schemas, schema, reply) == []
    assert problems(schemas, schema, {**reply, "invented": 1}) == ["invented is unknown"]
