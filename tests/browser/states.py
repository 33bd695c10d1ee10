"""Every page in every state it can be in, each built of rows: what the gate judges and what the pictures show.

A state is a function that prepares its rows and returns what to open. Each makes a student and names of its own, so that
all of them live side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from unittest import mock

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from billing import actions as billing
from billing.models import Checkout, Downgrade, Payment, Subscription, Upgrade
from infra import accounts, clock, throttle
from infra.models import (
    AuthenticationTest,
    Credential,
    Domain,
    Flag,
    Inventory,
    Mailbox,
    MailboxSecret,
    MailboxState,
    NameAnswer,
    OperatorItem,
    Origin,
    ParkedReason,
    PlatformConnection,
    Provision,
    ProvisionState,
    RenewalChoice,
    RunKind,
    RunState,
    StepState,
    Tier,
    User,
    WarmupDay,
)
from infra.people import Person
from infra.secret import Secret
from infra.wizard import drafts
from infra.wizard import upgrade as upgrades
from provisioning import actions, connections, mail_tests
from provisioning.models import Run, Step
from tests.integration.mailboxes import PASSWORD as MAILBOX_PASSWORD
from tests.integration.mailboxes import at_zapmail
from tests.integration.pages import PASSWORD, answered, at_domains, student
from tests.integration.stories.kit import answer, make_order, make_tier
from tests.integration.warm import looked, measured, remember
from tests.integration.world import name_servers, new_order, paid, post_of

from .house import House
from .walk import DASHBOARD, DOMAINS, MAILBOXES, PACKAGE, PROGRESS, REVIEW, button

ENTRY = "/infrastructure/"
PEOPLE = f"{MAILBOXES}people/"


@dataclass(frozen=True)
class Shown:
    """What to open: as whom, which address, what the answer's status is, and what to do there.

    `sees` are words that are there when it is done: needed where `then` leads to another document.
    """

    person: User | None
    address: str
    status: int = 200
    then: Callable[[Page], object] = field(default=lambda page: None)
    sees: str = ""


Build = Callable[[House, str], Shown]
STATES: dict[str, Build] = {}


def state(build: Build) -> Build:
    """Add a state to the list, under its function's name."""
    STATES[build.__name__.replace("_", "-")] = build
    return build


def press(*labels: str) -> Callable[[Page], None]:
    """Return something to do on a page: press these buttons, one after the other."""

    def then(page: Page) -> None:
        for label in labels:
            button(page, label).click()

    return then


def somebody(name: str, **fields: object) -> User:
    return student(f"{name}@students.example", **fields)


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


# Around the infrastructure --------------------------------------------------------------------------------------------


@state
def home_empty(house: House, name: str) -> Shown:
    return Shown(somebody(name), "/")


@state
def home_draft(house: House, name: str) -> Shown:
    return Shown(at_domains(somebody(name)).student, "/")


@state
def home_with_tools(house: House, name: str) -> Shown:
    house.undo.enter_context(mock.patch.object(settings, "AI_TOOLS_URL", f"{house.site}/tools/"))
    return Shown(running(name).student, "/")


@state
def login(house: House, name: str) -> Shown:
    return Shown(None, "/login/")


@state
def login_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("E-mail").fill("nobody@students.example")
        page.get_by_label("Password").fill("wrong")
        button(page, "Sign in").click()

    return Shown(None, "/login/", then=then, sees="There is a problem")


@state
def signed_out(house: House, name: str) -> Shown:
    return Shown(None, "/signed-out/")


@state
def not_enrolled(house: House, name: str) -> Shown:
    return Shown(somebody(name, is_enrolled=False), ENTRY, 403)


@state
def invitation(house: House, name: str) -> Shown:
    return Shown(None, f"/invitation/{accounts.invitation_token(somebody(name))}/")


@state
def invitation_with_errors(house: House, name: str) -> Shown:
    return Shown(
        None,
        f"/invitation/{accounts.invitation_token(somebody(name))}/",
        then=press("Save and sign in"),
        sees="There is a problem",
    )


@state
def invitation_over(house: House, name: str) -> Shown:
    return Shown(None, "/invitation/over/", 410)


@state
def entry_continue(house: House, name: str) -> Shown:
    draft = at_domains(somebody(name))
    Provision.objects.filter(pk=draft.pk).update(updated_at=ago(days=1))
    return Shown(draft.student, ENTRY)


# The wizard -----------------------------------------------------------------------------------------------------------


@state
def package_empty(house: House, name: str) -> Shown:
    return Shown(somebody(name), PACKAGE)


@state
def package_chosen(house: House, name: str) -> Shown:
    return Shown(at_domains(somebody(name)).student, PACKAGE)


@state
def package_with_errors(house: House, name: str) -> Shown:
    def withdraw(page: Page) -> None:
        Tier.objects.filter(slug="scale").update(is_active=False)
        button(page, "Choose Scale").click()

    house.undo.callback(Tier.objects.filter(slug="scale").update, is_active=True)
    return Shown(somebody(name), PACKAGE, then=withdraw, sees="There is a problem")


@state
def package_paused(house: House, name: str) -> Shown:
    pause(house)
    return Shown(somebody(name), PACKAGE)


@state
def package_none(house: House, name: str) -> Shown:
    Tier.objects.update(is_active=False)
    house.undo.callback(Tier.objects.update, is_active=True)
    return Shown(somebody(name), PACKAGE)


@state
def domains_empty(house: House, name: str) -> Shown:
    draft = at_domains(somebody(name), brand="")
    Provision.objects.filter(pk=draft.pk).update(names_shown=0)
    return Shown(draft.student, DOMAINS)


@state
def domains_checking(house: House, name: str) -> Shown:
    draft = at_domains(somebody(name), brand="Quiet Harbour")
    return Shown(draft.student, DOMAINS)


@state
def domains_filled(house: House, name: str) -> Shown:
    """One name of every kind."""
    draft = at_domains(somebody(name), brand="Zenia")
    answered("zenia.com", answer=NameAnswer.TAKEN)
    answered("zenia.org", answer=NameAnswer.PREMIUM, price=250_000)
    answered("zenia.net", price=4_900)
    answered("zeniaapp.com", answer=NameAnswer.CHECKING)
    answered(
        "get-zenia-now.com", *[f"{one}zenia.com" for one in ("get", "try", "use", "go", "hey", "meet")], "zeniahq.com"
    )
    Provision.objects.filter(pk=draft.pk).update(searched_names=["get-zenia-now.com"], main_domain="tryzenia.com")
    rows = [("getzenia.com", "selected"), ("tryzenia.com", "selected"), ("usezenia.com", "spare")]
    for position, (domain, kind) in enumerate(rows):
        Domain.objects.create(provision=draft, student=draft.student, name=domain, position=position, state=kind)
    return Shown(draft.student, DOMAINS)


