"""What Gmail, Yahoo and Outlook ask of senders, as checks with three values: proven, disproven, or not to be seen.

DNS shows few of them. A provider's verdict passes only when every row that it requires is proven by some evidence, so it
is mostly "unknown", with the list of what is missing: nobody can promise more from DNS alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from infra.naming import Sentence, gettext_noop

from . import dkim, dmarc
from .findings import Finding, Level
from .spf.evaluate import MOST_VOIDS, Verdict
from .spf.tree import Tree

GOOD_SPAM_RATE = 0.001  # Gmail: stay below 0.1 %
BAD_SPAM_RATE = 0.003  # and never reach 0.3 %
BULK = 5_000  # messages a day, at Gmail and Outlook; Yahoo names no number


class Value(StrEnum):
    """What is known of a requirement."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNKNOWN = "unknown"


class Provider(StrEnum):
    """Who asks for it."""

    GMAIL = "gmail"
    YAHOO = "yahoo"
    OUTLOOK = "outlook"


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement.

    standard  where it is written
    settles   what can prove or disprove it beside DNS
    missing   said while it is unknown
    """

    title: str
    standard: str
    missing: str
    settles: tuple[str, ...] = ()


ROWS: Mapping[str, Row] = {
    "spf_record": Row(
        gettext_noop("SPF record is valid"),
        "RFC 7208, 4.5 and 4.6.4",
        gettext_noop("Its records could not all be read."),
    ),
    "spf_sender": Row(
        gettext_noop("SPF allows the servers that send"),
        "RFC 7208, 2.4",
        gettext_noop("It is not known which servers send; a received test message shows it."),
        ("message",),
    ),
    "dkim_key": Row(
        gettext_noop("DKIM key is published"),
        "RFC 6376, 3.6.1; RFC 8301, 3.2",
        gettext_noop("The selector is not known, or its name server did not answer."),
    ),
    "dkim_signed": Row(
        gettext_noop("Mail is signed in the domain's name"),
        "RFC 6376, 3.5",
        gettext_noop("A key shows that signing is possible; a received test message shows that it is done."),
        ("message", "postmaster"),
    ),
    "dmarc_record": Row(
        gettext_noop("DMARC record with a policy"),
        "RFC 9989, 4.7",
        gettext_noop("Its name server did not answer."),
    ),
    "aligned": Row(
        gettext_noop("The From address fits SPF or DKIM"),
        "RFC 9989, 4.4",
        gettext_noop("A received test message or the reports of receivers show it."),
        ("message", "reports", "postmaster"),
    ),
    "ptr": Row(
        gettext_noop("The sending servers' names and addresses fit"),
        "RFC 1912, 2.1",
        gettext_noop("The servers are the mailbox provider's; Postmaster Tools show it."),
        ("postmaster",),
    ),
    "tls": Row(
        gettext_noop("Mail travels over TLS"),
        "RFC 3207",
        gettext_noop("The Received lines of a test message show it."),
        ("message", "postmaster"),
    ),
    "format": Row(
        gettext_noop("Messages are well formed"),
        "RFC 5322, 3.6",
        gettext_noop("A received test message shows it."),
        ("message",),
    ),
    "unsubscribe": Row(
        gettext_noop("One click unsubscribes from marketing mail"),
        "RFC 8058, 3",
        gettext_noop("The headers of a test message or the sending tool's setting show it."),
        ("message", "tool"),
    ),
    "spam_rate": Row(
        gettext_noop("Few people report spam"),
        "Gmail, sender guidelines",
        gettext_noop("Postmaster Tools show it; Yahoo names no number."),
        ("postmaster",),
    ),
}

DOMAIN_ROWS = ("spf_record", "spf_sender", "dkim_key", "dkim_signed", "dmarc_record", "aligned")
Required = tuple[tuple[str, ...], ...]  # each needs one of its alternatives

# Judged by the rules for bulk senders, although a mailbox that sends some thirty a day stays far below the line.
BULK_RULES: Mapping[Provider, Required] = {
    Provider.GMAIL: tuple((row,) for row in (*DOMAIN_ROWS, "ptr", "tls", "format", "unsubscribe", "spam_rate")),
    Provider.YAHOO: tuple((row,) for row in (*DOMAIN_ROWS, "unsubscribe", "spam_rate")),
    Provider.OUTLOOK: tuple((row,) for row in DOMAIN_ROWS),
}
FEW_RULES: Mapping[Provider, Required] = {
    Provider.GMAIL: (("spf_sender", "dkim_signed"), ("ptr",), ("tls",), ("format",), ("spam_rate",)),
    Provider.YAHOO: (("spf_sender", "dkim_signed"), ("spam_rate",)),
    Provider.OUTLOOK: (),
}


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence from elsewhere about a row. `source` is one of the row's `settles`, `said` what it showed."""

    value: Value
    source: str
    said: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a domain. What was not looked at is None or empty, and then unknown.

    senders  what SPF gives the servers that are known to send
    keys     what stands at the selectors that are known
    proofs   by row
    """

    domain: str
    spf: Tree | None = None
    senders: Sequence[Verdict] = ()
    keys: Sequence[dkim.Found] = ()
    dmarc: dmarc.Found | None = None
    proofs: Mapping[str, Proof] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A row, judged. `source` says by what: dns, or where the proof comes from; empty while unknown."""

    id: str
    value: Value
    reason: Sentence
    fix: Sentence | None = None
    source: str = ""

    @property
    def row(self) -> Row:
        return ROWS[self.id]

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.row.title,
            "value": str(self.value),
            "reason": str(self.reason),
            "fix": str(self.fix) if self.fix else "",
            "standard": self.row.standard,
            "source": self.source,
            "settles": list(self.row.settles),
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one provider would say. `failing` and `missing` name rows; with alternatives, all of a group."""

    provider: Provider
    value: Value
    failing: tuple[str, ...]
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"value": str(self.value), "failing": list(self.failing), "missing": list(self.missing)}


def checks(facts: Facts) -> dict[str, Check]:
    """Return every row judged."""
    found = {row: _FROM_DNS[row](facts) if row in _FROM_DNS else _unknown(row) for row in ROWS}
    if found["dkim_key"].value is Value.FAIL:  # what has no key cannot be signed
        found["dkim_signed"] = _disproven("dkim_signed", found["dkim_key"].reason, found["dkim_key"].fix)
    if found["spf_record"].value is Value.FAIL and not facts.senders:
        found["spf_sender"] = _disproven("spf_sender", found["spf_record"].reason, found["spf_record"].fix)
    return {row: _with_proof(check, facts.proofs.get(row)) for row, check in found.items()}


def judge(found: Mapping[str, Check], *, bulk: bool = True) -> dict[Provider, Judgement]:
    """Return each provider's verdict over judged rows, by its rules for bulk senders or for all."""
    return {provider: _judged(provider, required, found) for provider, required in _rules(bulk).items()}


