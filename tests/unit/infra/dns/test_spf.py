"""SPF beyond the OpenSPF suite: what it costs, what it leads to, how it is changed."""

from __future__ import annotations

import json
import random

import pytest

from infra.dns.records import Record, record
from infra.dns.resolver import Answer, Status
from infra.dns.spf.edit import CannotEdit, add_include, with_include
from infra.dns.spf.evaluate import Limits, evaluate
from infra.dns.spf.syntax import SpfSyntax, is_spf, parse
from infra.dns.spf.tree import LOOP, MOST_WALKED, NO_RECORD, UNREADABLE, Tree, grow
from tests.unit.infra.dns.judges import Judge
from tests.unit.infra.dns.kit import BROKEN, SILENT, Table

NAME = "acme.example"


def zone(**texts: str) -> Table:
    """Return a resolver of TXT records: `a__b` names a.b.example, `acme` the domain itself."""
    return Table(records=[txt(name.replace("__", ".") + ".example", text) for name, text in texts.items()])


def txt(name: str, text: str) -> Record:
    return record("TXT", name, text)


def ids(tree: Tree) -> list[str]:
    return [one.id for one in tree.findings]


# Parsing


@pytest.mark.parametrize(
    "text, verdict", [("v=spf1", True), ("V=SPF1 -all", True), ("v=spf10 -all", False), ("v=spf1-all", False)]
)
def test_the_version_is_followed_by_a_space_or_the_end(text: str, verdict: bool) -> None:
    assert is_spf(text) is verdict


def test_a_record_is_parsed_into_its_terms() -> None:
    policy = parse("v=spf1 mx/24//64 ?a:Mail.example -ip4:192.0.2.0/24 new=thing redirect=_spf.b.example")

    assert [(one.name, one.result) for one in policy.mechanisms] == [("mx", "pass"), ("a", "neutral"), ("ip4", "fail")]
    assert (policy.mechanisms[0].cidr4, policy.mechanisms[0].cidr6) == (24, 64)
    assert policy.redirect is not None
    assert [one.text for one in policy.asking] == ["mx/24//64", "?a:Mail.example", "redirect=_spf.b.example"]
    assert [one.text for one in policy.others] == ["new=thing"]


def test_what_stands_behind_all_is_dead() -> None:
    policy = parse("v=spf1 -all a redirect=b.example")

    assert [one.text for one in policy.dead] == ["a", "redirect=b.example"]
    assert policy.asking == ()


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1 ip4:192.0.2.1/33 -all",
        "v=spf1 ip4:192.0.2.1/024 -all",
        "v=spf1 ip6:192.0.2.1 -all",
        "v=spf1 include -all",
        "v=spf1 include: -all",
        "v=spf1 redirect=a.example redirect=b.example",
        "v=spf1 +all:x",
        "v=spf1 unknown -all",
        "v=spf1 a:%{x}.example -all",
        "v=spf1 include:münchen.example -all",
    ],
)
def test_a_record_that_receivers_refuse_is_refused(text: str) -> None:
    with pytest.raises(SpfSyntax):
        parse(text)


# Judged by pyspf


def random_world(chance: random.Random) -> Table:
    """Make some domains whose records lead to each other, to hosts and to nowhere."""
    names = [f"d{number}.example" for number in range(6)]
    rows = list[Record]()
    for position, name in enumerate(names):
        later = [*names[position + 1 :], "nowhere.example"]
        words = [chance.choice(_WORDS)(chance, later) for _ in range(chance.randint(1, 4))]
        if chance.random() < 0.2:
            words.append(f"redirect={chance.choice(later)}")
        elif chance.random() < 0.8:
            words.append(chance.choice(["-all", "~all", "?all"]))
        rows.append(txt(name, " ".join(["v=spf1", *words])))
        rows += [record("A", name, f"192.0.2.{chance.randint(0, 15)}") for _ in range(chance.randint(0, 2))]
        rows += [record("MX", name, f"10 {chance.choice(names)}") for _ in range(chance.randint(0, 2))]
        rows += [record("AAAA", name, f"2001:db8::{chance.randint(0, 3)}")] if chance.random() < 0.3 else []
    return Table(records=list(dict.fromkeys(rows)))


_WORDS = [
    lambda chance, later: (
        f"{chance.choice(['', '-', '~', '?'])}ip4:192.0.2.{chance.randint(0, 15)}/{chance.choice([28, 30, 32])}"
    ),
    lambda chance, later: f"ip6:2001:db8::{chance.randint(0, 3)}",
    lambda chance, later: f"{chance.choice(['', '', '-', '~'])}include:{chance.choice(later)}",
    lambda chance, later: f"{chance.choice(['', '?'])}a:{chance.choice(later)}/{chance.choice([30, 32])}",
    lambda chance, later: f"mx:{chance.choice(later)}",
    lambda chance, later: f"exists:%{{ir}}.{chance.choice(later)}",
]