@state
def domains_with_errors(house: House, name: str) -> Shown:
    shown = domains_filled_for(name, "Orbix")

    def then(page: Page) -> None:
        page.get_by_label("Or check a name of your own").fill("https://www.acme.io/")
        button(page, "Check this name").click()

    return Shown(shown, DOMAINS, then=then, sees="There is a problem")


@state
def domains_too_few(house: House, name: str) -> Shown:
    return Shown(domains_filled_for(name, "Lumio"), DOMAINS, then=press("Continue"), sees="There is a problem")


@state
def domains_own(house: House, name: str) -> Shown:
    """A package that takes a domain which the student has: one of those, and one to buy."""
    return Shown(bringing(name, f"own-{name}.com").student, DOMAINS, sees="1 chosen and 1 of your own, of 2")


@state
def domains_own_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("Domains that you own already").fill("mail.sample-agency.com\nsample-agency.de\nco.uk")
        button(page, "Continue").click()

    sees = "sample-agency.de cannot be part of this package"
    return Shown(bringing(name, f"own-{name}.com").student, DOMAINS, then=then, sees=sees)


@state
def mailboxes_filled(house: House, name: str) -> Shown:
    return Shown(new_order(name).student, MAILBOXES)


@state
def mailboxes_empty(house: House, name: str) -> Shown:
    order = new_order(name)
    User.objects.filter(pk=order.student_id).update(first_name="", last_name="")
    Provision.objects.filter(pk=order.pk).update(mailbox_patterns=[], sender_first_name="", sender_last_name="")
    return Shown(order.student, MAILBOXES)


@state
def mailboxes_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("First name").fill("")
        page.get_by_label("Name 1").fill("postmaster")
        page.get_by_label("Name 2").fill("..ada")
        button(page, "Continue").click()

    return Shown(new_order(name).student, MAILBOXES, then=then, sees="There is a problem")


@state
def mailboxes_of_the_largest_package(house: House, name: str) -> Shown:
    order = new_order("verylongbrandnamesarepossibletoo")
    Provision.objects.filter(pk=order.pk).update(tier=Tier.objects.get(slug="scale"))
    for position in range(3, 10):
        Domain.objects.update_or_create(
            provision=order,
            name=f"another-{position}-verylongbrandnamesarepossibletoo.com",
            defaults={"student": order.student, "position": position, "state": "selected"},
        )
    return Shown(order.student, MAILBOXES)


@state
def mailboxes_people(house: House, name: str) -> Shown:
    """Two people who write from each of eight own domains, one of them less than the package sends."""
    return Shown(with_people(name).student, PEOPLE, sees="Zoë Keen, up to 12 mails a day")


@state
def mailboxes_people_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("Mails a day").first.fill("400")
        page.get_by_label("Last name").nth(1).fill("")
        button(page, "Continue").click()

    return Shown(with_people(name).student, PEOPLE, then=then, sees="There is a problem")


@state
def review_with_people(house: House, name: str) -> Shown:
    return Shown(with_people(name).student, REVIEW, sees="Bo Sample, up to 30 mails a day")


def with_people(name: str) -> Provision:
    order = make_order(name, tier="own-domains")
    for place in range(1, 8):
        Domain.objects.create(
            provision=order, student=order.student, name=f"{name}-{place}.com", position=place,
            state="selected", origin=Origin.OWN,
        )  # fmt: skip
    drafts.name_people(order, named=[Person("Zoë", "Keen", 12), Person("Bo", "Sample")])
    return order


@state
def review_fresh(house: House, name: str) -> Shown:
    return Shown(new_order(name).student, REVIEW)


@state
def review_stale(house: House, name: str) -> Shown:
    order = new_order(name)
    answered(f"get{name}.com", age=1000)
    return Shown(order.student, REVIEW)


@state
def review_paused(house: House, name: str) -> Shown:
    pause(house)
    return Shown(new_order(name).student, REVIEW)


@state
def review_with_errors(house: House, name: str) -> Shown:
    def refuse(**_: object) -> None:
        raise billing.CheckoutRefused("unreachable", billing._UNREACHABLE)

    house.undo.enter_context(mock.patch.object(billing, "start_checkout", refuse))
    return Shown(new_order(name).student, REVIEW, then=press("Pay $144"), sees="There is a problem")


# The progress ---------------------------------------------------------------------------------------------------------


@state
def progress_waiting_for_payment(house: House, name: str) -> Shown:
    return Shown(with_checkout(name, Checkout.State.OPEN, f"{house.sandbox_url}/stripe/pay/cs_1").student, PROGRESS)


@state
def progress_confirming(house: House, name: str) -> Shown:
    return Shown(with_checkout(name, Checkout.State.CONFIRMING).student, PROGRESS)


@state
def progress_running(house: House, name: str) -> Shown:
    run = building(name)
    steps(run, "buy_domains").update(state=StepState.IN_PROGRESS, started_at=ago(minutes=2))
    return Shown(run.provision.student, PROGRESS)


@state
def progress_waiting_on_a_platform(house: House, name: str) -> Shown:
    run = building(name)
    done(run, "buy_domains", minutes=5)
    steps(run, "domains_active").update(
        state=StepState.WAITING, waits_on="platform", why="PENDING in the domain list", started_at=ago(minutes=4)
    )
    done(run, "domains_active", minutes=1, first=True)
    park(run, ParkedReason.WAITING_VENDOR)
    return Shown(run.provision.student, PROGRESS)


@state
def progress_with_the_operator(house: House, name: str) -> Shown:
    run = building(name)
    steps(run, "buy_domains").update(state=StepState.WAITING, waits_on="funds", started_at=ago(minutes=4))
    park(run, ParkedReason.WAITING_FUNDS)
    return Shown(run.provision.student, PROGRESS)


@state
def progress_with_a_trouble(house: House, name: str) -> Shown:
    run = building(name)
    why = "the account behind Zapmail refuses our credentials"
    waiting = {"state": StepState.WAITING, "waits_on": "operator", "why": why, "facts": {"cause": "credentials"}}
    steps(run, "buy_domains").update(started_at=ago(minutes=4), **waiting)
    park(run, ParkedReason.NEEDS_OPERATOR)
    return Shown(run.provision.student, PROGRESS)


@state
def help_pages(house: House, name: str) -> Shown:
    return Shown(None, "/help/")


@state
def help_google_workspace(house: House, name: str) -> Shown:
    return Shown(None, "/help/google-workspace-setup/")


@state
def progress_needs_a_choice(house: House, name: str) -> Shown:
    return Shown(lost(name).provision.student, PROGRESS)


