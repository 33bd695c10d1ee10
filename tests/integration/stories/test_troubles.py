"""Each code of the catalogue that a run of the stack `workspace` can meet, brought about at the simulated platforms: what
its student reads is the catalogue's, on the page and in the API.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from infra import troubles
from infra.dashboard.progress import progress
from infra.models import MailboxState, Provision
from infra.wizard import own
from integrations.sandbox import google_world
from provisioning import queries, seeing
from provisioning.engine.specs import HOUR

from .. import people
from .kit import Story, make_order
from .test_workspace import NAME, ordered

pytestmark = pytest.mark.django_db


def refuses(platform: str, verb: str, status: int) -> Callable[[Story], None]:
    def begin(made: Story) -> None:
        made.sandbox.faults.add("status", platform=platform, verb=verb, status=status, times=50)

    return begin


def switch(**values: Any) -> Callable[[Story], None]:
    return lambda made: made.sandbox.switches.set(**values)


def nobody_acts(made: Story) -> None:
    made.world.people = []


def no_key_is_made(made: Story) -> None:
    made.world.people = [people.own_domains_are_delegated]


def slow_down(made: Story) -> None:
    made.sandbox.faults.add("rate_limit", platform="smartlead", verb="list_accounts", times=1)


def is_at_google(made: Story) -> None:
    address = made.provision.mailboxes.order_by("address").values_list("address", flat=True)[0]
    made.sandbox.world.google_workspace.users["77"] = google_world.User("77", address, "Some", "Body", "own", 0.0)


TROUBLES: dict[str, Callable[[Story], None]] = {
    "NAMESERVER_NOT_UPDATED": nobody_acts,
    "CLOUDFLARE_AUTH_FAILED": refuses("cloudflare", "find_zone", 401),
    "GOOGLE_WORKSPACE_AUTH_FAILED": refuses("google_workspace", "access_token", 401),
    "DNS_PROPAGATION_TIMEOUT": switch(dns_withheld_names=f"_dmarc.{NAME}"),
    "EMAIL_ALREADY_EXISTS": is_at_google,
    "WORKSPACE_QUOTA_EXCEEDED": switch(google_workspace_seats=1),
    "WEAK_PASSWORD": switch(google_workspace_password_length=90),
    "DKIM_KEY_MISSING": no_key_is_made,
    "SMARTLEAD_API_KEY_INVALID": refuses("smartlead", "list_accounts", 401),
    "SMARTLEAD_RATE_LIMIT": slow_down,
    "EMAIL_ALREADY_CONNECTED": switch(smartlead_held_addresses=f"ada@{NAME}"),
    "TRACKING_DOMAIN_SETUP_FAILED": switch(smartlead_tracking="refused"),
}


def met(made: Story) -> set[str]:
    """Return the codes that stand in the way at the moment."""
    status = queries.status_of(made.provision)
    items = [item.trouble for stage in status.stages for item in stage.items]
    return {one.code for one in (*items, *(stage.trouble for stage in status.stages)) if one is not None}


@pytest.mark.parametrize("code", TROUBLES)
def test_a_trouble_is_told_in_the_words_of_the_catalogue(code: str) -> None:
    made = ordered()
    TROUBLES[code](made)
    made.play(lambda: code in met(made), hours=300)
    made.refresh()
    entry = troubles.CATALOGUE[code]
    page = progress(made.provision.student, made.provision, now=timezone.now())
    told = {stage.trouble.code: stage.trouble for stage in page.stages if stage.trouble is not None}
    assert told[code].sentence == str(entry.sentence)
    assert told[code].action == str(entry.action)
    assert told[code].href == reverse("help", args=[entry.help])


def test_the_page_and_the_api_say_the_same_of_a_trouble(client: Client) -> None:
    made = ordered()
    is_at_google(made)
    made.play(lambda: "EMAIL_ALREADY_EXISTS" in met(made), hours=240)
    client.force_login(made.provision.student)
    body = client.get(reverse("api-status", args=[made.provision.pk])).json()
    (obstacle,) = [stage["obstacle"] for stage in body["stages"] if stage["obstacle"]]
    entry = troubles.CATALOGUE["EMAIL_ALREADY_EXISTS"]
    assert obstacle == {
        "code": entry.code,
        "sentence": str(entry.sentence),
        "acts": "operator",
        "action": str(entry.action),
        "fallback": str(entry.fallback),
        "retryable": False,
        "delay_seconds": None,
        "attempts": None,
        "help": "/help/google-workspace-setup/",
    }
    page = client.get(reverse("progress")).content.decode()
    assert str(entry.sentence) in page
    assert 'href="/help/google-workspace-setup/"' in page


def test_a_record_that_asks_for_too_much_is_told_in_the_words_of_the_catalogue(client: Client) -> None:
    """No run writes such a record: its owner does, at Cloudflare, and a look finds it."""
    made = ordered()
    made.play(hours=240)
    zone = made.sandbox.world.cloudflare.zone_named(NAME)
    assert zone is not None
    (ours,) = (one for one in zone.records if "v=spf1" in one.content)
    many = " ".join(["include:_spf.google.com", *(f"a:host{number}.{NAME}" for number in range(10))])
    ours.content = f'"v=spf1 {many} ~all"'
    made.advance(HOUR)
    domain = made.provision.domains.get()
    assert seeing.check_now(domain=domain, actor="ada")
    assert seeing.look_at_next(made.world.workshop)
    entry = troubles.CATALOGUE["SPF_TOO_MANY_LOOKUPS"]
    client.force_login(made.provision.student)
    page = client.get(reverse("domain-spf", args=[NAME])).content.decode()
    assert f"{entry.sentence} {entry.action}" in html.unescape(page)
    assert f'href="{reverse("help", args=[entry.help])}"' in page
    api = client.get(reverse("api-domain-spf", args=[NAME])).json()
    assert [one["text"] for one in api["notices"]] == [f"{entry.sentence} {entry.action}"]


def test_a_domain_that_is_part_of_a_set_up_is_told_in_the_words_of_the_catalogue() -> None:
    """It is met before anything is paid, where domains are typed in."""
    made = ordered()
    ada, entry = made.provision.student, troubles.CATALOGUE["DOMAIN_ALREADY_EXISTS"]
    draft = Provision.objects.create(student=ada, tier=made.provision.tier, enlarges=made.provision)
    with pytest.raises(ValidationError) as refused:
        own.parse(NAME, draft)
    assert refused.value.messages == [f"{NAME} is part of your set-up already. {entry.action}"]
    draft.student = make_order("other", tier="own-domains").student
    with pytest.raises(ValidationError) as refused:
        own.parse(NAME, draft)
    (said,) = refused.value.messages
    assert f"{NAME} is part of another set-up here" in said
    assert str(ada.email) not in said


def test_a_tracking_address_that_is_not_taken_gives_way_to_the_tools_own() -> None:
    made = ordered()
    switch(smartlead_tracking="refused")(made)
    made.play(hours=240)
    made.check()
    assert set(made.provision.mailboxes.values_list("state", flat=True)) == {MailboxState.WARMING}
    assert {one.tracking for one in made.sandbox.world.smartlead.accounts.values()} == {""}
    assert "TRACKING_DOMAIN_SETUP_FAILED" not in met(made)


def test_the_help_page_of_every_trouble_is_there(client: Client) -> None:
    index = client.get(reverse("help-index")).content.decode()
    for slug in {entry.help for entry in troubles.CATALOGUE.values()}:
        page = client.get(reverse("help", args=[slug]))
        assert page.status_code == 200
        assert index.count(f"/help/{slug}/") == 1


def test_a_help_page_that_does_not_exist_is_not_found(client: Client) -> None:
    assert client.get("/help/anything/").status_code == 404
