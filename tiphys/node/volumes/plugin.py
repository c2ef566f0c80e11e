"""The seam between the manager of persistent volumes and the plugins that know one kind of storage each.

The life of a volume on a node, and who keeps what:

    wait_attached -> [device record] -> mount_device -> [mount record] -> mount -> expand
                                                                           |  stats, remount, expand while pods use it
                     unmount_device [no device record] <- unmount [no mount record]

`mount_device` happens once per node and volume, `mount` once per pod and volume. The manager writes a record to the disk before it calls
the plugin and removes it after the plugin has undone its work, so a kubelet that was killed between any two steps, and that cannot reach
the API server, still finds everything that may be mounted: records are all that `unmount`, `unmount_device` and `stats` are given. Every
method may be called again after a call that failed, was interrupted by the end of the process, or succeeded. The manager makes one call at
a time for volumes with the same unique name, and never cancels a call that changes something.

Methods raise VolumeError, whose text is shown in events after a prefix such as `MountVolume.SetUp failed for volume "pvc-1" : `.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.volumes.payload import VolumeError


class UncertainError(VolumeError):
    """A step failed, yet may have taken effect or still do so (a driver that did not answer in time): its record stays."""


class UnsupportedError(VolumeError):
    """The kind of storage cannot do this at all; repeating it is useless."""


class BusyError(VolumeError):
    """A volume cannot be expanded while it is in use: it is not tried again here, and does not keep pods from starting."""


class AttachLimitError(VolumeError):
    """A volume cannot be attached, as the node has as many as it takes: the pod fails, and its owner makes another one elsewhere."""

    reason = "VolumeAttachmentLimitExceeded"


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that a pod wants mounted."""

    pod: core.Pod
    volume: core.Volume
    """The entry of `spec.volumes`."""
    claim: core.PersistentVolumeClaim | None = None
    pv: core.PersistentVolume | None = None
    """The volume that the claim is bound to; None for volumes that the pod describes by itself."""
    block: bool = False
    """True for a claim of mode Block: containers get a device rather than a directory."""
    read_only: bool = False
    """True if the pod wants it read-only (`persistentVolumeClaim.readOnly`)."""
    mount_options: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name in paths and messages: that of the persistent volume, or the pod's own for it."""
        return self.volume.name if self.pv is None else self.pv.metadata.name

    @property
    def fs_group(self) -> int | None:
        """Return the group that should own the content, if the pod names one."""
        context = self.pod.spec.securityContext
        return context.fsGroup if context is not None else None


class DeviceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that is, or may be, mounted on this node for all pods that use it."""

    plugin: str
    unique_name: str
    name: str
    """Name of the persistent volume."""
    path: str = ""
    """The mount or directory that pods' mounts are made from, "" if the plugin has none."""
    block: bool = False
    attachable: bool = False
    """True if it is attached by a controller, and hence named in `volumesInUse` of the Node."""
    device_path: str = ""
    """Result of `wait_attached`."""
    data: dict[str, str] = {}
    """Further facts that the plugin needs to unmount it."""


class MountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that is, or may be, mounted for one pod."""

    plugin: str
    unique_name: str
    name: str
    """Name of the persistent volume, or of the pod's entry for a volume without one."""
    uid: str
    """The pod's."""
    volume: str
    """Name of the entry in the pod's `spec.volumes`."""
    path: str
    """The directory that containers mount, or the device file (or a link to it) that they get."""
    namespace: str = ""
    """The pod's, and hence the claim's."""
    claim: str = ""
    """Name of the claim, "" without one."""
    block: bool = False
    group: int | None = None
    """The group that the persistent volume names (`pv.beta.kubernetes.io/gid`) and containers get; set by the manager."""
    data: dict[str, str] = {}
    """Further facts that the plugin needs to unmount it, or to measure it."""


class VolumeStats(msgspec.Struct, frozen=True, kw_only=True):
    """Use of a volume, in bytes and inodes; None where the kind of storage cannot tell."""

    capacity: int | None = None
    available: int | None = None
    used: int | None = None
    inodes: int | None = None
    inodes_free: int | None = None
    inodes_used: int | None = None
    abnormal: bool | None = None
    """True if the driver says that the volume is damaged, None if it says nothing."""
    message: str = ""
    """Message of the driver about the volume's condition."""


