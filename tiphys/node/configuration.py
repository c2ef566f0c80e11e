"""KubeletConfiguration ("Kubelet Configuration (v1beta1)"): the file that sets a kubelet's settings, and what `/configz` shows of them.

All of upstream's fields are here. Those that mean something say what they do; `tiphys.settings.file` refuses values for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from tiphys.api.core.v1 import Taint
from tiphys.api.machinery import durations, quantity
from tiphys.api.machinery.base import Struct, constant, field
from tiphys.node import configuration_values as values
from tiphys.node.eviction.thresholds import DEFAULT_HARD, grace_faults
from tiphys.node.host import huge_pages
from tiphys.node.pulls.settings import Policy
from tiphys.node.resources import alignment
from tiphys.node.serve.streaming.serve import IDLE_TIMEOUT
from tiphys.node.settings import Reservation, SwapBehavior
from tiphys.runtime.delegated import ALLOWED_SECONDS, DENIED_SECONDS, TOKEN_SECONDS
from tiphys.settings.file import ConfigurationError, Only, Sets, Shows, existing_file, whole

GROUP_VERSION = "kubelet.config.k8s.io/v1beta1"
KIND = "KubeletConfiguration"

Duration = str
"""A duration of Go, such as 1m30s."""


class X509(Struct):
    """Client certificates."""

    clientCAFile: Annotated[str, values.file("kubelet.client_ca")] = ""


class WebhookAuthentication(Struct):
    """Bearer tokens, checked by the API server."""

    enabled: Annotated[bool | None, Only(True)] = None
    cacheTTL: Annotated[Duration, values.only_seconds(TOKEN_SECONDS)] = ""


class Anonymous(Struct):
    """Requests without credentials."""

    enabled: Annotated[bool | None, Only(False)] = None


class Authentication(Struct):
    """Ways in which callers of the kubelet's port prove who they are."""

    x509: X509 = field(default_factory=X509)
    webhook: WebhookAuthentication = field(default_factory=WebhookAuthentication)
    anonymous: Anonymous = field(default_factory=Anonymous)


class WebhookAuthorization(Struct):
    """Decisions of the API server, and for how long they are kept."""

    cacheAuthorizedTTL: Annotated[Duration, values.only_seconds(ALLOWED_SECONDS)] = ""
    cacheUnauthorizedTTL: Annotated[Duration, values.only_seconds(DENIED_SECONDS)] = ""


class Authorization(Struct):
    """Decisions about what callers of the kubelet's port may do."""

    mode: Annotated[str, Only("Webhook")] = ""
    webhook: WebhookAuthorization = field(default_factory=WebhookAuthorization)


class CrashLoopBackOff(Struct):
    """Delays of restarts."""

    maxContainerRestartPeriod: Annotated[
        Duration | None, Sets("kubelet.longest_restart_backoff", read=values.restart_period, show=values.written)
    ] = None


class MemorySwap(Struct):
    """Use of swap by pods."""

    swapBehavior: Annotated[str, Sets("kubelet.swap_behavior", read=values.one_of(*get_args(SwapBehavior)))] = ""


class UserNamespaces(Struct):
    """Ranges of user ids."""

    idsPerPod: int | None = None


class PodPriorityPeriod(Struct):
    """Time at a shutdown for pods from a priority on."""

    priority: int = 0
    shutdownGracePeriodSeconds: int = 0


def _read_periods(periods: list[PodPriorityPeriod]) -> tuple[tuple[int, int], ...]:
    faults = [
        (f"[{number}].shutdownGracePeriodSeconds", "it must not be negative")
        for number, period in enumerate(periods)
        if period.shutdownGracePeriodSeconds < 0
    ]
    known: set[int] = set()
    for number, period in enumerate(periods):
        if period.priority in known:
            faults.append((f"[{number}].priority", f"{period.priority} is there already"))
        known.add(period.priority)
    if faults:
        raise ConfigurationError(faults)
    return tuple((period.priority, period.shutdownGracePeriodSeconds) for period in periods)


