"""Chance that does not depend on the order of calls: same seed and same key, same result."""

from __future__ import annotations

import hashlib


def fraction(seed: int, *key: object) -> float:
    """Return a number in [0, 1) that depends on `seed` and `key` only."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *key))).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def hexadecimal(length: int, seed: int, *key: object) -> str:
    """Return `length` (at most 64) hexadecimal digits that depend on `seed` and `key` only."""
    return hashlib.sha256("\x1f".join(map(str, ("hex", seed, *key))).encode()).hexdigest()[:length]
