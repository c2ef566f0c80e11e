"""Settings of a node agent."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one node agent. Paths that are not given are below `root`."""

    name: str
    """The Node object's name."""
    root: Path
    """The agent's own directory: pods' volumes are below it."""
    log_root: Path | None = None
    """Directory of the containers' logs, with one directory per pod."""
    ips: tuple[str, ...] = ()
    """Addresses of the node, the first one is its own; by default the one that the default route uses."""
    port: int = 10250
    bind: str = "0.0.0.0"
    healthz_port: int = 0
    """Port of the health page, without TLS; 0 for none."""
    healthz_bind: str = "127.0.0.1"
    system_logs: Path = Path("/var/log")
    """The folder that `/logs/` shows."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    """The authority of the certificates that callers of the agent's server must show."""
    client_names: tuple[str, ...] = ("kube-apiserver-kubelet-client",)
    """Common names that may make any call, as the organization system:masters may, without the API server being asked."""
    cluster_dns: tuple[str, ...] = ("10.43.0.10",)
    domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    cgroup_parent: str = "/kubepods"
    max_pods: int = 110
    labels: dict[str, str] = {}
    taints: tuple[str, ...] = ()
    """`key=value:Effect` for a node that registers for the first time."""
    pod_cidr: str = ""
    """Asked for in the Node's spec at registration when this node's range is decided elsewhere than by a controller."""
    reserved_milli_cpu: int = 0
    reserved_memory: int = 100 << 20
    """Kept back from pods, besides the eviction threshold (bytes)."""
    log_max_bytes: int = 10 << 20
    log_max_files: int = 5
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    """Names of sysctls, or patterns that end with `*`, that pods may set besides the safe ones."""
    pod_max_pids: int = 4096
    """Processes and threads that a pod may have at once; -1 for as many as the machine has."""
    lease_seconds: int = 40
    heartbeat: float = 10.0
    status_period: float = 10.0
    status_report: float = 300.0
    """Seconds after which an unchanged status is written all the same."""
    relist_period: float = 1.0
    quiet_relist_period: float = 10.0
    """Seconds between looks at the runtime while it tells of its own accord what happens."""
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
