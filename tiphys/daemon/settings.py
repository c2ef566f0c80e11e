"""Settings of a cluster on this machine: given when it starts, and kept until it is purged.

The data directory identifies a cluster: every name that must be unique on the machine (bridge, nft table, control groups, run
directory) follows from it, so that several clusters live side by side. `tiphys up` writes the settings to `settings.json` there; the
other commands read them back.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import msgspec

DEFAULT_ROOT_DIR = Path("/var/lib/tiphys")
FILE = "settings.json"
SMALLEST_PODS = 24
"""Longest prefix of the pods' range: a node gets a /24 of it."""
SMALLEST_SERVICES = 28
"""Longest prefix of the Services' range: DNS has its tenth address."""


class SettingsError(Exception):
    """Settings are unusable; the message says which and how to fix them."""


def default_data_dir() -> Path:
    """Return `/var/lib/tiphys` for root, else a directory in the user's own state."""
    if os.geteuid() == 0:
        return DEFAULT_ROOT_DIR
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tiphys"


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options of a cluster on one machine. Ranges are CIDRs."""

    data_dir: str
    bind: str = "127.0.0.1"
    secure_port: int = 6443
    store: str = ""
    """Store URL; by default SQLite in the data directory."""
    node_name: str = msgspec.field(default_factory=lambda: socket.gethostname().lower())
    kubelet_port: int = 10250
    healthz_port: int = -1
    """Port of the kubelet's health check, 0 to disable it; by default two below the kubelet's port, as 10248 is below 10250."""
    healthz_bind_address: str = "127.0.0.1"
    allowed_unsafe_sysctls: str = ""
    """Names and patterns with commas between them."""
    pod_max_pids: int = 4096
    """Maximum number of processes and threads per pod, -1 for no limit."""
    pod_range: str = "10.42.0.0/16"
    service_range: str = "10.43.0.0/16"
    domain: str = "cluster.local"
    node_ports: str = "30000-32767"
    token_auth_file: str = ""
    enable_admission_plugins: str = ""
    disable_admission_plugins: str = ""
    """Names with commas between them."""
    requestheader_client_ca_file: str = ""
    """CA bundle that verifies front proxies; by default the cluster's own."""
    requestheader_allowed_names: str = "front-proxy-client"
    requestheader_username_headers: str = "X-Remote-User"
    requestheader_uid_headers: str = "X-Remote-Uid"
    requestheader_group_headers: str = "X-Remote-Group"
    requestheader_extra_headers_prefix: str = "X-Remote-Extra-"
    log_level: str = "INFO"
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    request_timeout: int = 60
    min_request_timeout: int = 1800
    shutdown_delay: int = 0
    """Seconds that the server keeps serving after a termination signal, while it reports that it is not ready."""

    @property
    def dir(self) -> Path:
        return Path(self.data_dir)

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite://{self.dir.absolute() / 'server.db'}"

    @property
    def node_healthz_port(self) -> int:
        """Port of the kubelet's health check, 0 to disable it. Like the kubelet's port, it differs between clusters on one machine."""
        return max(self.kubelet_port - 2, 0) if self.healthz_port < 0 else self.healthz_port

    @property
    def is_default(self) -> bool:
        return self.dir == DEFAULT_ROOT_DIR

    @property
    def tag(self) -> str:
        """Suffix that distinguishes this cluster's names from those of others on the machine; "" for the default one."""
        return "" if self.is_default else hashlib.sha256(str(self.dir).encode()).hexdigest()[:6]

    @property
    def run_dir(self) -> Path:
        """Sockets, pid files and mounts: on a tmpfs where there is one, with a path short enough for Unix sockets."""
        if os.geteuid() != 0:
            return self.dir / "run"
        return Path("/run") / (f"tiphys-{self.tag}" if self.tag else "tiphys")

    @property
    def bridge(self) -> str:
        return f"tip-{self.tag}" if self.tag else "tiphys0"

    @property
    def nft_table(self) -> str:
        return f"tiphys_{self.tag}" if self.tag else "tiphys"

    @property
    def cgroup_parent(self) -> str:
        return f"/kubepods-{self.tag}" if self.tag else "/kubepods"

    @property
    def log_dir(self) -> Path:
        return self.dir / "log"

    @property
    def node_dir(self) -> Path:
        return self.dir / "node"

    @property
    def containerd_dir(self) -> Path:
        return self.dir / "containerd"

    @property
    def image_cache(self) -> Path:
        return self.dir / "images"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.dir / "admin.kubeconfig"

    @property
    def server_url(self) -> str:
        return f"https://{'127.0.0.1' if self.bind == '0.0.0.0' else self.bind}:{self.secure_port}"

    @property
    def dns_address(self) -> str:
        """Address of cluster DNS, the tenth of the Service range."""
        from ipaddress import ip_network

        return str(ip_network(self.service_range)[10])

    @property
    def api_service_address(self) -> str:
        """Address of the Service `kubernetes`, the first of the Service range."""
        from ipaddress import ip_network

        return str(ip_network(self.service_range)[1])

    def check(self) -> None:
        """Raise SettingsError for a value that no cluster can have."""
        for option, text, smallest in (
            ("--cluster-cidr", self.pod_range, SMALLEST_PODS),
            ("--service-cluster-ip-range", self.service_range, SMALLEST_SERVICES),
        ):
            _check_range(option, text, smallest)
        parse_ports(self.node_ports)

    def save(self) -> None:
        """Write the settings into the data directory."""
        self.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.dir / f".{FILE}"
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        temporary.replace(self.dir / FILE)


def load(data_dir: Path) -> ClusterSettings | None:
    """Return the settings that `tiphys up` left in a data directory, or None; raises SettingsError when they are damaged."""
    path = data_dir / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClusterSettings)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as exc:
        raise SettingsError(f"{path} cannot be read ({exc}): repair it, or remove it and run tiphys up again") from exc


def _check_range(option: str, text: str, smallest: int) -> None:
    from ipaddress import IPv4Network, ip_network

    try:
        network = ip_network(text)
    except ValueError as error:
        raise SettingsError(f"{option}: {error}; give a range such as 10.42.0.0/16") from error
    if not isinstance(network, IPv4Network):
        raise SettingsError(f"{option}: {text} is an IPv6 range, which is not supported yet; give an IPv4 range")
    if network.prefixlen > smallest:
        raise SettingsError(f"{option}: {text} is too small; give a /{smallest} or larger")


def parse_ports(text: str) -> range:
    """Parse a range such as `30000-32767`; raises SettingsError."""
    low, dash, high = text.partition("-")
    if dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high) < 65536:
        return range(int(low), int(high) + 1)
    raise SettingsError(f'--service-node-port-range "{text}" is not of the form 30000-32767')


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
