"""A sandbox with a clock that stands still, and short ways to talk to each platform."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from integrations.http.call import Call, Raw
from integrations.http.call import Request as Outgoing
from integrations.sandbox import ManualClock, Request, Response, Sandbox
from integrations.sandbox.plusvibe import AGENCY

MACHINE = 1_790_000_000.0
ZAPMAIL = "/zapmail/api"
PLUSVIBE = "/plusvibe/api/v1"
HEYREACH = "/heyreach/api/public"
WARMFORGE = "/warmforge/public/v1"
SALESFORGE = "/salesforge/public/v2"
INFRAFORGE = "/infraforge/public"
CLOUDFLARE = "/cloudflare/client/v4"
SMARTLEAD = "/smartlead/api/v1"
GODADDY_TOKEN = "Bearer gd_pat_sandbox-godaddy-token"
BILLING = {
    "company": "Operator Ltd",
    "firstName": "Op",
    "lastName": "Erator",
    "addressLineOne": "1 Street",
    "city": "Town",
    "state": "State",
    "country": "US",
    "postalCode": "12345",
    "phoneCc": "1",
    "phone": "5550100",
    "languagePreference": "en",
}
HOUR, DAY = 3600.0, 86_400.0


class Box:
    """One sandbox under test. No limits on requests unless a test sets them."""

    def __init__(self, seed: int = 1, **switches: Any) -> None:
        self.clock = ManualClock(machine=lambda: MACHINE)
        self.sandbox = Sandbox(seed=seed, speed=self.clock)
        self.sandbox.switches.set(
            zapmail_general_per_minute=0,
            zapmail_search_per_30_min=0,
            plusvibe_per_second=0,
            heyreach_per_minute=0,
            heyreach_list_visible_seconds=0,
            warmforge_per_second=0,
            salesforge_per_second=0,
            infraforge_per_second=0,
            cloudflare_per_5_min=0,
            godaddy_per_minute=0,
            smartlead_per_2_seconds=0,
            smartlead_per_minute=0,
            smartlead_per_hour=0,
        )
        self.sandbox.switches.set(**switches)

    # Requests

    def zapmail(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        workspace: str = "",
        provider: str = "GOOGLE",
        key: str = "sandbox-zapmail-key",
        **query: object,
    ) -> Response:
        headers = {"x-auth-zapmail": key, "x-workspace-key": workspace, "x-service-provider": provider}
        return self.send(method, ZAPMAIL + path, body, headers, query)

    def plusvibe(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-plusvibe-key", **query: object
    ) -> Response:
        return self.send(method, PLUSVIBE + path, body, {"x-api-key": key}, query)

    def heyreach(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-heyreach-key", **query: object
    ) -> Response:
        return self.send(method, HEYREACH + path, body, {"x-api-key": key}, query)

    def warmforge(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-warmforge-key", **query: object
    ) -> Response:
        return self.send(method, WARMFORGE + path, body, {"authorization": key} if key else {}, query)

    def salesforge(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-salesforge-key", **query: object
    ) -> Response:
        return self.send(method, SALESFORGE + path, body, {"authorization": key} if key else {}, query)

    def infraforge(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-infraforge-key", **query: object
    ) -> Response:
        return self.send(method, INFRAFORGE + path, body, {"Authorization": key}, query)

    def cloudflare(
        self, method: str, path: str, body: Any = None, *, token: str = "sandbox-cloudflare-token", **query: object
    ) -> Response:
        return self.send(method, CLOUDFLARE + path, body, {"Authorization": f"Bearer {token}"}, query)

    def godaddy(
        self, method: str, path: str, body: Any = None, *, auth: str = "", key: str = "", **query: object
    ) -> Response:
        """Ask v3 or v1, as the path says, with its usual credential unless another one is given."""
        usual = "sso-key sandbox-godaddy-key:sandbox-godaddy-secret" if path.startswith("/v1") else GODADDY_TOKEN
        headers = {"Authorization": auth or usual, **({"Idempotency-Key": key} if key else {})}
        return self.send(method, f"/godaddy{path}", body, headers, query)

    def smartlead(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "sandbox-smartlead-key",
        agent: str = "gtm-infrastructure",
        **query: object,
    ) -> Response:
        keyed = {"api_key": key, **query} if key else query
        return self.send(method, SMARTLEAD + path, body, {"user-agent": agent} if agent else {}, keyed)

    def send(self, method: str, path: str, body: Any, headers: dict[str, str], query: dict[str, object]) -> Response:
        content = b"" if body is None else json.dumps(body).encode()
        url = path + ("?" + urlencode(query) if query else "")
        return self.sandbox.handle(Request.to(method, url, headers=headers, body=content))

    # A set-up, step by step

    def workspace(self, name: str = "Sample Student GTM-7K3F9Q") -> str:
        answer = self.zapmail("POST", "/v2/workspaces", {"name": name, "billingDetails": BILLING})
        return str(data(answer)["id"])

    def buy(self, workspace: str, *names: str, wallet: bool = True) -> Response:
        rows = [{"domainName": name, "years": 1} for name in names]
        body = {"domains": rows, "useWallet": wallet, "enableDnsShield": False}
        return self.zapmail("POST", "/v2/domains/buy", body, workspace=workspace)

    def domains(self, workspace: str, **query: Any) -> dict[str, dict[str, Any]]:
        answer = self.zapmail("GET", "/v2/domains", workspace=workspace, limit=100, **query)
        return {row["domain"]: row for row in data(answer)["domains"]}

    def active_domain(self, workspace: str, name: str = "getexamplebrand.com") -> str:
        assert self.buy(workspace, name).status == 200
        self.sandbox.advance(DAY)
        return str(self.domains(workspace)[name]["id"])

    def slots(self, workspace: str, quantity: int) -> Response:
        return self.zapmail("POST", "/v2/wallet/buy-addon-mailboxes", workspace=workspace, quantity=quantity)

    def ask_mailboxes(self, workspace: str, domain_id: str, domain: str, *users: str, **kw: Any) -> Response:
        rows = [
            {"firstName": "Sample", "lastName": "Sender", "mailboxUsername": user, "domainName": domain}
            for user in users
        ]
        return self.zapmail("POST", "/v2/mailboxes", {domain_id: rows}, workspace=workspace, **kw)

    def mailboxes(self, workspace: str) -> dict[str, dict[str, Any]]:
        rows = data(self.zapmail("GET", "/v2/mailboxes/list", workspace=workspace, limit=100))["domains"]
        return {box["email"]: box for row in rows for box in row["mailboxes"]}

    def active_mailboxes(self, workspace: str, *users: str, domain: str = "getexamplebrand.com") -> list[str]:
        """Buy a domain and slots, create mailboxes, wait, and return their ids."""
        domain_id = self.active_domain(workspace, domain)
        self.slots(workspace, len(users))
        self.sandbox.advance(HOUR)
        assert self.ask_mailboxes(workspace, domain_id, domain, *users).status == 200
        self.sandbox.advance(DAY)
        return [box["id"] for box in self.mailboxes(workspace).values() if box["domain"] == domain]

    def sending_workspace(self, name: str = "Sample Student GTM-7K3F9Q") -> str:
        body = {"workspace_id": AGENCY, "workspace_name": name}
        return str(self.plusvibe("POST", "/workspaces/add/", body).json()["_id"])

    def ask_client(self, *workspaces: str, email: str = "student@example.com", **changes: Any) -> Response:
        permissions = changes.pop("permissions", ["UNIBOX_FULL_ACCESS"])
        rows = [{"id": item, "permissions": permissions, "hide_labels": []} for item in workspaces]
        names = {"client_first_name": "Sample", "client_last_name": "Student", "client_business_name": "Sample GTM"}
        body = {"workspace_id": AGENCY, "client_email": email, **names, "workspaces": rows, **changes}
        return self.plusvibe("POST", "/client", body)

    def login_for(self, *workspaces: str, email: str = "student@example.com", **changes: Any) -> tuple[str, str]:
        reply = self.ask_client(*workspaces, email=email, **changes).json()
        return str(reply["email"]), str(reply["password"])

    def register(self, workspace: str, email: str, password: str, app: str = "PIPL") -> Response:
        body = {"email": email, "password": password, "app": app}
        return self.zapmail("POST", "/v2/exports/accounts/third-party", body, workspace=workspace)

    def export(self, workspace: str, ids: list[str], **more: Any) -> Response:
        body = {"apps": ["PIPL"], "ids": ids, "excludeIds": [], "tagIds": [], "contains": "", "status": "", **more}
        return self.zapmail("POST", "/v2/exports/mailboxes", body, workspace=workspace)

    def accounts(self, workspace: str) -> dict[str, dict[str, Any]]:
        rows = self.plusvibe("GET", "/account/list", workspace_id=workspace).json()["accounts"]
        return {row["email"]: row for row in rows}

    def exported(self, *users: str, **changes: Any) -> tuple[str, str, list[str]]:
        """Play everything up to the accounts in PlusVibe; return both workspaces and the mailbox ids."""
        workspace, sending = self.workspace(), self.sending_workspace()
        ids = self.active_mailboxes(workspace, *users)
        assert self.register(workspace, *self.login_for(sending, **changes)).status == 200
        assert self.export(workspace, ids).status == 200
        self.sandbox.advance(HOUR)
        return workspace, sending, ids


def data(response: Response) -> Any:
    """Return the `data` of an answer in Zapmail's envelope."""
    assert response.status in (200, 202), response.body
    document = response.json()
    assert set(document) == {"status", "message", "data"}
    return document["data"]


def call(
    url: str,
    *,
    platform: str = "heyreach",
    method: str = "GET",
    json: Any = None,
    headers: dict[str, str] | None = None,
    deadline: float = 30.0,
) -> Call[Raw]:
    """Return a call as a client would make it."""
    request = Outgoing(method, url, headers or {}, json=json)
    return Call(platform, "some_verb", request, parse=lambda raw: raw, classify=lambda raw: None, deadline=deadline)
