"""Names and paths of volumes of drivers. They are upstream's, which drivers and tools know."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tiphys.api.helpers.attachments import PLUGIN

VOLUME_DATA = "vol_data.json"


def inline_handle(uid: str, volume: str) -> str:
    """Return the handle of a volume that a pod describes by itself."""
    return f"csi-{_sha256(f'{uid}{volume}')}"


class CsiPaths:
    """Paths below the kubelet's directory."""

    def __init__(self, root: Path) -> None:
        self.plugins = root / "plugins"
        self._pods = root / "pods"
        self._own = self.plugins / PLUGIN
        self._devices = self._own / "volumeDevices"

    def global_mount(self, driver: str, handle: str) -> Path:
        """Return the staging directory of a file system volume; its data file is beside it."""
        return self._own / driver / _sha256(handle) / "globalmount"

    def pod_mount(self, uid: str, name: str) -> Path:
        """Return the directory that the driver mounts for a pod; its data file is beside it."""
        return self._pods / uid / "volumes" / PLUGIN.replace("/", "~") / name / "mount"

    def staged_device(self, name: str) -> Path:
        """Return the staging directory of a block volume."""
        return self._devices / "staging" / name

    def published_device(self, name: str, uid: str) -> Path:
        """Return the file at which the driver makes a block volume appear for a pod."""
        return self._devices / "publish" / name / uid

    def block_volume(self, name: str) -> Path:
        """Return the directory of what the kubelet keeps about a block volume."""
        return self._devices / name

    def block_data(self, name: str) -> Path:
        """Return the directory of the data files of a block volume: one for the node, and one per pod."""
        return self.block_volume(name) / "data"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
