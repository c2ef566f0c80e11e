"""The core group, v1: node."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.scheduling import Taint
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, SetList, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject


class AttachedVolume(Struct):
    """A volume that is attached to a node."""

    name: str = always(str)
    """The volume."""
    devicePath: str = always(str)
    """Path of the device on the node."""


class ConfigMapNodeConfigSource(Struct):
    """No longer used."""

    namespace: str = always(str)
    """No longer used."""
    name: str = always(str)
    """No longer used."""
    uid: str = ""
    """No longer used."""
    resourceVersion: str = ""
    """No longer used."""
    kubeletConfigKey: str = always(str)
    """No longer used."""


class ContainerImage(Struct):
    """An image that a node has."""

    names: Annotated[list[str], Atomic()] = always(list)
    """The names it is known by."""
    sizeBytes: int = 0
    """Its size in bytes."""


class DaemonEndpoint(Struct):
    """A port of a daemon."""

    Port: int = always(int)
    """The port."""


class NodeConfigSource(Struct):
    """No longer used."""

    configMap: ConfigMapNodeConfigSource | None = None
    """No longer used."""


class NodeSpec(Struct):
    """Desired state of a node."""

    podCIDR: str = ""
    """The range of addresses for the node's pods."""
    podCIDRs: Annotated[list[str], SetList(), Patch("merge")] = []
    """All such ranges, at most one per family; the first is podCIDR. Once set they stay."""
    providerID: str = ""
    """The machine's identity at its provider, as `provider://id`. Once set it stays."""
    unschedulable: bool = False
    """True if no new pods are placed here, as after `kubectl cordon`."""
    taints: Annotated[list[Taint], Atomic()] = []
    """Taints, which repel pods that do not tolerate them."""
    configSource: NodeConfigSource | None = None
    """No longer used."""
    externalID: str = ""
    """No longer used."""


class NodeDaemonEndpoints(Struct):
    """Ports of the daemons on a node."""

    kubeletEndpoint: DaemonEndpoint = always(DaemonEndpoint)
    """The port of the kubelet."""


class NodeRuntimeHandlerFeatures(Struct):
    """Features of a runtime handler."""

    recursiveReadOnlyMounts: bool | None = None
    """True if mounts can be read-only all the way down."""
    userNamespaces: bool | None = None
    """True if pods can have user ids of their own."""


class NodeRuntimeHandler(Struct):
    """A runtime of a node."""

    name: str = always(str)
    """Its name; empty for the default one."""
    features: NodeRuntimeHandlerFeatures | None = None
    """Features of the runtime handler."""


class NodeConfigStatus(Struct):
    """No longer used."""

    assigned: NodeConfigSource | None = None
    """No longer used."""
    active: NodeConfigSource | None = None
    """No longer used."""
    lastKnownGood: NodeConfigSource | None = None
    """No longer used."""
    error: str = ""
    """No longer used."""


class NodeFeatures(Struct):
    """Features of all runtime handlers of a node."""

    supplementalGroupsPolicy: bool | None = None
    """True if supplementalGroupsPolicy is heeded."""


class NodeSwapStatus(Struct):
    """Swap of a node."""

    capacity: int | None = None
    """Its size in bytes."""


class NodeSystemInfo(Struct):
    """Identity of a node's machine, and versions of its software."""

    machineID: str = always(str)
    """The identity from /etc/machine-id."""
    systemUUID: str = always(str)
    """The identity of the hardware."""
    bootID: str = always(str)
    """The identity of this boot."""
    kernelVersion: str = always(str)
    """The kernel, as `uname -r` says it."""
    osImage: str = always(str)
    """The operating system, by the name in /etc/os-release."""
    containerRuntimeVersion: str = always(str)
    """The container runtime, as `name://version`."""
    kubeletVersion: str = always(str)
    """The version of the kubelet."""
    kubeProxyVersion: str = always(str)
    """No longer meaningful."""
    operatingSystem: str = always(str)
    """`linux` or `windows`."""
    architecture: str = always(str)
    """The processor, such as `amd64`."""
    swap: NodeSwapStatus | None = None
    """Its swap."""


class NodeCondition(Struct):
    """One aspect of a node's state."""

    type: str = always(str)
    """Type of the condition, such as `Ready` or `DiskPressure`."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastHeartbeatTime: Time | None = null()
    """Time of the last report by the node."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word."""
    message: str = ""
    """Explanation of the status, for people."""


class NodeAddress(Struct):
    """An address of a node."""

    type: str = always(str)
    """`InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS` or `ExternalDNS`."""
    address: str = always(str)
    """The address."""


class NodeStatus(Struct):
    """Observed state of a node, written by its kubelet."""

    capacity: dict[str, Quantity] = {}
    """Total resources of the node."""
    allocatable: dict[str, Quantity] = {}
    """Resources of the node that are available to pods."""
    phase: str = ""
    """No longer used."""
    conditions: Annotated[list[NodeCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of its state, one of each type."""
    addresses: Annotated[list[NodeAddress], MapList("type"), Patch("merge", "type")] = []
    """Addresses of the node."""
    daemonEndpoints: NodeDaemonEndpoints = always(NodeDaemonEndpoints)
    """Ports of its daemons."""
    nodeInfo: NodeSystemInfo = always(NodeSystemInfo)
    """Identity of the machine, and versions of its software."""
    images: Annotated[list[ContainerImage], Atomic()] = []
    """Images it has, the largest first."""
    volumesInUse: Annotated[list[str], Atomic()] = []
    """Attached volumes that pods use."""
    volumesAttached: Annotated[list[AttachedVolume], Atomic()] = []
    """Volumes that are attached."""
    config: NodeConfigStatus | None = None
    """No longer used."""
    runtimeHandlers: Annotated[list[NodeRuntimeHandler], Atomic()] = []
    """Its container runtimes."""
    features: NodeFeatures | None = None
    """Features of the node's runtime handlers."""
    declaredFeatures: Annotated[list[str], Atomic()] = []
    """Features that its kubelet offers, sorted."""


class Node(KubeObject):
    """A machine that runs pods."""

    apiVersion: str = constant("v1")
    kind: str = constant("Node")
    spec: NodeSpec = always(NodeSpec)
    """Desired state of the node."""
    status: NodeStatus = always(NodeStatus)
    """Observed state of the node."""


class NodeAllocatableResourceClaimStatus(Struct):
    """Node resources behind a device claim."""

    resourceClaimName: str = always(str)
    """The claim."""
    containers: Annotated[list[str], SetList()] = []
    """The containers that use it."""
    resources: dict[str, Quantity] = {}
    """Amounts behind it, by resource."""
