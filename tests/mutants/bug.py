"""What a bug put in on purpose is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """A realistic mistake, as an exact replacement in one file.

    key     its name, in figures and on the command line
    guards  what it breaks: a trap (T1) or an invariant (I1) of the specification, or a rule of the protocol (P)
    path    the file, from the project's folder
    before  text that stands in the file exactly once
    after   what stands there instead while the bug is in
    test    the test meant to catch it, as pytest names it
    """

    key: str
    guards: str
    path: str
    before: str
    after: str
    test: str