@state
def progress_choice_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("Or check a name of your own").fill("acme.io")
        button(page, "Check this name").click()

    return Shown(lost(name).provision.student, PROGRESS, then=then, sees="There is a problem")


@state
def progress_details_open(house: House, name: str) -> Shown:
    run = building(name)
    for key in ("buy_domains", "domains_active", "dmarc"):
        done(run, key, minutes=3)
    steps(run, "mailboxes").update(state=StepState.IN_PROGRESS, started_at=ago(minutes=1))

    def unfold(page: Page) -> None:
        for summary in page.locator("summary").all():
            summary.click()

    return Shown(run.provision.student, PROGRESS, then=unfold)


@state
def progress_failed(house: House, name: str) -> Shown:
    run = failed_run(name)
    return Shown(run.provision.student, PROGRESS)


@state
def progress_ready(house: House, name: str) -> Shown:
    return Shown(running(name).student, PROGRESS)


@state
def progress_ready_with_exceptions(house: House, name: str) -> Shown:
    return Shown(with_exception(name).student, PROGRESS)


@state
def progress_ended(house: House, name: str) -> Shown:
    order = new_order(name)
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.CANCELLED, cancelled_at=timezone.now())
    return Shown(order.student, PROGRESS)


# The dashboard --------------------------------------------------------------------------------------------------------


@state
def dashboard_active(house: House, name: str) -> Shown:
    return Shown(running(name).student, DASHBOARD)


# The tests of a mailbox -------------------------------------------------------------------------------------------------


def with_tests_made(house: House, name: str, *faults: str, times: int = 1) -> Shown:
    """Let a mailbox be tested so often, the last time with these faults, and open its page."""
    order = running(name)
    box = order.mailboxes.select_related("domain", "provision").first()
    assert box is not None
    MailboxSecret.objects.create(mailbox=box, student=order.student, app_password=Secret(MAILBOX_PASSWORD))
    at_zapmail(house.sandbox, box)
    for number in range(times):
        for kind in faults if number == times - 1 else ():
            house.sandbox.faults.add(kind, platform="mail", items=(box.address,), times=1)
        mail_tests.ask(mailbox=box, actor="student")
        for _ in range(2):
            AuthenticationTest.objects.filter(mailbox=box, due_at__isnull=False).update(due_at=ago(minutes=1))
            mail_tests.work(post_of(house.sandbox), name_servers(house.sandbox))
    return Shown(order.student, f"/infrastructure/mailboxes/{box.pk}/test/", then=open_everything)


@state
def mailbox_test_none(house: House, name: str) -> Shown:
    return with_tests_made(house, name, times=0)


@state
def mailbox_test_under_way(house: House, name: str) -> Shown:
    shown = with_tests_made(house, name, times=0)
    box = Mailbox.objects.select_related("domain", "provision").get(pk=shown.address.split("/")[3])
    mail_tests.ask(mailbox=box, actor="student")
    return shown


@state
def mailbox_test_passed(house: House, name: str) -> Shown:
    return with_tests_made(house, name)


@state
def mailbox_test_failed(house: House, name: str) -> Shown:
    return with_tests_made(house, name, "mail_unsigned", "mail_forged", times=3)


@state
def mailbox_test_refused(house: House, name: str) -> Shown:
    return with_tests_made(house, name, "mail_login")


@state
def mailbox_test_without_probe(house: House, name: str) -> Shown:
    house.undo.enter_context(mock.patch.object(settings, "MAIL_PROBE", {}))
    return with_tests_made(house, name, times=0)


@state
def dashboard_healthy(house: House, name: str) -> Shown:
    """A week in: every mailbox has figures, and nothing is wrong."""
    return Shown(measured(running(name)).student, DASHBOARD)


@state
def dashboard_with_troubles(house: House, name: str) -> Shown:
    """Three weeks in: one collapses, one is lost, one is cold, one has a gap, one is new, one is ready."""
    order = running(name)
    Mailbox.objects.filter(provision=order).update(warmup_started_at=ago(days=20))
    collapsed, lost, cold, gap, new, ready = order.mailboxes.all()
    remember(collapsed, [97.0, 96, 94, 91, 86, 79, 71])
    Mailbox.objects.filter(pk=collapsed.pk).update(bad_since=ago(days=2))
    remember(lost, [97.0] * 7)
    lost.warmup_days.filter(day=ago(days=0)).update(connection="disconnected", warmup_sent=0)
    remember(cold, [97.0] * 5 + [95.0, 93.0])
    cold.warmup_days.filter(day__gt=ago(days=2)).update(is_warming=False)
    remember(gap, [95.0, 96, None, 94, 95, None, 96])
    remember(new, [None])
    remember(ready, [97.0] * 7)
    Mailbox.objects.filter(pk=ready.pk).update(state=MailboxState.READY)
    looked(order, leads=1412, leads_at=ago(hours=3))
    return Shown(order.student, DASHBOARD, then=open_everything, sees="Below 90 %")


@state
def dashboard_dedicated(house: House, name: str) -> Shown:
    """A package on dedicated IPs: where each domain sends from, and its records as resolvers show them."""
    order = measured(running(name))
    facts = {"dedicated_ips": {"ws_1": "203.0.113.25", "ws_2": "203.0.113.26"}}
    Provision.objects.filter(pk=order.pk).update(facts=facts, order={**order.order, "stack": "forge"})
    order.credentials.all().delete()
    for place, domain in enumerate(order.domains.filter(state="active").order_by("position")):
        seen = [seen_record(domain.name, kind, value, there=place < 2 or kind == "MX") for kind, value in RECORDS]
        evidence = {"state": "complete" if place < 2 else "partial", "records": seen}
        workspace = f"ws_{1 + place % 2}"
        domain.facts |= {"infraforge_workspace_id": workspace, "dns_evidence": evidence}
        domain.save()
    return Shown(order.student, DASHBOARD, sees="Sends from")


RECORDS = (("MX", "mx1.host.example"), ("TXT", "v=spf1 include:host.example ~all"), ("TXT", "v=DMARC1; p=none"))


def seen_record(name: str, kind: str, value: str, *, there: bool) -> dict[str, object]:
    owner = f"_dmarc.{name}" if "DMARC" in value else name
    sights: dict[str, object] = {
        resolver: {"finding": "seen" if there else "absent", "found": []} for resolver in ("a", "b", "c")
    }
    return {
        "type": kind, "owner": owner, "value": value, "priority": 10 if kind == "MX" else None,
        "state": "complete" if there else "absent", "resolvers": sights,
    }  # fmt: skip


@state
def dashboard_stale(house: House, name: str) -> Shown:
    """The sending tool has been away for two days."""
    order = measured(running(name))
    WarmupDay.objects.filter(mailbox__provision=order, day__gt=ago(days=2)).delete()
    looked(order, ago(days=2), failures=9, problem="plusvibe Unavailable", leads=412)
    return Shown(order.student, DASHBOARD)


