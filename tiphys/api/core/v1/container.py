"""The core group, v1: container."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, IntOrString, MapList, Patch, Quantity, SetList, Struct, Time, always
from tiphys.api.core.v1.reference import (
    ConfigMapKeySelector,
    FileKeySelector,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)


class AppArmorProfile(Struct):
    type: str = always(str)
    localhostProfile: str | None = None


class Capabilities(Struct):
    add: Annotated[list[str], Atomic()] = []
    drop: Annotated[list[str], Atomic()] = []


class ConfigMapEnvSource(Struct):
    optional: bool | None = None
    name: str = ""


class SELinuxOptions(Struct):
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompProfile(Struct):
    type: str = always(str)
    localhostProfile: str | None = None


class WindowsSecurityContextOptions(Struct):
    gmsaCredentialSpecName: str | None = None
    gmsaCredentialSpec: str | None = None
    runAsUserName: str | None = None
    hostProcess: bool | None = None


class SecurityContext(Struct):
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    seLinuxOptions: SELinuxOptions | None = None
    windowsOptions: WindowsSecurityContextOptions | None = None
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    readOnlyRootFilesystem: bool | None = None
    allowPrivilegeEscalation: bool | None = None
    procMount: str | None = None
    seccompProfile: SeccompProfile | None = None
    appArmorProfile: AppArmorProfile | None = None


class TCPSocketAction(Struct):
    port: IntOrString | None = None
    host: str = ""


class ExecAction(Struct):
    command: Annotated[list[str], Atomic()] = []


class HTTPHeader(Struct):
    name: str = always(str)
    value: str = always(str)


class HTTPGetAction(Struct):
    path: str = ""
    port: IntOrString | None = None
    host: str = ""
    scheme: str = ""
    httpHeaders: Annotated[list[HTTPHeader], Atomic()] = []


class GRPCAction(Struct):
    port: int = always(int)
    service: str | None = None


class Probe(Struct):
    initialDelaySeconds: int = 0
    timeoutSeconds: int = 0
    periodSeconds: int = 0
    successThreshold: int = 0
    failureThreshold: int = 0
    terminationGracePeriodSeconds: int | None = None
    exec: ExecAction | None = None
    grpc: GRPCAction | None = None
    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None


class SleepAction(Struct):
    seconds: int = always(int)


class LifecycleHandler(Struct):
    exec: ExecAction | None = None
    httpGet: HTTPGetAction | None = None
    tcpSocket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Struct):
    postStart: LifecycleHandler | None = None
    preStop: LifecycleHandler | None = None
    stopSignal: str | None = None


class SecretEnvSource(Struct):
    optional: bool | None = None
    name: str = ""


class EnvFromSource(Struct):
    prefix: str = ""
    configMapRef: ConfigMapEnvSource | None = None
    secretRef: SecretEnvSource | None = None


class ContainerPort(Struct):
    name: str = ""
    hostPort: int = 0
    containerPort: int = always(int)
    protocol: str = ""
    hostIP: str = ""


class VolumeMount(Struct):
    name: str = always(str)
    readOnly: bool = False
    recursiveReadOnly: str | None = None
    mountPath: str = always(str)
    subPath: str = ""
    mountPropagation: str | None = None
    subPathExpr: str = ""


class VolumeDevice(Struct):
    name: str = always(str)
    devicePath: str = always(str)


class EnvVarSource(Struct):
    fieldRef: ObjectFieldSelector | None = None
    resourceFieldRef: ResourceFieldSelector | None = None
    configMapKeyRef: ConfigMapKeySelector | None = None
    secretKeyRef: SecretKeySelector | None = None
    fileKeyRef: FileKeySelector | None = None


class EnvVar(Struct):
    name: str = always(str)
    value: str = ""
    valueFrom: EnvVarSource | None = None


class ContainerResizePolicy(Struct):
    resourceName: str = always(str)
    restartPolicy: str = always(str)


class ContainerRestartRuleOnExitCodes(Struct):
    operator: str = ""
    values: Annotated[list[int], SetList()] = []


class ContainerRestartRule(Struct):
    action: str = ""
    exitCodes: ContainerRestartRuleOnExitCodes | None = None


class ResourceClaim(Struct):
    name: str = always(str)
    request: str = ""


class ResourceRequirements(Struct):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}
    claims: Annotated[list[ResourceClaim], MapList("name")] = []


class Container(Struct):
    name: str = always(str)
    image: str = ""
    command: Annotated[list[str], Atomic()] = []
    args: Annotated[list[str], Atomic()] = []
    workingDir: str = ""
    ports: Annotated[list[ContainerPort], MapList("containerPort", "protocol"), Patch("merge", "containerPort")] = []
    envFrom: Annotated[list[EnvFromSource], Atomic()] = []
    env: Annotated[list[EnvVar], MapList("name"), Patch("merge", "name")] = []
    resources: ResourceRequirements = always(ResourceRequirements)
    resizePolicy: Annotated[list[ContainerResizePolicy], Atomic()] = []
    restartPolicy: str | None = None
    restartPolicyRules: Annotated[list[ContainerRestartRule], Atomic()] = []
    volumeMounts: Annotated[list[VolumeMount], MapList("mountPath"), Patch("merge", "mountPath")] = []
    volumeDevices: Annotated[list[VolumeDevice], MapList("devicePath"), Patch("merge", "devicePath")] = []
    livenessProbe: Probe | None = None
    readinessProbe: Probe | None = None
    startupProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    terminationMessagePath: str = ""
    terminationMessagePolicy: str = ""
    imagePullPolicy: str = ""
    securityContext: SecurityContext | None = None
    stdin: bool = False
    stdinOnce: bool = False
    tty: bool = False


class ContainerExtendedResourceRequest(Struct):
    containerName: str = always(str)
    resourceName: str = always(str)
    requestName: str = always(str)


class ContainerStateWaiting(Struct):
    reason: str = ""
    message: str = ""


class ContainerStateRunning(Struct):
    startedAt: Time | None = None


class ContainerStateTerminated(Struct):
    exitCode: int = always(int)
    signal: int = 0
    reason: str = ""
    message: str = ""
    startedAt: Time | None = None
    finishedAt: Time | None = None
    containerID: str = ""


class ContainerState(Struct):
    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class LinuxContainerUser(Struct):
    uid: int = always(int)
    gid: int = always(int)
    supplementalGroups: Annotated[list[int], Atomic()] = []


class ContainerUser(Struct):
    linux: LinuxContainerUser | None = None


class ResourceHealth(Struct):
    resourceID: str = always(str)
    health: str = ""
    message: str | None = None


class ResourceStatus(Struct):
    name: str = always(str)
    resources: Annotated[list[ResourceHealth], MapList("resourceID")] = []


class ImageVolumeStatus(Struct):
    imageRef: str = ""


class VolumeStatus(Struct):
    image: ImageVolumeStatus | None = None


class VolumeMountStatus(Struct):
    name: str = always(str)
    mountPath: str = always(str)
    readOnly: bool = False
    recursiveReadOnly: str | None = None
    volumeStatus: VolumeStatus | None = None


class ContainerStatus(Struct):
    name: str = always(str)
    state: ContainerState = always(ContainerState)
    lastState: ContainerState = always(ContainerState)
    ready: bool = always(bool)
    restartCount: int = always(int)
    image: str = always(str)
    imageID: str = always(str)
    containerID: str = ""
    started: bool | None = None
    allocatedResources: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None
    volumeMounts: Annotated[list[VolumeMountStatus], MapList("mountPath"), Patch("merge", "mountPath")] = []
    user: ContainerUser | None = None
    allocatedResourcesStatus: Annotated[list[ResourceStatus], MapList("name"), Patch("merge", "name")] = []
    stopSignal: str | None = None


class EphemeralContainer(Struct):
    targetContainerName: str = ""
    args: Annotated[list[str], Atomic()] = []
    command: Annotated[list[str], Atomic()] = []
    env: Annotated[list[EnvVar], MapList("name"), Patch("merge", "name")] = []
    envFrom: Annotated[list[EnvFromSource], Atomic()] = []
    image: str = ""
    imagePullPolicy: str = ""
    lifecycle: Lifecycle | None = None
    livenessProbe: Probe | None = None
    name: str = always(str)
    ports: Annotated[list[ContainerPort], MapList("containerPort", "protocol"), Patch("merge", "containerPort")] = []
    readinessProbe: Probe | None = None
    resizePolicy: Annotated[list[ContainerResizePolicy], Atomic()] = []
    resources: ResourceRequirements = always(ResourceRequirements)
    restartPolicy: str | None = None
    restartPolicyRules: Annotated[list[ContainerRestartRule], Atomic()] = []
    securityContext: SecurityContext | None = None
    startupProbe: Probe | None = None
    stdin: bool = False
    stdinOnce: bool = False
    terminationMessagePath: str = ""
    terminationMessagePolicy: str = ""
    tty: bool = False
    volumeDevices: Annotated[list[VolumeDevice], MapList("devicePath"), Patch("merge", "devicePath")] = []
    volumeMounts: Annotated[list[VolumeMount], MapList("mountPath"), Patch("merge", "mountPath")] = []
    workingDir: str = ""
