"""Who sees money rows, and that people cannot write them."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from billing.models import Checkout, Downgrade, Payment, Refund, WebhookEvent
from infra.models import User
from infra.rls import acting_as, set_role
from tests.integration.billing.shop import Shop
from tests.integration.world import new_order

MODELS = [Checkout, Downgrade, Payment, Refund, WebhookEvent]


def a_paid_order(shop: Shop) -> None:
    shop.press(shop.order(), "pay")
    shop.deliver()
    shop.work()


def test_another_student_sees_no_money_rows_even_without_a_filter(shop: Shop) -> None:
    a_paid_order(shop)
    stranger = new_order("other").student
    try:
        set_role("student", str(stranger.pk))
        assert not Checkout.objects.exists()
        assert not Payment.objects.exists()
        set_role("student", str(shop.provision.student_id))
        assert Checkout.objects.count() == Payment.objects.count() == 1
    finally:
        set_role("worker")


@pytest.mark.parametrize("model", MODELS)
def test_the_admin_reads_and_does_not_write(shop: Shop, client: Client, model: type[Checkout]) -> None:
    a_paid_order(shop)
    with acting_as("operator"):
        operator = User.objects.create_superuser("op@example.org", "pw")
    client.force_login(operator)
    name = model._meta.model_name
    assert client.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200
    assert client.get(reverse(f"admin:billing_{name}_add")).status_code == 403
    row = model.objects.first()
    if row is not None:
        page = client.get(reverse(f"admin:billing_{name}_change", args=[row.pk]))
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
    assert not admin.site.get_model_admin(model).has_delete_permission(None)  # type: ignore[arg-type]
