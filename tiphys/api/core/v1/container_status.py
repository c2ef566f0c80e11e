"""The core group, v1: status of a container."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.container import ResourceRequirements
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, Struct, Time, always, null


class ContainerExtendedResourceRequest(Struct):
    """Request of a claim that serves an extended resource of a container."""

    containerName: str = always(str)
    """The container."""
    resourceName: str = always(str)
    """The extended resource."""
    requestName: str = always(str)
    """The request in the claim."""


class ContainerStateWaiting(Struct):
    """A container that does not run yet."""

    reason: str = ""
    """Reason, in one CamelCase word, such as `ContainerCreating` or `CrashLoopBackOff`."""
    message: str = ""
    """Explanation, for people."""


class ContainerStateRunning(Struct):
    """A container that runs."""

    startedAt: Time | None = null()
    """Time of the start."""


class ContainerStateTerminated(Struct):
    """A container that ended."""

    exitCode: int = always(int)
    """The exit code of its first process."""
    signal: int = 0
    """The signal that ended it, if one did."""
    reason: str = ""
    """Reason for the end, in one CamelCase word, such as `Completed`, `Error` or `OOMKilled`."""
    message: str = ""
    """The termination message, or why it ended, in words."""
    startedAt: Time | None = null()
    """Time of the start."""
    finishedAt: Time | None = null()
    """Time of the end."""
    containerID: str = ""
    """Its identity, as `runtime://id`."""


class ContainerState(Struct):
    """State of a container; at most one field is set, and none means waiting."""

    waiting: ContainerStateWaiting | None = None
    """It does not run yet."""
    running: ContainerStateRunning | None = None
    """It runs."""
    terminated: ContainerStateTerminated | None = None
    """It ended."""


class LinuxContainerUser(Struct):
    """User and groups of a container's first process on Linux."""

    uid: int = always(int)
    """The user id."""
    gid: int = always(int)
    """The primary group id."""
    supplementalGroups: Annotated[list[int], Atomic()] = []
    """Further group ids."""


class ContainerUser(Struct):
    """User that the first process of a container runs as."""

    linux: LinuxContainerUser | None = None
    """User and groups on Linux."""


class ResourceHealth(Struct):
    """The health of one device."""

    resourceID: str = always(str)
    """The device's identity."""
    health: str = ""
    """`Healthy`, `Unhealthy` or `Unknown`."""
    message: str | None = None
    """More about it, in words."""


class ResourceStatus(Struct):
    """The health of a resource's devices that were given to a container."""

    name: str = always(str)
    """The resource, or `claim:name/request`."""
    resources: Annotated[list[ResourceHealth], MapList("resourceID")] = []
    """The devices."""


class ImageVolumeStatus(Struct):
    """The image behind an image volume."""

    imageRef: str = ""
    """The digest of the image."""


class VolumeStatus(Struct):
    """Observed state of a mounted volume."""

    image: ImageVolumeStatus | None = None
    """For volumes that are images."""


class VolumeMountStatus(Struct):
    """A mount as it really is."""

    name: str = always(str)
    """The name of the volume."""
    mountPath: str = always(str)
    """Path of the mount in the container."""
    readOnly: bool = False
    """True if the mount is read-only."""
    recursiveReadOnly: str | None = None
    """Mode of mounts below, read-only or not: `Disabled` or `Enabled`."""
    volumeStatus: VolumeStatus | None = None
    """More about the volume."""


class ContainerStatus(Struct):
    """Observed state of a container."""

    name: str = always(str)
    """The name of the container."""
    state: ContainerState = always(ContainerState)
    """Present state."""
    lastState: ContainerState = always(ContainerState)
    """State in which it last ended."""
    ready: bool = always(bool)
    """True if it passes its readiness probe; without one, whether it has started."""
    restartCount: int = always(int)
    """Number of restarts, as far as old containers still tell."""
    image: str = always(str)
    """The image it runs; the runtime may name it differently from the spec."""
    imageID: str = always(str)
    """The identity of the image, with its digest."""
    containerID: str = ""
    """The identity of the running or last container, as `runtime://id`."""
    started: bool | None = None
    """True if it has started: its startup probe succeeded and its postStart handler is done."""
    allocatedResources: dict[str, Quantity] = {}
    """Resources that the node has allocated to the container."""
    resources: ResourceRequirements | None = None
    """Requests and limits that are in force."""
    volumeMounts: Annotated[list[VolumeMountStatus], MapList("mountPath"), Patch("merge", "mountPath")] = []
    """Its mounts."""
    user: ContainerUser | None = None
    """User that the first process runs as."""
    allocatedResourcesStatus: Annotated[list[ResourceStatus], MapList("name"), Patch("merge", "name")] = []
    """The health of devices that were given to it."""
    stopSignal: str | None = None
    """The signal that asks it to end."""
