"""DMARC (RFC 9989, with RFC 9990 for reports): the record, the tree walk, alignment, and the ladder of policies.

Records are written so that they are right by the older RFC 7489, too: receivers change over at different times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infra.naming import gettext_noop

from .findings import Finding, Level, Rule, Rules, unique
from .names import BadName, canonical, parents
from .records import Type, tags
from .resolver import Answer, Resolver

POLICIES = ("none", "quarantine", "reject")
REMOVED = ("pct", "rf", "ri")  # by RFC 9989: read, never written
MOST_LABELS = 8  # with more, the walk goes on at seven, so that eight questions are enough: RFC 9989, 4.10

RULES = Rules(
    {
        "dmarc-none": Rule(
            Level.ERROR,
            "RFC 9989, 4.7",
            gettext_noop("%(domain)s has no DMARC record."),
            gettext_noop("Publish v=DMARC1; p=none with an address for reports at _dmarc.%(domain)s."),
        ),
        "dmarc-several": Rule(
            Level.ERROR,
            "RFC 9989, 4.8",
            gettext_noop("_dmarc.%(domain)s has %(count)s DMARC records, and then none of them counts."),
            gettext_noop("Keep one."),
        ),
        "dmarc-version": Rule(
            Level.ERROR,
            "RFC 9989, 4.7",
            gettext_noop("The record at _dmarc.%(domain)s does not begin with v=DMARC1, in capitals, and is not read."),
            gettext_noop("Let the record begin with v=DMARC1."),
        ),
        "dmarc-policy": Rule(
            Level.WARNING,
            "RFC 9989, 4.7",
            gettext_noop("The record has no policy that is known and counts as p=none."),
            gettext_noop("Write p=none, p=quarantine or p=reject."),
        ),
        "dmarc-value": Rule(
            Level.WARNING,
            "RFC 9989, 4.7",
            gettext_noop("%(tag)s=%(value)s is not known and counts as if it were not there."),
            gettext_noop("Correct the value or remove the tag."),
        ),
        "dmarc-removed": Rule(
            Level.ADVICE,
            "RFC 9989, appendix A",
            gettext_noop("%(tag)s= is ignored by receivers that follow the new standard."),
            gettext_noop("Remove it. In place of a percentage there is t=y, which applies a policy one step milder."),
        ),
        "dmarc-no-reports": Rule(
            Level.WARNING,
            "RFC 9989, 4.7",
            gettext_noop("Nobody is told how receivers judge this domain's mail."),
            gettext_noop("Add rua=mailto: with an address whose domain takes such reports."),
        ),
        "dmarc-report-address": Rule(
            Level.WARNING,
            "RFC 9990, 3",
            gettext_noop("%(value)s is no address that reports can be sent to."),
            gettext_noop("Write rua=mailto: and an e-mail address."),
        ),
        "dmarc-report-refused": Rule(
            Level.WARNING,
            "RFC 9990, 4",
            gettext_noop("%(host)s has not said that it takes reports about %(domain)s, so none are sent there."),
            gettext_noop("Publish v=DMARC1 as a TXT record at %(name)s."),
        ),
        "dmarc-failure-reports": Rule(
            Level.ADVICE,
            "RFC 9991, 7",
            gettext_noop(
                "Large receivers send no failure reports (ruf=), and those that come hold parts of people's mail."
            ),
            gettext_noop("Remove ruf=."),
        ),
        "dmarc-testing": Rule(
            Level.ADVICE,
            "RFC 9989, 4.7",
            gettext_noop("t=y: the policy is applied one step milder, p=%(policy)s as p=%(milder)s."),
        ),
        "dmarc-unreadable": Rule(
            Level.WARNING,
            "RFC 9989, 4.7",
            gettext_noop("The name servers of %(name)s did not answer."),
            gettext_noop("Look again later."),
        ),
    }
)


class BadPolicy(ValueError):
    """Text that is no DMARC record: its first tag is not v=DMARC1."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A DMARC record. Values that are not known count as their default, and `unknown` keeps them.

    sp, np    empty where the record leaves them out
    removed   tags that RFC 9989 has removed, as they stand there
    """

    p: str = "none"
    sp: str = ""
    np: str = ""
    t: bool = False
    adkim: str = "r"
    aspf: str = "r"
    rua: tuple[str, ...] = ()
    ruf: tuple[str, ...] = ()
    fo: tuple[str, ...] = ("0",)
    psd: str = "u"
    unknown: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    has_policy: bool = True

    def applied(self, *, is_subdomain: bool = False, exists: bool = True) -> str:
        """Return the policy for mail from the domain, or from a name below it that exists or does not.

        With t=y it is one step milder.
        """
        wanted = self.p
        if is_subdomain:
            wanted = (self.sp or self.p) if exists else (self.np or self.sp or self.p)
        return milder(wanted) if self.t else wanted

    def text(self) -> str:
        """Return the record as we write it: new tags, nothing that is the default."""
        parts = {
            "v": "DMARC1",
            "p": self.p,
            "sp": self.sp,
            "np": self.np,
            "t": "y" if self.t else "",
            "adkim": self.adkim if self.adkim != "r" else "",
            "aspf": self.aspf if self.aspf != "r" else "",
            "rua": ",".join(self.rua),
            "ruf": ",".join(self.ruf),
            "fo": ":".join(self.fo) if self.fo != ("0",) else "",
            "psd": self.psd if self.psd != "u" else "",
        }
        return "; ".join(f"{name}={value}" for name, value in parts.items() if value)


def milder(policy: str) -> str:
    """Return the policy one step below: reject acts as quarantine, quarantine as none."""
    return POLICIES[max(0, POLICIES.index(policy) - 1)]


def is_dmarc(text: str) -> bool:
    """Tell whether a TXT record is a DMARC record: v=DMARC1 first, in capitals."""
    return re.match(r"\s*[vV]\s*=\s*DMARC1\s*(;|$)", text) is not None


VALUES: Mapping[str, tuple[str, ...]] = {
    "p": POLICIES,
    "sp": POLICIES,
    "np": POLICIES,
    "t": ("y", "n"),
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "psd": ("y", "n", "u"),
}


def parse(text: str) -> Policy:
    """Return what a record says. Raises BadPolicy."""
    if not is_dmarc(text):
        raise BadPolicy("its first tag is not v=DMARC1")
    given = dict[str, str]()
    for name, value in tags(text)[1:]:
        given.setdefault(name, value)
    unknown = [
        (name, given[name]) for name, known in VALUES.items() if name in given and given[name].lower() not in known
    ]
    words = {name: given[name].lower() for name in VALUES if name in given and (name, given[name]) not in unknown}
    fo = tuple(part.strip().lower() for part in given.get("fo", "0").split(":"))
    if not set(fo) <= {"0", "1", "d", "s"} or {"0", "1"} <= set(fo):
        unknown.append(("fo", given["fo"]))
        fo = ("0",)
    return Policy(
        p=words.get("p", "none"),
        sp=words.get("sp", ""),
        np=words.get("np", ""),
        t=words.get("t") == "y",
        adkim=words.get("adkim", "r"),
        aspf=words.get("aspf", "r"),
        rua=_addresses(given.get("rua", "")),
        ruf=_addresses(given.get("ruf", "")),
        fo=fo,
        psd=words.get("psd", "u"),
        unknown=tuple(one for one in unknown if one[0] != "p"),
        removed=tuple((name, given[name]) for name in REMOVED if name in given),
        has_policy="p" in words,
    )


def _addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of a list; a size limit behind one (`!10m`) is obsolete and dropped."""
    return tuple(part.strip().partition("!")[0] for part in text.split(",") if part.strip())


