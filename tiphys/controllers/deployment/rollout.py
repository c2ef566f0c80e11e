"""Next sizes of a Deployment's ReplicaSets ("Rolling Update Deployment", "Proportional scaling"). Pure.

The two bounds of a rolling update:

    no more than  replicas + maxSurge           pods are there (terminating ones not counted), over all ReplicaSets;
    no fewer than replicas - maxUnavailable     are available at any time.

A ReplicaSet that was told to shrink may report pods that it is about to delete. It deletes those that are not ready first, so
min(asked for, available) of its pods will be there; only those are counted on. And until it has seen its new size, it may be about to
create pods that it does not report yet: nothing takes their room before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tiphys.api.apps import v1 as apps
from tiphys.controllers.deployment.history import DESIRED, MAXIMUM, number_of, oldest_first
from tiphys.controllers.shared.scaled import scaled

Sizes = dict[str, int]
"""Names of ReplicaSets to their desired numbers of pods."""


def size(replica_set: apps.ReplicaSet) -> int:
    """Return the desired number of replicas of a ReplicaSet."""
    return 1 if replica_set.spec.replicas is None else replica_set.spec.replicas


def desired_replicas(deployment: apps.Deployment) -> int:
    """Return the desired number of replicas of a Deployment."""
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def is_rolling(deployment: apps.Deployment) -> bool:
    return deployment.spec.strategy.type != "Recreate"


def bounds(deployment: apps.Deployment) -> tuple[int, int]:
    """Return maxSurge and maxUnavailable in pods; never both zero, since nothing could move then."""
    if not is_rolling(deployment):
        return 0, 0
    replicas, rolling = desired_replicas(deployment), deployment.spec.strategy.rollingUpdate
    surge = scaled(rolling.maxSurge if rolling else "25%", replicas, up=True)
    unavailable = scaled(rolling.maxUnavailable if rolling else "25%", replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def sure(replica_set: apps.ReplicaSet, replicas: int | None = None) -> int:
    """Return the number of available pods that remain when it has its desired size (or `replicas`)."""
    return min(size(replica_set) if replicas is None else replicas, replica_set.status.availableReplicas)


def is_behind(replica_set: apps.ReplicaSet) -> bool:
    """Return whether the status of a ReplicaSet is not about its present size yet, so that pods beyond that size may still appear."""
    return replica_set.status.observedGeneration < replica_set.metadata.generation


def rolling_sizes(deployment: apps.Deployment, new: apps.ReplicaSet | None, old: Sequence[apps.ReplicaSet]) -> Sizes:
    """Return the next sizes of a rolling update; the new ReplicaSet has the name "" while it does not exist."""
    replicas = desired_replicas(deployment)
    surge, unavailable = bounds(deployment)
    at_least = replicas - unavailable
    sizes = {replica_set.metadata.name: size(replica_set) for replica_set in old}
    new_size = size(new) if new is not None else 0
    _shrink_old(sizes, oldest_first(old), at_least, sure(new) if new is not None else 0)
    # Pods that an old ReplicaSet has yet to delete still take room, and those that it creates before it hears of its new size.
    room = replicas + surge - sum(max(size(replica_set), replica_set.status.replicas) for replica_set in old)
    if any(map(is_behind, old)) or (new is not None and is_behind(new)):
        # One that shrank and grows again before it has heard of either would still delete pods that count as available.
        room = 0
    new_size = replicas if new_size > replicas else max(new_size, min(room, replicas))
    return {**sizes, (new.metadata.name if new is not None else ""): new_size}


def _shrink_old(sizes: Sizes, old: Sequence[apps.ReplicaSet], at_least: int, new_available: int) -> None:
    """Shrink the old ReplicaSets as far as allowed: first by pods that are not available, then by available ones, the oldest first."""
    budget = sum(sizes.values()) + new_available - at_least
    for replica_set in old:
        name = replica_set.metadata.name
        unhealthy = sizes[name] - sure(replica_set)
        taken = min(max(budget, 0), unhealthy)
        sizes[name] -= taken
        budget -= taken
    spare = sum(sure(replica_set, sizes[replica_set.metadata.name]) for replica_set in old) + new_available - at_least
    for replica_set in old:
        name = replica_set.metadata.name
        taken = min(max(spare, 0), max(budget, 0), sizes[name])
        sizes[name] -= taken
        spare -= taken
        budget -= taken


def recreate_sizes(deployment: apps.Deployment, new: apps.ReplicaSet | None, old: Sequence[apps.ReplicaSet], *, running: bool) -> Sizes:
    """Return the next sizes of a Recreate: nothing new while old pods run. Without "" the new ReplicaSet must not be created yet."""
    sizes = {replica_set.metadata.name: 0 for replica_set in old}
    if running or any(size(replica_set) for replica_set in old):
        return {**sizes, new.metadata.name: size(new)} if new is not None else sizes
    return {**sizes, (new.metadata.name if new is not None else ""): desired_replicas(deployment)}


def was_scaled(deployment: apps.Deployment, replica_sets: Iterable[apps.ReplicaSet]) -> bool:
    """Return whether the Deployment's size changed since its ReplicaSets were sized."""
    replicas = desired_replicas(deployment)
    return any(size(replica_set) > 0 and number_of(replica_set, DESIRED) not in (None, replicas) for replica_set in replica_sets)


