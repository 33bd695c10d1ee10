"""The stories that `manage.py smoke` plays against a running demo, through real HTTP and without a browser.

A story fills in the pages' own forms (with their CSRF tokens), pays on the simulated Stripe page, waits for the webhook's
work, and then compares our rows with what the sandbox holds, item by item. What it orders, and how that stack's platforms
are compared, is its package.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import mechanicalsoup

from infra.models import Domain, DomainState, Mail, MailboxState, Provision, User
from infra.models.domain import GONE

DEADLINE = 180.0
POLL = 0.5
PASSWORD_BYTES = 18


class SmokeFailed(Exception):
    """The demo did not do what it should. The text is one sentence."""


State = dict[str, Any]  # what the sandbox's control plane says of all platforms


@dataclass(frozen=True)
class Package:
    """What a story orders.

    usernames  one for each mailbox of the fullest domain
    own        how many of the domains the student has already
    compare    yields a sentence for everything in which the order's rows and its stack's platforms differ
    deadline   seconds of real time until it must be ready
    """

    slug: str
    domains: int
    usernames: tuple[str, ...]
    compare: Callable[[Provision, list[Domain], State], Iterator[str]]
    deadline: float = DEADLINE
    own: int = 0


def nothing(provision: Provision) -> None:
    """Let nothing happen while the set-up runs."""


@dataclass
class Story:
    """A student at a keyboard. `say(share, sentence)` draws the progress bar; shares run from 0 to 1.

    `meanwhile` is called again and again while the set-up runs.
    """

    site: str
    control: str
    say: Callable[[float, str], None]
    package: Package
    meanwhile: Callable[[Provision], None] = nothing
    email: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(4)}@students.example")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(PASSWORD_BYTES))

    def __post_init__(self) -> None:
        self.browser: Any = mechanicalsoup.StatefulBrowser(raise_on_404=False, user_agent="gtm-smoke")
        self.ends = time.monotonic() + self.package.deadline
        self.brand = f"Smoke {secrets.token_hex(3)}"
        self.own = [f"own-{secrets.token_hex(4)}.com" for _ in range(self.package.own)]

    # ---- the main job ------------------------------------------------------------------------------------------------

    def main(self) -> None:
        """Order the package and wait until it works; then compare our rows with the platforms'."""
        self.order()
        provision = self._await_ready()
        self.say(0.97, "compare with the platforms")
        differences = list(self.differences(provision))
        if differences:
            raise SmokeFailed("Our rows and the platforms differ: " + "; ".join(differences))
        self._see_dashboard(provision)
        self.say(1.0, f"{provision.reference} is {provision.get_state_display().lower()}")

    def order(self) -> None:
        """Order the package and pay for it."""
        self._enrol()
        self.say(0.02, "sign in")
        self._sign_in()
        self.say(0.05, "choose a package")
        self._open("/infrastructure/setup/package/")
        self._press("tier", self.package.slug)
        self.say(0.10, "search domains")
        self._choose_domains(self.package.domains - len(self.own))
        self.say(0.25, "name mailboxes")
        self._name_mailboxes()
        self.say(0.30, "review and pay")
        self._pay()
        self.say(0.35, "paid")

    def _enrol(self) -> None:
        User.objects.create_user(
            self.email, self.password, first_name="Sam", last_name="Smoke", cohort="smoke", is_enrolled=True
        )

    def _sign_in(self) -> None:
        self.log_in()
        self._open("/")
        if self.browser.page.find("a", href="/infrastructure/") is None:
            raise SmokeFailed("The home page has no link to GTM Infrastructure after signing in.")

    def log_in(self) -> None:
        """Type address and password on the login page."""
        self._open("/login/")
        form = self.browser.select_form("form[method=post]")
        form.set("username", self.email)
        form.set("password", self.password)
        self._submit()

    def _choose_domains(self, count: int, *, at: str = "/infrastructure/setup/domains/") -> None:
        form = self.browser.select_form("#domains")
        form.set("brand", self.brand)
        self._press("action", "find", form)
        for _ in self._until("the names were not answered"):
            self._open(at)
            boxes = self.browser.page.select("#names input[name=chosen]:not([disabled])")
            if len(boxes) > count and not self.browser.page.select("#names[data-poll]"):
                break
        names = [box["value"] for box in boxes]
        form = self.browser.select_form("#domains")
        for name in names[:count]:
            form.set_checkbox({"chosen": [name]}, uncheck_other_boxes=False)
        if self.own:
            form.set("own", "\n".join(self.own))
        self._press("action", "find", form)  # any button keeps the choice; now the spares are offered
        form = self.browser.select_form("#domains")
        if self.browser.page.select("select[name=spare_1]"):
            form.set_select({"spare_1": names[count]})
        self._press("action", "continue", form)
        if "/domains/" in self.browser.url:
            raise SmokeFailed(f"The domains page did not accept {count} available names.")

    def _name_mailboxes(self) -> None:
        form = self.browser.select_form("form[method=post]:has([name=pattern_1])")
        usernames = {f"pattern_{n}": name for n, name in enumerate(self.package.usernames, start=1)}
        for name, value in {"sender_first_name": "Sam", "sender_last_name": "Smoke", **usernames}.items():
            form.set(name, value)
        self._press("action", "continue", form)
        if "/review/" not in self.browser.url:
            raise SmokeFailed(f"The mailboxes page did not accept {len(usernames)} name patterns.")

    def _pay(self) -> None:
        pay = "form:has([name=total]):has(button)"
        for _ in self._until("the review page offered no button to pay"):
            if self.browser.page.select(pay):
                break
            self._open("/infrastructure/setup/review/")
        self.browser.select_form(pay)
        self._submit()
        if "/stripe/pay/" not in self.browser.url:
            raise SmokeFailed(f"Paying led to {self.browser.url} instead of the checkout page.")
        form = self.browser.select_form("form[method=post]:has(button[value=pay])")
        form.choose_submit(self.browser.page.find("button", value="pay"))
        self._submit()

    def _await_ready(self) -> Provision:
        last = 0
        for _ in self._until("the set-up was not ready in time"):
            provision = Provision.objects.get(student__email=self.email)
            if provision.state in ("active", "active_with_exceptions", "failed", "cancelled"):
                break
            run = provision.runs.first()
            if run is None:
                continue
            self.meanwhile(provision)
            done, total = run.steps.filter(state="completed").count(), run.steps.count()
            if done != last:
                last = done
                newest = run.steps.filter(state="completed").order_by("-finished_at").values_list("key", flat=True)[0]
                self.say(0.35 + 0.6 * done / total, f"{done} of {total} steps; {newest.replace('_', ' ')}")
            self._open("/infrastructure/progress/")  # as the student who watches
        if provision.state != "active":
            raise SmokeFailed(f"{provision.reference} ended {provision.state}.")
        return provision

    def _see_dashboard(self, provision: Provision) -> None:
        self._open("/infrastructure/dashboard/")
        text = self.browser.page.get_text()
        missing = [box.address for box in provision.mailboxes.all() if box.address not in text]
        if missing:
            raise SmokeFailed("The dashboard does not show " + ", ".join(missing))

    # ---- comparing ---------------------------------------------------------------------------------------------------

    def differences(self, provision: Provision, *, payments: int = 1) -> Iterator[str]:
        """Yield a sentence for everything in which our rows and the platforms' books differ."""
        domains = list(provision.domains.filter(ordered_at__isnull=False).exclude(state__in=[*GONE, DomainState.SPARE]))
        if len(domains) != provision.order["domain_count"]:
            yield f"{len(domains)} domains instead of {provision.order['domain_count']}"
        yield from self.package.compare(provision, domains, self.state())
        for kind, wanted in (("paid", payments), ("ready", 1)):
            if (count := Mail.objects.filter(provision=provision, kind=kind).count()) != wanted:
                yield f"{count} mails {kind!r} instead of {wanted}"

    def state(self) -> State:
        """Return what the platforms hold."""
        state: State = self.browser.session.get(f"{self.control}/state", timeout=10).json()
        return state

    def control_post(self, path: str, body: dict[str, Any]) -> None:
        """Let something happen in the sandbox. Raises SmokeFailed when it refuses."""
        self.control_ask(path, body)

    def control_ask(self, path: str, body: dict[str, Any]) -> dict[str, str]:
        """Let something happen in the sandbox and return what it shows. Raises SmokeFailed when it refuses."""
        answer = self.browser.session.post(f"{self.control}{path}", json=body, timeout=10)
        if answer.status_code != 200:
            raise SmokeFailed(f"The sandbox refuses {body}: {answer.text.strip()}")
        shown: dict[str, str] = answer.json()
        return shown

    # ---- the keyboard ------------------------------------------------------------------------------------------------

    def _open(self, path: str) -> None:
        self._judge(self.browser.open(self.site + path, timeout=30))

    def _press(self, name: str, value: str, form: Any = None) -> None:
        form = form or self.browser.select_form(f"form:has(button[name={name}][value={value}])")
        form.choose_submit(form.form.find("button", attrs={"name": name, "value": value}))
        self._submit()

    def _submit(self) -> Any:
        answer = self.browser.submit_selected(timeout=30)
        self._judge(answer)
        return answer

    def _judge(self, answer: Any) -> None:
        if answer.status_code >= 400:
            page = self.browser.page
            said = page and page.select_one("[role=alert]")
            raise SmokeFailed(
                f"{answer.url} answered {answer.status_code}. {' '.join(said.get_text(' ').split()) if said else ''}"
            )

    def _until(self, otherwise: str) -> Iterator[None]:
        while True:
            yield
            if time.monotonic() > self.ends:
                raise SmokeFailed(f"The time is up: {otherwise}.")
            time.sleep(POLL)


