"""The mirror pods of parts and of static pods: their manifests and statuses. Pure.

See "Static Pods" in the Kubernetes documentation, and KEP-1314 for the reference to the Node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import qos_class
from tiphys.api.machinery import base, ordered
from tiphys.api.meta.v1 import ObjectMeta, OwnerReference
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.node.mirror.part import Part, Run
from tiphys.node.static.annotations import CONFIG_HASH, CONFIG_SEEN, CONFIG_SOURCE

_encode = ordered.encoder("deterministic")

NAMESPACE = "kube-system"
_UNKNOWN_EXIT = 137
"""Exit code of a run whose end nobody saw; the reason is then ContainerStatusUnknown."""


def is_mirror(pod: core.Pod) -> bool:
    """True if a pod shows something that runs without the API server's doing."""
    return CONFIG_MIRROR in pod.metadata.annotations


def pod_name(part: Part, node: str) -> str:
    """The pod's name on a node."""
    return f"{part.name}-{node}"


def mirror_pod(part: Part, node: core.Node, version: str, now: datetime) -> core.Pod:
    """The pod to create. It has no requests, volumes, probes or service account: nothing of it is ever started."""
    name = node.metadata.name
    labels = {"component": part.name, "tier": part.tier}
    container = core.Container(name=part.name, image=f"tiphys.local/tiphys:{version}", imagePullPolicy="Never", command=list(part.command))
    spec = core.PodSpec(
        nodeName=name,
        hostNetwork=True,
        priorityClassName="system-node-critical",
        tolerations=[core.Toleration(operator="Exists", effect="NoExecute")],
        containers=[container],
    )
    hash_ = hashlib.sha256(_encode((labels, spec))).hexdigest()[:32]
    meta = ObjectMeta(
        name=pod_name(part, name),
        namespace=NAMESPACE,
        labels=labels,
        annotations={CONFIG_MIRROR: hash_, CONFIG_HASH: hash_, CONFIG_SOURCE: "file", CONFIG_SEEN: f"{now:%Y-%m-%dT%H:%M:%SZ}"},
        ownerReferences=[_owner(node)],
    )
    return core.Pod(metadata=meta, spec=spec)


def static_mirror(pod: core.Pod, node: core.Node) -> core.Pod:
    """The pod to create for a static pod. Its priority is left to the API server, which knows the classes."""
    meta = ObjectMeta(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        labels=pod.metadata.labels,
        annotations={**pod.metadata.annotations, CONFIG_MIRROR: pod.metadata.uid},
        ownerReferences=[_owner(node)],
    )
    return core.Pod(metadata=meta, spec=msgspec.structs.replace(pod.spec, priority=None))


def _owner(node: core.Node) -> OwnerReference:
    return OwnerReference(apiVersion="v1", kind="Node", name=node.metadata.name, uid=node.metadata.uid, controller=True)


def translated(status: core.PodStatus, mirror: core.Pod) -> core.PodStatus:
    """The status of a static pod as its mirror pod shows it: the generations are those of the mirror pod."""
    generation = mirror.metadata.generation
    conditions = [msgspec.structs.replace(condition, observedGeneration=generation) for condition in status.conditions]
    return msgspec.structs.replace(status, observedGeneration=generation, conditions=conditions)


def history(mirror: core.Pod | None, uid: str) -> core.PodStatus:
    """The status with which a static pod begins after a restart of the kubelet: start, former ends and conditions of its mirror pod.

    Whoever may write the status of pods could change a phase, so that is worked out anew.
    """
    if mirror is None or mirror.metadata.annotations.get(CONFIG_MIRROR) != uid:
        return core.PodStatus(phase="Pending")
    return msgspec.structs.replace(mirror.status, phase="Pending", reason="", message="")


def is_mirror_of(pod: core.Pod, manifest: core.Pod) -> bool:
    """True if a pod of the API equals the manifest, on behalf of the same Node object."""
    mine, theirs = manifest.metadata, pod.metadata
    owners = [owner.uid for owner in theirs.ownerReferences]
    return theirs.annotations.get(CONFIG_MIRROR) == mine.annotations[CONFIG_MIRROR] and owners == [mine.ownerReferences[0].uid]


def mirror_status(pod: core.Pod, run: Run, addresses: Sequence[str]) -> core.PodStatus:
    """The status to publish. Every moment in it comes from the run, so that an unchanged run gives an unchanged status."""
    old = next(iter(pod.status.containerStatuses), core.ContainerStatus())
    container = pod.spec.containers[0]
    up = run.pid != 0
    status = core.ContainerStatus(
        name=container.name,
        image=container.image,
        containerID=f"process://{run.pid}" if up else old.containerID,
        restartCount=run.restarts,
        ready=up,
        started=up,
        lastState=_last_state(run, old),
    )
    if up:
        status.state = core.ContainerState(running=core.ContainerStateRunning(startedAt=_moment(run.started)))
    else:
        message = f"{container.name} is down and will be started again"
        status.state = core.ContainerState(waiting=core.ContainerStateWaiting(reason="CrashLoopBackOff", message=message))
    return core.PodStatus(
        observedGeneration=pod.metadata.generation,
        phase="Running",
        startTime=pod.status.startTime or _moment(run.started),
        qosClass=qos_class(pod),
        hostIP=addresses[0],
        hostIPs=[core.HostIP(ip=ip) for ip in addresses],
        podIP=addresses[0],
        podIPs=[core.PodIP(ip=ip) for ip in addresses],
        containerStatuses=[status],
        conditions=_conditions(pod, run),
    )


def _last_state(run: Run, old: core.ContainerStatus) -> core.ContainerState:
    if not run.last_ended:
        return core.ContainerState()
    finished = _moment(run.last_ended)
    before = old.lastState.terminated
    known = before is not None and before.finishedAt == finished
    if known:
        started = before.startedAt if before is not None else None
    else:
        started = old.state.running.startedAt if old.state.running is not None else None
    code = run.last_exit
    if code is None:
        reason = "ContainerStatusUnknown"
    else:
        reason = "Completed" if code == 0 else "Error"
    ended = core.ContainerStateTerminated(
        exitCode=_UNKNOWN_EXIT if code is None else code, reason=reason, startedAt=started, finishedAt=finished
    )
    return core.ContainerState(terminated=ended)


def _conditions(pod: core.Pod, run: Run) -> list[core.PodCondition]:
    up = run.pid != 0
    since = _moment(run.started if up else run.last_ended)
    first = pod.status.startTime or _moment(run.started)
    reason, message = ("", "") if up else ("ContainersNotReady", f"containers with unready status: [{pod.spec.containers[0].name}]")
    conditions = [
        core.PodCondition(type=type_, status="True", lastTransitionTime=first)
        for type_ in ("PodReadyToStartContainers", "Initialized", "PodScheduled")
    ]
    conditions += [
        core.PodCondition(type=type_, status="True" if up else "False", reason=reason, message=message, lastTransitionTime=since)
        for type_ in ("Ready", "ContainersReady")
    ]
    for condition in conditions:
        condition.observedGeneration = pod.metadata.generation
    return conditions


def _moment(seconds: int) -> datetime | None:
    return base.time(datetime.fromtimestamp(seconds, UTC)) if seconds else None
