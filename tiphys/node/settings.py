"""Settings of a kubelet: those that options and a KubeletConfiguration set, and with them the facts that the composition root adds."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tiphys.api.helpers.sysctls import AllowedSysctls
from tiphys.api.machinery import quantity
from tiphys.node.pulls.settings import PullOptions
from tiphys.settings.duration import duration_text
from tiphys.settings.network import NETWORK, RESOLV_CONF
from tiphys.settings.option import Option

HEARTBEAT = 10.0
"""Seconds between two renewals of a node's Lease."""
LONGEST_BACKOFF = 300.0
"""Longest pause before a container starts again, in seconds."""
SwapBehavior = Literal["NoSwap", "LimitedSwap"]
Reservation = Literal["None", "TieredReservation"]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_taints(texts: tuple[str, ...]) -> None:
    """Raise ValueError for a taint that is not of the form `key=value:Effect` or `key:Effect`."""
    for text in texts:
        pair, _, effect = text.rpartition(":")
        if not pair.partition("=")[0] or effect not in EFFECTS:
            raise ValueError(f"{text!r} is not of the form key=value:Effect, where the effect is {', '.join(EFFECTS)}")


def check_size(text: str) -> None:
    """Raise ValueError for a size that is not a quantity of bytes."""
    try:
        if quantity.whole(text) >= 0:
            return
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a size such as 100Mi")


