"""Network namespaces and addresses without a sandbox: a runtime that is killed while it makes one forgets both.

Addresses are files of the CNI plugin host-local, `<dataDir>/<network>/<address>`, with the sandbox's id in the first line. The directory
is locked as the plugin does it. All of this is blocking: meant for a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path

from tiphys.node.runtime.purge import CNI_RESULTS
from tiphys.node.volumes.mounts import unmount

NETNS = "io.containerd.grpc.v1.cri/netns"
"""Directory of network namespaces below containerd's state directory."""


def namespaces(state: Path) -> list[Path]:
    """Return the files at which containerd has mounted network namespaces."""
    try:
        return sorted((state / NETNS).iterdir())
    except OSError:
        return []


def remove_namespace(path: Path) -> None:
    """Unmount a network namespace, with which its interfaces go, and remove its file. Raises OSError."""
    unmount(path)
    path.unlink(missing_ok=True)


def reservations(conf_dir: Path) -> dict[Path, str]:
    """Return the files of reserved addresses, each with the id of its sandbox, of all networks that a directory configures."""
    result = {}
    for folder in _folders(conf_dir):
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if _is_address(path.name) and (owner := _owner(path)):
                    result[path] = owner
    return result


def release(path: Path, owner: str) -> bool:
    """Give a reserved address back, unless it is another sandbox's by now; returns whether it was given back. Raises OSError."""
    with _locked(path.parent / "lock"):
        if _owner(path) != owner:
            return False
        path.unlink(missing_ok=True)
    for result in CNI_RESULTS.glob(f"*-{owner}-*"):
        result.unlink(missing_ok=True)
    return True


def _folders(conf_dir: Path) -> Iterator[Path]:
    for path in sorted(conf_dir.glob("*.conflist")):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            config = json.loads(path.read_text(encoding="utf-8"))
            for plugin in config["plugins"]:
                ipam = plugin.get("ipam", {})
                if ipam.get("type") == "host-local" and ipam.get("dataDir"):
                    yield Path(ipam["dataDir"]) / config["name"]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[0].strip()
    except OSError:
        return ""


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