@state
def dashboard_first_week(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        button(page, "Mark as done Sign in to the sending tool").click()
        open_everything(page)
        button(page, "Make a new address").click()
        expect(page.get_by_text("There is a new link.")).to_be_visible()

    return Shown(measured(running(name)).student, DASHBOARD, then=then, sees="There is a new link.")


def open_everything(page: Page) -> None:
    """Open whatever can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.setAttribute('open', ''))")


@state
def dashboard_with_exceptions(house: House, name: str) -> Shown:
    return Shown(with_exception(name).student, DASHBOARD)


@state
def dashboard_paused(house: House, name: str) -> Shown:
    order = running(name, ProvisionState.SUSPENDED)
    Mailbox.objects.filter(provision=order).update(state=MailboxState.SUSPENDED)
    return Shown(order.student, DASHBOARD)


@state
def dashboard_ending(house: House, name: str) -> Shown:
    return Shown(running(name, ProvisionState.CANCELLING).student, DASHBOARD)


@state
def dashboard_ready_to_send(house: House, name: str) -> Shown:
    order = running(name)
    Mailbox.objects.filter(provision=order).update(state=MailboxState.READY, warmup_started_at=ago(days=20))
    return Shown(order.student, DASHBOARD)


@state
def credential_asked(house: House, name: str) -> Shown:
    return Shown(running(name).student, credential_address(name))


@state
def credential_with_errors(house: House, name: str) -> Shown:
    return Shown(running(name).student, credential_address(name), then=press("Show it once"), sees="There is a problem")


@state
def credential_shown(house: House, name: str) -> Shown:
    return Shown(running(name).student, credential_address(name), then=reveal, sees="This is the only time")


@state
def credential_over(house: House, name: str) -> Shown:
    def twice(page: Page) -> None:
        reveal(page)
        page.goto(page.url)

    return Shown(running(name).student, credential_address(name), then=twice, sees="If you have lost it")


# Refusals -------------------------------------------------------------------------------------------------------------


@state
def error_404(house: House, name: str) -> Shown:
    return Shown(None, "/nothing/", 404)


@state
def error_403(house: House, name: str) -> Shown:
    house.undo.enter_context(mock.patch("infra.views.drafts.current", side_effect=PermissionDenied))
    return Shown(somebody(name), "/", 403)


@state
def error_400(house: House, name: str) -> Shown:
    house.undo.enter_context(mock.patch("infra.views.drafts.current", side_effect=SuspiciousOperation))
    return Shown(somebody(name), "/", 400)


@state
def error_500(house: House, name: str) -> Shown:
    house.undo.enter_context(mock.patch("infra.views.drafts.current", side_effect=ZeroDivisionError))
    return Shown(somebody(name), "/", 500)


@state
def error_of_an_old_form(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.context.clear_cookies(name="csrf")
        button(page, "Sign in").click()

    return Shown(None, "/login/", then=then, sees="Please send that again")


@state
def error_429(house: House, name: str) -> Shown:
    person = somebody(name)
    assert throttle.hit(f"write:{person.pk}", 100, throttle.HOUR, cost=100).allowed
    at_domains(person)
    return Shown(person, DOMAINS, then=press("Find domains"), sees="You can go on at")


# The sandbox ----------------------------------------------------------------------------------------------------------


@state
def sandbox_overview(house: House, name: str) -> Shown:
    house.sandbox.faults.add("rate_limit", platform="zapmail", times=10)
    house.undo.callback(house.sandbox.faults.clear)
    return Shown(None, f"{house.sandbox_url}/")


@state
def sandbox_pay(house: House, name: str) -> Shown:
    return Shown(new_order(name).student, REVIEW, then=press("Pay $144"), sees="Due today")


@state
def sandbox_pay_declined(house: House, name: str) -> Shown:
    return Shown(
        new_order(name).student, REVIEW, then=press("Pay $144", "Decline the card"), sees="Your card was declined."
    )


@state
def sandbox_pay_later(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        press("Pay $144", "Pay later by bank debit")(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Confirming your payment")
        page.go_back()

    return Shown(new_order(name).student, REVIEW, then=then, sees="The bank debit is on its way")


@state
def sandbox_mails(house: House, name: str) -> Shown:
    receive_mail(house)
    return Shown(None, f"{house.sandbox_url}/mail/")


@state
def sandbox_mail(house: House, name: str) -> Shown:
    return Shown(None, f"{house.sandbox_url}/mail/{receive_mail(house)}/")


@state
def sandbox_not_found(house: House, name: str) -> Shown:
    return Shown(None, f"{house.sandbox_url}/nothing/", 404)


# What a student owns --------------------------------------------------------------------------------------------------


@state
def renewals(house: House, name: str) -> Shown:
    order = owning(name)
    domain = order.domains.filter(state="active").first()
    assert domain is not None
    RenewalChoice.objects.create(
        domain=domain, student=order.student, choice="drop", actor=order.student.email, price_cents=1299
    )
    return Shown(order.student, reverse("renewals"), sees="It ends.")


@state
def exports(house: House, name: str) -> Shown:
    return Shown(owning(name).student, reverse("exports"))


@state
def exports_refused(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.get_by_label("With the passwords of the mailboxes").check()
        press("Download")(page)

    sees = "Type the password with which you sign in here."
    return Shown(owning(name).student, reverse("exports"), then=then, sees=sees)


@state
def leaving(house: House, name: str) -> Shown:
    return Shown(owning(name).student, reverse("leaving"), sees="Zone file")


@state
def leaving_cancelled(house: House, name: str) -> Shown:
    return Shown(owning(name, ProvisionState.CANCELLED).student, reverse("leaving"), sees="This order is cancelled")


@state
def dashboard_taken_down(house: House, name: str) -> Shown:
    return Shown(owning(name, ProvisionState.CANCELLING).student, DASHBOARD, sees="being taken down")


def owning(name: str, status: str = ProvisionState.ACTIVE) -> Provision:
    """Make an order that owns domains, as the watch over them has left it."""
    order = running(name, status if status != ProvisionState.CANCELLED else ProvisionState.ACTIVE)
    if status == ProvisionState.CANCELLED:
        Provision.objects.filter(pk=order.pk).update(state=status, cancelled_at=timezone.now())
    records = [["MX", "@", "smtp.google.com", 1], ["TXT", "@", "v=spf1 include:_spf.google.com ~all", None]]
    facts = {"renewal": "on", "provider": "GOOGLE", "dns_records": records, "dns_read_at": timezone.now().isoformat()}
    ends = timezone.now() + timedelta(days=21)
    order.domains.filter(state="active").update(bought_at=timezone.now(), expires_at=ends, facts=facts)
    Inventory.objects.create(provision=order, student=order.student, looked_at=timezone.now())
    return order


# The subscription and a bigger package --------------------------------------------------------------------------------


@state
def dashboard_subscription(house: House, name: str) -> Shown:
    order = subscribed(name)
    Payment.objects.create(
        provision=order, student=order.student, amount_cents=4700, stripe_invoice_id=f"in_{name}", paid_at=ago(days=10)
    )
    return Shown(order.student, DASHBOARD, sees="What could be refunded now: $0")


@state
def dashboard_payment_failed(house: House, name: str) -> Shown:
    order = subscribed(name, status="past_due", overdue_since=ago(days=1), invoice_cents=4700, invoice_currency="usd")
    return Shown(order.student, DASHBOARD, sees="A payment did not go through")


@state
def dashboard_action_required(house: House, name: str) -> Shown:
    order = subscribed(name, **OVERDUE, overdue_since=ago(days=1), needs_action=True)
    return Shown(order.student, DASHBOARD, sees="Please confirm a payment")


@state
def dashboard_suspended(house: House, name: str) -> Shown:
    """The payment is missing for longer than the days of grace."""
    order = resting(subscribed(name, **OVERDUE, overdue_since=ago(days=settings.BILLING_SUSPEND_DAYS + 1)))
    return Shown(order.student, DASHBOARD, sees="is missing. Warmup and sending rest")


@state
def dashboard_disputed(house: House, name: str) -> Shown:
    order = resting(subscribed(name, dispute="needs_response"))
    return Shown(order.student, DASHBOARD, sees="Your bank disputes a payment")


@state
def dashboard_running_out(house: House, name: str) -> Shown:
    return Shown(subscribed(name, cancel_at_period_end=True).student, DASHBOARD, sees="Keep it")


OVERDUE: dict[str, object] = {"status": "past_due", "invoice_cents": 4700, "invoice_currency": "usd"}


def resting(order: Provision) -> Provision:
    """Let an order rest while its money is missing."""
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.SUSPENDED, state_before=ProvisionState.ACTIVE)
    order.mailboxes.update(state=MailboxState.SUSPENDED)
    return order


@state
def dashboard_upgrading(house: House, name: str) -> Shown:
    order = subscribed(name)
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.UPGRADING)
    return Shown(order.student, DASHBOARD, sees="Your upgrade is under way")


@state
def upgrade(house: House, name: str) -> Shown:
    bigger()
    return Shown(subscribed(name).student, reverse("upgrade"), sees="More domains")


@state
def upgrade_biggest(house: House, name: str) -> Shown:
    Tier.objects.exclude(slug="starter").update(is_active=False)
    return Shown(subscribed(name).student, reverse("upgrade"), sees="You have the biggest package")


@state
def upgrade_begun(house: House, name: str) -> Shown:
    return Shown(growing(name).student, reverse("upgrade"), sees="You have begun an upgrade")


@state
def upgrade_domains(house: House, name: str) -> Shown:
    return Shown(growing(name).student, reverse("upgrade-domains"))


@state
def upgrade_mailboxes(house: House, name: str) -> Shown:
    return Shown(growing(name).student, reverse("upgrade-mailboxes"))


@state
def upgrade_review(house: House, name: str) -> Shown:
    draft = growing(name)
    priced(draft)
    return Shown(draft.student, reverse("upgrade-review"), sees="Remaining time on Growth")


@state
def upgrade_declined(house: House, name: str) -> Shown:
    draft = growing(name)
    priced(draft, state=Upgrade.State.PENDING, url=f"{house.sandbox_url}/stripe/receipt/in_1")
    Provision.objects.filter(pk=draft.pk).update(state=ProvisionState.PENDING_PAYMENT, frozen_at=timezone.now())
    return Shown(draft.student, reverse("upgrade"), sees="Pay the upgrade")


@state
def upgrade_confirming(house: House, name: str) -> Shown:
    draft = growing(name)
    priced(draft, state=Upgrade.State.INTENDED, sent_at=timezone.now())
    Provision.objects.filter(pk=draft.pk).update(state=ProvisionState.PENDING_PAYMENT, frozen_at=timezone.now())
    return Shown(draft.student, reverse("upgrade"), sees="Confirming your payment")


@state
def downgrade(house: House, name: str) -> Shown:
    return Shown(shrinking(name).student, reverse("downgrade"), sees="Fewer domains")


@state
def downgrade_choose(house: House, name: str) -> Shown:
    address = reverse("downgrade-choose", args=["mini"])
    return Shown(shrinking(name).student, address, sees="Choose the 2 domains that stay")


@state
def downgrade_planned(house: House, name: str) -> Shown:
    return Shown(shrinking(name, is_planned=True).student, reverse("downgrade"), sees="Withdraw the change")


@state
def downgrade_not_offered(house: House, name: str) -> Shown:
    order = subscribed(name)
    make_tier("velocity")
    Provision.objects.filter(pk=order.pk).update(
        order={**order.order, "stack": "forge", "tier_name": "Dominance", "domain_count": 5, "mailbox_count": 11}
    )
    return Shown(order.student, reverse("downgrade"), sees="This package cannot be made smaller")


@state
def upgrade_by_the_domain(house: House, name: str) -> Shown:
    return Shown(by_the_domain(name).student, reverse("upgrade"), sees="You have Own domains, 3 domains.")


@state
def downgrade_by_the_domain(house: House, name: str) -> Shown:
    sees = "a month for each domain that stays"
    return Shown(by_the_domain(name).student, reverse("downgrade"), sees=sees)


@state
def downgrade_choose_by_the_domain(house: House, name: str) -> Shown:
    """Every domain ticked, as the page begins: one is left out at least."""
    then = press("Plan the change")
    address = reverse("downgrade-choose", args=["own-domains"])
    return Shown(by_the_domain(name).student, address, then=then, sees="Please keep 1 domain at least, and 2 at most.")


def by_the_domain(name: str) -> Provision:
    """Make a running order of three domains whose number its student chose."""
    order, tier = subscribed(name), make_tier("own-domains")
    Tier.objects.filter(pk=tier.pk).update(is_active=True)  # another state takes packages off the list
    package = {"stack": "workspace", "tier": tier.slug, "tier_name": tier.name, "quantity": 3, "is_by_domain": True}
    fees = {"setup_fee_cents": 3 * tier.setup_fee_cents, "monthly_fee_cents": 3 * tier.monthly_fee_cents}
    order.tier, order.order = tier, {**order.order, **package, **fees}
    order.save()
    mine = {"origin": Origin.OWN, "bought_at": None, "price_cents": 0, "connected_at": timezone.now()}
    order.domains.filter(state="active").update(**mine)
    return order


@state
def dashboard_downgrade_planned(house: House, name: str) -> Shown:
    return Shown(shrinking(name, is_planned=True).student, DASHBOARD, sees="Your package changes to Mini on")


@state
def dashboard_downgrading(house: House, name: str) -> Shown:
    return Shown(reduced(name, RunState.RUNNING), DASHBOARD, sees="Your package is being changed to Mini")


@state
def dashboard_downgraded_partly(house: House, name: str) -> Shown:
    return Shown(reduced(name, RunState.DONE), DASHBOARD, sees="This did not stop by itself")


def reduced(name: str, status: RunState) -> User:
    """Let a change to a smaller package be under way, or be over but for what the operator does by hand."""
    order = shrinking(name)
    dropped = order.domains.filter(state="active").order_by("position")[2]
    run = order.runs.get()
    finished = ago(hours=2) if status == RunState.DONE else None
    run.pk, run.kind, run.pipeline, run.state, run.finished_at = None, RunKind.DOWNGRADE, "downgrade", status, finished
    run.order = {**order.order, "drops": [dropped.name], "becomes": {**order.order, "tier_name": "Mini"}}
    run._state.adding = True
    run.save()
    Step.objects.create(
        run=run, student=order.student, key="renewal_off", position=1, item_key=str(dropped.pk), domain=dropped,
        state=StepState.FAILED if finished else StepState.WAITING,
    )  # fmt: skip
    return order.student


def shrinking(name: str, *, is_planned: bool = False) -> Provision:
    """Make a running order that can have a smaller package, or will have it."""
    values = {"name": "Mini", "stack": "zapmail", "domain_count": 2, "mailbox_count": 4, "setup_fee_cents": 7700}
    values |= {"monthly_fee_cents": 2700, "stripe_monthly_price_id": "price_mini", "is_active": True}
    tier = Tier.objects.update_or_create(slug="mini", defaults=values)[0]
    order = subscribed(name)
    mine = order.domains.filter(state="active")
    mine.update(bought_at=timezone.now())
    if is_planned:
        Downgrade.objects.create(
            provision=order, student=order.student, tier=tier, state=Downgrade.State.PLANNED, monthly_cents=2700,
            order={"tier_name": "Mini"},
            drops=[mine.order_by("position").values_list("name", flat=True)[2]], period_end=ago(days=-20),
        )  # fmt: skip
    return order


def subscribed(name: str, **said: object) -> Provision:
    """Make a running order with a subscription, as the last look at Stripe has left it."""
    order = measured(running(name))
    values = {"status": "active", "period_end": timezone.now() + timedelta(days=20), "card": "visa 4242", **said}
    Subscription.objects.update_or_create(
        provision=order, defaults={"student": order.student, "stripe_id": f"sub_{name}", **values}
    )
    Provision.objects.filter(pk=order.pk).update(stripe_customer_id="cus_1", stripe_subscription_id=f"sub_{name}")
    order.refresh_from_db()
    return order


def bigger() -> Tier:
    """Return a package that is bigger than Starter."""
    values = {"name": "Growth", "stack": "zapmail", "domain_count": 5, "mailbox_count": 10, "setup_fee_cents": 14700}
    values |= {"monthly_fee_cents": 7700, "stripe_monthly_price_id": "price_growth", "is_active": True}
    return Tier.objects.update_or_create(slug="growth", defaults=values)[0]


def growing(name: str) -> Provision:
    """Make a draft of an upgrade, with its names chosen."""
    draft = upgrades.begin(subscribed(name), None, bigger())
    names = [f"more{name}.com", f"even{name}.com"]
    answered(*names)
    for place, one in enumerate(names):
        Domain.objects.create(
            provision=draft, student=draft.student, name=one, position=place, price_cents=1299, renewal_cents=1499
        )
    return draft


def priced(draft: Provision, **fields: object) -> Upgrade:
    """Let Stripe have named the price of an upgrade just now."""
    assert draft.enlarges is not None
    assert draft.tier is not None
    lines = [["Unused time on Starter after 26 Nov 2026", -3133], ["Remaining time on Growth after 26 Nov 2026", 5133]]
    values = {"due_cents": 7000, "monthly_cents": 7700, "lines": [*lines, ["Growth, once", 5000]], **fields}
    return Upgrade.objects.create(
        provision=draft.enlarges,
        extension=draft,
        student=draft.student,
        price_id=draft.tier.stripe_monthly_price_id,
        proration_at=int(timezone.now().timestamp()),
        **values,
    )


# The operator's console -----------------------------------------------------------------------------------------------


@state
def admin_index(house: House, name: str) -> Shown:
    OperatorItem.open("tier_without_prices", key=name, sentence="Starter has no Stripe prices, so nobody can order it.")
    return Shown(operator(name), "/admin/")


@state
def admin_items(house: House, name: str) -> Shown:
    run = failed_run(name)
    OperatorItem.open("run_failed", key=str(run.pk), sentence=f"{run.provision.reference}: no mailbox could be made.")
    return Shown(operator(name), reverse("admin:infra_operatoritem_changelist"))


@state
def admin_runs(house: House, name: str) -> Shown:
    failed_run(name)
    return Shown(operator(name), reverse("admin:provisioning_run_changelist"))


@state
def admin_run(house: House, name: str) -> Shown:
    return Shown(operator(name), reverse("admin:provisioning_run_change", args=[failed_run(name).pk]))


@state
def admin_retry(house: House, name: str) -> Shown:
    return Shown(operator(name), reverse("admin:provisioning_run_retry", args=[failed_run(name).pk]))


@state
def admin_tier(house: House, name: str) -> Shown:
    return Shown(operator(name), reverse("admin:infra_tier_change", args=[Tier.objects.get(slug="starter").pk]))


# Rows -----------------------------------------------------------------------------------------------------------------


def pause(house: House) -> None:
    Flag.objects.create(key="orders", phase=Flag.Phase.OFF)
    house.undo.callback(Flag.objects.filter(key="orders").delete)


def bringing(name: str, own: str) -> Provision:
    """Make a draft of a package on dedicated IPs, with a name to buy and a domain of the student's own."""
    draft = at_domains(somebody(name), brand=name.title())
    Provision.objects.filter(pk=draft.pk).update(tier=make_tier("ignition"))
    names = [f"{one}{name}.com" for one in ("get", "try", "use", "go", "hey")]
    answer(*names, platform="infraforge")
    Domain.objects.create(provision=draft, student=draft.student, name=names[0], position=0)
    Domain.objects.create(provision=draft, student=draft.student, name=own, position=1, origin=Origin.OWN)
    return draft


def domains_filled_for(name: str, brand: str) -> User:
    draft = at_domains(somebody(name), brand=brand)
    answered(*[f"{one}{brand.lower()}.com" for one in ("get", "try", "use", "go", "hey")])
    return draft.student


def with_checkout(name: str, status: str, url: str = "") -> Provision:
    order = new_order(name)
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.PENDING_PAYMENT)
    Checkout.objects.create(
        provision=order, student=order.student, state=status, url=url, amount_cents=14400, expires_at=timezone.now()
    )
    return order