def _compare_zapmail(provision: Provision, domains: list[Domain], state: State) -> Iterator[str]:
    yield from _domains(domains, state["zapmail"], provision)
    yield from _mailboxes(provision, state["zapmail"], state["plusvibe"])
    yield from _accounts(provision, state)


def _domains(domains: list[Domain], zapmail: dict[str, Any], provision: Provision) -> Iterator[str]:
    there = {row["name"]: row for row in zapmail["domains"]}
    for domain in domains:
        row, bought = there.get(domain.name), zapmail["purchases"].get(domain.name, {})
        if row is None or row["status"] != "ACTIVE" or not row["dmarc_added"]:
            yield f"{domain.name} is not active with a DMARC record"
        elif row["workspace_id"] != provision.facts["zapmail_workspace_id"]:
            yield f"{domain.name} lies in another workspace"
        if bought.get("bought", 0) - bought.get("refunded", 0) != 1:
            yield f"{domain.name} was bought {bought.get('bought', 0)} times"


def _mailboxes(provision: Provision, zapmail: dict[str, Any], plusvibe: dict[str, Any]) -> Iterator[str]:
    there = {row["email"]: row for row in zapmail["mailboxes"]}
    accounts = {row["email"]: row for row in plusvibe["accounts"]}
    for mailbox in provision.mailboxes.all():
        if mailbox.state != MailboxState.WARMING:
            yield f"{mailbox.address} is {mailbox.state}"
        if there.get(mailbox.address, {}).get("status") != "ACTIVE":
            yield f"{mailbox.address} is not active at Zapmail"
        account = accounts.get(mailbox.address, {})
        if account.get("workspace_id") != provision.facts["plusvibe_workspace_id"]:
            yield f"{mailbox.address} is not in the student's sending workspace"
        if account.get("warmup_status") != "ACTIVE":
            yield f"{mailbox.address} does not warm up"


def _accounts(provision: Provision, state: dict[str, Any]) -> Iterator[str]:
    for platform, things in (("zapmail", "workspaces"), ("plusvibe", "workspaces"), ("heyreach", "lists")):
        ours = [row for row in state[platform][things] if str(row["name"]).endswith(provision.reference)]
        if len(ours) != 1:
            yield f"{len(ours)} {things} of ours at {platform}"
    clients = [
        row for row in state["plusvibe"]["clients"] if row["client_email"] == provision.facts["plusvibe_client_email"]
    ]
    if len(clients) != 1:
        yield f"{len(clients)} logins of ours at plusvibe"
    if not provision.credentials.filter(kind="sending_tool").exists():
        yield "the login's password is not stored"


STARTER = Package("starter", 3, ("sam", "sam.smoke"), _compare_zapmail)
