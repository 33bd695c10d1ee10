"""Sessions in the database, for keys that could be keys: a cookie may hold anything, also what PostgreSQL refuses."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.sessions.backends import db

KEY = re.compile(r"[a-z0-9]{8,40}")


class SessionStore(db.SessionStore):
    """Django's own, but for odd keys: whoever sends one has no session."""

    def __init__(self, session_key: Any = None) -> None:
        super().__init__(session_key if session_key and KEY.fullmatch(session_key) else None)
