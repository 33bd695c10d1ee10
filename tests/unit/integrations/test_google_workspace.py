"""What is particular of the Google Workspace client; what all verbs share is in test_error_family.py."""

from __future__ import annotations

import json

import pytest

from config.env import SANDBOX_CREDENTIALS
from integrations.google_workspace import GoogleWorkspaceClient, GoogleWorkspaceSettings, NewUser
from integrations.http.redact import Hidden

from .verbs import ADDRESS, DOMAIN, google


def test_each_service_has_a_host_of_its_own() -> None:
    hosts = {
        call.request.url.split("/")[2]
        for call in (
            google.list_domains(),
            google.verification_token(DOMAIN),
            google.get_licence(ADDRESS),
            google.imap_enabled(ADDRESS),
            google.access_token("scope", at=0),
        )
    }
    assert hosts == {
        "admin.googleapis.com",
        "www.googleapis.com",
        "licensing.googleapis.com",
        "gmail.googleapis.com",
        "oauth2.googleapis.com",
    }


def test_a_key_file_does_not_choose_where_we_post_to() -> None:
    key_file = json.loads(str(SANDBOX_CREDENTIALS["GOOGLE_WORKSPACE_SERVICE_ACCOUNT"]))
    values = {
        "GOOGLE_WORKSPACE_SERVICE_ACCOUNT": json.dumps({**key_file, "token_uri": "https://elsewhere.example/token"}),
        "GOOGLE_WORKSPACE_ADMIN": "admin@operator.example",
    }
    client = GoogleWorkspaceClient(GoogleWorkspaceSettings.from_mapping(values))
    assert client.access_token("scope", at=0).request.url == "https://oauth2.googleapis.com/token"


def test_a_call_is_built_without_any_token() -> None:
    call = google.get_user(ADDRESS)
    assert "authorization" not in {name.lower() for name in call.request.headers}
    assert call.request.grant is not None
    assert call.request.grant.key[1] == "admin@operator.example"
    own = google.enable_imap(ADDRESS).request.grant
    assert own is not None
    assert own.key[1] == ADDRESS


@pytest.mark.parametrize("name", ["", "x" * 61])
def test_a_name_that_they_would_not_take_is_not_sent(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 60"):
        google.create_user(NewUser(ADDRESS, name, "Sender", Hidden("Word-4-you-and-me"), "GTM-7K3F9Q"))


def test_another_account_reads_the_same_key_no_second_time() -> None:
    settings = GoogleWorkspaceSettings.from_mapping(SANDBOX_CREDENTIALS | {"GOOGLE_WORKSPACE_ADMIN": "a@one.example"})
    other = GoogleWorkspaceSettings.from_mapping(SANDBOX_CREDENTIALS | {"GOOGLE_WORKSPACE_ADMIN": "b@two.example"})
    assert settings != other
    assert settings.signer is other.signer