# The record of a domain


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at `_dmarc.<domain>`. `answer` tells absent from not answered."""

    domain: str
    answer: Answer
    policy: Policy | None
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        return self.policy is not None

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "status": str(self.answer.status),
            "policy": self.policy.p if self.policy else "",
            "rung": str(rung(self.policy)) if self.policy else "",
            "text": next((one for one in self.answer.values if is_dmarc(one)), ""),
            "findings": [one.as_json() for one in self.findings],
        }


def look_at(domain: str, resolver: Resolver) -> Found:
    """Return the domain's own record, judged; whether its report addresses may be sent to is asked, too. Raises BadName."""
    found = judge(domain, resolver.query(f"_dmarc.{domain}", Type.TXT))
    if found.policy is None:
        return found
    more = tuple(_reports(domain, found.policy, resolver))
    return Found(found.domain, found.answer, found.policy, unique((*found.findings, *more)))


def judge(domain: str, answer: Answer) -> Found:
    """Judge an answer to the question for the TXT records of `_dmarc.<domain>`."""
    if not answer.says:
        return Found(domain, answer, None, (RULES.finding("dmarc-unreadable", name=f"_dmarc.{domain}"),))
    texts = [one for one in answer.values if is_dmarc(one)]
    if len(texts) > 1:
        return Found(domain, answer, None, (RULES.finding("dmarc-several", domain=domain, count=len(texts)),))
    if not texts:
        nearly = any(one.lower().replace(" ", "").startswith("v=dmarc") or "p=" in one for one in answer.values)
        return Found(domain, answer, None, (RULES.finding("dmarc-version" if nearly else "dmarc-none", domain=domain),))
    policy = parse(texts[0])
    return Found(domain, answer, policy, tuple(_judged(policy)))


