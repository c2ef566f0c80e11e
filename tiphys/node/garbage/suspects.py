"""Memory of what looks orphaned, and for how long. Pure.

What belongs to a pod that is just being started can exist before anybody knows whose it is, so it goes only after it was without an owner
in all looks of a while.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Suspects(msgspec.Struct):
    """Names of one kind, each with the monotonic time of the first look at which it had no owner."""

    since: dict[str, float] = {}

    def ripe(self, ownerless: Iterable[str], now: float, patience: float) -> list[str]:
        """Note the names without an owner; returns those that had none for `patience` seconds. One that is missing once begins anew."""
        self.since = {name: self.since.get(name, now) for name in ownerless}
        return sorted(name for name, first in self.since.items() if now - first >= patience)
