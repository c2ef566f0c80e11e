"""Pressure on the node: thresholds that are met, for how long, and the conditions that the Node shows. Pure ("Node-pressure Eviction")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tiphys.node.eviction.thresholds import CONDITIONS, SIGNALS, Condition, Signal, Threshold

NEAR = 1.5
"""Multiple of a threshold below which a signal is worth looking at more often."""


class Level(msgspec.Struct, frozen=True):
    """Level of one signal: bytes, inodes or processes."""

    available: int
    capacity: int


Levels = Mapping[Signal, Level]
"""Signals that could be measured."""


class Shown(msgspec.Struct):
    """Conditions that the Node shows at present, for all who ask."""

    conditions: tuple[Condition, ...] = ()


class Pressure(msgspec.Struct, frozen=True):
    """State between two looks. Times are seconds on a clock of the caller's."""

    since: Mapping[Threshold, float] = {}
    """Time since which each threshold has been met."""
    seen: Mapping[Condition, float] = {}
    """Time at which a threshold of each condition was last met."""
    acting: tuple[Threshold, ...] = ()
    """Thresholds that are met and whose grace is over, the first to deal with first."""
    conditions: tuple[Condition, ...] = ()
    """Conditions that hold, or held within the transition period."""


def is_met(threshold: Threshold, levels: Levels, *, acting: bool = False) -> bool:
    """True if too little is available. A threshold that is `acting` is met until its minimum reclaim is reached, too."""
    level = levels.get(threshold.signal)
    if level is None:
        return False
    return level.available < (threshold.goal(level.capacity) if acting else threshold.below.of(level.capacity))


def advance(before: Pressure, thresholds: Sequence[Threshold], levels: Levels, *, now: float, transition: float) -> Pressure:
    """Return the pressure after a look at the levels. `transition` is how long a condition outlasts its last sight, in seconds."""
    met = [one for one in thresholds if is_met(one, levels, acting=one in before.acting)]
    since = {one: before.since.get(one, now) for one in met}
    present = {CONDITIONS[one.resource] for one in met}
    seen = {condition: at for condition, at in before.seen.items() if now - at < transition} | dict.fromkeys(present, now)
    acting = sorted((one for one in met if now - since[one] >= one.grace), key=_urgency)
    return Pressure(since, seen, tuple(acting), tuple(condition for condition in _ORDER if condition in seen))


_ORDER: tuple[Condition, ...] = tuple(dict.fromkeys(CONDITIONS.values()))


def _urgency(threshold: Threshold) -> tuple[int, float]:
    return SIGNALS.index(threshold.signal), threshold.grace


def is_near(thresholds: Iterable[Threshold], levels: Levels) -> bool:
    """True if some signal is not far above a threshold, or below it."""
    return any(
        (level := levels.get(one.signal)) is not None and level.available < NEAR * one.below.of(level.capacity) for one in thresholds
    )


def shortfall(threshold: Threshold, levels: Levels) -> int:
    """Return how much has to be freed for the threshold to be left."""
    level = levels.get(threshold.signal)
    return max(threshold.goal(level.capacity) - level.available, 0) if level is not None else 0
