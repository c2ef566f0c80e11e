"""The pause before a container starts again: 10 s after its second end, doubled with each further one up to 5 min. Pure.

See "Container restarts" in "Pod Lifecycle"; a node may have a shorter longest pause (KEP-4603). After a life of 10 min it begins anew, and
so it does for another image or other resources.
"""

from __future__ import annotations

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery import ordered
from tiphys.node.pod.observed import SeenContainer
from tiphys.node.settings import LONGEST_BACKOFF

_encode = ordered.encoder("deterministic")

FIRST_BACKOFF = 10.0
MAX_BACKOFF = LONGEST_BACKOFF
FORGET_BACKOFF = 600.0


class Backoff(msgspec.Struct, frozen=True):
    """Delay of a container's next start, counted from its last end. Kept by `backoff_key` while the pod lives."""

    delay: float = 0.0
    ended: float = 0.0


def backoff_key(container: core.Container | core.EphemeralContainer) -> str:
    """Key of a container's back-off: its name, and everything whose change resets it."""
    resources = _encode(container.resources).decode()
    return f"{container.name} {container.image} {resources}"


def _lived_long(dead: SeenContainer) -> bool:
    # One that could not be started has no starting time.
    return dead.finished - (dead.started or dead.created) > FORGET_BACKOFF


def next_backoff(backoff: Backoff | None, dead: SeenContainer, longest: float = MAX_BACKOFF) -> Backoff:
    """The backoff after starting `dead`'s successor: it grows with every end up to the longest, and is reset after a long life."""
    if backoff is None or backoff.ended == 0.0 or _lived_long(dead):
        return Backoff(min(FIRST_BACKOFF, longest), dead.finished)
    return Backoff(min(backoff.delay * 2, longest), dead.finished)


def backoff_left(backoff: Backoff | None, dead: SeenContainer, now: float) -> float:
    """Seconds until `dead` may be started again; zero or less: now."""
    if backoff is None or _lived_long(dead):
        return 0.0
    return dead.finished + backoff.delay - now
