"""Bugs in what is read of DNS and made of it."""

from __future__ import annotations

from .bug import Bug

RULES, TESTS = "infra/dns", "tests/unit/infra/dns"
PROPAGATION, PLAN, FLATTEN = f"{TESTS}/test_propagation.py", f"{TESTS}/test_plan.py", f"{TESTS}/test_spf_flatten.py"

# fmt: off
NAMES = (
    Bug("a_second_record_is_no_conflict", "T20", f"{RULES}/propagation.py",
        "Finding.CONFLICT if rivals else Finding.SEEN",
        "Finding.SEEN",
        f"{PROPAGATION}::test_an_answer_shows_one_of_these"),
    Bug("a_second_policy_beside_a_foreign_one", "T20", f"{RULES}/plan.py",
        "            if _rival(new, row.record):",
        "            if False:",
        f"{PLAN}::test_a_foreign_record_in_the_way_stops_everything_until_a_person_agrees"),
    Bug("the_first_of_two_spf_records_counts", "T20", f"{RULES}/spf/evaluate.py",
        "        if len(texts) > 1:",
        "        if len(texts) > 99:",
        f"{TESTS}/test_spf_suite.py::test_what_the_suite_expects"),
    Bug("the_first_of_two_dmarc_records_counts", "T20", f"{RULES}/dmarc.py",
        "    if len(texts) > 1:",
        "    if len(texts) > 99:",
        f"{TESTS}/test_dmarc.py::test_what_is_wrong_has_a_stable_id"),
    Bug("silence_is_absence", "T19", f"{RULES}/resolver.py",
        "return self.status not in (Status.TEMPORARY_FAILURE, Status.TIMEOUT)",
        "return self.status is not Status.TEMPORARY_FAILURE",
        f"{TESTS}/test_dkim.py::test_a_server_that_fails_is_never_a_missing_key"),
    Bug("resolvers_are_asked_too_early", "P", f"{RULES}/propagation.py",
        "        if not own.is_complete or not resolvers:",
        "        if not resolvers:",
        f"{PROPAGATION}::test_resolvers_are_not_asked_before_the_domains_own_servers_agree"),
    Bug("nobody_answered_and_all_is_well", "P", f"{RULES}/propagation.py",
        "        if seen >= self.quorum and not against:",
        "        if not against:",
        f"{PROPAGATION}::test_too_few_that_answer_is_a_temporary_failure_and_never_absent"),
    Bug("foreign_records_are_changed", "P", f"{RULES}/plan.py",
        "        return row.ours or row.id in self.agreed",
        "        return True",
        f"{PLAN}::test_foreign_records_that_stand_in_nobodys_way_are_never_touched"),
    Bug("flattened_into_nothing", "P", f"{RULES}/spf/flatten.py",
        "    if not networks:",
        "    if False:",
        f"{FLATTEN}::test_it_is_refused_where_it_could_not_be_the_same"),
    Bug("a_shrinking_source_is_followed", "P", f"{RULES}/spf/flatten.py",
        "    if max(len(added), len(removed)) > most_change * len(last.networks):",
        "    if max(len(added), len(removed)) > 99 * len(last.networks):",
        f"{FLATTEN}::test_what_shrinks_grows_or_empties_too_much_waits_for_a_person"),
    Bug("an_excluded_address_is_flattened_in", "P", f"{RULES}/spf/flatten.py",
        "            decided += networks",
        "            pass",
        f"{FLATTEN}::test_every_sender_gets_what_it_got_before"),
    Bug("a_claim_outweighs_dns", "P", f"{RULES}/compliance.py",
        "    if proof is None or check.value is not Value.UNKNOWN or proof.source not in check.row.settles:",
        "    if proof is None or proof.source not in check.row.settles:",
        f"{TESTS}/test_compliance.py::test_evidence_from_elsewhere_does_not_outweigh_what_dns_disproves"),
)
