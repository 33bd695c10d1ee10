"""What a stack says about a domain's records: which should be there, and which of them a student may have changed.

`provisioning/seeing.py` looks at them, `provisioning/life.py` begins the runs that change them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise

from infra.dns.dmarc import Rung
from infra.dns.names import absolute
from infra.dns.records import BadRecord, Record, purpose, record
from integrations.registry import Clients

from .options import Options

POLICY, FLATTEN, RESTORE = "policy", "flatten", "restore"  # names of the pipelines that change records


@dataclass(frozen=True, slots=True)
class Zone:
    """A domain, as a stack is asked about it: its facts, and the order as it was frozen."""

    name: str
    facts: Mapping[str, Any]
    order: Mapping[str, Any]
    options: Options
    clients: Clients


@dataclass(frozen=True, slots=True)
class Expected:
    """A record that should be there. `kind` is a key of the pages' words: mx, spf, dkim, dmarc, google, tracking, other."""

    kind: str
    record: Record


@dataclass(frozen=True, slots=True)
class Zoning:
    """How a stack's records are known and changed.

    expected    Zone -> what should be there, as far as it is known by now
    rungs       the steps of the DMARC ladder that can be set; none where the stack has no pipeline for it
    no_policy   why a student cannot change the policy here
    no_flatten  the same for SPF
    is_written_by_us  we write the records, into a zone that others may change too: looked at daily while a set-up runs
    """

    expected: Callable[[Zone], Sequence[Expected]]
    rungs: tuple[Rung, ...] = ()
    no_policy: str | Promise = ""
    no_flatten: str | Promise = ""
    is_written_by_us: bool = False


def listed(zone: Zone) -> list[Expected]:
    """Return what a platform lists of a domain whose records it makes, as it was read last."""
    found = list[Expected]()
    for kind, host, value, priority in zone.facts.get("dns_records") or ():
        try:
            one = record(str(kind), absolute(str(host), zone.name), str(value), priority)
        except (BadRecord, ValueError):  # of a type that mail does not need
            continue
        found.append(Expected((purpose(one) or "other").lower(), one))
    return found