def _show_periods(periods: Iterable[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"priority": priority, "shutdownGracePeriodSeconds": seconds} for priority, seconds in periods]


def _show_hard(hard: dict[str, str] | None) -> dict[str, str]:
    return dict(DEFAULT_HARD) if hard is None else hard


class MemoryReservation(Struct):
    """Part of the reserve that one NUMA node bears."""

    numaNode: int = 0
    limits: dict[str, str] = {}


def _read_memory(reservations: list[MemoryReservation]) -> dict[str, str]:
    faults: list[tuple[str, str]] = []
    result: dict[str, str] = {}
    for number, one in enumerate(reservations):
        for name, text in one.limits.items():
            path, key = f"[{number}].limits.{name}", f"{one.numaNode}:{name}"
            try:
                size = quantity.whole(text)
            except ValueError:
                size = 0
            if name != "memory" and not name.startswith(huge_pages.PREFIX):
                faults.append((path, "it is neither memory nor huge pages: remove it"))
            elif size <= 0:
                faults.append((path, f"{text} is not a size above zero such as 1Gi"))
            elif key in result:
                faults.append((path, f"it is there for NUMA node {one.numaNode} already"))
            result[key] = text
    if faults:
        raise ConfigurationError(faults)
    return result


def _show_memory(reserved: dict[str, str]) -> list[dict[str, Any]]:
    limits: dict[int, dict[str, str]] = {}
    for key, text in reserved.items():
        node, _, name = key.partition(":")
        limits.setdefault(int(node), {})[name] = text
    return [{"numaNode": node, "limits": listed} for node, listed in sorted(limits.items())]


