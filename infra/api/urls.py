"""The addresses of the API, below /api/."""

from django.urls import path, re_path

from . import views
from .base import Missing

urlpatterns = [
    path("schema/", views.Schema.as_view(), name="schema"),
    path("infrastructure/tiers/", views.Tiers.as_view(), name="api-tiers"),
    path("infrastructure/domains/suggest/", views.Suggest.as_view(), name="api-suggest"),
    path("infrastructure/domains/check/", views.Check.as_view(), name="api-check"),
    path("infrastructure/provision/", views.Provisioning.as_view(), name="api-provision"),
    path("infrastructure/status/<uuid:provision_id>/", views.Status.as_view(), name="api-status"),
    path("infrastructure/dashboard/", views.Dashboard.as_view(), name="api-dashboard"),
    path("infrastructure/exports/", views.Exports.as_view(), name="api-exports"),
    path("infrastructure/renewals/", views.Renewals.as_view(), name="api-renewals"),
    path("infrastructure/mailboxes/<uuid:mailbox_id>/test/", views.MailboxTest.as_view(), name="api-mailbox-test"),
    path("infrastructure/leaving/", views.Leaving.as_view(), name="api-leaving"),
    re_path(r"^.*$", Missing.as_view(), name="api-missing"),
]