@pytest.mark.parametrize("seed", range(40))
def test_chance_records_get_what_pyspf_gives_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    world = random_world(chance)
    judge = Judge(world, monkeypatch)
    for address in ("192.0.2.1", f"192.0.2.{chance.randint(0, 15)}", "198.51.100.1", "2001:db8::1"):
        verdict = evaluate(address, "ada@d0.example", "mail.sender.example", world)
        result, lookups = judge.result(address, "ada@d0.example")
        assert verdict.result == result, (address, world.records, verdict)
        if result not in ("permerror", "temperror"):
            # pyspf counts a redirect when it reads the record, whether it comes to it or not.
            assert verdict.lookups <= lookups, (address, world.records)
            assert verdict.lookups == lookups or any("redirect" in one.value for one in world.records)


def test_the_term_that_decided_is_named_with_what_it_cost() -> None:
    world = zone(acme="v=spf1 include:x.example include:y.example -all", x="v=spf1 -all", y="v=spf1 ip4:192.0.2.1 -all")

    verdict = evaluate("192.0.2.1", f"ada@{NAME}", "h.example", world)

    assert (verdict.result, verdict.matched, verdict.lookups) == ("pass", "include:y.example", 2)


def test_limits_are_settings() -> None:
    world = zone(acme="v=spf1 a:x.example a:y.example ip4:192.0.2.1 -all")

    assert evaluate("192.0.2.1", f"ada@{NAME}", "h", world).result == "pass"
    assert evaluate("192.0.2.1", f"ada@{NAME}", "h", world, limits=Limits(voids=1)).result == "permerror"
    assert evaluate("192.0.2.1", f"ada@{NAME}", "h", world, limits=Limits(lookups=1)).result == "permerror"


# The tree


def test_the_static_count_is_the_worst_case_and_the_dynamic_one_stops_at_the_match() -> None:
    world = zone(
        acme="v=spf1 include:x.example include:y.example a mx ~all",
        x="v=spf1 include:z.example ip4:192.0.2.0/24 ~all",
        y="v=spf1 exists:q.example -all",
        z="v=spf1 ip4:198.51.100.0/24 -all",
    )
    tree = grow(NAME, world)

    assert tree.lookups == 6
    assert [(one.term, one.lookups) for one in tree.root.branches] == [
        ("include:x.example", 2),
        ("include:y.example", 2),
        ("a", 1),
        ("mx", 1),
    ]
    assert evaluate("192.0.2.7", f"ada@{NAME}", "h.example", world).lookups == 2


def test_eleven_look_ups_are_an_error_and_eight_a_warning() -> None:
    def tree(count: int) -> Tree:
        names = {f"x{number}": "v=spf1 -all" for number in range(count)}
        return grow(
            NAME, zone(acme=" ".join(["v=spf1", *(f"include:{name}.example" for name in names), "-all"]), **names)
        )

    assert "spf-lookups" in ids(tree(11))
    assert not tree(11).is_usable
    assert ids(tree(10)) == ids(tree(8)) == ["spf-lookups-near"]
    assert ids(tree(7)) == []


def test_void_look_ups_are_counted_over_all_branches_although_a_sender_before_them_passes() -> None:
    world = zone(
        acme="v=spf1 ip4:192.0.2.1 a:x.example include:y.example -all", y="v=spf1 mx:p.example exists:q.example"
    )
    tree = grow(NAME, world)

    assert tree.root.voids == ("x.example", "p.example", "q.example")
    assert ids(tree) == ["spf-voids"]
    assert evaluate("192.0.2.1", f"ada@{NAME}", "h.example", world).result == "pass"
    assert evaluate("192.0.2.2", f"ada@{NAME}", "h.example", world).result == "permerror"


def test_a_host_with_ipv6_alone_is_not_void() -> None:
    world = Table(records=[txt(NAME, "v=spf1 a -all"), record("AAAA", NAME, "2001:db8::1")])

    assert grow(NAME, world).voids == 0


@pytest.mark.parametrize("other", ["v=spf1 include:ACME.example -all", "v=spf1 redirect=x.example"])
def test_a_circle_is_found_and_left(other: str) -> None:
    tree = grow(NAME, zone(acme="v=spf1 include:x.example -all", x=other))

    assert ids(tree) == ["spf-loop"]
    assert [one.problem for one in tree.root.all() if one.problem] == [LOOP]


