"""Dynamic resource allocation, resource/v1."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.core.v1.reference import NodeSelector
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant, field, null
from tiphys.api.meta.v1.meta import Condition, KubeObject, ObjectMeta


class NetworkDeviceData(Struct):
    """Interface and addresses of a network device."""

    interfaceName: str = ""
    """Its interface in the pod."""
    ips: Annotated[list[str], Atomic()] = []
    """Its addresses with prefix lengths."""
    hardwareAddress: str = ""
    """Its hardware address."""


class AllocatedDeviceStatus(Struct):
    """Status of an allocated device, reported by its driver."""

    driver: str = always(str)
    """The driver."""
    pool: str = always(str)
    """The pool of the device."""
    device: str = always(str)
    """The device."""
    shareID: str | None = None
    """Share of the device, when several claims have it."""
    conditions: Annotated[list[Condition], MapList("type")] | None = null()
    """Aspects of how it stands, one of each type."""
    data: Any = None
    """Data that the driver reports."""
    networkData: NetworkDeviceData | None = None
    """Interface and addresses of a network device."""


class DeviceToleration(Struct):
    """Taints of devices that do no harm."""

    key: str = ""
    """The key; all if empty."""
    operator: str = ""
    """`Exists` or `Equal`."""
    value: str = ""
    """The value, with the second operator."""
    effect: str = ""
    """The effect; all if empty."""
    tolerationSeconds: int | None = None
    """For how many seconds `NoExecute` is borne."""


class DeviceRequestAllocationResult(Struct):
    """A device that was given for a request."""

    request: str = always(str)
    """The request; for one of several sorts followed by `/` and its name."""
    driver: str = always(str)
    """The driver."""
    pool: str = always(str)
    """The pool of the device."""
    device: str = always(str)
    """The device."""
    adminAccess: bool | None = None
    """True if it is for watching the device only, and others may have it too."""
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    """Taints of the device that the claim bears."""
    bindingConditions: Annotated[list[str], Atomic()] = []
    """Conditions that must be true before a pod is bound."""
    bindingFailureConditions: Annotated[list[str], Atomic()] = []
    """Conditions that mean that binding failed."""
    shareID: str | None = None
    """Share of the device."""
    consumedCapacity: dict[str, Quantity] = {}
    """Capacities that the share consumes."""


class OpaqueDeviceConfiguration(Struct):
    """Settings that only a driver understands."""

    driver: str = always(str)
    """The driver."""
    parameters: Any = None
    """The settings, an object with a kind."""


class DeviceAllocationConfiguration(Struct):
    """Settings for devices that were given."""

    source: str = always(str)
    """`FromClass` or `FromClaim`."""
    requests: Annotated[list[str], Atomic()] = []
    """The requests that they are for; all if empty."""
    opaque: OpaqueDeviceConfiguration | None = None
    """Settings that only the driver understands."""


class DeviceAllocationResult(Struct):
    """Devices that were given."""

    results: Annotated[list[DeviceRequestAllocationResult], Atomic()] = []
    """One entry for each device."""
    config: Annotated[list[DeviceAllocationConfiguration], Atomic()] = []
    """Settings, from the class and the claim."""


class AllocationResult(Struct):
    """Devices that a claim was given, and the nodes that can use them."""

    devices: DeviceAllocationResult = always(DeviceAllocationResult)
    """The devices."""
    nodeSelector: NodeSelector | None = None
    """The nodes from which they can be used; all if absent."""
    allocationTimestamp: Time | None = None
    """Time of the allocation."""


class CELDeviceSelector(Struct):
    """A condition on devices."""

    expression: str = always(str)
    """A CEL expression over `device` that gives true or false."""


class CapacityRequestPolicyRange(Struct):
    """A range of amounts."""

    min: Quantity | None = None
    """The smallest."""
    max: Quantity | None = None
    """The largest."""
    step: Quantity | None = None
    """Step between valid amounts, from the smallest on."""


class CapacityRequestPolicy(Struct):
    """Amounts of a capacity that may be requested."""

    default: Quantity | None = None
    """Amount for a request that states none."""
    validValues: Annotated[list[Quantity], Atomic()] = []
    """The amounts that there are; larger ones are looked for first fit."""
    validRange: CapacityRequestPolicyRange | None = None
    """The range of amounts."""


class CapacityRequirements(Struct):
    """Capacities that a device must offer."""

    requests: dict[str, Quantity] = {}
    """The amounts by capacity."""


class Counter(Struct):
    """An amount that devices share."""

    value: Quantity | None = None
    """The amount."""


class CounterSet(Struct):
    """Amounts that devices of a pool share."""

    name: str = always(str)
    """The name of the set."""
    counters: dict[str, Counter] = {}
    """The amounts by name."""


class DeviceCapacity(Struct):
    """Capacity of a device."""

    value: Quantity | None = None
    """The amount."""
    requestPolicy: CapacityRequestPolicy | None = None
    """Amounts that may be requested, where claims share the device."""


class DeviceCounterConsumption(Struct):
    """Counters of a set that a device consumes."""

    counterSet: str = always(str)
    """The set."""
    counters: dict[str, Counter] = {}
    """The amounts by counter."""


class NodeAllocatableResourceMapping(Struct):
    """Amount of a node's resource behind a device."""

    capacityKey: str | None = None
    """The capacity of the device that says how much."""
    allocationMultiplier: Quantity | None = None
    """Amount behind each unit."""


