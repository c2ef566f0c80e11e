"""Revisions of a Deployment: the ReplicaSet with its template, and the annotations that number them. Pure.

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
"""Annotations that a ReplicaSet does not copy from its Deployment."""

HISTORY_LENGTH = 2000
"""Maximum length of the list of former revisions, in characters."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 10
_NAME_LENGTH = 253


def template_hash(template: core.PodTemplateSpec, collisions: int | None) -> str:
    """Return a short hash of a template, valid in labels and names; `collisions` yields a different one."""
    content = _encode((template, collisions or 0))
    number = int.from_bytes(hashlib.sha256(content).digest()[:8])
    letters = []
    for _ in range(_HASH_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def replica_set_name(deployment: str, hash_: str) -> str:
    """Return the name of the ReplicaSet for a template."""
    return f"{deployment[: _NAME_LENGTH - 1 - len(hash_)]}-{hash_}"


def same_template(a: core.PodTemplateSpec, b: core.PodTemplateSpec) -> bool:
    """Return whether two templates are equal apart from the hash label."""
    return a.spec == b.spec and _unhashed(a) == _unhashed(b)


def _unhashed(template: core.PodTemplateSpec) -> object:
    meta = template.metadata
    if HASH_LABEL not in meta.labels:
        return meta
    labels = {key: value for key, value in meta.labels.items() if key != HASH_LABEL}
    return msgspec.structs.replace(meta, labels=labels)


def oldest_first(replica_sets: Iterable[apps.ReplicaSet]) -> list[apps.ReplicaSet]:
    """Sort by creation, then by name."""
    return sorted(replica_sets, key=_born)


def _born(replica_set: apps.ReplicaSet) -> tuple[float, str]:
    created = replica_set.metadata.creationTimestamp
    return (created.timestamp() if created is not None else float("inf"), replica_set.metadata.name)


def find_new(deployment: apps.Deployment, replica_sets: Sequence[apps.ReplicaSet]) -> apps.ReplicaSet | None:
    """Return the ReplicaSet with the Deployment's template; the oldest if there are several."""
    for replica_set in oldest_first(replica_sets):
        if same_template(replica_set.spec.template, deployment.spec.template):
            return replica_set
    return None


def revision(replica_set: apps.ReplicaSet) -> int:
    """Return the revision of an object, 0 when it has none."""
    return number_of(replica_set, REVISION) or 0


def number_of(replica_set: apps.ReplicaSet, annotation: str) -> int | None:
    """Return an annotation that is a whole number, None when it is missing or something else."""
    text = replica_set.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else None


def annotations_for(deployment: apps.Deployment, replica_set: apps.ReplicaSet, newest: int) -> dict[str, str]:
    """Return the annotations that the new ReplicaSet should have when the others reach up to revision `newest - 1`."""
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
    """Return annotations that record the size of the Deployment for which the ReplicaSet was last scaled."""
    return {**annotations, DESIRED: str(desired), MAXIMUM: str(maximum)}
