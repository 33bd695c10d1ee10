"""The tables of rules: ids that are stable and one of a kind, sentences that can be filled, a standard for each."""

from __future__ import annotations

import re

import pytest

from infra.dns import dkim, dmarc, mx, plan, tls
from infra.dns.findings import Finding, Level, Rule, has_error, unique
from infra.dns.spf import tree

TABLES = {
    "spf": tree.RULES,
    "dkim": dkim.RULES,
    "dmarc": dmarc.RULES,
    "mx": mx.RULES,
    "tls": tls.RULES,
    "plan": plan.RULES,
}
RULES = [(key, rule) for rules in TABLES.values() for key, rule in rules.table.items()]


def test_no_id_stands_for_two_things() -> None:
    assert len({key for key, _ in RULES}) == len(RULES)


@pytest.mark.parametrize("key, rule", RULES, ids=[key for key, _ in RULES])
def test_a_rule_names_its_standard_and_what_to_do(key: str, rule: Rule) -> None:
    def names(template: str) -> set[str]:
        return set(re.findall(r"%\((\w+)\)s", template))

    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", key)
    assert re.match(r"RFC \d{4}|Google |-", rule.standard)
    assert rule.fix or rule.level is Level.ADVICE, "what is wrong has a way out"
    assert names(rule.fix) <= names(rule.said) | {"domain", "name", "names", "other"}
    assert rule.said.endswith(".")


def test_a_finding_is_a_filled_rule() -> None:
    found = dkim.RULES.finding("dkim-short", name="s._domainkey.acme.example", bits=512)

    assert found.as_json() == {
        "id": "dkim-short",
        "level": "error",
        "standard": "RFC 8301, 3.2",
        "said": "The key at s._domainkey.acme.example has 512 bits; receivers refuse less than 1024.",
        "fix": "Let the sending service make a key of 2048 bits.",
    }


def test_the_same_finding_counts_once() -> None:
    one = tls.RULES.finding("sts-none", domain="a.example")
    other = tls.RULES.finding("sts-none", domain="b.example")
    findings: tuple[Finding, ...] = (one, other, tls.RULES.finding("sts-none", domain="a.example"))

    assert unique(findings) == (one, other)
    assert not has_error(findings)
