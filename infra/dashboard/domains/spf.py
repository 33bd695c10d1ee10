"""The page of a domain's SPF record: all that it leads to, and addresses in place of names, on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from infra.dashboard.presenters import Notice
from infra.dns.spf.evaluate import MOST_LOOKUPS, MOST_VOIDS
from infra.dns.spf.flatten import REASONS, CannotFlatten, Flattening
from infra.dns.spf.tree import ANY, BAD, LOOP, NO_RECORD, SEVERAL, UNREADABLE, Branch
from infra.models import SpfFlattening
from infra.presenters_base import Fact, Option, Tag, moment
from infra.troubles import CATALOGUE
from provisioning import changing
from provisioning.engine.zoning import FLATTEN, RESTORE

from .kit import FindingRow, Place, Sight, change_notice, finding_rows, places, why_no_change

DEEPEST = 4  # levels that are set in; what lies deeper stands below the last

PROBLEMS: dict[str, str | Promise] = {
    NO_RECORD: _lazy("no record there"),
    SEVERAL: _lazy("several records there"),
    BAD: _lazy("cannot be read"),
    LOOP: _lazy("leads back here"),
    UNREADABLE: _lazy("did not answer"),
    ANY: _lazy("depends on the sender"),
}


@dataclass(frozen=True, slots=True)
class BranchRow:
    """A term that looks something up. `level` is how deep it stands, `above` the name whose record holds it."""

    level: int
    term: str
    above: str
    text: str
    lookups: int
    voids: int
    problem: str


@dataclass(frozen=True, slots=True)
class RecordText:
    """A record to be written, or to be copied."""

    owner: str
    text: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Addresses in place of names: what it would be, what it costs, or why not.

    warning  what it costs, said before
    refusal  why it is not offered; `records` are empty then
    button   what pressing does; empty where nothing can be pressed
    """

    text: str
    warning: str
    refusal: str
    records: list[RecordText]
    facts: list[Fact]
    button: str
    blocked: str


@dataclass(frozen=True, slots=True)
class InUse:
    """A flattening that is in use: what stood there before, and whether its sources say something else by now."""

    facts: list[Fact]
    original: str
    can_restore: bool


@dataclass(frozen=True, slots=True)
class SpfPage:
    """`lookups` and `voids` are the worst case of any sender."""

    name: str
    checked: str
    checked_at: str | None
    looking: bool
    can_check: bool
    notices: list[Notice]
    text: str
    lookups: int
    most_lookups: int
    voids: int
    most_voids: int
    tag: Tag | None
    tree: list[BranchRow]
    findings: list[FindingRow]
    in_use: InUse | None
    offer: Offer
    places: list[Place]


def spf_page(sight: Sight) -> SpfPage:
    """Say what a domain's SPF record leads to, and what may be done about it."""
    found = sight.survey.spf if sight.survey else None
    last = changing.in_use(sight.domain)
    root = found.root if found else Branch("", sight.domain.name)
    return SpfPage(
        name=sight.domain.name,
        checked=sight.checked,
        checked_at=sight.checked_at,
        looking=sight.is_looking,
        can_check=sight.may_look,
        notices=[one for one in (change_notice(sight, (FLATTEN, RESTORE)), _too_many(root), _drift(last)) if one],
        text=root.text,
        lookups=root.lookups,
        most_lookups=MOST_LOOKUPS,
        voids=len(root.voids),
        most_voids=MOST_VOIDS,
        tag=_tag(found.is_usable, is_near=bool(found.findings)) if found else None,
        tree=list(_rows(root, 0)),
        findings=finding_rows(found.findings) if found else [],
        in_use=_in_use(sight, last) if last else None,
        offer=_offer(sight, last),
        places=places(sight.domain, "domain-spf"),
    )


def _tag(is_usable: bool, *, is_near: bool) -> Tag:
    if not is_usable:
        return Tag(_("Receivers cannot use it"), "failed")
    return Tag(_("Works, take care"), "attention") if is_near else Tag(_("Works"), "done")


