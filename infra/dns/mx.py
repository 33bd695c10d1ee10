"""MX records (RFC 5321, 5; RFC 7505): who receives a domain's mail. For sending they matter because bounces come there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infra.naming import gettext_noop

from .findings import Finding, Level, Rule, Rules, unique
from .names import is_within
from .records import Record, Type, record
from .resolver import Answer, Resolver, Status

GOOGLE = (1, "smtp.google.com")
GOOGLE_OLD = (
    (1, "aspmx.l.google.com"),
    (5, "alt1.aspmx.l.google.com"),
    (5, "alt2.aspmx.l.google.com"),
    (10, "alt3.aspmx.l.google.com"),
    (10, "alt4.aspmx.l.google.com"),
)
OLD_HOSTS = frozenset(host for _, host in GOOGLE_OLD)

RULES = Rules(
    {
        "mx-none": Rule(
            Level.ERROR,
            "RFC 5321, 5.1",
            gettext_noop("%(domain)s has no MX record, so answers and bounces are lost."),
            gettext_noop("Publish the MX record of the mailbox provider."),
        ),
        "mx-null": Rule(
            Level.ERROR,
            "RFC 7505, 3",
            gettext_noop("%(domain)s says that it takes no mail (0 .)."),
            gettext_noop("Replace it by the MX record of the mailbox provider."),
        ),
        "mx-null-among-others": Rule(
            Level.ERROR,
            "RFC 7505, 3",
            gettext_noop("%(domain)s says that it takes no mail, and names servers beside that."),
            gettext_noop("Remove the record with the single dot."),
        ),
        "mx-google-mixed": Rule(
            Level.ERROR,
            "Google Workspace, MX records",
            gettext_noop("%(domain)s has Google's new MX record and old ones at once."),
            gettext_noop("Keep 1 smtp.google.com alone, or the old five alone."),
        ),
        "mx-google-other": Rule(
            Level.ERROR,
            "Google Workspace, MX records",
            gettext_noop("%(domain)s has Google's mail servers and others (%(hosts)s): some mail goes elsewhere."),
            gettext_noop("Keep the records of one provider."),
        ),
        "mx-google-incomplete": Rule(
            Level.WARNING,
            "Google Workspace, MX records",
            gettext_noop("%(domain)s has some of Google's old five MX records only."),
            gettext_noop("Replace them by 1 smtp.google.com."),
        ),
        "mx-google-old": Rule(
            Level.ADVICE,
            "Google Workspace, MX records",
            gettext_noop("%(domain)s has Google's old five MX records; they work as well as the new one."),
        ),
        "mx-alias": Rule(
            Level.ERROR,
            "RFC 2181, 10.3",
            gettext_noop("%(host)s is an alias, which no MX record may lead to."),
            gettext_noop("Name the server that the alias leads to."),
        ),
        "mx-nowhere": Rule(
            Level.ERROR,
            "RFC 5321, 5.1",
            gettext_noop("%(host)s has no address, so no mail arrives there."),
            gettext_noop("Correct the name of the server."),
        ),
        "mx-unreadable": Rule(
            Level.WARNING,
            "RFC 5321, 5.1",
            gettext_noop("The name servers of %(name)s did not answer."),
            gettext_noop("Look again later."),
        ),
    }
)


class Provider(StrEnum):
    """Whose mail servers they are, as far as it matters to us."""

    NONE = "none"
    NULL = "null"
    GOOGLE = "google"
    GOOGLE_OLD = "google_old"
    GOOGLE_MIXED = "google_mixed"
    MICROSOFT = "microsoft"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Found:
    """A domain's MX records, judged."""

    domain: str
    answer: Answer
    provider: Provider
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        return self.answer.status is Status.RECORDS and all(one.level is not Level.ERROR for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "status": str(self.answer.status),
            "provider": str(self.provider),
            "records": [one.shown for one in self.answer.records],
            "findings": [one.as_json() for one in self.findings],
        }


def google_records(domain: str) -> tuple[Record, ...]:
    """Return what a new domain at Google needs: one record."""
    return (record("MX", domain, GOOGLE[1], GOOGLE[0]),)


def look_at(domain: str, resolver: Resolver) -> Found:
    """Return a domain's MX records, judged, and whether their servers have addresses. Raises BadName."""
    found = judge(domain, resolver.query(domain, Type.MX))
    more = tuple(_servers(found.answer.records, resolver))
    return Found(domain, found.answer, found.provider, unique((*found.findings, *more)))


def judge(domain: str, answer: Answer) -> Found:
    """Judge an answer to the question for a domain's MX records."""
    if not answer.says:
        return Found(domain, answer, Provider.NONE, (RULES.finding("mx-unreadable", name=domain),))
    provider = provider_of(answer.records)
    return Found(domain, answer, provider, tuple(_judged(domain, answer.records, provider)))


def provider_of(records: Sequence[Record]) -> Provider:
    """Return whose servers these MX records name."""
    hosts = {one.value for one in records}
    if not hosts:
        return Provider.NONE
    if hosts == {"."}:
        return Provider.NULL
    new, old = GOOGLE[1] in hosts, bool(hosts & OLD_HOSTS)
    if new and old:
        return Provider.GOOGLE_MIXED
    if new or old:
        return Provider.GOOGLE if new else Provider.GOOGLE_OLD
    if all(is_within(host, "mail.protection.outlook.com") or is_within(host, "mx.microsoft") for host in hosts):
        return Provider.MICROSOFT
    return Provider.OTHER


def _judged(domain: str, records: Sequence[Record], provider: Provider) -> Iterator[Finding]:
    hosts = {one.value for one in records}
    if provider is Provider.NONE:
        yield RULES.finding("mx-none", domain=domain)
    if provider is Provider.NULL:
        yield RULES.finding("mx-null", domain=domain)
    elif "." in hosts:
        yield RULES.finding("mx-null-among-others", domain=domain)
    if provider is Provider.GOOGLE_MIXED:
        yield RULES.finding("mx-google-mixed", domain=domain)
    if provider in (Provider.GOOGLE, Provider.GOOGLE_OLD, Provider.GOOGLE_MIXED):
        others = sorted(hosts - OLD_HOSTS - {GOOGLE[1], "."})
        if others:
            yield RULES.finding("mx-google-other", domain=domain, hosts=", ".join(others))
    if provider is Provider.GOOGLE_OLD:
        complete = hosts >= OLD_HOSTS
        yield RULES.finding("mx-google-old" if complete else "mx-google-incomplete", domain=domain)


def _servers(records: Sequence[Record], resolver: Resolver) -> Iterator[Finding]:
    for host in dict.fromkeys(one.value for one in records if one.value != "."):
        four = resolver.query(host, Type.A)
        if four.aliases:
            yield RULES.finding("mx-alias", host=host)
        elif four.status is not Status.RECORDS:
            six = resolver.query(host, Type.AAAA)
            if six.aliases:
                yield RULES.finding("mx-alias", host=host)
            elif not four.says or not six.says:
                yield RULES.finding("mx-unreadable", name=host)
            elif six.status is not Status.RECORDS:
                yield RULES.finding("mx-nowhere", host=host)