def steps(run: Run, key: str) -> QuerySet[Step]:
    return Step.objects.filter(run=run, key=key)


def done(run: Run, key: str, *, minutes: float, first: bool = False) -> None:
    """Let a step be over since so many minutes, for its first item only or for all."""
    rows = steps(run, key)
    if first:
        rows = steps(run, key).filter(pk=rows[0].pk)
    rows.update(state=StepState.COMPLETED, started_at=ago(minutes=minutes + 2), finished_at=ago(minutes=minutes))


def park(run: Run, reason: str) -> None:
    Provision.objects.filter(pk=run.provision_id).update(parked_reason=reason)


def building(name: str, *, spares: int = 1) -> Run:
    """Make a paid order that is about to buy its domains."""
    run = paid(new_order(name, spares=spares))
    Run.objects.filter(pk=run.pk).update(state=RunState.WAITING, next_attempt_at=timezone.now() + timedelta(days=9))
    for key in ("workspace", "wallet", "slots"):
        done(run, key, minutes=7)
    return run


@state
def progress_own_domain(house: House, name: str) -> Shown:
    """The owner of a domain is asked to change its name servers."""
    run = building(name)
    ask_the_owner(run, f"get{name}.com", "nameservers", may_stop_at=timezone.now().isoformat())
    return Shown(run.provision.student, PROGRESS, sees="Set exactly these name servers")


