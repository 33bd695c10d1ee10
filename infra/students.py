"""What operators do with the people of a class: enrol, invite, end an enrolment. Keyword-only, actor named, atomic."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parseaddr

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from infra.models import Mail, User

log = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(minutes=5)  # an invitation is not repeated sooner
MOST_AT_ONCE = 1000


class Refused(Exception):
    """Not possible. The sentence is for the operator."""


@dataclass(slots=True)
class ClassList:
    """What became of a pasted class list. `refused` holds lines with the reason."""

    added: list[str] = field(default_factory=list)
    enrolled_again: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def add_student(*, email: str, first_name: str = "", last_name: str = "", cohort: str = "", actor: str) -> User:
    """Enrol somebody new and send the invitation. Raises Refused when the address is wrong or known."""
    address = _address(email)
    with transaction.atomic():
        if User.objects.filter(email__iexact=address).exists():
            raise Refused(_("%(email)s has an account already.") % {"email": address})
        try:
            with transaction.atomic():
                student = User.objects.create_user(
                    address,
                    first_name=first_name.strip()[:80],
                    last_name=last_name.strip()[:80],
                    cohort=cohort.strip()[:80],
                    is_enrolled=True,
                )
        except IntegrityError as error:  # added by somebody else at this moment
            raise Refused(_("%(email)s has an account already.") % {"email": address}) from error
        invite(student=student, actor=actor)
    log.info("student added", extra={"student": str(student.pk), "actor": actor})
    return student


def invite(*, student: User, actor: str) -> None:
    """Send a link with which the student sets a password: signed, it works once and for a limited time.

    The mail's row holds no link; it is made when the mail is sent. Raises Refused for somebody who may not sign in, and
    when the last invitation is only minutes old.
    """
    with transaction.atomic():
        student = User.objects.select_for_update().get(pk=student.pk)
        if not student.is_active:
            raise Refused(_("The account of %(email)s is closed.") % {"email": student.email})
        before = Mail.objects.filter(kind="invited", to=student.email)
        last = before.order_by("-created_at").first()
        if last is not None and last.created_at > timezone.now() - AGAIN_AFTER:
            raise Refused(_("%(email)s was invited a few minutes ago.") % {"email": student.email})
        Mail.post("invited", key=f"{student.pk}:{before.count() + 1}", to=student.email, actor=actor)
    log.info("student invited", extra={"student": str(student.pk), "actor": actor})


def enrol(*, student: User, actor: str) -> None:
    """Let somebody who has an account order (again). Raises Refused when they may already."""
    changed = _not_enrolled(student).update(is_enrolled=True, enrolment_ended_at=None, updated_at=timezone.now())
    if not changed:
        raise Refused(_("%(email)s is enrolled already.") % {"email": student.email})
    log.info("student enrolled", extra={"student": str(student.pk), "actor": actor})


def _not_enrolled(student: User) -> QuerySet[User]:
    rows = User.objects.filter(pk=student.pk)
    return rows.filter(is_enrolled=False) | rows.filter(enrolment_ended_at__isnull=False)


def end_enrolment(*, student: User, actor: str, reason: str) -> None:
    """Let a student order nothing more. What was bought stays, visible and running. Raises Refused when it has ended."""
    changed = User.objects.filter(pk=student.pk, is_enrolled=True, enrolment_ended_at__isnull=True).update(
        is_enrolled=False, enrolment_ended_at=timezone.now(), updated_at=timezone.now()
    )
    if not changed:
        raise Refused(_("%(email)s is not enrolled.") % {"email": student.email})
    log.info("enrolment ended", extra={"student": str(student.pk), "actor": actor, "reason": reason[:300]})


def add_class_list(*, text: str, cohort: str = "", actor: str) -> ClassList:
    """Enrol and invite everybody on a pasted list, one a line; who is enrolled already stays as they are.

    A line is an address, `Ada Keen <ada@example.com>`, or columns: address, first name, last name. What cannot be read is
    reported with its reason and keeps nobody else out.
    """
    done = ClassList()
    seen: set[str] = set()
    for line, email, first, last in _people(text):
        if email.lower() in seen:
            continue
        seen.add(email.lower())
        try:
            _add_one(done, email, first, last, cohort=cohort, actor=actor)
        except Refused as refusal:
            done.refused.append((line[:120], str(refusal)))
    return done


def _add_one(done: ClassList, email: str, first: str, last: str, *, cohort: str, actor: str) -> None:
    known = User.objects.filter(email__iexact=email).first()
    if known is None:
        student = add_student(email=email, first_name=first, last_name=last, cohort=cohort, actor=actor)
        done.added.append(student.email)
    elif known.is_enrolled and known.enrolment_ended_at is None:
        done.known.append(known.email)
    else:
        enrol(student=known, actor=actor)
        done.enrolled_again.append(known.email)


def _people(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield line, address, first and last name of each line that holds anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_AT_ONCE:
        raise Refused(_("At most %(count)d lines at once, please.") % {"count": MOST_AT_ONCE})
    for line in lines:
        name, address = parseaddr(line) if "<" in line else ("", "")
        if address:
            first, _space, last = name.partition(" ")
            yield line, address, first, last
            continue
        delimiter = next((mark for mark in "\t;," if mark in line), ",")
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
        email, first, last = (*cells, "", "")[:3]
        yield line, email, first, last


def _address(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise Refused(_("“%(email)s” is no e-mail address.") % {"email": email.strip()[:80]}) from error
    if len(address) > 254:
        raise Refused(_("“%(email)s” is no e-mail address.") % {"email": email.strip()[:80]})
    return address
