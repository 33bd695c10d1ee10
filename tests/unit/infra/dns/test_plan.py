"""Plan, refuse if unsafe, then apply; touch only what we own."""

from __future__ import annotations

import json
import random

import pytest

from infra.dns.plan import Action, Existing, Plan, Unsafe, plan
from infra.dns.records import Record, record

ZONE = "acme.example"
SPF = record("TXT", ZONE, "v=spf1 include:_spf.google.com ~all")
DMARC = record("TXT", f"_dmarc.{ZONE}", "v=DMARC1; p=none; rua=mailto:r@ops.example")
MX = record("MX", ZONE, "1 smtp.google.com")
TRACK = record("CNAME", f"track.{ZONE}", "open.sender.example")
WANTED = (SPF, DMARC, MX, TRACK)
SITE = Existing("site", record("A", ZONE, "192.0.2.80"))


def rows(*records: Record, ours: bool = True) -> list[Existing]:
    return [Existing(f"row{number}", one, ours) for number, one in enumerate(records)]


def actions(made: Plan) -> list[str]:
    return [str(one.action) for one in made.steps]


def ids(made: Plan) -> list[str]:
    return [one.id for one in made.refused]


def test_an_empty_zone_gets_what_is_wanted() -> None:
    made = plan(ZONE, WANTED, [])

    assert made.is_safe
    assert [one.record for one in made.changes] == list(WANTED)


def test_what_is_there_already_changes_nothing_however_it_is_written_and_whoever_made_it() -> None:
    there = record("TXT", f"_dmarc.{ZONE}", "v=DMARC1;p=none;rua=mailto:r@ops.example;")
    made = plan(ZONE, WANTED, [*rows(SPF, MX, TRACK, ours=False), Existing("d", there)])

    assert made.changes == ()
    assert made.is_safe


def test_what_is_ours_is_changed_in_its_place_and_removed_when_it_is_not_wanted() -> None:
    old = record("TXT", ZONE, "v=spf1 -all")
    gone = record("CNAME", f"old.{ZONE}", "x.example")
    made = plan(ZONE, WANTED, [*rows(old, gone, DMARC, MX), SITE])

    assert actions(made) == ["update", "delete", "keep", "keep", "keep", "create"]
    assert made.steps[0].record == SPF


def test_foreign_records_that_stand_in_nobodys_way_are_never_touched() -> None:
    foreign = [
        record("A", f"www.{ZONE}", "192.0.2.80"),
        record("TXT", ZONE, "google-site-verification=abc"),
        record("NS", ZONE, "ns1.host.example"),
        record("MX", f"lists.{ZONE}", "10 mx.lists.example"),
    ]
    made = plan(ZONE, WANTED, rows(*foreign, ours=False))

    assert made.is_safe
    assert actions(made) == ["keep"] * 4 + ["create"] * 4


@pytest.mark.parametrize(
    "foreign, found",
    [
        (record("TXT", ZONE, "v=spf1 include:other.example -all"), "plan-foreign"),
        (record("TXT", f"_dmarc.{ZONE}", "v=DMARC1; p=reject"), "plan-foreign"),
        (record("CNAME", f"track.{ZONE}", "elsewhere.example"), "plan-foreign"),
        (record("MX", ZONE, "10 mx.employer.example"), "plan-foreign-mail"),
        (record("A", f"track.{ZONE}", "192.0.2.1"), "plan-alias"),
        (record("CNAME", f"_dmarc.{ZONE}", "policy.example"), "plan-alias"),
    ],
)
def test_a_foreign_record_in_the_way_stops_everything_until_a_person_agrees(foreign: Record, found: str) -> None:
    refused = plan(ZONE, WANTED, rows(foreign, ours=False))

    assert (ids(refused), refused.agreeable) == ([found], ("row0",))
    with pytest.raises(Unsafe):
        refused.whole()
    agreed = plan(ZONE, WANTED, rows(foreign, ours=False), agreed=refused.agreeable)
    assert agreed.is_safe
    assert set(agreed.whole()) == set(WANTED)


