"""Which of several resolvers see what should be there."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from infra.dns.propagation import Cause, Evidence, Finding, State, judge, look, pace, undelegated
from infra.dns.records import Record, record
from infra.dns.resolver import Answer, Patience, Status
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

SPF = record("TXT", "getacme.com", "v=spf1 include:_spf.google.com ~all")
MX = record("MX", "getacme.com", "1 smtp.google.com")
WANTED = (SPF, MX)
PATIENCE = Patience(lambda: 0.0, 5.0)


def seen_by(*tables: Table, expected: tuple[Record, ...] = WANTED, **options: object) -> Evidence:
    return look(expected, tables, patience=PATIENCE, **options)  # type: ignore[arg-type]


def found(*records: Record) -> Answer:
    return Answer(Status.RECORDS, records)


def test_all_resolvers_that_see_all_make_it_complete() -> None:
    evidence = seen_by(Table("a", WANTED), Table("b", WANTED))

    assert evidence.state is State.COMPLETE
    assert evidence.coverage == 100
    assert evidence.missing == ()


def test_one_resolver_that_lags_makes_it_partial() -> None:
    evidence = seen_by(Table("a", WANTED), Table("b", WANTED), Table("c", (SPF,)))

    assert [row.state for row in evidence.rows] == [State.COMPLETE, State.PARTIAL]
    assert evidence.state is State.PARTIAL
    assert evidence.missing == (MX,)
    assert [row.coverage for row in evidence.rows] == [100, 66]


def test_one_that_fails_among_three_does_not_hold_it_up_and_lowers_the_coverage() -> None:
    evidence = seen_by(Table("a", WANTED), Table("b", WANTED), Table("c", instead={"": BROKEN}))

    assert evidence.state is State.COMPLETE
    assert evidence.coverage == 66


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_too_few_that_answer_is_a_temporary_failure_and_never_absent(failure: Answer) -> None:
    evidence = seen_by(Table("a", WANTED), Table("b", instead={"": failure}), Table("c", instead={"": failure}))

    assert evidence.state is State.TEMPORARY_FAILURE
    assert seen_by(Table("a", instead={"": failure})).state is State.TEMPORARY_FAILURE


def test_nothing_seen_anywhere_is_absent() -> None:
    assert seen_by(Table("a"), Table("b")).state is State.ABSENT


def test_nobody_to_ask_and_nothing_to_ask_for_are_never_complete() -> None:
    assert seen_by().state is State.TEMPORARY_FAILURE
    assert seen_by(Table("a"), expected=()).state is State.ABSENT


def test_a_majority_decides_unless_a_quorum_is_named() -> None:
    tables = Table("a", WANTED), Table("b", instead={"": BROKEN}), Table("c", instead={"": BROKEN})

    assert not seen_by(*tables).is_complete
    assert seen_by(*tables, quorum=1).is_complete
    assert not seen_by(Table("a", WANTED), Table("b"), quorum=1).is_complete


def test_resolvers_are_not_asked_before_the_domains_own_servers_agree() -> None:
    resolver = Table("public", WANTED)
    own = Table("ns1", WANTED), Table("ns2", (SPF,))

    evidence = look(WANTED, [resolver], patience=PATIENCE, authoritative=own)

    assert (evidence.stage, evidence.state) == ("authoritative", State.PARTIAL)
    assert resolver.asked == []


def test_resolvers_are_asked_once_the_domains_own_servers_agree() -> None:
    evidence = look(WANTED, [Table("public")], patience=PATIENCE, authoritative=[Table("ns1", WANTED)])

    assert (evidence.stage, evidence.state) == ("resolvers", State.ABSENT)


def test_each_question_is_asked_once_of_each_resolver() -> None:
    table = Table("a")
    other = record("TXT", "getacme.com", "google-site-verification=x")

    seen_by(table, expected=(SPF, other, MX))

    assert [(owner, kind) for owner, kind, _ in table.asked] == [("getacme.com", "TXT"), ("getacme.com", "MX")]


def test_a_silent_resolver_is_not_asked_again() -> None:
    silent = Table("a", instead={"": SILENT})

    evidence = seen_by(silent)

    assert len(silent.asked) == 1
    assert [row.sights["a"].finding for row in evidence.rows] == [Finding.TIMEOUT, Finding.NOT_ASKED]


def test_the_whole_look_has_a_deadline() -> None:
    times = iter([0.0, 0.0, 4.0, 4.0, 6.0])
    tables = Table("a", WANTED), Table("b", WANTED)

    evidence = look(WANTED, tables, patience=Patience(lambda: next(times), 5.0, 3.0))

    assert [timeout for _, _, timeout in tables[0].asked] == [3.0, 1.0]
    assert tables[1].asked == []
    assert {row.sights["b"].finding for row in evidence.rows} == {Finding.NOT_ASKED}
    assert evidence.state is State.TEMPORARY_FAILURE


@pytest.mark.parametrize(
    "wanted, answer, finding",
    [
        (SPF, found(SPF), Finding.SEEN),
        (SPF, found(record("TXT", "getacme.com", "hello"), SPF), Finding.SEEN),
        (SPF, found(SPF, record("TXT", "getacme.com", "v=spf1 -all")), Finding.CONFLICT),
        (SPF, found(record("TXT", "getacme.com", "v=spf1 -all")), Finding.OTHER),
        (SPF, found(record("TXT", "getacme.com", "hello")), Finding.ABSENT),
        (MX, found(record("MX", "getacme.com", "10 mx.elsewhere.com")), Finding.OTHER),
        (MX, found(MX, record("MX", "getacme.com", "10 mx.elsewhere.com")), Finding.SEEN),
        (MX, Answer(Status.NXDOMAIN), Finding.ABSENT),
        (MX, Answer(Status.NO_ANSWER), Finding.ABSENT),
        (MX, BROKEN, Finding.TEMPORARY_FAILURE),
        (MX, SILENT, Finding.TIMEOUT),
        (MX, None, Finding.NOT_ASKED),
    ],
)
def test_an_answer_shows_one_of_these(wanted: Record, answer: Answer | None, finding: Finding) -> None:
    assert judge(wanted, answer).finding is finding


OTHER = record("TXT", "getacme.com", "v=spf1 -all")


@pytest.mark.parametrize(
    "own, public, cause",
    [
        (Table("ns1", WANTED), Table("a", WANTED), Cause.NOTHING),
        (Table("ns1", (MX,)), Table("a"), Cause.MISSING),
        (Table("ns1", (MX, OTHER)), Table("a"), Cause.OTHER_VALUE),
        (Table("ns1", (*WANTED, OTHER)), Table("a"), Cause.SECOND_RECORD),
        (Table("ns1", instead={"": BROKEN}), Table("a"), Cause.LAME_SERVER),
        (Table("ns1", instead={"": SILENT}), Table("a"), Cause.LAME_SERVER),
        (Table("ns1", WANTED), Table("a", (MX, OTHER)), Cause.STALE),
        (Table("ns1", WANTED), Table("a", instead={"": BROKEN}), Cause.DNSSEC),
        (Table("ns1", WANTED), Table("a", instead={"": SILENT}), Cause.UNREADABLE),
    ],
)
def test_what_holds_it_up_has_a_name(own: Table, public: Table, cause: Cause) -> None:
    evidence = look(WANTED, [public], patience=PATIENCE, authoritative=[own])

    assert evidence.cause is cause


@pytest.mark.parametrize(
    "public, cause",
    [(Table("a"), Cause.MISSING), (Table("a", instead={"": BROKEN}), Cause.UNREADABLE)],
)
def test_where_only_resolvers_are_asked_they_are_not_called_stale(public: Table, cause: Cause) -> None:
    assert seen_by(public).cause is cause


def test_a_domain_that_the_servers_above_do_not_know_is_absent_and_nobody_was_asked() -> None:
    unknown, unheard = undelegated(WANTED, was_answered=True), undelegated(WANTED, was_answered=False)

    assert (unknown.stage, unknown.state, unknown.cause) == ("delegation", State.ABSENT, Cause.NOT_DELEGATED)
    assert (unheard.state, unheard.cause) == (State.TEMPORARY_FAILURE, Cause.UNREADABLE)


def test_watching_begins_often_and_grows_rarer_over_48_hours() -> None:
    waited, looks = 0.0, 0
    while waited < 48 * 3600:
        waited += pace(waited)
        looks += 1

    assert (pace(0), pace(599), pace(600), pace(47 * 3600)) == (30, 30, 120, 3600)
    assert 80 < looks < 120
    assert pace(0, chance=0.0) == pytest.approx(27) == pytest.approx(2 * 30 - pace(0, chance=1.0))


@pytest.mark.parametrize(
    "owner, one, other",
    [
        ("_dmarc.getacme.com", "v=DMARC1; p=none", "v=DMARC1; p=reject"),
        ("google._domainkey.getacme.com", "v=DKIM1; p=MIIB", "k=rsa; p=AAAA"),
    ],
)
def test_a_second_policy_or_key_at_one_name_spoils_the_first(owner: str, one: str, other: str) -> None:
    wanted = record("TXT", owner, one)

    assert judge(wanted, found(wanted, record("TXT", owner, other))).finding is Finding.CONFLICT


def test_the_evidence_is_plain_data_with_a_row_per_record_and_a_column_per_resolver() -> None:
    when = datetime(2026, 11, 23, 9, tzinfo=UTC)
    evidence = seen_by(Table("a", (MX,)), Table("b", instead={"": BROKEN}), expected=(MX,), quorum=1, at=when)

    assert json.loads(json.dumps(evidence.as_json())) == {
        "at": "2026-11-23T09:00:00+00:00",
        "stage": "resolvers",
        "state": "complete",
        "cause": "",
        "coverage": 50,
        "records": [
            {
                "type": "MX",
                "owner": "getacme.com",
                "value": "smtp.google.com",
                "priority": 1,
                "state": "complete",
                "coverage": 50,
                "resolvers": {
                    "a": {"finding": "seen", "found": ["1 smtp.google.com"], "why": ""},
                    "b": {"finding": "temporary_failure", "found": [], "why": "the server answers SERVFAIL"},
                },
            }
        ],
    }
