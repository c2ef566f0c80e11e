"""The status of a pod as the API shows it, from what was observed. Pure.

The phases, conditions and waiting reasons are those of "Pod Lifecycle" in the Kubernetes documentation; clients match on them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET
from tiphys.api.helpers.resources import is_sidecar, qos_class
from tiphys.api.machinery import base
from tiphys.node import names
from tiphys.node.pod.observed import Observed, SeenContainer
from tiphys.node.pod.plan import AnyContainer, Verdicts, find_container, restarts

RESIZE_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
"""Conditions that are there only while there is something to say."""
OWNED_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", *RESIZE_CONDITIONS)
"""Conditions that the kubelet writes; all others belong to somebody else and are carried over."""
BY_KUBELET = "TerminationByKubelet"
"""The reason of a disruption that the kubelet caused; others may announce one, too ("Pod disruption conditions")."""

_OVER = ("Succeeded", "Failed")


def is_owned(condition: core.PodCondition) -> bool:
    """True if the kubelet wrote a condition."""
    return condition.type in OWNED_CONDITIONS or (condition.type == DISRUPTION_TARGET and condition.reason == BY_KUBELET)


class Waiting(msgspec.Struct, frozen=True):
    """Reason for which a container is not running, with a sentence."""

    reason: str
    message: str = ""


class Facts(msgspec.Struct, frozen=True):
    """All that a status is made from, besides the pod and the moment."""

    seen: Observed
    verdicts: Mapping[str, Verdicts] = {}
    """By container id."""
    waiting: Mapping[str, Waiting] = {}
    """By container name: why it could not be started last time, or that it is backing off."""
    starting: Collection[str] = ()
    """Ids of containers whose start is under way, postStart hook included: they are not shown as running before it has succeeded
    ("Container Lifecycle Hooks")."""
    host_ips: Sequence[str] = ()
    failed: Waiting | None = None
    """The pod as a whole was given up: its reason and message (DeadlineExceeded, Evicted)."""
    disruption: str = ""
    """For whom the pod was given up, if it was for others."""
    rejected: bool = False
    """The node did not take the pod: there is nothing to say about its containers."""
    over: bool = False
    """Nothing runs and nothing will: the phase may become final."""
    adopted: Mapping[str, core.ContainerStatus] = {}
    """By container id: the API's status of containers that ran before the kubelet started."""
    applied: Mapping[str, core.ResourceRequirements] = {}
    """By container id: the resources that are in force, where they may differ from those that are allocated."""
    health: Mapping[str, list[core.ResourceStatus]] = {}
    """By container name: the health of the devices that were assigned to it (KEP-4680)."""
    recursive_read_only: bool = False
    """True if the runtime can make the pod's mounts read-only all the way down."""
    resize: Sequence[core.PodCondition] = ()
    """Conditions of a change of resources."""


def pod_status(pod: core.Pod, facts: Facts, now: datetime) -> core.PodStatus:
    """The status to publish. The pod's own `.status` is the one last published, from which history is carried over."""
    old = pod.status
    facts = msgspec.structs.replace(facts, seen=facts.seen.without(facts.starting))
    mains = [_container_status(pod, container, facts, old.containerStatuses) for container in pod.spec.containers]
    inits = [_container_status(pod, container, facts, old.initContainerStatuses) for container in pod.spec.initContainers]
    ephemerals = [_container_status(pod, container, facts, old.ephemeralContainerStatuses) for container in pod.spec.ephemeralContainers]
    for main in mains:
        main.allocatedResourcesStatus = facts.health.get(main.name, [])
    phase = _phase(pod, mains, inits, facts)
    if facts.over and phase not in _OVER:
        phase = _final_phase(mains)
    status = core.PodStatus(
        observedGeneration=pod.metadata.generation,
        phase=phase,
        message=facts.failed.message if facts.failed else (old.message if old.phase in _OVER else ""),
        reason=facts.failed.reason if facts.failed else (old.reason if old.phase in _OVER else ""),
        nominatedNodeName=old.nominatedNodeName,
        startTime=old.startTime or base.time(now),
        qosClass=old.qosClass or qos_class(pod),
        containerStatuses=mains,
        initContainerStatuses=inits,
        ephemeralContainerStatuses=ephemerals,
        resourceClaimStatuses=old.resourceClaimStatuses,
    )
    if pod.spec.resources is not None:
        status.resources, status.allocatedResources = pod.spec.resources, pod.spec.resources.requests
    _addresses(pod, facts, status)
    _conditions(pod, facts, status, now)
    if facts.over and not facts.rejected:
        _settle(pod, status)
    if facts.rejected or (old.phase in _OVER and not old.containerStatuses and facts.seen.empty):
        # The second is how a kubelet that started later finds a rejected pod.
        status.containerStatuses, status.initContainerStatuses, status.ephemeralContainerStatuses = [], [], []
    return status


