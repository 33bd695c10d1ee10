"""Sends what lies in the outbox, each mail once, whoever drains it at the same moment.

A mail is claimed by counting the attempt and putting the next one off, in one statement, before anything is sent. The
one limit: a worker that dies between the mail server's "accepted" and our note of it leaves a mail that is sent again.
Both copies then carry the same Message-ID, made from the row, by which mailboxes and people recognise them.
"""

from __future__ import annotations

import logging
import smtplib
import uuid
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import DatabaseError, connection

from infra.models import Mail, OperatorItem

from .contents import Unsendable, letter

log = logging.getLogger(__name__)

CLAIM = 180.0  # machine seconds until a mail whose worker died is tried again: longer than any task lives
FIRST_PAUSE = 30.0  # machine seconds before the second attempt; doubled each time
LONGEST_PAUSE = 3600.0
MOST_ATTEMPTS = 12  # some eight hours

DUE = "sent_at IS NULL AND attempts < %(most)s AND (not_before IS NULL OR not_before <= gtm_now('machine'))"


def drain(limit: int = 10) -> int:
    """Send up to `limit` mails, oldest first; return how many were tried. Answers the bell `mails`."""
    done = 0
    while done < limit and (mail := _claim()) is not None:
        _send(mail)
        done += 1
    return done


def is_due() -> bool:
    """Tell whether a mail waits to be sent: asked by the supervisor's tick."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM infra_mail WHERE {DUE})", {"most": MOST_ATTEMPTS})
        return bool(cursor.fetchone()[0])


def _claim() -> Mail | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE infra_mail SET attempts = attempts + 1, updated_at = gtm_now('machine'),"
            " not_before = gtm_now('machine') + make_interval(secs => %(claim)s)"
            f" WHERE id = (SELECT id FROM infra_mail WHERE {DUE} ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING id",
            {"most": MOST_ATTEMPTS, "claim": CLAIM},
        )
        row = cursor.fetchone()
    return Mail.objects.select_related("provision__student", "provision__tier").get(pk=row[0]) if row else None


def _send(mail: Mail) -> None:
    try:
        message(mail).send()
    except DatabaseError:
        raise
    except Unsendable as error:
        _give_up(mail, str(error))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [int(code) for code, _answer in error.recipients.values()]
        if codes and min(codes) >= 500:  # for ever
            _give_up(mail, f"the mail server refuses the address ({codes[0]})")
        else:
            _put_off(mail, error)
    except Exception as error:  # noqa: BLE001 - a mail that fails, for whatever reason, must not stop the others
        _put_off(mail, error)
    else:
        _mark_sent(mail)


def message(mail: Mail) -> EmailMultiAlternatives:
    """Make the message of a row: text and HTML. Raises Unsendable."""
    words = letter(mail)
    made = EmailMultiAlternatives(
        subject=words.subject,
        body=words.text,
        to=[mail.to],
        headers={"Message-ID": message_id(mail.pk), "Auto-Submitted": "auto-generated"},
    )
    made.attach_alternative(words.html, "text/html")
    return made


def message_id(key: uuid.UUID) -> str:
    """Return the Message-ID of a row: the same for every attempt."""
    return f"<{key}@{urlsplit(settings.SITE_URL).hostname or 'localhost'}>"


def _mark_sent(mail: Mail) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE infra_mail SET sent_at = gtm_now('machine'), not_before = NULL, error = '' WHERE id = %s", [mail.pk]
        )


def _put_off(mail: Mail, error: Exception) -> None:
    log.warning("mail not sent", exc_info=error, extra={"mail": str(mail.pk), "kind": mail.kind})
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (mail.attempts - 1))
    # The class only: what a server answers may quote the mail.
    _note(mail, type(error).__name__, attempts=mail.attempts, pause=pause)
    if mail.attempts >= MOST_ATTEMPTS:
        _tell_operator(mail, type(error).__name__)


def _give_up(mail: Mail, why: str) -> None:
    log.error("mail given up", extra={"mail": str(mail.pk), "kind": mail.kind, "why": why})
    _note(mail, why, attempts=MOST_ATTEMPTS, pause=0.0)
    _tell_operator(mail, why)


def _note(mail: Mail, error: str, *, attempts: int, pause: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE infra_mail SET attempts = %s, error = %s, not_before = gtm_now('machine') + make_interval(secs => %s)"
            " WHERE id = %s",
            [attempts, error[:300], pause, mail.pk],
        )


def _tell_operator(mail: Mail, why: str) -> None:
    """Open an item without a mail: a mail about mails that do not go out would not go out."""
    OperatorItem.open(
        "mail_stuck",
        key=str(mail.pk),
        sentence=f'The mail "{mail.kind}" to {mail.to} was given up: {why}.',
        provision=mail.provision,
        alert=False,
    )
