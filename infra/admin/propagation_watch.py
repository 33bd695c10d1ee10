from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from infra.models import PropagationObservation, PropagationWatch
from provisioning.admin.base import ReadOnlyAdmin, link_to, state_means


@admin.register(PropagationWatch)
class PropagationWatchAdmin(ReadOnlyAdmin):
    """Domains whose records are, or were, watched until all name servers showed them."""

    list_display = ("domain", "student", "state", "coverage", "looks", "since", "ended_at")
    list_filter = ("state",)
    list_select_related = ("domain", "student")
    search_fields = ("domain__name", "student__email")
    ordering = ("-created_at",)
    readonly_fields = ("means",)

    @admin.display(description=_("what this means"))
    def means(self, row: PropagationWatch) -> str | SafeString:
        return state_means(row)


@admin.register(PropagationObservation)
class PropagationObservationAdmin(ReadOnlyAdmin):
    """What each look of a watch saw; kept for a week, and then the first and last of each state."""

    list_display = ("at", "domain", "state", "cause", "coverage")
    list_filter = ("state", "cause")
    search_fields = ("watch__domain__name",)
    ordering = ("-at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PropagationObservation]:
        return PropagationObservation.objects.select_related("watch__domain")

    @admin.display(description=_("domain"), ordering="watch__domain__name")
    def domain(self, row: PropagationObservation) -> str | SafeString:
        return link_to(row.watch, row.watch.domain.name)
