"""The web server's entry point: `gunicorn config.wsgi`."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from config import postgres

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from django.conf import settings  # noqa: E402  (settings are read first, so that a bad one is reported as such)

if settings.EMBEDDED_DATABASE:
    postgres.ensure_running(settings.EMBEDDED_DATA_DIR)
