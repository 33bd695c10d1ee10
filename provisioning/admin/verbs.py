"""What an operator may do about a row: a button, a page that says what will and will not happen again, then a POST.

A verb is a value with a name; `VerbAdmin` gives it its page. The work is done by an action; what the action refuses
comes back as a sentence. Pressed twice, the second press is refused by the action, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from ..actions import Refused
from .base import BaseAdmin, ReadOnlyAdmin


class ReasonForm(forms.Form):
    """Why: kept with the event."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("Kept with your name in the history of the order."),
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )


@dataclass(frozen=True, slots=True)
class Section:
    """Something more to know before the button is pressed."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a verb's page says before the button is pressed."""

    question: str
    button: str
    will: Sequence[str] = ()
    will_not: Sequence[str] = ()
    more: Section | None = None
    form: forms.Form | None = None


class Verb:
    """One thing that an operator may do about a row (or, for a verb of the list, about none)."""

    name: ClassVar[str]
    label: Any
    permission: ClassVar[str]
    refusals: ClassVar[tuple[type[Exception], ...]] = (Refused,)
    form: type[forms.Form] = ReasonForm

    def refusal(self, row: Any) -> str:
        """Return why this is not possible now; nothing when it is."""
        return ""

    def plan(self, row: Any) -> Plan:
        """Return what will and what will not happen."""
        raise NotImplementedError

    def make_form(self, row: Any, data: Mapping[str, Any] | None = None) -> forms.Form:
        """Return the form, bound when `data` is given."""
        return self.form(data)

    def perform(self, row: Any, data: Mapping[str, Any], *, actor: str) -> str:
        """Do it and return the sentence that says so. Raises one of `refusals`."""
        raise NotImplementedError


class HasVerbs(BaseAdmin):
    """An admin page with buttons for its verbs."""

    verbs: Sequence[Verb] = ()  # about a row
    list_verbs: Sequence[Verb] = ()  # about none
    change_form_template = "admin/verbs/change_form.html"
    change_list_template = "admin/verbs/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        mine = [
            path(f"{verb.name}/", self.admin_site.admin_view(self._page(verb, of_list=True)), name=self._url(verb))
            for verb in self.list_verbs
        ]
        mine += [
            path(f"<path:object_id>/{verb.name}/", self.admin_site.admin_view(self._page(verb)), name=self._url(verb))
            for verb in self.verbs
        ]
        return mine + list(super().get_urls())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the row with a button for each verb, or why it cannot be pressed now."""
        row = self.get_object(request, object_id)
        buttons = self.buttons(request, row) if row else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "verbs": buttons})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with a button for each of its verbs."""
        return super().changelist_view(request, {**(extra_context or {}), "verbs": self.buttons(request, None)})

    def buttons(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """Return the buttons that stand above a row; above the list when there is none."""
        verbs = self.list_verbs if row is None else self.verbs
        return [self._button(verb, row) for verb in verbs if request.user.has_perm(verb.permission)]

    def _button(self, verb: Verb, row: Any) -> dict[str, str]:
        arguments = [] if row is None else [row.pk]
        href = reverse(f"{self.admin_site.name}:{self._url(verb)}", args=arguments)
        return {"label": str(verb.label), "href": href, "refusal": verb.refusal(row)}

    def _url(self, verb: Verb) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{verb.name}"

    def _page(self, verb: Verb, *, of_list: bool = False) -> Any:
        @require_http_methods(["GET", "HEAD", "POST"])
        def page(request: HttpRequest, object_id: str = "") -> HttpResponse:
            if not request.user.has_perm(verb.permission):
                raise PermissionDenied
            row = None if of_list else self.get_object(request, object_id)
            if row is None and not of_list:
                raise Http404
            return self._ask_or_do(request, verb, row)

        return page

    def _ask_or_do(self, request: HttpRequest, verb: Verb, row: Any) -> HttpResponse:
        if refusal := verb.refusal(row):
            messages.warning(request, refusal)
            return redirect(self._back(row))
        form = verb.make_form(row, request.POST if request.method == "POST" else None)
        if request.method != "POST" or not form.is_valid():
            return self._ask(request, verb, row, form)
        try:
            sentence = verb.perform(row, form.cleaned_data, actor=actor_of(request))
        except verb.refusals as refused:
            messages.warning(request, str(refused))
            return redirect(self._back(row))
        if row is not None:
            self.log_change(request, row, f"{verb.label}: {form.cleaned_data.get('reason', '')}"[:500])
        messages.success(request, sentence)
        return redirect(self._back(row))

    def _ask(self, request: HttpRequest, verb: Verb, row: Any, form: forms.Form) -> HttpResponse:
        plan = verb.plan(row)
        context = {
            **self.admin_site.each_context(request),
            "title": str(verb.label),
            "opts": self.opts,
            "row": row,
            "plan": plan,
            "form": form,
            "media": self.media + form.media,
            "list_href": reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist"),
            "back_href": self._back(row),
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/verbs/confirm.html", context, status=status)

    def _back(self, row: Any) -> str:
        page = "changelist" if row is None else "change"
        arguments = [] if row is None else [row.pk]
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=arguments)


class VerbAdmin(HasVerbs, ReadOnlyAdmin):
    """Machine-written rows with verbs."""


def actor_of(request: HttpRequest) -> str:
    """Return who is acting, for the history."""
    return str(getattr(request.user, "email", ""))
