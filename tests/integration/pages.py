"""Small things for tests of pages: who is signed in, what the registry said, what a page says."""

from __future__ import annotations

import html
import re
from typing import Any

from django.test import Client

from infra import clock
from infra.models import NameAnswer, NameCheck, Provision, Tier, User
from tests.integration.world import starter

PASSWORD = "correct horse battery"


def student(email: str = "ada@students.example", **fields: Any) -> User:
    """Make an enrolled student who can sign in."""
    values: dict[str, Any] = {"first_name": "Ada", "last_name": "Keen", "is_enrolled": True}
    return User.objects.create_user(email, PASSWORD, **values | fields)


def signed_in(person: User) -> Client:
    """Return a browser in which `person` is signed in."""
    client = Client()
    client.force_login(person)
    return client


def tier(**fields: Any) -> Tier:
    """Return the Starter package, with changes."""
    found = starter()
    for name, value in fields.items():
        setattr(found, name, value)
    found.save()
    return found


def answered(
    *names: str, answer: NameAnswer = NameAnswer.AVAILABLE, price: int = 1299, renewal: int = 1499, age: float = 0
) -> None:
    """Let the registry have answered for `names`, `age` seconds of vendor time ago."""
    for name in names:
        values = {
            "answer": answer,
            "price_cents": price,
            "renewal_cents": renewal,
            "checked_at": clock.later(clock.vendor_now(), -age),
            "wanted_at": None,
        }
        NameCheck.objects.update_or_create(platform="zapmail", name=name, defaults=values)


def at_domains(person: User, *, brand: str = "Acme") -> Provision:
    """Make a draft that stands on the second page, with a brand."""
    return Provision.objects.create(
        student=person,
        tier=tier(),
        brand=brand,
        names_shown=20,
        sender_first_name=person.first_name,
        sender_last_name=person.last_name,
    )


def text(response: Any) -> str:
    """Return what a page says, without its tags."""
    body = response.content.decode()
    body = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", body, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def ticked(response: Any) -> set[str]:
    """Return the names that are ticked on the page."""
    boxes = re.findall(r'<input class="choice__box"[^>]*>', response.content.decode())
    return {m[1] for box in boxes if " checked" in box and (m := re.search(r'value="([^"]+)"', box))}
