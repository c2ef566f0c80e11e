"""Next step of a Deployment, as data ("Deployments"). Pure.

One step resizes ReplicaSets, creates the one for a new template, deletes old ones and gives the status. A step depends only on what
is observed, so a controller that starts anew goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.controllers.deployment import history, rollout
from tiphys.controllers.deployment import status as states


@dataclass(frozen=True, slots=True)
class Change:
    """ReplicaSet to write, and the event about it ("" for none)."""

    replica_set: apps.ReplicaSet
    event: str = ""


@dataclass(slots=True)
class Plan:
    """Next step of a Deployment."""

    create: Change | None = None
    updates: list[Change] = field(default_factory=list)
    deletes: list[apps.ReplicaSet] = field(default_factory=list)
    revision: str = ""
    """Revision that the Deployment should carry, "" to leave it."""
    status: apps.DeploymentStatus = field(default_factory=apps.DeploymentStatus)
    after: float | None = None
    """Seconds until the progress deadline must be checked."""


def plan(deployment: apps.Deployment, replica_sets: Sequence[apps.ReplicaSet], *, old_pods_running: bool, now: datetime) -> Plan:
    """Plan the next step. `old_pods_running` says whether pods of another template exist, terminating ones included (for Recreate)."""
    new = history.find_new(deployment, replica_sets)
    old = [replica_set for replica_set in replica_sets if replica_set is not new]
    result = Plan()
    if deployment.metadata.deletionTimestamp is not None:
        result.status = _counted(deployment, replica_sets, new, _sizes(replica_sets), now)
        return result
    scaling = deployment.spec.paused or rollout.was_scaled(deployment, replica_sets)
    if scaling:
        sizes = rollout.proportional_sizes(deployment, new, old)
    elif rollout.is_rolling(deployment):
        sizes = rollout.rolling_sizes(deployment, new, old)
    else:
        sizes = rollout.recreate_sizes(deployment, new, old, running=old_pods_running)
    _write_sets(result, deployment, new, old, sizes, resized=scaling)
    _write_status(result, deployment, replica_sets, new, sizes, scaling=scaling, now=now)
    if deployment.spec.paused or (not scaling and states.is_complete(deployment, deployment.status)):
        result.deletes = _forgettable(deployment, old)
    return result


def _sizes(replica_sets: Sequence[apps.ReplicaSet]) -> rollout.Sizes:
    return {replica_set.metadata.name: rollout.size(replica_set) for replica_set in replica_sets}


def _write_sets(
    result: Plan,
    deployment: apps.Deployment,
    new: apps.ReplicaSet | None,
    old: Sequence[apps.ReplicaSet],
    sizes: rollout.Sizes,
    *,
    resized: bool,
) -> None:
    """Fill in `create`, `updates` and `revision`."""
    newest = max((history.revision(replica_set) for replica_set in old), default=0) + 1
    if new is None and "" in sizes:
        new_set = _make(deployment, sizes[""], newest)
        event = f"Scaled up replica set {new_set.metadata.name} from 0 to {sizes['']}" if sizes[""] else ""
        result.create = Change(new_set, event)
        result.revision = new_set.metadata.annotations[history.REVISION]
    # Only the new ReplicaSet follows the Deployment in its annotations and in how long pods must be ready.
    for replica_set in old:
        annotations, min_ready = replica_set.metadata.annotations, replica_set.spec.minReadySeconds
        _resize(result, deployment, replica_set, annotations, min_ready, sizes, note_size=resized)
    if new is not None:
        annotations = history.annotations_for(deployment, new, newest)
        _resize(result, deployment, new, annotations, deployment.spec.minReadySeconds, sizes, note_size=resized)
        result.revision = annotations.get(history.REVISION, "")


def _resize(
    result: Plan,
    deployment: apps.Deployment,
    replica_set: apps.ReplicaSet,
    annotations: dict[str, str],
    min_ready_seconds: int,
    sizes: rollout.Sizes,
    *,
    note_size: bool,
) -> None:
    """Add an update for a ReplicaSet whose size or annotations should change."""
    name, before = replica_set.metadata.name, rollout.size(replica_set)
    after = sizes[name]
    if before != after or (note_size and (before or after)):
        replicas = rollout.desired_replicas(deployment)
        annotations = history.with_size_annotations(annotations, replicas, replicas + rollout.bounds(deployment)[0])
    meta = msgspec.structs.replace(replica_set.metadata, annotations=annotations)
    spec = msgspec.structs.replace(replica_set.spec, replicas=after, minReadySeconds=min_ready_seconds)
    if meta == replica_set.metadata and spec == replica_set.spec:
        return
    event = f"Scaled {'up' if after > before else 'down'} replica set {name} from {before} to {after}" if after != before else ""
    result.updates.append(Change(msgspec.structs.replace(replica_set, metadata=meta, spec=spec), event))


def _make(deployment: apps.Deployment, replicas: int, revision: int) -> apps.ReplicaSet:
    """Create the ReplicaSet for the Deployment's template; the caller adds the owner."""
    spec, meta = deployment.spec, deployment.metadata
    hash_ = history.template_hash(spec.template, deployment.status.collisionCount)
    labels = {**spec.template.metadata.labels, history.HASH_LABEL: hash_}
    selector = spec.selector or LabelSelector()
    template_meta = msgspec.structs.replace(spec.template.metadata, labels=labels)
    replica_set = apps.ReplicaSet(
        metadata=ObjectMeta(name=history.replica_set_name(meta.name, hash_), namespace=meta.namespace, labels=dict(labels)),
        spec=apps.ReplicaSetSpec(
            replicas=replicas,
            minReadySeconds=spec.minReadySeconds,
            selector=LabelSelector(
                matchLabels={**selector.matchLabels, history.HASH_LABEL: hash_}, matchExpressions=selector.matchExpressions
            ),
            template=msgspec.structs.replace(spec.template, metadata=template_meta),
        ),
    )
    replicas = rollout.desired_replicas(deployment)
    annotations = history.annotations_for(deployment, replica_set, revision)
    replica_set.metadata.annotations = history.with_size_annotations(annotations, replicas, replicas + rollout.bounds(deployment)[0])
    return replica_set


