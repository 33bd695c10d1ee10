"""Names of the admin, and who is let in: operators, by the same sign-in page as everybody."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


def sign_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Send visitors to the one sign-in page, whose limits hold here too; refuse students."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"), login_url="login")
    if not admin.site.has_permission(request):
        raise PermissionDenied
    return redirect("admin:index")


admin.site.login = sign_in  # type: ignore[method-assign]
admin.site.site_header = _("GTM Infrastructure: operators")
admin.site.site_title = _("GTM Infrastructure")
admin.site.index_title = _("What needs you, and everything else")
admin.site.enable_nav_sidebar = True
