"""Where the product's parts lie, and the tests that are meant to catch bugs in them."""

from __future__ import annotations

ENGINE, STEPS = "provisioning/engine", "provisioning/steps"
STORIES, BILLING = "tests/integration/stories", "tests/integration/billing"
CLAIMS, NAMES, MONEY = f"{STORIES}/test_claims.py", f"{STORIES}/test_names.py", f"{STORIES}/test_money.py"
SENDING, LIMITS, BOXES = f"{STORIES}/test_sending_tool.py", f"{STORIES}/test_limits.py", f"{STORIES}/test_mailboxes.py"
ABSENCE, LISTS = f"{STORIES}/test_absence.py", "tests/chaos/test_lists.py"
WHOLE = f"{STORIES}/test_main_job.py::test_every_package_is_built_completely"
PERMITS, ACTIONS = "tests/integration/test_permits.py", "tests/integration/test_actions.py"
PURCHASE, REFUNDS = f"{BILLING}/test_purchase.py", f"{BILLING}/test_refunds.py"
MAILS = "tests/integration/test_mails.py"
SCHEMA = "tests/integration/test_constraints.py::test_the_database_refuses_it_by_name"
SECURITY = "tests/integration/test_row_security.py"
REVOKED = f"{LIMITS}::test_a_revoked_key_parks_every_run_with_one_alert_and_they_go_on_by_themselves"