class DeviceTaint(Struct):
    """Keeps claims away from a device."""

    key: str = always(str)
    """Its key."""
    value: str = ""
    """Its value."""
    effect: str = always(str)
    """`NoSchedule`, `NoExecute` or `None`."""
    timeAdded: Time | None = None
    """Since when."""


class DeviceAttribute(Struct):
    """One value; exactly one field is set."""

    int_: int | None = field(name="int", default=None)
    """A whole number."""
    bool_: bool | None = field(name="bool", default=None)
    """True or false."""
    string: str | None = None
    """A text of at most 64 characters."""
    version: str | None = None
    """A version, as semver.org writes it."""
    ints: Annotated[list[int], Atomic()] = []
    """Whole numbers."""
    bools: Annotated[list[bool], Atomic()] = []
    """Values of true or false."""
    strings: Annotated[list[str], Atomic()] = []
    """Texts."""
    versions: Annotated[list[str], Atomic()] = []
    """Versions."""


class Device(Struct):
    """A device that a driver offers."""

    name: str = always(str)
    """Its name in the pool."""
    attributes: dict[str, DeviceAttribute] = {}
    """Attributes of the device, by name."""
    capacity: dict[str, DeviceCapacity] = {}
    """Capacities of the device, by name."""
    consumesCounters: Annotated[list[DeviceCounterConsumption], Atomic()] = []
    """Consumption of the pool's shared counters."""
    nodeName: str | None = None
    """The node that has it; only where devices say that one by one."""
    nodeSelector: NodeSelector | None = None
    """The nodes from which it can be used; only where devices say that one by one."""
    allNodes: bool | None = None
    """True if all nodes can use it; only where devices say that one by one."""
    taints: Annotated[list[DeviceTaint], Atomic()] = []
    """Taints, which repel claims that do not tolerate them."""
    bindsToNode: bool | None = None
    """True if a claim that gets it is tied to the node that was chosen."""
    bindingConditions: Annotated[list[str], Atomic()] = []
    """Conditions that must be true before a pod is bound."""
    bindingFailureConditions: Annotated[list[str], Atomic()] = []
    """Conditions that mean that binding failed."""
    allowMultipleAllocations: bool | None = None
    """True if several claims may have it."""
    nodeAllocatableResourceMappings: dict[str, NodeAllocatableResourceMapping] = {}
    """Consumption of the node's allocatable resources."""


class DeviceSelector(Struct):
    """A condition on devices."""

    cel: CELDeviceSelector | None = None
    """Expression in CEL."""


class ExactDeviceRequest(Struct):
    """One sort of devices."""

    deviceClassName: str = always(str)
    """The class."""
    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    """Conditions, all of which a device must meet."""
    allocationMode: str = ""
    """`ExactCount` or `All`."""
    count: int = 0
    """Number of devices, with the first mode; 1 by default."""
    adminAccess: bool | None = None
    """True if the devices are only watched, also while others have them."""
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    """Taints that do no harm."""
    capacity: CapacityRequirements | None = None
    """Capacities that a device must offer."""


class DeviceSubRequest(Struct):
    """One of several sorts of devices."""

    name: str = always(str)
    """The name of the sort in its request."""
    deviceClassName: str = always(str)
    """The class."""
    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    """Conditions, all of which a device must meet."""
    allocationMode: str = ""
    """`ExactCount` or `All`."""
    count: int = 0
    """Number of devices, with the first mode; 1 by default."""
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    """Taints that do no harm."""
    capacity: CapacityRequirements | None = None
    """Capacities that a device must offer."""


class DeviceRequest(Struct):
    """Devices that a claim asks for."""

    name: str = always(str)
    """The name of the request."""
    exactly: ExactDeviceRequest | None = None
    """One sort of devices."""
    firstAvailable: Annotated[list[DeviceSubRequest], Atomic()] = []
    """Several sorts, of which the first that can be had is taken."""