@state
def progress_what_stops(house: House, name: str) -> Shown:
    """Mail arrives at the domain, and its owner has not said that it may stop."""
    run = building(name)
    ask_the_owner(run, f"get{name}.com", "may_stop")
    return Shown(run.provision.student, PROGRESS, sees="receives e-mail today")


@state
def dashboard_own_domain(house: House, name: str) -> Shown:
    """An upgrade waits for the name servers of one domain, and for a word about what stops at another."""
    order = subscribed(name)
    run = order.runs.get()
    Provision.objects.filter(pk=order.pk).update(state=ProvisionState.UPGRADING)
    ask_the_owner(run, f"get{name}.com", "nameservers", may_stop_at=timezone.now().isoformat())
    ask_the_owner(run, f"try{name}.com", "may_stop")
    return Shown(order.student, DASHBOARD, sees="See how to change them")


TEXTS = ("v=spf1 include:_spf.old-mail-service.example ~all", f"old-site-verification={'8f2c' * 16}")


def ask_the_owner(run: Run, name: str, question: str, **facts: str) -> None:
    """Let a domain be the student's own, and a question about it wait for its owner."""
    domain = run.provision.domains.get(name=name)
    servers, seen = ["ns1.sandbox.test", "ns2.sandbox.test"], ["ns37.domaincontrol.com", "ns38.domaincontrol.com"]
    lies = [("MX", "mx1.old-mail-service.example"), ("A", "203.0.113.9"), *(("TXT", text) for text in TEXTS)]
    Domain.objects.filter(pk=domain.pk).update(
        origin="own", price_cents=0, state="pending_nameservers", bought_at=None, facts={
            "nameservers": servers, "nameservers_seen": seen, "records_before_known": True,
            "records_before": [{"type": kind, "owner": name, "value": value} for kind, value in lies], **facts,
        },
    )  # fmt: skip
    steps(run, "buy_domains").filter(domain=domain).update(
        state=StepState.WAITING, waits_on="student", facts={"question": question}, started_at=ago(minutes=3)
    )
    Run.objects.filter(pk=run.pk).update(state=RunState.PARKED, finished_at=None)
    Provision.objects.filter(pk=run.provision_id).update(parked_reason=ParkedReason.NEEDS_STUDENT)


