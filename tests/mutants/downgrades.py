"""Bugs in a change to a smaller package, and in one of how many domains: what it takes down, when it begins, what is said."""

from __future__ import annotations

from .bug import Bug
from .where import BILLING, ENGINE

DOMAINS = f"{BILLING}/test_more_domains.py"
PLANS, ENDS = f"{BILLING}/test_downgrades.py", f"{BILLING}/test_downgrade_ends.py"

# fmt: off
DOWNGRADES = (
    Bug("smaller_before_it_is_paid", "P", "billing/downgrades.py",
        "    if contract.bill is not None and contract.bill.status in UNPAID:",
        "    if False:",
        f"{PLANS}::test_an_unpaid_renewal_holds_the_change_up_until_it_is_paid"),
    Bug("what_stays_is_taken_down_too", "P", "provisioning/life.py",
        "        domains = list(live.domains.filter(name__in=drops).exclude(state__in=GONE))",
        "        domains = list(live.domains.exclude(state__in=GONE))",
        f"{PLANS}::test_after_the_renewal_only_what_was_left_out_is_taken_down"),
    Bug("a_late_smaller_price_is_not_seen", "P", "billing/agreed.py",
        "    if said.monthly_cents in agreed:",
        "    if True:",
        f"{ENDS}::test_a_price_that_the_operator_says_is_meant_is_not_asked_about_again"),
    Bug("what_is_taken_down_by_hand_never_ends", "P", f"{ENGINE}/runner.py",
        "        return self.stack.ending.failed is not None and self.wave.has_nothing_left()",
        "        return self.wave.has_nothing_left()",
        f"{ENDS}::test_a_change_of_which_the_operator_skips_everything_is_done_by_hand_and_ends"),
    Bug("what_may_be_bought_is_let_go", "P", f"{ENGINE}/endings.py",
        "    failed = Q(state=DomainState.FAILED, bought_at=None) & ~Q(name__in=open_)",
        "    failed = Q(state=DomainState.FAILED, bought_at=None)",
        f"{ENDS}::test_what_may_have_been_bought_all_the_same_is_not_let_go"),
    Bug("left_out_counts_on", "P", "provisioning/spending.py",
        "        left[run][address] = since[mailbox]\n",
        "        pass\n",
        f"{ENDS}::test_what_was_left_out_costs_no_more_from_then_on"),
    Bug("any_choice_is_said_to_fit", "P", "billing/downgrades.py",
        "    return sum(fewest) <= tier.mailbox_count",
        "    return True",
        f"{ENDS}::test_a_package_that_no_choice_fits_is_not_offered_and_says_why"),
    Bug("the_same_price_is_taken_for_fewer_domains", "P", "billing/downgrades.py",
        "    return (contract.price_id, contract.quantity) == (row.price_id, row.quantity)",
        "    return contract.price_id == row.price_id",
        f"{DOMAINS}::test_a_lost_answer_to_a_smaller_number_is_found_out"),
    Bug("an_earlier_invoice_pays_for_the_next_domain", "P", "billing/upgrades.py",
        "    wanted = (upgrade.price_id, upgrade.quantity)",
        "    wanted = (upgrade.price_id, contract.quantity)",
        f"{DOMAINS}::test_the_invoice_of_an_earlier_change_does_not_count_for_one_that_never_arrived"),
)
