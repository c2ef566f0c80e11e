"""The core group, v1: container."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.environment import EnvFromSource, EnvVar
from tiphys.api.core.v1.probe import Lifecycle, Probe
from tiphys.api.core.v1.security import SecurityContext
from tiphys.api.machinery.base import Atomic, MapList, Patch, Quantity, SetList, Struct, always


class ContainerPort(Struct):
    """A port on which a container listens. Listing it informs, and names it; unlisted ports are reachable too."""

    name: str = ""
    """A name for Services and probes to use, unique in the pod: at most 15 lower case letters, digits and hyphens."""
    hostPort: int = 0
    """The port of the node that leads here. With hostNetwork it equals containerPort."""
    containerPort: int = always(int)
    """The port, 1 to 65535."""
    protocol: str = ""
    """`TCP` (default), `UDP` or `SCTP`."""
    hostIP: str = ""
    """The address of the node that the host port is bound to."""


class VolumeMount(Struct):
    """A volume in a container's file system."""

    name: str = always(str)
    """The name of a volume of the pod."""
    readOnly: bool = False
    """True if the mount is read-only. False by default."""
    recursiveReadOnly: str | None = None
    """Mode of mounts below, read-only or not: `Disabled` (default), `IfPossible` or `Enabled`. Needs readOnly."""
    mountPath: str = always(str)
    """Path of the volume in the container. Must not contain a colon."""
    subPath: str = ""
    """The path inside the volume that is mounted instead of its root."""
    mountPropagation: str | None = None
    """Propagation of later mounts across the border: `None` (default), `HostToContainer` or `Bidirectional`, which needs a privileged
    container."""
    subPathExpr: str = ""
    """Like subPath, with $(VARIABLE) replaced from the container's environment. Not together with subPath."""


class VolumeDevice(Struct):
    """A block device in a container."""

    name: str = always(str)
    """The name of a volume of the pod that is a claim."""
    devicePath: str = always(str)
    """Path of the device in the container."""


class ContainerResizePolicy(Struct):
    """Effect of a change of a resource on a running container."""

    resourceName: str = always(str)
    """`cpu` or `memory`."""
    restartPolicy: str = always(str)
    """`NotRequired` (default) or `RestartContainer`."""


class ContainerRestartRuleOnExitCodes(Struct):
    """Exit codes that a rule is about."""

    operator: str = ""
    """`In` or `NotIn`."""
    values: Annotated[list[int], SetList()] = []
    """The codes, 255 at most."""


class ContainerRestartRule(Struct):
    """Action for certain exits of a container."""

    action: str = ""
    """`Restart` the container, or `RestartAllContainers` of the pod."""
    exitCodes: ContainerRestartRuleOnExitCodes | None = None
    """The exit codes that the rule applies to."""


class ResourceClaim(Struct):
    """A device claim that a container uses."""

    name: str = always(str)
    """The name of an entry in spec.resourceClaims of the pod."""
    request: str = ""
    """One request of the claim; all if empty."""


class ResourceRequirements(Struct):
    """Resources that a container requests, and their limits."""

    limits: dict[str, Quantity] = {}
    """The most it may use, by resource. Beyond it CPU is throttled and memory ends in a kill."""
    requests: dict[str, Quantity] = {}
    """Reserved amounts, by resource; by default as much as its limit. The scheduler goes by it."""
    claims: Annotated[list[ResourceClaim], MapList("name")] = []
    """Device claims that the container uses."""


