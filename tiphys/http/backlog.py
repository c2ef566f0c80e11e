"""Memory of unread answers and watches, bounded over all connections together.

Each connection has its own bounds (`connection`, `watchers`); those of thousands add up. Where the sum passes the budget, the connections
that hold most and whose readers take nothing are cut, until the rest fits: their clients resume a watch, or ask again.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

log = logging.getLogger(__name__)

BUDGET = 64 << 20
"""Bytes that unread answers may hold in sum."""
PATIENCE = 1.0
"""Seconds without any progress after which a reader counts as one that does not read. Past twice the budget nobody has that long."""
CHECK_SECONDS = 1.0
CHECK_BYTES = 16 << 20
"""Bytes of answers that begin to wait after which the sum is looked at without waiting for the second to pass."""

T = TypeVar("T")


class Unread(NamedTuple):
    """Bytes that one connection holds for a reader that does not keep up."""

    own: int
    """Bytes that it holds alone."""
    shared: int
    """Bytes of something that others may hold, too."""
    source: Hashable
    """Key of shared bytes: of those with the same source, the one that holds most holds it all."""
    stalled: float
    """Seconds since its reader took something."""

    @property
    def size(self) -> int:
        return self.own + self.shared


def total(unread: Iterable[Unread]) -> int:
    """Bytes held in total; shared ones count once."""
    own = 0
    shared: dict[Hashable, int] = {}
    for one in unread:
        own += one.own
        if one.shared > shared.get(one.source, 0):
            shared[one.source] = one.shared
    return own + sum(shared.values())


def laggards(waiting: Sequence[tuple[T, Unread]], budget: int = BUDGET) -> list[T]:
    """Return the connections to cut so that the rest fits the budget: those that hold most first, a tenth at a time."""
    rest = sorted(waiting, key=lambda pair: pair[1].size)
    cut: list[T] = []
    while rest and (held := total(unread for _, unread in rest)) > budget:
        patience = PATIENCE if held <= 2 * budget else 0.0
        idle = [pair for pair in rest if pair[1].stalled >= patience]
        if not idle:
            break
        chosen = idle[-max(1, len(idle) // 10) :]
        cut += [one for one, _ in chosen]
        gone = {id(one) for one, _ in chosen}
        rest = [pair for pair in rest if id(pair[0]) not in gone]
    return cut


class Waiting(Protocol):
    """A connection whose reader does not keep up."""

    def unread(self, now: float) -> Unread: ...

    def abort(self) -> None: ...


class Backlog:
    """The connections of a server that wait for their readers."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.waiting: dict[Waiting, None] = {}
        self.cut = 0
        """Number of connections that were cut."""
        self._begun = 0

    def begin(self, connection: Waiting, size: int) -> bool:
        """A connection begins to wait with an answer of this size; returns whether the sum should be looked at now."""
        self.waiting[connection] = None
        self._begun += size
        return self._begun > CHECK_BYTES

    def end(self, connection: Waiting) -> None:
        """It waits no more, or is gone."""
        self.waiting.pop(connection, None)

    def check(self, now: float) -> None:
        """Cut those who hold too much; `now` is monotonic."""
        self._begun = 0
        if not self.waiting:
            return
        chosen = laggards([(connection, connection.unread(now)) for connection in self.waiting], self.budget)
        for connection in chosen:
            self.end(connection)
            connection.abort()
        if chosen:
            self.cut += len(chosen)
            log.warning("connections cut: together their clients left too much unread", extra={"connections": len(chosen)})
