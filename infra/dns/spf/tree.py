"""All that an SPF record leads to: the static count, which is the worst case of any sender, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.naming import gettext_noop

from ..findings import Finding, Level, Rule, Rules, has_error, unique
from ..names import BadName
from ..records import Type, chunks
from ..resolver import Answer, Resolver, Status
from .evaluate import MOST_HOSTS, MOST_LOOKUPS, MOST_VOIDS
from .syntax import Policy, SpfSyntax, Term, only_spf, parse

NEARLY = 8  # look-ups from which a change by some provider may be one too many
MOST_OCTETS = 450  # of a whole answer: beyond 512 it needs TCP, which not every network lets through
MOST_WALKED = 60  # records that are asked for at most, whatever a domain publishes
NO_RECORD, SEVERAL, BAD, LOOP, UNREADABLE, ANY = "none", "several", "syntax", "loop", "temporary", "macro"

RULES = Rules(
    {
        "spf-none": Rule(
            Level.ERROR,
            "RFC 7208, 4.5",
            gettext_noop("%(domain)s has no SPF record."),
            gettext_noop("Publish one TXT record that begins with v=spf1."),
        ),
        "spf-several": Rule(
            Level.ERROR,
            "RFC 7208, 4.5",
            gettext_noop("%(domain)s has %(count)s SPF records, and then none of them counts."),
            gettext_noop("Keep one record that holds what all of them say."),
        ),
        "spf-syntax": Rule(
            Level.ERROR,
            "RFC 7208, 4.6",
            gettext_noop("The SPF record of %(domain)s cannot be read: %(problem)s."),
            gettext_noop("Correct the record; until then receivers act as if it were broken."),
        ),
        "spf-lookups": Rule(
            Level.ERROR,
            "RFC 7208, 4.6.4",
            gettext_noop("The record needs %(count)s look-ups; more than %(limit)s and receivers give up."),
            gettext_noop("Remove senders that are no longer used."),
        ),
        "spf-lookups-near": Rule(
            Level.WARNING,
            "RFC 7208, 4.6.4",
            gettext_noop(
                "The record needs %(count)s of %(limit)s look-ups: a provider's next change may be one too many."
            ),
            gettext_noop("Remove senders that are no longer used."),
        ),
        "spf-voids": Rule(
            Level.WARNING,
            "RFC 7208, 4.6.4",
            gettext_noop("%(count)s look-ups find nothing; with more than %(limit)s on their way, receivers give up."),
            gettext_noop("Remove the names that do not exist: %(names)s."),
        ),
        "spf-loop": Rule(
            Level.ERROR,
            "RFC 7208, 4.6.4",
            gettext_noop("The record leads back to %(domain)s, and so round for ever."),
            gettext_noop("Remove the include that closes the circle."),
        ),
        "spf-target-none": Rule(
            Level.ERROR,
            "RFC 7208, 5.2 and 6.1",
            gettext_noop("%(term)s leads to a name without an SPF record, which breaks the whole record."),
            gettext_noop("Remove the term or correct the name."),
        ),
        "spf-target-broken": Rule(
            Level.ERROR,
            "RFC 7208, 5.2 and 6.1",
            gettext_noop("%(term)s leads to a record that receivers cannot use: %(problem)s."),
            gettext_noop("Ask the sender it belongs to, or remove the term."),
        ),
        "spf-unreadable": Rule(
            Level.WARNING,
            "RFC 7208, 4.4",
            gettext_noop("The name servers of %(domain)s did not answer; the counts may be too low."),
            gettext_noop("Look again later."),
        ),
        "spf-mx-hosts": Rule(
            Level.ERROR,
            "RFC 7208, 4.6.4",
            gettext_noop("%(term)s leads to %(count)s mail servers; more than %(limit)s break the record."),
            gettext_noop("Name the addresses instead."),
        ),
        "spf-ptr": Rule(
            Level.ADVICE,
            "RFC 7208, 5.5",
            gettext_noop("ptr is slow and unreliable; some receivers ignore it."),
            gettext_noop("Name the addresses instead."),
        ),
        "spf-macro": Rule(
            Level.ADVICE,
            "RFC 7208, 7",
            gettext_noop("What %(term)s leads to depends on the sender and is not counted below it."),
        ),
        "spf-dead": Rule(
            Level.WARNING,
            "RFC 7208, 5.1 and 6.1",
            gettext_noop("%(term)s stands behind all and never counts."),
            gettext_noop("Move it before all, or remove it."),
        ),
        "spf-everybody": Rule(
            Level.ERROR,
            "RFC 7208, 5.1",
            gettext_noop("%(term)s lets everybody send in this domain's name."),
            gettext_noop("End the record with ~all or -all."),
        ),
        "spf-open-end": Rule(
            Level.WARNING,
            "RFC 7208, 4.7",
            gettext_noop("The record does not say what holds for all others."),
            gettext_noop("End it with ~all or -all."),
        ),
        "spf-size": Rule(
            Level.ADVICE,
            "RFC 7208, 3.4",
            gettext_noop("The TXT records of %(domain)s take %(count)s octets together; aim at %(limit)s."),
            gettext_noop("Remove what is no longer used. There is no limit for the record itself."),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Branch:
    """A term that looks something up, and what it leads to; the root stands for the domain itself.

    lookups   it costs itself, with everything below
    voids     the names, here and below, that nothing was found at
    problem   none, several, syntax, loop, temporary, macro, or empty
    """

    term: str
    domain: str
    text: str = ""
    lookups: int = 0
    voids: tuple[str, ...] = ()
    problem: str = ""
    branches: tuple[Branch, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "term": self.term,
            "domain": self.domain,
            "text": self.text,
            "lookups": self.lookups,
            "voids": list(self.voids),
            "problem": self.problem,
            "branches": [one.as_json() for one in self.branches],
        }

    def all(self) -> Iterator[Branch]:
        """Yield this branch and all below it."""
        yield self
        for one in self.branches:
            yield from one.all()


@dataclass(frozen=True, slots=True)
class Tree:
    """A domain's record with all its branches. `policy` is None where it has none that can be used."""

    root: Branch
    policy: Policy | None
    findings: tuple[Finding, ...]

    @property
    def lookups(self) -> int:
        return self.root.lookups

    @property
    def voids(self) -> int:
        return len(self.root.voids)

    @property
    def is_usable(self) -> bool:
        """Whether no sender's evaluation can end in a permerror that is seen here; unknown names are none."""
        return self.policy is not None and not has_error(self.findings)

    @property
    def was_read_whole(self) -> bool:
        """Whether every name server answered, so that the counts are right."""
        return all(one.problem != UNREADABLE for one in self.root.all())

    def as_json(self) -> dict[str, Any]:
        return {
            "lookups": self.lookups,
            "most_lookups": MOST_LOOKUPS,
            "voids": self.voids,
            "most_voids": MOST_VOIDS,
            "tree": self.root.as_json(),
            "findings": [one.as_json() for one in self.findings],
        }


