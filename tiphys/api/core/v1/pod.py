"""The core group, v1: pod."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant
from tiphys.api.core.v1.container import (
    AppArmorProfile,
    Container,
    ContainerExtendedResourceRequest,
    ContainerStatus,
    EphemeralContainer,
    ResourceRequirements,
    SeccompProfile,
    SELinuxOptions,
    WindowsSecurityContextOptions,
)
from tiphys.api.core.v1.node import NodeAllocatableResourceClaimStatus
from tiphys.api.core.v1.reference import LocalObjectReference
from tiphys.api.core.v1.scheduling import Affinity, PodSchedulingGate, PodSchedulingGroup, Toleration, TopologySpreadConstraint
from tiphys.api.core.v1.volume import Volume
from tiphys.api.meta.v1.meta import KubeObject, ObjectMeta


class HostAlias(Struct):
    ip: str = always(str)
    hostnames: Annotated[list[str], Atomic()] = []


class HostIP(Struct):
    ip: str = always(str)


class PodResourceClaim(Struct):
    name: str = always(str)
    resourceClaimName: str | None = None
    resourceClaimTemplateName: str | None = None


class Sysctl(Struct):
    name: str = always(str)
    value: str = always(str)


class PodSecurityContext(Struct):
    seLinuxOptions: SELinuxOptions | None = None
    windowsOptions: WindowsSecurityContextOptions | None = None
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    supplementalGroups: Annotated[list[int], Atomic()] = []
    supplementalGroupsPolicy: str | None = None
    fsGroup: int | None = None
    sysctls: Annotated[list[Sysctl], Atomic()] = []
    fsGroupChangePolicy: str | None = None
    seccompProfile: SeccompProfile | None = None
    appArmorProfile: AppArmorProfile | None = None
    seLinuxChangePolicy: str | None = None


class PodDNSConfigOption(Struct):
    name: str = ""
    value: str | None = None


class PodDNSConfig(Struct):
    nameservers: Annotated[list[str], Atomic()] = []
    searches: Annotated[list[str], Atomic()] = []
    options: Annotated[list[PodDNSConfigOption], Atomic()] = []


class PodOS(Struct):
    name: str = always(str)


class PodReadinessGate(Struct):
    conditionType: str = always(str)


class PodSpec(Struct):
    volumes: Annotated[list[Volume], MapList("name"), Patch("merge,retainKeys", "name")] = []
    initContainers: Annotated[list[Container], MapList("name"), Patch("merge", "name")] = []
    containers: Annotated[list[Container], MapList("name"), Patch("merge", "name")] = always(list)
    ephemeralContainers: Annotated[list[EphemeralContainer], MapList("name"), Patch("merge", "name")] = []
    restartPolicy: str = ""
    terminationGracePeriodSeconds: int | None = None
    activeDeadlineSeconds: int | None = None
    dnsPolicy: str = ""
    nodeSelector: Annotated[dict[str, str], Atomic()] = {}
    serviceAccountName: str = ""
    serviceAccount: str = ""
    automountServiceAccountToken: bool | None = None
    nodeName: str = ""
    hostNetwork: bool = False
    hostPID: bool = False
    hostIPC: bool = False
    shareProcessNamespace: bool | None = None
    securityContext: PodSecurityContext | None = None
    imagePullSecrets: Annotated[list[LocalObjectReference], MapList("name"), Patch("merge", "name")] = []
    hostname: str = ""
    subdomain: str = ""
    affinity: Affinity | None = None
    schedulerName: str = ""
    tolerations: Annotated[list[Toleration], Atomic()] = []
    hostAliases: Annotated[list[HostAlias], MapList("ip"), Patch("merge", "ip")] = []
    priorityClassName: str = ""
    priority: int | None = None
    dnsConfig: PodDNSConfig | None = None
    readinessGates: Annotated[list[PodReadinessGate], Atomic()] = []
    runtimeClassName: str | None = None
    enableServiceLinks: bool | None = None
    preemptionPolicy: str | None = None
    overhead: dict[str, Quantity] = {}
    topologySpreadConstraints: Annotated[
        list[TopologySpreadConstraint], MapList("topologyKey", "whenUnsatisfiable"), Patch("merge", "topologyKey")
    ] = []
    setHostnameAsFQDN: bool | None = None
    os: PodOS | None = None
    hostUsers: bool | None = None
    schedulingGates: Annotated[list[PodSchedulingGate], MapList("name"), Patch("merge", "name")] = []
    resourceClaims: Annotated[list[PodResourceClaim], MapList("name"), Patch("merge,retainKeys", "name")] = []
    resources: ResourceRequirements | None = None
    hostnameOverride: str | None = None
    schedulingGroup: PodSchedulingGroup | None = None


class PodCondition(Struct):
    type: str = always(str)
    observedGeneration: int = 0
    status: str = always(str)
    lastProbeTime: Time | None = None
    lastTransitionTime: Time | None = None
    reason: str = ""
    message: str = ""


class PodResourceClaimStatus(Struct):
    name: str = always(str)
    resourceClaimName: str | None = None


class PodIP(Struct):
    ip: str = always(str)


class PodExtendedResourceClaimStatus(Struct):
    requestMappings: Annotated[list[ContainerExtendedResourceRequest], Atomic()] = always(list)
    resourceClaimName: str = always(str)


class PodStatus(Struct):
    observedGeneration: int = 0
    phase: str = ""
    conditions: Annotated[list[PodCondition], MapList("type"), Patch("merge", "type")] = []
    message: str = ""
    reason: str = ""
    nominatedNodeName: str = ""
    hostIP: str = ""
    hostIPs: Annotated[list[HostIP], Atomic(), Patch("merge", "ip")] = []
    podIP: str = ""
    podIPs: Annotated[list[PodIP], MapList("ip"), Patch("merge", "ip")] = []
    startTime: Time | None = None
    initContainerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    containerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    qosClass: str = ""
    ephemeralContainerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    resize: str = ""
    resourceClaimStatuses: Annotated[list[PodResourceClaimStatus], MapList("name"), Patch("merge,retainKeys", "name")] = []
    extendedResourceClaimStatus: PodExtendedResourceClaimStatus | None = None
    allocatedResources: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None
    nodeAllocatableResourceClaimStatuses: Annotated[list[NodeAllocatableResourceClaimStatus], Atomic()] = []


class Pod(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("Pod")
    spec: PodSpec = always(PodSpec)
    status: PodStatus = always(PodStatus)


class PodTemplateSpec(Struct):
    metadata: ObjectMeta = always(ObjectMeta)
    spec: PodSpec = always(PodSpec)


class PodTemplate(KubeObject):
    apiVersion: str = constant("v1")
    kind: str = constant("PodTemplate")
    template: PodTemplateSpec = always(PodTemplateSpec)
