"""Decisions about claims: which get a volume, what is requested, what errors mean. Pure ("Dynamic Volume Provisioning")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.machinery.quantity import whole
from tiphys.api.storage.v1 import StorageClass
from tiphys.csi.errors import CsiError, Exhausted, InvalidArgument, Unfinished
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.sidecar import access
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.names import BETA_STORAGE_PROVISIONER, CLAIM_FINALIZER, PARAMETERS, SELECTED_NODE, STORAGE_PROVISIONER
from tiphys.sidecar.secrets import OF_VOLUMES, BadParameters, keys_of
from tiphys.sidecar.settings import ProvisionSettings

LATE = "WaitForFirstConsumer"
FSTYPE = f"{PARAMETERS}fstype"
_OURS = frozenset({FSTYPE, *(key for purpose in OF_VOLUMES for key in keys_of(purpose))})

Step = Literal["nothing", "provision", "abandon", "settle", "volunteer"]
"""`provision` makes a volume. `settle` removes the claim's finalizer, as its volume is in the API. `abandon` finds out whether there is a
volume, deletes it, and removes the finalizer: the claim is being deleted, or has another volume. `volunteer` enters this node in it."""


def provisioner_of(claim: core.PersistentVolumeClaim) -> str:
    """Return the driver that is to make the volume of a claim, as the volume controller says."""
    annotations = claim.metadata.annotations
    return annotations.get(STORAGE_PROVISIONER) or annotations.get(BETA_STORAGE_PROVISIONER, "")


def selected_node(claim: core.PersistentVolumeClaim) -> str:
    """Return the node that the scheduler chose for a claim, "" if none."""
    return claim.metadata.annotations.get(SELECTED_NODE, "")


def step(claim: core.PersistentVolumeClaim, class_: StorageClass | None, *, driver: str, volume: str, node: str = "") -> Step:
    """Return the next step for a claim, whose volume would have the name `volume`.

    With `node`, only claims for which that node was selected concern this process, and those that need none: some node must take them.
    """
    if provisioner_of(claim) != driver:
        return "nothing"
    if class_ is not None and class_.provisioner != driver:
        # The annotation is the claim's owner's to write, and proves nothing.
        class_ = None
    begun, selected = CLAIM_FINALIZER in claim.metadata.finalizers, selected_node(claim)
    if node and selected != node:
        needs_one = not selected and not begun and not claim.spec.volumeName and claim.metadata.deletionTimestamp is None
        return "volunteer" if needs_one and class_ is not None and class_.volumeBindingMode != LATE else "nothing"
    if claim.spec.volumeName:
        return "nothing" if not begun else "settle" if claim.spec.volumeName == volume else "abandon"
    if claim.metadata.deletionTimestamp is not None:
        return "abandon" if begun else "nothing"
    if class_ is None or (class_.volumeBindingMode == LATE and not selected):
        return "nothing"
    return "provision"


def requested_bytes(claim: core.PersistentVolumeClaim) -> int:
    """Return the size that a claim requests."""
    return whole(claim.spec.resources.requests.get("storage", "0"))


def limit_bytes(claim: core.PersistentVolumeClaim) -> int:
    """Return the largest size that a claim allows, 0 for any."""
    return whole(claim.spec.resources.limits.get("storage", "0"))


def fstype_of(class_: StorageClass, settings: ProvisionSettings) -> str:
    """Return the file system of volumes of a class."""
    return class_.parameters.get(FSTYPE) or settings.default_fstype


def driver_parameters(class_: StorageClass) -> dict[str, str]:
    """Return the parameters that are the driver's. Raises BadParameters for unknown ones under the sidecar's prefix."""
    unknown = sorted(key for key in class_.parameters if key.startswith(PARAMETERS) and key not in _OURS)
    if unknown:
        raise BadParameters(f'found unknown parameter key "{unknown[0]}" with reserved namespace {PARAMETERS}')
    return {key: value for key, value in class_.parameters.items() if not key.startswith(PARAMETERS)}


class Extras(NamedTuple):
    """Parts of a request that are read from other objects."""

    secrets: Mapping[str, str] = {}
    source: pb.VolumeContentSource | None = None
    topology: pb.TopologyRequirement | None = None
    mutable_parameters: Mapping[str, str] = {}


def volume_name(claim: core.PersistentVolumeClaim, settings: ProvisionSettings) -> str:
    """Return the name of the volume of a claim, in the API and for the driver: the same each time, so that none is made twice."""
    return f"{settings.volume_name_prefix}-{claim.metadata.uid}"


def request(
    claim: core.PersistentVolumeClaim, class_: StorageClass, facts: DriverFacts, settings: ProvisionSettings, extras: Extras
) -> pb.CreateVolumeRequest:
    """Return the request for the volume of a claim. Raises BadParameters and Incompatible."""
    name = volume_name(claim, settings)
    parameters = driver_parameters(class_)
    if settings.extra_create_metadata:
        parameters[f"{PARAMETERS}pvc/name"] = claim.metadata.name
        parameters[f"{PARAMETERS}pvc/namespace"] = claim.metadata.namespace
        parameters[f"{PARAMETERS}pv/name"] = name
    block = claim.spec.volumeMode == access.BLOCK
    fstype = fstype_of(class_, settings)
    return pb.CreateVolumeRequest(
        name=name,
        capacity_range=pb.CapacityRange(required_bytes=requested_bytes(claim), limit_bytes=limit_bytes(claim)),
        volume_capabilities=[
            access.capability(mode, block=block, fstype=fstype, mount_options=class_.mountOptions)
            for mode in access.modes(claim.spec.accessModes, facts)
        ],
        parameters=parameters,
        secrets=extras.secrets,
        volume_content_source=extras.source,
        accessibility_requirements=extras.topology,
        mutable_parameters=extras.mutable_parameters,
    )


def is_over(error: CsiError) -> bool:
    """Return whether an error means that there is no volume and none is being made ("Container Storage Interface", Error Scheme).

    Exhausted may be temporary, but says that nothing is being made.
    """
    return not isinstance(error, Unfinished)


def needs_other_node(error: CsiError, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether the scheduler should choose another node for the pod that waits for a claim."""
    return bool(selected_node(claim)) and isinstance(error, Exhausted | InvalidArgument)


def shortfall(claim: core.PersistentVolumeClaim, volume: pb.Volume) -> str:
    """Return what is wrong with the size of a new volume, "" if it is right. A driver that says 0 does not know."""
    required, limit, given = requested_bytes(claim), limit_bytes(claim), volume.capacity_bytes
    if given and given < required:
        return f"created volume capacity {given} less than requested capacity {required}"
    if limit and given > limit:
        return f"created volume capacity {given} more than the limit {limit}"
    return ""
