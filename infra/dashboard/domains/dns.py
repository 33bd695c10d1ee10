"""The page of a domain's records: which should be there, what name servers show of each, and the watch until all do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from infra.dashboard import words
from infra.dashboard.presenters import Notice
from infra.dns.names import BadName, absolute
from infra.dns.propagation import Cause, Finding, State
from infra.dns.records import BadRecord, Record, from_json, purpose, record
from infra.models import DnsCheck, DnsRecordState, Domain, DomainState, PropagationWatch, WatchState
from infra.models.domain import GONE
from infra.presenters_base import Fact, Line, Tag, ago, moment
from infra.state_guide import DNS_RECORD, WATCH
from provisioning import seeing
from provisioning.engine.zoning import Expected

from .kit import FindingRow, Place, Sight, change_notice, finding_rows, places

SHOWN_OBSERVATIONS = 8
SHOWN_VALUES = 5

KINDS: dict[str, tuple[str | Promise, str | Promise]] = {
    "mx": (_lazy("MX"), _lazy("Where mail to this domain arrives.")),
    "spf": (_lazy("SPF"), _lazy("Which servers may send mail in this domain's name.")),
    "dkim": (_lazy("DKIM"), _lazy("The key with which receivers check the signature of your mail.")),
    "dmarc": (_lazy("DMARC"), _lazy("What receivers shall do with mail that only pretends to be yours.")),
    "google": (_lazy("Proof for Google"), _lazy("Shows Google that this domain is yours. Without it mailboxes stop.")),
    "tracking": (_lazy("Tracking"), _lazy("Leads links in your mail to the sending tool, under this domain's name.")),
    "other": (_lazy("Other"), _lazy("Not needed for mail; the platform has put it there.")),
}

STATES: dict[str, tuple[str | Promise, str]] = {
    DnsRecordState.PLANNED: (_lazy("Planned"), "off"),
    DnsRecordState.CREATED: (_lazy("Written, not seen yet"), "wait"),
    DnsRecordState.PROPAGATING: (_lazy("Not everywhere yet"), "busy"),
    DnsRecordState.PROPAGATED: (_lazy("Confirmed"), "done"),
    DnsRecordState.DRIFTED: (_lazy("Changed"), "attention"),
    DnsRecordState.FAILED: (_lazy("Failed"), "failed"),
}

SIGHTS: dict[str, tuple[str | Promise, str]] = {
    Finding.SEEN: (_lazy("shows it"), "done"),
    Finding.ABSENT: (_lazy("shows nothing"), "wait"),
    Finding.OTHER: (_lazy("shows something else"), "attention"),
    Finding.CONFLICT: (_lazy("shows a second one beside it"), "failed"),
    Finding.TEMPORARY_FAILURE: (_lazy("could not say"), "off"),
    Finding.TIMEOUT: (_lazy("did not answer"), "off"),
    Finding.NOT_ASKED: (_lazy("was not asked"), "off"),
}

WATCHES: dict[str, tuple[str | Promise, str]] = {
    WatchState.POLLING: (_lazy("Watching"), "busy"),
    WatchState.COMPLETED: (_lazy("All seen"), "done"),
    WatchState.TIMEOUT: (_lazy("Two days are over"), "attention"),
    WatchState.CANCELLED: (_lazy("Stopped"), "off"),
}

SEEN: dict[str, tuple[str | Promise, str]] = {
    State.COMPLETE: (_lazy("seen everywhere"), "done"),
    State.PARTIAL: (_lazy("seen in part"), "busy"),
    State.ABSENT: (_lazy("not seen yet"), "wait"),
    State.TEMPORARY_FAILURE: (_lazy("no answer"), "off"),
}

CHANGES: dict[str, str | Promise] = {
    Finding.CONFLICT: _lazy("%(what)s: a second record stands beside ours, and they break each other."),
    Finding.OTHER: _lazy("%(what)s: something else stands there now."),
    Finding.ABSENT: _lazy("%(what)s: the record is gone."),
}
UNFINDABLE = _lazy("%(what)s: cannot be found, because the domain does not lead to our name servers any more.")

# What holds it up, and what a person can do about it.
CAUSES: dict[str, str | Promise] = {
    Cause.NOT_DELEGATED: _lazy(
        "The servers above this domain do not know it yet. After a registration or a change of name servers this takes up "
        "to a day."
    ),
    Cause.MISSING: _lazy("The domain's own name servers lack a record. If we wrote it just now, wait some minutes."),
    Cause.OTHER_VALUE: _lazy(
        "The domain's own name servers say something else than they should. If you changed it, change it back; else ask "
        "the operator."
    ),
    Cause.SECOND_RECORD: _lazy(
        "Two records stand where one may stand, and break each other. Remove the one that is not ours."
    ),
    Cause.LAME_SERVER: _lazy(
        "One of the domain's own name servers does not answer for it. We ask again; nothing is lost meanwhile."
    ),
    Cause.STALE: _lazy(
        "The domain's own name servers are right. Some others still keep what was there before, for some hours at most."
    ),
    Cause.DNSSEC: _lazy(
        "The domain's own name servers answer, and others refuse their answers: its DNSSEC signature is broken. Switch "
        "DNSSEC off at your registrar, or ask the operator."
    ),
    Cause.UNREADABLE: _lazy("No name server answered us. That says nothing about your records; we ask again."),
}


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record that should be there. `found` are the values that name servers showed, `differs` where they are not it alone;
    `sights` what each of them said."""

    id: str
    kind: str
    title: str
    purpose: str
    type: str
    owner: str
    expected: str
    found: list[str]
    differs: bool
    state: str
    tag: Tag
    sentence: str
    coverage: int
    seen: str
    sights: list[Line]


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A record that is there and that we did not make."""

    type: str
    owner: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class WatchCard:
    """The watch. `actions` are those that make sense now: start, stop, resume."""

    state: str
    tag: Tag | None
    text: str
    facts: list[Fact]
    observations: list[Line]
    actions: list[str]


@dataclass(frozen=True, slots=True)
class DnsPage:
    """`coverage` is a share of the name servers that were asked, never of the world; `looking` while the page changes."""

    name: str
    tag: Tag
    lede: str
    checked: str
    checked_at: str | None
    looking: bool
    coverage: int
    notices: list[Notice]
    records: list[RecordRow]
    others: list[OtherRow]
    findings: list[FindingRow]
    watch: WatchCard
    can_check: bool
    places: list[Place]
    version: str
    state_href: str


def dns_page(sight: Sight) -> DnsPage:
    """Say what is known of a domain's records; nobody is asked."""
    domain, check = sight.domain, sight.check
    wanted = seeing.expected(domain)
    rows = list(check.records) if check and check.looked_at else _before_the_first_look(sight, wanted)
    rows = [] if domain.state in GONE else rows
    evidence = (check.seen.get("evidence") if check else None) or domain.facts.get("dns_evidence") or {}
    return DnsPage(
        name=domain.name,
        tag=words.domain(domain),
        lede=_lede(domain, rows),
        checked=sight.checked,
        checked_at=sight.checked_at,
        looking=sight.is_looking,
        coverage=sum(row["coverage"] for row in rows) // len(rows) if rows else 0,
        notices=_notices(sight, rows, evidence),
        records=[_record_row(number, row) for number, row in enumerate(rows, 1)],
        others=_others(sight, [one.record for one in wanted]),
        findings=finding_rows(sight.survey.findings) if sight.survey else [],
        watch=_watch_card(sight, evidence, has_rows=bool(rows)),
        can_check=sight.may_look,
        places=places(domain, "domain-dns"),
        version=sight.version,
        state_href=reverse("domain-dns-state", args=[domain.name]),
    )


