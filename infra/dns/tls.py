"""TLS for mail that arrives: reports (RFC 8460) and MTA-STS (RFC 8461). Advice only: neither decides about placement.

MTA-STS needs a page over HTTPS for each domain, which nobody here serves; what a domain already has is read and judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from infra.naming import gettext_noop

from .findings import Finding, Level, Rule, Rules
from .records import Type, tags
from .resolver import Answer, Resolver

RULES = Rules(
    {
        "tls-no-reports": Rule(
            Level.ADVICE,
            "RFC 8460, 3",
            gettext_noop("Nobody is told when other servers cannot deliver to %(domain)s over TLS."),
            gettext_noop(
                "If you want to know, publish v=TLSRPTv1; rua=mailto: and an address at _smtp._tls.%(domain)s."
            ),
        ),
        "tls-reports-broken": Rule(
            Level.ADVICE,
            "RFC 8460, 3",
            gettext_noop("The record at _smtp._tls.%(domain)s is not read: %(problem)s."),
            gettext_noop("Write v=TLSRPTv1; rua=mailto: and an address."),
        ),
        "sts-none": Rule(
            Level.ADVICE,
            "RFC 8461, 3.1",
            gettext_noop(
                "%(domain)s does not ask other servers for TLS (MTA-STS). It concerns mail that arrives only."
            ),
        ),
        "sts-broken": Rule(
            Level.WARNING,
            "RFC 8461, 3.1",
            gettext_noop("The record at _mta-sts.%(domain)s is not read: %(problem)s."),
            gettext_noop("Write v=STSv1; id= and up to 32 letters and digits, or remove the record."),
        ),
        "tls-unreadable": Rule(
            Level.ADVICE,
            "RFC 8461, 3.1",
            gettext_noop("The name servers of %(name)s did not answer."),
            gettext_noop("Look again later."),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a domain says about TLS. `reports` are addresses, `sts_id` is empty without MTA-STS."""

    domain: str
    reports: tuple[str, ...]
    sts_id: str
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "reports": list(self.reports),
            "sts_id": self.sts_id,
            "findings": [one.as_json() for one in self.findings],
        }


def look_at(domain: str, resolver: Resolver) -> Found:
    """Return what a domain says about TLS, judged. Raises BadName."""
    return judge(
        domain, resolver.query(f"_smtp._tls.{domain}", Type.TXT), resolver.query(f"_mta-sts.{domain}", Type.TXT)
    )


def judge(domain: str, reports: Answer, sts: Answer) -> Found:
    """Judge the answers for the TXT records of `_smtp._tls` and `_mta-sts`."""
    addresses, first = _reports(domain, reports)
    identity, second = _sts(domain, sts)
    return Found(domain, addresses, identity, (*first, *second))


def _one(answer: Answer, version: str) -> str | None:
    """Return the one record of a version; None without one, and an empty text where there are several."""
    texts = [text for text in answer.values if re.match(rf"{version}\s*(;|$)", text)]
    return (texts[0] if len(texts) == 1 else "") if texts else None


def _reports(domain: str, answer: Answer) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    if not answer.says:
        return (), (RULES.finding("tls-unreadable", name=f"_smtp._tls.{domain}"),)
    text = _one(answer, "v=TLSRPTv1")
    if text is None:
        return (), (RULES.finding("tls-no-reports", domain=domain),)
    addresses = tuple(part.strip() for part in dict(tags(text)).get("rua", "").split(",") if part.strip())
    if not text or not addresses:
        problem = "it has no address" if text else "there are several"
        return (), (RULES.finding("tls-reports-broken", domain=domain, problem=problem),)
    if bad := next((one for one in addresses if not re.match(r"(mailto:.+@.+|https://.+)", one, re.IGNORECASE)), ""):
        return (), (RULES.finding("tls-reports-broken", domain=domain, problem=f"{bad[:60]} is no address"),)
    return addresses, ()


def _sts(domain: str, answer: Answer) -> tuple[str, tuple[Finding, ...]]:
    if not answer.says:
        return "", (RULES.finding("tls-unreadable", name=f"_mta-sts.{domain}"),)
    text = _one(answer, "v=STSv1")
    if text is None:
        return "", (RULES.finding("sts-none", domain=domain),)
    identity = dict(tags(text)).get("id", "")
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", identity):
        problem = "it has no id of letters and digits" if text else "there are several"
        return "", (RULES.finding("sts-broken", domain=domain, problem=problem),)
    return identity, ()
