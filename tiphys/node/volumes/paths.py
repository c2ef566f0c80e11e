"""Paths of a pod's files below the kubelet's directory. The names are upstream's, which tools look for."""

from __future__ import annotations

from pathlib import Path

from tiphys.api.core import v1 as core

_PLUGINS = {
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
}


class PodPaths:
    """The directories of one pod."""

    def __init__(self, root: Path, uid: str) -> None:
        self.base = root / "pods" / uid
        self.volumes = self.base / "volumes"
        self.sub_paths = self.base / "volume-subpaths"
        self.hosts = self.base / "etc-hosts"

    def volume(self, volume: core.Volume) -> Path:
        """Return the directory of a volume that belongs to the pod alone."""
        for field, plugin in _PLUGINS.items():
            if getattr(volume, field) is not None:
                return self.volumes / f"kubernetes.io~{plugin}" / volume.name
        return self.volumes / "unknown" / volume.name

    def persistent(self, plugin: str, name: str) -> Path:
        """Return the directory of a volume of a plugin, such as `volumes/kubernetes.io~csi/pvc-1`."""
        return self.volumes / plugin.replace("/", "~") / name

    def device(self, plugin: str, name: str) -> Path:
        """Return the link to the device of a block volume, such as `volumeDevices/kubernetes.io~csi/pvc-1`."""
        return self.base / "volumeDevices" / plugin.replace("/", "~") / name

    def sub_path(self, volume: str, container: str, place: int) -> Path:
        """Return the path at which the sub-path of a container's mount number `place` is made visible."""
        return self.sub_paths / volume / container / str(place)

    def message(self, container: str, attempt: int) -> Path:
        """The file in which a container leaves its last words."""
        return self.base / "containers" / container / f"{attempt}.message"
