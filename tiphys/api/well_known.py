"""Labels, annotations and taints that more than one component reads or writes ("Well-Known Labels, Annotations and Taints")."""

from __future__ import annotations

from typing import Final

ARCH: Final = "kubernetes.io/arch"
HOSTNAME: Final = "kubernetes.io/hostname"
OS: Final = "kubernetes.io/os"
REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"

CONFIG_MIRROR: Final = "kubernetes.io/config.mirror"
"""Annotation of a pod that only shows what a node runs by itself: a hash of what it runs."""
POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation of a pod: those that cost less are deleted first ("ReplicaSet": pod deletion cost)."""
SERVICE_NAME: Final = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to."""
SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"
"""Label of Endpoints that no EndpointSlice is to be made from."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation: the object as it was last applied, which is of use to kubectl only."""

NOT_READY: Final = "node.kubernetes.io/not-ready"
"""Taint of a node that says it is not ready."""
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
"""Taint of a node that says nothing any more."""
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
"""Taint of a cordoned node."""

DEFAULT_INGRESS_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"
"""Annotation `true`: the class of ingresses that name none."""
DEFAULT_STORAGE_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
"""Annotation `true`: the class of claims that name none."""
DEFAULT_STORAGE_CLASS_BETA: Final = "storageclass.beta.kubernetes.io/is-default-class"
"""The same as it was once called."""
STORAGE_CLASS_BETA: Final = "volume.beta.kubernetes.io/storage-class"
"""Annotation of volumes and claims: their class, before there was a field for it."""
PVC_PROTECTION: Final = "kubernetes.io/pvc-protection"
"""Finalizer of a claim: a pod may be using it."""
PV_PROTECTION: Final = "kubernetes.io/pv-protection"
"""Finalizer of a volume: a claim may be bound to it."""
VAC_PROTECTION: Final = "kubernetes.io/vac-protection"
"""Finalizer of a class of attributes: a volume or a claim may have it."""
