"""The table of pods: one word that sums up the state of all containers."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from tiphys.api.core.v1 import ContainerStateTerminated, ContainerStatus, Pod
from tiphys.api.machinery.columns import AGE, NAME, NONE, cell, since
from tiphys.api.machinery.conditions import is_true
from tiphys.api.machinery.scheme import Column


class Summary(NamedTuple):
    """Cells of the columns Ready, Status and Restarts."""

    ready: int
    total: int
    reason: str
    restarts: int
    last_restart: datetime | None


class _Restarts:
    """Restarts counted, and when the last of them happened."""

    def __init__(self) -> None:
        self.count = 0
        self.last: datetime | None = None

    def add(self, status: ContainerStatus) -> None:
        self.count += status.restartCount
        ended = status.lastState.terminated
        finished = ended.finishedAt if ended is not None else None
        if finished is not None and (self.last is None or self.last < finished):
            self.last = finished


def summarize(pod: Pod) -> Summary:
    """The state of a pod in one word, and its counts, by the rules of `kubectl get pods`."""
    status = pod.status
    reason = status.reason or status.phase
    if any(c.type == "PodScheduled" and c.reason == "SchedulingGated" for c in status.conditions):
        reason = "SchedulingGated"
    sidecars = {c.name for c in pod.spec.initContainers if c.restartPolicy == "Always"}
    total = len(pod.spec.containers) + len(sidecars)
    blocked, ready, restarts, sidecar_restarts = _initialization(pod, sidecars)
    if not blocked or is_true(status.conditions, "Initialized"):
        restarts = sidecar_restarts
        message, running = _containers(status.containerStatuses, restarts)
        ready += running
        reason = _settled(pod, message or blocked or reason, running)
    else:
        reason = blocked
    if pod.metadata.deletionTimestamp is not None:
        if status.reason == "NodeLost":
            reason = "Unknown"
        elif status.phase not in ("Failed", "Succeeded"):
            reason = "Terminating"
    return Summary(ready, total, reason, restarts.count, restarts.last)


def _initialization(pod: Pod, sidecars: set[str]) -> tuple[str, int, _Restarts, _Restarts]:
    """Return the reason that holds initialization up (or ""), the sidecars that are ready, and restarts of all and of sidecars alone."""
    ready, restarts, sidecar_restarts = 0, _Restarts(), _Restarts()
    for index, status in enumerate(pod.status.initContainerStatuses):
        restarts.add(status)
        sidecar = status.name in sidecars
        if sidecar:
            sidecar_restarts.add(status)
        ended, waiting = status.state.terminated, status.state.waiting
        if ended is not None and ended.exitCode == 0:
            continue
        if sidecar and status.started:
            ready += status.ready
            continue
        if ended is not None:
            return f"Init:{_ended(ended)}", ready, restarts, sidecar_restarts
        if waiting is not None and waiting.reason not in ("", "PodInitializing"):
            return f"Init:{waiting.reason}", ready, restarts, sidecar_restarts
        return f"Init:{index}/{len(pod.spec.initContainers)}", ready, restarts, sidecar_restarts
    return "", ready, restarts, sidecar_restarts


def _ended(state: ContainerStateTerminated) -> str:
    return state.reason or (f"Signal:{state.signal}" if state.signal else f"ExitCode:{state.exitCode}")


def _containers(statuses: list[ContainerStatus], restarts: _Restarts) -> tuple[str, int]:
    """Return the reason of the first container that has one, and the number of ready containers."""
    reason, error, ready = "", "", 0
    for status in reversed(statuses):
        restarts.add(status)
        waiting, ended = status.state.waiting, status.state.terminated
        if waiting is not None and waiting.reason:
            reason = waiting.reason
        elif ended is not None:
            reason = _ended(ended)
            if ended.exitCode != 0:
                error = reason
        elif status.ready and status.state.running is not None:
            ready += 1
    if reason == "Completed" and not ready and error:
        reason = error
    return reason, ready


def _settled(pod: Pod, reason: str, running: int) -> str:
    """A pod of which some containers are done and others run is running."""
    if reason != "Completed" or not running:
        return reason
    if is_true(pod.status.conditions, "Ready"):
        return "Running"
    for status in pod.status.containerStatuses:
        if status.state.terminated is not None and status.state.terminated.exitCode != 0:
            return _ended(status.state.terminated)
    return "NotReady"


def _restarts(pod: Pod, now: datetime) -> str:
    summary = summarize(pod)
    if summary.restarts and summary.last_restart is not None:
        return f"{summary.restarts} ({since(summary.last_restart, now)} ago)"
    return str(summary.restarts)


def _ready(pod: Pod) -> str:
    summary = summarize(pod)
    return f"{summary.ready}/{summary.total}"


def _gates(pod: Pod) -> str:
    gates = pod.spec.readinessGates
    if not gates:
        return NONE
    held = {condition.type for condition in pod.status.conditions if condition.status == "True"}
    return f"{sum(gate.conditionType in held for gate in gates)}/{len(gates)}"


COLUMNS = (
    NAME,
    Column("Ready", cell(_ready), description="How many containers of the pod are ready, of how many."),
    Column("Status", cell(lambda pod: summarize(pod).reason), description="The state of the pod's containers in one word."),
    Column("Restarts", _restarts, description="How often containers of the pod were restarted, and when last."),
    AGE,
    Column("IP", cell(lambda pod: pod.status.podIPs[0].ip if pod.status.podIPs else NONE), priority=1, description="The pod's address."),
    Column("Node", cell(lambda pod: pod.spec.nodeName or NONE), priority=1, description="The node that runs the pod."),
    Column(
        "Nominated Node",
        cell(lambda pod: pod.status.nominatedNodeName or NONE),
        priority=1,
        description="The node on which other pods make room for this one.",
    ),
    Column("Readiness Gates", cell(_gates), priority=1, description="How many readiness gates are open, of how many."),
)
