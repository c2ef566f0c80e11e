"""The core group, v1: pod."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.container import Container, EphemeralContainer, ResourceRequirements
from tiphys.api.core.v1.container_status import ContainerExtendedResourceRequest, ContainerStatus
from tiphys.api.core.v1.node import NodeAllocatableResourceClaimStatus
from tiphys.api.core.v1.reference import LocalObjectReference
from tiphys.api.core.v1.scheduling import Affinity, PodSchedulingGate, PodSchedulingGroup, Toleration, TopologySpreadConstraint
from tiphys.api.core.v1.security import AppArmorProfile, SeccompProfile, SELinuxOptions, WindowsSecurityContextOptions
from tiphys.api.core.v1.volume import Volume
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, constant, null
from tiphys.api.meta.v1.meta import KubeObject, ObjectMeta


class HostAlias(Struct):
    """One line of the pod's /etc/hosts."""

    ip: str = always(str)
    """The address that the names stand for."""
    hostnames: Annotated[list[str], Atomic()] = []
    """Names of the address."""


class HostIP(Struct):
    """One address of the node."""

    ip: str = always(str)
    """The address."""


class PodResourceClaim(Struct):
    """A device claim that containers of the pod can refer to; exactly one of the two sources is set."""

    name: str = always(str)
    """The name by which containers refer to the claim, unique within the pod; a DNS label."""
    resourceClaimName: str | None = None
    """The claim in the pod's namespace that is used."""
    resourceClaimTemplateName: str | None = None
    """The template from which a claim is made for this pod, and removed with it."""


class Sysctl(Struct):
    """A kernel parameter to set."""

    name: str = always(str)
    """The parameter, such as `net.core.somaxconn`."""
    value: str = always(str)
    """Value to set."""


class PodSecurityContext(Struct):
    """Privileges that all containers of the pod share; a container's own settings win."""

    seLinuxOptions: SELinuxOptions | None = None
    """The SELinux label of all containers; chosen by the runtime if absent."""
    windowsOptions: WindowsSecurityContextOptions | None = None
    """Settings for Windows nodes."""
    runAsUser: int | None = None
    """The user id that runs the processes; by default the one the image names."""
    runAsGroup: int | None = None
    """The primary group id of the processes; by default that of the runtime."""
    runAsNonRoot: bool | None = None
    """True if the kubelet refuses to start a container whose user is 0."""
    supplementalGroups: Annotated[list[int], Atomic()] = []
    """Further group ids of the first process of each container."""
    supplementalGroupsPolicy: str | None = None
    """Treatment of the groups that the image gives its user: `Merge` (default) or `Strict`."""
    fsGroup: int | None = None
    """A group id that owns volumes which support ownership, and that processes get besides."""
    sysctls: Annotated[list[Sysctl], Atomic()] = []
    """Kernel parameters to set in the pod's namespaces; the pod fails where the node does not allow them."""
    fsGroupChangePolicy: str | None = None
    """Policy for changing the owner of a volume's files: `Always` (default), or `OnRootMismatch` only if the root differs."""
    seccompProfile: SeccompProfile | None = None
    """Profile of the system calls that containers may make."""
    appArmorProfile: AppArmorProfile | None = None
    """The AppArmor profile of the containers."""
    seLinuxChangePolicy: str | None = None
    """Method of giving volumes the pod's SELinux label: `MountOption` (default where possible) or `Recursive`."""


class PodDNSConfigOption(Struct):
    """An option of the resolver."""

    name: str = ""
    """The option, such as `ndots`."""
    value: str | None = None
    """Its value, if it takes one."""


class PodDNSConfig(Struct):
    """Resolver settings that are added to those of the DNS policy."""

    nameservers: Annotated[list[str], Atomic()] = []
    """Addresses of name servers, after those of the policy; three at most."""
    searches: Annotated[list[str], Atomic()] = []
    """Domains in which short names are looked up, after those of the policy; 32 at most."""
    options: Annotated[list[PodDNSConfigOption], Atomic()] = []
    """Options of the resolver; they replace those of the policy by name."""


class PodOS(Struct):
    """The operating system of the pod's containers."""

    name: str = always(str)
    """`linux` or `windows`."""


class PodReadinessGate(Struct):
    """A condition that has to hold, besides that of the containers, before the pod is ready."""

    conditionType: str = always(str)
    """The type of the condition, set by somebody else in the pod's status."""