class DeviceClaimConfiguration(Struct):
    """Settings for devices of a claim."""

    requests: Annotated[list[str], Atomic()] = []
    """The requests that they are for; all if empty."""
    opaque: OpaqueDeviceConfiguration | None = None
    """Settings that only the driver understands."""


class DeviceConstraint(Struct):
    """Attribute that devices must have in common."""

    requests: Annotated[list[str], Atomic()] = []
    """The requests that it is about; all if empty."""
    matchAttribute: str | None = None
    """An attribute that is the same for all."""
    distinctAttribute: str | None = None
    """An attribute that differs between all."""


class DeviceClaim(Struct):
    """Requested devices, with constraints and configuration."""

    requests: Annotated[list[DeviceRequest], Atomic()] | None = null()
    """The devices."""
    constraints: Annotated[list[DeviceConstraint], Atomic()] = []
    """Attributes that devices must have in common."""
    config: Annotated[list[DeviceClaimConfiguration], Atomic()] = []
    """Settings for them."""


class DeviceClassConfiguration(Struct):
    """Settings for devices of a class."""

    opaque: OpaqueDeviceConfiguration | None = None
    """Settings that only the driver understands."""


class DeviceClassSpec(Struct):
    """Selectors and configuration of the devices of a class."""

    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    """Conditions, all of which a device must meet."""
    config: Annotated[list[DeviceClassConfiguration], Atomic()] = []
    """Settings for each of them."""
    extendedResourceName: str | None = None
    """The resource in whose name pods may ask for one without a claim."""


class DeviceClass(KubeObject):
    """A sort of devices that claims can name."""

    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("DeviceClass")
    spec: DeviceClassSpec = always(DeviceClassSpec)
    """Desired state of the device class."""


class ResourceClaimConsumerReference(Struct):
    """Object that uses a claim."""

    apiGroup: str = ""
    """Its group; empty for the core group."""
    resource: str = always(str)
    """Its resource, such as `pods`."""
    name: str = always(str)
    """Its name."""
    uid: str = always(str)
    """Its UID."""


class ResourceClaimStatus(Struct):
    """Allocation and reservations of a claim."""

    allocation: AllocationResult | None = None
    """Result of the allocation."""
    reservedFor: Annotated[list[ResourceClaimConsumerReference], MapList("uid"), Patch("merge", "uid")] = []
    """Objects that may use the claim."""
    devices: Annotated[list[AllocatedDeviceStatus], MapList("driver", "device", "pool", "shareID")] = []
    """Status of the devices, reported by their drivers."""


class ResourceClaimSpec(Struct):
    """Devices that a claim requests."""

    devices: DeviceClaim = always(DeviceClaim)
    """The devices."""


class ResourceClaim(KubeObject):
    """Asks for devices, and holds them."""

    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceClaim")
    spec: ResourceClaimSpec = always(ResourceClaimSpec)
    """Desired state of the resource claim."""
    status: ResourceClaimStatus = always(ResourceClaimStatus)
    """Observed state of the resource claim."""


class ResourceClaimTemplateSpec(Struct):
    """The claims to make."""

    metadata: ObjectMeta = always(ObjectMeta)
    """Their labels and annotations."""
    spec: ResourceClaimSpec = always(ResourceClaimSpec)
    """Desired state of the claims."""


class ResourceClaimTemplate(KubeObject):
    """Claims that are made for pods."""

    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceClaimTemplate")
    spec: ResourceClaimTemplateSpec = always(ResourceClaimTemplateSpec)
    """Desired state of the resource claim template."""


class ResourcePool(Struct):
    """The devices that one driver offers under one name."""

    name: str = always(str)
    """The name of the pool."""
    generation: int = always(int)
    """Grows with every change of the pool; slices of older ones do not count."""
    resourceSliceCount: int = always(int)
    """Number of slices of the pool in this generation."""


class ResourceSliceSpec(Struct):
    """The devices, and where they are."""

    driver: str = always(str)
    """The driver that offers them."""
    pool: ResourcePool = always(ResourcePool)
    """The pool that they belong to."""
    nodeName: str | None = None
    """The node that has them."""
    nodeSelector: NodeSelector | None = None
    """The nodes from which they can be used."""
    allNodes: bool | None = None
    """True if all nodes can use them."""
    devices: Annotated[list[Device], Atomic()] = []
    """The devices, at most 128."""
    perDeviceNodeSelection: bool | None = None
    """True if each device says itself where it can be used."""
    sharedCounters: Annotated[list[CounterSet], Atomic()] = []
    """Amounts that devices of the pool share."""


class ResourceSlice(KubeObject):
    """Devices of a pool."""

    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceSlice")
    spec: ResourceSliceSpec = always(ResourceSliceSpec)
    """Desired state of the resource slice."""
