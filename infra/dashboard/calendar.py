"""The warmup plan as a calendar that others subscribe to, behind a link that is signed and can be ended.

The token names the provision and its calendar key: a new key ends every old link. Whoever has the link sees dates and
addresses of mailboxes, and nothing else.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.translation import gettext as _

from infra import icalendar
from infra.icalendar import Event
from infra.models import Provision
from infra.presenters_base import listed
from infra.ramp import Ramp
from infra.warmup import RESTING, Standing

SALT = "infra.calendar"
REFRESH = timedelta(hours=12)


def token_of(provision: Provision) -> str:
    """Return the token of the provision's present link."""
    return signing.Signer(salt=SALT).sign_object([provision.pk.hex, provision.calendar_key])


def address(provision: Provision) -> str:
    """Return the full address of the provision's calendar."""
    return f"{settings.SITE_URL}{reverse('calendar', args=[token_of(provision)])}"


def opened_by(token: str) -> tuple[uuid.UUID, str] | None:
    """Return the provision and the key that a token names; nothing when it was not signed by us. Asks no database."""
    try:
        key, calendar_key = signing.Signer(salt=SALT).unsign_object(token)
        return uuid.UUID(key), str(calendar_key)
    except (signing.BadSignature, ValueError, TypeError):
        return None


def provision_of(key: uuid.UUID, calendar_key: str) -> Provision | None:
    """Return the provision if that is its present key; nothing when the link was ended. Needs the worker's role."""
    found = Provision.objects.select_related("student", "tier").filter(pk=key).first()
    if found is None or not hmac.compare_digest(calendar_key, found.calendar_key):
        return None
    return found


def renew(provision: Provision) -> None:
    """End every link there is; the next one is another."""
    Provision.objects.filter(pk=provision.pk).update(calendar_key=secrets.token_hex(8))


def feed(provision: Provision, found: Sequence[Standing], *, now: datetime) -> bytes:
    """Return the calendar: each warmup day of the slowest mailbox, and the days from which mailboxes may send."""
    events = [*_days(provision, found), *_starts(provision, found)]
    name = _("Warmup %(reference)s") % {"reference": provision.reference}
    return icalendar.write(name, events, now=now, product="GTM Infrastructure", refresh=REFRESH)


def _uid(provision: Provision, what: str) -> str:
    return f"{provision.pk}-{what}@gtm-infrastructure"


def _days(provision: Provision, found: Sequence[Standing]) -> Iterator[Event]:
    ramps = [one.ramp for one in found if one.ramp is not None and one.mailbox.state not in RESTING]
    ramp = max(ramps, key=Ramp.sending_may_start, default=None)
    if ramp is None:
        return
    text = _("Warmup runs by itself. Send no campaign mails yet.")
    for number in range(1, ramp.plan.days + 1):
        title = _("Warmup day %(n)s of %(all)s: up to %(mails)s mails per mailbox") % {
            "n": number,
            "all": ramp.plan.days,
            "mails": ramp.plan.volume(number),
        }
        yield Event(_uid(provision, f"warmup-{number}"), ramp.date_of(number), title, text)


def _starts(provision: Provision, found: Sequence[Standing]) -> Iterator[Event]:
    due = [(one.ready_on, one.ramp.plan.campaign_cap, one) for one in found if one.ready_on and one.ramp]
    for number, (day, cap) in enumerate(sorted({(day, cap) for day, cap, _one in due}), start=1):
        boxes = [one for its_day, its_cap, one in due if (its_day, its_cap) == (day, cap)]
        text = _("%(mailboxes)s may send up to %(n)s campaign mails a day each, if their health stays good.") % {
            "mailboxes": listed([one.mailbox.address for one in boxes]),
            "n": cap,
        }
        yield Event(_uid(provision, f"send-{number}"), day, _("Sending may start"), text)
