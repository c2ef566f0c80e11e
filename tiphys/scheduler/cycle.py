"""One decision: the node for a pod. Synchronous and without I/O; randomness is an argument."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple
from uuid import UUID

import numpy as np

from tiphys.scheduler.causes import ALLOWED, Causes, cause_in_row, with_objections
from tiphys.scheduler.columns import Bools, Floats
from tiphys.scheduler.devices.cache import DevicePlan
from tiphys.scheduler.devices.checks import DeviceChecks
from tiphys.scheduler.explain import Diagnosis, diagnose
from tiphys.scheduler.filters.node_affinity import NamedNodes, named_nodes
from tiphys.scheduler.filters.order import enabled
from tiphys.scheduler.neighbors import Neighbors
from tiphys.scheduler.preempt import NEVER, NOT_HELPFUL, Budget, Nominations, NoRoom, Room, make_room
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.vectors import VectorCache
from tiphys.scheduler.volumes.cache import VolumePlan
from tiphys.scheduler.volumes.checks import VolumeChecks

KNOWN_NEIGHBORS = 256


def share_id(rng: random.Random) -> str:
    """Return a name for a share of a device, in the form of a UID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


class Opinion(NamedTuple):
    """Verdicts of all filters and scores on a pod."""

    causes: Causes
    candidates: Bools
    scores: Floats
    """Meaningful for the candidates."""