def grow(domain: str, resolver: Resolver, *, text: str | None = None) -> Tree:
    """Follow every term of a domain's record; `text` stands in for the published one, to see what a change would cost.

    Asks at most some dozens of questions. Raises BadName.
    """
    walk = Walk(resolver)
    answer = walk.ask(domain, Type.TXT)
    texts = only_spf(answer.values) if text is None else [text]
    root, policy = walk.record("", domain, answer if text is None else None, texts, ())
    findings = [*_of_root(root, policy, texts), *walk.findings]
    if text is None and (octets := _octets(domain, answer)) > MOST_OCTETS:
        findings.append(RULES.finding("spf-size", domain=domain, count=octets, limit=MOST_OCTETS))
    return Tree(root, policy, unique(findings))


@dataclass(slots=True)
class Walk:
    """One walk over a record. Each question is asked once; the branches are counted each time."""

    resolver: Resolver
    findings: list[Finding] = field(default_factory=list)
    answers: dict[tuple[str, Type], Answer] = field(default_factory=dict)

    def ask(self, name: str, kind: Type) -> Answer:
        if (name, kind) not in self.answers:
            if len(self.answers) >= MOST_WALKED:
                return Answer(Status.TEMPORARY_FAILURE, why="too much to ask")
            try:
                self.answers[name, kind] = self.resolver.query(name, kind)
            except BadName:
                self.answers[name, kind] = Answer(Status.NXDOMAIN)
        return self.answers[name, kind]

    def record(
        self, term: str, domain: str, answer: Answer | None, texts: list[str], path: tuple[str, ...]
    ) -> tuple[Branch, Policy | None]:
        """Return the branch of a domain whose record is known, and the record parsed."""
        cost = 1 if term else 0
        if answer is not None and not answer.says:
            self.note("spf-unreadable", domain=domain)
            return Branch(term, domain, lookups=cost, problem=UNREADABLE), None
        if not texts:
            return Branch(term, domain, lookups=cost, problem=NO_RECORD), None
        if len(texts) > 1:
            return Branch(term, domain, " | ".join(texts), cost, problem=SEVERAL), None
        try:
            policy = parse(texts[0])
        except SpfSyntax as error:
            return Branch(term, domain, texts[0], cost, (), f"{BAD}: {error}"), None
        branches = tuple(self._term(one, domain, (*path, domain.lower())) for one in policy.asking)
        lookups = cost + sum(one.lookups for one in branches)
        voids = tuple(name for one in branches for name in one.voids)
        return Branch(term, domain, texts[0], lookups, voids, branches=branches), policy

    def note(self, key: str, **params: str | int) -> None:
        self.findings.append(RULES.finding(key, **params))

    def _term(self, term: Term, domain: str, path: tuple[str, ...]) -> Branch:
        target = (term.domain or domain).rstrip(".")
        if term.name == "ptr":
            self.note("spf-ptr")
            return Branch(term.text, target, lookups=1)
        if term.has_macro:
            self.note("spf-macro", term=term.text)
            return Branch(term.text, target, lookups=1, problem=ANY)
        if term.name in ("include", "redirect"):
            return self._other_record(term, target, path)
        answer = self.ask(target, Type.MX if term.name == "mx" else Type.A)
        if not answer.says:
            self.note("spf-unreadable", domain=target)
            return Branch(term.text, target, lookups=1, problem=UNREADABLE)
        if term.name == "mx" and len(answer.records) > MOST_HOSTS:
            self.note("spf-mx-hosts", term=term.text, count=len(answer.records), limit=MOST_HOSTS)
        is_void = answer.status is not Status.RECORDS and not self._has_ipv6(term, target)
        return Branch(term.text, target, lookups=1, voids=(target,) if is_void else ())

    def _has_ipv6(self, term: Term, target: str) -> bool:
        """Tell whether a name without IPv4 addresses is no void look-up, because it has others."""
        return term.name == "a" and self.ask(target, Type.AAAA).status is Status.RECORDS

    def _other_record(self, term: Term, target: str, path: tuple[str, ...]) -> Branch:
        if target.lower() in path:
            self.note("spf-loop", domain=target)
            return Branch(term.text, target, lookups=1, problem=LOOP)
        answer = self.ask(target, Type.TXT)
        branch, _policy = self.record(term.text, target, answer, only_spf(answer.values), path)
        if branch.problem == NO_RECORD:
            self.note("spf-target-none", term=term.text)
        elif branch.problem == SEVERAL:
            self.note("spf-target-broken", term=term.text, problem="it has several")
        elif branch.problem.startswith(BAD):
            self.note("spf-target-broken", term=term.text, problem=branch.problem.partition(": ")[2])
        return branch


