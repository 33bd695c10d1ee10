""" "Your first week": what a student does while the mailboxes warm up, and what is ticked. Kept in our rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from infra.models import Provision, TaskDone
from provisioning.engine.specs import StackSpec
from provisioning.stacks import STACKS

from .presenters import Login


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the first week. `href` leads to where it is done; `can_undo` is false for what we know ourselves."""

    key: str
    title: str
    text: str
    done: bool
    can_undo: bool
    href: str
    link_label: str


@dataclass(frozen=True, slots=True)
class _Kind:
    key: str
    title: str | Promise
    text: str | Promise
    setting: str = ""
    anchor: str = ""
    link_label: str | Promise = ""


KINDS = (
    _Kind(
        "password",
        _("Save the password of your sending tool"),
        _("It is shown once. Keep it in your password manager."),
        anchor="#logins",
        link_label=_("To the login"),
    ),
    _Kind(
        "sign_in",
        _("Sign in to the sending tool"),
        _("Look around, and write the signature that your mails will carry."),
        setting="SENDING_TOOL_URL",
        link_label=_("Open the sending tool"),
    ),
    _Kind(
        "calendar",
        _("Put the warmup plan into your calendar"),
        _("It moves by itself when the warmup does."),
        anchor="#plan",
        link_label=_("To the plan"),
    ),
    _Kind(
        "leads",
        _("Fill your lead list"),
        _("People whom you would like to talk to, and why you of all people."),
        setting="LEAD_TOOL_URL",
        link_label=_("Open the lead list"),
    ),
    _Kind(
        "campaign",
        _("Write your first campaign, and do not start it"),
        _("Start it when this page says that your mailboxes are ready to send."),
    ),
    _Kind(
        "look",
        _("Look at your mailboxes' health after a week"),
        _("We write to you when one stays below 90 %, and when it is good again."),
        anchor="#mailboxes",
        link_label=_("To the mailboxes"),
    ),
)
KEYS = tuple(kind.key for kind in KINDS)


def first_week(provision: Provision, logins: Sequence[Login]) -> list[Task]:
    """Return the tasks that the order's stack gives, with their ticks; a password that was shown is ticked by that."""
    ticked = set(TaskDone.objects.filter(provision=provision).values_list("task", flat=True))
    was_shown = bool(logins) and not any(login.can_reveal for login in logins)
    stack = STACKS.get(str(provision.order.get("stack", "")))
    left_out = set()
    if stack and not stack.stores_login:
        left_out.add("password")
    if stack and not stack.pitch.has_lead_list:
        left_out.add("leads")
    return [_task(kind, ticked, was_shown, stack) for kind in KINDS if kind.key not in left_out]


def _task(kind: _Kind, ticked: set[str], was_shown: bool, stack: StackSpec | None) -> Task:
    known = kind.key == "password" and was_shown
    setting = stack.pitch.sending_tool if stack and kind.key == "sign_in" else kind.setting
    href = str(getattr(settings, setting, "")) if setting else kind.anchor
    return Task(
        key=kind.key,
        title=str(kind.title),
        text=str(kind.text),
        done=known or kind.key in ticked,
        can_undo=not known,
        href=href,
        link_label=str(kind.link_label),
    )


def tick(provision: Provision, key: str, *, done: bool) -> None:
    """Tick a task, or take the tick away. Twice is once."""
    if done:
        row = TaskDone(provision=provision, student_id=provision.student_id, task=key)
        TaskDone.objects.bulk_create([row], ignore_conflicts=True)
    else:
        TaskDone.objects.filter(provision=provision, task=key).delete()
