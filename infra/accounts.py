"""Links with which a new student sets a password. A link works until a password is set, and for a limited time."""

from __future__ import annotations

import hmac
import uuid
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.utils.crypto import salted_hmac

from .models import User

SALT = "infra.invitation"
LASTS = timedelta(days=14)


def invitation_token(user: User) -> str:
    """Return the token of a link for `user`. It dies when the password, and with it the fingerprint, changes."""
    return signing.dumps([str(user.pk), _fingerprint(user)], salt=SALT)


def invited_by(token: str) -> User | None:
    """Return whom the token invites, or nothing when it is damaged, has run out or was used."""
    lasts = getattr(settings, "INVITATION_LASTS", LASTS)
    try:
        key, fingerprint = signing.loads(token, salt=SALT, max_age=lasts)
        user = User.objects.get(pk=uuid.UUID(key), is_active=True)
    except (signing.BadSignature, ValueError, TypeError, User.DoesNotExist):
        return None
    return user if hmac.compare_digest(fingerprint, _fingerprint(user)) else None


def _fingerprint(user: User) -> str:
    return salted_hmac(SALT, f"{user.pk}{user.password}{user.email}").hexdigest()[:24]
