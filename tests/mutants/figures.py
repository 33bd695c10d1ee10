"""Bugs in what is read of a warmup, and in what follows from it."""

from __future__ import annotations

from .bug import Bug

COLLECTOR, HEALTH = "tests/integration/test_collector.py", "tests/unit/infra/test_health.py"
RAMP, BOARD = "tests/unit/infra/test_ramp.py", "tests/integration/test_dashboard.py"

# fmt: off
FIGURES = (
    Bug("one_bad_day_alarms", "P", "infra/health.py",
        "BAD_DAYS_TO_TELL = 2",
        "BAD_DAYS_TO_TELL = 1",
        f"{COLLECTOR}::test_one_bad_day_is_told_to_nobody"),
    Bug("ninety_is_bad", "P", "infra/health.py",
        "figure.health >= GOOD",
        "figure.health > GOOD",
        f"{HEALTH}::test_the_newest_figure_decides"),
    Bug("no_data_is_zero", "P", "infra/health.py",
        "    return known[first:]",
        "    return known",
        f"{HEALTH}::test_the_newest_figure_decides"),
    Bug("old_figures_let_mails_go", "P", "infra/health.py",
        "    if not known or today - known[-1].day > FRESH_FOR:",
        "    if not known:",
        f"{HEALTH}::test_old_figures_prove_nothing_about_today"),
    Bug("bad_health_is_told_each_day", "P", "provisioning/collector.py",
        "    if box.bad_since is None and since is not None and rows.update(bad_since=since):\n"
        "        Mail.post(\"health_bad\", key=f\"{box.pk}:{since}\"",
        "    if since is not None:\n"
        "        Mail.post(\"health_bad\", key=f\"{box.pk}:{one.today}\"",
        f"{COLLECTOR}::test_a_mailbox_that_turns_bad_is_told_once_and_once_when_it_is_good_again"),
    Bug("a_pause_counts_as_warmup", "P", "infra/ramp.py",
        "            if day not in self.paused:\n",
        "            if True:\n",
        f"{RAMP}::test_days_without_warmup_do_not_count_and_the_rest_moves"),
    Bug("a_cut_off_mailbox_is_warm", "P", "provisioning/collector.py",
        "said.is_warming and said.is_connected,",
        "said.is_warming,",
        f"{COLLECTOR}::test_a_disconnected_mailbox_is_one_whatever_they_call_it"),
    Bug("missing_once_is_gone", "P", "provisioning/collector.py",
        "            if not _was_missing(box, due):\n                continue\n",
        "",
        f"{COLLECTOR}::test_a_mailbox_missing_once_is_not_gone_but_missing_twice_it_is"),
    Bug("a_later_look_wipes_the_day", "P", "provisioning/collector.py",
        "COALESCE(excluded.{name}, kept.{name})",
        "excluded.{name}",
        f"{COLLECTOR}::test_a_figure_stays_when_a_later_look_of_the_day_brings_none"),
    Bug("figures_take_what_is_reserved", "P", "provisioning/looking.py",
        "WEIGHT = \"figures\"",
        "WEIGHT = \"paid\"",
        f"{COLLECTOR}::test_what_is_reserved_for_paid_work_stays_for_it"),
    Bug("a_look_never_waits_for_its_next_permit", "P", "provisioning/looking.py",
        "                if seconds > min(self.left, LONGEST_WAIT):",
        "                if True:",
        "tests/integration/stories/test_forge.py::test_what_an_order_owns_is_looked_at_within_what_the_budget_leaves"),
    Bug("two_workers_collect", "P", "provisioning/collector.py",
        "    if not take_place(SLICE):\n        return 0\n",
        "    take_place(SLICE)\n",
        f"{COLLECTOR}::test_only_one_worker_is_at_it"),
    Bug("a_failed_look_is_not_put_off", "P", "provisioning/looking.py",
        "due_at = gtm_now('vendor') + make_interval(secs => (%s::float8[])[LEAST(failures + 1, %s)])",
        "due_at = gtm_now('vendor') + make_interval(secs => 0 * (%s::float8[])[LEAST(failures + 1, %s)])",
        f"{COLLECTOR}::test_a_worker_that_dies_in_a_look_leaves_it_put_off"),
    Bug("an_interrupted_look_begins_anew", "P", "provisioning/collector.py",
        "    return deepcopy(due.notes)",
        "    return dict(due.notes)",
        f"{COLLECTOR}::test_a_look_that_needs_more_calls_than_there_are_permits_goes_on_where_it_stopped"),
    Bug("an_ended_calendar_link_works", "P", "infra/dashboard/calendar.py",
        "    if found is None or not hmac.compare_digest(calendar_key, found.calendar_key):",
        "    if found is None:",
        f"{BOARD}::test_a_new_link_ends_the_old_one"),
    Bug("ready_whatever_the_connection", "P", "infra/health.py",
        "        Lack.CONNECTION: is_connected,",
        "        Lack.CONNECTION: True,",
        f"{BOARD}::test_each_condition_that_fails_is_named"),
)
# fmt: on
