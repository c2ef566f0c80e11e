"""Next step of a DaemonSet, as data ("DaemonSet", "Perform a Rolling Update on a DaemonSet"). Pure.

Each node that fits has one pod. A rolling update replaces pods of former templates: by deleting them first, as many as maxUnavailable
allows, or, with maxSurge, by letting the new pod become available beside the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.helpers import pods as pod_state
from tiphys.controllers.daemonset.placement import Fit, is_updated, target_node
from tiphys.controllers.shared.availability import next_available
from tiphys.controllers.shared.scaled import scaled
from tiphys.controllers.shared.slim import SlimPod

BURST = 250
"""Maximum number of pods that one step creates, and deletes."""

Cause = Literal["", "failed", "succeeded"]


class Removal(NamedTuple):
    """Pod to delete, its node, and its end as the cause, if that is the cause."""

    pod: SlimPod
    node: str
    cause: Cause = ""
    unchanged: bool = False
    """True to delete it only as it is known here: it goes because it is not available, and may have become so."""


@dataclass(slots=True)
class Plan:
    """Next step of a DaemonSet."""

    create: list[str] = field(default_factory=list)
    """Nodes that get a pod."""
    delete: list[Removal] = field(default_factory=list)
    """Pods that do not belong where they are, or have ended."""
    replace: list[Removal] = field(default_factory=list)
    """Pods that a rolling update deletes: only while pods can be created."""
    after: float | None = None
    """Seconds until time alone changes the plan."""


class Observation(NamedTuple):
    """State that a plan starts from."""

    fits: Mapping[str, Fit]
    """Every node's relation to the DaemonSet."""
    pods: Mapping[str, Sequence[SlimPod]]
    """Pods of the DaemonSet by the node that they are on or made for."""
    deleted: Collection[str]
    """Uids of pods that were deleted and do not show it yet."""
    revision: str
    """Hash of the current template."""
    generation: str
    """Number of the current template, "" when it has none."""
    now: datetime

    def is_new(self, pod: SlimPod) -> bool:
        """Return whether a pod is of the current template."""
        return is_updated(pod.metadata.labels, self.revision, self.generation)

    def is_going(self, pod: SlimPod) -> bool:
        """Return whether a pod is being deleted."""
        return pod.metadata.deletionTimestamp is not None or pod.metadata.uid in self.deleted


def by_node(pods: Iterable[SlimPod], deleted: Collection[str] = ()) -> dict[str, list[SlimPod]]:
    """Group pods by node. Those that have ended and are being deleted are left out: their node has room again."""
    nodes: dict[str, list[SlimPod]] = {}
    for pod in pods:
        going = pod.metadata.deletionTimestamp is not None or pod.metadata.uid in deleted
        node = target_node(pod)
        if node and not (going and pod_state.is_finished(pod)):
            nodes.setdefault(node, []).append(pod)
    return nodes


def plan(daemon_set: apps.DaemonSet, seen: Observation, wait: Callable[[str], float]) -> Plan:
    """Plan the next step; `wait` returns the seconds until a failed pod on a node may be replaced."""
    step = Plan()
    surge = allows_surge(daemon_set)
    nodes = [_look(step, daemon_set, seen, name, fit, wait) for name, fit in seen.fits.items()]
    for node in nodes:
        _manage(step, node, surge=surge)
    for name, pods in seen.pods.items():
        if name not in seen.fits:
            # Nobody else deletes a pod that is not bound and whose node is gone.
            step.delete += [Removal(pod, name) for pod in pods if not pod.spec.nodeName and not seen.is_going(pod)]
    if is_rolling(daemon_set):
        roll = _surge if surge else _roll
        roll(step, nodes, *bounds(daemon_set, sum(fit is Fit.RUN for fit in seen.fits.values())))
    _trim(step)
    _note_time(step, daemon_set, nodes, seen.now)
    return step


def is_rolling(daemon_set: apps.DaemonSet) -> bool:
    """Return whether pods of former templates are replaced without being asked to."""
    return daemon_set.spec.updateStrategy.type != "OnDelete"


def bounds(daemon_set: apps.DaemonSet, desired: int) -> tuple[int, int]:
    """Return maxSurge and maxUnavailable in nodes, both rounded up; never both zero, since nothing could move then."""
    rolling = daemon_set.spec.updateStrategy.rollingUpdate
    if rolling is None:
        return 0, 0
    surge = scaled(rolling.maxSurge, desired, up=True)
    unavailable = scaled(rolling.maxUnavailable, desired, up=True)
    return surge, 1 if desired and surge == unavailable == 0 else unavailable


def allows_surge(daemon_set: apps.DaemonSet) -> bool:
    """Return whether a node may have an old and a new pod at once."""
    rolling = daemon_set.spec.updateStrategy.rollingUpdate
    return is_rolling(daemon_set) and rolling is not None and scaled(rolling.maxSurge, 1, up=True) > 0


@dataclass(slots=True)
class _Node:
    """A node and the pods of the DaemonSet on it that neither have ended nor are being deleted, the oldest first."""

    name: str
    fit: Fit
    occupied: bool = False
    """True if a pod that is being deleted still takes the place."""
    waiting: bool = False
    """True if a pod has failed and is not replaced yet."""
    new: list[SlimPod] = field(default_factory=list)
    """Pods of the current template."""
    old: list[SlimPod] = field(default_factory=list)
    """Those of former templates."""
    available: set[str] = field(default_factory=set)
    """Uids of the available ones."""

    def is_available(self, pod: SlimPod) -> bool:
        """Return whether one of these pods is available."""
        return pod.metadata.uid in self.available

    def removal(self, pod: SlimPod) -> Removal:
        """Return the removal of one of these pods."""
        return Removal(pod, self.name, unchanged=not self.is_available(pod))


