from django.urls import path

from . import views, webhooks

urlpatterns = [
    path("webhook/", webhooks.receive, name="billing-webhook"),
    path("return/", views.returned, name="billing-return"),
    path("cancel/", views.cancelled, name="billing-cancel"),
]
