"""The page of what Gmail, Yahoo and Outlook ask of a domain: proven, disproven, or not to be seen in DNS."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from infra.dns import compliance
from infra.dns.compliance import ROWS, Check, Judgement, Provider, Value
from infra.presenters_base import Tag, listed, said

from .kit import FindingRow, Place, Sight, finding_rows, places

PROVIDERS: dict[Provider, str] = {
    Provider.GMAIL: "Gmail",
    Provider.YAHOO: "Yahoo",
    Provider.OUTLOOK: "Outlook",
}

VALUES: dict[Value, tuple[str | Promise, str]] = {
    Value.PASS: (_lazy("Proven"), "done"),
    Value.FAIL: (_lazy("Disproven"), "failed"),
    Value.UNKNOWN: (_lazy("Not to be seen in DNS"), "off"),
}


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """What one receiver would say. `failing` and `missing` name requirements by their titles."""

    key: str
    title: str
    value: str
    tag: Tag
    sentence: str
    failing: list[str]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A requirement: a stable id, whether it is met, why, what to do, and where the standard says so."""

    id: str
    title: str
    value: str
    tag: Tag
    reason: str
    fix: str
    standard: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class CompliancePage:
    """Judged by the rules for bulk senders. `advice` is no requirement of anybody."""

    name: str
    checked: str
    checked_at: str | None
    looking: bool
    can_check: bool
    providers: list[ProviderCard]
    checks: list[CheckRow]
    advice: list[FindingRow]
    places: list[Place]


def compliance_page(sight: Sight) -> CompliancePage:
    """Say what receivers ask and what is known of it; nobody is asked."""
    facts = sight.survey.facts if sight.survey else compliance.Facts(sight.domain.name)
    checks = compliance.checks(facts)
    judged = compliance.judge(checks)
    return CompliancePage(
        name=sight.domain.name,
        checked=sight.checked,
        checked_at=sight.checked_at,
        looking=sight.is_looking,
        can_check=sight.may_look,
        providers=[_card(one) for one in judged.values()],
        checks=[_row(one) for one in checks.values()],
        advice=finding_rows(sight.survey.tls.findings) if sight.survey else [],
        places=places(sight.domain, "domain-compliance"),
    )


def _card(judged: Judgement) -> ProviderCard:
    title, (word, tone) = PROVIDERS[judged.provider], VALUES[judged.value]
    count = len(judged.failing) or len(judged.missing)
    if judged.value is Value.FAIL:
        sentence = ngettext(
            "%(n)s thing that %(name)s asks is not so. Mend it first: mail may be refused.",
            "%(n)s things that %(name)s asks are not so. Mend them first: mail may be refused.",
            count,
        )
    elif judged.value is Value.UNKNOWN:
        word, tone = _lazy("Nothing against it"), "busy"
        sentence = ngettext(
            "Nothing speaks against it. %(n)s thing that %(name)s asks cannot be seen in DNS.",
            "Nothing speaks against it. %(n)s things that %(name)s asks cannot be seen in DNS.",
            count,
        )
    else:
        sentence = _("Everything that %(name)s asks is proven.")
    return ProviderCard(
        key=str(judged.provider),
        title=title,
        value=str(judged.value),
        tag=Tag(str(word), tone),
        sentence=sentence % {"name": title, "n": count},
        failing=[_(ROWS[one].title) for one in judged.failing],
        missing=[_(ROWS[one].title) for one in judged.missing],
    )


def _row(check: Check) -> CheckRow:
    word, tone = VALUES[check.value]
    return CheckRow(
        id=check.id,
        title=_(check.row.title),
        value=str(check.value),
        tag=Tag(str(word), tone),
        reason=said(check.reason),
        fix=said(check.fix) if check.fix else "",
        standard=check.row.standard,
        asked_by=listed([PROVIDERS[one] for one in compliance.required_by(check.id)]),
    )
