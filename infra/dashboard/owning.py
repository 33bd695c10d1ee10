"""What the owner of a domain is asked to do at its registrar: for the progress page and the letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from infra.clock import vendor_now
from infra.dns.names import display
from infra.models import Domain
from infra.presenters_base import Fact, ago, listed
from provisioning.steps import owning

# By the ending of the servers that a registrar gives to names of its own.
REGISTRARS = (
    ("domaincontrol.com", "GoDaddy"),
    ("registrar-servers.com", "Namecheap"),
    ("porkbun.com", "Porkbun"),
)
# How one comes to the name servers of a domain at each of them.
WAYS: Mapping[str, tuple[str | Promise, ...]] = {
    "GoDaddy": (
        gettext_lazy("Sign in at GoDaddy, open “My Products” and then the domain."),
        gettext_lazy("Open “DNS”, then “Nameservers”, then “Change Nameservers”."),
        gettext_lazy("Choose “I'll use my own nameservers”."),
    ),
    "Namecheap": (
        gettext_lazy("Sign in at Namecheap, open “Domain List” and press “Manage” beside the domain."),
        gettext_lazy("Under “Nameservers” choose “Custom DNS”."),
    ),
    "Porkbun": (
        gettext_lazy("Sign in at Porkbun, open “Domain Management” and the details of the domain."),
        gettext_lazy("Press the pencil beside “Authoritative Nameservers”."),
    ),
}
OTHER_WAY = (gettext_lazy("Sign in where you pay for the domain, and open its name servers (often under “DNS”)."),)


@dataclass(frozen=True, slots=True)
class Ask:
    """Which servers a domain shall lead to, where it leads, and how its owner changes that.

    servers  those that are expected, exactly
    seen     in words, where the servers above it say that it leads
    stops    what lies at the domain before and stops then, and the sentence about it; empty where nothing does
    must_say whether its owner has still to say that this may stop, before the servers are named
    """

    name: str
    servers: list[str]
    seen: str
    checked: str
    registrar: str
    how: list[str]
    stops: list[Fact]
    stops_text: str
    must_say: bool


def ask_of(domain: Domain) -> Ask:
    """Return what the owner of a domain is asked."""
    seen = [str(one) for one in domain.facts.get("nameservers_seen", ())]
    looked = parse_datetime(str(domain.facts.get("nameservers_seen_at") or ""))
    registrar = _registrar(seen)
    return Ask(
        name=display(domain.name),
        servers=owning.named(domain.facts),
        seen=listed(seen) if seen else _("nothing yet"),
        checked=ago(looked, now=vendor_now()) if looked else _("not yet"),
        registrar=registrar or _("your registrar"),
        how=_how(registrar),
        stops=_stops(domain),
        stops_text=_stops_text(domain) if owning.has_something_to_stop(domain.facts) else "",
        must_say=owning.must_say(domain.facts),
    )


def _rows(domain: Domain) -> list[Mapping[str, Any]]:
    return [row for row in domain.facts.get("records_before") or () if isinstance(row, dict)]


def _mail_servers(domain: Domain) -> list[str]:
    hosts = (str(row["value"]) for row in _rows(domain) if row["type"] == "MX")
    return [host for host in hosts if host != "."]  # a single dot says that there is none


def _stops(domain: Domain) -> list[Fact]:
    rows, mail = _rows(domain), _mail_servers(domain)
    web = list(dict.fromkeys(str(row["value"]) for row in rows if row["type"] in ("A", "AAAA")))
    texts = [str(row["value"]) for row in rows if row["type"] == "TXT"]
    found = [Fact(_("E-mail arrives at"), listed(mail))] if mail else []
    found += [Fact(_("Website at"), listed(web))] if web else []
    return found + [Fact(_("Text record"), text) for text in texts]


def _stops_text(domain: Domain) -> str:
    name = {"name": display(domain.name)}
    if _mail_servers(domain):
        return (
            _(
                "%(name)s receives e-mail today. Once you change its name servers, that e-mail no longer arrives, and nobody"
                " forwards it. Nothing of what is listed here comes along."
            )
            % name
        )
    if not domain.facts.get("records_before_known"):
        return (
            _(
                "We could not see whether %(name)s receives e-mail today. If it does, that e-mail no longer arrives once you"
                " change its name servers, and its website stops."
            )
            % name
        )
    return _("Nothing of what lies at %(name)s today comes along: it stops once you change its name servers.") % name


def _registrar(servers: Sequence[str]) -> str:
    found = {title for ending, title in REGISTRARS for host in servers if host.endswith(f".{ending}")}
    return found.pop() if len(found) == 1 else ""


def _how(registrar: str) -> list[str]:
    last = _("Remove every name server that is there, put in the ones above, all of them, and save.")
    return [*map(str, WAYS.get(registrar, OTHER_WAY)), last]
