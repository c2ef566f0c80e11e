"""Slim objects for the scheduler's caches: fields that it does not read are dropped, as most of a pod is about running it."""

from __future__ import annotations

from typing import Final

import msgspec

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET
from tiphys.api.machinery.base import Quantity, Struct, Time, always, constant
from tiphys.api.meta.v1 import KubeObject, LabelSelector
from tiphys.runtime.declaration import Slim
from tiphys.runtime.informer import without_managed_fields

POD_FIELDS: Final = "status.phase!=Succeeded,status.phase!=Failed"
"""Selection of the pods that hold resources, or wait for them."""


class SlimContainer(Struct, forbid_unknown_fields=False):
    """Requests, image and host ports of a container."""

    name: str = ""
    image: str = ""
    resources: core.ResourceRequirements = always(core.ResourceRequirements)
    restartPolicy: str = ""
    ports: list[core.ContainerPort] = []
    """Those with a host port."""


class SlimEphemeralVolumeSource(Struct, forbid_unknown_fields=False):
    """Mark of a volume with a claim of its own; the template of the claim is left out."""


class SlimVolume(Struct, forbid_unknown_fields=False):
    """Image, claim or disk behind a volume."""

    name: str = ""
    image: core.ImageVolumeSource | None = None
    persistentVolumeClaim: core.PersistentVolumeClaimVolumeSource | None = None
    ephemeral: SlimEphemeralVolumeSource | None = None
    gcePersistentDisk: core.GCEPersistentDiskVolumeSource | None = None
    awsElasticBlockStore: core.AWSElasticBlockStoreVolumeSource | None = None
    iscsi: core.ISCSIVolumeSource | None = None
    rbd: core.RBDVolumeSource | None = None

    @property
    def matters(self) -> bool:
        """True if the volume decides where a pod can run, or runs well."""
        sources = (
            self.image, self.persistentVolumeClaim, self.ephemeral,
            self.gcePersistentDisk, self.awsElasticBlockStore, self.iscsi, self.rbd,
        )  # fmt: skip
        return any(source is not None for source in sources)


class SlimPodSpec(Struct, forbid_unknown_fields=False):
    """Fields of a pod's spec that decide where it can run."""

    containers: list[SlimContainer] = []
    initContainers: list[SlimContainer] = []
    volumes: list[SlimVolume] = []
    """Those with an image, a claim or a disk behind them."""
    nodeName: str = ""
    nodeSelector: dict[str, str] = {}
    affinity: core.Affinity | None = None
    tolerations: list[core.Toleration] = []
    topologySpreadConstraints: list[core.TopologySpreadConstraint] = []
    schedulerName: str = ""
    schedulingGates: list[core.PodSchedulingGate] = []
    priority: int | None = None
    preemptionPolicy: str | None = None
    overhead: dict[str, Quantity] = {}
    resources: core.ResourceRequirements | None = None
    resourceClaims: list[core.PodResourceClaim] = []


class SlimContainerStatus(Struct, forbid_unknown_fields=False):
    """Resources that a container has been granted."""

    name: str = ""
    allocatedResources: dict[str, Quantity] = {}
    resources: core.ResourceRequirements | None = None


class SlimPodStatus(Struct, forbid_unknown_fields=False):
    """Fields of a pod's status about its place and its resources."""

    phase: str = ""
    conditions: list[core.PodCondition] = []
    """PodScheduled and DisruptionTarget."""
    nominatedNodeName: str = ""
    startTime: Time | None = None
    containerStatuses: list[SlimContainerStatus] = []
    """Those with granted resources."""
    initContainerStatuses: list[SlimContainerStatus] = []
    """Those with granted resources."""
    resourceClaimStatuses: list[core.PodResourceClaimStatus] = []


class SlimPod(KubeObject, forbid_unknown_fields=False):
    """Pod without the fields for running it."""

    apiVersion: str = constant("v1")
    kind: str = constant("Pod")
    spec: SlimPodSpec = always(SlimPodSpec)
    status: SlimPodStatus = always(SlimPodStatus)