def _rules(bulk: bool) -> Mapping[Provider, Required]:
    return BULK_RULES if bulk else FEW_RULES


def required_by(row: str, *, bulk: bool = True) -> tuple[Provider, ...]:
    """Return who asks for a row."""
    return tuple(provider for provider, groups in _rules(bulk).items() if any(row in group for group in groups))


def report(facts: Facts) -> dict[str, Any]:
    """Return rows and verdicts as plain data, for pages and the API."""
    found = checks(facts)
    return {
        "domain": facts.domain,
        "checks": [one.as_json() | {"required_by": list(map(str, required_by(one.id)))} for one in found.values()],
        "providers": {str(provider): one.as_json() for provider, one in judge(found).items()},
    }


def _judged(provider: Provider, required: Required, found: Mapping[str, Check]) -> Judgement:
    groups = [(group, {found[row].value for row in group}) for group in required]
    failing = tuple(row for group, values in groups if values == {Value.FAIL} for row in group)
    open_rows = [
        row
        for group, values in groups
        if Value.PASS not in values and Value.UNKNOWN in values
        for row in group
        if found[row].value is Value.UNKNOWN
    ]
    value = Value.FAIL if failing else Value.UNKNOWN if open_rows else Value.PASS
    return Judgement(provider, value, failing, tuple(open_rows))


def spam_rate(rate: float, *, at: datetime | None = None) -> Proof:
    """Return what a share of spam reports proves. Between the two lines of Gmail nothing is proven."""
    value = Value.PASS if rate < GOOD_SPAM_RATE else Value.FAIL if rate >= BAD_SPAM_RATE else Value.UNKNOWN
    return Proof(value, "postmaster", f"{100 * rate:.2f} %", at)


