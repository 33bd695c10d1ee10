"""Reading requests defensively: whatever arrives, the answer is a refusal and never a crash."""

from __future__ import annotations

from typing import Any

from .http import Request

MOST = 2**53


class Refusal(Exception):
    """The platform says no. Each module words it in its own error form."""

    def __init__(self, status: int, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.field = status, sentence, field


def read_object(request: Request, status: int = 400) -> dict[str, Any]:
    """Return the body as a JSON object. Raises Refusal."""
    try:
        document = request.json()
    except (ValueError, RecursionError) as error:
        raise Refusal(status, "Body is not valid JSON") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise Refusal(status, "Body must be an object")
    return document


def text(document: dict[str, Any], name: str, *, status: int = 400, optional: bool = False) -> str:
    """Return a text member. Raises Refusal when it is missing, empty or no text."""
    value = document.get(name)
    if value in (None, "") and optional:
        return ""
    if not isinstance(value, str) or not value.strip():
        raise Refusal(status, f"{name} is required", name)
    return value


def whole(document: dict[str, Any], name: str, default: int | None = None, *, low: int = 0, status: int = 400) -> int:
    """Return a whole number, also from its text (queries are texts). Raises Refusal."""
    value = document.get(name, default)
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= MOST:
        raise Refusal(status, f"{name} must be a number from {low}", name)
    return value


def texts(document: dict[str, Any], name: str, *, status: int = 400, optional: bool = False) -> list[str]:
    """Return a list of texts. Raises Refusal; an optional one may be missing, but not null."""
    if optional and name not in document:
        return []
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refusal(status, f"{name} must be an array of strings", name)
    return value


def objects(document: dict[str, Any], name: str, *, status: int = 400) -> list[dict[str, Any]]:
    """Return a list of objects. Raises Refusal."""
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refusal(status, f"{name} must be an array of objects", name)
    return value


def peek(request: Request) -> dict[str, Any]:
    """Return the body if it is an object, otherwise an empty one: for logs, never for work."""
    try:
        document = request.json()
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
