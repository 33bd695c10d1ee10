"""Addresses in place of names: proven equal by pyspf at every edge, and refused where they could not be."""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Iterator

import pytest

from infra.dns.records import Record, Type, record
from infra.dns.resolver import TIMEOUT, Answer
from infra.dns.spf.flatten import CannotFlatten, Change, Flattening, collapsed, flatten, refresh, without
from infra.dns.spf.tree import grow
from tests.unit.infra.dns.judges import Judge
from tests.unit.infra.dns.kit import BROKEN, Table

NAME = "acme.example"
HELO = "mail.sender.example"


def txt(name: str, text: str) -> Record:
    return record("TXT", name, text)


VENDORS = (
    txt("x.example", "v=spf1 -ip4:192.0.2.64/26 ip4:192.0.2.0/24 include:deep.example ?ip4:198.51.100.0/25 ~all"),
    txt("deep.example", "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:1::/48 -all"),
    txt("y.example", "v=spf1 a:host.example mx:host.example/30 redirect=deep.example"),
    record("A", "host.example", "203.0.113.9"),
    record("AAAA", "host.example", "2001:db8:2::9"),
    record("MX", "host.example", "10 mx.example"),
    record("A", "mx.example", "203.0.113.18"),
)


def made(original: str, *more: Record) -> tuple[Flattening, Table]:
    world = Table(records=[txt(NAME, original), *VENDORS, *more])
    return flatten(NAME, original, world), world


def flat_world(flattening: Flattening, world: Table) -> Table:
    """Return the world in which the flattening is published."""
    others = [one for one in world.records if (one.owner, one.type) != (NAME, Type.TXT)]
    return Table(records=[*(txt(name, text) for name, text in flattening.records.items()), *others])


