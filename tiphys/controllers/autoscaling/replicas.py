"""Number of replicas that a metric asks for. Pure ("Horizontal Pod Autoscaling", algorithm details).

All values are in thousandths. Where a metric is measured at pods, what is not known is assumed in the way that changes least: pods without
a sample use all they may when replicas would go, and nothing when replicas would come; pods that are on their way use nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import NamedTuple

from tiphys.controllers.autoscaling.pods import Groups, Sample

MOST = (1 << 31) - 1
"""Highest number of replicas, and of percent, that the API can hold."""


class NoMetrics(Exception):
    """There is nothing to conclude from; the text says why."""


class Tolerance(NamedTuple):
    """Share of the target by which a metric may lie below and above it without consequences."""

    below: float
    above: float

    def covers(self, ratio: float) -> bool:
        """True if the metric is near enough to its target."""
        return 1.0 - self.below <= ratio <= 1.0 + self.above


class Use(NamedTuple):
    """Replicas that a metric asks for, with the use that they follow from."""

    replicas: int
    average: int
    """Use per pod, or the value of a metric that has one alone."""
    utilization: int | None = None
    """Use as a percentage of what pods request."""


def of_utilization(
    samples: Mapping[str, Sample], groups: Groups, requests: Mapping[str, int], *, target: int, current: int, tolerance: Tolerance
) -> Use:
    """Return the replicas at which pods use the target percentage of their requests. Raises NoMetrics."""
    known = _counted(samples, groups)

    def share(values: Mapping[str, int]) -> int:
        requested = sum(requests[name] for name in values if name in requests)
        if not requested:
            raise NoMetrics("no metrics returned matched known pods")
        return sum(value for name, value in values.items() if name in requests) * 100 // requested

    assumed = {name: requests.get(name, 0) * max(100, target) // 100 for name in groups.missing}
    utilization = max(-MOST, min(share(known), MOST))
    average = sum(known.values()) // len(known)
    return Use(_proposed(known, groups, assumed, lambda values: share(values) / target, current, tolerance), average, utilization)


def of_average(samples: Mapping[str, Sample], groups: Groups, *, target: int, current: int, tolerance: Tolerance) -> Use:
    """Return the replicas at which pods have the target value on average. Raises NoMetrics."""
    known = _counted(samples, groups)

    def mean(values: Mapping[str, int]) -> int:
        return sum(values.values()) // len(values)

    assumed = dict.fromkeys(groups.missing, target)
    return Use(_proposed(known, groups, assumed, lambda values: mean(values) / target, current, tolerance), mean(known))


def of_value(value: int, *, target: int, current: int, ready: int, tolerance: Tolerance) -> Use:
    """Return the replicas for one value that belongs to all pods together, of which `ready` share it now."""
    ratio = value / target
    if not current:
        return Use(min(ceil(ratio), MOST), value)
    return Use(current if tolerance.covers(ratio) else min(ceil(ratio * ready), MOST), value)


def of_value_per_pod(value: int, *, target: int, counted: int, tolerance: Tolerance) -> Use:
    """Return the replicas at which each has the target share of one value; `counted` is the number of replicas that were counted."""
    proposal = min(ceil(value / target), MOST)
    if not counted:
        return Use(proposal, value)
    replicas = counted if tolerance.covers(value / (target * counted)) else proposal
    return Use(replicas, -(-value // counted))


def _counted(samples: Mapping[str, Sample], groups: Groups) -> dict[str, int]:
    known = {name: sample.value for name, sample in samples.items() if name not in groups.ignored and name not in groups.unready}
    if not known:
        raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
    return known


def _proposed(
    known: Mapping[str, int],
    groups: Groups,
    assumed: Mapping[str, int],
    ratio_of: Callable[[Mapping[str, int]], float],
    current: int,
    tolerance: Tolerance,
) -> int:
    """Return the replicas for the values of pods; `assumed` are those of missing pods where replicas would go."""
    ratio = ratio_of(known)
    rises = ratio > 1.0
    if not groups.missing and not (rises and groups.unready):
        return current if tolerance.covers(ratio) else min(ceil(ratio * groups.ready), MOST)
    values = dict(known)
    if ratio < 1.0:
        values |= assumed
    elif rises:
        values |= dict.fromkeys(groups.missing | groups.unready, 0)
    again = ratio_of(values)
    if tolerance.covers(again) or (again > 1.0) != rises:
        return current  # What is not known could turn the direction round.
    replicas = min(ceil(again * len(values)), MOST)
    return replicas if (replicas >= current) == rises else current
