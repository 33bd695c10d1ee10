"""What the frame around every page shows. A context processor: settings and the signed-in person, no query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the values of templates/components/sidebar.html under the name `shell`."""
    user = getattr(request, "user", None)
    signed_in = bool(user and user.is_authenticated)
    infrastructure = reverse("infrastructure")
    return {
        "shell": {
            "site_name": getattr(settings, "BOOTCAMP_NAME", "Sales Bootcamp"),
            "sandbox": settings.SANDBOX,
            "signed_in": signed_in,
            "email": user.email if user and signed_in else "",
            "home_href": reverse("home"),
            "home_current": request.path == reverse("home"),
            # The bootcamp's own page; it is linked where an installation says where it lives.
            "tools_href": getattr(settings, "AI_TOOLS_URL", ""),
            "tools_current": False,
            "infrastructure_href": infrastructure,
            "infrastructure_current": request.path.startswith(infrastructure),
            "login_href": reverse("login"),
            "logout_href": reverse("logout"),
        }
    }
