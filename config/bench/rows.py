"""Copies everything that was built until the database holds ten thousand provisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models
from django.db.backends.utils import CursorWrapper

from billing.models import Checkout, Payment
from infra.models import (
    Credential,
    Domain,
    Mail,
    Mailbox,
    Measurement,
    NameCheck,
    OperatorItem,
    OrderLine,
    Provision,
    TaskDone,
    User,
    WarmupDay,
)
from provisioning.models import Capture, Event, Operation, OperationItem, Run, Step

from .chapter import Numbers

FEW, MANY = 10, 10_000

COPIED: tuple[type[models.Model], ...] = (
    User, Provision, Domain, Mailbox, NameCheck, Credential, Mail, OperatorItem, OrderLine, Checkout, Payment,
    Run, Step, Event, Operation, OperationItem, Capture, Measurement, WarmupDay, TaskDone,
)  # fmt: skip
# What must differ from copy to copy, besides keys and what refers to them. `n` is the number of the copy.
UNIQUE = {
    "infra_user.email": "n || '.' || email",
    "infra_provision.reference": "'GTM-' || upper(left(md5(reference || n), 8))",
    "infra_domain.name": "n || '-' || name",
    "infra_mailbox.address": "replace(address, '@', '@' || n || '-')",
    "infra_namecheck.name": "n || '-' || name",
    "infra_mail.key": "key || ':' || n",
    "infra_operatoritem.key": "key || ':' || n",
    "billing_checkout.session_id": "session_id || '_' || n",
    "billing_payment.stripe_invoice_id": "stripe_invoice_id || '_' || n",
    "provisioning_step.item_key": "CASE WHEN item_key = '' THEN '' ELSE (md5(item_key || n)::uuid)::text END",
    "provisioning_operationitem.natural_key": "n || '-' || natural_key",
}


def grow() -> Numbers:
    """Copy every row of every student until there are MANY provisions. Needs the owner, who may skip the checks."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what is copied was checked
        for model in COPIED:
            with indexed_afterwards(cursor, model):
                cursor.execute(copy_statement(model), [1, MANY // FEW - 1])
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does in time
    return {"provisions": Provision.objects.count(), "steps": Step.objects.count(), "events": Event.objects.count()}


@contextmanager
def indexed_afterwards(cursor: CursorWrapper, model: type[models.Model]) -> Iterator[None]:
    """Let a table's indexes rest for a block, and build them anew after it.

    With random keys that is several times as fast as growing them row by row. Needs the owner.
    """
    table = model._meta.db_table
    cursor.execute("SET maintenance_work_mem = '512MB'")
    cursor.execute(f"UPDATE pg_index SET indisready = false WHERE indrelid = '{table}'::regclass")
    yield
    cursor.execute(f"UPDATE pg_index SET indisready = true WHERE indrelid = '{table}'::regclass")
    cursor.execute(f"REINDEX TABLE {table}")


def copy_statement(model: type[models.Model], source: str = "") -> str:
    """Return the statement that copies all rows of a model, or those of `source`, a table like it.

    Its parameters are the first and the last number of a copy.
    """
    table = model._meta.db_table
    fields = model._meta.concrete_fields
    columns = [f'"{one.column}"' for one in fields]
    values = [copied(table, one) for one in fields]
    people = "WHERE NOT is_staff" if model is User else ""
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM {source or table} CROSS JOIN generate_series(%s, %s) AS n {people}"
    )


def copied(table: str, one: models.Field[Any, Any]) -> str:
    """Return the expression of one column of a copy."""
    refers_to_copy = one.is_relation and one.related_model in COPIED
    if one.primary_key or refers_to_copy:
        return f"md5({one.column}::text || n)::uuid"
    return UNIQUE.get(f"{table}.{one.column}", f'"{one.column}"')
