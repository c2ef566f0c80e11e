"""Names that upstream's sidecars give to annotations, finalizers and parameters."""

from __future__ import annotations

from typing import Final

PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
"""Annotation of a volume: the driver that made it."""

STORAGE_PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER: Final = "volume.beta.kubernetes.io/storage-provisioner"
"""Annotations of a claim: the driver that is to make a volume for it."""

SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
"""Annotation of a claim: the node that the scheduler chose for its first pod."""

DELETION_SECRET_NAME: Final = "volume.kubernetes.io/provisioner-deletion-secret-name"
DELETION_SECRET_NAMESPACE: Final = "volume.kubernetes.io/provisioner-deletion-secret-namespace"
"""Annotations of a volume: the secret that its deletion needs."""

PV_FINALIZER: Final = "external-provisioner.volume.kubernetes.io/finalizer"
"""Finalizer of a volume, which goes when the driver has deleted it ("Persistent Volumes", deletion protection)."""

CLAIM_FINALIZER: Final = "provisioner.tiphys.io/provisioning"
"""Finalizer of a claim from before the driver is asked for a volume until the volume is in the API, or is known not to exist."""

PARAMETERS: Final = "csi.storage.k8s.io/"
"""Prefix of parameters of classes that are for the sidecar, not for the driver."""
