"""Bugs in whose accounts an order works in: the operator's in the place of the student's own, and one bad key for all."""

from __future__ import annotations

from .bug import Bug

ENGINE, STORIES = "provisioning/engine", "tests/integration/stories/test_own_accounts.py"
PAGES = "tests/integration/test_connections.py"

# fmt: off
ACCOUNTS = (
    Bug("an_own_order_is_built_in_the_operators_account", "I10", f"{ENGINE}/runner.py",
        "        self.clients = self.accounts.clients(workshop.clients)",
        "        self.clients = workshop.clients",
        f"{STORIES}::test_everything_of_the_order_is_made_in_the_students_own_accounts"),
    Bug("what_is_owned_is_read_in_the_operators_account", "I10", "provisioning/collector.py",
        "        clients, read = mine.clients(self.workshop.clients), partial(self.read, accounts=mine)",
        "        clients, read = self.workshop.clients, partial(self.read, accounts=mine)",
        f"{STORIES}::test_figures_and_what_is_owned_are_read_from_the_same_accounts_and_taking_down_ends_there"),
    Bug("an_own_bad_key_opens_the_circuit", "T26", f"{ENGINE}/reader.py",
        "        if accounts.is_own(call.platform):\n            accounts.refuse(call, error)\n",
        "",
        f"{STORIES}::test_one_bad_key_of_a_students_own_opens_no_circuit"),
    Bug("the_operators_bad_key_stops_own_accounts", "T26", f"{ENGINE}/budget.py",
        " AND NOT (%(is_own)s AND reason = 'credentials')\"\n)",
        "\"\n)",
        f"{STORIES}::test_the_operators_refused_key_does_not_stop_a_student_with_an_account_of_their_own"),
    Bug("an_own_answer_closes_the_operators_circuit", "T26", f"{ENGINE}/budget.py",
        "            \"  AND NOT (%(is_own)s AND reason = 'credentials')\"\n",
        "",
        f"{STORIES}::test_the_operators_refused_key_does_not_stop_a_student_with_an_account_of_their_own"),
    Bug("another_account_takes_the_place_of_the_one_that_is_built_in", "I1", "provisioning/connections.py",
        "    if before.account and found.account and before.account != found.account:\n        return ANOTHER\n",
        "",
        f"{STORIES}::test_a_key_of_another_account_is_refused_while_an_order_lives_in_this_one"),
    Bug("an_administrator_is_believed_without_a_code", "I10", "provisioning/connections.py",
        "        proven = slug != GOOGLE or _is_proven(mine, key)",
        "        proven = True",
        f"{PAGES}::test_an_own_google_account_is_tried_after_its_administrator_has_shown_the_code"),
    Bug("the_old_key_is_kept", "I9", "provisioning/connections.py",
        "ended_by=actor[:320], credential=None, due_at=None)",
        "ended_by=actor[:320], due_at=None)",
        f"{PAGES}::test_what_was_changed_and_by_whom_is_kept_and_the_old_key_is_not"),
)
