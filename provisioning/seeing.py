"""Looks at the DNS of domains, outside of runs: when somebody presses "Check now", while its propagation is watched, and
once a day from then on, which begins by itself where we wrote the records. Pages read what is kept here and never ask a
name server. What is not as it was is looked at again an hour later; then its student is written to, once.

One worker at a time, what somebody waits for first, then the domain that has waited longest; as many looks a minute as the
budget `dns.looks` allows. A watch is a row that says when to look next: between two looks it holds no worker, no connection
and no transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, When
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from infra import clock, prepared, rls
from infra.dns.names import BadName
from infra.dns.propagation import DISAGREES, Evidence, Finding, Seen, State, pace
from infra.dns.records import BadRecord, Record, Type, from_json
from infra.dns.replay import Recording, Replay, storable
from infra.dns.spf.flatten import Change, Flattening
from infra.dns.spf.syntax import only_spf
from infra.dns.survey import ask_everything
from infra.models import (
    DnsCheck,
    DnsRecordState,
    Domain,
    DomainState,
    Mail,
    OperatorItem,
    PropagationObservation,
    PropagationWatch,
    Provision,
    ProvisionState,
    SpfFlattening,
    WatchState,
)
from infra.models.domain import GONE
from integrations.registry import LOOKS

from .actions import Refused, note
from .engine import budget, doorbell
from .engine.looker import Looker
from .engine.runner import Workshop, default_workshop
from .engine.specs import DAY, HOUR, MINUTE
from .engine.supervisor import note_work
from .engine.zoning import Expected, Zone, Zoning
from .looking import leave_place, put_off, take_oldest, take_place
from .stacks import STACKS

BELL = PLACE = "dns"
TIDIED = "dns_tidied"
LETTER = "dns_changed"  # kind of the student's letter, and of the operator's item
SLICE_SECONDS = 5.0  # machine seconds after which no further look begins
CHECK_AGAIN = 25.0  # machine seconds for which an answer is used again
BACKOFF = (MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR)  # by number of failures in a row
WATCHED_FOR = 2 * DAY
OBSERVED_FOR = timedelta(days=7)
TIDY_EVERY = 5 * MINUTE  # machine seconds, also until what has become live is noticed
CONFIRM = HOUR  # until the second look at what is not as it was, which decides
GATHER = timedelta(minutes=10)  # machine time for which a letter waits for what is found at the order's other domains
NOT_YET = (DomainState.SELECTED, DomainState.SPARE, DomainState.PURCHASING)
WRITTEN = (DomainState.DNS_PENDING, DomainState.CONNECTED, DomainState.ACTIVE)
FRESH = 10 * MINUTE  # after a change for which the domain's own servers may still say what stood there before
# Records are named by settings: whose account sends, and whether there is a key, is all one.
NO_KEYS = {"SMARTLEAD_API_KEY": "names-need-no-key"}
AT_WORK = (
    ProvisionState.PROVISIONING,
    ProvisionState.ACTIVE,
    ProvisionState.ACTIVE_WITH_EXCEPTIONS,
    ProvisionState.UPGRADING,
    ProvisionState.SUSPENDED,
    ProvisionState.FAILED,
    ProvisionState.CANCELLING,
)

ALIVE = (ProvisionState.ACTIVE, ProvisionState.ACTIVE_WITH_EXCEPTIONS, ProvisionState.UPGRADING)

# Somebody waits for these; the daily looks have a day.
WAITED_FOR = (
    "asked_at > COALESCE(checked_at, '-infinity') OR EXISTS (SELECT 1 FROM infra_propagationwatch AS w"
    " WHERE w.domain_id = infra_dnscheck.domain_id AND w.state = 'polling')"
)
OLD = "at < gtm_now('vendor') - make_interval(secs => %(kept)s)"


def is_due() -> bool:
    """Tell whether a look is due and may be made, or it is time to tidy up: asked by the supervisor's tick."""
    found = prepared.execute(
        "SELECT NOT EXISTS (SELECT 1 FROM provisioning_collection"
        "  WHERE name = %(place)s AND claimed_until > gtm_now('machine')),"
        " EXISTS (SELECT 1 FROM infra_dnscheck WHERE due_at <= (SELECT gtm_now('vendor'))),"
        " NOT EXISTS (SELECT 1 FROM provisioning_heartbeat WHERE name = %(tidied)s"
        "  AND at > gtm_now('machine') - make_interval(secs => %(every)s))",
        {"place": PLACE, "tidied": f"work:{TIDIED}", "every": TIDY_EVERY},
    )
    assert found is not None
    is_free, is_waiting, is_untidy = found
    return bool(is_free and (is_untidy or (is_waiting and budget.free(LOOKS.name, ""))))