def _judged(policy: Policy) -> Iterator[Finding]:
    if not policy.has_policy:
        yield RULES.finding("dmarc-policy")
    for tag, value in policy.unknown:
        yield RULES.finding("dmarc-value", tag=tag, value=value[:40])
    for tag, _value in policy.removed:
        yield RULES.finding("dmarc-removed", tag=tag)
    if not policy.rua:
        yield RULES.finding("dmarc-no-reports")
    for address in (*policy.rua, *policy.ruf):
        if not _host(address):
            yield RULES.finding("dmarc-report-address", value=address[:80])
    if policy.ruf:
        yield RULES.finding("dmarc-failure-reports")
    if policy.t and policy.p != "none":
        yield RULES.finding("dmarc-testing", policy=policy.p, milder=milder(policy.p))


def _host(address: str) -> str:
    """Return the host that a report address is at, or an empty text when nobody can send there."""
    match = re.fullmatch(r"mailto:[^@\s?]+@([^@\s?]+)(\?.*)?", address, re.IGNORECASE)
    try:
        return canonical(match[1]) if match else ""
    except BadName:
        return ""


def _reports(domain: str, policy: Policy, resolver: Resolver) -> Iterator[Finding]:
    """Yield the report addresses whose hosts have not agreed: RFC 9990, 4."""
    own = organisational_domain(domain, resolver)
    for host in dict.fromkeys(filter(None, map(_host, (*policy.rua, *policy.ruf)))):
        if own.name is None or own.name == organisational_domain(host, resolver).name:
            continue
        name = agreement_name(domain, host)
        answer = resolver.query(name, Type.TXT)
        if not answer.says:
            yield RULES.finding("dmarc-unreadable", name=name)
        elif not any(is_dmarc(one) for one in answer.values):
            yield RULES.finding("dmarc-report-refused", host=host, domain=domain, name=name)


def agreement_name(domain: str, host: str) -> str:
    """Return where a host says that it takes reports about a domain; `*._report._dmarc.<host>` says it for all."""
    return f"{domain}._report._dmarc.{host}"


# The tree walk