def lost(name: str) -> Run:
    """Make a run that asks which name replaces a lost one."""
    run = building(name, spares=0)
    domain = run.provision.domains.get(name=f"get{name}.com")
    steps(run, "buy_domains").filter(domain=domain).update(
        state=StepState.WAITING, waits_on="student", facts={"question": "choose_replacement"}, started_at=ago(minutes=3)
    )
    Run.objects.filter(pk=run.pk).update(state=RunState.PARKED)
    Provision.objects.filter(pk=run.provision_id).update(parked_reason=ParkedReason.NEEDS_CHOICE, names_shown=20)
    brand = run.provision.brand.lower().replace("-", "")
    answered(*[f"{one}{brand}.com" for one in ("meet", "with", "join")])
    return run


def running(name: str, status: str = ProvisionState.ACTIVE) -> Provision:
    """Make an order that is up: six mailboxes in warmup, a login, a lead list, instructions."""
    run = paid(new_order(name))
    now = timezone.now()
    Step.objects.filter(run=run).update(state=StepState.COMPLETED, started_at=ago(hours=2), finished_at=ago(hours=1))
    Run.objects.filter(pk=run.pk).update(state=RunState.DONE, finished_at=now)
    order = Provision.objects.get(pk=run.provision_id)
    order.state, order.ready_at = status, now
    order.facts = {"heyreach_list_id": 7, "heyreach_list_name": f"Ada Sample {order.reference}"}
    order.order = {
        **order.order,
        "instructions": "## Your first campaign\n\n1. Open the **sending tool** and upload your list.\n"
        "2. Keep to 30 e-mails a day and mailbox.\n\nRead [the guide](https://example.com).",
    }
    order.save()
    order.student.set_password(PASSWORD)
    order.student.save()
    order.domains.filter(state="selected").update(state="active", facts={"expires_on": "2027-11-23"})
    Mailbox.objects.filter(provision=order).update(state=MailboxState.WARMING, warmup_started_at=ago(days=3))
    Credential.objects.create(
        provision=order,
        student=order.student,
        kind="sending_tool",
        login=order.student.email,
        password=Secret("s3nding-t00l-Passw0rd"),
    )
    return order


def with_exception(name: str) -> Provision:
    """Make an order that is up but for one mailbox."""
    order = running(name, ProvisionState.ACTIVE_WITH_EXCEPTIONS)
    reason = "The platform could not make it in time."
    box = Mailbox.objects.filter(provision=order).order_by("address")[0]
    Mailbox.objects.filter(pk=box.pk).update(state=MailboxState.FAILED, reason=reason, warmup_started_at=None)
    Step.objects.filter(mailbox=box, key="mailboxes_active").update(state=StepState.FAILED, failure_sentence=reason)
    later = ["export", "accounts_seen", "warmup"]
    Step.objects.filter(mailbox=box, key__in=later).update(state=StepState.SKIPPED)
    return order


