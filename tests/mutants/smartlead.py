"""Bugs in how Smartlead is spoken to: its key in the address, its duplicates, its neighbours."""

from __future__ import annotations

from .bug import Bug

HERE, TESTS = "integrations/smartlead.py", "tests/unit/integrations/test_smartlead.py"
KEYS = "tests/integration/test_keys_in_addresses.py"

# fmt: off
SMARTLEAD = (
    Bug("a_key_is_an_ordinary_parameter", "T24", HERE,
        "            dict(query or {}),\n            body,\n            secret_query={\"api_key\": self.settings.api_key.open()},",
        "            {**(query or {}), \"api_key\": self.settings.api_key.open()},\n            body,",
        f"{TESTS}::TestKey::test_an_intent_is_the_same_under_another_key"),
    Bug("another_account_is_told_the_answer_of_the_first", "I10", "provisioning/engine/reader.py",
        "            tuple(sorted(request.secret_query.items())),\n",
        "",
        f"{KEYS}::test_the_same_read_by_another_key_is_another_read"),
    Bug("somebody_elses_mailbox_is_adopted", "I2", HERE,
        "body.get(\"errorCode\") and body.get(\"emailAccountId\") is None:",
        "False:",
        f"{TESTS}::TestSave::test_a_duplicate_of_ours_is_read_back_and_another_users_is_for_good"),
    Bug("a_neighbour_is_taken_for_the_address", "I2", HERE,
        "if wanted in (\"\", one.address))",
        "if wanted in one.address)",
        f"{TESTS}::TestAccounts::test_a_search_finds_neighbours_and_only_the_address_itself_counts"),
    Bug("a_refusal_under_200_counts_as_success", "P", HERE,
        "return self._refused_under_200(raw) if flag(first(body, \"ok\", \"success\")) is False else None",
        "return None",
        f"{TESTS}::TestErrors::test_a_refusal_under_200_that_nobody_knows_proves_nothing"),
    Bug("a_person_sends_as_many_as_everybody", "P", "provisioning/steps/workspace/sender.py",
        "    campaign = mailbox.daily_limit or int(",
        "    campaign = int(",
        "tests/integration/stories/test_workspace.py::"
        "test_each_person_gets_a_user_in_their_name_and_sends_no_more_than_they_may"),
)
