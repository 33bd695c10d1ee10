"""One form per page of the wizard. They judge; `drafts` writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from infra import naming, people, suggestions
from infra.models import Provision, Tier
from infra.presenters_base import Problem, said
from infra.suggestions import BRAND_LIMIT

from . import drafts, files, own, people_file, registering
from .people_file import Typed

if TYPE_CHECKING:
    ProvisionForm = forms.ModelForm[Provision]
else:
    ProvisionForm = forms.ModelForm  # generic for the type checker only

ROWS = 6  # of the people's grid at first; more on request
TEXT = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


def problems(form: forms.BaseForm) -> Iterator[Problem]:
    """Yield the error summary's entries: each with the anchor of its field."""
    for name, errors in form.errors.items():
        anchor = f"#{form[name].id_for_label}" if name in form.fields else ""
        if name in getattr(form, "anchors", {}):
            anchor = form.anchors[name]  # type: ignore[attr-defined]
        for error in errors:
            yield Problem(str(error), anchor)


class PackageForm(ProvisionForm):
    """Which package. The cards' buttons carry its slug."""

    tier = forms.ModelChoiceField(
        queryset=Tier.objects.none(),
        to_field_name="slug",
        error_messages={
            "required": gettext_lazy("Choose one of the packages."),
            "invalid_choice": gettext_lazy("That package is no longer offered. Choose another one."),
        },
    )
    anchors = {"tier": "#packages"}

    class Meta:
        model = Provision
        fields = ("tier",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tier"].queryset = drafts.offered_tiers()  # type: ignore[attr-defined]


class DomainsForm(ProvisionForm):
    """Brand, a name typed by hand, and the choice among the names on the page."""

    wanted = forms.CharField(
        label=gettext_lazy("Or check a name of your own"),
        help_text=gettext_lazy("For example getacme.com. A pasted address works too."),
        required=False,
        max_length=400,
        widget=forms.TextInput(attrs=TEXT | {"inputmode": "url"}),
    )

    own = forms.CharField(
        label=gettext_lazy("Domains that you own already"),
        help_text=gettext_lazy(
            "One per line. You change their name servers after you have paid, and keep paying your registrar. E-mail that"
            " you receive at such a domain today stops then, and so does its website: use one that nothing else needs."
        ),
        required=False,
        max_length=files.MOST_BYTES,
        widget=forms.Textarea(attrs=TEXT | {"rows": 3}),
    )
    own_file = forms.FileField(
        label=gettext_lazy("Or from a file"),
        help_text=gettext_lazy(
            "Text or CSV with one domain per line, or with a column called “domain”: at most 50 domains and 64 KB. They join"
            " those in the field above."
        ),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
    )

    class Meta:
        model = Provision
        fields = ("brand", "main_domain")
        labels = {
            "brand": gettext_lazy("Brand name"),
            "main_domain": gettext_lazy("Your main website (optional)"),
        }
        help_texts = {
            "brand": gettext_lazy("The name that your recipients should recognise."),
            "main_domain": gettext_lazy("Only to warn you before you put its reputation at risk."),
        }

    def __init__(self, *args: Any, answers: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answers = answers or {}
        self.fields["brand"] = forms.CharField(
            label=self.fields["brand"].label,
            help_text=self.fields["brand"].help_text,
            required=False,
            widget=forms.TextInput(attrs={"autocomplete": "organization", "maxlength": BRAND_LIMIT}),
        )
        # Judged by `suggestions`, whose sentences say more than "at most 80 characters".
        self.fields["main_domain"].widget.attrs |= TEXT | {"inputmode": "url"}
        registered = registering.agreed(self.instance)
        self.fields["own"].initial = "\n".join(
            one.name for one in drafts.own(self.instance) if one.name not in registered
        )
        if not drafts.takes_own(self.instance):
            del self.fields["own"], self.fields["own_file"]

    def clean_own(self) -> list[str]:
        """Return the student's own domains, canonical."""
        return own.parse(self.cleaned_data["own"], self.instance)

    def clean_own_file(self) -> list[str]:
        """Return the domains of the file, canonical. Whatever becomes of them, its lines stand in the field from now on."""
        file = self.cleaned_data["own_file"]
        if file is None:
            return []
        lines = own.read(file.read(files.MOST_BYTES + 1))
        data = QueryDict(mutable=True)
        data.update(self.data)
        typed = str(data.get("own", "")).splitlines()
        data["own"] = "\n".join(
            dict.fromkeys([*(line for line in typed if line.strip()), *(line.text for line in lines)])
        )
        self.data = data
        return own.parse_lines(lines, self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["own"] = list(dict.fromkeys([*cleaned.get("own", []), *cleaned.get("own_file", [])]))
        if sentence := own.too_many(len(cleaned["own"])):
            self.add_error("own", sentence)
        return cleaned

    def clean_brand(self) -> str:
        """Refuse a brand that the row could not hold; the rest is judged where it is used."""
        brand = str(self.cleaned_data["brand"]).strip()
        if len(brand) > BRAND_LIMIT:
            try:
                suggestions.clean_brand(brand)
            except suggestions.BrandRefused as refusal:
                raise ValidationError(said(refusal.sentence)) from refusal
        return brand

    def refuse(self, field: str, sentence: str) -> None:
        """Add an error from outside: to a field, or to the names as a whole."""
        self.add_error(field if field in self.fields else None, ValidationError(sentence))

    def picked(self) -> tuple[list[str], list[str]]:
        """Return the ticked names and the ranked spares as sent, canonical, without what cannot be read."""
        sold = drafts.sold_endings(self.instance)
        chosen = _readable(self.data.getlist("chosen"), sold)[:50] if hasattr(self.data, "getlist") else []
        ranked = [self.data.get(f"spare_{place}", "") for place in range(1, drafts.MAX_SPARES + 1)]
        return chosen, _readable(ranked, sold)


def _readable(names: Collection[str], sold: Collection[str]) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(naming.parse_domain(name, sold=sold).name)
        except naming.NameRefused:
            continue  # an empty choice, or a value that no page of ours offered
    return list(dict.fromkeys(found))


class MailboxesForm(ProvisionForm):
    """The sender's name and one field per pattern that the fullest domain needs."""

    class Meta:
        model = Provision
        fields = ("sender_first_name", "sender_last_name")
        labels = {
            "sender_first_name": gettext_lazy("First name"),
            "sender_last_name": gettext_lazy("Last name"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.needed = drafts.patterns_needed(self.instance)
        for name in ("sender_first_name", "sender_last_name"):
            self.fields[name] = forms.CharField(
                label=self.fields[name].label,
                required=False,
                widget=forms.TextInput(
                    attrs={"autocomplete": "given-name" if name == "sender_first_name" else "family-name"}
                ),
            )
        for place in range(1, self.needed + 1):
            self.fields[f"pattern_{place}"] = forms.CharField(
                label=_("Name %(number)s") % {"number": place},
                required=False,
                initial=self._initial_pattern(place),
                widget=forms.TextInput(attrs=TEXT),
            )

    def _initial_pattern(self, place: int) -> str:
        kept = self.instance.mailbox_patterns
        return kept[place - 1] if len(kept) >= place else starting_pattern(self.instance, place, kept)

    @property
    def pattern_fields(self) -> list[forms.BoundField]:
        return [self[f"pattern_{place}"] for place in range(1, self.needed + 1)]

    @property
    def patterns(self) -> list[str]:
        """The patterns as they stand in the form: sent ones when it was sent, else the initial ones."""
        return [str(field.value() or "") for field in self.pattern_fields]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("sender_first_name", "sender_last_name"):
            try:
                cleaned[name] = naming.parse_person_name(cleaned.get(name) or "")
            except naming.UsernameRefused as refusal:
                self.add_error(name, said(refusal.sentence))
        verdicts = naming.judge_patterns(self.patterns)
        for place, verdict in enumerate(verdicts, start=1):
            if verdict.reason:
                self.add_error(f"pattern_{place}", said(verdict.reason))
        cleaned["patterns"] = [verdict.username for verdict in verdicts]
        return cleaned


def starting_pattern(draft: Provision, place: int, taken: Collection[str] = ()) -> str:
    """Return a usable pattern made of the sender's name, or nothing: `tim`, `tim.keen`, `t.keen`, ..."""
    first, last = (naming.fold(name.strip()) for name in (draft.sender_first_name, draft.sender_last_name))
    guesses = [first, f"{first}.{last}", f"{first[:1]}.{last}", f"{first}.{last[:1]}", f"{first}-{last}"]
    good = [verdict.username for verdict in naming.judge_patterns(guesses) if verdict.username]
    free = [guess for guess in good if guess not in taken]
    index = place - 1 - len(taken)
    return free[index] if 0 <= index < len(free) else ""


class PeopleForm(forms.Form):
    """The people who write, a row for each: first name, last name, daily limit. Empty rows are nobody.

    A file takes the place of what was typed, and its lines stand in the rows from then on; a file that is none leaves them.
    """

    file = forms.FileField(
        label=gettext_lazy("Or from a file"),
        help_text=gettext_lazy(
            "CSV with the columns first_name, last_name and daily_limit, 64 KB at most. Its lines take the place of the"
            " rows above."
        ),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    anchors = {NON_FIELD_ERRORS: "#people-rows"}

    def __init__(self, request: HttpRequest, draft: Provision, *, is_sent: bool, more: bool = False) -> None:
        self.draft, self.most = draft, drafts.most_a_day(draft)
        self.problem: ValidationError | None = None
        self.rows = [Typed(one.first_name, one.last_name, str(one.daily_limit or "")) for one in drafts.named(draft)]
        sent = 0  # rows of the page that was sent, empty ones too
        if request.method == "POST":
            self.rows = _typed_rows(request.POST)
            sent = sum(f"{people.FIRST}_{place}" in request.POST for place in range(1, people.MOST + 1))
            if file := request.FILES.get("file"):
                try:
                    self.rows = people_file.read(file.read(files.MOST_BYTES + 1))
                except ValidationError as error:
                    self.problem = error
        values = {
            f"{name}_{place}": getattr(row, name)
            for place, row in enumerate(self.rows, start=1)
            for name in people.FIELDS
        }
        super().__init__(values if is_sent else None, initial=values)
        room = drafts.size(draft).mailboxes
        wanted = max(len(self.rows), sent + (ROWS if more else 0), ROWS)
        self.shown = min(wanted, max(room, len(self.rows)), people.MOST)
        for place in range(1, self.shown + 1):
            self._add_row(place)

    def _add_row(self, place: int) -> None:
        words = {
            people.FIRST: (_("First name"), {}),
            people.LAST: (_("Last name"), {}),
            people.LIMIT: (_("Mails a day"), {"inputmode": "numeric", "placeholder": str(self.most)}),
        }
        for name, (label, attrs) in words.items():
            self.fields[f"{name}_{place}"] = forms.CharField(
                label=label, required=False, widget=forms.TextInput(attrs={"autocomplete": "off", **attrs})
            )

    @property
    def grid(self) -> list[tuple[int, list[forms.BoundField]]]:
        """The rows: each with its number and its fields."""
        return [(place, [self[f"{name}_{place}"] for name in people.FIELDS]) for place in range(1, self.shown + 1)]

    @property
    def has_more(self) -> bool:
        return self.shown < min(drafts.size(self.draft).mailboxes, people.MOST)

    def clean_file(self) -> None:
        """Refuse a file that is none."""
        if self.problem is not None:
            raise self.problem

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        named, wrong = judged(self.rows, self.most)
        for place, name, sentence in wrong:
            self.add_error(f"{name}_{place}", sentence)
        if not wrong and self.problem is None:
            domains, boxes = len(drafts.chosen(self.draft)), drafts.size(self.draft).mailboxes
            if problem := people.count_problem(len(named), domains, boxes):
                self.add_error(None, said(problem))
        return cleaned | {"named": named}


def judged(rows: Sequence[Typed], most: int) -> tuple[list[people.Person], list[tuple[int, str, str]]]:
    """Return the people of the rows, and of those that name nobody: the row's number, the field and what is wrong."""
    named, wrong = [], []
    for place, row in enumerate(rows, start=1):
        if row.is_blank:
            continue
        try:
            named.append(people.parse(row.first_name, row.last_name, row.daily_limit, most=most))
        except people.PersonRefused as refusal:
            for name, sentence in refusal.problems.items():
                words = said(sentence)
                told = files.at_line(row.line, words) if row.line else _person_at(place, words)
                wrong.append((place, name, told))
    return named, wrong


def _person_at(place: int, sentence: str) -> str:
    return _("Person %(number)s: %(sentence)s") % {"number": place, "sentence": sentence}


def _typed_rows(data: Mapping[str, str]) -> list[Typed]:
    """Return the rows that were sent, up to the last that says anything."""
    rows = []
    for place in range(1, people.MOST + 1):
        first, last, limit = (str(data.get(f"{name}_{place}", "")) for name in people.FIELDS)
        rows.append(Typed(first, last, limit))
    while rows and rows[-1].is_blank:
        rows.pop()
    return rows


class ReviewForm(ProvisionForm):
    """What the page showed when "Pay" was pressed: a price that has changed since is shown again, never charged."""

    total = forms.IntegerField(widget=forms.HiddenInput, required=False)
    monthly = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Provision
        fields = ()

    def __init__(self, *args: Any, due: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.due = due  # cents today, and then each month

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (cleaned.get("total"), cleaned.get("monthly")) != self.due:
            raise ValidationError(_("The price of this package has changed. Please look at it again before you pay."))
        return cleaned


def count_problem(picked: int, held: drafts.Size) -> str:
    """Return what is wrong with the number of ticked names, or nothing."""
    if held.fewest <= picked <= held.most:
        return ""
    wanted = (
        ngettext("Choose %(n)s domain", "Choose %(n)s domains", held.most) % {"n": held.most}
        if held.fewest == held.most
        else _("Choose %(low)s to %(high)s domains") % {"low": held.fewest, "high": held.most}
    )
    have = ngettext("%(n)s is ticked", "%(n)s are ticked", picked) % {"n": picked}
    return f"{wanted}; {have}."
