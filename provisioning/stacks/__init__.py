"""The stacks: an ordered tuple of steps each. One explicit table, by key and version."""

from __future__ import annotations

from ..engine.registrar import Registrar
from ..engine.specs import StackSpec
from ..models import Run
from .forge import FORGE
from .workspace import WORKSPACE
from .zapmail import ZAPMAIL

STACKS: dict[str, StackSpec] = {stack.key: stack for stack in (ZAPMAIL, FORGE, WORKSPACE)}

# Versions that open runs may still name; the newest stands in STACKS.
VERSIONS: dict[tuple[str, int], StackSpec] = {(stack.key, stack.version): stack for stack in STACKS.values()}


def stack_of(key: str, version: int) -> StackSpec:
    """Return the stack that a run began with. Raises KeyError."""
    return VERSIONS[key, version]


def registrar_of(key: str) -> Registrar:
    """Return where the names of a stack are asked for. Raises KeyError for a stack that sells none."""
    registrar = STACKS[key].registrar
    if registrar is None:
        raise KeyError(key)
    return registrar


def registrars() -> tuple[Registrar, ...]:
    """Return every registrar once."""
    return tuple({stack.registrar.platform: stack.registrar for stack in STACKS.values() if stack.registrar}.values())


def platforms() -> tuple[str, ...]:
    """Return every platform that some stack asks, once."""
    return tuple(dict.fromkeys(slug for stack in STACKS.values() for slug in stack.platforms))


def pipeline_of(run: Run) -> StackSpec:
    """Return the steps that a run consists of, in its stack's version. Raises KeyError."""
    return stack_of(run.stack, run.stack_version).pipeline(run.pipeline)
