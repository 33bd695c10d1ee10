"""Bugs in the steps of the `forge` stack."""

from __future__ import annotations

from .bug import Bug
from .where import STEPS, STORIES

HERE, STORY, OWN = f"{STEPS}/forge", f"{STORIES}/test_forge.py", f"{STORIES}/test_own_domains.py"

# fmt: off
FORGE = (
    Bug("one_workspace_for_two_addresses", "I1", f"{HERE}/workspaces.py",
        "    for number in range(1, max(1, ips) + 1):",
        "    for number in range(1, 2):",
        f"{STORY}::test_two_dedicated_addresses_are_two_workspaces_among_which_the_domains_are_spread"),
    Bug("a_short_balance_is_not_looked_at", "T3", f"{HERE}/workspaces.py",
        "    return lack_of_credits(ctx, expected_cost(ctx)) or Done()",
        "    return Done()",
        f"{STORY}::test_credits_that_are_short_are_waited_for_and_nothing_is_bought_twice"),
    Bug("a_partial_set_of_records_is_written", "I2", f"{HERE}/domains.py",
        "        if becomes.get(str(place)) is not Action.DELETE",
        "        if becomes.get(str(place)) is Action.UPDATE",
        f"{STORY}::test_a_bulk_change_that_changes_nothing_is_made_record_by_record_and_keeps_every_other_row"),
    Bug("records_are_believed_without_looking", "I2", "provisioning/steps/common.py",
        "    if evidence.is_complete:",
        "    if True:",
        f"{STORY}::test_records_that_are_broken_in_public_hold_the_mailboxes_up_until_they_are_mended"),
    Bug("a_password_is_chosen_anew_when_it_is_set", "I3", f"{HERE}/mailboxes.py",
        "        wanted = ctx.credential(passwords.mailbox_kind(mailbox)).open()",
        "        wanted = passwords.new_password()",
        f"{STORY}::test_passwords_are_ours_encrypted_and_set_before_anybody_is_told"),
    Bug("what_the_export_never_brought_is_waited_for", "T17", f"{HERE}/sender.py",
        "    late = not mailbox.facts.get(\"exported\") or ctx.waited > ctx.clients.infraforge.settings.export_grace",
        "    late = False",
        f"{STORY}::test_an_export_that_never_lands_is_made_good_by_connecting_the_mailboxes"),
    Bug("warmup_that_stays_off_counts_as_on", "I2", f"{HERE}/sender.py",
        "            stands[address] = \"off\" if \"enabled\" in differing else \"differs\"",
        "            stands[address] = \"right\"",
        f"{STORY}::test_without_a_slot_a_person_is_asked_instead_of_warmup_being_taken_for_on"),
    Bug("renewal_is_left_on", "I2", f"{HERE}/domains.py",
        "        if there.auto_renew is not on:\n            sent",
        "        if False:\n            sent",
        f"{STORY}::test_taking_an_order_down_switches_renewal_off_and_leaves_the_dedicated_address_to_a_person"),
    Bug("servers_are_named_before_the_owner_let_mail_stop", "P", f"{STEPS}/owning.py",
        "        if must_say(domain.facts):",
        "        if False:",
        f"{OWN}::test_where_mail_arrives_today_its_owner_says_that_it_may_stop_before_the_servers_are_named"),
    Bug("whose_domain_it_is_is_believed", "P", f"{STEPS}/owning.py",
        "    if not _proves(ctx, domain, wanted):",
        "    if False:",
        f"{OWN}::test_a_domain_that_led_here_before_we_asked_is_shown_to_be_the_students_by_a_person"),
    Bug("an_ending_that_is_not_taken_is_found_in_the_run", "P", "infra/wizard/own.py",
        "    if endings and name.partition(\".\")[2] not in endings:",
        "    if False:",
        "tests/integration/test_wizard_own.py::"
        "test_an_ending_that_the_platform_does_not_take_is_refused_before_anything_is_paid"),
)
