"""Pods as autoscaling sees them, and which of them count. Pure ("Horizontal Pod Autoscaling", algorithm details)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.durations import later
from tiphys.api.machinery.quantity import milli
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.autoscaling.slim import ScaledPod


class Sample(NamedTuple):
    """Value of a metric of one pod in thousandths, the end of the window it was measured in, and that window's length in seconds."""

    value: int
    at: datetime | None = None
    window: float = 60.0


class Groups(msgspec.Struct, frozen=True):
    """Pods by what is known of them."""

    ready: int
    """Number of pods whose samples count."""
    unready: frozenset[str]
    """Names of pods that are on their way: they use nothing yet."""
    missing: frozenset[str]
    """Names of pods without a sample."""
    ignored: frozenset[str]
    """Names of pods that go, or have failed."""


def grouped(
    pods: Iterable[ScaledPod], samples: Mapping[str, Sample], resource: str, now: datetime, settings: AutoscalingSettings
) -> Groups:
    """Group the pods of a workload. `resource` is the resource that was measured, "" for other metrics."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        name = pod.metadata.name
        sample = samples.get(name)
        if pod.metadata.deletionTimestamp is not None or pod.status.phase == "Failed":
            ignored.add(name)
        elif pod.status.phase == "Pending":
            unready.add(name)
        elif sample is None:
            missing.add(name)
        elif resource == "cpu" and _is_starting(pod, sample, now, settings):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(pod: ScaledPod, sample: Sample, now: datetime, settings: AutoscalingSettings) -> bool:
    """Return whether a pod is so young that the CPU it uses tells nothing about its work."""
    condition, started = ready_condition(pod), pod.status.startTime
    if condition is None or started is None or condition.lastTransitionTime is None:
        return True
    since, is_unready = condition.lastTransitionTime, condition.status == "False"
    if later(started, settings.cpu_initialization_period) > now:
        return is_unready or sample.at is None or sample.at < later(since, sample.window)
    return is_unready and later(started, settings.initial_readiness_delay) > since


def ready_condition(pod: ScaledPod) -> core.PodCondition | None:
    """Return the condition Ready of a pod."""
    return next((condition for condition in pod.status.conditions if condition.type == "Ready"), None)


def count_ready(pods: Iterable[ScaledPod]) -> int:
    """Return the number of pods that run and are ready."""
    ready = 0
    for pod in pods:
        condition = ready_condition(pod)
        ready += pod.status.phase == "Running" and condition is not None and condition.status == "True"
    return ready


def request_of(pod: ScaledPod, resource: str, container: str) -> int:
    """Return what a pod, or one container of it, requests of a resource, in thousandths.

    Raises LookupError where a request is missing, since a share of it means nothing then.
    """
    spec, name = pod.spec, pod.metadata.name
    if not container and spec.resources is not None and spec.resources.requests:
        if resource not in spec.resources.requests:
            raise LookupError(f"missing pod-level request for {resource} in Pod {name}")
        return milli(spec.resources.requests[resource])
    sidecars = [one for one in spec.initContainers if one.restartPolicy == "Always"]
    chosen = [one for one in (*spec.containers, *sidecars) if not container or one.name == container]
    if container and not chosen:
        raise LookupError(f"container {container} not found in Pod {name}")
    total = 0
    for one in chosen:
        if resource not in one.resources.requests:
            raise LookupError(f"missing request for {resource} in container {one.name} of Pod {name}")
        total += milli(one.resources.requests[resource])
    return total
