"""Chance that does not depend on the order of calls: same seed and same key, same result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

_alike: Callable[[str], str] = str


def treat_alike(alike: Callable[[str], str]) -> None:
    """Let chance not tell apart what `alike` turns into the same text: for tests, in which each run has names of its
    own and still has to go as the one before."""
    global _alike
    _alike = alike


def fraction(seed: int, *key: object) -> float:
    """Return a number in [0, 1) that depends on `seed` and `key` only."""
    digest = hashlib.sha256(_text(seed, *key).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def hexadecimal(length: int, seed: int, *key: object) -> str:
    """Return `length` (at most 64) hexadecimal digits that depend on `seed` and `key` only."""
    return hashlib.sha256(_text("hex", seed, *key).encode()).hexdigest()[:length]


def _text(*key: object) -> str:
    return "\x1f".join(_alike(str(part)) for part in key)
