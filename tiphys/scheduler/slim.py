"""Slim objects for the scheduler's caches: fields that it does not read are dropped, as most of a pod is about running it."""

from __future__ import annotations

from typing import Final

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity, Struct, always, constant
from tiphys.api.meta.v1 import KubeObject, LabelSelector
from tiphys.runtime.declaration import Slim
from tiphys.runtime.informer import without_managed_fields

_RUNNING_FIELDS = (
    "command", "args", "workingDir", "envFrom", "env", "resizePolicy", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe",
    "startupProbe", "lifecycle", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "securityContext",
)  # fmt: skip
_EMPTY_CONTAINER = core.Container()
_EMPTY_POD = core.PodSpec()
_UNUSED_IN_SPEC = ("hostAliases", "imagePullSecrets", "dnsConfig", "readinessGates", "securityContext", "ephemeralContainers")


def slim_pod(pod: core.Pod) -> core.Pod:
    """Strip a pod of the fields for running it. Changes and returns the pod."""
    without_managed_fields(pod)
    spec, status = pod.spec, pod.status
    pod.metadata.annotations = {}
    _forget_infeasible(pod)
    for container in (*spec.containers, *spec.initContainers):
        for name in _RUNNING_FIELDS:
            setattr(container, name, getattr(_EMPTY_CONTAINER, name))
        container.ports = [port for port in container.ports if port.hostPort]
    for name in _UNUSED_IN_SPEC:
        setattr(spec, name, getattr(_EMPTY_POD, name))
    spec.volumes = [volume for volume in spec.volumes if volume.image is not None or volume.persistentVolumeClaim is not None]
    pod.status = core.PodStatus(
        phase=status.phase,
        conditions=[condition for condition in status.conditions if condition.type in ("PodScheduled", "DisruptionTarget")],
        nominatedNodeName=status.nominatedNodeName,
        startTime=status.startTime,
        containerStatuses=_resized(status.containerStatuses),
        initContainerStatuses=_resized(status.initContainerStatuses),
    )
    return pod


def _resized(statuses: list[core.ContainerStatus]) -> list[core.ContainerStatus]:
    return [
        core.ContainerStatus(name=one.name, allocatedResources=one.allocatedResources, resources=one.resources)
        for one in statuses
        if one.allocatedResources or (one.resources is not None and one.resources.requests)
    ]


def _forget_infeasible(pod: core.Pod) -> None:
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


NODES: Final = Slim(SlimNode, core.Node, without_annotations)
REPLICA_SETS: Final = Slim(SlimWorkload, apps.ReplicaSet)
STATEFUL_SETS: Final = Slim(SlimWorkload, apps.StatefulSet)
REPLICATION_CONTROLLERS: Final = Slim(SlimReplicationController, core.ReplicationController)