def drain(limit: int = 10) -> int:
    """Look at up to `limit` domains; return how many. Answers the bell `dns`."""
    if not take_place(PLACE):
        return 0
    workshop, done, ends = default_workshop(), 0, clock.monotonic() + SLICE_SECONDS
    try:
        tidy()
        admit()
        while done < limit and clock.monotonic() < ends and look_at_next(workshop):
            done += 1
    finally:
        leave_place(PLACE)
    return done


def tidy() -> int:
    """Let old observations go, but for the first and the last of each state of a watch; return how many went."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM infra_propagationobservation AS o WHERE {OLD}"
            " AND EXISTS (SELECT 1 FROM infra_propagationobservation AS e"
            "  WHERE e.watch_id = o.watch_id AND e.state = o.state AND (e.at, e.id) < (o.at, o.id))"
            " AND EXISTS (SELECT 1 FROM infra_propagationobservation AS l"
            "  WHERE l.watch_id = o.watch_id AND l.state = o.state AND (l.at, l.id) > (o.at, o.id))",
            {"kept": OBSERVED_FOR.total_seconds()},
        )
        gone = int(cursor.rowcount)
    note_work(TIDIED)
    return gone


def admit() -> int:
    """Let the domains of set-ups that run be looked at once a day, the first time a day from now; return how many are new."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO infra_dnscheck (id, domain_id, provision_id, student_id, due_at, failures, problem, records, seen,"
            "  created_at, updated_at)"
            " SELECT gen_random_uuid(), d.id, p.id, p.student_id, gtm_now('vendor') + make_interval(secs => %s), 0, '',"
            "  '[]', '{}', gtm_now('machine'), gtm_now('machine')"
            " FROM infra_domain d JOIN infra_provision p ON p.id = d.provision_id"
            " LEFT JOIN infra_dnscheck c ON c.domain_id = d.id"
            " WHERE c.due_at IS NULL AND d.state = %s AND p.state = ANY(%s) AND p.order ->> 'stack' = ANY(%s)"
            " ON CONFLICT (domain_id) DO UPDATE SET due_at = excluded.due_at, failures = 0",
            [
                DAY,
                str(DomainState.ACTIVE),
                [str(one) for one in ALIVE],
                [one.key for one in STACKS.values() if one.zoning and one.zoning.is_written_by_us],
            ],
        )
        return int(cursor.rowcount)


# ---- one look --------------------------------------------------------------------------------------------------------


def look_at_next(workshop: Workshop) -> bool:
    """Look at the domain that has waited longest; return whether it makes sense to go on with the next."""
    if not DnsCheck.objects.filter(due_at__lte=clock.vendor_now()).exists() or not budget.take(LOOKS.name):
        return False
    due = take_oldest(DnsCheck, BACKOFF, first=WAITED_FOR)
    if due is None:
        return False
    domain = Domain.objects.select_related("provision").get(pk=due.domain_id)
    began = clock.machine_now()
    if not may_look(domain):
        DnsCheck.objects.filter(pk=due.pk).update(due_at=None, checked_at=began, failures=0)
        _end(PropagationWatch.objects.filter(domain=domain), WatchState.CANCELLED, now=clock.vendor_now())
        if domain.provision.state not in AT_WORK:
            OperatorItem.close(LETTER, key=str(domain.provision_id), resolution="The set-up has ended.")
        return True
    try:
        look_at(due, domain, workshop, began=began)
    except (BadName, BadRecord) as error:
        return put_off(due, error)
    return True