class KubeletOptions(PullOptions, msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a kubelet that options or a configuration file set. Paths that are not given are below its directory."""

    port: Annotated[int, Option("--kubelet-port", "HTTPS port of the kubelet.", minimum=1, maximum=65535)] = 10250
    bind: str = "0.0.0.0"
    healthz_port: Annotated[
        int | None,
        Option(
            "--healthz-port",
            "HTTP port of the kubelet's health check, 0 to disable it.",
            default="2 below --kubelet-port, 10248",
            minimum=0,
            maximum=65535,
        ),
    ] = None
    """Port of the health page, without TLS; 0 for none."""
    healthz_bind: Annotated[str, Option("--healthz-bind-address", "IP address of the kubelet's health check.", metavar="ADDRESS")] = (
        "127.0.0.1"
    )
    ips: Annotated[
        tuple[str, ...],
        Option("--node-ip", "Addresses of the node, its own first.", metavar="ADDRESS,...", default="that of the default route"),
    ] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    """The authority of the certificates that callers of the kubelet's server must show."""
    rotate_certificates: bool = False
    """True if the kubelet requests its client certificate for itself and renews it."""
    server_tls_bootstrap: bool = False
    """True if the kubelet requests its serving certificate, too; somebody has to approve each request."""
    cluster_dns: Annotated[
        tuple[str, ...],
        Option("--cluster-dns", "Addresses of the DNS servers that pods use.", metavar="ADDRESS,...", default="cluster DNS"),
    ] = ()
    resolv_conf: Annotated[
        Path, Option("--resolv-conf", "Resolver configuration of the machine, which pods' and cluster DNS's is based on.")
    ] = RESOLV_CONF
    log_root: Path | None = None
    """Directory of the containers' logs, with one directory per pod."""
    max_pods: Annotated[int, Option("--max-pods", "Maximum number of pods on the node.", minimum=1)] = 110
    labels: Annotated[
        dict[str, str], Option("--node-labels", "Labels of the Node besides its own.", metavar="KEY=VALUE,...", default="none")
    ] = {}
    taints: Annotated[
        tuple[str, ...],
        Option(
            "--register-with-taints",
            "Taints of a Node that registers for the first time.",
            metavar="KEY=VALUE:EFFECT,...",
            default="none",
            check=check_taints,
        ),
    ] = ()
    pod_cidr: str = ""
    """Asked for in the Node's spec at registration when this node's range is decided elsewhere than by a controller."""
    kube_reserved: dict[str, str] = {}
    """Kept back from pods for the kubelet and the runtime, by resource: cpu, memory, ephemeral-storage, pid."""
    system_reserved: dict[str, str] = {}
    """The same for everything else on the machine."""
    reserved_cpus: str = ""
    """Cores that are kept back, such as `0-1`, in place of any other reserve of CPU."""
    kube_reserved_cgroup: str = ""
    system_reserved_cgroup: str = ""
    """Existing control groups that are held to the reserves."""
    enforce_allocatable: tuple[str, ...] = ("pods",)
    """Groups that are limited: `pods` to what is not reserved, `kube-reserved` and `system-reserved` to the reserves."""
    eviction_hard: dict[str, str] | None = None
    """Thresholds by signal; None for upstream's defaults."""
    eviction_defaults: bool = False
    """Signals that `eviction_hard` lacks have upstream's defaults."""
    eviction_soft: dict[str, str] = {}
    eviction_soft_grace: dict[str, str] = {}
    """Duration for which a soft threshold has to be met before pods are evicted, by signal."""
    eviction_reclaim: dict[str, str] = {}
    """Least amount to free once a threshold was met, by signal."""
    eviction_transition: float = 300.0
    """Seconds for which the Node shows pressure after it has ended."""
    eviction_max_grace: int = 0
    """Most seconds that pods have to end when a soft threshold evicts them."""
    cpu_policy: str = "none"
    cpu_policy_options: dict[str, str] = {}
    cpu_reconcile_period: float = 10.0
    longest_restart_backoff: float = LONGEST_BACKOFF
    """Longest pause before a container starts again, in seconds."""
    swap_behavior: SwapBehavior = "NoSwap"
    """Use of swap by containers, where the kernel has control groups v2."""
    memory_throttling: float | None = None
    memory_reservation: Reservation = "None"
    single_process_oom_kill: bool = False
    """True if only one process of a container is killed when its memory runs out, where the kernel has control groups v2."""
    memory_policy: str = "None"
    reserved_node_memory: dict[str, str] = {}
    """Part of the reserve that each NUMA node bears, by node and resource: `0:memory`."""
    topology_policy: str = "none"
    topology_scope: str = "container"
    topology_policy_options: dict[str, str] = {}
    log_max_bytes: int = 10 << 20
    log_max_files: int = 5
    log_workers: int = 1
    """Logs that are rotated at once."""
    log_period: float = 10.0
    """Seconds between looks at the sizes of logs."""
    kept_log_max_age: Annotated[
        float,
        Option(
            "--deleted-pod-log-max-age",
            "Maximum age of logs of deleted pods, counted from the deletion.",
            minimum=0,
            is_duration=True,
            metavar="DURATION",
        ),
    ] = 86_400.0
    kept_log_max_size: Annotated[
        str,
        Option(
            "--deleted-pod-log-max-size",
            "Maximum size of the logs of all deleted pods together, 0 to keep none.",
            metavar="SIZE",
            check=check_size,
        ),
    ] = "100Mi"
    image_min_age: float = 120.0
    """Seconds for which an unused image stays after it came, unless the disk is under pressure."""
    image_max_age: float = 0.0
    """Seconds after which an unused image goes in any case; 0 for never."""
    image_gc_high: int = 85
    """Percentage of the images' disk in use from which on unused images go."""
    image_gc_low: int = 80
    """Percentage at which no more go."""
    dead_container_min_age: Annotated[
        float,
        Option(
            "--minimum-container-ttl-duration",
            "Minimum age of a dead container before it is removed.",
            minimum=0,
            is_duration=True,
            metavar="DURATION",
        ),
    ] = 0.0
    dead_containers_per_container: Annotated[
        int,
        Option(
            "--maximum-dead-containers-per-container",
            "Maximum number of dead containers to keep for each container, -1 for no limit.",
            minimum=-1,
        ),
    ] = 1
    dead_containers: Annotated[
        int,
        Option("--maximum-dead-containers", "Maximum number of dead containers to keep on the node, -1 for no limit.", minimum=-1),
    ] = -1
    allowed_unsafe_sysctls: Annotated[
        tuple[str, ...],
        Option(
            "--allowed-unsafe-sysctls",
            "Comma-separated unsafe sysctls, or patterns ending in *, that pods may set.",
            metavar="NAME,PREFIX*,...",
            default="none",
            check=AllowedSysctls.of,
        ),
    ] = ()
    """Names of sysctls, or patterns that end with `*`, that pods may set besides the safe ones."""
    seccomp_default: bool = False
    """True if containers without a seccomp profile get the runtime's instead of none."""
    crash_log_length: Annotated[
        int,
        Option(
            "--crash-log-length",
            "Maximum length of the end of a log that an event shows when a container keeps failing, 0 to show none.",
            minimum=0,
            maximum=900,
        ),
    ] = 500
    pod_max_pids: Annotated[int, Option("--pod-max-pids", "Maximum number of processes per pod, -1 for no limit.", minimum=-1)] = 4096
    """Processes and threads that a pod may have at once; -1 for as many as the machine has."""
    static_pod_path: Annotated[
        Path | None,
        Option(
            "--pod-manifest-path",
            "Directory with manifests of static pods, or a single manifest.",
            metavar="PATH",
            default="none",
            is_directory=True,
        ),
    ] = None
    static_pod_url: str = ""
    """URL that serves the manifest of a static pod, or a PodList of several."""
    static_pod_url_header: dict[str, tuple[str, ...]] = {}
    """Headers of requests for it."""
    file_check: float = 20.0
    """Seconds between looks at the manifests, besides those at changes that the kernel reports."""
    http_check: float = 20.0
    shutdown_grace: float = 0.0
    """Seconds by which a shutdown of the machine is delayed for its pods to end; 0 for none."""
    shutdown_grace_critical: float = 0.0
    """The last part of these seconds, which critical pods have."""
    shutdown_grace_by_priority: tuple[tuple[int, int], ...] = ()
    """Instead of both: priorities, each with the seconds for pods of at least this priority."""
    lease_seconds: int = 40
    status_period: float = 10.0
    status_report: float = 300.0
    """Seconds after which an unchanged status is written all the same."""

    def faults(self) -> list[str]:
        """Return what is wrong with settings that depend on each other."""
        faults = []
        high, low = self.image_gc_high, self.image_gc_low
        if low >= high:
            faults.append(f"imageGCLowThresholdPercent ({low}) must be less than imageGCHighThresholdPercent ({high})")
        if self.image_max_age and self.image_max_age <= self.image_min_age:
            longest, shortest = duration_text(self.image_max_age), duration_text(self.image_min_age)
            faults.append(f"imageMaximumGCAge ({longest}) must be longer than imageMinimumGCAge ({shortest})")
        grace, critical = self.shutdown_grace, self.shutdown_grace_critical
        if self.shutdown_grace_by_priority and (grace or critical):
            faults.append("shutdownGracePeriodByPodPriority and shutdownGracePeriod exclude each other: set one of them")
        elif critical > grace:
            part = f"shutdownGracePeriodCriticalPods ({duration_text(critical)})"
            faults.append(f"{part} must not be longer than shutdownGracePeriod ({duration_text(grace)}), which it is a part of")
        return faults


class NodeSettings(KubeletOptions, frozen=True, kw_only=True):
    """All settings of one kubelet."""

    name: str
    """The Node object's name."""
    root: Path
    """The kubelet's own directory: pods' volumes are below it."""
    cluster_dns: tuple[str, ...] = (NETWORK.dns_address,)
    domain: str = NETWORK.domain
    system_logs: Path = Path("/var/log")
    """Directory that `/logs/` shows."""
    client_names: tuple[str, ...] = ("kube-apiserver-kubelet-client",)
    """Common names that may make any call, as the organization system:masters may, without the API server being asked."""
    cgroup_parent: str = "/kubepods"
    heartbeat: float = HEARTBEAT
    relist_period: float = 1.0
    quiet_relist_period: float = 10.0
    """Seconds between looks at the runtime while it tells of its own accord what happens."""
    volume_period: float = 60.0
    """Seconds between looks at the claims of mounted volumes, which may have grown."""
    containerd_socket: str = ""
    """For containerd's own event stream; without it only CRI is used."""
    containerd_state: Path | None = None
    """containerd's state directory, where the pipes of execs are."""

    @property
    def logs(self) -> Path:
        return self.log_root or self.root / "logs"

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.ips or (default_address(),)


def default_address() -> str:
    """The address from which this machine would speak to the world, or loopback. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
