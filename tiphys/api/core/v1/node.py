"""The core group, v1: node."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Quantity, SetList, Struct, Time, always, constant
from tiphys.api.core.v1.scheduling import Taint
from tiphys.api.meta.v1.meta import KubeObject


class AttachedVolume(Struct):
    name: str = always(str)
    devicePath: str = always(str)


class ConfigMapNodeConfigSource(Struct):
    namespace: str = always(str)
    name: str = always(str)
    uid: str = ""
    resourceVersion: str = ""
    kubeletConfigKey: str = always(str)


class ContainerImage(Struct):
    names: Annotated[list[str], Atomic()] = always(list)
    sizeBytes: int = 0


class DaemonEndpoint(Struct):
    Port: int = always(int)


class NodeConfigSource(Struct):
    configMap: ConfigMapNodeConfigSource | None = None


class NodeSpec(Struct):
    podCIDR: str = ""
    podCIDRs: Annotated[list[str], SetList(), Patch("merge")] = []
    providerID: str = ""
    unschedulable: bool = False
    taints: Annotated[list[Taint], Atomic()] = []
    configSource: NodeConfigSource | None = None
    externalID: str = ""


class NodeDaemonEndpoints(Struct):
    kubeletEndpoint: DaemonEndpoint = always(DaemonEndpoint)


class NodeRuntimeHandlerFeatures(Struct):
    recursiveReadOnlyMounts: bool | None = None
    userNamespaces: bool | None = None


class NodeRuntimeHandler(Struct):
    name: str = always(str)
    features: NodeRuntimeHandlerFeatures | None = None


class NodeConfigStatus(Struct):
    assigned: NodeConfigSource | None = None
    active: NodeConfigSource | None = None
    lastKnownGood: NodeConfigSource | None = None
    error: str = ""


class NodeFeatures(Struct):
    supplementalGroupsPolicy: bool | None = None


class NodeSwapStatus(Struct):
    capacity: int | None = None


class NodeSystemInfo(Struct):
    machineID: str = always(str)
    systemUUID: str = always(str)
    bootID: str = always(str)
    kernelVersion: str = always(str)
    osImage: str = always(str)
    containerRuntimeVersion: str = always(str)
    kubeletVersion: str = always(str)
    kubeProxyVersion: str = always(str)
    operatingSystem: str = always(str)
    architecture: str = always(str)
    swap: NodeSwapStatus | None = None


class NodeCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    lastHeartbeatTime: Time | None = None
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class NodeAddress(Struct):
    type: str = always(str)
    address: str = always(str)


class NodeStatus(Struct):
    capacity: dict[str, Quantity] = {}
    allocatable: dict[str, Quantity] = {}
    phase: str = ""
    conditions: Annotated[list[NodeCondition], MapList("type"), Patch("merge", "type")] = []
    addresses: Annotated[list[NodeAddress], MapList("type"), Patch("merge", "type")] = []
    daemonEndpoints: NodeDaemonEndpoints = always(NodeDaemonEndpoints)
    nodeInfo: NodeSystemInfo = always(NodeSystemInfo)
    images: Annotated[list[ContainerImage], Atomic()] = []
    volumesInUse: Annotated[list[str], Atomic()] = []
    volumesAttached: Annotated[list[AttachedVolume], Atomic()] = []
    config: NodeConfigStatus | None = None
    runtimeHandlers: Annotated[list[NodeRuntimeHandler], Atomic()] = []
    features: NodeFeatures | None = None
    declaredFeatures: Annotated[list[str], Atomic()] = []


class Node(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Node")
    spec: NodeSpec = always(NodeSpec)
    status: NodeStatus = always(NodeStatus)


class NodeAllocatableResourceClaimStatus(Struct):
    resourceClaimName: str = always(str)
    containers: Annotated[list[str], SetList()] = []
    resources: dict[str, Quantity] = {}