def _counted(
    deployment: apps.Deployment,
    replica_sets: Sequence[apps.ReplicaSet],
    new: apps.ReplicaSet | None,
    sizes: rollout.Sizes,
    now: datetime,
) -> apps.DeploymentStatus:
    return states.counted(deployment, replica_sets, new, sum(sizes.values()), now)


def _write_status(
    result: Plan,
    deployment: apps.Deployment,
    replica_sets: Sequence[apps.ReplicaSet],
    new: apps.ReplicaSet | None,
    sizes: rollout.Sizes,
    *,
    scaling: bool,
    now: datetime,
) -> None:
    status = _counted(deployment, replica_sets, new, sizes, now)
    states.note_pause(deployment, status, now)
    limited = states.deadline(deployment) is not None
    if result.create is not None and limited:
        name = result.create.replica_set.metadata.name
        states.set_condition(status, states.PROGRESSING, "True", "NewReplicaSetCreated", f'Created new replica set "{name}"', now)
    elif new is not None and limited and states.condition(status, states.PROGRESSING) is None:
        name = new.metadata.name
        states.set_condition(status, states.PROGRESSING, "True", "FoundNewReplicaSet", f'Found new replica set "{name}"', now)
    elif not scaling:
        states.note_progress(deployment, status, new, now)
    if not scaling:
        states.copy_failure(status, replica_sets, new)
    result.status = status
    left = None if deployment.spec.paused else states.time_left(deployment, status, now)
    # Times are whole seconds on the wire; a second more makes sure that the limit is over by then.
    result.after = None if left is None else max(left, 0.0) + 1.0


def _forgettable(deployment: apps.Deployment, old: Sequence[apps.ReplicaSet]) -> list[apps.ReplicaSet]:
    """Return the oldest of the old ReplicaSets beyond the history limit, apart from those that still have pods."""
    limit = deployment.spec.revisionHistoryLimit
    if limit is None or limit == states.NEVER:
        return []
    alive = [replica_set for replica_set in history.oldest_first(old) if replica_set.metadata.deletionTimestamp is None]
    alive.sort(key=history.revision)
    excess = alive[: max(len(alive) - limit, 0)]
    return [replica_set for replica_set in excess if _is_empty(replica_set)]


def _is_empty(replica_set: apps.ReplicaSet) -> bool:
    seen = replica_set.status.observedGeneration >= replica_set.metadata.generation
    return seen and replica_set.status.replicas == 0 and rollout.size(replica_set) == 0
