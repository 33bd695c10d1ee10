"""What the stories of the smoke test judge by: they must fail where the demo falls short."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.smoke import SmokeFailed
from config.smoke_batch import MANY, WITHIN, BatchStory
from config.smoke_workspace import OWN_DOMAINS, logins_in


@pytest.fixture
def story() -> BatchStory:
    return BatchStory("http://site.test", "http://control.test", lambda _share, _sentence: None, OWN_DOMAINS)


def state(story: BatchStory, *more: str) -> dict[str, Any]:
    made = [name for name in story.names if name != story.held]
    return {"cloudflare": {"zones": [{"name": name} for name in (*made, *more, "others.com")]}}


def test_a_batch_that_was_quick_and_kept_every_limit_passes(story: BatchStory) -> None:
    story._judge_calls(WITHIN, [{"verb": "get_zone", "status": 200}], [], state(story))


def test_a_batch_that_took_too_long_fails(story: BatchStory) -> None:
    with pytest.raises(SmokeFailed, match="it took 15.1 minutes instead of 15"):
        story._judge_calls(15.1, [], [], state(story))


def test_a_call_too_many_fails_it(story: BatchStory) -> None:
    exceeded = [{"platform": "cloudflare", "window": "zones", "limit": 25}]
    with pytest.raises(SmokeFailed, match="cloudflare counted more than 25 in its window zones"):
        story._judge_calls(10.0, [], exceeded, state(story))
    with pytest.raises(SmokeFailed, match="answers 429 to create_zone"):
        story._judge_calls(10.0, [{"verb": "create_zone", "status": 429}], [], state(story))


def test_a_zone_too_many_or_too_few_fails_it(story: BatchStory) -> None:
    with pytest.raises(SmokeFailed, match="50 zones of 49 names"):
        story._judge_calls(10.0, [], [], state(story, story.names[0]))
    with pytest.raises(SmokeFailed, match="0 zones of 0 names"):
        story._judge_calls(10.0, [], [], {"cloudflare": {"zones": []}})


def test_its_bad_domains_are_three_of_fifty(story: BatchStory) -> None:
    assert len(set(story.names)) == MANY
    assert len({story.held, story.foreign, story.left} & set(story.names)) == 3


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"email,smtp_password\r\nsam@acme.com,s3cret\r\n", "csv"),
        (b"from_email,password\r\nsam@acme.com,s3cret\r\n", "csv"),
        (json.dumps({"mailboxes": [{"email": "sam@acme.com", "smtp_password": "s3cret"}]}).encode(), "json"),
    ],
)
def test_each_form_of_an_export_is_read_back(body: bytes, kind: str) -> None:
    assert logins_in(body, kind) == {"sam@acme.com": "s3cret"}
