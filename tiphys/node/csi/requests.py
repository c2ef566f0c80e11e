"""Requests to drivers, made from what the API says about a volume and its pod. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.storage import v1 as storage
from tiphys.csi.pb import csi_pb2 as pb
from tiphys.node.csi.paths import inline_handle
from tiphys.node.csi.service import MOUNT_GROUP, MULTI_WRITER
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import VolumeSpec

TOKENS_KEY: Final = "csi.storage.k8s.io/serviceAccount.tokens"
DEFAULT_POLICY: Final = "ReadWriteOnceWithFSType"

_Mode = pb.VolumeCapability.AccessMode
_MODES: Final[Mapping[str, pb.VolumeCapability.AccessMode.Mode]] = {
    "ReadWriteOnce": _Mode.SINGLE_NODE_WRITER,
    "ReadOnlyMany": _Mode.MULTI_NODE_READER_ONLY,
    "ReadWriteMany": _Mode.MULTI_NODE_MULTI_WRITER,
    # For drivers that do not tell one pod from several on a node.
    "ReadWriteOncePod": _Mode.SINGLE_NODE_WRITER,
}
_MULTI_WRITER_MODES: Final = {
    **_MODES,
    "ReadWriteOnce": _Mode.SINGLE_NODE_MULTI_WRITER,
    "ReadWriteOncePod": _Mode.SINGLE_NODE_SINGLE_WRITER,
}


class Source:
    """A volume of a driver: one that a claim is bound to, or one that its pod describes by itself."""

    def __init__(self, spec: VolumeSpec) -> None:
        self.spec = spec
        self.persistent = spec.pv.spec.csi if spec.pv is not None else None
        self.inline = spec.volume.csi if spec.pv is None else None

    @property
    def driver(self) -> str:
        """Name of the driver. Raises VolumeError for a volume of another kind."""
        source = self.persistent or self.inline
        if source is None:
            raise VolumeError("volume source not found in volume.Spec")
        return source.driver

    @property
    def handle(self) -> str:
        """The driver's name for the volume."""
        if self.persistent is not None:
            return self.persistent.volumeHandle
        return inline_handle(self.spec.pod.metadata.uid, self.spec.volume.name)

    @property
    def lifecycle(self) -> str:
        """`Persistent` or `Ephemeral`."""
        return "Persistent" if self.persistent is not None else "Ephemeral"

    @property
    def read_only(self) -> bool:
        return bool(self.inline.readOnly) if self.inline is not None else self.spec.read_only

    @property
    def fs_type(self) -> str:
        source = self.persistent or self.inline
        return (source.fsType or "") if source is not None else ""

    @property
    def attributes(self) -> dict[str, str]:
        """Return a copy of the volume's attributes."""
        source = self.persistent or self.inline
        return dict(source.volumeAttributes) if source is not None else {}

    @property
    def access_modes(self) -> Sequence[str]:
        return self.spec.pv.spec.accessModes if self.spec.pv is not None else ()

    @property
    def stage_secret(self) -> core.SecretReference | None:
        return self.persistent.nodeStageSecretRef if self.persistent is not None else None

    @property
    def expand_secret(self) -> core.SecretReference | None:
        return self.persistent.nodeExpandSecretRef if self.persistent is not None else None

    @property
    def publish_secret(self) -> core.SecretReference | None:
        if self.persistent is not None:
            return self.persistent.nodePublishSecretRef
        reference = self.inline.nodePublishSecretRef if self.inline is not None else None
        return core.SecretReference(namespace=self.spec.pod.metadata.namespace, name=reference.name) if reference is not None else None


def capability(source: Source, features: Collection[int]) -> pb.VolumeCapability:
    """Return how the volume is used; `features` are what the driver offers on nodes. Of several access modes the first one counts."""
    mode = source.access_modes[0] if source.access_modes else "ReadWriteOnce"
    modes = _MULTI_WRITER_MODES if MULTI_WRITER in features else _MODES
    access = pb.VolumeCapability.AccessMode(mode=modes.get(mode, _Mode.UNKNOWN))
    if source.spec.block:
        return pb.VolumeCapability(access_mode=access, block=pb.VolumeCapability.BlockVolume())
    group = source.spec.fs_group
    mount = pb.VolumeCapability.MountVolume(
        fs_type=source.fs_type,
        mount_flags=list(source.spec.mount_options) if source.persistent is not None else [],
        volume_mount_group=str(group) if group is not None and MOUNT_GROUP in features else "",
    )
    return pb.VolumeCapability(access_mode=access, mount=mount)


def pod_info(source: Source) -> dict[str, str]:
    """Return the part of a volume's context that says for which pod it is mounted ("Pod Info on Mount")."""
    pod = source.spec.pod
    return {
        "csi.storage.k8s.io/pod.name": pod.metadata.name,
        "csi.storage.k8s.io/pod.namespace": pod.metadata.namespace,
        "csi.storage.k8s.io/pod.uid": pod.metadata.uid,
        "csi.storage.k8s.io/serviceAccount.name": pod.spec.serviceAccountName,
        "csi.storage.k8s.io/ephemeral": "true" if source.lifecycle == "Ephemeral" else "false",
    }


def check_lifecycle(driver: storage.CSIDriver | None, source: Source) -> None:
    """Raise VolumeError when the driver does not make volumes of this lifecycle; without a CSIDriver only persistent ones are taken."""
    if driver is None:
        if source.lifecycle == "Persistent":
            return
        raise VolumeError(f'volume mode "{source.lifecycle}" not supported by driver {source.driver} (no CSIDriver object)')
    modes = driver.spec.volumeLifecycleModes
    if source.lifecycle not in modes:
        listed = " ".join(f'"{mode}"' for mode in modes)
        raise VolumeError(f'volume mode "{source.lifecycle}" not supported by driver {source.driver} (only supports [{listed}])')


def group_owns(driver: storage.CSIDriver | None, source: Source) -> bool:
    """Return whether the files of a volume are given to the pod's fsGroup ("Support fsGroup", KEP-1682)."""
    if source.spec.block or source.spec.fs_group is None or source.read_only:
        return False
    policy = driver.spec.fsGroupPolicy if driver is not None else DEFAULT_POLICY
    if policy == "None":
        return False
    if policy == "File":
        return True
    if not source.fs_type:
        return False
    return source.inline is not None or any(mode in ("ReadWriteOnce", "ReadWriteOncePod") for mode in source.access_modes)
