"""Revisions of workloads that keep their former templates in ControllerRevisions ("StatefulSets", "DaemonSets: Perform a Rollback"). Pure.

The data of a revision is a strategic merge patch that puts its template back, as `kubectl rollout undo` sends it; `kubectl rollout history`
shows it. A template that comes back takes its old revision again, under a new number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.machinery import ordered
from tiphys.api.machinery.errors import BadRequest
from tiphys.api.machinery.patch import strategic_merge
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import LAST_APPLIED
from tiphys.client.decoding import decode
from tiphys.controllers.shared.claim import reference

WorkloadT = TypeVar("WorkloadT", apps.StatefulSet, apps.DaemonSet)
Workload = apps.StatefulSet | apps.DaemonSet
Data = dict[str, Any]

HASH_LABEL: Final = "controller-revision-hash"
"""Label of revisions with their hash; pods carry it too, with what their controller puts there."""

_encode = ordered.encoder("sorted")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 10
NAME_LENGTH: Final = 253
"""Maximum length of a revision's name."""


class RevisionError(ValueError):
    """Error of a revision whose data cannot be applied to its workload."""


class Choice(NamedTuple):
    """Revision of a workload's present template."""

    revision: apps.ControllerRevision | None
    """The one that holds it already; None when one must be created."""
    number: int
    """Number that it should have: the highest."""


def revision_data(workload: Workload) -> Data:
    """Return the data of the revision of a workload's present template, with the keys of all maps in order as kubectl compares them."""
    template = msgspec.json.decode(_encode(workload.spec.template))
    return {"spec": {"template": {"$patch": "replace", **template}}}


def revision_hash(data: Data, collisions: int = 0) -> str:
    """Return a short hash of a revision's data, valid in labels and names; `collisions` yields a different one."""
    number = int.from_bytes(hashlib.sha256(_encode((data, collisions))).digest()[:8])
    letters = []
    for _ in range(_HASH_LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def revision_name(workload: str, hash_: str, longest: int = NAME_LENGTH) -> str:
    """Return the name of a workload's revision, at most `longest` characters long."""
    return f"{workload[: longest - 1 - len(hash_)]}-{hash_}"


def make_revision(
    workload: Workload, data: Data, number: int, *, collisions: int = 0, longest: int = NAME_LENGTH
) -> apps.ControllerRevision:
    """Create the revision of a workload for this data, which the workload controls. It has the labels of the pod template."""
    hash_ = revision_hash(data, collisions)
    meta = workload.metadata
    return apps.ControllerRevision(
        metadata=ObjectMeta(
            name=revision_name(meta.name, hash_, longest),
            namespace=meta.namespace,
            labels={**workload.spec.template.metadata.labels, HASH_LABEL: hash_},
            annotations={key: value for key, value in meta.annotations.items() if key != LAST_APPLIED},
            ownerReferences=[reference(workload)],
        ),
        data=data,
        revision=number,
    )


def oldest_first(revisions: Iterable[apps.ControllerRevision]) -> list[apps.ControllerRevision]:
    """Sort by number, then by creation, then by name."""
    return sorted(revisions, key=_age)


def _age(revision: apps.ControllerRevision) -> tuple[int, float, str]:
    created = revision.metadata.creationTimestamp
    return (revision.revision, created.timestamp() if created is not None else float("inf"), revision.metadata.name)


def choose(workload: WorkloadT, revisions: Iterable[apps.ControllerRevision], data: Data, default: Callable[[WorkloadT], None]) -> Choice:
    """Choose the revision of the workload's present template, whose data is `data`.

    It is the newest with equal data. The newest of all also counts as equal when it restores the same template after `default` has filled
    in the defaults, so that another version of this program, or of upstream, causes no rollout.
    """
    known = oldest_first(revision for revision in revisions if revision.metadata.deletionTimestamp is None)
    if not known:
        return Choice(None, 1)
    newest = known[-1]
    equal = next((revision for revision in reversed(known) if revision.data == data), None)
    if equal is None and _restores(workload, newest, data, default):
        equal = newest
    return Choice(equal, newest.revision + 1 if equal is not newest else newest.revision)


def _restores(workload: WorkloadT, revision: apps.ControllerRevision, data: Data, default: Callable[[WorkloadT], None]) -> bool:
    try:
        restored = restore(workload, revision)
    except RevisionError:
        return False
    default(restored)
    return revision_data(restored) == data


def restore(workload: WorkloadT, revision: apps.ControllerRevision) -> WorkloadT:
    """Return a copy of the workload with the revision's template. Raises RevisionError when its data is no such patch."""
    type_ = type(workload)
    document = msgspec.json.decode(msgspec.json.encode(workload))
    try:
        return decode(type_, msgspec.json.encode(strategic_merge(type_, document, revision.data)))
    except (BadRequest, ValueError) as error:
        raise RevisionError(f"ControllerRevision {revision.metadata.name} cannot be applied: {error}") from error


def excess(
    revisions: Iterable[apps.ControllerRevision], live: Collection[str], limit: int | None, *, live_count: bool = False
) -> Sequence[apps.ControllerRevision]:
    """Return the oldest revisions beyond the history limit, which are to be deleted; none without a limit or with a negative one.

    Those whose names are in `live` stay: they are in use. They take up room in the history only with `live_count`.
    """
    if limit is None or limit < 0:
        return []
    known = oldest_first(revision for revision in revisions if revision.metadata.deletionTimestamp is None)
    idle = [revision for revision in known if revision.metadata.name not in live]
    surplus = len(known if live_count else idle) - limit
    return idle[: max(surplus, 0)]