# -- containers


def _when(seconds: float) -> datetime | None:
    return base.time(datetime.fromtimestamp(seconds, UTC)) if seconds else None


def _terminated(seen: SeenContainer) -> core.ContainerStateTerminated:
    reason = seen.reason or ("Completed" if seen.exit_code == 0 else "Error")
    return core.ContainerStateTerminated(
        exitCode=seen.exit_code if seen.state == "exited" else 137,
        reason=reason if seen.state == "exited" else "ContainerStatusUnknown",
        message=seen.message,
        startedAt=_when(seen.started) or _when(seen.created),
        finishedAt=_when(seen.finished) or _when(seen.created),
        containerID=f"containerd://{seen.id}",
    )


def _container_status(
    pod: core.Pod, container: AnyContainer, facts: Facts, old_statuses: Sequence[core.ContainerStatus]
) -> core.ContainerStatus:
    old = next((status for status in old_statuses if status.name == container.name), None)
    all_seen = [one for one in facts.seen.all_of(container.name) if one.state != "created"]
    seen = all_seen[0] if all_seen else None
    if seen is None:
        return _never_seen(pod, container, facts, old)
    status = core.ContainerStatus(
        name=container.name,
        image=seen.image or container.image,
        imageID=seen.image_ref,
        containerID=f"containerd://{seen.id}",
        restartCount=seen.attempt,
        volumeMounts=_mounts(container, facts),
        user=_user(seen),
    )
    # Always there for what runs: it says that the node can resize.
    force = facts.applied.get(seen.id, container.resources) if seen.state == "running" else container.resources
    status.resources = core.ResourceRequirements(limits=force.limits, requests=force.requests)
    status.allocatedResources = container.resources.requests
    previous = next((one for one in all_seen[1:] if one.state == "exited"), None)
    if previous is not None:
        status.lastState = core.ContainerState(terminated=_terminated(previous))
    elif old is not None:
        ended = old.state.terminated
        same = old.containerID == status.containerID
        status.lastState = core.ContainerState(terminated=ended) if ended is not None and not same else old.lastState
    waiting = facts.waiting.get(container.name)
    if seen.state == "running":
        status.state = core.ContainerState(running=core.ContainerStateRunning(startedAt=_when(seen.started)))
    elif waiting is not None and not facts.over:
        status.state = core.ContainerState(waiting=core.ContainerStateWaiting(reason=waiting.reason, message=waiting.message))
        status.lastState = core.ContainerState(terminated=_terminated(seen))
    else:
        status.state = core.ContainerState(terminated=_terminated(seen))
    _readiness(pod, container, seen, facts, status)
    return status


def _never_seen(pod: core.Pod, container: AnyContainer, facts: Facts, old: core.ContainerStatus | None) -> core.ContainerStatus:
    if old is not None and (old.state.terminated is not None or (facts.over and old.state.running is not None)):
        kept = msgspec.structs.replace(old, ready=old.ready and _is_init(pod, container), started=False)
        if old.state.terminated is None:
            kept.state = _lost()
        return kept
    reason = names.POD_INITIALIZING if pod.spec.initContainers else names.CONTAINER_CREATING
    waiting = facts.waiting.get(container.name) or Waiting(reason)
    status = core.ContainerStatus(
        name=container.name,
        image=container.image,
        started=False,
        state=core.ContainerState(waiting=core.ContainerStateWaiting(reason=waiting.reason, message=waiting.message)),
        volumeMounts=_mounts(container, facts),
    )
    if old is not None:
        status.restartCount = old.restartCount
        status.lastState = old.lastState
    return status


def _lost() -> core.ContainerState:
    """The state of a container that ended, or never was, without anybody seeing it: an error, since it may have done anything."""
    message = "The container could not be located when the pod was terminated"
    return core.ContainerState(terminated=core.ContainerStateTerminated(exitCode=137, reason="ContainerStatusUnknown", message=message))


def _settle(pod: core.Pod, status: core.PodStatus) -> None:
    """Give containers of a pod that is over a final state: those that may have been started, had the pod gone on, ended in error.

    Containers that wait for an init container which has not succeeded stay waiting, as evidence that they never ran.
    """
    inits = status.initContainerStatuses
    begun = max((index + 1 for index, one in enumerate(inits) if _has_run(one)), default=1)
    ended = status.containerStatuses if _has_initialized(pod, status) else []
    for one in (*inits[:begun], *ended):
        if one.state.terminated is None:
            one.state = _lost()


