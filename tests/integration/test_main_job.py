"""The main job of the `zapmail` stack, from payment to a working set-up."""

from __future__ import annotations

import pytest

from infra.models import Mail

from .world import new_order, new_world, paid

pytestmark = pytest.mark.django_db


def test_a_paid_order_becomes_a_working_set_up() -> None:
    world = new_world()
    provision = new_order()
    run = paid(provision)

    world.run_until(lambda: type(run).objects.get(pk=run.pk).state in ("done", "failed"))

    provision.refresh_from_db()
    assert provision.state == "active"
    assert set(provision.domains.exclude(state="spare").values_list("state", flat=True)) == {"active"}
    assert set(provision.mailboxes.values_list("state", flat=True)) == {"warming"}
    assert provision.mailboxes.count() == 6
    assert provision.facts["heyreach_list_id"]
    assert provision.credentials.get().password.open()
    assert Mail.objects.filter(kind="ready").count() == 1
    from collections import Counter

    print(Counter((e.platform, e.verb) for e in world.sandbox.log))