class PodSpec(Struct):
    """Desired state of a pod."""

    volumes: Annotated[list[Volume], MapList("name"), Patch("merge,retainKeys", "name")] = []
    """Volumes that containers can mount."""
    initContainers: Annotated[list[Container], MapList("name"), Patch("merge", "name")] = []
    """Containers that run one after the other, each to success, before the others start. Those with `restartPolicy: Always` are sidecars,
    which keep running beside the rest."""
    containers: Annotated[list[Container], MapList("name"), Patch("merge", "name")] = always(list)
    """Containers of the pod, at least one. None can be added or removed later."""
    ephemeralContainers: Annotated[list[EphemeralContainer], MapList("name"), Patch("merge", "name")] = []
    """Containers added to the running pod for a while, for debugging. They cannot be set on creation and never restart."""
    restartPolicy: str = ""
    """Policy for restarting containers that have ended: `Always` (default), `OnFailure` or `Never`."""
    terminationGracePeriodSeconds: int | None = None
    """Seconds that processes get to end by themselves after they were asked to, before they are killed. 30 if absent, 0 means at once."""
    activeDeadlineSeconds: int | None = None
    """Seconds after its start at which the pod is stopped and counts as failed."""
    dnsPolicy: str = ""
    """Policy for resolving names: `ClusterFirst` (default), `ClusterFirstWithHostNet`, `Default` (as the node does) or `None` (only
    dnsConfig)."""
    nodeSelector: Annotated[dict[str, str], Atomic()] = {}
    """Labels that a node must have to get the pod."""
    serviceAccountName: str = ""
    """The service account whose identity the pod has. `default` if absent."""
    serviceAccount: str = ""
    """The old name of serviceAccountName; both always agree."""
    automountServiceAccountToken: bool | None = None
    """True if a token of the service account is mounted into the containers; by default as the account says."""
    nodeName: str = ""
    """The node that runs the pod. Set by the scheduler; a user who sets it bypasses scheduling."""
    hostNetwork: bool = False
    """True if the pod uses the node's network instead of one of its own. Ports are then ports of the node."""
    hostPID: bool = False
    """True if the pod sees the processes of the node."""
    hostIPC: bool = False
    """True if the pod shares interprocess communication with the node."""
    shareProcessNamespace: bool | None = None
    """True if the containers see each other's processes; then the first process is not theirs. Not together with hostPID."""
    securityContext: PodSecurityContext | None = None
    """Privileges and users that hold for all containers."""
    imagePullSecrets: Annotated[list[LocalObjectReference], MapList("name"), Patch("merge", "name")] = []
    """Secrets in the same namespace with credentials for the registries of the images."""
    hostname: str = ""
    """The pod's host name; by default the pod's name."""
    subdomain: str = ""
    """The domain of the pod below that of its namespace: with it the full name is `hostname.subdomain.namespace.svc.cluster-domain`."""
    affinity: Affinity | None = None
    """Rules that draw the pod to nodes or other pods, or away from them."""
    schedulerName: str = ""
    """The scheduler that places the pod; `default-scheduler` if absent."""
    tolerations: Annotated[list[Toleration], Atomic()] = []
    """Taints of nodes that do not keep the pod away."""
    hostAliases: Annotated[list[HostAlias], MapList("ip"), Patch("merge", "ip")] = []
    """Lines for /etc/hosts in the containers."""
    priorityClassName: str = ""
    """The priority class whose value the pod gets. Without it the class that is the global default counts, or 0."""
    priority: int | None = None
    """The priority itself, filled in from the class. Higher goes first."""
    dnsConfig: PodDNSConfig | None = None
    """Resolver settings on top of dnsPolicy."""
    readinessGates: Annotated[list[PodReadinessGate], Atomic()] = []
    """Conditions that must be true before the pod is ready, besides ready containers."""
    runtimeClassName: str | None = None
    """The RuntimeClass that names the container runtime; the node's default if absent."""
    enableServiceLinks: bool | None = None
    """True if containers get environment variables about the Services of the namespace. True if absent."""
    preemptionPolicy: str | None = None
    """Preemption of pods of lower priority: `PreemptLowerPriority` (default) or `Never`."""
    overhead: dict[str, Quantity] = {}
    """Resources that the pod needs besides its containers, filled in from the runtime class."""
    topologySpreadConstraints: Annotated[
        list[TopologySpreadConstraint], MapList("topologyKey", "whenUnsatisfiable"), Patch("merge", "topologyKey")
    ] = []
    """Constraints on the spread of pods like this one over zones, nodes or other groups of nodes."""
    setHostnameAsFQDN: bool | None = None
    """True if the host name is the full domain name instead of its first part."""
    os: PodOS | None = None
    """The operating system the containers are made for; then fields of other systems are refused."""
    hostUsers: bool | None = None
    """True if the pod uses the node's user ids (default). With false it gets a range of its own, so root inside is nobody outside."""
    schedulingGates: Annotated[list[PodSchedulingGate], MapList("name"), Patch("merge", "name")] = []
    """Gates, each of which holds back the scheduling of the pod. They can only be removed."""
    resourceClaims: Annotated[list[PodResourceClaim], MapList("name"), Patch("merge,retainKeys", "name")] = []
    """Device claims that must be granted before the pod starts."""
    resources: ResourceRequirements | None = None
    """Requests and limits of the pod as a whole, for cpu, memory and huge pages."""
    hostnameOverride: str | None = None
    """The host name exactly as given, a DNS subdomain of at most 64 characters; it does not become a DNS record."""
    schedulingGroup: PodSchedulingGroup | None = None
    """The group of pods with which this one is scheduled."""


