"""What is wrong with a record, or worth a word: a stable id, how bad it is, the standard, what was found and what to do.

Each module keeps a table of its rules; `Rules.finding` fills one in. Sentences are English templates for translators.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infra.naming import Sentence


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"  # receivers reject the record, or mail
    WARNING = "warning"  # it works, until something changes
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing that can be found. `said` and `fix` are templates over the same parameters."""

    level: Level
    standard: str
    said: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A thing that was found. `id` is stable: pages, help and the API go by it."""

    id: str
    level: Level
    standard: str
    said: Sentence
    fix: Sentence

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "level": str(self.level),
            "standard": self.standard,
            "said": str(self.said),
            "fix": str(self.fix),
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """A module's table of rules by id."""

    table: Mapping[str, Rule]

    def finding(self, key: str, **params: str | int) -> Finding:
        """Return a finding of that id. Raises KeyError."""
        rule = self.table[key]
        return Finding(
            key, rule.level, rule.standard, Sentence(key, rule.said, params), Sentence(key, rule.fix, params)
        )


def unique(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings in their order, each once."""
    return tuple({(one.id, str(one.said)): one for one in findings}.values())


def has_error(findings: Iterable[Finding]) -> bool:
    return any(one.level is Level.ERROR for one in findings)
