"""What the vendors leave unknown: every position of every switch works, or ends in a stated state."""

from __future__ import annotations

from typing import Any

import pytest

from .kit import story

pytestmark = pytest.mark.django_db

# Switches that do not get into each other's way travel in one run.
TOGETHER: tuple[dict[str, Any], ...] = (
    {
        "zapmail_bulk_nesting": "data",
        "zapmail_prices_as": "string",
        "zapmail_bulk_status_case": "lower",
        "zapmail_workspaces_as": "array",
        "zapmail_counters_as": "number",
        "zapmail_dmarc_reply": "empty",
        "zapmail_create_mailboxes_status": 202,
        "zapmail_export_id": "present",
        "zapmail_full_domain": "assignable",
        "zapmail_bought_in_connection_requests": True,
        "plusvibe_account_id": "_id",
        "plusvibe_updated_ids": "data",
        "plusvibe_bulk_update_reply": "empty",
        "plusvibe_create_client_reply": "data",
        "plusvibe_warmup_on_arrival": "ACTIVE",
        "plusvibe_flags_as": "boolean",
        "plusvibe_error_shape": "errors",
        "heyreach_optional_members": "missing",
        "heyreach_keyword": "word",
        "heyreach_list_visible_seconds": 60.0,
    },
    {
        "zapmail_provider_on_writes": "google",
        "zapmail_lists": "one_provider",
        "zapmail_billing_details": "optional",
        "zapmail_duplicate_sender": "accept",
        "zapmail_wrong_sender_login": "accept",
        "zapmail_export_target": "last_visible",
        "zapmail_plan": "Growth",
        "plusvibe_account_id": "both",
        "plusvibe_error_shape": "error",
        "plusvibe_duplicate_workspace": "refuse",
        "plusvibe_duplicate_email": "accept",
        "plusvibe_names_in_bulk_update": True,
        "plusvibe_bulk_add_big_hosts": "accepted",
        "heyreach_duplicate_names": "refuse",
        "heyreach_over_limit": "clip",
        "heyreach_error_form": "message",
        "heyreach_keyword": "nothing",
    },
    {"zapmail_new_workspace": "inherits"},
)


@pytest.mark.parametrize("switches", TOGETHER, ids=["shapes", "rules", "inherits"])
@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answers-lost"])
def test_either_position_works(switches: dict[str, Any], lost: bool) -> None:
    verbs = ("create_workspace", "create_client", "register_sender", "create_list", "set_dmarc", "create_mailboxes")
    faults = tuple({"kind": "timeout_after", "verb": verb, "times": 1} for verb in verbs if lost)
    made = story(switches=switches, faults=faults)
    made.play()
    made.check()


@pytest.mark.parametrize("limits", [("seconds", "seconds", "seconds"), ("date", "none", "none")])
def test_lower_limits_than_we_believe_only_cost_time(limits: tuple[str, str, str]) -> None:
    names = ("zapmail_retry_after", "plusvibe_retry_after", "heyreach_retry_after")
    made = story(switches={**dict(zip(names, limits, strict=True)), "zapmail_general_per_minute": 2})
    made.play()
    made.check(quotas=False)


def test_purchases_that_count_as_searches_are_budgeted_by_a_setting() -> None:
    made = story(
        switches={"zapmail_purchase_counts_as_search": True, "zapmail_search_per_30_min": 2},
        ZAPMAIL_PURCHASE_COUNTS_AS_SEARCH="true",
        ZAPMAIL_SEARCH_LIMIT=2,
        ZAPMAIL_SEARCH_RESERVED_PAID=2,
    )
    made.advance(1200)  # the answers are old: a search and a purchase
    made.play()
    made.check()


@pytest.mark.parametrize(
    ("switches", "code"),
    [
        ({"zapmail_new_workspace": "needs_plan"}, "no_plan"),
        ({"plusvibe_max_workspaces": 1}, "workspace_limit"),
        ({"plusvibe_max_clients": 0, "plusvibe_duplicate_email": "elsewhere"}, "email_is_user"),
        ({"heyreach_max_name_length": 5}, "bad_name"),
    ],
)
def test_what_only_a_person_can_mend_says_so_once_and_goes_on_when_it_is(switches: dict[str, Any], code: str) -> None:
    made = story(switches=switches)
    made.play(made.parks("needs_operator"))
    made.check("provisioning")
    item = made.items("step", is_open=True).get()
    assert item.details["code"] == code
    made.advance(7200)
    while made.world.run_once():
        pass
    assert made.items("step").count() == 1


def test_a_weekly_export_limit_below_ours_is_never_run_against_in_vain() -> None:
    made = story(
        switches={"zapmail_reexports_per_week": 1, "plusvibe_bulk_add_big_hosts": "accepted"},
        faults=({"kind": "export_incomplete", "items": ["ada@getacme.com"]},),
        REEXPORT_LIMIT="1",
    )
    made.play()
    made.check()
    assert made.calls()["zapmail.export_mailboxes"] == 1


def test_an_alias_of_the_operators_may_be_the_sending_tools_login() -> None:
    made = story(SENDER_LOGIN_ALIAS="students+{reference}@ops.example")
    made.play()
    made.check()
    assert made.provision.credentials.get().login == f"students+{made.provision.reference.lower()}@ops.example"


def test_a_cooldown_per_domain_does_not_stop_a_set_up() -> None:
    made = story(switches={"zapmail_domain_cooldown_seconds": 86_400.0})
    made.play()
    made.check()
