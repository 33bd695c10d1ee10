"""The addresses of the API, below /api/."""

from django.urls import path, re_path

from . import domains, views
from .base import Missing

own = "infrastructure/domains/<str:name>/"

urlpatterns = [
    path("schema/", views.Schema.as_view(), name="schema"),
    path("infrastructure/tiers/", views.Tiers.as_view(), name="api-tiers"),
    path("infrastructure/domains/suggest/", views.Suggest.as_view(), name="api-suggest"),
    path("infrastructure/domains/check/", views.Check.as_view(), name="api-check"),
    path(f"{own}dns/", domains.Dns.as_view(), name="api-domain-dns"),
    path(f"{own}dns/check/", domains.Check.as_view(), name="api-domain-check"),
    path(f"{own}dns/watch/", domains.Watch.as_view(), name="api-domain-watch"),
    path(f"{own}dns/spf/", domains.Spf.as_view(), name="api-domain-spf"),
    path(f"{own}policy/", domains.Policy.as_view(), name="api-domain-policy"),
    path(f"{own}compliance/", domains.Compliance.as_view(), name="api-domain-compliance"),
    path("infrastructure/provision/", views.Provisioning.as_view(), name="api-provision"),
    path("infrastructure/status/<uuid:provision_id>/", views.Status.as_view(), name="api-status"),
    path("infrastructure/batches/<uuid:provision_id>/", views.Batch.as_view(), name="api-batch"),
    path("infrastructure/dashboard/", views.Dashboard.as_view(), name="api-dashboard"),
    path("infrastructure/exports/", views.Exports.as_view(), name="api-exports"),
    path("infrastructure/renewals/", views.Renewals.as_view(), name="api-renewals"),
    path("infrastructure/mailboxes/<uuid:mailbox_id>/test/", views.MailboxTest.as_view(), name="api-mailbox-test"),
    path("infrastructure/leaving/", views.Leaving.as_view(), name="api-leaving"),
    re_path(r"^.*$", Missing.as_view(), name="api-missing"),
]
