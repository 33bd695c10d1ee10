"""Among the workspaces of the `forge` stack, domains are spread as evenly as it goes, also when some were there before."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from provisioning.engine.context import DomainItem
from provisioning.steps.forge.common import workspace_of


def domain(place: int, workspace: str = "") -> DomainItem:
    facts = {"infraforge_workspace_id": workspace} if workspace else {}
    return DomainItem(f"d{place}", f"d{place}.com", 1500, facts, place=place)


def planned(there: list[str], built: int, spaces: tuple[str, ...] = ("a", "b")) -> list[str]:
    old = [domain(place, space) for place, space in enumerate(there)]
    new = [domain(len(there) + place) for place in range(built)]
    ctx: Any = SimpleNamespace(facts={"infraforge_workspaces": list(spaces)}, there=old, built=new)
    return [workspace_of(ctx, one) for one in new]


@pytest.mark.parametrize(
    ("there", "built", "spread"),
    [([], 5, [3, 2]), ([], 2, [1, 1]), (["a"] * 3, 2, [3, 2]), (["a"] * 2, 3, [3, 2]), (["a", "b"], 3, [3, 2])],
)
def test_the_fewest_come_first(there: list[str], built: int, spread: list[int]) -> None:
    count = Counter([*there, *planned(there, built)])
    assert sorted(count.values(), reverse=True) == spread


def test_the_plan_stays_as_it_was_while_some_of_it_is_bought() -> None:
    new = [domain(place) for place in range(5)]
    ctx: Any = SimpleNamespace(facts={"infraforge_workspaces": ["a", "b"]}, there=[], built=new)
    before = [workspace_of(ctx, one) for one in new]
    ctx.built = [domain(4, before[4]), *new[:4]]
    assert [workspace_of(ctx, one) for one in [*new[:4], ctx.built[0]]] == before
