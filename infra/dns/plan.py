"""What to change in a zone: the wanted records against those that are there. Plan, refuse if unsafe, then apply.

Only what we made is changed or removed. What somebody else put there is kept; where it stands in the way, the plan is
refused until a person has agreed to that very record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infra.naming import gettext_noop

from .findings import Finding, Level, Rule, Rules, unique
from .names import is_within
from .records import Record, Type, purpose

MOST_REMOVED = 0.5  # share of a zone's records that one plan may take away without a person's word
FEW = 4  # records up to which that share says nothing

RULES = Rules(
    {
        "plan-outside": Rule(
            Level.ERROR,
            "RFC 1034, 4.2",
            gettext_noop("%(record)s does not belong to %(zone)s."),
            gettext_noop("Correct the name of the record."),
        ),
        "plan-apex": Rule(
            Level.ERROR,
            "RFC 1034, 4.2.1",
            gettext_noop("NS and SOA records of %(zone)s are the name server's own and are never changed here."),
            gettext_noop("Leave them out."),
        ),
        "plan-twice": Rule(
            Level.ERROR,
            "RFC 7208, 4.5; RFC 9989, 4.8",
            gettext_noop("Two records are wanted where one may stand: %(record)s."),
            gettext_noop("Make one record of them."),
        ),
        "plan-alias": Rule(
            Level.ERROR,
            "RFC 1034, 3.6.2",
            gettext_noop("An alias (CNAME) stands alone at its name; %(record)s stands beside it."),
            gettext_noop("Choose another name, or agree that %(other)s is replaced."),
        ),
        "plan-foreign": Rule(
            Level.ERROR,
            "RFC 7208, 4.5; RFC 9989, 4.8; RFC 6376, 3.6.2.2",
            gettext_noop("%(record)s was not made here, and two of its kind break each other."),
            gettext_noop("Agree that it is replaced, or keep it and leave ours out."),
        ),
        "plan-foreign-mail": Rule(
            Level.ERROR,
            "RFC 5321, 5.1",
            gettext_noop("Mail of %(name)s goes to %(record)s today; replacing it moves all of it."),
            gettext_noop("Agree that it is replaced, or use another domain."),
        ),
        "plan-empty": Rule(
            Level.ERROR,
            "-",
            gettext_noop("Nothing is wanted, and every record that was made here would go."),
            gettext_noop("Say that the domain is being taken down."),
        ),
        "plan-many": Rule(
            Level.ERROR,
            "-",
            gettext_noop("%(count)s of %(all)s records would go at once."),
            gettext_noop("Look at the list and agree."),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Existing:
    """A record that is there. `id` is the platform's, or any text that tells rows apart; `ours` when we made it."""

    id: str
    record: Record
    ours: bool = False


