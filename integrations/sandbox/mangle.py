"""Faults after the work: it is done, and the answer is lost, late or nonsense."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .faults import Fault
from .http import Response, Wire

HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"
ID_NAMES = frozenset({"id", "_id", "client_id", "clientId", "export_id", "exportId", "emailAccountId"})
WORD_NAMES = frozenset({"status", "warmup_status", "provider", "serviceProvider", "listType", "appName"})
ODD_WORD = "PENDING_REVIEW"


def after_the_work(fault: Fault, response: Response, failure: Response) -> Response:
    """Return what the client sees of `response`; `failure` is the platform's own wording of an error."""
    match fault.kind:
        case "timeout_after":
            return replace(response, wire=Wire.SILENT)
        case "reset_after":
            return replace(response, wire=Wire.RESET)
        case "status_after":
            return failure
        case "empty_body":
            return replace(response, body=b"")
        case "truncated_body":
            return replace(response, body=response.body[: len(response.body) // 2], wire=Wire.TRUNCATED)
        case "html_body":
            return replace(response, headers={"content-type": "text/html"}, body=HTML)
        case "garbage_body":
            return replace(response, body=b"\x00\xff{]" + response.body[:3])
        case "wrong_type":
            return replace(response, body=json.dumps(_wrong_types(_document(response))).encode())
        case "null_id":
            return replace(response, body=json.dumps(_null_ids(_document(response))).encode())
        case "unknown_word":
            odd = _odd_words(_document(response), fault.value or ODD_WORD)
            return replace(response, body=json.dumps(odd).encode())
        case "slow_body":
            return replace(response, delay=fault.seconds)
        case _:  # huge_body
            return replace(response, body=response.body + b" " * (fault.amount or 2_000_000))


def _document(response: Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return {}


def _wrong_types(document: Any) -> Any:
    """Texts where objects, lists, numbers and ids belong, lists where texts do; a list for what is not an object."""
    if isinstance(document, dict):
        return {name: _of_another_kind(name, value) for name, value in document.items()}
    return ["unexpected"]


def _of_another_kind(name: str, value: Any) -> Any:
    if value is None:
        return None
    return ["unexpected"] if isinstance(value, str) and name not in ID_NAMES else "unexpected"


def _odd_words(document: Any, word: str) -> Any:
    """A word nobody has documented wherever a status or a kind is named."""
    if isinstance(document, dict):
        return {
            name: word if name in WORD_NAMES and isinstance(value, str) else _odd_words(value, word)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [_odd_words(item, word) for item in document]
    return document


def _null_ids(document: Any) -> Any:
    if isinstance(document, dict):
        return {k: None if k in ID_NAMES else _null_ids(v) for k, v in document.items()}
    if isinstance(document, list):
        return [_null_ids(item) for item in document]
    return document
