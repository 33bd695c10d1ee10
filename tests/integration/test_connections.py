"""The pages on which a student connects accounts of their own: each key tried live, each failure said, nothing lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail as sent
from django.test import Client
from django.utils import timezone

from infra.mails import contents
from infra.models import Domain, Mail, OperatorItem, PlatformConnection, Provision, User
from integrations.sandbox import google_world
from integrations.sandbox.google_world import generate_key
from provisioning import actions, connections, entering
from provisioning.engine.accounts import FROZEN
from provisioning.looking import take_due
from provisioning.models import Run

from . import people
from .own_accounts import ADMIN, GODADDY, GOOGLE, KEY, OWNER, SMARTLEAD, connect, connect_both, open_accounts
from .pages import signed_in, student, text
from .stories.kit import make_order, make_tier, make_world
from .world import World

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("client")]

PACKAGE, ACCOUNTS = "/infrastructure/setup/package/", "/infrastructure/setup/accounts/"
DOMAINS, PAGE = "/infrastructure/setup/domains/", "/infrastructure/connections/"


@pytest.fixture
def world(db: None) -> World:
    world = make_world(switches={"google_workspace_dkim_wait_seconds": (0.0, 0.0)})
    open_accounts(world.sandbox)
    return world


@pytest.fixture
def draft(settings: Any, world: World) -> Provision:
    settings.ENABLED_STACKS = ["zapmail", "workspace"]
    return Provision.objects.create(
        student=student(), tier=make_tier("own-domains"), brand="Acme", sender_first_name="Ada", sender_last_name="Keen",
        mailbox_patterns=["ada", "ada.keen"],
    )  # fmt: skip


SHORT = [scope.rpartition("/")[2] for scope in connections.SCOPES]


def save(client: Client, slug: str, value: str, at: str = ACCOUNTS) -> Any:
    return client.post(at, {"platform": slug, "action": "save", "value": value})


def try_all(world: World) -> None:
    """Let a worker try what waits."""
    while (row := take_due(PlatformConnection, connections.BACKOFF)) is not None:
        connections.check(row, world.workshop)


def row_of(person: User, slug: str = GOOGLE) -> PlatformConnection:
    return PlatformConnection.objects.filter(student=person, platform=slug, ended_at=None).latest("created_at")


def test_after_the_package_the_accounts_are_shown_once_and_the_operators_are_used_where_nothing_is_done(
    draft: Provision,
) -> None:
    client = signed_in(draft.student)
    assert client.post(PACKAGE, {"tier": "own-domains"}).headers["Location"] == ACCOUNTS
    page = text(client.get(ACCOUNTS))
    assert "Step 2 of 5" in page
    assert "You need not do anything." in page
    assert client.post(ACCOUNTS, {"action": "continue"}).headers["Location"] == DOMAINS
    assert "Step 3 of 5" in text(client.get(DOMAINS))
    assert not PlatformConnection.objects.exists()


def test_a_package_on_the_operators_accounts_alone_asks_for_none(draft: Provision) -> None:
    draft.tier = make_tier("starter")
    draft.save()
    client = signed_in(draft.student)
    assert client.get(ACCOUNTS).headers["Location"] == DOMAINS
    assert client.post(PACKAGE, {"tier": "starter"}).headers["Location"] == DOMAINS
    assert client.get(PAGE).status_code == 404


def test_without_an_account_of_the_operators_the_wizard_does_not_go_on(draft: Provision, settings: Any) -> None:
    settings.PLATFORMS = {**settings.PLATFORMS, "SMARTLEAD_API_KEY": ""}
    client = signed_in(draft.student)
    assert client.get(DOMAINS).headers["Location"] == ACCOUNTS
    refused = client.post(ACCOUNTS, {"action": "continue"})
    assert refused.status_code == 422
    assert "Connect your accounts first." in text(refused)
    save(client, SMARTLEAD, KEY)
    assert client.get(DOMAINS).status_code == 200, "what is not checked yet keeps nobody waiting"


def test_the_page_says_exactly_what_to_paste(draft: Provision) -> None:
    page = signed_in(draft.student).get(ACCOUNTS).content.decode()
    assert "100000000000000000000" in page
    assert ",".join(connections.SCOPES) in page
    assert "https://www.googleapis.com/auth/admin.directory.domain" in page


def test_an_own_google_account_is_tried_after_its_administrator_has_shown_the_code(
    draft: Provision, world: World
) -> None:
    client = signed_in(draft.student)
    assert save(client, GOOGLE, f" {ADMIN.upper()} ").status_code == 302
    calls = len(world.sandbox.log)
    try_all(world)
    assert len(world.sandbox.log) == calls, "nobody acts in the name of somebody who has not agreed"
    letter = contents.letter(Mail.objects.get(kind="connection_code", to=ADMIN))
    code = connections.code_of(row_of(draft.student))
    assert code in letter.text
    assert draft.student.email in letter.text
    wrong = client.post(ACCOUNTS, {"platform": GOOGLE, "action": "prove", "code": "12345678"})
    assert wrong.status_code == 422
    assert "not the code" in text(wrong)
    assert "12345678" in wrong.content.decode()
    assert (
        client.post(ACCOUNTS, {"platform": GOOGLE, "action": "prove", "code": f" {code[:4]} {code[4:]}"}).status_code
        == 302
    )
    assert "Being checked" in text(client.get(ACCOUNTS))
    try_all(world)
    page = text(client.get(ACCOUNTS))
    assert f"Your own account: {ADMIN}" in page
    assert page.count("There") == len(connections.SCOPES)
    row = row_of(draft.student)
    assert (row.state, row.account, row.is_used) == ("good", "agency.example", True)
    assert "Code from the e-mail" not in page


def test_ten_wrong_codes_end_it(draft: Provision) -> None:
    client = signed_in(draft.student)
    save(client, GOOGLE, ADMIN)
    code = connections.code_of(row_of(draft.student))
    for _ in range(10):
        answer = client.post(ACCOUNTS, {"platform": GOOGLE, "action": "prove", "code": "1"})
    assert "Too many wrong codes" in text(answer)
    refused = client.post(ACCOUNTS, {"platform": GOOGLE, "action": "prove", "code": code})
    assert "No code is asked for" in text(refused)


@pytest.mark.parametrize(
    ("scopes", "switches", "problem", "words"),
    [
        (" ".join(SHORT[:4]), {}, "missing_scopes", "add the scopes"),
        ("", {}, "missing_scopes", "add the scopes"),
        (None, {"google_workspace_api_access": "none"}, "no_api_access", "may not be used by programs"),
    ],
)
def test_each_right_is_tried_by_itself_and_what_is_missing_is_named(
    draft: Provision, world: World, scopes: str | None, switches: dict[str, Any], problem: str, words: str
) -> None:
    google_world.delegate(world.sandbox.world, ADMIN, scopes)
    world.sandbox.switches.set(**switches)
    row = connect(draft.student, GOOGLE, ADMIN, world.workshop)
    assert (row.state, row.problem, row.is_used) == ("refused", problem, False)
    page = text(signed_in(draft.student).get(ACCOUNTS))
    assert words in page
    if scopes:
        assert [name for name, there in row.scopes.items() if not there] == ["gmail.settings.basic"]
        assert "gmail.settings.basic Missing" in page


def test_an_administrator_whom_google_does_not_know_is_said(draft: Provision, world: World) -> None:
    row = connect(draft.student, GOOGLE, "nobody@unknown.example", world.workshop)
    assert row.problem == "wrong_admin"
    user = google_world.User("55", f"clerk@{ADMIN.partition('@')[2]}", "C", "Lerk", "x", 0.0, customer="C00000002")
    world.sandbox.world.google_workspace.users["55"] = user
    row = connect(draft.student, GOOGLE, user.address, world.workshop)
    assert row.problem == "no_rights"
    assert "super administrator" in text(signed_in(draft.student).get(ACCOUNTS))


def test_the_operators_account_cannot_be_taken_for_ones_own(draft: Provision, world: World) -> None:
    refused = save(signed_in(draft.student), GOOGLE, google_world.ADMIN)
    assert refused.status_code == 422
    second = google_world.User("56", "second@operator.example", "S", "E", "x", 0.0, is_admin=True)
    world.sandbox.world.google_workspace.users["56"] = second
    assert connect(draft.student, GOOGLE, second.address, world.workshop).problem == "operators_account"


def test_one_account_is_connected_by_one_student(draft: Provision, world: World) -> None:
    connect_both(draft.student, world.workshop)
    other = student("bo@students.example")
    assert connect(other, GOOGLE, ADMIN, world.workshop).problem == "shared_account"


def test_a_key_in_use_that_turns_out_to_open_somebody_elses_account_is_refused(draft: Provision, world: World) -> None:
    """An empty account tells nobody whose it is, so that two students may have come into one."""
    connect_both(draft.student, world.workshop)
    bo = student("bo@students.example")
    world.sandbox.world.smartlead.owners["the-key-of-bo"] = OWNER
    connect(bo, SMARTLEAD, "the-key-of-bo", world.workshop)
    PlatformConnection.objects.filter(student=bo).update(is_used=True, account="", state="refused", problem="wrong_key")
    connections.check_again(student=bo, slug=SMARTLEAD)
    account = connections.Found(row_of(draft.student, SMARTLEAD).account or "7")
    PlatformConnection.objects.filter(student=draft.student, platform=SMARTLEAD).update(account=account.account)
    connections.write_down(row_of(bo, SMARTLEAD), account)
    row = row_of(bo, SMARTLEAD)
    assert (row.state, row.problem, row.account) == ("refused", "shared_account", "")


def test_a_wrong_key_is_said_and_never_shown_again(draft: Provision, world: World) -> None:
    client = signed_in(draft.student)
    save(client, SMARTLEAD, "a-key-that-opens-nothing")
    try_all(world)
    page = client.get(ACCOUNTS)
    assert "Smartlead does not take this key." in text(page)
    assert "a-key-that-opens-nothing" not in page.content.decode()
    assert client.get(DOMAINS).headers["Location"] == ACCOUNTS
    client.post(ACCOUNTS, {"platform": SMARTLEAD, "action": "operators"})
    assert client.get(DOMAINS).status_code == 200


@pytest.mark.parametrize("value", ["", "two words", "ein schlüssel", "x" * 501, "x" * 5000, "line\nbreak"])
def test_what_can_be_no_key_is_refused_before_anybody_is_asked(draft: Provision, value: str) -> None:
    refused = save(signed_in(draft.student), SMARTLEAD, value)
    assert refused.status_code == 422
    assert not PlatformConnection.objects.exists()
    if value:
        assert value not in refused.content.decode()


def test_a_mistyped_address_is_shown_again_as_it_was_typed(draft: Provision) -> None:
    refused = save(signed_in(draft.student), GOOGLE, "ada at agency")
    assert refused.status_code == 422
    assert 'value="ada at agency"' in refused.content.decode()


@pytest.mark.parametrize("data", [{"platform": "zapmail", "action": "save"}, {"platform": GOOGLE, "action": "x"}, {}])
def test_what_no_page_of_ours_sends_is_not_found(draft: Provision, data: dict[str, str]) -> None:
    assert signed_in(draft.student).post(PAGE, data).status_code == 404


def test_while_the_platform_is_down_a_key_is_saved_and_tried_again_by_itself(draft: Provision, world: World) -> None:
    client = signed_in(draft.student)
    fault = world.sandbox.faults.add("unreachable", platform=SMARTLEAD)
    save(client, SMARTLEAD, KEY)
    try_all(world)
    page = text(client.get(ACCOUNTS))
    assert "saved and not checked yet" in page
    assert client.get(DOMAINS).status_code == 200
    draft.domains.create(student=draft.student, name="getacme.com", origin="own")
    with pytest.raises(actions.Refused, match="not checked yet"):
        actions.freeze_order(provision=draft, actor="test")
    world.sandbox.faults.remove(fault.id)
    world.advance(3700)
    assert connections.is_due()
    try_all(world)
    actions.freeze_order(provision=draft, actor="test")
    draft.refresh_from_db()
    assert draft.order[FROZEN] == [SMARTLEAD]


def test_the_status_answers_204_as_long_as_nothing_has_changed(draft: Provision, world: World) -> None:
    client = signed_in(draft.student)
    save(client, SMARTLEAD, KEY)
    page = client.get(ACCOUNTS).content.decode()
    href = page.partition('hx-get="/infrastructure/connections/smartlead')[2].partition('"')[0]
    href = f"/infrastructure/connections/smartlead{href}"
    assert client.get(href).status_code == 204
    try_all(world)
    assert "Works" in text(client.get(href))
    assert client.get("/infrastructure/connections/zapmail/state/").status_code == 404


def test_what_was_changed_and_by_whom_is_kept_and_the_old_key_is_not(draft: Provision, world: World) -> None:
    connect_both(draft.student, world.workshop)
    world.sandbox.world.smartlead.owners["own-smartlead-key-anew"] = OWNER
    connect(draft.student, SMARTLEAD, "own-smartlead-key-anew", world.workshop)
    old, new = PlatformConnection.objects.filter(student=draft.student, platform=SMARTLEAD).order_by("created_at")
    assert (old.ended_by, old.ended_at is not None, old.credential) == (draft.student.email, True, None)
    assert (new.is_used, new.credential.open()) == (True, "own-smartlead-key-anew")


def test_a_key_that_does_not_work_leaves_the_one_in_use_alone(draft: Provision, world: World) -> None:
    connect_both(draft.student, world.workshop)
    connect(draft.student, SMARTLEAD, "a-key-that-opens-nothing", world.workshop)
    used = PlatformConnection.objects.get(student=draft.student, platform=SMARTLEAD, is_used=True, ended_at=None)
    assert (used.state, used.credential.open()) == ("good", KEY)


def test_nobody_tries_keys_all_day(draft: Provision) -> None:
    client = signed_in(draft.student)
    answers = [save(client, SMARTLEAD, f"guess-number-{number}").status_code for number in range(11)]
    assert answers == [302] * 10 + [422]


# ---- what only the owner of an account can make ------------------------------------------------------------------------


def waits_for_a_key(world: World) -> tuple[Run, User]:
    provision = make_order(tier="own-domains")
    connect_both(provision.student, world.workshop)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    world.people = [people.own_domains_are_delegated]
    world.run_until(lambda: bool(entering.asked(run)), hours=240)
    run.refresh_from_db()
    return run, provision.student


def test_the_owner_of_an_account_enters_what_was_made_in_it(world: World) -> None:
    run, ada = waits_for_a_key(world)
    page_of = f"/infrastructure/runs/{run.pk}/enter/"
    assert Provision.objects.get(pk=run.provision_id).parked_reason == "needs_student"
    assert not OperatorItem.objects.filter(kind="step", resolved_at__isnull=True).exists()
    letter = contents.letter(Mail.objects.get(kind="by_hand"))
    assert "Authenticate email" in letter.text
    assert page_of in letter.text
    client = signed_in(ada)
    progress = client.get("/infrastructure/progress/").content.decode()
    assert page_of in progress
    assert "Somebody else registered" not in progress

    wrong = client.post(page_of, {"dkim_keys": "getacme.com v=DKIM1; p=nonsense"})
    assert wrong.status_code == 422
    assert "Line 1" in text(wrong)
    assert "v=DKIM1; p=nonsense" in wrong.content.decode()
    assert "dkim_record" not in Domain.objects.get(name="getacme.com").facts
    key = generate_key(world.sandbox.world, "getacme.com", world.sandbox.clock.now()).txt
    assert client.post(page_of, {"dkim_keys": f"getacme.com {key}"}).headers["Location"] == "/infrastructure/progress/"
    assert "Nothing has to be entered at the moment." in text(client.get(page_of))
    assert run.provision.events.filter(kind="entered", actor=ada.email).count() == 1
    world.run_until(lambda: run.steps.filter(key="dkim_published", state="completed").exists(), hours=48)
    world.run_until(run.steps.filter(key="accounts", waits_on="student").exists, hours=48)
    assert Mail.objects.filter(kind="by_hand").count() == 2, "one for the key, one for all app passwords"


def test_another_students_run_and_one_in_the_operators_account_are_not_found(world: World, client: Client) -> None:
    run, _ada = waits_for_a_key(world)
    other = make_order("other", tier="own-domains")
    actions.freeze_order(provision=other, actor="test")
    operators = actions.start_run(provision=other, actor="test", paid_at=timezone.now())
    bo = signed_in(other.student)
    for pk in (run.pk, operators.pk):
        assert bo.get(f"/infrastructure/runs/{pk}/enter/").status_code == 404
        assert bo.post(f"/infrastructure/runs/{pk}/enter/", {"dkim_keys": "getacme.com x"}).status_code == 404
    assert client.get(f"/infrastructure/runs/{run.pk}/enter/").status_code == 302


def test_a_refused_key_is_said_on_the_progress_page_and_answered_on_the_page_of_accounts(world: World) -> None:
    provision = make_order(tier="own-domains")
    connect_both(provision.student, world.workshop)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    world.people = [people.own_domains_are_delegated]
    fault = world.sandbox.faults.add("key_revoked", platform=GOOGLE, items=(ADMIN,))
    world.run_until(run.steps.filter(facts__question="update_key").exists, hours=48)
    client = signed_in(provision.student)
    assert "An account of yours needs you" in text(client.get("/infrastructure/progress/"))
    assert "Google no longer lets us act" in text(client.get(PAGE))
    client.post(PAGE, {"platform": GOOGLE, "action": "check"})
    try_all(world)
    assert row_of(provision.student).state == "refused"
    world.sandbox.faults.remove(fault.id)
    client.post(PAGE, {"platform": GOOGLE, "action": "check"})
    try_all(world)
    assert run.steps.filter(facts__question="update_key", next_attempt_at=None).exists()
    assert provision.events.filter(kind="key_updated").count() == 1
    assert not sent.outbox


# ---- a helper, and names that nobody sells -----------------------------------------------------------------------------


def test_a_token_that_nobody_needs_is_offered_tried_and_disconnected(draft: Provision, world: World) -> None:
    client = signed_in(draft.student)
    page = text(client.get(ACCOUNTS))
    assert "Not connected" in page
    assert "domains.nameserver:update" in page
    world.sandbox.world.godaddy.tokens["gd_pat_own-token"] = "ada's"
    save(client, GODADDY, "gd_pat_wrong")
    try_all(world)
    assert "GoDaddy does not take this token." in text(client.get(ACCOUNTS))
    save(client, GODADDY, "gd_pat_own-token")
    try_all(world)
    assert row_of(draft.student, GODADDY).state == "good"
    assert client.post(ACCOUNTS, {"platform": GODADDY, "action": "operators"}).status_code == 302
    assert not PlatformConnection.objects.filter(student=draft.student, ended_at=None).exists()
    assert client.get(DOMAINS).status_code == 200


def test_a_token_can_be_taken_away_once_nothing_is_built_with_it(world: World) -> None:
    provision = make_order(tier="own-domains")
    ada, client = provision.student, signed_in(provision.student)
    world.sandbox.world.godaddy.tokens["gd_pat_own-token"] = "ada's"
    connect(ada, GODADDY, "gd_pat_own-token", world.workshop)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    assert GODADDY in Provision.objects.get(pk=provision.pk).order[FROZEN]
    assert "Disconnect it" not in text(client.get(PAGE))
    refused = client.post(PAGE, {"platform": GODADDY, "action": "operators"})
    assert (refused.status_code, "is being built with it" in text(refused)) == (422, True)
    Run.objects.filter(pk=run.pk).update(state="done", finished_at=timezone.now())
    Provision.objects.filter(pk=provision.pk).update(state="active")
    assert "Disconnect it" in text(client.get(PAGE))
    assert client.post(PAGE, {"platform": GODADDY, "action": "operators"}).status_code == 302
    gone = PlatformConnection.objects.get(student=ada, platform=GODADDY)
    assert (gone.credential, gone.ended_by) == (None, ada.email)


def test_a_token_without_the_scope_is_said(draft: Provision, world: World) -> None:
    world.sandbox.world.godaddy.tokens["gd_pat_own-token"] = "ada's"
    world.sandbox.switches.set(godaddy_scopes="domains.domain:create")
    assert connect(draft.student, GODADDY, "gd_pat_own-token", world.workshop).problem == "token_scopes"
    assert "not for this" in text(signed_in(draft.student).get(ACCOUNTS))


def test_a_name_typed_for_a_package_that_sells_none_is_no_error_of_ours(draft: Provision) -> None:
    client = signed_in(draft.student)
    client.post(DOMAINS, {"brand": "Acme", "action": "add", "wanted": "acme-mail.com", "own": ""})
    assert client.get(DOMAINS).status_code == 200
