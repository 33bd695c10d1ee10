"""HeyReach, simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .http import Request, Response, json_response
from .platforms import Platform, Router

if TYPE_CHECKING:
    from .world import World


@dataclass
class HeyReachState:
    """What the platform holds."""


def handle(world: World, request: Request, now: float) -> Response:
    return json_response({}, 404)


def workspaces_of_login(world: World, email: str, password: str) -> list[str] | None:
    return None


PLATFORM = Platform("heyreach", "/heyreach/api/public", handle, Router(()).verb_of)
