"""Volumes that a claim can have, and how the two name each other ("Persistent Volumes": Binding, Reserving a PersistentVolume).

The controller binds claims of classes that bind at once, the scheduler those that wait for a pod; both choose with these functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import msgspec

from tiphys.api.core.v1 import ObjectReference, PersistentVolume, PersistentVolumeClaim
from tiphys.api.core.volumes.classes import class_of_claim, class_of_volume
from tiphys.api.helpers.node_selector import selects_labels
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.quantity import ZERO, parse
from tiphys.api.machinery.selectors import from_label_selector
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import BOUND_BY_CONTROLLER

STORAGE = "storage"
FILESYSTEM = "Filesystem"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"


def storage(resources: Mapping[str, Quantity]) -> Decimal:
    """Bytes of storage in a request or a capacity; 0 if it has none."""
    return parse(resources.get(STORAGE, ZERO))


def is_delayed(storage_class: StorageClass | None) -> bool:
    """True if claims of a class get their volume only once a pod needs them; False also for a class that does not exist."""
    return storage_class is not None and storage_class.volumeBindingMode == WAIT_FOR_FIRST_CONSUMER


def is_volume_bound_to_claim(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """True if a volume names a claim: with its UID, or with none, as people do who reserve it."""
    reference = volume.spec.claimRef
    if reference is None or (reference.name, reference.namespace) != (claim.metadata.name, claim.metadata.namespace):
        return False
    return reference.uid in ("", claim.metadata.uid)


def has_volume_mode(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """True if a volume is what a claim asks for: a file system or a block device."""
    return (volume.spec.volumeMode or FILESYSTEM) == (claim.spec.volumeMode or FILESYSTEM)


def has_access_modes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """True if a volume has all access modes that a claim asks for."""
    return set(claim.spec.accessModes) <= set(volume.spec.accessModes)


def matches_node(volume: PersistentVolume, node_labels: Mapping[str, str]) -> bool:
    """True if a volume can be reached from a node with these labels.

    Only labels count: Kubernetes passes over `matchFields` in the node affinity of volumes.
    """
    required = volume.spec.nodeAffinity.required if volume.spec.nodeAffinity is not None else None
    return required is None or selects_labels(required, node_labels)


def matching_volumes(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], *, fewest_modes: bool = True
) -> list[PersistentVolume]:
    """Volumes that a claim can have on some node, best first.

    Those that name the claim, if there are any and they suit it, otherwise those that are available: of its class and selected by it.
    The smallest comes first; with `fewest_modes`, the one with the fewest access modes beyond those that it needs, and of these the
    smallest. Raises SelectorError if the claim's selector is wrong.
    """
    suitable = [volume for volume in volumes if _suits(volume, claim)]
    reserved = [volume for volume in suitable if volume.spec.claimRef is not None]
    return sorted(reserved or _available(claim, suitable), key=lambda volume: _rank(volume, fewest_modes=fewest_modes))


def find_matching_volume(
    claim: PersistentVolumeClaim,
    volumes: Iterable[PersistentVolume],
    *,
    node_labels: Mapping[str, str] | None = None,
    excluded: Collection[str] = frozenset(),
    delay_binding: bool = False,
) -> PersistentVolume | None:
    """The best volume for a claim, or None.

    With `node_labels`, the best that can be reached from the node; this is the scheduler's question. Without them, and with
    `delay_binding`, only a volume that already names the claim, since others are left to the scheduler. `excluded` are names of volumes
    that other claims of the same pod take. Raises SelectorError if the claim's selector is wrong.
    """
    offered = (volume for volume in volumes if volume.metadata.name not in excluded)
    if node_labels is not None:
        matching = matching_volumes(claim, offered, fewest_modes=False)
        return next((volume for volume in matching if matches_node(volume, node_labels)), None)
    if delay_binding:
        offered = (volume for volume in offered if volume.spec.claimRef is not None)
    return next(iter(matching_volumes(claim, offered)), None)


def bind_volume(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    """A volume that names the claim; the same object if it does so already.

    An annotation marks a volume that was not reserved for the claim, so that the controller may undo the choice.
    """
    if is_volume_bound_to_claim(volume, claim) and volume.spec.claimRef is not None and volume.spec.claimRef.uid:
        return volume
    annotations = volume.metadata.annotations
    if not is_volume_bound_to_claim(volume, claim):
        annotations = {**annotations, BOUND_BY_CONTROLLER: "yes"}
    return msgspec.structs.replace(
        volume,
        metadata=msgspec.structs.replace(volume.metadata, annotations=annotations),
        spec=msgspec.structs.replace(volume.spec, claimRef=reference_to(claim)),
    )


def reference_to(claim: PersistentVolumeClaim) -> ObjectReference:
    """The reference with which a volume names a claim."""
    metadata = claim.metadata
    return ObjectReference(
        apiVersion="v1",
        kind="PersistentVolumeClaim",
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resourceVersion=metadata.resourceVersion,
    )


def _suits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """True for a volume that stays, names no other claim, and is large and able enough; the cheap questions come first."""
    return (
        (volume.spec.claimRef is None or is_volume_bound_to_claim(volume, claim))
        and volume.metadata.deletionTimestamp is None
        and has_volume_mode(volume, claim)
        and (volume.spec.volumeAttributesClassName or "") == (claim.spec.volumeAttributesClassName or "")
        and has_access_modes(volume, claim)
        and storage(volume.spec.capacity) >= storage(claim.spec.resources.requests)
    )


def _available(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> list[PersistentVolume]:
    """Volumes that nobody has, of the claim's class; others than available ones are about to change, and a write would conflict."""
    selector = from_label_selector(claim.spec.selector) if claim.spec.selector is not None else None
    class_name = class_of_claim(claim)
    return [
        volume
        for volume in volumes
        if volume.spec.claimRef is None
        and volume.status.phase == "Available"
        and class_of_volume(volume) == class_name
        and (selector is None or selector.matches(volume.metadata.labels))
    ]


def _rank(volume: PersistentVolume, *, fewest_modes: bool) -> tuple[int, Decimal, str]:
    modes = len(set(volume.spec.accessModes)) if fewest_modes else 0
    return modes, storage(volume.spec.capacity), volume.metadata.name
