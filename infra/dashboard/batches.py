"""The domains of an order at a glance, as plain values: how many are done, what stands in the way of each, what is left."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from infra import rls
from infra.estate.exports import Row
from infra.models import Provision, ProvisionState, User
from infra.presenters_base import Fact, Option, Tag, moment, span
from provisioning import actions, queries
from provisioning.models import Run
from provisioning.queries import DomainStatus, ItemStatus, Status

from . import words
from .progress import BUILDING, Advice, advice, state_words, time_left

COLUMNS = ("domain", "mailbox", "state", "since", "in_the_way", "what_to_do")


@dataclass(frozen=True, slots=True)
class MailboxLine:
    """A mailbox of a domain. `state` is todo, doing, waiting, done, failed or skipped, and `word` says it."""

    name: str
    state: str
    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A domain with its mailboxes.

    about      the mailbox that decides the state, where it is one of them
    since      since when it is so
    obstacle   what stands in the way; null where it takes its usual course
    note       what else is to be said of it, or to be done
    can_retry  it failed, and its student may have it tried again
    """

    name: str
    state: str
    tag: Tag
    about: str
    since: str
    obstacle: Advice | None
    note: str
    can_retry: bool
    mailboxes: list[MailboxLine]


@dataclass(frozen=True, slots=True)
class Batch:
    """The domains of an order, failed ones first.

    success_percent  done ones among those that have come to an end; null before the first
    estimate         what is left, and that this is an estimate; empty where nothing goes on by itself
    retries          how many domains and mailboxes would be tried again
    version          changes whenever the page would look different
    """

    reference: str
    tag: Tag
    title: str
    total: int
    done: int
    under_way: int
    waiting: int
    failed: int
    left_out: int
    success_percent: int | None
    facts: list[Fact]
    estimate: str
    rows: list[BatchRow]
    retries: int
    retry_label: str
    link: Option
    announce: str
    polling: bool
    version: str = ""


def order_of(student: User, provision: Provision | None) -> tuple[Provision, Run] | None:
    """Return an order that is paid for with the run that builds it; None where there is none."""
    if provision is None or provision.student_id != student.pk:
        return None
    run = queries.building_run(provision)
    return (provision, run) if run else None


def batch(student: User, provision: Provision, run: Run, *, now: datetime) -> Batch:
    """Return the page of an order's domains. `now` is machine time, as the times of a run are."""
    status = queries.status_of(provision)
    with rls.acting_as("worker"):  # what is unresolved at a platform is not shown, only that a person has to look
        again = {row.item_key for row in actions.second_tries(run)}
    rows = [_row(student, one, again, now=now) for one in queries.domains_of(run)]
    page = _page(provision, status, rows, len(again))
    return replace(page, version=hashlib.sha256(repr(page).encode()).hexdigest()[:16])


def _page(provision: Provision, status: Status, rows: Sequence[BatchRow], retries: int) -> Batch:
    count = Counter(row.state for row in rows)
    ended = count["done"] + count["failed"]
    percent = 100 * count["done"] // ended if ended else None
    under_way = count["doing"] + count["todo"]
    title = ngettext("%(done)s of %(all)s domain is done", "%(done)s of %(all)s domains are done", len(rows))
    title %= {"done": count["done"], "all": len(rows)}
    success = _("%(n)s\u00a0%%") % {"n": percent} if percent is not None else _("None has come to an end yet")
    facts = [
        Fact(_("Under way"), str(under_way)),
        Fact(_("Waiting"), str(count["waiting"])),
        Fact(_("Done"), str(count["done"])),
        Fact(_("Failed"), str(count["failed"])),
        *([Fact(_("Left out"), str(count["skipped"]))] if count["skipped"] else []),
        Fact(_("Success rate so far"), success),
    ]
    is_building = provision.state in BUILDING
    link = Option(_("Back to the stages"), reverse("progress"))
    if not is_building and provision.state != ProvisionState.FAILED:
        link = Option(_("Back to the dashboard"), reverse("dashboard"))
    return Batch(
        reference=provision.reference,
        tag=words.provision(provision.state),
        title=title,
        total=len(rows),
        done=count["done"],
        under_way=under_way,
        waiting=count["waiting"],
        failed=count["failed"],
        left_out=count["skipped"],
        success_percent=percent,
        facts=facts,
        estimate=_estimate(provision, status),
        rows=list(rows),
        retries=retries,
        retry_label=_("Try the failed ones again") if retries else "",
        link=link,
        announce=f"{title}. {_('Failed')}: {count['failed']}.",
        polling=is_building or provision.state == ProvisionState.FAILED,
    )


def _estimate(provision: Provision, status: Status) -> str:
    left = time_left(provision, status)
    if left is None:
        return ""
    least, most = span(left[0]), span(left[1])
    text = _("What is left usually takes between %(least)s and %(most)s.")
    if least == most:
        text = _("What is left usually takes about %(most)s.")
    about = _("This is an estimate from how long each stage takes; where we wait for a person, it takes longer.")
    return f"{text % {'least': least, 'most': most}} {about}"


def _row(student: User, one: DomainStatus, again: set[str], *, now: datetime) -> BatchRow:
    parts = [one.lead, *one.mailboxes]
    can_retry = any(part.state == "failed" and part.key in again for part in parts)
    return BatchRow(
        name=one.name,
        state=one.state,
        tag=Tag(*state_words(one.state, one.lead.waits_on if one.state == "waiting" else "")),
        about=one.lead.name if one.lead.kind == "mailbox" and one.state in ("failed", "waiting") else "",
        since=moment(student, one.since, now=now) if one.since else "",
        obstacle=advice(one.lead.trouble) if one.state in ("failed", "waiting") else None,
        note=_note(one, can_retry),
        can_retry=can_retry,
        mailboxes=[_mailbox(box) for box in one.mailboxes],
    )


def _note(one: DomainStatus, can_retry: bool) -> str:
    if one.state == "failed":
        return (
            _("You can have it tried again here, once nothing stands in its way any more.")
            if can_retry
            else _("The operator has to look at it.")
        )
    if one.state == "waiting" and one.lead.waits_on == "student":
        return _("We need something of you: the page of your order says what.")
    return one.lead.why if one.state == "skipped" else ""


def _mailbox(item: ItemStatus) -> MailboxLine:
    word, tone = state_words(item.state, item.waits_on)
    return MailboxLine(item.name, item.state, word, tone)


def retry(student: User, provision: Provision) -> int:
    """Have what failed of a student's order tried once more; return how many domains and mailboxes. Raises Refused."""
    with rls.acting_as("worker"):
        return actions.retry_set_aside(provision=provision, actor=student.email)


def file_rows(page: Batch) -> list[Row]:
    """Return the rows of the page for a file: one for each domain, then one for each of its mailboxes."""
    found = []
    for row in page.rows:
        obstacle = row.obstacle
        what = obstacle.action if obstacle else row.note
        told = (row.name, "", row.tag.word, row.since, obstacle.sentence if obstacle else "", what)
        found.append(dict(zip(COLUMNS, told, strict=True)))
        for box in row.mailboxes:
            found.append(dict(zip(COLUMNS, (row.name, box.name, box.word, "", "", ""), strict=True)))
    return found