class Cycle:
    """Decides on a snapshot, and caches reusable results per template."""

    def __init__(
        self,
        cluster: Snapshot,
        *,
        rng: random.Random,
        lap: Callable[[str, str], None] = lambda point, status: None,
        profile: Profile = DEFAULTS.profile,
    ) -> None:
        self.cluster = cluster
        self._profile = profile
        self._filters = enabled(profile.disabled_filters)
        self._lap = lap
        """Called at the end of each part of a decision, with its result, under upstream's names."""
        self.nominations = Nominations()
        self._rng = rng
        self._vectors = VectorCache(profile)
        self._neighbors: dict[tuple[bytes, bytes], Neighbors] = {}
        self.volumes = VolumeChecks(cluster, profile)
        self.devices = DeviceChecks(cluster, partial(share_id, rng), profile)

    def place(self, info: PodInfo) -> str | Diagnosis:
        """Return the name of the best node (at random among equals), or the reasons why there is none."""
        refused = self._refused(info)
        if refused is not None:
            return refused
        nominated = self._nominated(info)
        if nominated is not None:
            return nominated
        named = self._named(info)
        if named is not None:
            return named
        opinion = self.ask(info)
        if not opinion.candidates.any():
            return self._diagnose(info, opinion.causes)
        scores = np.where(opinion.candidates, opinion.scores, -np.inf)
        best = np.flatnonzero(scores == scores.max())
        row = int(best[self._rng.randrange(len(best))])
        return self.cluster.names[row]

    def ask(self, info: PodInfo) -> Opinion:
        """Run filters and scores for a pod on the current snapshot."""
        vectors = self._vectors.of(info.template, self.cluster)
        neighbors = self._neighbors_of(info)
        verdicts = neighbors.verdicts(self.cluster)
        causes = vectors.causes
        if info.volumes is not None:
            causes = self.volumes.with_causes(info, info.volumes, causes)
        if verdicts is not None:
            causes = with_objections(causes, verdicts)
        if info.devices is not None:
            causes = self.devices.with_causes(info, info.devices, causes)
        causes = self._leave_to_nominated(info, causes)
        candidates: Bools = causes == ALLOWED
        fits = bool(candidates.any())
        self._lap("Filter", "Success" if fits else "Unschedulable")
        scores = vectors.scores(candidates)
        if fits:
            more = neighbors.scores(self.cluster, candidates)
            if more is not None:
                scores = scores + more
            self._lap("Score", "Success")
        return Opinion(causes, candidates, scores)

    def explain(self, info: PodInfo) -> Diagnosis:
        """Return the reasons against each node that cannot take the pod, even if others can."""
        return self._refused(info) or self._diagnose(info, self.ask(info).causes)

    def preempt(self, info: PodInfo, budgets: Iterable[Budget]) -> Room | NoRoom:
        """Find a node on which evictions make room for a pod that was just rejected everywhere."""
        if info.pod.spec.preemptionPolicy == "Never":
            return NoRoom(NEVER)
        if self._refused(info) is not None:
            nodes = len(self.cluster)
            return NoRoom(f"preemption: 0/{nodes} nodes are available: {nodes} {NOT_HELPFUL}.")
        ahead = self.nominations.before(info)

        def cause_in(pod: PodInfo, row: int) -> int:
            others = ahead.get(self.cluster.names[row], [])
            return self._cause(pod, row) or (self._cause_beside(pod, row, others) if others else ALLOWED)

        return make_room(info, self.cluster, self.ask(info).causes, cause_in, budgets, self._rng, self._profile)

    def plan(self, info: PodInfo, node: str) -> VolumePlan | None:
        """Return the volumes that must be bound before the pod is bound to a node that was chosen for it; None if there are none."""
        return self.volumes.plan(info.volumes, self.cluster.row_of[node]) if info.volumes is not None else None

    def plan_devices(self, info: PodInfo, node: str) -> DevicePlan | None:
        """Return what is to be written to a pod's claims for devices before it is bound to a node; None if nothing is."""
        return self.devices.plan(info, info.devices, self.cluster.row_of[node]) if info.devices is not None else None

    def _diagnose(self, info: PodInfo, causes: Causes) -> Diagnosis:
        reason_in = partial(self.devices.reason_in, info) if info.devices is not None else None
        return diagnose(info, self.cluster, causes, reason_in)

    def _refused(self, info: PodInfo) -> Diagnosis | None:
        """Return the reason why no node needs to be looked at, if there is one."""
        refusal = self.volumes.refusal(info) if info.volumes is not None else None
        if refusal is None and info.devices is not None:
            refusal = self.devices.refusal(info)
        if refusal is None:
            return None
        return Diagnosis(nodes=len(self.cluster), rules=frozenset((refusal.rule,)), before=refusal.reason)

    def _named(self, info: PodInfo) -> str | None:
        """Return the only node that the pod names in its affinity, if it can run there. Vectors would serve no other pod of a DaemonSet."""
        if not info.template.required or NamedNodes.name in self._profile.disabled_filters:
            return None
        names = named_nodes(info.template.required)
        if len(names) != 1:
            return None
        (name,) = names
        row = self.cluster.row_of.get(name)
        if row is None or self._cause(info, row) != ALLOWED:
            return None
        others = self.nominations.before(info).get(name, [])
        if others and self._cause_beside(info, row, others) != ALLOWED:
            return None
        self._lap("Filter", "Success")
        return name

    # ---- nominated pods ---------------------------------------------------------------------------------------------------------------

    def _nominated(self, info: PodInfo) -> str | None:
        """Return the node on which room was made for the pod, if it is free now."""
        name = self.nominations.node_of(info.uid)
        row = self.cluster.row_of.get(name) if name is not None else None
        if name is None or row is None or self._cause(info, row) != ALLOWED:
            return None
        others = self.nominations.before(info).get(name, [])
        return name if not others or self._cause_beside(info, row, others) == ALLOWED else None

    def _leave_to_nominated(self, info: PodInfo, causes: Causes) -> Causes:
        """Return the causes, with nodes rejected that have no room for both the pod and the pods nominated to them."""
        changed: Causes | None = None
        for node, others in self.nominations.before(info).items():
            row = self.cluster.row_of.get(node)
            if row is not None and causes[row] == ALLOWED:
                cause = self._cause_beside(info, row, others)
                if cause != ALLOWED:
                    changed = causes.copy() if changed is None else changed
                    changed[row] = cause
        return causes if changed is None else changed

    def _cause_beside(self, info: PodInfo, row: int, others: list[PodInfo]) -> int:
        name = self.cluster.names[row]
        added = [one for one in others if self.cluster.node_of(one.uid) is None]
        for one in added:
            self.cluster.put_pod(one, name)
        try:
            return self._cause(info, row)
        finally:
            for one in added:
                self.cluster.drop_pod(one.uid)

    def _cause(self, info: PodInfo, row: int) -> int:
        volumes = partial(self.volumes.cause_in, info, info.volumes) if info.volumes is not None else None
        devices = partial(self.devices.cause_in, info, info.devices) if info.devices is not None else None
        return cause_in_row(info.template, self.cluster, row, self._neighbors_of(info).verdicts, self._filters, volumes, devices)

    def _neighbors_of(self, info: PodInfo) -> Neighbors:
        ident = (info.template.key, info.social.key)
        known = self._neighbors.pop(ident, None) or Neighbors(info.template, info.social, self._profile)
        if len(self._neighbors) >= KNOWN_NEIGHBORS:
            del self._neighbors[next(iter(self._neighbors))]
        self._neighbors[ident] = known
        known.refresh(self.cluster)
        return known
