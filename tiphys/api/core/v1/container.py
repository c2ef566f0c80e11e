"""The core group, v1: container."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.core.v1.reference import (
    ConfigMapKeySelector,
    FileKeySelector,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)
from tiphys.api.machinery.base import Atomic, IntOrString, MapList, Patch, Quantity, SetList, Struct, Time, always, null


class AppArmorProfile(Struct):
    """The AppArmor profile that confines a container."""

    type: str = always(str)
    """`RuntimeDefault`, `Unconfined`, or `Localhost` for a profile loaded on the node."""
    localhostProfile: str | None = None
    """The name of the loaded profile; only with `Localhost`."""


class Capabilities(Struct):
    """Linux capabilities that differ from the runtime's default set."""

    add: Annotated[list[str], Atomic()] = []
    """Capabilities to grant, without the prefix CAP_."""
    drop: Annotated[list[str], Atomic()] = []
    """Capabilities to take away; `ALL` takes all."""


class ConfigMapEnvSource(Struct):
    """A ConfigMap whose keys become environment variables."""

    optional: bool | None = None
    """True if the container starts when the ConfigMap does not exist."""
    name: str = ""
    """The ConfigMap in the pod's namespace."""


class SELinuxOptions(Struct):
    """The parts of an SELinux label."""

    user: str = ""
    """The user part."""
    role: str = ""
    """The role part."""
    type: str = ""
    """The type part."""
    level: str = ""
    """The level part."""


class SeccompProfile(Struct):
    """Profile of the system calls that a process may make."""

    type: str = always(str)
    """`RuntimeDefault`, `Unconfined`, or `Localhost` for a file on the node."""
    localhostProfile: str | None = None
    """The file below the kubelet's seccomp directory; only with `Localhost`."""


class WindowsSecurityContextOptions(Struct):
    """Settings that only Windows nodes use."""

    gmsaCredentialSpecName: str | None = None
    """The name of the GMSA credential spec."""
    gmsaCredentialSpec: str | None = None
    """The content of the GMSA credential spec, filled in by a webhook."""
    runAsUserName: str | None = None
    """The user that runs the process; by default the one in the image."""
    hostProcess: bool | None = None
    """True if the container runs as a process of the host; then all of the pod do."""


class SecurityContext(Struct):
    """Privileges of one container; they win over those of the pod."""

    capabilities: Capabilities | None = None
    """Capabilities added to or taken from the runtime's default."""
    privileged: bool | None = None
    """True if the processes have nearly all rights of root on the node. False by default."""
    seLinuxOptions: SELinuxOptions | None = None
    """The SELinux label of the container."""
    windowsOptions: WindowsSecurityContextOptions | None = None
    """Settings for Windows nodes."""
    runAsUser: int | None = None
    """The user id that runs the process; by default the one the image names."""
    runAsGroup: int | None = None
    """The primary group id of the process."""
    runAsNonRoot: bool | None = None
    """True if the container is refused when its user is 0."""
    readOnlyRootFilesystem: bool | None = None
    """True if nothing can be written outside volumes. False by default."""
    allowPrivilegeEscalation: bool | None = None
    """True if a process can gain more rights than its parent, through set-uid programs for instance. Always true for privileged
    containers."""
    procMount: str | None = None
    """Masking of /proc: `Default` masks sensitive paths, `Unmasked` none (only with hostUsers false)."""
    seccompProfile: SeccompProfile | None = None
    """Profile of allowed system calls."""
    appArmorProfile: AppArmorProfile | None = None
    """The AppArmor profile."""


class TCPSocketAction(Struct):
    """Opens a connection."""

    port: IntOrString | None = None
    """The port, by number (1 to 65535) or by the container port's name."""
    host: str = ""
    """The host to connect to; the pod's address if empty."""


class ExecAction(Struct):
    """Runs a command in the container."""

    command: Annotated[list[str], Atomic()] = []
    """The program and its arguments, without a shell. Exit code 0 is success."""


class HTTPHeader(Struct):
    """A header of a request."""

    name: str = always(str)
    """The name of the header."""
    value: str = always(str)
    """Its value."""