def _of_root(root: Branch, policy: Policy | None, texts: list[str]) -> Iterator[Finding]:
    """Yield what is wrong with the domain's own record, and with the counts."""
    if root.problem == NO_RECORD:
        yield RULES.finding("spf-none", domain=root.domain)
    if root.problem == SEVERAL:
        yield RULES.finding("spf-several", domain=root.domain, count=len(texts))
    if root.problem.startswith(BAD):
        yield RULES.finding("spf-syntax", domain=root.domain, problem=root.problem.partition(": ")[2])
    if policy is None:
        return
    if root.lookups > MOST_LOOKUPS:
        yield RULES.finding("spf-lookups", count=root.lookups, limit=MOST_LOOKUPS)
    elif root.lookups >= NEARLY:
        yield RULES.finding("spf-lookups-near", count=root.lookups, limit=MOST_LOOKUPS)
    if len(root.voids) > MOST_VOIDS:
        names = ", ".join(dict.fromkeys(root.voids))
        yield RULES.finding("spf-voids", count=len(root.voids), limit=MOST_VOIDS, names=names)
    for term in policy.dead:
        yield RULES.finding("spf-dead", term=term.text)
    last = policy.decisive[-1] if policy.has_all else None
    if last is not None and last.result == "pass":
        yield RULES.finding("spf-everybody", term=last.text)
    if last is None and policy.redirect is None:
        yield RULES.finding("spf-open-end")


def _octets(domain: str, answer: Answer) -> int:
    """Return how long the answer is that carries all TXT records of a name: RFC 1035, 4."""
    question = 12 + len(domain) + 2 + 4
    return question + sum(12 + sum(1 + len(part) for part in chunks(value)) for value in answer.values)
