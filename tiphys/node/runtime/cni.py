"""The pod network of one node, as a CNI configuration: a bridge, addresses from the node's pod CIDR, host ports.

Behavior comes from the page "Network Plugins" of the Kubernetes documentation and the manuals of the reference CNI plugins.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

DEFAULT_BRIDGE = "tiphys0"
BIN_DIRS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
"""Directories in which distributions put the reference plugins; Debian's place first."""

CONF_NAME = "10-tiphys.conflist"


def cni_config(*, bridge: str, pod_cidr: str, name: str, data_dir: Path, mtu: int, host_ports: bool) -> dict[str, Any]:
    """The network list. Masquerading is left to the service proxy's nftables, which knows the cluster's ranges."""
    if not 0 < len(bridge) < 16:
        raise ValueError(f"bridge name {bridge!r}: an interface name has 1 to 15 characters")
    subnets = [str(ipaddress.ip_network(part.strip())) for part in pod_cidr.split(",")]
    link: dict[str, Any] = {
        "type": "bridge",
        "bridge": bridge,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "dataDir": str(data_dir), "ranges": [[{"subnet": subnet}] for subnet in subnets]},
    }
    if mtu:
        link["mtu"] = mtu
    plugins = [link]
    if host_ports:
        plugins.append({"type": "portmap", "capabilities": {"portMappings": True}, "snat": True})
    return {"cniVersion": "0.4.0", "name": name, "plugins": plugins}


def write_cni_config(
    conf_dir: str | Path,
    *,
    bridge: str = DEFAULT_BRIDGE,
    pod_cidr: str,
    name: str = "",
    data_dir: str | Path | None = None,
    mtu: int = 0,
    host_ports: bool = True,
) -> Path:
    """Write the node's network configuration and return its path; containerd notices a changed file by itself.

    `pod_cidr` is the node's own range (two ranges with a comma between them for dual stack). `name` is the network's name, by default
    the bridge's. `data_dir` keeps the addresses given out, by default `ipam` beside `conf_dir`. `mtu` 0 leaves the kernel's. The file
    is replaced in one step, and only when its content changes. Raises ValueError for a bad CIDR or bridge name, OSError from the disk.
    """
    conf_dir = Path(conf_dir)
    leases = Path(data_dir) if data_dir is not None else conf_dir.parent / "ipam"
    config = cni_config(bridge=bridge, pod_cidr=pod_cidr, name=name or bridge, data_dir=leases, mtu=mtu, host_ports=host_ports)
    text = json.dumps(config, indent=2) + "\n"
    conf_dir.mkdir(parents=True, exist_ok=True)
    path = conf_dir / CONF_NAME
    with contextlib.suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return path
    # The name does not end in .conflist, so that containerd cannot read a half-written file.
    draft = conf_dir / f".{CONF_NAME}.new"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
    return path


def find_cni_bin_dir() -> str:
    """The directory that holds the reference plugins, or Debian's place if none does."""
    return next((directory for directory in BIN_DIRS if Path(directory, "bridge").exists()), BIN_DIRS[0])


class Network(NamedTuple):
    """One bridge network of ours, as its configuration says."""

    name: str
    bridge: str
    subnets: list[str]


def networks(conf_dir: Path) -> list[Network]:
    """Every bridge network that a directory of ours configures."""
    result = []
    for path in sorted(conf_dir.glob("*.conflist")):
        with contextlib.suppress(OSError, ValueError, LookupError):
            config = json.loads(path.read_text(encoding="utf-8"))
            for plugin in config["plugins"]:
                if plugin["type"] == "bridge":
                    subnets = [part["subnet"] for ranges in plugin["ipam"]["ranges"] for part in ranges]
                    result.append(Network(config["name"], plugin["bridge"], subnets))
    return result
