"""Rows that are asked for with a statement that was composed before are those that Django would have fetched."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Model

from infra import prepared
from infra.prepared import Lookup
from provisioning.engine import ledger, recorder, runner
from tests.integration.stories.kit import Story, story


def state_of(row: Model) -> dict[str, Any]:
    """Return what a row holds, with the rows that came along."""
    loaded = {name: value for name, value in row.__dict__.items() if name != "_state"}
    return loaded | {name: state_of(other) for name, other in row._state.fields_cache.items() if other is not None}


@pytest.fixture
def made(db: None) -> Story:
    made = story()
    made.play()
    return made


@pytest.mark.parametrize(
    "lookup, of_run",
    [
        (runner.RUN, True),
        (recorder.STEPS_OF, True),
        (recorder.DOMAINS_OF, False),
        (recorder.MAILBOXES_OF, False),
        (ledger.ITEMS_OF, False),
    ],
    ids=["run", "steps", "domains", "mailboxes", "items"],
)
def test_the_rows_are_those_of_the_queryset(made: Story, lookup: Lookup[Any], of_run: bool) -> None:
    key = made.run.pk if of_run else made.provision.pk
    lookup(uuid4())  # composed for other ids
    expected = list(lookup._compose(key))
    assert expected
    assert [state_of(row) for row in lookup(key)] == [state_of(row) for row in expected]


def test_other_ids_find_nothing(made: Story) -> None:
    assert recorder.STEPS_OF(uuid4()) == []


@pytest.mark.django_db
def test_the_server_keeps_a_statement_and_takes_other_values_for_it() -> None:
    sql = "SELECT %(value)s::int + 1"
    assert [prepared.execute(sql, {"value": value}) for value in (1, 2, 3)] == [(2,), (3,), (4,)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement = %s",
            ["SELECT $1::int + 1"],
        )
        assert cursor.fetchall() == [(3,)]


@pytest.mark.django_db
def test_values_are_those_that_django_reads() -> None:
    sql = (
        "SELECT '{\"a\": [1, null]}'::jsonb, gtm_now('machine') - gtm_now('machine') < '1s', 1.50::numeric,"
        " NULL, '\\x00ff'::bytea, '2026-01-01 00:00+01'::timestamptz, ARRAY['a', NULL]"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        expected = cursor.fetchone()
    assert prepared.execute(sql, {}) == expected
