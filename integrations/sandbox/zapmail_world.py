"""What Zapmail holds."""

from dataclasses import dataclass


@dataclass
class ZapmailState:
    """What the platform holds."""