def _rows(branch: Branch, level: int) -> Iterator[BranchRow]:
    for one in branch.branches:
        yield BranchRow(
            level=min(level, DEEPEST),
            term=one.term,
            above=branch.domain,
            text=one.text,
            lookups=one.lookups,
            voids=len(one.voids),
            problem=str(PROBLEMS.get(one.problem.partition(":")[0], "")) if one.problem else "",
        )
        yield from _rows(one, level + 1)


def _too_many(root: Branch) -> Notice | None:
    """Say in the catalogue's words that receivers do not follow the record to its end."""
    if root.lookups <= MOST_LOOKUPS:
        return None
    entry = CATALOGUE["SPF_TOO_MANY_LOOKUPS"]
    link = Option(_("More about this"), reverse("help", args=[entry.help]))
    return Notice("attention", _("Too many look-ups"), f"{entry.sentence} {entry.action}", link)


def _drift(last: SpfFlattening | None) -> Notice | None:
    """Tell that the senders whose addresses were copied say something else by now."""
    if last is None or not last.drift:
        return None
    added, removed = len(last.drift.get("added") or ()), len(last.drift.get("removed") or ())
    text = _(
        "The senders whose addresses were copied have changed theirs: %(added)s new, %(removed)s gone. Mail from the new "
        "ones fails until the copy is refreshed. Refresh it, or write the earlier record back."
    )
    return Notice("attention", _("The copied addresses are out of date"), text % {"added": added, "removed": removed})


def _in_use(sight: Sight, last: SpfFlattening) -> InUse:
    facts = [
        Fact(_("Written"), moment(sight.student, last.written_at, now=sight.now)),
        Fact(_("Look-ups before and now"), f"{last.lookups_before} · {last.lookups_after}"),
        Fact(_("Addresses"), str(len(last.networks))),
        Fact(_("Characters"), str(last.characters)),
    ]
    if last.looked_at:
        facts.append(Fact(_("Compared with its senders"), moment(sight.student, last.looked_at, now=sight.now)))
    return InUse(facts, last.original, can_restore=not why_no_change(sight.domain.provision))


def _offer(sight: Sight, last: SpfFlattening | None) -> Offer:
    about = _(
        "Flattening writes the addresses of all senders into your record, in place of their names. It is for records that "
        "need more look-ups than receivers make; a record with few of them is better left alone."
    )
    if sight.survey is None:
        return Offer(about, "", _("Nobody has looked at this record yet. Press “Check now” first."), [], [], "", "")
    try:
        found = changing.offered(sight.domain, sight.check)
    except CannotFlatten as refusal:
        reason = REASONS[refusal.reason]
        return Offer(about, "", _(reason) % {"detail": refusal.detail} if "%" in reason else _(reason), [], [], "", "")
    facts = [
        Fact(_("Look-ups before and after"), f"{found.lookups_before} · {found.lookups_after}"),
        Fact(_("Addresses"), str(len(found.networks))),
        Fact(_("Characters"), str(found.characters)),
    ]
    records = [RecordText(owner, text) for owner, text in found.records.items()]
    if sight.zoning.no_flatten:
        blocked = _("%(why)s If you keep a copy of this domain elsewhere, these are the records to copy.")
        return Offer(about, _cost(found), "", records, facts, "", blocked % {"why": sight.zoning.no_flatten})
    button = _("Refresh the copied addresses") if last else _("Write these addresses")
    blocked = why_no_change(sight.domain.provision)
    return Offer(about, _cost(found), "", records, facts, "" if blocked else button, blocked)


def _cost(found: Flattening) -> str:
    records = ngettext("It takes %(n)s record.", "It takes %(n)s records.", len(found.records)) % {
        "n": len(found.records)
    }
    cost = _(
        "The addresses are a copy. When a sender changes theirs, which happens without notice, mail from the new ones fails "
        "until you refresh the copy. We compare it once a day and tell you here and on the dashboard."
    )
    return f"{cost} {records}"
