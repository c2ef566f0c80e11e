"""Availability of pods by time alone (`minReadySeconds`). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tiphys.api.helpers.pods import PodLike, available_at


def next_available(pods: Iterable[PodLike], min_ready_seconds: int, now: datetime) -> float | None:
    """Return the seconds until the next ready pod becomes available, None when none will."""
    if not min_ready_seconds:
        return None
    waits = []
    for pod in pods:
        moment = available_at(pod, min_ready_seconds)
        if moment is not None and moment > now:
            waits.append((moment - now).total_seconds())
    return min(waits, default=None)
