"""The operator's pages of the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .http import Request, Response, text_response

if TYPE_CHECKING:
    from .core import Sandbox


def handle(sandbox: Sandbox, request: Request) -> Response:
    return text_response("Not found", 404)