class HTTPGetAction(Struct):
    """Sends a GET request; answers from 200 to 399 are success."""

    path: str = ""
    """The path to ask for; `/` if empty."""
    port: IntOrString | None = None
    """The port, by number (1 to 65535) or by the container port's name."""
    host: str = ""
    """The host to ask; the pod's address if empty. To ask by name, set the header Host instead."""
    scheme: str = ""
    """`HTTP` (default) or `HTTPS`, whose certificate is not checked."""
    httpHeaders: Annotated[list[HTTPHeader], Atomic()] = []
    """Headers to send."""


class GRPCAction(Struct):
    """Asks a gRPC health service."""

    port: int = always(int)
    """The port, 1 to 65535."""
    service: str | None = None
    """The service name in the health request; empty asks about the server as a whole."""


class Probe(Struct):
    """A question that is asked about a container again and again."""

    initialDelaySeconds: int = 0
    """Seconds after the start before the first question. 0 by default."""
    timeoutSeconds: int = 0
    """Seconds until an unanswered question counts as a failure. 1 by default."""
    periodSeconds: int = 0
    """Seconds between questions. 10 by default, at least 1."""
    successThreshold: int = 0
    """Successes in a row that end a failure. 1 by default, and always 1 for liveness and startup."""
    failureThreshold: int = 0
    """Failures in a row that count as a failure. 3 by default."""
    terminationGracePeriodSeconds: int | None = None
    """Seconds the container gets to end when this probe fails, instead of those of the pod. Not for readiness."""
    exec: ExecAction | None = None
    """Runs a command."""
    grpc: GRPCAction | None = None
    """Asks a gRPC health service."""
    httpGet: HTTPGetAction | None = None
    """Sends an HTTP request."""
    tcpSocket: TCPSocketAction | None = None
    """Opens a connection."""


class SleepAction(Struct):
    """Waits."""

    seconds: int = always(int)
    """Number of seconds to sleep."""


class LifecycleHandler(Struct):
    """Action of a lifecycle hook; exactly one of its fields is set."""

    exec: ExecAction | None = None
    """Runs a command."""
    httpGet: HTTPGetAction | None = None
    """Sends an HTTP request."""
    tcpSocket: TCPSocketAction | None = None
    """Kept for compatibility; it does nothing and fails when used."""
    sleep: SleepAction | None = None
    """Waits."""


class Lifecycle(Struct):
    """Hooks that run right after a container starts and right before it is stopped."""

    postStart: LifecycleHandler | None = None
    """Done after the start, at the same time as the container's own program. If it fails, the container is killed."""
    preStop: LifecycleHandler | None = None
    """Done before the container is asked to end; the grace period runs meanwhile."""
    stopSignal: str | None = None
    """The signal that asks the container to end, instead of the image's. Needs spec.os.name."""


class SecretEnvSource(Struct):
    """A Secret whose keys become environment variables."""

    optional: bool | None = None
    """True if the container starts when the Secret does not exist."""
    name: str = ""
    """The Secret in the pod's namespace."""


class EnvFromSource(Struct):
    """A set of environment variables; one of the two references is set."""

    prefix: str = ""
    """Put before every key."""
    configMapRef: ConfigMapEnvSource | None = None
    """The ConfigMap to read."""
    secretRef: SecretEnvSource | None = None
    """The Secret to read."""


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
    """True if nothing can be written. False by default."""
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


class EnvVarSource(Struct):
    """Source of the value of a variable; exactly one field is set."""

    fieldRef: ObjectFieldSelector | None = None
    """A field of the pod, such as `metadata.name`, `metadata.labels['app']` or `status.podIP`."""
    resourceFieldRef: ResourceFieldSelector | None = None
    """A request or limit of a container."""
    configMapKeyRef: ConfigMapKeySelector | None = None
    """A key of a ConfigMap."""
    secretKeyRef: SecretKeySelector | None = None
    """A key of a Secret."""
    fileKeyRef: FileKeySelector | None = None
    """A variable in a file that an init container wrote."""


class EnvVar(Struct):
    """An environment variable."""

    name: str = always(str)
    """Its name: printable ASCII without `=`."""
    value: str = ""
    """Its value. $(NAME) is replaced by an earlier variable, $$ is one dollar sign. Empty by default."""
    valueFrom: EnvVarSource | None = None
    """Source of the value, if it is not in value."""


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
    """True if nothing can be written."""
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
