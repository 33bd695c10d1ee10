"""Bugs in the registration of names with a student's own account: bought twice, or for more than was agreed to."""

from __future__ import annotations

from .bug import Bug

STEP, PAGE = "provisioning/steps/workspace/registering.py", "provisioning/registering.py"
STORIES, PAGES = "tests/integration/stories/test_registering.py", "tests/integration/test_wizard_registering.py"

# fmt: off
REGISTERING = (
    Bug("an_old_quote_is_replaced_whatever_was_sent", "I1", STEP,
        " and not _sent(ctx, domain, order)):",
        "):",
        f"{STORIES}::test_an_error_after_the_work_is_no_word_that_nothing_was_bought_however_late_it_is_asked_again"),
    Bug("a_quote_that_is_gone_is_replaced_at_once", "I1", STEP,
        "    if _sent(ctx, domain, order) > 1:  # not only the one that was refused just now\n",
        "    if not order:\n",
        f"{STORIES}::test_a_quote_that_has_ended_after_a_lost_answer_is_taken_anew_only_once_nothing_came_of_it"),
    Bug("a_refused_read_forgets_what_is_under_way", "I1", STEP,
        "        facts={TERMS: None, SILENCE: None,",
        "        facts={ORDER: None, TERMS: None, SILENCE: None,",
        f"{STORIES}::test_a_refusal_while_it_may_be_under_way_forgets_nothing_of_it"),
    Bug("the_account_is_not_looked_at_first", "T2", STEP,
        "return _follow(ctx, domain) or _there(ctx, domain) or _register(ctx, domain, wish)",
        "return _follow(ctx, domain) or _register(ctx, domain, wish)",
        f"{STORIES}::test_a_name_that_the_account_has_already_is_not_bought"),
    Bug("what_it_costs_now_is_not_held_against_the_consent", "T5", STEP,
        " or quote.total.minor > wish.cents",
        "",
        f"{STORIES}::test_what_costs_more_than_was_agreed_to_is_asked_and_bought_for_what_is_agreed_to_then"),
    Bug("terms_that_the_page_never_showed_is_agreed_to", "T5", PAGE,
        "if is_old or digest(row) != seen[row.name]:",
        "if is_old:",
        f"{PAGES}::test_nothing_is_agreed_to_that_the_page_has_not_shown"),
)
