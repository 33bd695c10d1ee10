"""The benchmark's own parts: it says what its document says, and compares what it measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve, reverse

from config import bench, demo, processes
from config.bench import bare, hammer, product, provision, rows, webhooks, worlds
from provisioning.models import Step

DOCUMENT = Path(__file__).parents[3] / "docs" / "performance.md"


def test_the_smallest_numbers_are_those_of_the_document() -> None:
    derived: Counter[str] = Counter()
    platform = ""
    for name, count in re.findall(r"^\| *([a-z]*) *\| *[a-z_]+ *\| *(\d+) *\|", DOCUMENT.read_text(), re.M):
        platform = name or platform
        derived[platform] += int(count)

    assert derived == provision.FEWEST_CALLS


def test_queries_that_grow_with_the_number_of_provisions_are_counted() -> None:
    few = {"page_home_queries": 6.0, "page_home_ms": 10.0, "page_home_first_ms": 1.0}

    numbers = product.compared(few, few | {"page_home_queries": 8.0, "page_home_ms": 20.0})

    assert numbers["queries_growth"] == 2
    assert numbers["page_home_queries_growth"] == 2
    assert numbers["page_home_ms_ratio"] == 2


def test_a_copy_has_keys_of_its_own_and_refers_to_copies() -> None:
    statement = rows.copy_statement(Step)

    assert "md5(id::text || n)::uuid" in statement
    assert "md5(run_id::text || n)::uuid" in statement
    assert "md5(item_key || n)" in statement
    assert '"state"' in statement


def test_every_unique_text_of_what_is_copied_is_varied() -> None:
    for model in rows.COPIED:
        for constraint in model._meta.total_unique_constraints:
            fields = [one for one in model._meta.concrete_fields if one.name in constraint.fields]
            varied = [one for one in fields if rows.copied(model._meta.db_table, one) != f'"{one.column}"']
            assert varied, f"{constraint.name} would be violated"


def test_a_tree_of_processes_names_children_and_their_memory() -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = processes.tree(process.pid)
        process.communicate("\n")

    assert found[0].pid == process.pid
    assert found[1].parent == process.pid
    assert all(one.resident > 1000 for one in found)


def test_both_ways_of_listing_processes_agree() -> None:
    if not processes.PROC.joinpath("self", "stat").exists():
        pytest.skip("this machine has no /proc to compare with")
    by_ps = {one.pid: one.command for one in processes._from_ps()}
    by_proc = {one.pid: one.command for one in processes._from_proc()}

    assert by_ps.keys() & by_proc.keys()
    assert by_ps[os.getpid()] == by_proc[os.getpid()]


def test_free_ports_lie_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = worlds.FIRST_PORT + 1

    def require(port: int, *, option: str) -> None:
        if port == busy:
            raise demo.DemoError("busy")

    monkeypatch.setattr(demo, "require_free_port", require)

    assert worlds.free_ports(4) == worlds.FIRST_PORT + 4


def test_every_chapter_is_found_and_no_two_have_a_part_of_the_same_name() -> None:
    parts = [name for chapter in bench.chapters() for name in chapter.parts]

    assert parts
    assert len(parts) == len(set(parts))


def test_an_unknown_chapter_is_refused_by_name() -> None:
    with pytest.raises(bench.BenchFailed, match=r"no chapter 'nonsense'"):
        list(bench.chapters("product,nonsense"))


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert hammer.percentile(list(range(100, 0, -1)), share) == value


def test_the_webhook_is_compared_with_the_bare_view() -> None:
    slow, fast = reverse("billing-webhook"), bare.PATH
    answers = [hammer.Answer(slow, 200, n / 500) for n in range(1, 101)]
    answers += [hammer.Answer(fast, 200, n / 1000) for n in range(1, 101)]

    numbers = webhooks.figures(answers)

    assert (numbers["webhook_p99_ms"], numbers["bare_p99_ms"]) == (198.0, 99.0)
    assert (numbers["webhook_p50_over_bare"], numbers["webhook_p99_over_bare"]) == (2.0, 2.0)


def test_both_views_get_the_same_bodies_and_each_event_several_times() -> None:
    bodies = webhooks.deliveries(40)

    assert Counter(Counter(bodies).values()) == {webhooks.COPIES: 40 // webhooks.COPIES}
    assert webhooks.unsigned(bodies[0]).body == webhooks.signed(bodies[0]).body == bodies[0]


def test_the_product_has_no_bare_view() -> None:
    with pytest.raises(Resolver404):
        resolve(bare.PATH)
    assert resolve(bare.PATH, "config.bench.bare").func is bare.insert
