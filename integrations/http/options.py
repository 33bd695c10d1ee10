"""Reading a client's settings from a plain mapping such as the environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .errors import NotConfigured
from .redact import Hidden


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one platform. Every method raises NotConfigured, naming the setting and never its value."""

    platform: str
    values: Mapping[str, object] = field(repr=False)

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        value = value.open() if isinstance(value, Hidden) else value
        return default if value is None or not str(value).strip() else str(value).strip()

    def needed(self, name: str) -> str:
        """Return a setting that has no default."""
        return self.text(name) or self._refuse(f"{name} is not set")

    def secret(self, name: str) -> Hidden:
        """Return a credential. It is remembered for redaction for as long as the process lives, unless it comes Hidden."""
        value = self.values.get(name)
        key = value.open() if isinstance(value, Hidden) else self.needed(name)
        # A line break pasted along with a key would end up in an exception about an invalid header, key included.
        if not key.isascii() or not key.isprintable():
            self._refuse(f"{name} holds characters that no key has")
        return value if isinstance(value, Hidden) else Hidden(key, pinned=True)

    def address(self, name: str, default: str) -> str:
        """Return a base URL without trailing slash."""
        url = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment or parts.username is not None:
            self._refuse(f"{name} is not an http address without query and credentials")
        return url

    def flag(self, name: str, default: bool) -> bool:
        word = self.text(name, str(default)).casefold()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off"):
            return False
        return bool(self._refuse(f"{name} is neither yes nor no"))

    def seconds(self, name: str, default: float) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < 0:
            self._refuse(f"{name} is not a number of seconds")
        return value

    def whole(self, name: str, default: int, *, least: int = 0) -> int:
        try:
            value = int(self.text(name, str(default)))
        except ValueError:
            value = least - 1
        if value < least:
            self._refuse(f"{name} is not a whole number of at least {least}")
        return value

    def words(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a comma-separated list."""
        listed = tuple(word.strip() for word in self.text(name).split(",") if word.strip())
        return listed or default

    def _refuse(self, sentence: str) -> str:
        raise NotConfigured(sentence, platform=self.platform)