class Container(Struct):
    """A program in a pod."""

    name: str = always(str)
    """A DNS label, unique in the pod. It cannot be changed."""
    image: str = ""
    """The image to run, with registry, tag or digest."""
    command: Annotated[list[str], Atomic()] = []
    """The program, in place of the image's entry point, without a shell. $(NAME) is replaced by environment variables."""
    args: Annotated[list[str], Atomic()] = []
    """Arguments of the program, in place of the image's. $(NAME) is replaced by environment variables."""
    workingDir: str = ""
    """The directory to start in; the image's if empty."""
    ports: Annotated[list[ContainerPort], MapList("containerPort", "protocol"), Patch("merge", "containerPort")] = []
    """Ports on which the container listens."""
    envFrom: Annotated[list[EnvFromSource], Atomic()] = []
    """ConfigMaps and Secrets whose keys become variables; later ones win, and env wins over all."""
    env: Annotated[list[EnvVar], MapList("name"), Patch("merge", "name")] = []
    """Environment variables."""
    resources: ResourceRequirements = always(ResourceRequirements)
    """Requests and limits of the container."""
    resizePolicy: Annotated[list[ContainerResizePolicy], Atomic()] = []
    """Restart of the container when its resources change, by resource."""
    restartPolicy: str | None = None
    """Overrides the pod's policy for this container. `Always` makes an init container a sidecar."""
    restartPolicyRules: Annotated[list[ContainerRestartRule], Atomic()] = []
    """Rules by exit code that come before restartPolicy; 20 at most."""
    volumeMounts: Annotated[list[VolumeMount], MapList("mountPath"), Patch("merge", "mountPath")] = []
    """Volumes in the container's file system, each at its own path."""
    volumeDevices: Annotated[list[VolumeDevice], MapList("devicePath"), Patch("merge", "devicePath")] = []
    """Block devices in the container."""
    livenessProbe: Probe | None = None
    """Asked while the container runs; when it fails, the container is restarted."""
    readinessProbe: Probe | None = None
    """Asked while the container runs; while it fails, Services send nothing to the pod."""
    startupProbe: Probe | None = None
    """Asked first; until it succeeds the other probes wait, and if it fails the container is restarted."""
    lifecycle: Lifecycle | None = None
    """Hooks after the start and before the stop."""
    terminationMessagePath: str = ""
    """The file whose content becomes the message of the ended container; `/dev/termination-log` by default. At most 4096 bytes are read."""
    terminationMessagePolicy: str = ""
    """`File` (default), or `FallbackToLogsOnError` to use the end of the log when the file is empty and the container failed."""
    imagePullPolicy: str = ""
    """`Always`, `IfNotPresent` or `Never`. By default `Always` for the tag latest, else `IfNotPresent`."""
    securityContext: SecurityContext | None = None
    """Privileges of the container."""
    stdin: bool = False
    """True if standard input is kept open for `attach`. False by default."""
    stdinOnce: bool = False
    """True if standard input is closed after the first attached client leaves. False by default."""
    tty: bool = False
    """True if the program gets a terminal; needs stdin. False by default."""


class EphemeralContainer(Struct):
    """A container that is added to a running pod for a while, for debugging. It never restarts and has no guaranteed resources."""

    targetContainerName: str = ""
    """The container whose processes it sees and shares; none if empty."""
    args: Annotated[list[str], Atomic()] = []
    """Arguments of the program, in place of the image's."""
    command: Annotated[list[str], Atomic()] = []
    """The program, in place of the image's entry point."""
    env: Annotated[list[EnvVar], MapList("name"), Patch("merge", "name")] = []
    """Environment variables."""
    envFrom: Annotated[list[EnvFromSource], Atomic()] = []
    """ConfigMaps and Secrets whose keys become variables."""
    image: str = ""
    """The image to run."""
    imagePullPolicy: str = ""
    """`Always`, `IfNotPresent` or `Never`."""
    lifecycle: Lifecycle | None = None
    """Not allowed."""
    livenessProbe: Probe | None = None
    """Not allowed."""
    name: str = always(str)
    """A DNS label, unique among all containers of the pod."""
    ports: Annotated[list[ContainerPort], MapList("containerPort", "protocol"), Patch("merge", "containerPort")] = []
    """Not allowed."""
    readinessProbe: Probe | None = None
    """Not allowed."""
    resizePolicy: Annotated[list[ContainerResizePolicy], Atomic()] = []
    """Not allowed."""
    resources: ResourceRequirements = always(ResourceRequirements)
    """Not allowed; it uses spare resources of the pod."""
    restartPolicy: str | None = None
    """Not allowed."""
    restartPolicyRules: Annotated[list[ContainerRestartRule], Atomic()] = []
    """Not allowed."""
    securityContext: SecurityContext | None = None
    """Privileges of the container."""
    startupProbe: Probe | None = None
    """Not allowed."""
    stdin: bool = False
    """True if standard input is kept open for `attach`."""
    stdinOnce: bool = False
    """True if standard input is closed after the first attached client leaves."""
    terminationMessagePath: str = ""
    """The file whose content becomes the message of the ended container."""
    terminationMessagePolicy: str = ""
    """`File` or `FallbackToLogsOnError`."""
    tty: bool = False
    """True if the program gets a terminal; needs stdin."""
    volumeDevices: Annotated[list[VolumeDevice], MapList("devicePath"), Patch("merge", "devicePath")] = []
    """Block devices in the container."""
    volumeMounts: Annotated[list[VolumeMount], MapList("mountPath"), Patch("merge", "mountPath")] = []
    """Volumes in the container's file system; subPath is not allowed."""
    workingDir: str = ""
    """The directory to start in; the image's if empty."""
