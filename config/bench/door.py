"""The product's web server with the bare view beside it: `gunicorn config.bench.door`. For measuring only."""

from __future__ import annotations

import os

from django.core.handlers.wsgi import WSGIHandler


def _application() -> WSGIHandler:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    settings.ROOT_URLCONF = "config.bench.bare"
    from config.wsgi import application

    return application


application = _application()
