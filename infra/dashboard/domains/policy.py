"""The page of a domain's DMARC policy: where it stands on the ladder, whether to go further, and the click that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from infra import warmup
from infra.dashboard.presenters import Notice
from infra.dns import compliance, dmarc
from infra.dns.compliance import Value
from infra.presenters_base import Line, Tag
from infra.warmup import RESTING
from provisioning import changing
from provisioning.engine.runner import default_workshop
from provisioning.engine.zoning import POLICY

from .kit import FindingRow, Place, Sight, change_notice, finding_rows, places, why_no_change

STAY = timedelta(days=14)  # vendor time on one step before the next is advised

RUNGS: dict[dmarc.Rung, tuple[str | Promise, str | Promise]] = {
    dmarc.Rung.NONE: (
        _lazy("Watch only"),
        _lazy("Receivers deliver as they like and send reports. Where every new domain begins."),
    ),
    dmarc.Rung.QUARANTINE_TEST: (
        _lazy("Try out quarantine"),
        _lazy(
            "Reports say what quarantine would do; receivers that know the new standard act as if they only watched."
        ),
    ),
    dmarc.Rung.QUARANTINE: (
        _lazy("Quarantine"),
        _lazy("Mail that fails goes into the spam folder."),
    ),
    dmarc.Rung.REJECT: (
        _lazy("Reject"),
        _lazy(
            "Mail that fails is refused. Nobody can send in this domain's name but you; nor can you, if something breaks."
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class RungRow:
    """A step of the ladder. `key` is what is sent to choose it; `why_not` why it cannot be."""

    key: str
    title: str
    text: str
    record: str
    current: bool
    advised: bool
    can_choose: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """`found` is the record as name servers show it, `current` the step that it stands on.

    reports_to      where its reports go
    reports_arrive  whether that is in the operator's domain, which takes them
    """

    name: str
    checked: str
    checked_at: str | None
    looking: bool
    can_check: bool
    notices: list[Notice]
    current: str
    tag: Tag | None
    found: str
    advice: str
    conditions: list[Line]
    rungs: list[RungRow]
    findings: list[FindingRow]
    can_change: bool
    why_not: str
    reports_to: str
    reports_arrive: bool
    places: list[Place]


def policy_page(sight: Sight) -> PolicyPage:
    """Say where the policy stands and what is advised; nobody is asked."""
    found = sight.survey.dmarc if sight.survey else None
    policy = found.policy if found else None
    current = dmarc.rung(policy) if policy else changing.rung_of(sight.domain)
    conditions = list(_conditions(sight))
    reports = [one.removeprefix("mailto:") for one in policy.rua] if policy else []
    operators = default_workshop().options.dmarc_report_email
    above = dmarc.next_rung(policy or dmarc.at_rung(dmarc.Policy(), current))
    *shown, by_a_message = conditions
    advised = above if above and all(line.tone == "done" for line in shown) and by_a_message.tone != "wait" else None
    why_not = str(sight.zoning.no_policy) or why_no_change(sight.domain.provision)
    title, _text = RUNGS[current]
    return PolicyPage(
        name=sight.domain.name,
        checked=sight.checked,
        checked_at=sight.checked_at,
        looking=sight.is_looking,
        can_check=sight.may_look,
        notices=[one for one in (change_notice(sight, (POLICY,)),) if one],
        current=str(current),
        tag=Tag(str(title), "busy" if sight.is_changing else "done"),
        found=found.as_json()["text"] if found else "",
        advice=_advice(above, advised, is_proven=by_a_message.tone == "done"),
        conditions=conditions,
        rungs=[_rung_row(sight, one, _written(policy, operators), current, advised, why_not) for one in dmarc.Rung],
        findings=finding_rows(found.findings) if found else [],
        can_change=not why_not,
        why_not=why_not,
        reports_to=", ".join(reports),
        reports_arrive=all(_host(one) == _host(operators) for one in reports),
        places=places(sight.domain, "domain-policy"),
    )


def _host(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _written(found: dmarc.Policy | None, operators: str) -> dmarc.Policy:
    """Return what is written but for the step: reports go to the operator, whatever stands there now."""
    return dmarc.parse(dmarc.first_record(operators)) if operators else found or dmarc.Policy()


def _rung_row(
    sight: Sight,
    rung: dmarc.Rung,
    policy: dmarc.Policy,
    current: dmarc.Rung,
    advised: dmarc.Rung | None,
    why_not: str,
) -> RungRow:
    title, text = RUNGS[rung]
    unknown = (
        "" if rung in sight.zoning.rungs else _("The platform that runs the name servers does not know this step.")
    )
    refused = why_not or unknown
    return RungRow(
        key=str(rung),
        title=str(title),
        text=str(text),
        record=dmarc.at_rung(policy, rung).text(),
        current=rung == current,
        advised=rung == advised,
        can_choose=not refused and rung != current,
        why_not=unknown if not why_not else "",
    )


def _advice(above: dmarc.Rung | None, advised: dmarc.Rung | None, *, is_proven: bool) -> str:
    if above is None:
        return _("This is the last step. Look at the reports now and then.")
    if advised is None:
        return _("Stay where you are until everything below is so. Going further now can cost you mail of your own.")
    said = (
        _("You may go on to “%(step)s”. Go one step at a time, and stay on each for two weeks.")
        if is_proven
        else _(
            "You may go on to “%(step)s” once a message of yours shows “dmarc=pass” at a receiver. One step at a time."
        )
    )
    return said % {"step": RUNGS[advised][0]}


def _conditions(sight: Sight) -> Iterator[Line]:
    """What should be so before the next step (RFC 9989, 5: watched first, then enforced, by a person's decision)."""
    boxes = [
        one
        for one in warmup.standings(
            sight.domain.provision,
            list(sight.domain.mailboxes.select_related("domain")),
            now=sight.now,
            is_measured=False,
        )
        if one.mailbox.state not in RESTING
    ]
    is_warm = bool(boxes) and all(one.ramp is not None and one.ramp.is_over(one.today) for one in boxes)
    yield _line(_("The warmup days of its mailboxes are over"), Value.PASS if is_warm else Value.FAIL)
    since = _since(sight)
    stayed = since is not None and sight.now - since >= STAY
    yield _line(_("Two weeks on the present step"), Value.PASS if stayed else Value.FAIL)
    checks = compliance.checks(sight.survey.facts) if sight.survey else {}
    for key, text in (
        ("spf_record", _("SPF record is valid")),
        ("dkim_key", _("DKIM key is published")),
        ("dmarc_record", _("DMARC record is valid")),
    ):
        yield _line(text, checks[key].value if key in checks else Value.UNKNOWN)
    proof = checks["aligned"].value if checks else Value.UNKNOWN
    missing = _("DNS cannot show it. Test one of its mailboxes, or read “dmarc=pass” in a message to yourself.")
    yield _line(_("Your mail passes at a receiver"), proof, missing if proof is Value.UNKNOWN else "")


VALUES: dict[Value, tuple[str | Promise, str]] = {
    Value.PASS: (_lazy("yes"), "done"),
    Value.FAIL: (_lazy("not yet"), "wait"),
    Value.UNKNOWN: (_lazy("not known"), "off"),
}


def _line(name: str, value: Value, note: str = "") -> Line:
    word, tone = VALUES[value]
    return Line(name, str(word), tone, note)


def _since(sight: Sight) -> datetime | None:
    """Return since when the policy has stood as it stands."""
    changed = parse_datetime(str(sight.domain.facts.get("policy_changed_at") or ""))
    return changed or sight.domain.connected_at or sight.domain.bought_at
