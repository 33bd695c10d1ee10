"""Bugs in the tests of mailboxes: whose verdict is believed, and what is sent again."""

from __future__ import annotations

from .bug import Bug

JUDGE, WORK = "infra/dns/message.py", "provisioning/mail_tests.py"
MESSAGES, TESTS = "tests/unit/infra/dns/test_message.py", "tests/integration/test_mail_tests.py"

# fmt: off
MAIL = (
    Bug("any_verdict_in_a_message_is_believed", "P", JUDGE,
        "if n < len(own) and who == trust.authserv.lower()), None)",
        "if results), None)",
        f"{MESSAGES}::test_verdicts_of_other_servers_are_ignored_wherever_they_stand"),
    Bug("the_receivers_good_word_is_proof", "P", JUDGE,
        "    return Verdict(verdict.value, verdict.said, verdict.fix, word)",
        "    return Verdict(Value.PASS if word == \"pass\" else verdict.value, verdict.said, verdict.fix, word)",
        f"{TESTS}::test_mail_that_is_not_signed_by_its_domain_is_refused"),
    Bug("a_signature_of_anybody_counts", "P", JUDGE,
        "    if not aligned:\n        return _verdict(Value.FAIL, \"dkim-foreign\", **about), \"\"\n",
        "",
        f"{MESSAGES}::test_a_valid_signature_of_somebody_else_does_not_count"),
    Bug("an_unclear_sending_is_repeated", "P", WORK,
        "        _wait(test, words=error.sentence[:MOST_WORDS])\n    except Retryable",
        "        _wait(test, state=TrialState.ASKED, words=error.sentence[:MOST_WORDS])\n    except Retryable",
        f"{TESTS}::test_an_unclear_sending_is_looked_for_and_never_repeated"),
    Bug("a_message_is_sent_without_an_intent", "P", WORK,
        "    _write(test, state=TrialState.SENDING, sending_at=clock.vendor_now())\n    failpoint(\"after_test_intent\", Passage(test))\n    try:\n",
        "    failpoint(\"after_test_intent\", Passage(test))\n    test.sending_at = clock.vendor_now()\n    try:\n",
        f"{TESTS}::test_a_worker_dies_at_each_point_and_no_message_goes_out_twice"),
    Bug("a_late_worker_writes_over_the_next_one", "P", WORK,
        "filter(pk=test.pk, claims=test.claims, state=test.state)",
        "filter(pk=test.pk)",
        f"{TESTS}::test_a_worker_that_was_overtaken_writes_nothing"),
    Bug("somebody_elses_letter_is_taken", "I10", WORK,
        "if tokens == {test.token} and received.sender_of(raw) == test.mailbox.address.lower():",
        "if tokens:",
        f"{TESTS}::test_a_letter_with_the_token_from_somebody_else_is_not_the_tests"),
    Bug("a_word_that_signing_was_started_is_believed", "P", "provisioning/steps/workspace/signing.py",
        "    if verdict == Value.PASS and newest.verdicts.get(\"domain\") == domain.name:",
        "    if verdict == Value.PASS or domain.facts.get(\"signing\"):",
        "tests/integration/stories/test_signing.py::test_a_false_tick_fails_and_the_person_is_asked_again"),
)
