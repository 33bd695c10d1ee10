"""Named places at which a test may stop the world. In production each is one comparison with None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Hook = Callable[[str, Any], None]

_hook: Hook | None = None


def failpoint(name: str, subject: Any = None) -> None:
    """Let a test act here. `subject` is the call or operation under way."""
    if _hook is not None:
        _hook(name, subject)


def set_hook(hook: Hook | None) -> None:
    """Install the test's hook, or remove it."""
    global _hook
    _hook = hook