class Action(StrEnum):
    """What happens to a row."""

    KEEP = "keep"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `record` is what stands there afterwards, None after a removal; `existing` what stood there."""

    action: Action
    record: Record | None
    existing: Existing | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "action": str(self.action),
            "before": str(self.existing.record) if self.existing else "",
            "after": str(self.record) if self.record else "",
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows of a zone and what becomes of each, in the order in which they are there; new ones last.

    refused  why nothing may be applied; `agreeable` names the ids of the rows that a person could agree to
    """

    zone: str
    steps: tuple[Step, ...]
    refused: tuple[Finding, ...] = ()
    agreeable: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something: removals first, so that no two of a kind ever stand side by side."""
        order = (Action.DELETE, Action.UPDATE, Action.CREATE)
        return tuple(one for action in order for one in self.steps if one.action is action)

    @property
    def is_safe(self) -> bool:
        return not self.refused

    def whole(self) -> tuple[Record, ...]:
        """Return every record of the zone afterwards, for platforms that replace the whole set. Raises Unsafe."""
        if self.refused:
            raise Unsafe(str(self.refused[0].said))
        return tuple(one.record for one in self.steps if one.record is not None)

    def as_json(self) -> dict[str, Any]:
        return {
            "zone": self.zone,
            "steps": [one.as_json() for one in self.steps],
            "refused": [one.as_json() for one in self.refused],
            "agreeable": list(self.agreeable),
        }


class Unsafe(RuntimeError):
    """A refused plan was to be applied."""


def plan(
    zone: str,
    wanted: Sequence[Record],
    existing: Sequence[Existing],
    *,
    agreed: Collection[str] = (),
    taking_down: bool = False,
) -> Plan:
    """Return what to do so that `wanted` stands in the zone, and nothing of ours beside it.

    agreed       ids of foreign rows that a person has agreed to replace, and "many" for many removals at once
    taking_down  nothing is wanted on purpose
    """
    return _Planning(zone, tuple(dict.fromkeys(wanted)), tuple(existing), frozenset(agreed), taking_down).plan()


@dataclass(slots=True)
class _Planning:
    zone: str
    wanted: tuple[Record, ...]
    existing: tuple[Existing, ...]
    agreed: frozenset[str]
    taking_down: bool

    def plan(self) -> Plan:
        there = {row.record for row in self.existing}
        left = [one for one in self.wanted if one not in there]
        steps = [self._settled(row, left) for row in self.existing]
        steps += [Step(Action.CREATE, one) for one in left]
        blocking = list(self._blocking(steps))
        refused = unique((*self._of_wanted(), *(finding for finding, _ in blocking), *self._of_amount(steps)))
        return Plan(self.zone, tuple(steps), refused, tuple(dict.fromkeys(key for _, key in blocking if key)))

    def _settled(self, row: Existing, left: list[Record]) -> Step:
        """Return what becomes of a row: kept when wanted or foreign, else replaced by one of its kind, else removed."""
        if row.record in self.wanted or not self._may_touch(row) or _is_own(row.record, self.zone):
            return Step(Action.KEEP, row.record, row)
        heir = next((one for one in left if _replaces(one, row.record)), None)
        if heir is not None:
            left.remove(heir)
            return Step(Action.UPDATE, heir, row)
        return Step(Action.DELETE, None, row)

    def _may_touch(self, row: Existing) -> bool:
        return row.ours or row.id in self.agreed

    def _of_wanted(self) -> Iterator[Finding]:
        if not self.wanted and any(row.ours for row in self.existing) and not self.taking_down:
            yield RULES.finding("plan-empty")
        for number, one in enumerate(self.wanted):
            if not is_within(one.owner, self.zone):
                yield RULES.finding("plan-outside", record=str(one), zone=self.zone)
            if _is_own(one, self.zone):
                yield RULES.finding("plan-apex", zone=self.zone)
            for other in self.wanted[:number]:
                if _rival(one, other) or (one.owner == other.owner and Type.CNAME in (one.type, other.type)):
                    yield RULES.finding("plan-twice", record=str(one))

    def _blocking(self, steps: Sequence[Step]) -> Iterator[tuple[Finding, str]]:
        """Yield the foreign rows that stay and stand in the way, with the id of each."""
        stay = [one.existing for one in steps if one.existing and one.action is Action.KEEP]
        foreign = [row for row in stay if row.record not in self.wanted]
        for new, row in ((new, row) for new in self.wanted for row in foreign if new.owner == row.record.owner):
            if _rival(new, row.record):
                yield RULES.finding("plan-foreign", record=str(row.record)), row.id
            elif Type.CNAME in (new.type, row.record.type):
                yield RULES.finding("plan-alias", record=str(new), other=str(row.record)), row.id
            elif new.type is row.record.type is Type.MX:
                yield RULES.finding("plan-foreign-mail", name=new.owner, record=row.record.shown), row.id

    def _of_amount(self, steps: Sequence[Step]) -> Iterator[Finding]:
        gone = sum(one.action is Action.DELETE for one in steps)
        if self.taking_down or "many" in self.agreed or len(self.existing) <= FEW:
            return
        if gone > MOST_REMOVED * len(self.existing):
            yield RULES.finding("plan-many", count=gone, all=len(self.existing))


def _is_own(one: Record, zone: str) -> bool:
    """Whether a record is the name server's own."""
    return one.owner == zone and one.type in (Type.NS, Type.SOA)


def _replaces(new: Record, old: Record) -> bool:
    """Whether `new` takes the place of `old`: the same name and type, and for texts the same kind of text."""
    if (new.owner, new.type) != (old.owner, old.type):
        return False
    return new.type is not Type.TXT or purpose(new) == purpose(old)


def _rival(one: Record, other: Record) -> bool:
    """Whether two records break each other: two policies or keys at a name, two aliases."""
    if (one.owner, one.type) != (other.owner, other.type) or one == other:
        return False
    if one.type is Type.CNAME:
        return True
    return one.type is Type.TXT and bool(purpose(one)) and purpose(one) == purpose(other)
