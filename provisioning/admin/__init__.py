"""Runs and what belongs to them, for the operator: rows to read, verbs to act. One file per model."""

from . import circuit, event, operation, run, step

__all__ = ["circuit", "event", "operation", "run", "step"]
