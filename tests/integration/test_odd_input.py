"""Values that no page of ours sends and PostgreSQL refuses: nobody gets a 500 for them."""

from __future__ import annotations

import pytest
from django.test import Client

from infra.models import Counter, Credential, CredentialReveal, Provision
from infra.secret import Secret
from provisioning import search
from tests.integration.pages import signed_in, student

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]


@pytest.mark.parametrize("cookie", ['"aaaaaaaaaaaa\\000"', "x" * 500, "../../etc", "é"])
def test_an_odd_session_cookie_is_nobodys(cookie: str) -> None:
    browser = Client(headers={"cookie": f"session={cookie}"})
    assert browser.get("/infrastructure/").status_code == 302


def test_a_password_is_shown_once_whoever_clicks_faster() -> None:
    ada = student()
    provision = Provision.objects.create(student=ada)
    credential = Credential.objects.create(
        provision=provision, student=ada, kind="sending_tool", login="a@b.example", password=Secret("s3cret-once")
    )
    CredentialReveal.objects.create(credential=credential, student=ada)
    page = signed_in(ada).post(f"/infrastructure/dashboard/credentials/{credential.pk}/", {"password": "pw"})
    assert b"s3cret-once" not in page.content
    assert CredentialReveal.objects.count() == 1


def test_old_counters_go_and_new_ones_stay() -> None:
    from django.utils import timezone

    now = timezone.now()
    Counter.objects.create(key="old", window_start=now.replace(year=now.year - 1))
    Counter.objects.create(key="new", window_start=now)
    assert search.prune() >= 1
    assert list(Counter.objects.values_list("key", flat=True)) == ["new"]
