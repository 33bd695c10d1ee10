from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from infra import students
from infra.models import Provision, User
from infra.students import Refused
from provisioning.admin.base import BaseModelForm, ReadOnlyInline
from provisioning.admin.verbs import HasVerbs, Plan, Verb, actor_of


class Invite(Verb):
    """Send a link with which a password is set."""

    name = "invite"
    label = gettext_lazy("Send invitation")
    permission = "infra.change_user"
    refusals = (Refused,)
    form = forms.Form

    def refusal(self, row: User) -> str:
        return "" if row.is_active else _("The account of %(email)s is closed.") % {"email": row.email}

    def plan(self, row: User) -> Plan:
        return Plan(
            question=_("Send %(email)s a link to set a password?") % {"email": row.email},
            button=_("Send invitation"),
            will=[_("The link works once, and for two weeks.")],
            will_not=[_("Until it is used, an earlier password stays as it is.")],
        )

    def perform(self, row: User, data: Mapping[str, Any], *, actor: str) -> str:
        students.invite(student=row, actor=actor)
        return _("%(email)s is invited.") % {"email": row.email}


class EndEnrolment(Verb):
    """A student leaves the class."""

    name = "end-enrolment"
    label = gettext_lazy("End enrolment")
    permission = "infra.change_user"
    refusals = (Refused,)

    def refusal(self, row: User) -> str:
        return "" if row.is_enrolled and row.enrolment_ended_at is None else _("This person is not enrolled.")

    def plan(self, row: User) -> Plan:
        return Plan(
            question=_("End the enrolment of %(email)s?") % {"email": row.email},
            button=_("End enrolment"),
            will=[_("They can order nothing more, and their unfinished drafts wait.")],
            will_not=[
                _("What was bought goes on, is paid for as before, and stays visible to them."),
                _("No order is cancelled by this: for that, open the order."),
            ],
        )

    def perform(self, row: User, data: Mapping[str, Any], *, actor: str) -> str:
        students.end_enrolment(student=row, actor=actor, reason=data["reason"])
        return _("The enrolment of %(email)s has ended.") % {"email": row.email}


class Enrol(Verb):
    """Somebody who has an account may order (again)."""

    name = "enrol"
    label = gettext_lazy("Enrol")
    permission = "infra.change_user"
    refusals = (Refused,)
    form = forms.Form

    def refusal(self, row: User) -> str:
        return _("This person is enrolled already.") if row.is_enrolled and row.enrolment_ended_at is None else ""

    def plan(self, row: User) -> Plan:
        return Plan(question=_("Let %(email)s order?") % {"email": row.email}, button=_("Enrol"))

    def perform(self, row: User, data: Mapping[str, Any], *, actor: str) -> str:
        students.enrol(student=row, actor=actor)
        return _("%(email)s is enrolled.") % {"email": row.email}


class ClassListForm(forms.Form):
    """A pasted list."""

    people = forms.CharField(
        label=gettext_lazy("People"),
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 14, "class": "vLargeTextField", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "One a line: an address, “Ada Keen <ada@example.com>”, or address, first name, last name."
        ),
    )
    cohort = forms.CharField(label=gettext_lazy("Cohort"), max_length=80, required=False)


class ClassListVerb(Verb):
    """Enrol and invite a whole class."""

    name = "class-list"
    label = gettext_lazy("Paste a class list")
    permission = "infra.add_user"
    refusals = (Refused,)
    form = ClassListForm

    def plan(self, row: Any) -> Plan:
        return Plan(
            question=_("Enrol and invite everybody on this list?"),
            button=_("Enrol and invite"),
            will=[_("New people get an account and an invitation by e-mail. Lines that cannot be read are reported.")],
            will_not=[_("Who is enrolled already stays as they are and gets no second invitation.")],
        )

    def perform(self, row: Any, data: Mapping[str, Any], *, actor: str) -> str:
        done = students.add_class_list(text=data["people"], cohort=data["cohort"], actor=actor)
        told = [
            ngettext("%(count)d person invited.", "%(count)d people invited.", len(done.added))
            % {"count": len(done.added)},
            _("Enrolled again: %(count)d. Enrolled already: %(known)d.")
            % {"count": len(done.enrolled_again), "known": len(done.known)},
        ]
        if done.refused:
            lines = "; ".join(f"{line}: {reason}" for line, reason in done.refused[:20])
            told.append(_("Not understood: %(lines)s") % {"lines": lines})
        return " ".join(told)


class NewStudentForm(BaseModelForm):
    """Somebody new: they set their password themselves."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "cohort")

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip().lower()
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError(_("%(email)s has an account already.") % {"email": email})
        return email


class CohortFilter(admin.SimpleListFilter):
    """People of one class."""

    title = gettext_lazy("cohort")
    parameter_name = "cohort"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = User.objects.exclude(cohort="").order_by("cohort").values_list("cohort", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        return queryset.filter(cohort=self.value()) if self.value() else queryset


class Orders(ReadOnlyInline):
    model = Provision
    fk_name = "student"
    fields = ("reference", "tier", "state", "parked_reason", "paid_at", "ready_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provision]:
        return super().get_queryset(request).select_related("tier")


@admin.register(User)
class UserAdmin(HasVerbs):
    """Students and operators. Passwords are nobody's business: people set their own by an invitation."""

    actions = None
    add_form = NewStudentForm
    list_display = (
        "email",
        "full_name",
        "cohort",
        "is_enrolled",
        "enrolment_ended_at",
        "is_staff",
        "is_active",
        "last_login",
    )
    list_filter = ("is_enrolled", "is_staff", "is_active", CohortFilter)
    search_fields = ("email", "first_name", "last_name", "cohort")
    ordering = ("email",)
    fieldsets = (
        (None, {"fields": ("email", "first_name", "last_name", "cohort", "time_zone")}),
        (gettext_lazy("Enrolment"), {"fields": ("is_enrolled", "enrolment_ended_at", "is_active")}),
        (gettext_lazy("Operator"), {"fields": ("is_staff", "is_superuser", "groups")}),
        (gettext_lazy("Dates"), {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "first_name", "last_name", "cohort")}),)
    readonly_fields = ("is_enrolled", "enrolment_ended_at", "created_at", "last_login")
    inlines = (Orders,)
    verbs = (Invite(), EndEnrolment(), Enrol())
    list_verbs = (ClassListVerb(),)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_inlines(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.inlines if obj else ()

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change=change, **(kwargs if obj else {**kwargs, "form": self.add_form}))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Let only a superuser make operators."""
        rights = () if getattr(request.user, "is_superuser", False) else ("is_staff", "is_superuser", "groups")
        return (*self.readonly_fields, *rights)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody but a superuser changes a superuser's account: its address is the way to its password."""
        above = getattr(obj, "is_superuser", False) and not getattr(request.user, "is_superuser", False)
        return super().has_change_permission(request, obj) and not above

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """An account is closed, never deleted: orders and payments name it."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            obj.email = obj.email.strip().lower()
            super().save_model(request, obj, form, change)
            return
        values = form.cleaned_data
        made = students.add_student(**{name: values[name] for name in form.Meta.fields}, actor=actor_of(request))
        obj.__dict__.update(made.__dict__)
