"""Dynamic resource allocation, resource/v1."""

from __future__ import annotations

from typing import Annotated, Any

from tiphys.api.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant, field
from tiphys.api.core.v1.reference import NodeSelector
from tiphys.api.meta.v1.meta import Condition, KubeObject, ObjectMeta


class NetworkDeviceData(Struct):
    interfaceName: str = ""
    ips: Annotated[list[str], Atomic()] = []
    hardwareAddress: str = ""


class AllocatedDeviceStatus(Struct):
    driver: str = always(str)
    pool: str = always(str)
    device: str = always(str)
    shareID: str | None = None
    conditions: Annotated[list[Condition], MapList("type")] = always(list)
    data: Any = None
    networkData: NetworkDeviceData | None = None


class DeviceToleration(Struct):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None


class DeviceRequestAllocationResult(Struct):
    request: str = always(str)
    driver: str = always(str)
    pool: str = always(str)
    device: str = always(str)
    adminAccess: bool | None = None
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    bindingConditions: Annotated[list[str], Atomic()] = []
    bindingFailureConditions: Annotated[list[str], Atomic()] = []
    shareID: str | None = None
    consumedCapacity: dict[str, Quantity] = {}


class OpaqueDeviceConfiguration(Struct):
    driver: str = always(str)
    parameters: Any = None


class DeviceAllocationConfiguration(Struct):
    source: str = always(str)
    requests: Annotated[list[str], Atomic()] = []
    opaque: OpaqueDeviceConfiguration | None = None


class DeviceAllocationResult(Struct):
    results: Annotated[list[DeviceRequestAllocationResult], Atomic()] = []
    config: Annotated[list[DeviceAllocationConfiguration], Atomic()] = []


class AllocationResult(Struct):
    devices: DeviceAllocationResult = always(DeviceAllocationResult)
    nodeSelector: NodeSelector | None = None
    allocationTimestamp: Time | None = None


class CELDeviceSelector(Struct):
    expression: str = always(str)


class CapacityRequestPolicyRange(Struct):
    min: Quantity | None = None
    max: Quantity | None = None
    step: Quantity | None = None


class CapacityRequestPolicy(Struct):
    default: Quantity | None = None
    validValues: Annotated[list[Quantity], Atomic()] = []
    validRange: CapacityRequestPolicyRange | None = None


class CapacityRequirements(Struct):
    requests: dict[str, Quantity] = {}


class Counter(Struct):
    value: Quantity | None = None


class CounterSet(Struct):
    name: str = always(str)
    counters: dict[str, Counter] = {}


class DeviceCapacity(Struct):
    value: Quantity | None = None
    requestPolicy: CapacityRequestPolicy | None = None


class DeviceCounterConsumption(Struct):
    counterSet: str = always(str)
    counters: dict[str, Counter] = {}


class NodeAllocatableResourceMapping(Struct):
    capacityKey: str | None = None
    allocationMultiplier: Quantity | None = None


class DeviceTaint(Struct):
    key: str = always(str)
    value: str = ""
    effect: str = always(str)
    timeAdded: Time | None = None


class DeviceAttribute(Struct):
    int_: int | None = field(name="int", default=None)
    bool_: bool | None = field(name="bool", default=None)
    string: str | None = None
    version: str | None = None
    ints: Annotated[list[int], Atomic()] = []
    bools: Annotated[list[bool], Atomic()] = []
    strings: Annotated[list[str], Atomic()] = []
    versions: Annotated[list[str], Atomic()] = []


class Device(Struct):
    name: str = always(str)
    attributes: dict[str, DeviceAttribute] = {}
    capacity: dict[str, DeviceCapacity] = {}
    consumesCounters: Annotated[list[DeviceCounterConsumption], Atomic()] = []
    nodeName: str | None = None
    nodeSelector: NodeSelector | None = None
    allNodes: bool | None = None
    taints: Annotated[list[DeviceTaint], Atomic()] = []
    bindsToNode: bool | None = None
    bindingConditions: Annotated[list[str], Atomic()] = []
    bindingFailureConditions: Annotated[list[str], Atomic()] = []
    allowMultipleAllocations: bool | None = None
    nodeAllocatableResourceMappings: dict[str, NodeAllocatableResourceMapping] = {}