def proportional_sizes(deployment: apps.Deployment, new: apps.ReplicaSet | None, old: Sequence[apps.ReplicaSet]) -> Sizes:
    """Return the sizes after scaling, or during a pause: every active ReplicaSet grows or shrinks by its share, so that scaling
    in the middle of a rollout does not hasten it.
    """
    everything = [*old, new] if new is not None else list(old)
    sizes = {replica_set.metadata.name: size(replica_set) for replica_set in everything}
    active = [replica_set for replica_set in everything if size(replica_set) > 0]
    if len(active) <= 1:
        only = active[0] if active else new or (oldest_first(old)[-1] if old else None)
        if only is not None:
            sizes[only.metadata.name] = desired_replicas(deployment)
        return sizes
    if new is not None and _is_saturated(deployment, new):
        return {name: desired_replicas(deployment) if name == new.metadata.name else 0 for name in sizes}
    if is_rolling(deployment):
        _spread(deployment, active, sizes)
    return sizes


def _is_saturated(deployment: apps.Deployment, new: apps.ReplicaSet) -> bool:
    replicas = desired_replicas(deployment)
    return size(new) == replicas and number_of(new, DESIRED) == replicas and new.status.availableReplicas == replicas


def _spread(deployment: apps.Deployment, active: Sequence[apps.ReplicaSet], sizes: Sizes) -> None:
    replicas = desired_replicas(deployment)
    allowed = replicas + bounds(deployment)[0] if replicas else 0
    missing = allowed - sum(size(replica_set) for replica_set in active)
    if missing == 0:
        return
    # The largest first; of equals, growth favors the newest and shrinking the oldest.
    ordered = oldest_first(active)
    if missing > 0:
        ordered.reverse()
    ordered.sort(key=size, reverse=True)
    left = missing
    for replica_set in ordered:
        share = _share(deployment, replica_set)
        share = min(share, left) if missing > 0 else max(share, left)
        if (share > 0) != (missing > 0):
            continue
        sizes[replica_set.metadata.name] += share
        left -= share
    # Rounding leaves a rest; the largest takes it.
    largest = ordered[0].metadata.name
    sizes[largest] = max(sizes[largest] + left, 0)


def _share(deployment: apps.Deployment, replica_set: apps.ReplicaSet) -> int:
    """Return the change of a ReplicaSet when the Deployment is scaled from the size noted in its annotation to its present one."""
    replicas, current = desired_replicas(deployment), size(replica_set)
    if replicas == 0:
        return -current
    now = replicas + bounds(deployment)[0]
    before = number_of(replica_set, MAXIMUM) or deployment.status.replicas or current
    return (2 * current * now + before) // (2 * before) - current
