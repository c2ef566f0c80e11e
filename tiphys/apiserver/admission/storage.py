"""StorageObjectInUseProtection and PersistentVolumeClaimResize."""

from __future__ import annotations

from typing import Any, Final

from tiphys.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.machinery.quantity import ZERO, compare
from tiphys.api.machinery.scheme import Kind
from tiphys.api.storage.v1 import StorageClass, VolumeAttributesClass
from tiphys.api.well_known import PV_PROTECTION, PVC_PROTECTION, VAC_PROTECTION
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

_FINALIZERS: Final[dict[type, str]] = {
    PersistentVolume: PV_PROTECTION,
    PersistentVolumeClaim: PVC_PROTECTION,
    VolumeAttributesClass: VAC_PROTECTION,
}


class StorageObjectInUseProtection(AdmissionPlugin):
    """New volumes, claims and attribute classes get the finalizer that the protection controllers remove when nothing uses them."""

    name = "StorageObjectInUseProtection"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type in _FINALIZERS and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        assert request.object is not None
        meta, finalizer = request.object.metadata, _FINALIZERS[request.kind.type]
        if finalizer not in meta.finalizers:
            meta.finalizers = [*meta.finalizers, finalizer]


class PersistentVolumeClaimResize(AdmissionPlugin):
    """A claim grows only while it is bound, and if its class allows that ("Expanding Persistent Volumes Claims")."""

    name = "PersistentVolumeClaimResize"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is PersistentVolumeClaim and operation == "UPDATE" and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object, request.old_object
        assert isinstance(new, PersistentVolumeClaim)
        assert isinstance(old, PersistentVolumeClaim)
        now, before = (claim.spec.resources.requests.get("storage", ZERO) for claim in (new, old))
        if compare(now, before) <= 0:
            return
        if old.status.phase != "Bound":
            raise request.forbidden("Only bound persistent volume claims can be expanded")
        name = class_of_claim(new)
        storage_class = request.source.get(StorageClass, "", name) if name and name == class_of_claim(old) else None
        if storage_class is None or not storage_class.allowVolumeExpansion:
            raise request.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            )