def test_a_second_record_beside_the_wanted_one_is_seen_although_nothing_is_to_be_made() -> None:
    made = plan(ZONE, WANTED, [*rows(*WANTED), Existing("second", record("TXT", ZONE, "v=spf1 -all"))])

    assert (ids(made), made.agreeable) == (["plan-foreign"], ("second",))


@pytest.mark.parametrize(
    "wanted, found",
    [
        ([record("TXT", "other.example", "v=spf1 -all")], "plan-outside"),
        ([record("TXT", f"not{ZONE}", "v=spf1 -all")], "plan-outside"),
        ([record("NS", ZONE, "ns1.x.example")], "plan-apex"),
        ([SPF, record("TXT", ZONE, "v=spf1 -all")], "plan-twice"),
        ([TRACK, record("TXT", f"track.{ZONE}", "hello")], "plan-twice"),
        ([], "plan-empty"),
    ],
)
def test_what_cannot_be_wanted_is_refused(wanted: list[Record], found: str) -> None:
    assert ids(plan(ZONE, wanted, rows(MX))) == [found]


def test_several_mail_servers_are_one_set() -> None:
    five = [record("MX", ZONE, f"{priority} mx{priority}.example") for priority in (1, 5, 10)]
    made = plan(ZONE, [MX], rows(*five))

    assert actions(made) == ["update", "delete", "delete"]


def test_taking_down_removes_what_is_ours_and_nothing_else() -> None:
    made = plan(ZONE, [], [*rows(*WANTED), SITE], taking_down=True)

    assert made.is_safe
    assert made.whole() == (SITE.record,)


def test_many_removals_at_once_wait_for_a_word() -> None:
    ours = [record("CNAME", f"n{number}.{ZONE}", "x.example") for number in range(6)]

    assert ids(plan(ZONE, [SPF], rows(*ours))) == ["plan-many"]
    assert plan(ZONE, [SPF], rows(*ours), agreed={"many"}).is_safe


def test_removals_come_first_so_that_no_two_of_a_kind_stand_side_by_side() -> None:
    old = record("CNAME", f"_dmarc.{ZONE}", "policy.example")
    made = plan(ZONE, WANTED, rows(MX, old, SPF))

    assert [one.action for one in made.changes] == [Action.DELETE, Action.CREATE, Action.CREATE]


def test_the_whole_set_keeps_its_order_for_platforms_that_replace_all_of_it() -> None:
    made = plan(ZONE, WANTED, [SITE, *rows(record("TXT", ZONE, "v=spf1 -all"), MX)])

    assert made.whole() == (SITE.record, SPF, MX, DMARC, TRACK)


def test_a_plan_is_plain_data() -> None:
    kept = json.loads(json.dumps(plan(ZONE, [SPF], [SITE]).as_json()))

    assert kept["steps"][1] == {"action": "create", "before": "", "after": f"{ZONE} TXT {SPF.value}"}


@pytest.mark.parametrize("seed", range(30))
def test_applied_plans_arrive_keep_what_is_foreign_and_end(seed: int) -> None:
    """Whatever stands there: a safe plan leads to what is wanted, a second one has nothing to do."""
    chance = random.Random(seed)
    pool = [
        *WANTED,
        record("TXT", ZONE, "v=spf1 -all"),
        record("MX", ZONE, "10 mx.other.example"),
        record("A", f"www.{ZONE}", "192.0.2.1"),
        record("TXT", ZONE, "note"),
        record("CNAME", f"old.{ZONE}", "x.example"),
    ]
    wanted = [*chance.sample(WANTED, chance.randint(1, 4))]
    existing = [Existing(str(number), one, chance.random() < 0.5) for number, one in enumerate(chance.sample(pool, 5))]
    made = plan(ZONE, wanted, existing, agreed={"many"})
    if not made.is_safe:
        made = plan(ZONE, wanted, existing, agreed={"many", *made.agreeable})
        assert made.is_safe
    after = made.whole()

    assert set(wanted) <= set(after)
    untouched = {row.record for row in existing if not row.ours and row.id not in made.agreeable}
    agreed = {step.existing.record for step in made.changes if step.existing and not step.existing.ours}
    assert untouched - agreed <= set(after)
    again = plan(ZONE, wanted, [Existing(str(one), one, one in wanted) for one in after])
    assert (again.changes, again.is_safe) == ((), True)
