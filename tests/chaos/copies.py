"""Orders by the thousand: each kind is ordered and paid for once, by the product's own actions, and copied from then on.

A copy differs from its model in ids, names and reference, and in nothing else. It rings nobody: in the harness the test
itself wakes runs.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection, transaction

from infra.models.provision import new_reference
from provisioning.models import Run
from tests.integration.stories.kit import Story, World, make_tier, order

NAME = "zzmodelzz"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
INSERT = "INSERT INTO {table} SELECT * FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"

# What an order that was just paid consists of, parents first, and how a table's rows are told.
TABLES = {
    "infra_user": "id = %(student)s",
    "infra_provision": "id = %(order)s",
    "infra_namecheck": "name LIKE %(names)s",
    "infra_domain": "provision_id = %(order)s",
    "infra_mailbox": "provision_id = %(order)s",
    "infra_orderline": "provision_id = %(order)s",
    "provisioning_run": "provision_id = %(order)s",
    "provisioning_step": "run_id = %(run)s",
    "provisioning_event": "provision_id = %(order)s",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A model order: its rows as JSON by table, and what in them is its own."""

    texts: tuple[str, ...]
    reference: str
    run: str
    tier: str


class Fresh(dict[str, str]):
    """A new id for every old one."""

    def __missing__(self, old: str) -> str:
        return self.setdefault(old, str(uuid.uuid4()))


def copy(world: World, name: str, *, tier: str, spares: int, own: int = 0) -> Story:
    """Begin one order under exactly this name, as `kit.order` does, in one round trip."""
    pattern = _pattern(connection.settings_dict["NAME"], tier, spares, own)
    fresh, reference = Fresh({pattern.tier: pattern.tier}), new_reference()

    def renamed(text: str) -> str:
        text = text.replace(NAME, name).replace(NAME.title(), name.title()).replace(pattern.reference, reference)
        return UUID.sub(lambda found: fresh[found[0]], text)

    with connection.cursor() as cursor:
        cursor.execute(";".join(INSERT.format(table=table) for table in TABLES), [renamed(t) for t in pattern.texts])
    run = Run.objects.select_related("provision").get(pk=fresh[pattern.run])
    return Story(world, run.provision, run)


@cache
def _pattern(database: str, tier: str, spares: int, own: int) -> Pattern:
    """Order once and take it back; the tier stays."""
    kept = make_tier(tier)
    with transaction.atomic():
        made = order(None, NAME, tier=tier, spares=spares, own=own)  # type: ignore[arg-type]
        provision, run = made.provision, made.run
        about = {"order": provision.pk, "student": provision.student_id, "run": run.pk, "names": f"%{NAME}%"}
        texts = tuple(_rows(TABLES.items(), about))
        transaction.set_rollback(True)
    return Pattern(texts, provision.reference, str(run.pk), str(kept.pk))


def _rows(tables: Iterable[tuple[str, str]], about: dict[str, Any]) -> Iterable[str]:
    with connection.cursor() as cursor:
        for table, which in tables:
            cursor.execute(
                f"SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY created_at), '[]')::text FROM {table} AS t WHERE {which}",
                about,
            )
            yield cursor.fetchone()[0]
