"""All rules over one domain at once: run over name servers when somebody looks, and over the kept answers when a page is
drawn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from . import compliance, dkim, dmarc, mx, tls
from .findings import Finding
from .resolver import Resolver
from .spf.flatten import CannotFlatten, Flattening, Refresh, flatten, refresh
from .spf.tree import Tree, grow


@dataclass(frozen=True, slots=True)
class Survey:
    """What stands at a domain, judged. `keys` are those at the selectors that are known."""

    domain: str
    spf: Tree
    dmarc: dmarc.Found
    keys: tuple[dkim.Found, ...]
    mx: mx.Found
    tls: tls.Found
    proofs: Mapping[str, compliance.Proof] = field(default_factory=dict)

    @property
    def facts(self) -> compliance.Facts:
        """What senders' rules are judged by."""
        return compliance.Facts(self.domain, self.spf, (), self.keys, self.dmarc, self.proofs)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong with the records of mail, or worth a word; advice about TLS apart."""
        keys = (one for key in self.keys for one in key.findings)
        return (*self.mx.findings, *self.spf.findings, *keys, *self.dmarc.findings)

    def as_json(self) -> dict[str, Any]:
        return compliance.report(self.facts)


def survey(domain: str, resolver: Resolver, selectors: Sequence[str] = ()) -> Survey:
    """Look at everything that mail needs of a domain. Raises BadName."""
    return Survey(
        domain,
        grow(domain, resolver),
        dmarc.look_at(domain, resolver),
        tuple(dkim.look_at(one, domain, resolver) for one in selectors),
        mx.look_at(domain, resolver),
        tls.look_at(domain, resolver),
    )


def ask_everything(
    domain: str, resolver: Resolver, selectors: Sequence[str], last: Flattening | None = None
) -> Refresh | None:
    """Ask whatever a page may judge later, for a resolver that keeps the answers: also what flattening would lead to.

    last  a flattening that is in use: its sources are compared with what they say now, and that is returned
    """
    found = survey(domain, resolver, selectors)
    with suppress(CannotFlatten):
        flatten(domain, found.spf.root.text, resolver)
    return refresh(last, resolver) if last else None
