"""pyspf as the judge of SPF, asking the tables of a test instead of the network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from infra.dns.names import BadName
from infra.dns.records import Type, chunks
from infra.dns.resolver import Resolver

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its source has escapes that Python no longer likes
    import spf


class Judge:
    """Asks pyspf, within a test."""

    def __init__(self, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resolver = resolver
        monkeypatch.setattr(spf, "DNSLookup", self._look_up)

    def result(self, address: str, sender: str, helo: str = "mail.sender.example") -> tuple[str, int]:
        """Return the result and how many look-ups it took."""
        query = spf.query(i=address, s=sender, h=helo)
        result, _code, _explanation = query.check()
        return result, query.lookups

    def _look_up(self, name: str, kind: str, *_arguments: Any, **_options: Any) -> Iterator[Any]:
        if kind not in Type.__members__:
            return
        try:
            answer = self.resolver.query(name, Type(kind))
        except BadName:
            return
        if not answer.says:
            raise spf.TempError(answer.why)
        for one in answer.records:
            value: Any = one.value
            if kind == "TXT":
                value = chunks(one.value)
            elif kind == "MX":
                value = (one.priority, one.value)
            yield ((name, kind), value)
