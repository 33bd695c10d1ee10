"""What the pages of a domain share: the domain and its last look, the words for what is found, and what is being changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from infra.dashboard.presenters import Notice
from infra.dns.compliance import Proof, Value
from infra.dns.findings import Finding, Level
from infra.dns.names import BadName, canonical
from infra.dns.replay import Replay
from infra.dns.survey import Survey, survey
from infra.models import (
    AuthenticationTest,
    DnsCheck,
    Domain,
    PropagationWatch,
    Provision,
    RunState,
    StepState,
    User,
    WatchState,
)
from infra.models.authentication_test import TrialState
from infra.models.domain import GONE
from infra.presenters_base import Option, Tag, ago, said
from provisioning import seeing
from provisioning.engine.zoning import FLATTEN, POLICY, RESTORE, Zoning
from provisioning.models import ACTIVE_RUN, Run

CHANGES = (POLICY, FLATTEN, RESTORE)
# A message's verdicts, and what they settle.
PROVEN_BY = {"spf": "spf_sender", "dkim": "dkim_signed", "dmarc": "aligned"}
NEWS_FOR = timedelta(days=1)  # how long the end of a change is told


@dataclass(frozen=True)
class Sight:
    """A domain as its pages see it: rows only, nobody is asked. `now` is vendor time, `machine_now` that of our own runs."""

    student: User
    domain: Domain
    now: datetime
    machine_now: datetime

    @cached_property
    def check(self) -> DnsCheck | None:
        return DnsCheck.objects.filter(domain=self.domain).first()

    @cached_property
    def watch(self) -> PropagationWatch | None:
        return PropagationWatch.objects.filter(domain=self.domain).first()

    @cached_property
    def change(self) -> Run | None:
        """The newest run that changed records of this domain, or changes them now."""
        runs = Run.objects.filter(provision=self.domain.provision, pipeline__in=CHANGES, kind="change")
        return runs.filter(order__change__domain=self.domain.name).first()

    @cached_property
    def zoning(self) -> Zoning:
        return seeing.zoning_of(self.domain.provision) or Zoning(lambda _zone: ())

    @cached_property
    def survey(self) -> Survey | None:
        """Everything judged from the answers of the last look; None before the first, or where nobody could be asked."""
        seen = self.check.seen if self.check else {}
        answers = seen.get("answers")
        if not answers:
            return None
        found = survey(self.domain.name, Replay(answers), seen.get("selectors") or ())
        return replace(found, proofs=self.proofs)

    @property
    def proofs(self) -> dict[str, Proof]:
        """What the last message that was tested from this domain has proven of what DNS cannot show."""
        tests = AuthenticationTest.objects.filter(mailbox__domain=self.domain, state=TrialState.JUDGED)
        verdicts = tests.values_list("verdicts", flat=True).first() or {}
        values = {row: (name, Value(verdicts[name]["value"])) for name, row in PROVEN_BY.items() if name in verdicts}
        return {row: Proof(value, "message", f"{name}={value}") for row, (name, value) in values.items()}

    @property
    def may_look(self) -> bool:
        return seeing.may_look(self.domain)

    @property
    def is_changing(self) -> bool:
        return self.change is not None and self.change.state in ACTIVE_RUN

    @property
    def is_watching(self) -> bool:
        return self.watch is not None and self.watch.state == WatchState.POLLING

    @property
    def is_looking(self) -> bool:
        """Whether the page is going to look different by itself."""
        return bool(self.check and self.check.is_wanted) or self.is_watching or self.is_changing

    @property
    def checked(self) -> str:
        """Say when the name servers were asked last, by a look or by the set-up."""
        at = self.looked_at
        return _("Last look %(when)s") % {"when": ago(at, now=self.now)} if at else _("Nobody has looked yet")

    @property
    def looked_at(self) -> datetime | None:
        if self.check and self.check.looked_at:
            return self.check.looked_at
        return parse_datetime(str((self.domain.facts.get("dns_evidence") or {}).get("at") or ""))

    @property
    def checked_at(self) -> str | None:
        return self.looked_at.isoformat() if self.looked_at else None

    @property
    def version(self) -> str:
        """Return what differs whenever a page of this domain would look different."""
        parts = [self.domain.updated_at, self.is_looking]
        parts += [row.updated_at for row in (self.check, self.watch, self.change) if row is not None]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def domain_of(student: User, name: str) -> Domain | None:
    """Return the student's domain of that name: the one in use, else the last that was; never somebody else's."""
    try:
        spelled = canonical(name)  # also of another script, as it is typed into the address
    except BadName:
        return None
    mine = Domain.objects.filter(student=student, name=spelled, ordered_at__isnull=False)
    found = list(mine.select_related("provision").order_by("-ordered_at"))
    return next((one for one in found if one.state not in GONE), found[0] if found else None)


# Between the pages ----------------------------------------------------------------------------------------------------

PAGES: tuple[tuple[str, str | Promise], ...] = (
    ("domain-dns", _lazy("Records")),
    ("domain-spf", _lazy("Who may send (SPF)")),
    ("domain-policy", _lazy("Policy (DMARC)")),
    ("domain-compliance", _lazy("What receivers ask")),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A page of this domain. `href` is empty for the one that is open."""

    label: str
    href: str