def look_at(check: DnsCheck, domain: Domain, workshop: Workshop, *, began: datetime) -> None:
    """Ask the name servers about a domain and keep what they said. No transaction is open while they are asked."""
    now, looker = clock.vendor_now(), Looker(workshop.name_servers, None)
    wanted = expected(domain, workshop)
    flattening = SpfFlattening.objects.filter(domain=domain, ended_at=None).first()
    evidence = looker.look([one.record for one in wanted], at=now, zone=domain.name)
    answers, drift = {} if evidence.was_answered else dict(check.seen.get("answers") or {}), None
    with looker.resolver(domain.name) as resolver:
        if resolver is not None:
            recording = Recording(resolver)
            drift = ask_everything(
                domain.name, recording, selectors_of(wanted), as_flattening(flattening) if flattening else None
            )
            answers = recording.kept
    with transaction.atomic():
        watch = PropagationWatch.objects.select_for_update(of=("self",)).filter(
            domain=domain, state=WatchState.POLLING
        ).first()  # fmt: skip
        wait = _observe(watch, evidence, now=now) if watch else DAY
        is_late = PropagationWatch.objects.filter(domain=domain).values_list("state", flat=True).first() == "timeout"
        is_fresh = watch is not None and clock.seconds_between(watch.since, now) < FRESH
        rows = rows_of(
            wanted,
            evidence,
            known=_known(check, domain),
            changed=_changed(check),
            is_written=domain.state in WRITTEN,
            is_settled=domain.state == DomainState.ACTIVE and not is_fresh,
            is_late=is_late,
        )
        if is_told_of(domain) and _judge(domain, rows, check.records, now=now):
            wait = min(wait, CONFIRM)
        kept = {"evidence": evidence.as_json(), "answers": answers, "selectors": selectors_of(wanted)}
        DnsCheck.objects.filter(pk=check.pk).update(
            # Somebody may have pressed again meanwhile.
            due_at=Case(When(asked_at__gt=began, then=F("due_at")), default=clock.later(now, wait)),
            looked_at=now,
            checked_at=began,
            failures=0,
            problem="",
            records=storable(rows),
            seen=storable(kept),
        )
        if flattening and drift and drift.change is not Change.KEPT:
            found = {"change": str(drift.change), "added": list(drift.added), "removed": list(drift.removed)}
            told = {} if drift.change is Change.SAME else {**found, "why": drift.why}
            SpfFlattening.objects.filter(pk=flattening.pk).update(looked_at=now, drift=storable(told))


def may_look(domain: Domain) -> bool:
    """Tell whether a domain is part of something that runs or is being built."""
    return domain.provision.state in AT_WORK and domain.state not in (*GONE, *NOT_YET)


def zoning_of(provision: Provision) -> Zoning | None:
    """Return what the stack of an order says about records."""
    stack = STACKS.get(str(provision.order.get("stack", "")))
    return stack.zoning if stack else None


def expected(domain: Domain, workshop: Workshop | None = None) -> list[Expected]:
    """Return the records that a domain should have, as far as they are known."""
    zoning, workshop = zoning_of(domain.provision), workshop or default_workshop()
    if zoning is None:
        return []
    clients = workshop.clients.with_own(NO_KEYS)
    zone = Zone(domain.name, domain.facts, domain.provision.order, workshop.options, clients)
    return list(zoning.expected(zone))


def selectors_of(wanted: Sequence[Expected]) -> list[str]:
    """Return the DKIM selectors among the records that should be there."""
    return [one.record.owner.partition("._domainkey.")[0] for one in wanted if one.kind == "dkim"]


def as_flattening(row: SpfFlattening) -> Flattening:
    """Return a kept flattening as the rules know it."""
    return Flattening(
        row.domain.name,
        row.original,
        row.flattened,
        tuple(row.networks),
        tuple(row.sources),
        row.lookups_before,
        row.lookups_after,
        row.refresh,
    )


# ---- the state of each record ----------------------------------------------------------------------------------------


def rows_of(
    wanted: Sequence[Expected],
    evidence: Evidence,
    *,
    known: Mapping[Record, str],
    changed: Collection[Record] = (),
    **standing: bool,
) -> list[dict[str, Any]]:
    """Return a row for each record that should be there.

    known     when each record was first seen everywhere
    changed   those that had drifted when somebody looked last
    standing  how far the set-up is: see `state_of`
    """
    kinds, at = {one.record: one.kind for one in wanted}, evidence.at.isoformat() if evidence.at else None
    rows = []
    for seen in evidence.rows:
        since = known.get(seen.record, "")
        was_changed = seen.record in changed
        state = state_of(seen, evidence, was_there=bool(since), was_changed=was_changed, **standing)
        if state is DnsRecordState.PROPAGATED and not since:
            since = at or ""
        found = dict.fromkeys(value for sight in seen.sights.values() for value in sight.found)
        rows.append(
            {
                "kind": kinds[seen.record],
                **seen.as_json(),
                "ttl": seen.record.ttl,
                "found": list(found),
                "state": str(state),
                "checked_at": at,
                "propagated_at": since or None,
            }
        )
    return rows