@dataclass(frozen=True, slots=True)
class Walked:
    """The organisational domain of a name, None where a server did not answer; and which record applies to the name.

    policy, holder  the record that applies and the domain that holds it; None and empty without one
    """

    name: str | None
    policy: Policy | None = None
    holder: str = ""


def organisational_domain(domain: str, resolver: Resolver) -> Walked:
    """Walk up from a name (RFC 9989, 4.10): at most eight questions, no list of public suffixes. Raises BadName.

    A name without any record above it is its own organisational domain.
    """
    start = canonical(domain)
    found = list[tuple[str, Policy]]()
    for name in walked(start):
        record = judge(name, resolver.query(f"_dmarc.{name}", Type.TXT))
        if not record.answer.says:
            return Walked(None)
        if record.policy is None:
            continue
        found.append((name, record.policy))
        if record.policy.psd == "n" or (record.policy.psd == "y" and name != start):
            break
    own = _own(start, found)
    applies = next(((name, policy) for name, policy in found if name == start), None)
    applies = applies or next(((name, policy) for name, policy in found if name == own), None)
    applies = applies or next(((name, policy) for name, policy in found if policy.psd == "y"), None)
    return Walked(own, applies[1], applies[0]) if applies else Walked(own)


def walked(name: str) -> Iterator[str]:
    """Yield the names to ask for, the name itself first; of a long one, those with seven labels and fewer."""
    yield name
    yield from (parent for parent in parents(name) if parent.count(".") + 1 < MOST_LABELS)


def _own(start: str, found: list[tuple[str, Policy]]) -> str:
    for name, policy in found:
        if policy.psd == "n":
            return name
        if policy.psd == "y" and name != start:
            below = start.removesuffix(f".{name}").rpartition(".")[2]
            return f"{below}.{name}"
    return found[-1][0] if found else start


def is_aligned(sender: str, other: str, resolver: Resolver, *, strict: bool = False) -> bool | None:
    """Tell whether a domain that SPF or DKIM proved stands for the From domain; None where a server did not answer."""
    one, two = canonical(sender), canonical(other)
    if one == two or strict:
        return one == two
    first, second = organisational_domain(one, resolver), organisational_domain(two, resolver)
    if first.name is None or second.name is None:
        return None
    return first.name == second.name


# The ladder


class Rung(StrEnum):
    """The steps from watching to refusing. Reports and a person's click lead up; there is no percentage."""

    NONE = "none"
    QUARANTINE_TEST = "quarantine_test"
    QUARANTINE = "quarantine"
    REJECT = "reject"


LADDER: Mapping[Rung, tuple[str, bool]] = {
    Rung.NONE: ("none", False),
    Rung.QUARANTINE_TEST: ("quarantine", True),
    Rung.QUARANTINE: ("quarantine", False),
    Rung.REJECT: ("reject", False),
}


def rung(policy: Policy) -> Rung:
    """Return where a policy stands. One that tests a rejection stands where it acts: on quarantine."""
    if policy.t:
        return {"none": Rung.NONE, "quarantine": Rung.QUARANTINE_TEST, "reject": Rung.QUARANTINE}[policy.p]
    return Rung(policy.p)


def next_rung(policy: Policy) -> Rung | None:
    """Return the next step up, None at the top."""
    steps = list(LADDER)
    above = steps.index(rung(policy)) + 1
    return steps[above] if above < len(steps) else None


def at_rung(policy: Policy, step: Rung) -> Policy:
    """Return the policy on another step of the ladder; everything else stays, removed tags go."""
    p, t = LADDER[step]
    return Policy(p, policy.sp, policy.np, t, policy.adkim, policy.aspf, policy.rua, policy.ruf, policy.fo, policy.psd)


def first_record(report_address: str) -> str:
    """Return the record that a new sending domain begins with: it watches and reports to an address of the operator."""
    return Policy(rua=(f"mailto:{report_address}",) if report_address else ()).text()