def seniority(pod: SlimPod) -> tuple[bool, float, str]:
    """Return a sort key: pods with a node come first, then older ones."""
    created = pod.metadata.creationTimestamp
    return (not pod.spec.nodeName, created.timestamp() if created is not None else float("inf"), pod.metadata.name)


def _look(step: Plan, daemon_set: apps.DaemonSet, seen: Observation, name: str, fit: Fit, wait: Callable[[str], float]) -> _Node:
    """Sort out the pods on a node; those that have ended or may not be there are deleted."""
    node = _Node(name, fit)
    pods = seen.pods.get(name, ())
    for pod in sorted(pods, key=seniority) if len(pods) > 1 else pods:
        if seen.is_going(pod):
            node.occupied = True
        elif fit is Fit.NO:
            step.delete.append(Removal(pod, name))
        elif pod.status.phase == "Succeeded":
            step.delete.append(Removal(pod, name, "succeeded"))
        else:
            is_new = seen.is_new(pod)
            if pod.status.phase != "Failed":
                (node.new if is_new else node.old).append(pod)
                if pod_state.is_available(pod, daemon_set.spec.minReadySeconds, seen.now):
                    node.available.add(pod.metadata.uid)
            # A new template may mend what made the old pod fail.
            elif (is_new or not is_rolling(daemon_set)) and (seconds := wait(name)):
                node.waiting = True
                step.after = min(seconds, step.after or seconds)
            else:
                step.delete.append(Removal(pod, name, "failed"))
    return node


def _manage(step: Plan, node: _Node, *, surge: bool) -> None:
    """Give a node its pod, or thin out its pods if there are too many: afterwards there is one, or with a surge one of each kind."""
    pods = [*node.new, *node.old]
    if len(pods) > 1:
        pods.sort(key=seniority)
        keep = _kept(node) if surge else pods[:1]
        step.delete += [node.removal(pod) for pod in pods if pod not in keep]
        node.new, node.old = ([pod for pod in kind if pod in keep] for kind in (node.new, node.old))
    # With a surge a pod that is on its way out is no reason to wait.
    elif node.fit is Fit.RUN and not pods and not node.waiting and (surge or not node.occupied):
        step.create.append(node.name)


def _kept(node: _Node) -> list[SlimPod]:
    """Return the pods to keep on a node that may have two: the oldest new one, and the oldest old one for as long as it is needed."""
    if node.new and node.old and (node.is_available(node.new[0]) or not pod_state.is_ready(node.old[0])):
        return node.new[:1]
    return [*node.new[:1], *node.old[:1]]


def _roll(step: Plan, nodes: Sequence[_Node], surge: int, unavailable: int) -> None:
    """Delete old pods: all that are not available, and as many others as may be missing."""
    missing = 0
    candidates: list[Removal] = []
    for node in nodes:
        pods = node.old or node.new
        if not pods:
            # A pod that leaves a node for good counts until it is gone, so that not all of them leave at once.
            missing += node.fit is Fit.RUN or (node.fit is Fit.STAY and node.occupied)
        elif not node.is_available(pods[0]):
            missing += 1
            step.replace += map(node.removal, node.old)
        elif node.old:
            candidates.append(Removal(node.old[0], node.name))
    step.replace += candidates[: max(unavailable - missing, 0)]


def _surge(step: Plan, nodes: Sequence[_Node], surge: int, unavailable: int) -> None:
    """Create new pods beside old ones: wherever the old one is not available, and on as many other nodes as the surge allows."""
    surging = available = 0
    candidates: list[str] = []
    leaving: list[Removal] = []
    for node in nodes:
        available += any(node.is_available(pod) for pod in node.old or node.new)
        if not node.old:
            continue
        removal = node.removal(node.old[0])
        if node.new or node.waiting:
            surging += 1
        elif node.fit is not Fit.RUN:
            # No new pod comes here. One that is available stays until enough others are.
            (leaving if node.is_available(removal.pod) else step.replace).append(removal)
        elif node.is_available(removal.pod):
            candidates.append(node.name)
        else:
            step.create.append(node.name)
            if not pod_state.is_ready(removal.pod):
                step.replace.append(removal)
    step.create += candidates[: max(surge - surging, 0)]
    desired = sum(node.fit is Fit.RUN for node in nodes)
    step.replace += leaving[: max(available - desired, 0)]


def _trim(step: Plan) -> None:
    """Drop what is too much for one step."""
    step.create = step.create[:BURST]
    step.delete = step.delete[:BURST]
    step.replace = step.replace[: BURST - len(step.delete)]


def _note_time(step: Plan, daemon_set: apps.DaemonSet, nodes: Iterable[_Node], now: datetime) -> None:
    """Record when the next pod becomes available by time alone, which may be before a failed one is replaced."""
    pods = (pod for node in nodes for pod in (*node.new, *node.old))
    waits = (step.after, next_available(pods, daemon_set.spec.minReadySeconds, now))
    step.after = min((wait for wait in waits if wait is not None), default=None)