class PodCondition(Struct):
    """One aspect of a pod's state."""

    type: str = always(str)
    """Type of the condition, such as `Ready`, `PodScheduled` or `Initialized`."""
    observedGeneration: int = 0
    """The metadata.generation that the condition was derived from."""
    status: str = always(str)
    """`True`, `False` or `Unknown`."""
    lastProbeTime: Time | None = null()
    """Time of the last check."""
    lastTransitionTime: Time | None = null()
    """Time of the last change of the status."""
    reason: str = ""
    """Reason for the status, in one CamelCase word for programs."""
    message: str = ""
    """Explanation of the status, for people."""


class PodResourceClaimStatus(Struct):
    """Claim that was made for an entry of spec.resourceClaims."""

    name: str = always(str)
    """The name of the entry."""
    resourceClaimName: str | None = None
    """The claim; absent if none was needed."""


class PodIP(Struct):
    """One address of the pod."""

    ip: str = always(str)
    """The address."""


class PodExtendedResourceClaimStatus(Struct):
    """The claim that was made for extended resources backed by devices."""

    requestMappings: Annotated[list[ContainerExtendedResourceRequest], Atomic()] = always(list)
    """Requests of the claim, by the container and resource that they serve."""
    resourceClaimName: str = always(str)
    """The claim."""


class PodStatus(Struct):
    """Observed state of a pod, written by its node; it may lag behind."""

    observedGeneration: int = 0
    """The metadata.generation of the spec that this status is about."""
    phase: str = ""
    """Phase of the pod's life: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`."""
    conditions: Annotated[list[PodCondition], MapList("type"), Patch("merge", "type")] = []
    """Aspects of the state, one of each type."""
    message: str = ""
    """Explanation of the pod's state, for people."""
    reason: str = ""
    """Reason for the pod's state, in one CamelCase word, such as `Evicted`."""
    nominatedNodeName: str = ""
    """The node on which other pods are being removed to make room for this one."""
    hostIP: str = ""
    """The address of the node."""
    hostIPs: Annotated[list[HostIP], Atomic(), Patch("merge", "ip")] = []
    """All addresses of the node; the first is hostIP."""
    podIP: str = ""
    """The address of the pod in the cluster."""
    podIPs: Annotated[list[PodIP], MapList("ip"), Patch("merge", "ip")] = []
    """All addresses of the pod, at most one per family; the first is podIP."""
    startTime: Time | None = None
    """Time at which the node accepted the pod, before it pulled images."""
    initContainerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    """States of the init containers, in the order in which they run."""
    containerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    """States of the containers."""
    qosClass: str = ""
    """Order of eviction when the node runs short: `BestEffort` first, then `Burstable`, then `Guaranteed`. Follows from requests
    and limits."""
    ephemeralContainerStatuses: Annotated[list[ContainerStatus], Atomic()] = []
    """States of the ephemeral containers."""
    resize: str = ""
    """State of a change of resources; the conditions PodResizePending and PodResizeInProgress replace it."""
    resourceClaimStatuses: Annotated[list[PodResourceClaimStatus], MapList("name"), Patch("merge,retainKeys", "name")] = []
    """Claims that were made for the pod."""
    extendedResourceClaimStatus: PodExtendedResourceClaimStatus | None = None
    """The claim for extended resources that devices provide."""
    allocatedResources: dict[str, Quantity] = {}
    """Resources that the node has allocated to the pod as a whole."""
    resources: ResourceRequirements | None = None
    """Requests and limits in force for the whole pod."""
    nodeAllocatableResourceClaimStatuses: Annotated[list[NodeAllocatableResourceClaimStatus], Atomic()] = []
    """Node resources that claims use on behalf of the pod."""


class Pod(KubeObject):
    """A group of containers on one node that share a network address and volumes: the unit that is scheduled and runs."""

    apiVersion: str = constant("v1")
    kind: str = constant("Pod")
    spec: PodSpec = always(PodSpec)
    """Desired state of the pod. Little of it can change later."""
    status: PodStatus = always(PodStatus)
    """Observed state of the pod, written by its node."""


class PodTemplateSpec(Struct):
    """The pods that a workload makes."""

    metadata: ObjectMeta = always(ObjectMeta)
    """Labels, annotations and the like of the pods."""
    spec: PodSpec = always(PodSpec)
    """Desired state of the pods."""


class PodTemplate(KubeObject):
    """A stored template of pods."""

    apiVersion: str = constant("v1")
    kind: str = constant("PodTemplate")
    template: PodTemplateSpec = always(PodTemplateSpec)
    """The template."""
