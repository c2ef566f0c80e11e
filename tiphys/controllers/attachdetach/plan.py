"""Places where volumes are attached, and volumes that may be detached. Pure.

"Volume Attachment" (CSI Volume Plugins in Kubernetes Design Doc); "Non-graceful node shutdown handling".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.controllers.shared.slim import SlimPod

Health = Literal["healthy", "unhealthy", "out-of-service"]
Force = Literal["timeout", "out-of-service"]


def is_bound(volume: core.PersistentVolume, claim: core.PersistentVolumeClaim) -> bool:
    """Return whether a claim and a volume are bound to each other."""
    ref = volume.spec.claimRef
    mutual = ref is not None and ref.uid == claim.metadata.uid and claim.spec.volumeName == volume.metadata.name
    return mutual and claim.status.phase == "Bound"


def needs_volumes(pod: SlimPod, health: Health) -> bool:
    """Return whether a pod with a node needs its volumes there: until it has ended.

    One that is being deleted has ended on a node that somebody vouches is off.
    """
    return not is_finished(pod) and not (pod.metadata.deletionTimestamp is not None and health == "out-of-service")


class Claimant(NamedTuple):
    """A node with pods that need a volume."""

    node: str
    volume: str
    """Name of the PersistentVolume."""
    pods: tuple[SlimPod, ...]


class Attachment(NamedTuple):
    """An attachment of a volume."""

    node: str
    error: str = ""
    """Error of the last attempt to detach it."""


class AttachPlan(NamedTuple):
    """Attachments to create, and claimants that must wait until a volume leaves another node."""

    attach: list[Claimant]
    blocked: list[Claimant]


def plan_attach(claimants: Iterable[Claimant], attachments: Sequence[Attachment], *, exclusive: bool) -> AttachPlan:
    """Return what to attach. An exclusive volume is attached to one node, whatever state its attachment is in.

    Of several nodes the one comes first whose pod has been there for longest, pods that are being deleted last.
    """
    taken = {attachment.node for attachment in attachments}
    missing = sorted((one for one in claimants if one.node not in taken), key=_turn)
    if not exclusive:
        return AttachPlan(missing, [])
    return AttachPlan([], missing) if taken else AttachPlan(missing[:1], [])


def _turn(claimant: Claimant) -> tuple[bool, datetime, str]:
    return min((pod.metadata.deletionTimestamp is not None, _born(pod), claimant.node) for pod in claimant.pods)


def _born(pod: SlimPod) -> datetime:
    return pod.metadata.creationTimestamp or datetime.max.replace(tzinfo=UTC)


def conflict(pod: SlimPod, others: Iterable[SlimPod]) -> str:
    """Return why an exclusive volume cannot be attached for a pod; `others` use it elsewhere. Namespaces learn no names from others."""
    users = list(others)
    local = [one.metadata.name for one in users if one.metadata.namespace == pod.metadata.namespace]
    foreign = len(users) - len(local)
    if not users:
        return "Volume is already exclusively attached to one node and can't be attached to another"
    if not local:
        return f"Volume is already used by {foreign} pod(s) in different namespaces"
    more = f" and {foreign} pod(s) in different namespaces" if foreign else ""
    return f"Volume is already used by pod(s) {', '.join(local)}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An attachment to a node, as the node's loop sees it."""

    name: str
    volume: str
    """Name of the volume in the node's status; "" if it is unknown."""
    attached: bool
    leaving: bool
    """True if it is being detached."""
    needed: bool
    in_use: bool
    """True if the node says so, or cannot be asked."""
    since: float = 0.0
    """Time at which it was first seen that nothing needs it."""


class Detach(NamedTuple):
    """An attachment to delete, and the reason if nobody waits for the node to unmount the volume."""

    held: Held
    force: Force | None


class NodePlan(NamedTuple):
    """Next step for a node. The report comes first: no volume is detached while the node's status shows it as attached."""

    report: list[core.AttachedVolume] | None
    """Volumes to write to the node's status; None if it is right, or there is no node."""
    detach: list[Detach]
    recheck: float | None
    """Seconds until a volume may be detached by force."""


def plan_node(
    attachments: Iterable[Held], reported: Sequence[core.AttachedVolume] | None, health: Health, *, now: float, patience: float | None
) -> NodePlan:
    """Return the next step for a node with these attachments.

    `reported` is in the node's status, None without a node. Volumes in use are left alone, unless the node is off, or unhealthy for
    `patience` seconds (None: for ever).
    """
    held = list(attachments)
    forces = {one.name: _force(one, health, now, patience) for one in held}
    kept = [one for one in held if one.attached and not one.leaving and (one.needed or (one.in_use and forces[one.name] is None))]
    report = None
    listed: set[str] = set()
    if reported is not None:
        desired = _in_order(reported, {one.volume for one in kept if one.volume})
        report = desired if desired != list(reported) else None
        listed = {one.name for one in reported}
    ready = [one for one in held if not one.leaving and not one.needed and (not one.in_use or forces[one.name] is not None)]
    detach = [Detach(one, forces[one.name]) for one in ready if one.volume not in listed]
    waits = [_left(one, now, patience) for one in held if patience is not None and health == "unhealthy" and _waits(one)]
    return NodePlan(report, detach, min((wait for wait in waits if wait > 0), default=None))


def _waits(one: Held) -> bool:
    return one.in_use and not one.needed and not one.leaving


def _left(one: Held, now: float, patience: float) -> float:
    return one.since + patience - now


def _force(one: Held, health: Health, now: float, patience: float | None) -> Force | None:
    if one.needed or one.leaving or health == "healthy":
        return None
    if health == "out-of-service":
        return "out-of-service"
    return "timeout" if patience is not None and _left(one, now, patience) <= 0 else None


def _in_order(reported: Sequence[core.AttachedVolume], names: set[str]) -> list[core.AttachedVolume]:
    """Return the volumes of these names: those that are reported in their places, the others after them by name."""
    present = [one for one in reported if one.name in names]
    present = list({one.name: one for one in present}.values())
    missing = sorted(names - {one.name for one in present})
    return [*present, *(core.AttachedVolume(name=name) for name in missing)]
