"""The addresses of the student's pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from infra import views
from infra.connecting import views as connecting
from infra.dashboard import views as dashboard
from infra.dashboard.domains import views as domain
from infra.estate import views as estate
from infra.wizard import downgrade as shrinking
from infra.wizard import upgrade as growing
from infra.wizard import views as wizard

setup, upgrade = "infrastructure/setup/", "infrastructure/upgrade/"
own = "infrastructure/domains/<str:name>/"
ENLARGES = {"enlarges": True}  # the wizard's own pages, with the draft of an upgrade

urlpatterns = [
    path("", views.home, name="home"),
    path("login/", views.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="signed-out"), name="logout"),
    path("signed-out/", views.signed_out, name="signed-out"),
    path("invitation/<str:token>/", views.invitation, name="invitation"),
    path("help/", views.help_index, name="help-index"),
    path("help/<slug:slug>/", views.help_page, name="help"),
    path("infrastructure/", views.entry, name="infrastructure"),
    path(f"{setup}package/", wizard.package, name="setup-package"),
    path(f"{setup}accounts/", wizard.accounts, name="setup-accounts"),
    path(f"{setup}domains/", wizard.domains, name="setup-domains"),
    path(f"{setup}domains/names/", wizard.domain_names, name="setup-domains-names"),
    path(f"{setup}domains/registrations/", wizard.domain_registrations, name="setup-domains-registrations"),
    path(f"{setup}mailboxes/", wizard.mailboxes, name="setup-mailboxes"),
    path(f"{setup}mailboxes/preview/", wizard.mailbox_preview, name="setup-mailboxes-preview"),
    path(f"{setup}mailboxes/people/", wizard.people, name="setup-people"),
    path(f"{setup}mailboxes/people/preview/", wizard.people_preview, name="setup-people-preview"),
    path(f"{setup}mailboxes/people/example.csv", wizard.people_example, name="setup-people-example"),
    path(f"{setup}review/", wizard.review, name="setup-review"),
    path(f"{setup}review/state/", wizard.review_state, name="setup-review-state"),
    path("infrastructure/connections/", connecting.page, name="connections"),
    path("infrastructure/connections/<slug:slug>/state/", connecting.state, name="connection-state"),
    path("infrastructure/runs/<uuid:run_id>/enter/", connecting.enter, name="enter"),
    path("infrastructure/upgrade/", growing.upgrade, name="upgrade"),
    path("infrastructure/upgrade/discard/", growing.discard, name="upgrade-discard"),
    path("infrastructure/downgrade/", shrinking.downgrade, name="downgrade"),
    path("infrastructure/downgrade/withdraw/", shrinking.withdraw, name="downgrade-withdraw"),
    path("infrastructure/downgrade/<slug:slug>/", shrinking.choose, name="downgrade-choose"),
    path(f"{upgrade}domains/", wizard.domains, ENLARGES, name="upgrade-domains"),
    path(f"{upgrade}domains/names/", wizard.domain_names, ENLARGES, name="upgrade-domains-names"),
    path(
        f"{upgrade}domains/registrations/",
        wizard.domain_registrations,
        ENLARGES,
        name="upgrade-domains-registrations",
    ),
    path(f"{upgrade}mailboxes/", wizard.mailboxes, ENLARGES, name="upgrade-mailboxes"),
    path(f"{upgrade}mailboxes/preview/", wizard.mailbox_preview, ENLARGES, name="upgrade-mailboxes-preview"),
    path(f"{upgrade}mailboxes/people/", wizard.people, ENLARGES, name="upgrade-people"),
    path(f"{upgrade}mailboxes/people/preview/", wizard.people_preview, ENLARGES, name="upgrade-people-preview"),
    path(f"{upgrade}mailboxes/people/example.csv", wizard.people_example, ENLARGES, name="upgrade-people-example"),
    path(f"{upgrade}review/", wizard.review, ENLARGES, name="upgrade-review"),
    path(f"{upgrade}review/state/", wizard.review_state, ENLARGES, name="upgrade-review-state"),
    path("infrastructure/progress/", dashboard.progress, name="progress"),
    path("infrastructure/progress/state/", dashboard.progress_state, name="progress-state"),
    path("infrastructure/progress/check/", dashboard.check_now, name="progress-check"),
    path("infrastructure/progress/change/", dashboard.change_order, name="progress-change"),
    path("infrastructure/progress/replacement/", dashboard.replacement, name="progress-replacement"),
    path("infrastructure/batches/", dashboard.batch, name="batches"),
    path("infrastructure/batches/state/", dashboard.batch_state, name="batches-state"),
    path("infrastructure/batches/again/", dashboard.batch_retry, name="batches-retry"),
    path("infrastructure/batches/domains.csv", dashboard.batch_file, name="batches-file"),
    path("infrastructure/dashboard/", dashboard.dashboard, name="dashboard"),
    path("infrastructure/dashboard/tasks/<slug:task>/", dashboard.tick_task, name="task"),
    path("infrastructure/dashboard/calendar/", dashboard.renew_calendar, name="calendar-renew"),
    path("infrastructure/calendar/<str:token>.ics", dashboard.calendar_feed, name="calendar"),
    path("infrastructure/mailboxes/<uuid:mailbox_id>/test/", dashboard.mailbox_test, name="mailbox-test"),
    path(
        "infrastructure/mailboxes/<uuid:mailbox_id>/test/state/",
        dashboard.mailbox_test_state,
        name="mailbox-test-state",
    ),
    path(f"{own}dns/", domain.dns, name="domain-dns"),
    path(f"{own}dns/state/", domain.dns_state, name="domain-dns-state"),
    path(f"{own}dns/check/", domain.check, name="domain-check"),
    path(f"{own}dns/watch/", domain.watch, name="domain-watch"),
    path(f"{own}dns/spf/", domain.spf, name="domain-spf"),
    path(f"{own}policy/", domain.policy, name="domain-policy"),
    path(f"{own}compliance/", domain.compliance, name="domain-compliance"),
    path("infrastructure/renewals/", estate.renewals, name="renewals"),
    path("infrastructure/exports/", estate.export, name="exports"),
    path("infrastructure/leaving/", estate.leaving, name="leaving"),
    path("infrastructure/leaving/mailboxes.csv", estate.leaving_mailboxes, name="leaving-mailboxes"),
    path("infrastructure/leaving/<str:name>.zone", estate.leaving_zone, name="leaving-zone"),
    path("infrastructure/dashboard/credentials/<uuid:credential_id>/", dashboard.reveal, name="credential"),
]
