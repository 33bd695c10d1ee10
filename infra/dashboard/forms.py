"""The two forms of a running order: another name for a lost one, and the password before a secret is shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.models import User


class PasswordForm(forms.Form):
    """The student's own password, typed again."""

    password = forms.CharField(
        label=gettext_lazy("Your password for this site"),
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        max_length=256,
        strip=False,
        error_messages={"required": gettext_lazy("Type the password with which you sign in here.")},
    )

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_password(self) -> str:
        typed = str(self.cleaned_data["password"])
        if not self.person.check_password(typed):
            raise ValidationError(_("This is not the password with which you sign in here."))
        return typed


class ReplacementForm(forms.Form):
    """Which domain was lost, and what to do about it."""

    domain = forms.UUIDField()
    action = forms.ChoiceField(
        choices=[("replace", ""), ("check", ""), ("drop", ""), ("stop", ""), ("again", ""), ("mine", ""), ("own", "")]
    )
    name = forms.CharField(required=False, max_length=400)
    wanted = forms.CharField(required=False, max_length=400)
