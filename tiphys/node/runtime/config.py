"""containerd's configuration file for our own instance, as text: pure, so that a change of the text means a change of the settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

PAUSE_IMAGE = "tiphys.local/pause:1"

# Snapshotters for filesystems we do not use, and a directory under /opt that nobody asked for.
_DISABLED = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
]


@dataclass(frozen=True, kw_only=True)
class ContainerdConfig:
    """Configuration in which one containerd of ours differs from another."""

    root: Path
    """Images, snapshots and metadata; survives a reboot."""
    state: Path
    """Sockets, mounts and network namespaces; gone after a reboot."""
    socket: Path
    cni_conf_dir: Path
    cni_bin_dir: str
    registry_dir: Path
    """Per-registry settings in containerd's hosts.toml format (mirrors, certificates)."""
    sandbox_image: str = PAUSE_IMAGE
    snapshotter: str = "overlayfs"
    restrict_oom_score_adj: bool = False
    """Without CAP_SYS_RESOURCE a container's oom_score_adj cannot go below our own; asking for less fails its creation."""
    log_level: str = "warn"


def render(config: ContainerdConfig) -> str:
    """The TOML text, version 2 of containerd's configuration (read by 1.3 to 2.x)."""
    quoted = json.dumps  # JSON strings and string lists are TOML strings and lists
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = {quoted(str(config.root))}
state = {quoted(str(config.state))}
oom_score = {0 if config.restrict_oom_score_adj else -999}
disabled_plugins = {quoted(_DISABLED)}

[grpc]
address = {quoted(str(config.socket))}

[debug]
level = {quoted(config.log_level)}

[timeouts]
"io.containerd.timeout.bolt.open" = "5s"

[plugins."io.containerd.monitor.v1.cgroups"]
no_prometheus = true

[{cri}]
sandbox_image = {quoted(config.sandbox_image)}
restrict_oom_score_adj = {quoted(config.restrict_oom_score_adj)}
stream_server_address = "127.0.0.1"
stream_server_port = "0"
netns_mounts_under_state_dir = true
disable_hugetlb_controller = false
tolerate_missing_hugetlb_controller = true

[{cri}.cni]
bin_dir = {quoted(config.cni_bin_dir)}
conf_dir = {quoted(str(config.cni_conf_dir))}
max_conf_num = 1

[{cri}.registry]
config_path = {quoted(str(config.registry_dir))}

[{cri}.containerd]
default_runtime_name = "runc"
snapshotter = {quoted(config.snapshotter)}

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = {quoted(str(config.state.parent / "runc"))}
"""