def _has_run(status: core.ContainerStatus) -> bool:
    return status.state.waiting is None or status.lastState.terminated is not None


def _has_initialized(pod: core.Pod, status: core.PodStatus) -> bool:
    """True if all init containers had done their part, so that the others may have been started."""
    if not pod.spec.initContainers or any(_has_run(one) for one in status.containerStatuses):
        return True
    last = status.initContainerStatuses[-1]
    if is_sidecar(pod.spec.initContainers[-1]):
        before = pod.status.initContainerStatuses[-1:]
        return any(one.state.running is not None and bool(one.started) for one in before)
    return any(end is not None and end.exitCode == 0 for end in (last.state.terminated, last.lastState.terminated))


def _mounts(container: AnyContainer, facts: Facts) -> list[core.VolumeMountStatus]:
    return [
        core.VolumeMountStatus(
            name=mount.name,
            mountPath=mount.mountPath,
            readOnly=mount.readOnly,
            recursiveReadOnly=_recursion(mount, facts) if mount.readOnly else None,
        )
        for mount in container.volumeMounts
    ]


def _user(seen: SeenContainer) -> core.ContainerUser | None:
    if seen.user is None:
        return None
    linux = core.LinuxContainerUser(uid=seen.user.uid, gid=seen.user.gid, supplementalGroups=list(seen.user.groups))
    return core.ContainerUser(linux=linux)


def _recursion(mount: core.VolumeMount, facts: Facts) -> str:
    return "Enabled" if facts.recursive_read_only and mount.recursiveReadOnly in ("Enabled", "IfPossible") else "Disabled"


def _is_init(pod: core.Pod, container: AnyContainer) -> bool:
    return any(one.name == container.name for one in pod.spec.initContainers)


def _readiness(pod: core.Pod, container: AnyContainer, seen: SeenContainer, facts: Facts, status: core.ContainerStatus) -> None:
    if isinstance(container, core.EphemeralContainer):
        status.ready = False
        return
    init = _is_init(pod, container)
    if seen.state != "running":
        status.started = False
        status.ready = init and not is_sidecar(container) and seen.state == "exited" and seen.exit_code == 0
        return
    verdict = facts.verdicts.get(seen.id, Verdicts())
    before = facts.adopted.get(seen.id)
    if container.startupProbe is None:
        status.started = True
    elif verdict.startup is None and before is not None:
        status.started = bool(before.started)
    else:
        status.started = verdict.startup is True
    if not status.started or (init and not is_sidecar(container)):
        status.ready = False
    elif container.readinessProbe is None:
        status.ready = True
    elif verdict.readiness is None and before is not None:
        status.ready = before.ready
    else:
        status.ready = verdict.readiness is True


# -- the phase


def _final_phase(mains: Sequence[core.ContainerStatus]) -> str:
    ends = [status.state.terminated for status in mains]
    return "Succeeded" if all(end is not None and end.exitCode == 0 for end in ends) else "Failed"


def _ended(status: core.ContainerStatus) -> core.ContainerStateTerminated | None:
    """Return how a container ended last: now, or before the restart that it waits for."""
    if status.state.waiting is not None:
        return status.lastState.terminated
    return status.state.terminated


def _phase(pod: core.Pod, mains: Sequence[core.ContainerStatus], inits: Sequence[core.ContainerStatus], facts: Facts) -> str:
    if pod.status.phase in _OVER:
        return pod.status.phase
    if facts.failed is not None and facts.over:
        return "Failed"
    begun = any(status.containerID or status.lastState.terminated for status in mains)
    for container, status in zip(pod.spec.initContainers, inits, strict=True):
        ended = _ended(status)
        if is_sidecar(container):
            if not begun and ended is None and not status.started:
                return "Pending"
            continue
        if ended is not None and ended.exitCode != 0 and pod.spec.restartPolicy == "Never" and not restarts(pod, container, ended.exitCode):
            return "Failed"
        if not begun and (ended is None or ended.exitCode != 0):
            return "Pending"
    waiting = sum(1 for status in mains if status.state.running is None and _ended(status) is None)
    running = sum(1 for status in mains if status.state.running is not None)
    if waiting:
        return "Pending"
    if running:
        return "Running"
    final = all(_stays_down(pod, status) for status in mains)
    if not final or not facts.over:
        # Ended containers that come back count as a running pod, and so does a pod whose sidecars still have to stop.
        return "Running"
    return _final_phase(mains)


def _stays_down(pod: core.Pod, status: core.ContainerStatus) -> bool:
    container = find_container(pod, status.name)
    ended = _ended(status)
    return container is not None and ended is not None and not restarts(pod, container, ended.exitCode)


# -- addresses and conditions


