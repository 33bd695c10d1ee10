"""A bare view for comparison: it inserts one row, and nothing else, behind the product's own middleware.

Served by `config.bench.door` only; the product has no such address.
"""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from config.urls import urlpatterns as of_the_product

PATH = "/bench/bare/"
TABLE = "bench_bare"


def create_table() -> None:
    """Create the table, which any visitor may insert into, so that the bare view needs no other role. Needs the owner."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {TABLE} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
            " created_at timestamptz NOT NULL DEFAULT now(), payload jsonb NOT NULL)"
        )
        cursor.execute(f"GRANT INSERT ON {TABLE} TO gtm_visitor")


def drop_table() -> None:
    """Remove the table. Needs the owner."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


@csrf_exempt
@require_POST
def insert(request: HttpRequest) -> HttpResponse:
    """Insert the body as one row. No signature, no role, no transaction of several statements, no ring."""
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} (payload) VALUES (%s)", [request.body.decode()])
    return HttpResponse("stored\n", content_type="text/plain")


urlpatterns = [*of_the_product, path(PATH.lstrip("/"), insert)]
