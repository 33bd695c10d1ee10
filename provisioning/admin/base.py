"""What all admin pages of ours share: rows that only machines write, links between rows, words for a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from infra.state_guide import GUIDE

# The stubs know what these are of; Django 5.2 itself cannot be subscripted.
if TYPE_CHECKING:
    BaseModelForm = forms.ModelForm[Any]
    BaseAdmin = admin.ModelAdmin[Any]
    BaseInline = admin.TabularInline[Any, Any]
else:
    BaseModelForm = forms.ModelForm
    BaseAdmin = admin.ModelAdmin
    BaseInline = admin.TabularInline


class ReadOnly:
    """Machine-written rows: nobody adds, changes or deletes them by hand. What may be done about them are verbs."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, BaseAdmin):
    """A table to read."""

    actions = None
    list_per_page = 50
    show_full_result_count = False


class ReadOnlyInline(ReadOnly, BaseInline):
    """Rows to read beneath the row they belong to."""

    template = "admin/verbs/rows.html"
    extra = 0
    can_delete = False
    show_change_link = True


def link_to(row: Any, words: str = "") -> str | SafeString:
    """Return a link to a row's page in the admin; a dash for nothing."""
    if row is None:
        return "-"
    options = row._meta
    href = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', href, words or str(row))


@admin.display(description=_("what this means"))
def state_means(row: Any) -> str | SafeString:
    """Return the guide's words for a row's state: meaning, way in, way out, who must act, what the student reads."""
    choices = next((kind for kind in GUIDE if kind.choices == row._meta.get_field("state").choices), None)
    guide = GUIDE.get(choices) if choices else None
    if choices is None or guide is None:
        return "-"
    found = guide[choices(row.state)]
    words = [
        (_("Meaning"), found.meaning),
        (_("Entered by"), found.entered_by),
        (_("Left by"), found.left_by),
        (_("Who must act"), found.acts),
        (_("The student reads"), found.student or _("nothing; students never meet this state")),
    ]
    return format_html('<dl class="meaning">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", words))
