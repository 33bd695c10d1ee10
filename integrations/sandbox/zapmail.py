"""Zapmail, simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .http import Request, Response, json_response
from .platforms import Platform, Router

if TYPE_CHECKING:
    from .world import World


def handle(world: World, request: Request, now: float) -> Response:
    return json_response({}, 404)


PLATFORM = Platform("zapmail", "/zapmail/api", handle, Router(()).verb_of)