def places(domain: Domain, current: str) -> list[Place]:
    """Return the pages of a domain."""
    return [Place(str(label), "" if key == current else reverse(key, args=[domain.name])) for key, label in PAGES]


# Words ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FindingRow:
    """Something that was found: a stable id, how bad it is, what it is, what to do, and where the standard says so."""

    id: str
    tag: Tag
    text: str
    fix: str
    standard: str


LEVELS: dict[Level, tuple[str | Promise, str]] = {
    Level.ERROR: (_lazy("To be mended"), "failed"),
    Level.WARNING: (_lazy("Take care"), "attention"),
    Level.ADVICE: (_lazy("Advice"), "off"),
}


def finding_rows(findings: Iterable[Finding]) -> list[FindingRow]:
    """Return findings in the reader's words, the worst first."""
    order = list(LEVELS)
    return [
        FindingRow(
            one.id, Tag(str(LEVELS[one.level][0]), LEVELS[one.level][1]), said(one.said), said(one.fix), one.standard
        )
        for one in sorted(findings, key=lambda one: order.index(one.level))
    ]


# What is being changed ------------------------------------------------------------------------------------------------

DOING: dict[str, str | Promise] = {
    POLICY: _lazy("The new policy is being written"),
    FLATTEN: _lazy("The addresses are being written"),
    RESTORE: _lazy("The earlier SPF record is being written back"),
}
DID: dict[str, str | Promise] = {
    POLICY: _lazy("The new policy is written"),
    FLATTEN: _lazy("The addresses are written"),
    RESTORE: _lazy("The earlier SPF record is written back"),
}


def change_notice(sight: Sight, pipelines: Sequence[str] = CHANGES) -> Notice | None:
    """Say how a change of this domain's records stands, or that it has just come to its end."""
    run = sight.change
    if run is None or run.pipeline not in pipelines:
        return None
    if run.state == RunState.PARKED:
        text = _(
            "Something has to be looked at first. The operator has been told, and nothing of your mail has changed."
        )
        return Notice("attention", str(DOING[run.pipeline]), text)
    if run.state in ACTIVE_RUN:
        text = _(
            "This takes a minute as a rule. You can close this page. Until it is done, nothing else can be changed."
        )
        return Notice("busy", str(DOING[run.pipeline]), text)
    if run.finished_at is None or sight.machine_now - run.finished_at > NEWS_FOR:
        return None
    if refused := run.steps.filter(state=StepState.FAILED).first():
        text = _("Nothing was changed. %(why)s") % {"why": refused.failure_sentence}
        return Notice("attention", _("The change was refused"), text)
    if run.state == RunState.DONE:
        text = _("Name servers follow within minutes as a rule. We watch until all of them show it.")
        link = Option(_("See which of them show it"), reverse("domain-dns", args=[sight.domain.name]))
        return Notice("done", str(DID[run.pipeline]), text, link)
    return None


def why_no_change(provision: Provision) -> str:
    """Say why nothing can be changed at the moment; empty when something can."""
    if provision.runs.filter(state__in=ACTIVE_RUN, held_since__isnull=True).exists():
        return _("Something is under way for your set-up. Once that is done, you can change this.")
    if provision.state not in ("active", "active_with_exceptions"):
        return _("Your set-up is not running at the moment, so nothing can be changed.")
    return ""
