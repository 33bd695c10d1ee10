from django.urls import path

from . import inbox, views

urlpatterns = [
    path("webhook/", inbox.receive, name="billing-webhook"),
    path("return/", views.returned, name="billing-return"),
    path("cancel/", views.cancelled, name="billing-cancel"),
    path("portal/", views.portal, name="billing-portal"),
    path("run-out/", views.run_out, name="billing-run-out"),
    path("keep/", views.keep, name="billing-keep"),
]