def edges(world: Table) -> Iterator[str]:
    """Yield each end of every network that any record names, what lies inside and what lies beside it."""
    for one in world.records:
        words = one.value.split() if one.type is Type.TXT else [f"ip4:{one.value}/30"] if one.type is Type.A else []
        for word in words:
            kind, _, network = word.lstrip("+-~?").partition(":")
            if kind not in ("ip4", "ip6"):
                continue
            found = ipaddress.ip_network(network, strict=False)
            first, last = int(found.network_address), int(found.broadcast_address)
            for number in (first - 1, first, (first + last) // 2, last, last + 1):
                yield str(type(found.network_address)(number))


def prove(flattening: Flattening, world: Table, monkeypatch: pytest.MonkeyPatch, *, every: int = 1) -> int:
    """Compare pyspf's results before and after, of every so many addresses; return how many were tried."""
    addresses = sorted({*edges(world), *edges(flat_world(flattening, world))})[::every]
    before, after = list[str](), list[str]()
    for results, where in ((before, world), (after, flat_world(flattening, world))):
        judge = Judge(where, monkeypatch)
        results += [judge.result(address, f"ada@{NAME}")[0] for address in addresses]
    assert dict(zip(addresses, before, strict=True)) == dict(zip(addresses, after, strict=True))
    return len(addresses)


@pytest.mark.parametrize(
    "original",
    [
        "v=spf1 include:x.example ~all",
        "v=spf1 include:y.example -all",
        "v=spf1 ~include:x.example ?a:host.example include:y.example -all",
        "v=spf1 -ip4:192.0.2.1 include:x.example redirect=y.example",
        "v=spf1 include:x.example",
        "v=spf1 mx:host.example/24 -include:deep.example x=y ?all",
    ],
)
def test_every_sender_gets_what_it_got_before(original: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flattening, world = made(original)

    assert prove(flattening, world, monkeypatch) > 20
    assert flattening.lookups_after == 0 < flattening.lookups_before
    assert not [word for text in flattening.records.values() for word in text.split() if "include" in word]


@pytest.mark.parametrize("seed", range(12))
def test_chance_records_stay_what_they_were(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)

    def words(*later: str) -> str:
        one = [
            f"{chance.choice(['', '', '-', '~', '?'])}ip4:192.0.2.{chance.randint(0, 255)}/{chance.randint(24, 32)}"
            for _ in range(chance.randint(1, 5))
        ]
        one += [f"{chance.choice(['', '', '-', '?'])}include:{name}" for name in later]
        chance.shuffle(one)
        return " ".join(["v=spf1", *one, chance.choice(["-all", "~all", "?all", ""])]).strip()

    original = words("a.example", "b.example")
    world = Table(
        records=[txt(NAME, original), txt("a.example", words("b.example")), txt("b.example", words())],
    )

    assert prove(flatten(NAME, original, world), world, monkeypatch) > 10


def test_what_is_too_long_for_one_record_goes_over_several_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    many = " ".join(f"ip4:198.18.{number}.0/28" for number in range(120))
    flattening, world = made(
        "v=spf1 include:many.example -ip4:192.0.2.1 ~all", txt("many.example", f"v=spf1 {many} -all")
    )

    assert set(flattening.records) == {NAME, *(f"_spf{number}.{NAME}" for number in range(1, 8))}
    assert all(len(text) <= 450 for text in flattening.records.values())
    assert flattening.records[NAME].endswith(f"include:_spf6.{NAME} -include:_spf7.{NAME} ~all")
    assert flattening.lookups_after == 7 == grow(NAME, flat_world(flattening, world)).lookups
    assert prove(flattening, world, monkeypatch, every=9) > 50


def test_addresses_come_in_their_shortest_form_and_are_the_same_ones() -> None:
    rows = [ipaddress.ip_network(text) for text in ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32", "2001:db8::/33")]

    assert [str(one) for one in collapsed(rows)] == ["192.0.2.0/24", "2001:db8::/33"]
    assert without(ipaddress.ip_network("192.0.2.0/30"), [ipaddress.ip_network("192.0.2.1/32")]) == [
        ipaddress.ip_network("192.0.2.2/31"),
        ipaddress.ip_network("192.0.2.0/32"),
    ]


@pytest.mark.parametrize(
    "original, reason",
    [
        ("hello", "none"),
        ("v=spf1 nonsense", "broken"),
        ("v=spf1 ip4:192.0.2.1 -all", "nothing"),
        ("v=spf1 include:_spf.google.com ip4:192.0.2.1 ~all", "needless"),
        ("v=spf1 include:%{d}.example -all", "macro"),
        ("v=spf1 exists:x.example -all", "macro"),
        ("v=spf1 include:ptr.example -all", "ptr"),
        ("v=spf1 include:x.example exp=why.example -all", "exp"),
        ("v=spf1 include:open.example -all", "everybody"),
        ("v=spf1 include:nowhere.example -all", "broken"),
        ("v=spf1 include:acme.example -all", "broken"),
        ("v=spf1 a:nowhere.example -all", "empty"),
    ],
)
def test_it_is_refused_where_it_could_not_be_the_same(original: str, reason: str) -> None:
    with pytest.raises(CannotFlatten) as refused:
        made(original, txt("ptr.example", "v=spf1 ptr -all"), txt("open.example", "v=spf1 +all"))
    assert refused.value.reason == reason
    assert "%" not in str(refused.value).replace("%{d}", "")


def test_it_is_refused_while_a_server_does_not_answer() -> None:
    world = Table(records=VENDORS, instead={"deep.example": BROKEN})

    with pytest.raises(CannotFlatten) as refused:
        flatten(NAME, "v=spf1 include:x.example -all", world)
    assert refused.value.reason == "temporary"


def test_more_than_ten_records_are_refused() -> None:
    many = " ".join(f"ip6:2001:db8:{number:x}::/64" for number in range(1, 300))

    with pytest.raises(CannotFlatten, match="more records|need more"):
        made("v=spf1 include:many.example -all", txt("many.example", f"v=spf1 {many} -all"))


def test_what_it_costs_is_said() -> None:
    flattening, _world = made("v=spf1 include:x.example ~all")

    kept = json.loads(json.dumps(flattening.as_json()))
    assert kept["original"] == "v=spf1 include:x.example ~all"
    assert kept["sources"] == ["x.example", "deep.example"]
    assert kept["warning"].startswith("The addresses are copied. When a sender changes theirs")


def test_the_sources_shortest_life_says_when_to_look_again() -> None:
    class Short(Table):
        def query(self, name: str, kind: Type, *, timeout: float = TIMEOUT) -> Answer:
            answer = super().query(name, kind, timeout=timeout)
            return Answer(answer.status, answer.records, ttl=900 if name == "deep.example" else 3600)

    assert flatten(NAME, "v=spf1 include:x.example ~all", Short(records=VENDORS)).refresh == 900


# Refresh


def changed(text: str) -> Table:
    return Table(records=[txt("one.example", text)])


FIRST = flatten(
    NAME, "v=spf1 include:one.example -all", changed("v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 ip4:192.0.2.5 -all")
)


def test_nothing_new_changes_nothing() -> None:
    again = refresh(FIRST, changed("v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 ip4:192.0.2.5 -all"))

    assert (again.change, again.flattening) == (Change.SAME, FIRST)


def test_a_small_change_is_taken_and_told() -> None:
    again = refresh(FIRST, changed("v=spf1 ip4:192.0.2.1 ip4:192.0.2.3 ip4:192.0.2.7 -all"))

    assert (again.change, again.added, again.removed) == (Change.CHANGED, ("192.0.2.7/32",), ("192.0.2.5/32",))
    assert "192.0.2.7" in again.flattening.records[NAME]


@pytest.mark.parametrize(
    "text",
    ["v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:10.0.0.1 ip4:10.0.0.3 -all", "v=spf1 -all", "hello", "v=spf1 +all"],
)
def test_what_shrinks_grows_or_empties_too_much_waits_for_a_person(text: str) -> None:
    again = refresh(FIRST, changed(text))

    assert (again.change, again.flattening) == (Change.ALARM, FIRST)
    assert again.why


def test_a_failure_keeps_the_last_good_state() -> None:
    again = refresh(FIRST, Table(instead={"": BROKEN}))

    assert (again.change, again.flattening) == (Change.KEPT, FIRST)