class KubeletConfiguration(Struct):
    """Configuration of a kubelet."""

    apiVersion: str = constant(GROUP_VERSION)
    kind: str = constant(KIND)

    # Its server
    enableServer: Annotated[bool | None, Only(True)] = None
    address: Annotated[str, Sets("kubelet.bind", read=values.address)] = ""
    port: Annotated[int, Sets("kubelet.port")] = 0
    readOnlyPort: int = 0
    tlsCertFile: Annotated[str, values.file("kubelet.tls_cert")] = ""
    tlsPrivateKeyFile: Annotated[str, values.file("kubelet.tls_key")] = ""
    tlsCipherSuites: list[str] = []
    tlsCurvePreferences: list[int] = []
    tlsMinVersion: Annotated[str, Only("VersionTLS12")] = ""
    rotateCertificates: Annotated[bool, Sets("kubelet.rotate_certificates")] = False
    serverTLSBootstrap: Annotated[bool, Sets("kubelet.server_tls_bootstrap")] = False
    authentication: Authentication = field(default_factory=Authentication)
    authorization: Authorization = field(default_factory=Authorization)
    healthzPort: Annotated[int | None, Sets("kubelet.healthz_port", show=lambda port: port or 0)] = None
    healthzBindAddress: Annotated[str, Sets("kubelet.healthz_bind")] = ""
    streamingConnectionIdleTimeout: Annotated[Duration, values.only_seconds(IDLE_TIMEOUT)] = ""
    enableDebuggingHandlers: Annotated[bool | None, Only(True)] = None
    enableContentionProfiling: bool = False
    enableProfilingHandler: Annotated[bool | None, Only(False)] = None
    enableDebugFlagsHandler: Annotated[bool | None, Only(False)] = None
    enableSystemLogHandler: Annotated[bool | None, Only(True)] = None
    enableSystemLogQuery: Annotated[bool | None, Only(False)] = None

    # The Node
    registerNode: Annotated[bool | None, Only(True)] = None
    registerWithTaints: Annotated[list[Taint], Sets("kubelet.taints", read=values.read_taints, show=values.show_taints)] = []
    providerID: str = ""
    nodeStatusUpdateFrequency: Annotated[Duration, values.duration("kubelet.status_period")] = ""
    nodeStatusReportFrequency: Annotated[Duration, values.duration("kubelet.status_report")] = ""
    nodeLeaseDurationSeconds: Annotated[int, Sets("kubelet.lease_seconds", read=whole(1))] = 0
    nodeStatusMaxImages: int | None = None
    maxPods: Annotated[int, Sets("kubelet.max_pods")] = 0
    podsPerCore: int = 0
    podCIDR: Annotated[str, Sets("kubelet.pod_cidr")] = ""
    kubeReserved: Annotated[dict[str, str], Sets("kubelet.kube_reserved", read=values.reserve)] = {}
    systemReserved: Annotated[dict[str, str], Sets("kubelet.system_reserved", read=values.reserve)] = {}
    reservedSystemCPUs: Annotated[str | None, Sets("kubelet.reserved_cpus", read=values.cpus)] = None
    reservedMemory: Annotated[list[MemoryReservation], Sets("kubelet.reserved_node_memory", read=_read_memory, show=_show_memory)] = []
    systemReservedCgroup: Annotated[str, Sets("kubelet.system_reserved_cgroup")] = ""
    kubeReservedCgroup: Annotated[str, Sets("kubelet.kube_reserved_cgroup")] = ""
    enforceNodeAllocatable: Annotated[
        list[str], Sets("kubelet.enforce_allocatable", read=values.read_enforced, show=lambda groups: groups or ["none"])
    ] = []
    evictionHard: Annotated[dict[str, str] | None, Sets("kubelet.eviction_hard", read=values.thresholds, show=_show_hard)] = None
    evictionSoft: Annotated[dict[str, str], Sets("kubelet.eviction_soft", read=values.thresholds)] = {}
    evictionSoftGracePeriod: Annotated[dict[str, str], Sets("kubelet.eviction_soft_grace", read=values.checked(grace_faults))] = {}
    evictionPressureTransitionPeriod: Annotated[Duration, values.duration("kubelet.eviction_transition")] = ""
    evictionMaxPodGracePeriod: Annotated[int, Sets("kubelet.eviction_max_grace", read=whole(0))] = 0
    evictionMinimumReclaim: Annotated[dict[str, str], Sets("kubelet.eviction_reclaim", read=values.least)] = {}
    mergeDefaultEvictionSettings: Annotated[bool | None, Sets("kubelet.eviction_defaults")] = None
    localStorageCapacityIsolation: Annotated[bool | None, Only(True)] = None
    failSwapOn: Annotated[bool | None, Only(False)] = None
    failCgroupV1: Annotated[bool | None, Only(False)] = None
    shutdownGracePeriod: Annotated[Duration, Sets("kubelet.shutdown_grace", read=values.second_or_more, show=values.written)] = ""
    shutdownGracePeriodCriticalPods: Annotated[
        Duration, Sets("kubelet.shutdown_grace_critical", read=values.second_or_more, show=values.written)
    ] = ""
    shutdownGracePeriodByPodPriority: Annotated[
        list[PodPriorityPeriod], Sets("kubelet.shutdown_grace_by_priority", read=_read_periods, show=_show_periods)
    ] = []

    # Pods
    staticPodPath: Annotated[str, Sets("kubelet.static_pod_path", read=values.absolute, show=lambda path: str(path or ""))] = ""
    staticPodURL: Annotated[str, Sets("kubelet.static_pod_url", read=values.url)] = ""
    staticPodURLHeader: Annotated[
        dict[str, list[str]], Sets("kubelet.static_pod_url_header", read=values.read_header, show=values.show_header)
    ] = {}
    syncFrequency: Duration = ""
    fileCheckFrequency: Annotated[Duration, values.duration("kubelet.file_check")] = ""
    httpCheckFrequency: Annotated[Duration, values.duration("kubelet.http_check")] = ""
    clusterDomain: Annotated[str, Sets("network.domain")] = ""
    clusterDNS: Annotated[list[str], Sets("kubelet.cluster_dns")] = []
    resolvConf: Annotated[str | None, Sets("kubelet.resolv_conf", read=existing_file, show=str)] = None
    hairpinMode: str = ""
    makeIPTablesUtilChains: bool | None = None
    iptablesMasqueradeBit: int | None = None
    iptablesDropBit: int | None = None
    cgroupsPerQOS: Annotated[bool | None, Only(True)] = None
    cgroupDriver: Annotated[str, Only("cgroupfs")] = ""
    cgroupRoot: str = ""
    kubeletCgroups: str = ""
    systemCgroups: str = ""
    qosReserved: dict[str, str] = {}
    cpuManagerPolicy: Annotated[str, Sets("kubelet.cpu_policy", read=values.one_of("none", "static"))] = ""
    cpuManagerPolicyOptions: Annotated[dict[str, str], Sets("kubelet.cpu_policy_options", read=values.cpu_options)] = {}
    cpuManagerReconcilePeriod: Annotated[Duration, values.duration("kubelet.cpu_reconcile_period")] = ""
    memoryManagerPolicy: Annotated[str, Sets("kubelet.memory_policy", read=values.one_of("None", "Static"))] = ""
    topologyManagerPolicy: Annotated[str, Sets("kubelet.topology_policy", read=values.one_of(*alignment.POLICIES))] = ""
    topologyManagerScope: Annotated[str, Sets("kubelet.topology_scope", read=values.one_of(*alignment.SCOPES))] = ""
    topologyManagerPolicyOptions: Annotated[dict[str, str], Sets("kubelet.topology_policy_options", read=values.topology_options)] = {}
    cpuCFSQuota: Annotated[bool | None, Only(True)] = None
    cpuCFSQuotaPeriod: Annotated[Duration | None, Only("100ms", key=durations.seconds)] = None
    memoryThrottlingFactor: Annotated[float | None, Sets("kubelet.memory_throttling", read=values.share)] = None
    memoryReservationPolicy: Annotated[str, Sets("kubelet.memory_reservation", read=values.one_of(*get_args(Reservation)))] = ""
    memorySwap: MemorySwap = field(default_factory=MemorySwap)
    podPidsLimit: Annotated[int | None, Sets("kubelet.pod_max_pids")] = None
    allowedUnsafeSysctls: Annotated[list[str], Sets("kubelet.allowed_unsafe_sysctls")] = []
    protectKernelDefaults: bool = False
    seccompDefault: Annotated[bool | None, Sets("kubelet.seccomp_default")] = None
    singleProcessOOMKill: Annotated[bool | None, Sets("kubelet.single_process_oom_kill")] = None
    oomScoreAdj: int | None = None
    maxOpenFiles: int = 0
    userNamespaces: UserNamespaces | None = None
    configMapAndSecretChangeDetectionStrategy: Annotated[str, Only("Watch")] = ""
    enableControllerAttachDetach: bool | None = None
    volumePluginDir: str = ""
    volumeStatsAggPeriod: Duration = ""
    crashLoopBackOff: CrashLoopBackOff = field(default_factory=CrashLoopBackOff)
    runOnce: bool = False

    # Logs of containers
    podLogsDir: Annotated[str, Sets("kubelet.log_root", read=Path)] = ""
    containerLogMaxSize: Annotated[str, Sets("kubelet.log_max_bytes", read=values.size, show=str)] = ""
    containerLogMaxFiles: Annotated[int | None, Sets("kubelet.log_max_files", read=whole(2))] = None
    containerLogMaxWorkers: Annotated[int | None, Sets("kubelet.log_workers", read=whole(1))] = None
    containerLogMonitorInterval: Annotated[Duration | None, Sets("kubelet.log_period", read=values.log_interval, show=values.written)] = (
        None
    )

    # The runtime, images, and the API server
    containerRuntimeEndpoint: Annotated[
        str, Shows(lambda settings: f"unix://{settings.containerd_socket}" if settings.containerd_socket else "")
    ] = ""
    imageServiceEndpoint: str = ""
    runtimeRequestTimeout: Duration = ""
    registryPullQPS: Annotated[int | None, Sets("kubelet.pulls_per_second", read=whole(0), show=round)] = None
    registryBurst: Annotated[int, Sets("kubelet.pull_burst", read=whole(1))] = 0
    serializeImagePulls: Annotated[bool | None, Sets("kubelet.max_parallel_pulls", read=values.serialized, show=values.is_one)] = None
    maxParallelImagePulls: Annotated[int | None, Sets("kubelet.max_parallel_pulls", read=whole(1))] = None
    imagePullCredentialsVerificationPolicy: Annotated[str, Sets("kubelet.pull_verification", read=values.one_of(*get_args(Policy)))] = ""
    preloadedImagesVerificationAllowlist: Annotated[list[str], Sets("kubelet.pull_allowlist", read=values.allowlist)] = []
    imageMinimumGCAge: Annotated[Duration, values.duration("kubelet.image_min_age")] = ""
    imageMaximumGCAge: Annotated[Duration, Sets("kubelet.image_max_age", read=values.not_negative, show=values.written)] = ""
    imageGCHighThresholdPercent: Annotated[int | None, Sets("kubelet.image_gc_high", read=whole(0, 100))] = None
    imageGCLowThresholdPercent: Annotated[int | None, Sets("kubelet.image_gc_low", read=whole(0, 100))] = None
    eventRecordQPS: int | None = None
    eventBurst: int = 0
    kubeAPIQPS: int | None = None
    kubeAPIBurst: int = 0
    contentType: str = ""

    # The process
    featureGates: dict[str, bool] = {}
    logging: dict[str, Any] = {}
    tracing: dict[str, Any] | None = None
    kernelMemcgNotification: bool = False
    showHiddenMetricsForVersion: str = ""

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with fields together, each with the field's path."""
        for signal in self.evictionSoft:
            if signal not in self.evictionSoftGracePeriod:
                yield f"evictionSoft[{signal}]", "it needs a grace period in evictionSoftGracePeriod"
        if self.reservedSystemCPUs and (self.systemReservedCgroup or self.kubeReservedCgroup):
            yield "reservedSystemCPUs", "it cannot stand beside systemReservedCgroup or kubeReservedCgroup"
        static = self.cpuManagerPolicy == "static"
        if static and not (self.reservedSystemCPUs or "cpu" in self.kubeReserved or "cpu" in self.systemReserved):
            yield (
                "cpuManagerPolicy",
                "static needs CPUs that are reserved: set reservedSystemCPUs, or cpu in kubeReserved or systemReserved",
            )
        if self.cpuManagerPolicyOptions and not static:
            yield "cpuManagerPolicyOptions", "they need cpuManagerPolicy: static"
        if self.memoryManagerPolicy == "Static" and not any("memory" in one.limits for one in self.reservedMemory):
            yield "memoryManagerPolicy", "Static needs memory that is reserved on NUMA nodes: set reservedMemory"
        if self.topologyManagerPolicyOptions and self.topologyManagerPolicy in ("", alignment.NONE):
            yield "topologyManagerPolicyOptions", "they need a topologyManagerPolicy other than none"
        if "align-by-socket" in self.cpuManagerPolicyOptions and self.topologyManagerPolicy == alignment.SINGLE_NODE:
            yield "cpuManagerPolicyOptions", f"align-by-socket cannot stand beside topologyManagerPolicy: {alignment.SINGLE_NODE}"
        for number, group in enumerate(self.enforceNodeAllocatable):
            field, needed = _CGROUPS.get(group.removesuffix("-compressible"), ("", lambda _: True))
            if not needed(self):
                yield f"enforceNodeAllocatable[{number}]", f'"{group}" needs {field}'


_CGROUPS: dict[str, tuple[str, Callable[[KubeletConfiguration], Any]]] = {
    "system-reserved": ("systemReservedCgroup", lambda config: config.systemReservedCgroup),
    "kube-reserved": ("kubeReservedCgroup", lambda config: config.kubeReservedCgroup),
}
