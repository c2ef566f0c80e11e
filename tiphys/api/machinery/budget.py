"""Budgets of work that input multiplies: one for a request, which everything that it starts draws on."""

from __future__ import annotations


class Exhausted(Exception):
    """The work has taken more steps than it may."""


class Budget:
    """The steps that some work may still take."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take steps; raises Exhausted when there are not as many left."""
        self.left -= steps
        if self.left < 0:
            self.extend()

    def extend(self) -> None:
        """Add to a budget that is used up, or raise Exhausted."""
        raise Exhausted
