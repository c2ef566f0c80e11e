"""Revisions of a Deployment: which ReplicaSet has its template, and the annotations that number them. Pure.

`kubectl rollout history` and `undo` read the annotations, and `undo` puts a former template back into the Deployment; the ReplicaSet that
has it then becomes the new one again, under a new number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery import ordered
from tiphys.api.well_known import LAST_APPLIED

_encode = ordered.encoder("deterministic")

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"

NOT_COPIED = frozenset((LAST_APPLIED, REVISION, HISTORY, DESIRED, MAXIMUM, ROLLBACK_TO))
"""Annotations that a ReplicaSet does not take over from its Deployment."""

HISTORY_LENGTH = 2000
"""Characters that the list of former revisions may have."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 10
_NAME_LENGTH = 253


def template_hash(template: core.PodTemplateSpec, collisions: int | None) -> str:
    """A short text that tells templates apart, fit for labels and names; `collisions` makes another one."""
    content = _encode((template, collisions or 0))
    number = int.from_bytes(hashlib.sha256(content).digest()[:8])
    letters = []
    for _ in range(_HASH_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def replica_set_name(deployment: str, hash_: str) -> str:
    """The name of the ReplicaSet for a template."""
    return f"{deployment[: _NAME_LENGTH - 1 - len(hash_)]}-{hash_}"


def same_template(a: core.PodTemplateSpec, b: core.PodTemplateSpec) -> bool:
    """Return whether two templates differ in nothing but the hash label."""
    return a.spec == b.spec and _unhashed(a) == _unhashed(b)


def _unhashed(template: core.PodTemplateSpec) -> object:
    meta = template.metadata
    if HASH_LABEL not in meta.labels:
        return meta
    labels = {key: value for key, value in meta.labels.items() if key != HASH_LABEL}
    return msgspec.structs.replace(meta, labels=labels)


def oldest_first(replica_sets: Iterable[apps.ReplicaSet]) -> list[apps.ReplicaSet]:
    """By creation, then by name."""
    return sorted(replica_sets, key=_born)


def _born(replica_set: apps.ReplicaSet) -> tuple[float, str]:
    created = replica_set.metadata.creationTimestamp
    return (created.timestamp() if created is not None else float("inf"), replica_set.metadata.name)


def find_new(deployment: apps.Deployment, replica_sets: Sequence[apps.ReplicaSet]) -> apps.ReplicaSet | None:
    """The ReplicaSet with the Deployment's template: the oldest, should there be several."""
    for replica_set in oldest_first(replica_sets):
        if same_template(replica_set.spec.template, deployment.spec.template):
            return replica_set
    return None


def revision(replica_set: apps.ReplicaSet) -> int:
    """Its number, 0 when it has none."""
    return number_of(replica_set, REVISION) or 0


def number_of(replica_set: apps.ReplicaSet, annotation: str) -> int | None:
    """An annotation that is a whole number, None when it is absent or something else."""
    text = replica_set.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else None


def annotations_for(deployment: apps.Deployment, replica_set: apps.ReplicaSet, newest: int) -> dict[str, str]:
    """The annotations that the new ReplicaSet should have when the others go up to revision `newest - 1`."""
    result = dict(replica_set.metadata.annotations)
    for key, value in deployment.metadata.annotations.items():
        if key not in NOT_COPIED:
            result[key] = value
    text = result.get(REVISION, "")
    if text and number_of(replica_set, REVISION) is None:
        # Somebody wrote nonsense there: leave it to them.
        return result
    if int(text or 0) < newest:
        result[REVISION] = str(newest)
        if text:
            result[HISTORY] = _appended(result.get(HISTORY, ""), text)
    return result


def _appended(history: str, revision_: str) -> str:
    former = [*filter(None, history.split(",")), revision_]
    while len(former) > 1 and len(",".join(former)) > HISTORY_LENGTH:
        former.pop(0)
    return ",".join(former)


def with_size_annotations(annotations: dict[str, str], desired: int, maximum: int) -> dict[str, str]:
    """Annotations that tell for which size of the Deployment the ReplicaSet was last scaled."""
    return {**annotations, DESIRED: str(desired), MAXIMUM: str(maximum)}
