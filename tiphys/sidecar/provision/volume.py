"""The PersistentVolume for a new volume of the driver. Pure ("Persistent Volumes")."""

from __future__ import annotations

from tiphys.api.core import v1 as core
from tiphys.api.core.volumes.classes import class_of_claim
from tiphys.api.machinery.quantity import format_value
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.storage.v1 import StorageClass
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.runtime import reference_to
from tiphys.sidecar import secrets
from tiphys.sidecar.access import BLOCK
from tiphys.sidecar.facts import DriverFacts
from tiphys.sidecar.names import DELETION_SECRET_NAME, DELETION_SECRET_NAMESPACE, PROVISIONED_BY, PV_FINALIZER
from tiphys.sidecar.provision.plan import fstype_of, requested_bytes, volume_name
from tiphys.sidecar.settings import ProvisionSettings
from tiphys.sidecar.topology import affinity_of


def persistent_volume(
    claim: core.PersistentVolumeClaim, class_: StorageClass, volume: pb.Volume, facts: DriverFacts, settings: ProvisionSettings
) -> core.PersistentVolume:
    """Return the object for a volume that was made for a claim. Raises BadParameters."""
    name = volume_name(claim, settings)

    def secret(purpose: str) -> core.SecretReference | None:
        return secrets.reference(class_.parameters, purpose, volume=name, claim=claim)

    block = claim.spec.volumeMode == BLOCK
    deletion = secret(secrets.PROVISIONER)
    annotations = {PROVISIONED_BY: facts.name}
    annotations[DELETION_SECRET_NAME] = deletion.name if deletion is not None else ""
    annotations[DELETION_SECRET_NAMESPACE] = deletion.namespace if deletion is not None else ""
    policy = class_.reclaimPolicy or "Delete"
    return core.PersistentVolume(
        metadata=ObjectMeta(name=name, annotations=annotations, finalizers=[PV_FINALIZER] if policy == "Delete" else []),
        spec=core.PersistentVolumeSpec(
            accessModes=claim.spec.accessModes,
            capacity={"storage": format_value(volume.capacity_bytes or requested_bytes(claim), "binary")},
            claimRef=reference_to(claim),
            mountOptions=[] if block else class_.mountOptions,
            persistentVolumeReclaimPolicy=policy,
            storageClassName=class_of_claim(claim),
            volumeMode=claim.spec.volumeMode,
            volumeAttributesClassName=claim.spec.volumeAttributesClassName or None,
            nodeAffinity=affinity_of(volume.accessible_topology) if facts.has_topology else None,
            csi=core.CSIPersistentVolumeSource(
                driver=facts.name,
                volumeHandle=volume.volume_id,
                fsType="" if block else fstype_of(class_, settings),
                volumeAttributes=dict(volume.volume_context),
                controllerPublishSecretRef=secret(secrets.CONTROLLER_PUBLISH),
                nodeStageSecretRef=secret(secrets.NODE_STAGE),
                nodePublishSecretRef=secret(secrets.NODE_PUBLISH),
                controllerExpandSecretRef=secret(secrets.CONTROLLER_EXPAND),
                nodeExpandSecretRef=secret(secrets.NODE_EXPAND),
            ),
        ),
    )
