"""Logging: one line per event, `key=value`, with everything secret removed before it is written."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime", "taskName"}


class RedactingFilter(logging.Filter):
    """Redact message, arguments and trace of every record. It sits on the handler, so no logger can pass it by."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Imported late: settings are read before the packages of the project can be.
        from integrations.http.redact import redact

        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redact(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True


class KeyValueFormatter(logging.Formatter):
    """`time=... level=... logger=... message="..." key="..."`, the keys being the record's `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        from integrations.http.redact import redact

        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        extra.pop("request", None)  # Django attaches the request object; its repr adds nothing to the address
        fields |= {name: redact(str(value)) for name, value in extra.items()}
        line = " ".join(f"{name}={_quote(value)}" for name, value in fields.items())
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def _quote(value: str) -> str:
    if value and not any(character in value for character in ' "=\n'):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def config(level: str) -> dict[str, Any]:
    """Return Django's LOGGING."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"redact": {"()": "config.logs.RedactingFilter"}},
        "formatters": {"line": {"()": "config.logs.KeyValueFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers would print beside ours, unredacted.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            # A line for every connection to the simulated mail server.
            "mail.log": {"handlers": [], "level": "WARNING", "propagate": True},
            "django-q": {"handlers": [], "level": "WARNING", "propagate": True},
        },
    }
