"""The stacks: an ordered tuple of steps each. One explicit table, by key and version."""

from __future__ import annotations

from ..engine.specs import StackSpec
from ..models import Run
from .zapmail import ZAPMAIL

STACKS: dict[str, StackSpec] = {ZAPMAIL.key: ZAPMAIL}

# Versions that open runs may still name; the newest stands in STACKS.
VERSIONS: dict[tuple[str, int], StackSpec] = {(stack.key, stack.version): stack for stack in STACKS.values()}


def stack_of(key: str, version: int) -> StackSpec:
    """Return the stack that a run began with. Raises KeyError."""
    return VERSIONS[key, version]


def pipeline_of(run: Run) -> StackSpec:
    """Return the steps that a run consists of, in its stack's version. Raises KeyError."""
    return stack_of(run.stack, run.stack_version).pipeline(run.pipeline)
