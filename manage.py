#!/usr/bin/env python
"""Django's command line, with the database it needs: started where it is embedded, entered as owner where due."""

from __future__ import annotations

import os
import sys

# Commands that shape the database; every other one works as the powerless login with the worker's role.
OWNER_COMMANDS = {
    "createcachetable",
    "dbshell",
    "dumpdata",
    "flush",
    "loaddata",
    "makemigrations",
    "migrate",
    "showmigrations",
    "sqlmigrate",
}
# Commands that start without a database.
NO_DATABASE = {
    "bench",  # makes its own
    "check",
    "collectstatic",
    "compilemessages",
    "help",
    "makemessages",
    "sandbox",
    "spectacular",
    "test",
    "version",
}


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = arguments[1] if len(arguments) > 1 else "help"
    if command in OWNER_COMMANDS:
        os.environ["GTM_DATABASE_OWNER"] = "1"
    elif command != "runserver":
        os.environ.setdefault("GTM_DATABASE_ROLE", "worker")

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from config import postgres

    try:
        from django.conf import settings

        if settings.EMBEDDED_DATABASE and command not in NO_DATABASE:
            postgres.ensure_running(settings.EMBEDDED_DATA_DIR)
    except (ImproperlyConfigured, postgres.PostgresError) as error:
        sys.exit(str(error))
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