@pytest.mark.parametrize(
    "text, found",
    [
        ("v=spf1 ptr -all", ["spf-ptr"]),
        ("v=spf1 include:%{d}.x.example -all", ["spf-macro"]),
        ("v=spf1 +all", ["spf-everybody"]),
        ("v=spf1 ip4:192.0.2.1", ["spf-open-end"]),
        ("v=spf1 ip4:192.0.2.1 ~all a", ["spf-dead"]),
        ("v=spf1 include:none.example ~all", ["spf-target-none"]),
        ("v=spf1 include:bad.example ~all", ["spf-target-broken"]),
        ("v=spf1 include:two.example ~all", ["spf-target-broken"]),
        ("v=spf1 mx:many.example ~all", ["spf-mx-hosts"]),
        ("v=spf1 nonsense ~all", ["spf-syntax"]),
        ("hello", ["spf-none"]),
        ("v=spf1 ip4:192.0.2.1 ~all", []),
    ],
)
def test_what_is_wrong_has_a_stable_id(text: str, found: list[str]) -> None:
    rows = [
        txt(NAME, text),
        txt("bad.example", "v=spf1 nonsense"),
        txt("two.example", "v=spf1 -all"),
        txt("two.example", "v=spf1 ~all"),
        *(record("MX", "many.example", f"10 m{number}.example") for number in range(11)),
    ]

    assert ids(grow(NAME, Table(records=rows))) == found


def test_two_records_are_an_error_and_are_shown() -> None:
    tree = grow(NAME, Table(records=[txt(NAME, "v=spf1 -all"), txt(NAME, "v=spf1 ~all")]))

    assert ids(tree) == ["spf-several"]
    assert tree.root.text == "v=spf1 -all | v=spf1 ~all"


@pytest.mark.parametrize("failure", [BROKEN, SILENT])
def test_a_server_that_fails_is_never_a_missing_record(failure: Answer) -> None:
    world = zone(acme="v=spf1 include:x.example -all")
    world.instead = {"x.example": failure}
    tree = grow(NAME, world)

    assert ids(tree) == ["spf-unreadable"]
    assert [one.problem for one in tree.root.branches] == [UNREADABLE]
    assert not tree.was_read_whole
    world.instead = {NAME: failure}
    assert ids(grow(NAME, world)) == ["spf-unreadable"]


def test_a_long_answer_is_advice_and_other_texts_count() -> None:
    tree = grow(NAME, Table(records=[txt(NAME, "v=spf1 -all"), txt(NAME, "x" * 400)]))

    assert ids(tree) == ["spf-size"]
    assert tree.is_usable


def test_a_record_that_spreads_out_for_ever_is_not_followed_for_ever() -> None:
    class Endless(Table):
        def query(self, name: str, kind: object, *, timeout: float = 3.0) -> Answer:
            self.asked.append((name, kind, timeout))  # type: ignore[arg-type]
            return Answer(Status.RECORDS, (txt(name, f"v=spf1 include:a.{name} include:b.{name} -all"),))

    endless = Endless()
    tree = grow("x.example", endless)

    assert len(endless.asked) == MOST_WALKED
    assert "spf-lookups" in ids(tree)


def test_the_tree_is_plain_data() -> None:
    tree = grow(NAME, zone(acme="v=spf1 include:x.example -all"))

    kept = json.loads(json.dumps(tree.as_json()))
    assert kept["lookups"] == 1
    assert kept["tree"]["branches"][0]["problem"] == NO_RECORD
    assert kept["findings"][0]["said"].startswith("include:x.example leads to a name without an SPF record")


# Changing it


@pytest.mark.parametrize(
    "before, after",
    [
        ("", "v=spf1 include:new.example ~all"),
        ("v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.1 include:new.example -all"),
        ("v=spf1 a redirect=x.example", "v=spf1 a include:new.example redirect=x.example"),
        ("v=spf1 x=y a", "v=spf1 x=y a include:new.example"),
        ("v=spf1 include:NEW.example. -all", "v=spf1 include:NEW.example. -all"),
    ],
)
def test_an_include_goes_before_the_end_and_one_record_stays_one(before: str, after: str) -> None:
    assert with_include(before, "new.example") == after


def test_a_change_that_would_break_the_record_is_refused_and_shown() -> None:
    names = {f"x{number}": "v=spf1 -all" for number in range(10)}
    text = " ".join(["v=spf1", *(f"include:{name}.example" for name in names), "-all"])
    world = zone(acme=text, new="v=spf1 -all", **names)

    with pytest.raises(CannotEdit, match="11 of 10 look-ups") as refused:
        add_include(NAME, text, "new.example", world)
    assert refused.value.tree.lookups == 11
    assert add_include(NAME, "v=spf1 -all", "new.example", world) == "v=spf1 include:new.example -all"


def test_a_change_is_refused_while_a_server_does_not_answer() -> None:
    world = zone(acme="v=spf1 -all")
    world.instead = {"new.example": BROKEN}

    with pytest.raises(CannotEdit, match="has answered"):
        add_include(NAME, "v=spf1 -all", "new.example", world)