# Rows


def _unknown(row: str) -> Check:
    return Check(row, Value.UNKNOWN, Sentence(f"{row}-missing", ROWS[row].missing))


def _proven(row: str, template: str, **params: str | int) -> Check:
    return Check(row, Value.PASS, Sentence(f"{row}-pass", template, params), source="dns")


def _disproven(row: str, reason: Sentence, fix: Sentence | None) -> Check:
    return Check(row, Value.FAIL, reason, fix if fix and str(fix) else None, "dns")


def _worst(findings: Sequence[Finding]) -> Finding | None:
    return next((one for one in findings if one.level is Level.ERROR), None)


def _spf_record(facts: Facts) -> Check:
    tree = facts.spf
    if tree is None:
        return _unknown("spf_record")
    worst = _worst(tree.findings)
    if worst is None and tree.voids > MOST_VOIDS:
        worst = next((one for one in tree.findings if one.id == "spf-voids"), None)
    if worst is not None:
        return _disproven("spf_record", worst.said, worst.fix)
    if tree.policy is None or not tree.was_read_whole:
        return _unknown("spf_record")
    return _proven(
        "spf_record",
        gettext_noop("One record, %(lookups)s of 10 look-ups, %(voids)s without an answer."),
        lookups=tree.lookups,
        voids=tree.voids,
    )


def _spf_sender(facts: Facts) -> Check:
    results = [one.result for one in facts.senders]
    if bad := next((one for one in results if one not in ("pass", "temperror")), ""):
        reason = Sentence("spf_sender-fail", gettext_noop("A server that sends gets %(result)s."), {"result": bad})
        fix = Sentence("spf_sender-fix", gettext_noop("Include the sending service in the SPF record."))
        return _disproven("spf_sender", reason, fix)
    if not results or "temperror" in results:
        return _unknown("spf_sender")
    return _proven("spf_sender", gettext_noop("Every server that is known to send is allowed."))


def _dkim_key(facts: Facts) -> Check:
    usable = next((one for one in facts.keys if one.is_usable), None)
    if usable is not None and usable.key is not None:
        return _proven(
            "dkim_key", gettext_noop("%(name)s holds a key of %(bits)s bits."), name=usable.name, bits=usable.key.bits
        )
    worst = [_worst(one.findings) for one in facts.keys]
    if not worst or None in worst:
        return _unknown("dkim_key")
    assert worst[0] is not None
    return _disproven("dkim_key", worst[0].said, worst[0].fix)


def _dmarc_record(facts: Facts) -> Check:
    found = facts.dmarc
    if found is None or not found.answer.says:
        return _unknown("dmarc_record")
    if found.policy is None or not found.policy.has_policy:
        worst = next(one for one in found.findings if one.level is Level.ERROR or one.id == "dmarc-policy")
        return _disproven("dmarc_record", worst.said, worst.fix)
    return _proven("dmarc_record", gettext_noop("One record with p=%(policy)s."), policy=found.policy.p)


_FROM_DNS: Mapping[str, Callable[[Facts], Check]] = {
    "spf_record": _spf_record,
    "spf_sender": _spf_sender,
    "dkim_key": _dkim_key,
    "dmarc_record": _dmarc_record,
}


def _with_proof(check: Check, proof: Proof | None) -> Check:
    """Let evidence settle what DNS leaves open. What DNS disproves stays disproven, whatever was seen earlier."""
    if proof is None or check.value is not Value.UNKNOWN or proof.source not in check.row.settles:
        return check
    if proof.value is Value.UNKNOWN:
        return Check(check.id, Value.UNKNOWN, _shown(check, proof), source="")
    return Check(check.id, proof.value, _shown(check, proof), source=proof.source)


def _shown(check: Check, proof: Proof) -> Sentence:
    said = {"said": proof.said or str(proof.value)}
    return Sentence(f"{check.id}-{proof.source}", _SHOWN[proof.source], said)


_SHOWN = {
    "message": gettext_noop("A received test message shows: %(said)s."),
    "postmaster": gettext_noop("Postmaster Tools show: %(said)s."),
    "reports": gettext_noop("Receivers report: %(said)s."),
    "tool": gettext_noop("The sending tool is set so: %(said)s."),
}
