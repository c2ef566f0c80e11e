"""ProvisionerRestriction: the provisioner of a node touches local volumes on that node, volumes on NFS shares, and the claims for them.

RBAC lets it write volumes and claims; this plugin looks at the objects, as NodeRestriction does for the kubelet. Without it, whoever took
over one node could delete the volumes of all others, or make a volume of any path of theirs. Volumes on shares are no node's: one
provisioner at a time makes them for the whole cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.machinery.scheme import Kind
from tiphys.api.storage.v1 import CSIStorageCapacity, StorageClass
from tiphys.api.well_known import HOSTNAME, LOCAL_PATH_DRIVER, NFS_DRIVER, SELECTED_NODE
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

_SECRETS: Final = (
    "controllerPublishSecretRef",
    "nodeStageSecretRef",
    "nodePublishSecretRef",
    "controllerExpandSecretRef",
    "nodeExpandSecretRef",
)


class ProvisionerRestriction(AdmissionPlugin):
    """See the module."""

    name = "ProvisionerRestriction"

    def __init__(self) -> None:
        self._checks: dict[type, Callable[[AdmissionRequest, str], str]] = {
            core.PersistentVolume: _volume_fault,
            core.PersistentVolumeClaim: _claim_fault,
            CSIStorageCapacity: _capacity_fault,
        }

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type in self._checks and operation != "CONNECT"

    def validate(self, request: AdmissionRequest) -> None:
        node = request.user.provisioner_node
        if node and (fault := self._checks[request.kind.type](request, node)):
            raise request.forbidden(f'the provisioner of node "{node}" {fault}')


def _volume_fault(request: AdmissionRequest, node: str) -> str:
    new, old = request.object, request.old_object
    for volume in (new, old):
        if isinstance(volume, core.PersistentVolume) and not _may_touch(volume, node):
            return f"may only touch volumes of driver {LOCAL_PATH_DRIVER} on that node, and of {NFS_DRIVER}"
    if isinstance(new, core.PersistentVolume) and isinstance(old, core.PersistentVolume):
        same = msgspec.structs.replace(new.spec, capacity=old.spec.capacity) == old.spec and new.status == old.status
        return "" if same else "may only change the capacity and the metadata of volumes"
    if isinstance(new, core.PersistentVolume):
        reference = new.spec.claimRef
        claim = request.source.get(core.PersistentVolumeClaim, reference.namespace, reference.name) if reference is not None else None
        if reference is None or claim is None or claim.metadata.uid != reference.uid or not _is_requested(new, claim, node, request):
            return "may only create volumes for claims that are to be on that node, or of classes of shares"
    return ""


def _is_requested(volume: core.PersistentVolume, claim: core.PersistentVolumeClaim, node: str, request: AdmissionRequest) -> bool:
    """Return whether a new volume is one that the claim asks the provisioner of this node for."""
    source = volume.spec.csi
    if source is None or source.driver != NFS_DRIVER:
        return claim.metadata.annotations.get(SELECTED_NODE) == node
    storage_class = _share_class(claim, request)
    return storage_class is not None and _share_of_class(storage_class.parameters) == _share_of_volume(source.volumeHandle)


def _share_of_class(parameters: Mapping[str, str]) -> list[str]:
    """Return the server and the share that a class names. As for the driver, the case of the keys does not count."""
    values = {key.lower(): value for key, value in parameters.items()}
    return [values.get("server", ""), values.get("share") or values.get("path", "")]


def _share_of_volume(handle: str) -> list[str]:
    """Return the server and the share that begin the handle of a volume: nodes mount what it says, not the volume's attributes."""
    return [unquote(part) for part in handle.split("#")[:2]]


def _share_class(claim: core.PersistentVolumeClaim, request: AdmissionRequest) -> StorageClass | None:
    """Return the class of a claim if its volumes are on NFS shares."""
    storage_class = request.source.get(StorageClass, "", class_of_claim(claim))
    return storage_class if storage_class is not None and storage_class.provisioner == NFS_DRIVER else None


def _may_touch(volume: core.PersistentVolume, node: str) -> bool:
    """Return whether a volume is local to this node or on a share, and hands no secrets to anybody."""
    source, affinity = volume.spec.csi, volume.spec.nodeAffinity
    if source is None or any(getattr(source, name) is not None for name in _SECRETS):
        return False
    if source.driver == NFS_DRIVER:
        return True
    if source.driver != LOCAL_PATH_DRIVER or affinity is None or affinity.required is None:
        return False
    here = core.NodeSelectorTerm(matchExpressions=[core.NodeSelectorRequirement(key=HOSTNAME, operator="In", values=[node])])
    return affinity.required.nodeSelectorTerms == [here]


def _claim_fault(request: AdmissionRequest, node: str) -> str:
    new, old = request.object, request.old_object
    if not isinstance(new, core.PersistentVolumeClaim) or not isinstance(old, core.PersistentVolumeClaim):
        return "may neither create nor delete claims"
    volume = request.source.get(core.PersistentVolume, "", old.spec.volumeName) if old.spec.volumeName else None
    selected = {claim.metadata.annotations.get(SELECTED_NODE, "") for claim in (old, new)} - {""}
    is_mine = selected == {node} or (not selected and not old.spec.volumeName)
    if not is_mine and _share_class(old, request) is None and (volume is None or not _may_touch(volume, node)):
        return "may only touch claims whose volumes are, or are to be, on that node or on a share"
    before, after = old.metadata, new.metadata
    others = {**before.annotations, **{key: value for key, value in after.annotations.items() if key == SELECTED_NODE}}
    if SELECTED_NODE not in after.annotations:
        others.pop(SELECTED_NODE, None)
    if (before.labels, before.ownerReferences, others) != (after.labels, after.ownerReferences, after.annotations):
        return "may only change the finalizers and the selected node of claims"
    if new.spec != old.spec or new.status.phase != old.status.phase or new.status.accessModes != old.status.accessModes:
        return "may only change the sizes of claims, not what they are"
    return ""


def _capacity_fault(request: AdmissionRequest, node: str) -> str:
    for one in (request.object, request.old_object):
        if isinstance(one, CSIStorageCapacity) and (one.nodeTopology is None or one.nodeTopology.matchLabels != {HOSTNAME: node}):
            return "may only report the room on that node"
    return ""
