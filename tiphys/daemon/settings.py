"""Settings of a cluster on this machine: given when it starts, and kept until it is purged.

The data directory identifies a cluster: every name that must be unique on the machine (bridge, nft table, control groups, run
directory) follows from it, so that several clusters live side by side. `ClusterSettings` is the root of the tree of settings; each part
of it stands beside the component that it belongs to.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.apiserver.settings import ApiServerOptions
from tiphys.controllers.settings import ControllerManagerSettings
from tiphys.node.hollow.settings import HollowOptions
from tiphys.node.local_path.settings import LocalStorageOptions
from tiphys.node.settings import KubeletOptions
from tiphys.scheduler.settings import SchedulerSettings
from tiphys.settings.network import NetworkSettings
from tiphys.settings.option import Option
from tiphys.sidecar.settings import SidecarSettings

DEFAULT_ROOT_DIR = Path("/var/lib/tiphys")


class SettingsError(Exception):
    """Settings are unusable; the message says which and how to fix them."""


def default_data_dir() -> Path:
    """Return `/var/lib/tiphys` for root, else a directory in the user's own state."""
    if os.geteuid() == 0:
        return DEFAULT_ROOT_DIR
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tiphys"


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Place where the API server keeps its objects."""

    store: Annotated[
        str, Option("--store", "URL of the store: sqlite:///PATH or memory://.", metavar="URL", default="SQLite in the data directory")
    ] = ""


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a cluster on one machine."""

    data_dir: str
    storage: StorageSettings = StorageSettings()
    apiserver: ApiServerOptions = ApiServerOptions()
    network: NetworkSettings = NetworkSettings()
    controllers: ControllerManagerSettings = ControllerManagerSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    sidecar: SidecarSettings = SidecarSettings()
    """Settings of the sidecar of a storage driver, which runs alone."""
    node_name: Annotated[str, Option("--node-name", "Name of this machine's Node.", metavar="NAME", default="the host name")] = (
        msgspec.field(default_factory=lambda: socket.gethostname().lower())
    )
    kubelet: KubeletOptions = KubeletOptions()
    local_storage: LocalStorageOptions = LocalStorageOptions()
    runtime: Annotated[
        str,
        Option(
            "--runtime",
            "Runtime of pods: containers (cri), or simulation on hollow nodes, which needs no root (hollow).",
            choices=("cri", "hollow"),
        ),
    ] = "cri"
    hollow: HollowOptions = HollowOptions()
    log_level: Annotated[str, Option("--log-level", "Lowest level of messages to log.", choices=("DEBUG", "INFO", "WARNING", "ERROR"))] = (
        "INFO"
    )

    @property
    def dir(self) -> Path:
        return Path(self.data_dir)

    @property
    def store_url(self) -> str:
        return self.storage.store or f"sqlite://{self.dir.absolute() / 'server.db'}"

    @property
    def healthz_port(self) -> int:
        """Port of the kubelet's health check, 0 to disable it. Like the kubelet's port, it differs between clusters on one machine."""
        port = self.kubelet.healthz_port
        return max(self.kubelet.port - 2, 0) if port is None else port

    @property
    def is_hollow(self) -> bool:
        """True if pods run on hollow nodes, so that the machine needs neither root nor a container runtime."""
        return self.runtime == "hollow"

    @property
    def node_names(self) -> list[str]:
        """Names of the nodes on this machine."""
        return self.hollow.node_names if self.is_hollow else [self.node_name]

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
    def node_pki_dir(self) -> Path:
        """Directory of the certificates that the kubelet requests for itself."""
        return self.node_dir / "pki"

    @property
    def local_storage_dir(self) -> Path:
        """Directory of volumes on this machine's disk."""
        return self.local_storage.directory or self.dir / "storage"

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
        bind = self.apiserver.bind
        return f"https://{'127.0.0.1' if bind == '0.0.0.0' else bind}:{self.apiserver.port}"

    def check(self) -> None:
        """Raise SettingsError, with all values that no cluster can have."""
        faults = [
            *self.network.faults(),
            *self.apiserver.request_headers.faults(),
            *self.controllers.leader_election.faults(),
            *self.scheduler.leader_election.faults(),
            *self.controllers.serving.faults(),
            *self.scheduler.serving.faults(),
            *self.sidecar.faults(),
            *self.kubelet.faults(),
        ]
        if faults:
            raise SettingsError("; ".join(dict.fromkeys(faults)))
