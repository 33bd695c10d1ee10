"""The kill switch: whether anything that costs money may be sent."""

from __future__ import annotations

from infra.models import Flag


def purchases_paused(platform: str) -> bool:
    """Tell whether an operator has paused purchases, for this platform or for all."""
    return Flag.objects.filter(key__in=["purchases", f"purchases:{platform}"], phase=Flag.Phase.OFF).exists()