class VolumePlugin(Protocol):
    """One kind of storage. `name` is upstream's name of the plugin, such as `kubernetes.io/csi`."""

    @property
    def name(self) -> str: ...

    def takes(self, spec: VolumeSpec) -> bool:
        """Return whether the volume is of this kind."""
        ...

    def unique_name(self, spec: VolumeSpec) -> str:
        """Return the name by which controllers and the Node's status know the volume, `<plugin>/<what identifies the storage>`.

        Volumes with one unique name share one device mount. See `unique_name_of_pod` for volumes that no other pod can use. Raises
        VolumeError.
        """
        ...

    def supports_mount_options(self, spec: VolumeSpec) -> bool:
        """Return whether `mountOptions` have a meaning; if not, a volume that has some is refused."""
        ...

    async def needs_attach(self, spec: VolumeSpec) -> bool:
        """Return whether a controller attaches the volume first. Raises VolumeError while that cannot be known."""
        ...

    def needs_attachment(self, record: DeviceRecord) -> bool:
        """Return whether a mounted volume that was attached has to stay so; False once its driver attaches nothing any more."""
        ...

    async def applies_fs_group(self, spec: VolumeSpec) -> bool:
        """Return whether the manager gives the mounted files to the pod's fsGroup; False if the driver does, or nobody may."""
        ...

    async def wait_attached(self, spec: VolumeSpec, device_path: str) -> str:
        """Return the path of the attached device, or "" if it has none yet; raises VolumeError if the volume is not attached (any more).

        Called only if `needs_attach`, once the Node's status shows the volume in `volumesAttached`, there with `device_path`.
        """
        ...

    async def lacks_room(self, spec: VolumeSpec) -> bool:
        """Return whether a volume that is waited for is not attached because the node has as many as it takes."""
        ...

    async def device_record(self, spec: VolumeSpec, device_path: str) -> DeviceRecord | None:
        """Describe the device mount that the volume needs; None if it needs none. Changes nothing. Raises VolumeError.

        What would fail before anything has been done (a driver that is not there) should fail here. The manager sets `attachable`.
        """
        ...

    async def mount_device(self, spec: VolumeSpec, record: DeviceRecord) -> None:
        """Make the volume ready on this node, for all pods. `record` has been written to the disk."""
        ...

    async def unmount_device(self, record: DeviceRecord) -> None:
        """Undo `mount_device`. The manager has seen to it that no pod uses the volume here. Harmless if there is nothing to undo."""
        ...

    async def mount_record(self, spec: VolumeSpec, device: DeviceRecord | None) -> MountRecord:
        """Describe the mount for a pod. Changes nothing. Raises VolumeError."""
        ...

    async def mount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> str:
        """Make the volume appear at `record.path`, whose parents exist; returns the path that containers get: a directory, or for block
        volumes a device file of the node.

        For block volumes the manager then links `pods/<uid>/volumeDevices/<plugin>/<name>` to the device.
        """
        ...

    async def unmount(self, record: MountRecord) -> None:
        """Undo `mount`, and remove the files that the plugin made below the pod's directory. Harmless if there is nothing to undo."""
        ...

    async def requires_remount(self, spec: VolumeSpec) -> bool:
        """Return whether `remount` is to be called from time to time (`requiresRepublish`)."""
        ...

    async def remount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> None:
        """Bring the content of a mounted volume up to date. A failure leaves the mount in place."""
        ...

    async def stats(self, record: MountRecord) -> VolumeStats | None:
        """Measure a mounted volume; None if that is not supported. May be cancelled. Raises VolumeError."""
        ...

    async def needs_expansion_on_node(self, spec: VolumeSpec) -> bool:
        """Return whether a larger volume needs `expand` on the node; if not, the claim's size follows without it."""
        ...

    async def expand(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None, size: int) -> int:
        """Let a mounted volume have the new size in bytes, that of its persistent volume; returns the size reached.

        Raises UnsupportedError if the request can never succeed, BusyError if not while pods use the volume, else VolumeError.
        """
        ...


class UnattachedPlugin:
    """Base of plugins for volumes that no controller attaches: no renewal, and no device mount unless the plugin makes one."""

    name = ""

    def unique_name(self, spec: VolumeSpec) -> str:
        return f"{self.name}/{spec.name}"

    async def needs_attach(self, spec: VolumeSpec) -> bool:
        return False

    def needs_attachment(self, record: DeviceRecord) -> bool:
        return True

    async def wait_attached(self, spec: VolumeSpec, device_path: str) -> str:
        return device_path

    async def lacks_room(self, spec: VolumeSpec) -> bool:
        return False

    async def device_record(self, spec: VolumeSpec, device_path: str) -> DeviceRecord | None:
        return None

    async def mount_device(self, spec: VolumeSpec, record: DeviceRecord) -> None:
        """Nothing to do: `device_record` returns none."""

    async def unmount_device(self, record: DeviceRecord) -> None:
        """Nothing to do: `device_record` returns none."""

    async def requires_remount(self, spec: VolumeSpec) -> bool:
        return False

    async def remount(self, spec: VolumeSpec, record: MountRecord, device: DeviceRecord | None) -> None:
        """Nothing to do: the content is what it is."""


def unique_name_of_pod(plugin: str, spec: VolumeSpec) -> str:
    """Return the unique name of a volume that needs neither attaching nor a device mount."""
    return f"{plugin}/{spec.pod.metadata.uid}-{spec.name}"
