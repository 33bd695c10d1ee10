"""Lists that lag, come in pages, change their order between two pages, and hold other students' things of equal name.

A list is how an unresolved write is settled, so here the answer to every write is lost: everything has to be found again.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from infra.models import Provision
from integrations import plusvibe
from integrations.sandbox import heyreach as lead_lists
from integrations.sandbox import plusvibe as sending
from integrations.sandbox import zapmail_world as boxes
from provisioning.steps import workspaces
from tests.integration.stories.kit import Story

from .figures import Figures
from .scenes import HOURS, SCENES, Scene
from .test_absence import lags
from .whole import sample

LOST = next(scene for scene in SCENES["zapmail"] if scene.loses)
OTHER = "GTM-000000"  # a reference that no order of ours has
SMALL_PAGES = {"zapmail_page_most": 1, "heyreach_page_most": 1}


def begin(scene: Scene, *faults: dict[str, Any], pages: bool = False, monkeypatch: Any = None, **world: Any) -> Story:
    """Begin a story; with `pages` no list shows more than one row, or two, at a time."""
    switches = {"plusvibe_duplicate_email": "accept", **(SMALL_PAGES if pages else {}), **world.pop("switches", {})}
    if pages:
        monkeypatch.setattr(plusvibe, "ACCOUNTS_PER_PAGE", 2)
    made = scene.begin(switches=switches, **world)
    for fault in faults:
        values = dict(fault)
        made.sandbox.faults.add(values.pop("kind"), **values)
    return made


CASES = [(shuffled, pages, lag) for shuffled in (True, False) for pages in (True, False) for lag in (120.0, 0.0)]


@pytest.mark.parametrize(("shuffled", "pages", "lag"), sample(CASES, part=3))
@pytest.mark.parametrize("seed", sample(range(1, 6), part=1))
def test_everything_is_found_again(
    shuffled: bool, pages: bool, lag: float, seed: int, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    orders = [{"kind": "shuffled"}] if shuffled else []
    made = begin(LOST, *orders, *lags(LOST, lag), pages=pages, monkeypatch=monkeypatch, seed=seed)
    strangers = Strangers(made)
    made.play(hours=HOURS)
    strangers.leave_untouched()
    made.check()
    assert not made.decisions().exists()
    figures.add("list_runs")


class Strangers:
    """Things of other students at the platforms, as like ours as can be; every list shows them before ours."""

    def __init__(self, made: Story) -> None:
        self.world = made.sandbox.world
        order = made.provision.order
        name = f"{order['student_name']} {OTHER}"
        self.things: list[tuple[dict[Any, Any], Any]] = []
        self._put(self.world.zapmail.workspaces, "z-other", boxes.Workspace("z-other", name, 0.0, 0.0))
        self._put(self.world.plusvibe.workspaces, "0" * 24, sending.Workspace("0" * 24, name, 0.0))
        for number, title in enumerate(
            (f"{order['student_name']} prospects", f"{order['student_name']} prospects {OTHER}")
        ):
            made_before = lead_lists.LeadList(number + 1, title, "USER_LIST", 0.0)
            self._put(self.world.heyreach.lists, number + 1, made_before)
        self._put_login(order["student_email"], name)
        for number, mailbox in enumerate(made.provision.mailboxes.all()):
            self._put_mailbox(f"{number:024x}", mailbox.address)
        self.before = deepcopy([holder[key] for holder, key in self.things])

    def _put(self, holder: dict[Any, Any], key: Any, thing: Any) -> None:
        holder[key] = thing
        self.things.append((holder, key))

    def _put_login(self, email: str, name: str) -> None:
        """The student's own login of an earlier set-up: the same address, another workspace."""
        access = [sending.Access("0" * 24, ["UNIBOX_FULL_ACCESS"], [])]
        login = sending.Client("1" * 24, email.lower(), "Ada", "Sample", name, "their password", 0.0, access)
        self._put(self.world.plusvibe.clients, login.id, login)
        kept = boxes.Sender("s-other", "z-other", "PIPL", email.lower(), "their password")
        self._put(self.world.zapmail.senders, kept.id, kept)

    def _put_mailbox(self, key: str, address: str) -> None:
        """The same address in somebody else's workspace of the sending tool."""
        account = sending.Account(key, "0" * 24, address, "Ada", "Sample", sending.GOOGLE, "export", 0.0, 0.0)
        self._put(self.world.plusvibe.accounts, key, account)

    def leave_untouched(self) -> None:
        """Assert that nobody did anything to them, and take them away: they have no rows of ours."""
        assert [holder[key] for holder, key in self.things] == self.before
        for holder, key in self.things:
            del holder[key]


TAKEN_BY_NAME = {"plusvibe_workspace_id": "0" * 24, "heyreach_list_id": 1}


@pytest.mark.parametrize("fact", TAKEN_BY_NAME)
def test_control_matched_by_name_somebody_elses_is_taken(fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "is_ours", lambda ctx, name: name.startswith(str(ctx.order["student_name"])))
    made = begin(LOST, switches={"heyreach_keyword": "nothing"})
    Strangers(made)
    made.play(lambda: Provision.objects.filter(pk=made.provision.pk, facts__has_key=fact).exists(), hours=HOURS)
    assert made.provision.facts[fact] == TAKEN_BY_NAME[fact]