def state_of(
    seen: Seen,
    evidence: Evidence,
    *,
    was_there: bool,
    was_changed: bool = False,
    is_written: bool = True,
    is_settled: bool = False,
    is_late: bool = False,
) -> DnsRecordState:
    """Return where a record stands after a look; nobody's silence changes what was known of it.

    was_there   it was seen everywhere before; was_changed: and it had drifted when somebody looked last
    is_written  the set-up has come as far as writing it
    is_settled  it is long done: the domain's own servers must not say something else
    is_late     a watch has given up
    """
    findings = {sight.finding for sight in seen.sights.values()}
    if seen.state is State.COMPLETE:  # also where its own servers alone were asked: they decide
        return DnsRecordState.PROPAGATED
    disagrees = bool(findings & set(DISAGREES)) or (evidence.stage == "delegation" and evidence.was_answered)
    if was_there and not disagrees:
        return DnsRecordState.DRIFTED if was_changed else DnsRecordState.PROPAGATED
    if Finding.CONFLICT in findings:
        return DnsRecordState.FAILED
    if evidence.stage != "resolvers" and (was_there or (is_settled and Finding.OTHER in findings)):
        return DnsRecordState.DRIFTED
    if is_late:
        return DnsRecordState.FAILED
    if Finding.SEEN in findings or was_there or evidence.own_agree:
        return DnsRecordState.PROPAGATING
    return DnsRecordState.CREATED if is_written else DnsRecordState.PLANNED


def _known(check: DnsCheck, domain: Domain) -> dict[Record, str]:
    """Return since when each record was seen everywhere: as the set-up saw it, and as earlier looks did."""
    known, evidence = dict[Record, str](), domain.facts.get("dns_evidence") or {}
    kept = [(row, row.get("propagated_at")) for row in check.records]
    built = [(row, evidence.get("at")) for row in evidence.get("records", ()) if row.get("state") == State.COMPLETE]
    for row, at in (*kept, *built):
        with suppress(BadRecord):
            if at:
                known.setdefault(from_json(row), str(at))
    return known


def _changed(check: DnsCheck) -> set[Record]:
    """Return the records that had drifted when somebody looked last."""
    return {from_json(row) for row in check.records if row.get("state") == DnsRecordState.DRIFTED}


# ---- what is not as it was -------------------------------------------------------------------------------------------


def is_told_of(domain: Domain) -> bool:
    """Tell whether people are written to when a record of a domain changes: we have written it, and it is in use."""
    zoning = zoning_of(domain.provision)
    return bool(zoning and zoning.is_written_by_us and domain.provision.state in ALIVE)


def is_changed(row: Mapping[str, Any]) -> bool:
    """Tell whether a record that mail needs was there, and is gone, says something else or has a second one beside it."""
    has_rival = any(sight["finding"] == Finding.CONFLICT for sight in row["resolvers"].values())
    is_broken = row["state"] == DnsRecordState.FAILED and row.get("propagated_at") and has_rival
    return bool(row["kind"] != "other" and (row["state"] == DnsRecordState.DRIFTED or is_broken))


def _judge(
    domain: Domain, rows: Sequence[dict[str, Any]], before: Sequence[Mapping[str, Any]], *, now: clock.VendorInstant
) -> bool:
    """Note since when each changed record is so, and write of those that a second look confirms; return whether one is
    to be confirmed. What is mended is forgotten, so that it is told again when it changes again."""
    known = {(one["owner"], one["type"], one["value"]): one for one in before}
    fresh, waits = False, False
    for row in rows:
        if not is_changed(row):
            continue
        last = known.get((row["owner"], row["type"], row["value"]), {})
        row["changed_at"] = last.get("changed_at") or now.isoformat()
        row["told_at"] = last.get("told_at")
        since = parse_datetime(row["changed_at"])
        if row["told_at"] is None and since is not None and clock.seconds_between(since, now) >= CONFIRM:
            row["told_at"], fresh = now.isoformat(), True
        waits = waits or row["told_at"] is None
    if fresh:
        _tell(domain, now=now)
    if not any(is_changed(row) for row in rows):
        _forget(domain)
    return waits


def _tell(domain: Domain, *, now: datetime) -> None:
    """Write to a domain's student, in the letter of this order that still waits where there is one; and to the operator."""
    provision = domain.provision
    waiting = Mail.objects.select_for_update(of=("self",)).filter(kind=LETTER, provision=provision, attempts=0)
    if not waiting.filter(sent_at=None).exists():
        letter = Mail.written(LETTER, key=f"{domain.pk}:{now.isoformat()}", provision=provision, item=domain.name)
        letter.not_before = clock.machine_now() + GATHER
        Mail.objects.bulk_create([letter], ignore_conflicts=True)
    sentence = (
        f"{provision.reference}: records of {domain.name}, or of other domains of the order, are not as we wrote them"
    )
    OperatorItem.open(LETTER, key=str(provision.pk), sentence=sentence, provision=provision)