def operator(name: str) -> User:
    return User.objects.create_superuser(f"{name}@ops.example", PASSWORD)


def failed_run(name: str) -> Run:
    """Make a run that has stopped because nothing is left to build."""
    run = building(name)
    done(run, "buy_domains", minutes=9)
    sentence = "The registry refused every name."
    steps(run, "domains_active").update(
        state=StepState.FAILED, failure_code="refused", failure_sentence=sentence, finished_at=ago(minutes=5)
    )
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, finished_at=ago(minutes=5), failure_code="nothing_left", failure_sentence=sentence
    )
    Provision.objects.filter(pk=run.provision_id).update(
        state=ProvisionState.FAILED, parked_reason=ParkedReason.NEEDS_OPERATOR
    )
    return run


def credential_address(name: str) -> str:
    found = Credential.objects.get(student__email=f"{name}@students.example")
    return f"{DASHBOARD}credentials/{found.pk}/"


def reveal(page: Page) -> None:
    page.get_by_label("Your password for this site").fill(PASSWORD)
    button(page, "Show it once").click()
    expect(page.get_by_text("This is the only time that we show it.")).to_be_visible()


def receive_mail(house: House) -> int:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = (
        "Your infrastructure is ready",
        "ops@ops.example",
        "ada@a.example",
    )
    message.set_content("It is ready: https://gtm.example.com/infrastructure/\n")
    return house.sandbox.receive_mail("ops@ops.example", ("ada@a.example",), message.as_bytes()).n


def show(page: Page, house: House, shown: Shown) -> None:
    """Open a state's page and do what leads to it."""
    address = shown.address if "://" in shown.address else house.site + shown.address
    response = page.goto(address)
    assert response is not None
    assert response.status == shown.status
    shown.then(page)
    if shown.sees:
        expect(page.get_by_text(shown.sees).first).to_be_visible()


# Accounts of the student's own ----------------------------------------------------------------------------------------

SETUP_ACCOUNTS, CONNECTIONS = "/infrastructure/setup/accounts/", "/infrastructure/connections/"


def on_own_domains(name: str) -> User:
    """Return a student whose draft is of a package that may be built in accounts of their own."""
    ada = somebody(name)
    Provision.objects.create(student=ada, tier=make_tier("own-domains"), brand="Acme")
    return ada


def connected(person: User, platform: str, **values: object) -> PlatformConnection:
    label = f"admin@{person.pk.hex[:8]}.example" if platform == "google_workspace" else ""
    made: dict[str, object] = {"owner": "student", "credential": Secret("x"), "label": label, "actor": person.email}
    now = clock.vendor_now()
    return PlatformConnection.objects.create(student=person, platform=platform, **made | {"checked_at": now} | values)


@state
def accounts_of_the_operator(house: House, name: str) -> Shown:
    return Shown(on_own_domains(name), SETUP_ACCOUNTS)


@state
def accounts_open(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        for summary in page.locator("summary").all():
            summary.click()

    return Shown(on_own_domains(name), SETUP_ACCOUNTS, then=then)


@state
def accounts_with_errors(house: House, name: str) -> Shown:
    def then(page: Page) -> None:
        page.locator("#own-smartlead summary").click()
        page.get_by_label("API key").fill("two words")
        page.locator("#own-smartlead").get_by_role("button", name="Save and check").click()

    return Shown(on_own_domains(name), SETUP_ACCOUNTS, then=then, sees="There is a problem")


@state
def accounts_being_connected(house: House, name: str) -> Shown:
    ada = on_own_domains(name)
    connected(ada, "google_workspace", state="proving", checked_at=None)
    connected(ada, "smartlead", state="checking", problem="no_answer", checked_at=None)
    return Shown(ada, SETUP_ACCOUNTS)


@state
def accounts_refused(house: House, name: str) -> Shown:
    ada = on_own_domains(name)
    scopes = {scope.rpartition("/")[2]: place != 4 for place, scope in enumerate(connections.SCOPES)}
    connected(ada, "google_workspace", state="refused", problem="missing_scopes", scopes=scopes)
    connected(ada, "smartlead", state="refused", problem="wrong_key")
    return Shown(ada, SETUP_ACCOUNTS)


@state
def connections_that_work(house: House, name: str) -> Shown:
    ada = on_own_domains(name)
    scopes = {scope.rpartition("/")[2]: True for scope in connections.SCOPES}
    connected(ada, "google_workspace", state="good", is_used=True, scopes=scopes, account=f"{ada.pk.hex}.example")
    connected(ada, "smartlead", state="refused", is_used=True, problem="SMARTLEAD_API_KEY_INVALID")
    return Shown(ada, CONNECTIONS)


def asked_of_its_owner(name: str, question: str) -> Run:
    """Return a run in the student's own accounts that waits for its student."""
    provision = make_order(name, tier="own-domains")
    for platform in ("google_workspace", "smartlead"):
        used = {"state": "good", "is_used": True, "account": f"{provision.student_id.hex}.example"}
        connected(provision.student, platform, **used)
    actions.freeze_order(provision=provision, actor="test")
    run = actions.start_run(provision=provision, actor="test", paid_at=timezone.now())
    key = "dkim_keys" if question == "enter_by_hand" else "google_domains"
    later = clock.later(clock.vendor_now(), 86_400)
    run.steps.filter(key=key).update(
        state=StepState.WAITING, waits_on="student", facts={"question": question}, next_attempt_at=later
    )
    Run.objects.filter(pk=run.pk).update(state=RunState.PARKED, next_attempt_at=later)
    Provision.objects.filter(pk=provision.pk).update(parked_reason=ParkedReason.NEEDS_STUDENT)
    return run


@state
def progress_key_refused(house: House, name: str) -> Shown:
    return Shown(asked_of_its_owner(name, "update_key").student, PROGRESS)


@state
def progress_made_by_hand(house: House, name: str) -> Shown:
    return Shown(asked_of_its_owner(name, "enter_by_hand").student, PROGRESS)


@state
def enter_made_by_hand(house: House, name: str) -> Shown:
    run = asked_of_its_owner(name, "enter_by_hand")
    return Shown(run.student, f"/infrastructure/runs/{run.pk}/enter/")


@state
def enter_with_errors(house: House, name: str) -> Shown:
    run = asked_of_its_owner(name, "enter_by_hand")

    def then(page: Page) -> None:
        page.locator("textarea").fill("nonsense")
        button(page, "Take these").click()

    return Shown(run.student, f"/infrastructure/runs/{run.pk}/enter/", then=then, sees="There is a problem")


from . import batch_states as batch_states  # noqa: E402 - they need what stands above
from . import domain_states as domain_states  # noqa: E402
from . import registering_states as registering_states  # noqa: E402
