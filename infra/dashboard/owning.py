"""What the owner of a domain is asked to do at its registrar: for the progress page and the letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from infra.clock import vendor_now
from infra.dns.names import display
from infra.models import Domain
from infra.presenters_base import ago, listed

# By the ending of the servers that a registrar gives to names of its own.
REGISTRARS = (
    ("domaincontrol.com", "GoDaddy"),
    ("registrar-servers.com", "Namecheap"),
    ("porkbun.com", "Porkbun"),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Which servers a domain shall lead to, where it leads, and how its owner changes that.

    servers  those that are expected, exactly
    seen     in words, where the servers above it say that it leads
    """

    name: str
    servers: list[str]
    seen: str
    checked: str
    registrar: str
    how: list[str]


def ask_of(domain: Domain) -> Ask:
    """Return what the owner of a domain is asked."""
    seen = [str(one) for one in domain.facts.get("nameservers_seen", ())]
    looked = parse_datetime(str(domain.facts.get("nameservers_seen_at") or ""))
    registrar = _registrar(seen)
    return Ask(
        name=display(domain.name),
        servers=[str(one) for one in domain.facts.get("nameservers", ())],
        seen=listed(seen) if seen else _("nothing yet"),
        checked=ago(looked, now=vendor_now()) if looked else _("not yet"),
        registrar=registrar or _("your registrar"),
        how=_how(registrar),
    )


def _registrar(servers: Sequence[str]) -> str:
    found = {title for ending, title in REGISTRARS for host in servers if host.endswith(f".{ending}")}
    return found.pop() if len(found) == 1 else ""


def _how(registrar: str) -> list[str]:
    last = _("Remove every name server that is there, put in the ones above, all of them, and save.")
    steps = {
        "GoDaddy": [
            _("Sign in at GoDaddy, open “My Products” and then the domain."),
            _("Open “DNS”, then “Nameservers”, then “Change Nameservers”."),
            _("Choose “I'll use my own nameservers”."),
        ],
        "Namecheap": [
            _("Sign in at Namecheap, open “Domain List” and press “Manage” beside the domain."),
            _("Under “Nameservers” choose “Custom DNS”."),
        ],
        "Porkbun": [
            _("Sign in at Porkbun, open “Domain Management” and the details of the domain."),
            _("Press the pencil beside “Authoritative Nameservers”."),
        ],
    }
    other = [_("Sign in where you pay for the domain, and open its name servers (often under “DNS”).")]
    return [*steps.get(registrar, other), last]