def summary(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Return how many of the records are confirmed, and how many there should be."""
    return sum(row["state"] == DnsRecordState.PROPAGATED for row in rows), len(rows)


def _lede(domain: Domain, rows: list[dict[str, Any]]) -> str:
    if domain.state in GONE:
        return _("This domain is not in use any more.")
    if not rows:
        return _("The platform that runs this domain's name servers has not told us its records yet.")
    good, count = summary(rows)
    if good == count:
        return _("Every record that mail needs is there and seen everywhere we asked.")
    return ngettext("%(n)s of %(all)s record is confirmed.", "%(n)s of %(all)s records are confirmed.", count) % {
        "n": good,
        "all": count,
    }


def _before_the_first_look(sight: Sight, wanted: list[Expected]) -> list[dict[str, Any]]:
    """Return the records as the set-up saw them last, and those that nobody has looked for."""
    seen = {}
    for row in (sight.domain.facts.get("dns_evidence") or {}).get("records", ()):
        try:
            seen[from_json(row)] = row
        except BadRecord:
            continue
    is_written = sight.domain.state in seeing.WRITTEN
    return [_as_row(one, seen.get(one.record), is_written=is_written) for one in wanted] + [
        _as_row(Expected((purpose(one) or "other").lower(), one), row, is_written=True)
        for one, row in seen.items()
        if one not in [each.record for each in wanted]
    ]


BUILT = {State.COMPLETE: DnsRecordState.PROPAGATED, State.PARTIAL: DnsRecordState.PROPAGATING}


def _as_row(one: Expected, seen: Mapping[str, Any] | None, *, is_written: bool) -> dict[str, Any]:
    unseen = DnsRecordState.CREATED if is_written else DnsRecordState.PLANNED
    resolvers = dict(seen["resolvers"]) if seen else {}
    state = BUILT.get(seen["state"], unseen) if seen and resolvers else unseen
    found = dict.fromkeys(value for sight in resolvers.values() for value in sight.get("found", ()))
    share = sum(each["finding"] == Finding.SEEN for each in resolvers.values()) * 100 // max(1, len(resolvers))
    values = {"kind": one.kind, "state": str(state), "coverage": share, "resolvers": resolvers, "found": list(found)}
    return one.record.as_json() | values


def _record_row(number: int, row: Mapping[str, Any]) -> RecordRow:
    title, what = KINDS.get(row["kind"], KINDS["other"])
    word, tone = STATES[row["state"]]
    seen = [sight["finding"] for sight in row["resolvers"].values()]
    told = ngettext("seen by %(n)s of %(all)s name server", "seen by %(n)s of %(all)s name servers", len(seen))
    value = str(row["value"])
    wanted = value if row.get("priority") is None else f"{row['priority']} {value}"
    found = list(row["found"])[:SHOWN_VALUES]
    sentence = str(DNS_RECORD[DnsRecordState(row["state"])].student)
    if row["state"] == DnsRecordState.CREATED and not seen:
        sentence = _("It is written. Press “Check now” to see what name servers show.")
    return RecordRow(
        id=f"record-{number}",
        kind=row["kind"],
        title=str(title),
        purpose=str(what),
        type=row["type"],
        owner=row["owner"],
        expected=wanted,
        found=found,
        differs=found != [wanted],
        state=row["state"],
        tag=Tag(str(word), tone),
        sentence=sentence,
        coverage=row["coverage"],
        seen=told % {"n": seen.count(Finding.SEEN), "all": len(seen)} if seen else _("nobody was asked yet"),
        sights=[_sight_line(name, one) for name, one in sorted(row["resolvers"].items())],
    )


def _sight_line(name: str, sight: Mapping[str, Any]) -> Line:
    word, tone = SIGHTS[sight["finding"]]
    found = [str(one) for one in sight.get("found", ())][:SHOWN_VALUES]
    shows = found if sight["finding"] in (Finding.OTHER, Finding.CONFLICT) else []
    return Line(name, str(word), tone, " · ".join(shows))


def _others(sight: Sight, wanted: list[Record]) -> list[OtherRow]:
    """Return what is there beside ours: of the zone's list where we keep one, and of what lay there before."""
    facts, found = sight.domain.facts, dict[Record, str]()
    for kind, host, value, priority in facts.get("dns_records") or ():
        try:
            found[record(str(kind), absolute(str(host), sight.domain.name), str(value), priority)] = ""
        except (BadRecord, BadName):
            continue
    for row in facts.get("records_before") or ():
        try:
            found.setdefault(from_json(row), _("lay there before the domain came to us"))
        except BadRecord:
            continue
    rest = ((one, note) for one, note in found.items() if one not in wanted)
    return [OtherRow(str(one.type), one.owner, one.shown, note) for one, note in rest]


def _notices(sight: Sight, rows: Iterable[Mapping[str, Any]], evidence: Mapping[str, Any]) -> list[Notice]:
    notices = [one for one in (change_notice(sight),) if one]
    check, cause = sight.check, str(evidence.get("cause") or "")
    if check and check.is_wanted:
        notices.append(Notice("busy", _("We are looking"), _("This takes some seconds. The page shows it by itself.")))
    if check and check.failures and not check.is_wanted:
        text = _("What you see here is from the look before. We try again by ourselves.")
        notices.append(Notice("wait", _("The last look came to nothing"), text))
    if said := changes(rows):
        text = _("%(what)s If it was not you, ask the operator.")
        if any(row.get("told_at") for row in rows):
            text = _("%(what)s If it was not you, you need not do anything: the operator was told.")
        notices.append(Notice("attention", _("Something has changed"), text % {"what": " ".join(said)}))
    elif cause in CAUSES:
        is_failure = evidence.get("state") == State.TEMPORARY_FAILURE
        title = _("Name servers do not answer") if is_failure else _("Not everything is seen yet")
        notices.append(Notice("wait", title, str(CAUSES[cause])))
    return notices


def _watch_card(sight: Sight, evidence: Mapping[str, Any], *, has_rows: bool) -> WatchCard:
    watch = sight.watch
    can = sight.may_look and has_rows
    if watch is None:
        text = _(
            "We can look again and again until every name server shows every record: each half minute at first, then more "
            "rarely, for two days at most."
        )
        return WatchCard("", None, text, [], [], ["start"] if can else [])
    word, tone = WATCHES[watch.state]
    check = sight.check
    facts = [
        Fact(_("Since"), moment(sight.student, watch.since, now=sight.now)),
        Fact(_("Looks"), str(watch.looks)),
        Fact(_("Seen last"), _("%(n)s %%") % {"n": watch.coverage}),
    ]
    if watch.state == WatchState.POLLING and check and check.due_at:
        facts.append(Fact(_("Next look"), moment(sight.student, max(check.due_at, sight.now), now=sight.now)))
    ended = {WatchState.POLLING: ["stop"], WatchState.COMPLETED: ["start"]}
    return WatchCard(
        state=watch.state,
        tag=Tag(str(word), tone),
        text=str(WATCH[WatchState(watch.state)].student),
        facts=facts,
        observations=_observations(sight, watch),
        actions=ended.get(WatchState(watch.state), ["resume"]) if can else [],
    )


def _observations(sight: Sight, watch: PropagationWatch) -> list[Line]:
    rows = watch.observations.all()[:SHOWN_OBSERVATIONS]
    lines = []
    for row in rows:
        word, tone = SEEN.get(row.state, SEEN[State.TEMPORARY_FAILURE])
        share = _("%(n)s %% of the name servers") % {"n": row.coverage}
        lines.append(Line(ago(row.at, now=sight.now), str(word), tone, share))
    return lines


def in_short(domain: Domain, *, now: datetime) -> tuple[str, bool]:
    """Say in one line how much of a domain's DNS is confirmed and when that was seen, and whether something of it is not.

    For lists of domains, whose `dns_check` was read along with them: nothing is read here.
    """
    check: DnsCheck | None = getattr(domain, "dns_check", None)
    built = domain.facts.get("dns_evidence") or {}
    records = built.get("records") or ()
    good, count = sum(row.get("state") == State.COMPLETE for row in records), len(records)
    at = parse_datetime(str(built.get("at") or ""))
    if check is not None and check.looked_at is not None:
        good, count = summary(check.records)
        at = check.looked_at
    if not count:
        is_ready = domain.state == DomainState.ACTIVE
        return (_("DNS: set up, not looked at by us yet") if is_ready else _("DNS: not confirmed yet")), not is_ready
    said = _("DNS: %(n)s of %(all)s confirmed") % {"n": good, "all": count}
    said = _("%(what)s, %(when)s") % {"what": said, "when": ago(at, now=now)} if at else said
    return said, good < count


def changes(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say of each record that was there what has become of it."""
    said = []
    for row in rows:
        if seeing.is_changed(row):
            findings = {sight["finding"] for sight in row["resolvers"].values()}
            text = next((text for finding, text in CHANGES.items() if finding in findings), UNFINDABLE)
            said.append(str(text) % {"what": KINDS.get(row["kind"], KINDS["other"])[0]})
    return said


def has_drifted(domain: Domain) -> bool:
    """Tell whether a record of a domain is not as it was; `dns_check` was read along."""
    check: DnsCheck | None = getattr(domain, "dns_check", None)
    return check is not None and any(seeing.is_changed(row) for row in check.records)