class DeviceSelector(Struct):
    cel: CELDeviceSelector | None = None


class ExactDeviceRequest(Struct):
    deviceClassName: str = always(str)
    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    allocationMode: str = ""
    count: int = 0
    adminAccess: bool | None = None
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    capacity: CapacityRequirements | None = None


class DeviceSubRequest(Struct):
    name: str = always(str)
    deviceClassName: str = always(str)
    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    allocationMode: str = ""
    count: int = 0
    tolerations: Annotated[list[DeviceToleration], Atomic()] = []
    capacity: CapacityRequirements | None = None


class DeviceRequest(Struct):
    name: str = always(str)
    exactly: ExactDeviceRequest | None = None
    firstAvailable: Annotated[list[DeviceSubRequest], Atomic()] = []


class DeviceClaimConfiguration(Struct):
    requests: Annotated[list[str], Atomic()] = []
    opaque: OpaqueDeviceConfiguration | None = None


class DeviceConstraint(Struct):
    requests: Annotated[list[str], Atomic()] = []
    matchAttribute: str | None = None
    distinctAttribute: str | None = None


class DeviceClaim(Struct):
    requests: Annotated[list[DeviceRequest], Atomic()] = always(list)
    constraints: Annotated[list[DeviceConstraint], Atomic()] = []
    config: Annotated[list[DeviceClaimConfiguration], Atomic()] = []


class DeviceClassConfiguration(Struct):
    opaque: OpaqueDeviceConfiguration | None = None


class DeviceClassSpec(Struct):
    selectors: Annotated[list[DeviceSelector], Atomic()] = []
    config: Annotated[list[DeviceClassConfiguration], Atomic()] = []
    extendedResourceName: str | None = None


class DeviceClass(KubeObject):
    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("DeviceClass")
    spec: DeviceClassSpec = always(DeviceClassSpec)


class ResourceClaimConsumerReference(Struct):
    apiGroup: str = ""
    resource: str = always(str)
    name: str = always(str)
    uid: str = always(str)


class ResourceClaimStatus(Struct):
    allocation: AllocationResult | None = None
    reservedFor: Annotated[list[ResourceClaimConsumerReference], MapList("uid"), Patch("merge", "uid")] = []
    devices: Annotated[list[AllocatedDeviceStatus], MapList("driver", "device", "pool", "shareID")] = []


class ResourceClaimSpec(Struct):
    devices: DeviceClaim = always(DeviceClaim)


class ResourceClaim(KubeObject):
    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceClaim")
    spec: ResourceClaimSpec = always(ResourceClaimSpec)
    status: ResourceClaimStatus = always(ResourceClaimStatus)


class ResourceClaimTemplateSpec(Struct):
    metadata: ObjectMeta = always(ObjectMeta)
    spec: ResourceClaimSpec = always(ResourceClaimSpec)


class ResourceClaimTemplate(KubeObject):
    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceClaimTemplate")
    spec: ResourceClaimTemplateSpec = always(ResourceClaimTemplateSpec)


class ResourcePool(Struct):
    name: str = always(str)
    generation: int = always(int)
    resourceSliceCount: int = always(int)


class ResourceSliceSpec(Struct):
    driver: str = always(str)
    pool: ResourcePool = always(ResourcePool)
    nodeName: str | None = None
    nodeSelector: NodeSelector | None = None
    allNodes: bool | None = None
    devices: Annotated[list[Device], Atomic()] = []
    perDeviceNodeSelection: bool | None = None
    sharedCounters: Annotated[list[CounterSet], Atomic()] = []


class ResourceSlice(KubeObject):
    apiVersion: str = constant("resource.k8s.io/v1")
    kind: str = constant("ResourceSlice")
    spec: ResourceSliceSpec = always(ResourceSliceSpec)