def _addresses(pod: core.Pod, facts: Facts, status: core.PodStatus) -> None:
    if facts.host_ips:
        status.hostIP = facts.host_ips[0]
        status.hostIPs = [core.HostIP(ip=ip) for ip in facts.host_ips]
    box = facts.seen.sandbox
    ips: Sequence[str] = ()
    if pod.spec.hostNetwork:
        ips = facts.host_ips if box is not None or pod.status.podIPs else ()
    elif box is not None and box.ips:
        ips = box.ips
    elif status.phase in _OVER or pod.metadata.deletionTimestamp is not None:
        ips = [one.ip for one in pod.status.podIPs]
    if ips:
        status.podIP = ips[0]
        status.podIPs = [core.PodIP(ip=ip) for ip in ips]


def _named(items: Sequence[str]) -> str:
    return f"[{' '.join(items)}]"


def _unready(pod: core.Pod, status: core.PodStatus) -> str:
    """The sentence about containers that are not ready, or ""."""
    by_name = {one.name: one for one in (*status.initContainerStatuses, *status.containerStatuses)}
    names = [one.name for one in pod.spec.initContainers if is_sidecar(one)] + [one.name for one in pod.spec.containers]
    unready = [name for name in names if not by_name[name].ready]
    return f"containers with unready status: {_named(unready)}" if unready else ""


def _uninitialized(pod: core.Pod, status: core.PodStatus) -> str:
    if any(one.state.running or one.state.terminated or one.lastState.terminated for one in status.containerStatuses):
        return ""
    missing = []
    for container, one in zip(pod.spec.initContainers, status.initContainerStatuses, strict=True):
        if not (one.started if is_sidecar(container) else one.ready):
            missing.append(container.name)
    return f"containers with incomplete status: {_named(missing)}" if missing else ""


def _conditions(pod: core.Pod, facts: Facts, status: core.PodStatus, now: datetime) -> None:
    box = facts.seen.sandbox
    conditions = {
        "PodReadyToStartContainers": ("True", "", "") if box is not None and box.ready else ("False", "", ""),
        "Initialized": _initialized_condition(pod, status),
        "Ready": ("True", "", ""),
        "ContainersReady": _containers_ready(pod, status),
        "PodScheduled": ("True", "", ""),
    }
    conditions["Ready"] = _ready_condition(pod, conditions["ContainersReady"])
    if facts.disruption and facts.over:
        conditions[DISRUPTION_TARGET] = ("True", BY_KUBELET, facts.disruption)
    old = {condition.type: condition for condition in pod.status.conditions}
    for type_, (value, reason, message) in conditions.items():
        before = old.pop(type_, None)
        since = before.lastTransitionTime if before is not None and before.status == value else None
        condition = core.PodCondition(
            type=type_,
            observedGeneration=pod.metadata.generation,
            status=value,
            reason=reason,
            message=message,
            lastTransitionTime=since or base.time(now),
        )
        status.conditions.append(condition)
    for resizing in facts.resize:
        before = old.get(resizing.type)
        since = before.lastTransitionTime if before is not None and before.reason == resizing.reason else None
        status.conditions.append(msgspec.structs.replace(resizing, lastTransitionTime=since or base.time(now)))
    for type_ in RESIZE_CONDITIONS:
        old.pop(type_, None)
    status.conditions.extend(old.values())


def _initialized_condition(pod: core.Pod, status: core.PodStatus) -> tuple[str, str, str]:
    if status.phase == "Succeeded":
        return "True", "PodCompleted", ""
    missing = _uninitialized(pod, status)
    return ("False", "ContainersNotInitialized", missing) if missing else ("True", "", "")


def _containers_ready(pod: core.Pod, status: core.PodStatus) -> tuple[str, str, str]:
    if status.phase == "Succeeded":
        return "False", "PodCompleted", ""
    if status.phase == "Failed":
        return "False", "PodFailed", ""
    message = _unready(pod, status)
    return ("False", "ContainersNotReady", message) if message else ("True", "", "")


def _ready_condition(pod: core.Pod, containers: tuple[str, str, str]) -> tuple[str, str, str]:
    if containers[0] != "True":
        return containers
    messages: list[str] = []
    for gate in pod.spec.readinessGates:
        condition = next((one for one in pod.status.conditions if one.type == gate.conditionType), None)
        if condition is None:
            messages.append(f'corresponding condition of pod readiness gate "{gate.conditionType}" does not exist.')
        elif condition.status != "True":
            messages.append(f'the status of pod readiness gate "{gate.conditionType}" is not "True", but {condition.status}')
    return ("False", "ReadinessGatesNotReady", ", ".join(messages)) if messages else ("True", "", "")
