"""What to export, in which form, and the password where passwords go out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.dashboard.forms import PasswordForm
from infra.models import User

from .exports import LAYOUTS

WHAT = (("mailboxes", gettext_lazy("Mailboxes")), ("domains", gettext_lazy("Domains")))
FORMATS = (("csv", gettext_lazy("CSV, for spreadsheets and tools")), ("json", gettext_lazy("JSON, for programs")))


class ExportForm(PasswordForm):
    """What, how, which rows (none chosen means all), and whether with passwords."""

    what = forms.ChoiceField(label=gettext_lazy("What"), choices=WHAT)
    format = forms.ChoiceField(label=gettext_lazy("Format"), choices=FORMATS)
    layout = forms.ChoiceField(
        label=gettext_lazy("Columns of the mailboxes"),
        choices=[(key, one.title) for key, one in LAYOUTS.items()],
        initial="plain",
        required=False,
    )
    rows = forms.MultipleChoiceField(required=False)
    with_passwords = forms.BooleanField(
        label=gettext_lazy("With the passwords of the mailboxes"), required=False, label_suffix=""
    )
    field_order = ("what", "format", "layout", "rows", "with_passwords", "password")

    def __init__(self, person: User, keys: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(person, *args, **kwargs)
        self.fields["rows"].choices = [(key, key) for key in keys]  # type: ignore[attr-defined]
        self.fields["password"].required = False

    def clean_password(self) -> str:
        """Demanded only where passwords go out; then it has to be right."""
        wanted = self.data.get("with_passwords") and self.data.get("what", "mailboxes") == "mailboxes"
        typed = str(self.cleaned_data["password"])
        if not wanted:
            return ""
        if not typed:
            raise ValidationError(_("Type the password with which you sign in here."))
        return super().clean_password()

    def clean(self) -> dict[str, Any]:
        values = dict(super().clean() or {})
        values["layout"] = values.get("layout") or "plain"
        if values.get("what") == "domains":
            values["with_passwords"], values["layout"] = False, "plain"
        elif LAYOUTS[values["layout"]].has_passwords and not values.get("with_passwords"):
            self.add_error("layout", _("These columns make sense with passwords only. Tick the box below."))
        return values
