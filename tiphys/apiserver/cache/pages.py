"""Expiry of lists in pages ("Retrieving large results sets in chunks": continue tokens expire after a while).

The store may remember a snapshot for longer, depending on later writes. Clients get the same answer from every server:
after eight minutes a token of a state that is not the newest any more is answered with 410 and a token for the rest.
"""

from __future__ import annotations

PAGES_SECONDS = 480.0
_STEP = 10


class Pages:
    """Times at which lists were begun, by the revision that they show, in seconds since the epoch."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        self._over = -1

    def begun(self, revision: int, now: float) -> None:
        """A list at this revision hands out a token."""
        self._begun[int(now) // _STEP] = revision
        if len(self._begun) > 2 * PAGES_SECONDS / _STEP:
            self.is_over(revision, now)  # Nobody asked for a second page in the meantime.

    def is_over(self, revision: int, now: float) -> bool:
        """Return whether tokens of lists at this revision have expired."""
        for step in tuple(self._begun):
            if (step + 1) * _STEP + PAGES_SECONDS > now:
                break
            self._over = max(self._over, self._begun.pop(step))
        return revision <= self._over
