"""What is typed in to connect an account."""

from __future__ import annotations

from django import forms

from provisioning.connections import LONGEST_KEY


class ConnectionForm(forms.Form):
    """One platform's part of the page: which button was pressed, and what was typed."""

    platform = forms.CharField(max_length=20)
    action = forms.ChoiceField(choices=[(one, one) for one in ("save", "prove", "check", "operators", "continue")])
    value = forms.CharField(required=False, strip=False, max_length=4 * LONGEST_KEY)
    code = forms.CharField(required=False, max_length=100)
