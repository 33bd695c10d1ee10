"""How what was ordered is built, as rows."""

from .gate import Circuit, Collection, Flight, Heartbeat, Permit, Timing
from .operation import Capture, Operation, OperationItem
from .run import ACTIVE_RUN, BUILDS, NOT_BUILT, OPEN_STEP, Event, Run, Step

__all__ = [
    "ACTIVE_RUN",
    "BUILDS",
    "NOT_BUILT",
    "OPEN_STEP",
    "Capture",
    "Circuit",
    "Collection",
    "Event",
    "Flight",
    "Heartbeat",
    "Operation",
    "OperationItem",
    "Permit",
    "Run",
    "Step",
    "Timing",
]