def compact(pod: SlimPod) -> SlimPod:
    """Drop the parts of a pod's lists that scheduling does not need; changes and returns the pod."""
    without_managed_fields(pod)
    spec, status = pod.spec, pod.status
    pod.metadata.annotations = {}
    _forget_infeasible(pod)
    for container in (*spec.containers, *spec.initContainers):
        container.ports = [port for port in container.ports if port.hostPort]
    spec.volumes = [volume for volume in spec.volumes if volume.matters]
    status.conditions = [condition for condition in status.conditions if condition.type in ("PodScheduled", DISRUPTION_TARGET)]
    status.containerStatuses = _resized(status.containerStatuses)
    status.initContainerStatuses = _resized(status.initContainerStatuses)
    return pod


def slim_pod(pod: core.Pod) -> SlimPod:
    """Return a whole pod as the scheduler would read it from the API."""
    return compact(msgspec.json.decode(msgspec.json.encode(pod), type=SlimPod))


def _resized(statuses: list[SlimContainerStatus]) -> list[SlimContainerStatus]:
    return [one for one in statuses if one.allocatedResources or (one.resources is not None and one.resources.requests)]


def _forget_infeasible(pod: SlimPod) -> None:
    """Drop requests that the node will never grant, so that the allocated resources count instead."""
    if not any(condition.type == "PodResizePending" and condition.reason == "Infeasible" for condition in pod.status.conditions):
        return
    allocated = {one.name: one.allocatedResources for one in (*pod.status.containerStatuses, *pod.status.initContainerStatuses)}
    for container in (*pod.spec.containers, *pod.spec.initContainers):
        if container.name in allocated:
            container.resources.requests = allocated[container.name]


class SlimNodeSpec(Struct, forbid_unknown_fields=False):
    """Fields of a node's spec that restrict which pods it takes."""

    unschedulable: bool = False
    taints: list[core.Taint] = []


class SlimNodeStatus(Struct, forbid_unknown_fields=False):
    """Fields of a node's status that describe its capacity."""

    allocatable: dict[str, Quantity] = {}
    images: list[core.ContainerImage] = []


class SlimNode(KubeObject, forbid_unknown_fields=False):
    """Node without the fields that change with every heartbeat."""

    apiVersion: str = constant("v1")
    kind: str = constant("Node")
    spec: SlimNodeSpec = always(SlimNodeSpec)
    status: SlimNodeStatus = always(SlimNodeStatus)


def without_annotations(node: SlimNode) -> SlimNode:
    """Drop annotations and managedFields; changes and returns the node."""
    node.metadata.annotations = {}
    return without_managed_fields(node)


class SlimWorkloadSpec(Struct, forbid_unknown_fields=False):
    """Selector of the pods that a workload owns."""

    selector: LabelSelector | None = None


class SlimWorkload(KubeObject, forbid_unknown_fields=False):
    """ReplicaSet or StatefulSet without its pod template."""

    spec: SlimWorkloadSpec = always(SlimWorkloadSpec)


class SlimReplicationControllerSpec(Struct, forbid_unknown_fields=False):
    """Selector of the pods that a ReplicationController owns."""

    selector: dict[str, str] = {}


class SlimReplicationController(KubeObject, forbid_unknown_fields=False):
    """ReplicationController without its pod template."""

    spec: SlimReplicationControllerSpec = always(SlimReplicationControllerSpec)


PODS: Final = Slim(SlimPod, core.Pod, compact, fields=POD_FIELDS)
NODES: Final = Slim(SlimNode, core.Node, without_annotations)
REPLICA_SETS: Final = Slim(SlimWorkload, apps.ReplicaSet)
STATEFUL_SETS: Final = Slim(SlimWorkload, apps.StatefulSet)
REPLICATION_CONTROLLERS: Final = Slim(SlimReplicationController, core.ReplicationController)
