from django.urls import path

from . import inbox, views

urlpatterns = [
    path("webhook/", inbox.receive, name="billing-webhook"),
    path("return/", views.returned, name="billing-return"),
    path("cancel/", views.cancelled, name="billing-cancel"),
]
