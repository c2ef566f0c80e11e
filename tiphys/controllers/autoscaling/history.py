"""Record of what an autoscaler recommended and did lately, and the bounds that follow now. Pure.

See "Horizontal Pod Autoscaling", scaling policies. It is kept in memory alone, as upstream does: after a restart scaling is free until
there is a history again, but for the number of replicas found, which counts as the first recommendation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import ceil
from typing import NamedTuple

from tiphys.api.autoscaling import v2

LONGEST = 3600.0
"""Longest window and period, in seconds, that the API allows."""
_FREELY = 4
"""Replicas up to which an autoscaler without a behavior grows at once; beyond it doubles at most."""


class Verdict(NamedTuple):
    """Number of replicas, with the reason and message of a condition."""

    replicas: int
    reason: str
    message: str


class _Entry(NamedTuple):
    at: float
    replicas: int


_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_READY = ("ReadyForNewScale", "recommended size matches current size")
_HELD_DOWN = ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
_HELD_UP = ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")


class History:
    """History of one autoscaler. Times are seconds on any clock that only goes forward."""

    def __init__(self) -> None:
        self._recommendations: deque[_Entry] = deque()
        self._changes: deque[_Entry] = deque()
        """Replicas that came (positive) or went, by the autoscaler's own doing."""

    def begin(self, now: float, replicas: int) -> None:
        """Note the number of replicas that was found, unless there is a history already."""
        if not self._recommendations:
            self._recommendations.append(_Entry(now, replicas))

    def note_change(self, now: float, change: int) -> None:
        """Note that replicas came or went."""
        self._changes.append(_Entry(now, change))
        _forget(self._changes, now)

    def stabilized(self, now: float, proposal: int, current: int, *, up: float, down: float) -> Verdict:
        """Note a recommendation; return the one to follow, given the windows in seconds for more and for fewer replicas."""
        lowest = min([proposal, *self._since(now - up)])
        highest = max([proposal, *self._since(now - down)])
        self._recommendations.append(_Entry(now, proposal))
        _forget(self._recommendations, now)
        replicas = min(max(current, lowest), highest)
        if replicas == proposal:
            return Verdict(replicas, *_READY)
        return Verdict(replicas, *(_HELD_DOWN if proposal >= current else _HELD_UP))

    def held_up(self, now: float, proposal: int, *, window: float) -> Verdict:
        """Note a recommendation; return the highest of the last `window` seconds, which autoscalers without a behavior follow."""
        highest = max([proposal, *self._since(now - window)])
        self._recommendations.append(_Entry(now, proposal))
        _forget(self._recommendations, now)
        return Verdict(highest, *(_READY if highest == proposal else _HELD_UP))

    def _since(self, moment: float) -> list[int]:
        return [entry.replicas for entry in self._recommendations if entry.at > moment]

    def limited(
        self, now: float, proposal: int, current: int, *, least: int, most: int, behavior: v2.HorizontalPodAutoscalerBehavior
    ) -> Verdict:
        """Return how far the policies of a behavior let the number of replicas go now."""
        if proposal > current and behavior.scaleUp is not None:
            fastest = max(current, self._bound(now, current, behavior.scaleUp, 1))
            return _capped(proposal, most, fastest)
        if proposal < current and behavior.scaleDown is not None:
            fastest = min(current, self._bound(now, current, behavior.scaleDown, -1))
            bound, why = (fastest, _TOO_FAST_DOWN) if fastest > least else (least, _TOO_FEW)
            return Verdict(bound, *why) if proposal < bound else Verdict(proposal, *_WITHIN)
        return Verdict(proposal, *_WITHIN)

    def _bound(self, now: float, current: int, rules: v2.HPAScalingRules, sign: int) -> int:
        """Return the number of replicas that policies allow in one direction."""
        if rules.selectPolicy == "Disabled":
            return current
        bounds = [self._policy_bound(now, current, policy, sign) for policy in rules.policies]
        choose: Callable[[Iterable[int]], int] = max if (sign > 0) != (rules.selectPolicy == "Min") else min
        return choose(bounds) if bounds else current

    def _policy_bound(self, now: float, current: int, policy: v2.HPAScalingPolicy, sign: int) -> int:
        changed = sum(change for at, change in self._changes if at > now - policy.periodSeconds)
        begun_with = current - changed
        if policy.type == "Pods":
            return begun_with + sign * policy.value
        exact = begun_with * (100 + sign * policy.value)
        # Upwards a fraction counts as a whole replica, or small workloads would never grow.
        return ceil(exact / 100) if sign > 0 else int(exact / 100)


def plainly_limited(proposal: int, current: int, *, least: int, most: int) -> Verdict:
    """Return how far an autoscaler without a behavior goes at once: to four replicas, or twice as many."""
    if proposal < least:
        return Verdict(least, *_TOO_FEW)
    return _capped(proposal, most, max(2 * current, _FREELY))


def _capped(proposal: int, most: int, fastest: int) -> Verdict:
    bound, why = (fastest, _TOO_FAST_UP) if fastest < most else (most, _TOO_MANY)
    return Verdict(bound, *why) if proposal > bound else Verdict(proposal, *_WITHIN)


def _forget(entries: deque[_Entry], now: float) -> None:
    while entries[0].at < now - LONGEST:
        entries.popleft()
