"""The web server's entry point: `gunicorn config.wsgi`."""

from __future__ import annotations

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def _application() -> WSGIHandler:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    application = get_wsgi_application()
    from django.conf import settings

    from config import checks, postgres

    if settings.EMBEDDED_DATABASE:
        postgres.ensure_running(settings.EMBEDDED_DATA_DIR)
    checks.refuse_a_wrong_start()
    return application


application = _application()
