"""Next step of a StatefulSet, as data ("StatefulSets: Deployment and Scaling Guarantees"). Pure.

Pods are looked at in ascending order: a missing one is created, a finished one is deleted to be created anew. With OrderedReady the first
that is not available stops everything else. Then pods beyond the range go, the highest ordinal first, and then updates (`update`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers import pods as pod_state
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.availability import next_available
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.claims import Ownership, is_leftover, make_claims, ownership
from tiphys.controllers.statefulset.identity import claim_name, has_identity, has_storage, ordinal_of, pod_name
from tiphys.controllers.statefulset.members import BURST, Members, Removal, is_terminating, place
from tiphys.controllers.statefulset.update import outdated, stuck

FindClaim = Callable[[str], core.PersistentVolumeClaim | None]
"""Look-up of a claim by its name, in the namespace of the StatefulSet."""


class Birth(NamedTuple):
    """Pod to create."""

    ordinal: int
    revision: str
    """Name of the revision whose template it gets."""
    claims: list[core.PersistentVolumeClaim]
    """Claims to create before it."""


class MissingClaim(NamedTuple):
    """Claim to create for a pod that waits for it."""

    pod: str
    claim: core.PersistentVolumeClaim


@dataclass(slots=True)
class Plan:
    """Next step of a StatefulSet, to be taken in the order of the fields."""

    claims: list[MissingClaim] = field(default_factory=list)
    owners: list[Ownership] = field(default_factory=list)
    """Claims to hand to another owner. Those of a pod must be written before the pod is deleted."""
    relabel: list[SlimPod] = field(default_factory=list)
    """Pods that lack the labels of their identity."""
    create: list[Birth] = field(default_factory=list)
    delete: list[Removal] = field(default_factory=list)
    """Pods to delete, the first first."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Names of pods that cannot be created yet, with the claim that is being deleted."""
    misfits: list[SlimPod] = field(default_factory=list)
    """Pods that do not mount the claims of their ordinal, which cannot be changed."""
    after: float | None = None
    """Seconds until a pod becomes available by time alone."""

    @property
    def is_empty(self) -> bool:
        """True if nothing is to be written."""
        return not (self.claims or self.owners or self.relabel or self.create or self.delete)


def plan(owner: apps.StatefulSet, current: str, update: str, pods: Iterable[SlimPod], find_claim: FindClaim, now: datetime) -> Plan:
    """Plan the next step for a StatefulSet with the pods that it controls, whose revisions have these names."""
    known = list(pods)
    members = place(owner, current, update, known, now)
    step = Plan(after=next_available(known, owner.spec.minReadySeconds, now))
    if owner.metadata.deletionTimestamp is not None:
        return step
    if _keep(step, members, find_claim):
        _replace_stuck(step, members)
        return step
    for pod in members.condemned:
        _own(step, members, pod, find_claim, scaled_down=True)
    if members.ordered:
        _shrink_in_order(step, members)
        if members.condemned:
            return step
    else:
        step.delete += [Removal(pod) for pod in members.condemned if not is_terminating(pod)]
    step.delete += outdated(members, {removal.pod.metadata.uid for removal in step.delete})
    del step.delete[BURST:]
    return step


def _keep(step: Plan, members: Members, find_claim: FindClaim) -> bool:
    """Create what is missing and tend to what is there. Returns True when OrderedReady forbids to go on."""
    for index, pod in members.slots():
        settled = _fill(step, members, index, find_claim) if pod is None else _tend(step, members, pod, find_claim)
        if members.ordered and not settled:
            return True
    return False


def _fill(step: Plan, members: Members, index: int, find_claim: FindClaim) -> bool:
    owner, ordinal = members.owner, members.start + index
    name = pod_name(owner, ordinal)
    missing, changes = [], []
    for desired in make_claims(owner, ordinal):
        claim = find_claim(desired.metadata.name)
        if claim is None:
            missing.append(desired)
        elif claim.metadata.deletionTimestamp is not None or is_leftover(owner, claim, name):
            step.waiting[name] = desired.metadata.name
            return False
        elif change := ownership(owner, SlimPod(metadata=ObjectMeta(name=name)), claim, scaled_down=False):
            changes.append(change)
    step.owners += changes
    step.create.append(Birth(ordinal, members.revision_for(index), missing))
    return False


def _tend(step: Plan, members: Members, pod: SlimPod, find_claim: FindClaim) -> bool:
    """Return whether the pod is available, after what must be done about it."""
    if pod_state.is_finished(pod):
        if not is_terminating(pod):
            step.delete.append(Removal(pod))
        return False
    if is_terminating(pod):
        return False
    if pod.status.phase == "Pending":
        needed = make_claims(members.owner, ordinal_of(pod))
        step.claims += [MissingClaim(pod.metadata.name, desired) for desired in needed if find_claim(desired.metadata.name) is None]
    if not has_identity(pod):
        step.relabel.append(pod)
    if not has_storage(members.owner, pod):
        step.misfits.append(pod)
    _own(step, members, pod, find_claim, scaled_down=False)
    return members.is_available(pod)


def _own(step: Plan, members: Members, pod: SlimPod, find_claim: FindClaim, *, scaled_down: bool) -> None:
    """Hand the claims of a pod to the owners that the retention policy asks for."""
    owner = members.owner
    for template in owner.spec.volumeClaimTemplates:
        claim = find_claim(claim_name(owner, template, ordinal_of(pod)))
        change = ownership(owner, pod, claim, scaled_down=scaled_down) if claim is not None else None
        if change is not None:
            step.owners.append(change)


def _shrink_in_order(step: Plan, members: Members) -> None:
    """Delete the pod with the highest ordinal, unless it is on its way, or should become available before a lower one that is not.

    A finished pod never becomes available, so nothing waits for it.
    """
    if not members.condemned:
        return
    highest = members.condemned[0]
    hopeful = [pod for pod in members.condemned if not members.is_available(pod) and not pod_state.is_finished(pod)]
    if not is_terminating(highest) and (highest not in hopeful or highest is hopeful[-1]):
        step.delete.append(Removal(highest))


def _replace_stuck(step: Plan, members: Members) -> None:
    """While OrderedReady waits, replace a pod that would make it wait for ever, one at a time."""
    if not step.delete and not any(is_terminating(pod) for pod in members.replicas.values()):
        step.delete += [Removal(pod, unchanged=True) for index, pod in members.descending() if stuck(members, index, pod)][:1]