def _forget(domain: Domain) -> None:
    """Close the operator's item when no domain of the order is changed any more."""
    others = DnsCheck.objects.filter(provision=domain.provision_id).exclude(domain=domain)
    if not any(is_changed(row) for rows in others.values_list("records", flat=True) for row in rows):
        OperatorItem.close(LETTER, key=str(domain.provision_id), resolution="A look sees every record as it should be.")


# ---- watching --------------------------------------------------------------------------------------------------------


def _observe(watch: PropagationWatch, evidence: Evidence, *, now: clock.VendorInstant) -> float:
    """Note what a watch has seen; return the seconds until its next look, or until the daily one when it is over."""
    PropagationObservation.objects.create(
        watch=watch,
        student_id=watch.student_id,
        at=now,
        state=str(evidence.state),
        cause=str(evidence.cause),
        coverage=evidence.coverage,
    )
    watch.looks, watch.coverage = watch.looks + 1, evidence.coverage
    watch.save(update_fields=["looks", "coverage", "updated_at"])
    waited = clock.seconds_between(watch.since, now)
    this = PropagationWatch.objects.filter(pk=watch.pk)
    if evidence.is_complete and evidence.stage == "resolvers":
        _end(this, WatchState.COMPLETED, now=now)
        return DAY
    if waited >= WATCHED_FOR:
        _end(this, WatchState.TIMEOUT, now=now)
        return DAY
    chance = (watch.pk.int + 389 * watch.looks) % 1000 / 999  # not all watches look at the same moment
    return min(pace(waited, chance=chance), max(1.0, WATCHED_FOR - waited))


def _end(watches: Any, state: WatchState, *, now: datetime) -> None:
    watches.filter(state=WatchState.POLLING).update(state=state, ended_at=now)


# ---- what people ask for ---------------------------------------------------------------------------------------------


def check_now(*, domain: Domain, actor: str) -> bool:
    """Look as soon as a worker can; return False where the last answer is so new that it is used again.

    Raises Refused where there is nothing to look at.
    """
    with rls.acting_as("worker"), transaction.atomic():
        domain = _locked(domain)
        check = DnsCheck.objects.filter(domain=domain).first()
        now = clock.machine_now()
        last = max((at for at in (check.asked_at, check.checked_at) if at), default=None) if check else None
        if last is not None and clock.seconds_between(last, now) < CHECK_AGAIN:
            return False
        DnsCheck.want(domain, now=clock.vendor_now(), asked=now)
        note(domain.provision, "dns_check", actor=actor, item=domain.name)
        doorbell.ring(BELL)
    return True


def watch(*, domain: Domain, actor: str) -> PropagationWatch:
    """Watch a domain's records until all name servers show them, or go on with what was stopped or has run out.

    One that runs already goes on. Raises Refused where there is nothing to look at.
    """
    with rls.acting_as("worker"), transaction.atomic():
        domain = _locked(domain)
        now = clock.vendor_now()
        last = PropagationWatch.objects.filter(domain=domain).first()
        if last is not None and last.state == WatchState.POLLING:
            return last
        if last is not None and last.state != WatchState.COMPLETED:
            last.state, last.since, last.ended_at = WatchState.POLLING, now, None
            last.save(update_fields=["state", "since", "ended_at", "updated_at"])
        else:
            last = PropagationWatch.begin(domain, now=now)
        DnsCheck.want(domain, now=now)
        note(domain.provision, "watch_started", actor=actor, item=domain.name)
        doorbell.ring(BELL)
    return last


def stop_watching(*, domain: Domain, actor: str) -> bool:
    """Stop watching; return whether there was anything to stop."""
    with rls.acting_as("worker"), transaction.atomic():
        polling = PropagationWatch.objects.filter(domain=domain, state=WatchState.POLLING)
        if not polling.exists():
            return False
        now = clock.vendor_now()
        _end(polling, WatchState.CANCELLED, now=now)
        DnsCheck.objects.filter(domain=domain, due_at__gt=now).update(due_at=clock.later(now, DAY))
        note(domain.provision, "watch_stopped", actor=actor, item=domain.name)
    return True


def _locked(domain: Domain) -> Domain:
    found = Domain.objects.select_for_update(of=("self",)).select_related("provision").get(pk=domain.pk)
    if not may_look(found):
        raise Refused(_("%(name)s is not in use, so there is nothing to look at.") % {"name": found.name})
    return found


def published_spf(check: DnsCheck | None, name: str) -> str:
    """Return the SPF record that the last look found; empty without one, or with several."""
    answers = check.seen.get("answers") or {} if check else {}
    texts = only_spf(Replay(answers).query(name, Type.TXT).values)
    return texts[0] if len(texts) == 1 else ""
