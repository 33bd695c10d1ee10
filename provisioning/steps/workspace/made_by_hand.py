"""What a person makes in Google's admin console and in the mailboxes' own settings: no call of Google's does either."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.dns import dkim
from infra.dns.records import joined

from ...engine.entries import BadEntry, Entry
from ...engine.specs import Scope
from ..by_hand import entered

FEWEST_BITS = 1024
APP_PASSWORD = re.compile(r"[a-z]{16}")


def _key(text: str) -> str:
    """Return a DKIM record as it is published. Raises BadEntry."""
    record = joined(text.strip())
    try:
        key = dkim.parse(record)
    except dkim.BadKey as error:
        raise BadEntry(_("this is no DKIM record: %(why)s.") % {"why": str(error)}) from error
    if "v=dkim1" not in record.lower().replace(" ", "") or key.is_revoked:
        raise BadEntry(_("the text begins with v=DKIM1 and holds a key behind p=."))
    if key.kind != "rsa" or key.bits < FEWEST_BITS:
        raise BadEntry(_("the key is too short; generate one of 2048 bits."))
    return record


def _app_password(text: str) -> str:
    """Return an app password without the spaces that Google shows it with. Raises BadEntry."""
    plain = "".join(text.split())
    if not APP_PASSWORD.fullmatch(plain):
        raise BadEntry(_("an app password has 16 small letters."))
    return plain


def _started(text: str) -> str:
    """Return the word that says that signing was started. Raises BadEntry."""
    if text.strip().lower() != "started":
        raise BadEntry(_("write started behind the domain once you have pressed the button."))
    return "started"


DKIM_KEY = Entry(
    label=gettext_lazy("DKIM record"),
    how=(
        gettext_lazy("Open admin.google.com: Apps, Google Workspace, Gmail, Authenticate email."),
        gettext_lazy("Choose the domain and press Generate new record: 2048 bits, prefix google."),
        gettext_lazy("Copy the TXT record value, which begins with v=DKIM1, and paste it behind the domain."),
    ),
    read=_key,
    fact="dkim_record",
)
APP_PASSWORD_OF = Entry(
    label=gettext_lazy("App password"),
    how=(
        gettext_lazy("Sign in to the mailbox at myaccount.google.com and switch 2-step verification on."),
        gettext_lazy("Open myaccount.google.com/apppasswords and make one named Smartlead."),
        gettext_lazy("Copy its 16 letters and paste them behind the address. Google shows them once."),
    ),
    read=_app_password,
)

SIGNING = Entry(
    label=gettext_lazy("Signing"),
    how=(
        gettext_lazy("Open admin.google.com: Apps, Google Workspace, Gmail, Authenticate email."),
        gettext_lazy(
            "Choose the domain and press Start authentication. Google may take up to 48 hours until it signs."
        ),
        gettext_lazy(
            "Write started behind the domain. A test message shows whether it is so; until it is, you are asked."
        ),
    ),
    read=_started,
    fact="signing",
)

dkim_keys = entered(DKIM_KEY, Scope.DOMAIN)
