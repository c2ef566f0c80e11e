"""Preemption: pods of lower priority to evict for a pod that fits nowhere ("Pod Priority and Preemption"). Synchronous, no I/O.

On each node that could take the pod if it were emptier, all pods of lower priority are taken off and put back one by one, the important
ones first, as long as the pod still fits: what cannot be put back are the victims. Among the nodes the one is chosen that hurts least.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from tiphys.api.machinery.selectors import Selector
from tiphys.scheduler.causes import ALLOWED, Causes, is_final, reasons_of
from tiphys.scheduler.settings import DEFAULTS, Profile
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.template import PodInfo

NO_VICTIMS, NOT_HELPFUL = "No preemption victims found for incoming pod", "Preemption is not helpful for scheduling"
NEVER = "preemption: not eligible due to preemptionPolicy=Never."
UNDER_WAY = "preemption: not eligible due to a terminating pod on the nominated node."
_LATEST = datetime.max.replace(tzinfo=UTC)
_PRIORITY_SHIFT = 2**31

CauseIn = Callable[[PodInfo, int], int]
"""Function that returns the cause that keeps a pod out of a row of the current snapshot."""


class Budget(msgspec.Struct, frozen=True):
    """PodDisruptionBudget with the number of disruptions it allows now. Pods in `disrupted` already count as gone."""

    namespace: str
    selector: Selector
    allowed: int
    disrupted: frozenset[str] = frozenset()

    def covers(self, info: PodInfo) -> bool:
        """Return whether evicting a pod counts against this budget. A budget without a selector protects nothing here."""
        meta = info.pod.metadata
        if meta.namespace != self.namespace or self.selector.empty or meta.name in self.disrupted:
            return False
        return self.selector.matches(meta.labels)


class Room(NamedTuple):
    """Evictions that make room on a node."""

    node: str
    victims: tuple[PodInfo, ...]
    """Most important first."""
    violations: int
    """Number of victims whose eviction violates a disruption budget."""


class NoRoom(NamedTuple):
    """Reason why no room can be made."""

    message: str


def importance(info: PodInfo) -> tuple[int, datetime]:
    """Return a sort key that puts important pods first: by priority, then by age."""
    return -info.priority, info.pod.status.startTime or _LATEST


def make_room(
    info: PodInfo,
    cluster: Snapshot,
    causes: Causes,
    cause_in: CauseIn,
    budgets: Iterable[Budget],
    rng: random.Random,
    profile: Profile = DEFAULTS.profile,
) -> Room | NoRoom:
    """Return the least harmful preemption for a pod that fits nowhere for these causes. The snapshot is changed and then restored."""
    rows = list(cluster.row_of.items())
    open_rows = [(name, row) for name, row in rows if not is_final(int(causes[row]), info.template, cluster, row)]
    failures: Counter[str] = Counter()
    failures[NOT_HELPFUL] += len(rows) - len(open_rows)
    rooms: list[Room] = []
    enough = max(profile.min_candidates, len(rows) * profile.min_candidates_percentage // 100)
    start = rng.randrange(len(open_rows)) if open_rows else 0
    known = list(budgets)
    for name, row in (*open_rows[start:], *open_rows[:start]):
        room = _room_on(name, row, info, cluster, cause_in, known)
        if not isinstance(room, Room):
            failures.update(room)
            continue
        rooms.append(room)
        if len(rooms) >= enough:
            break
    if not rooms:
        counted = ", ".join(sorted(f"{count} {text}" for text, count in failures.items() if count))
        return NoRoom(f"preemption: 0/{len(rows)} nodes are available: {counted}.")
    return least_harm(rooms)


def _room_on(name: str, row: int, info: PodInfo, cluster: Snapshot, cause_in: CauseIn, budgets: list[Budget]) -> Room | tuple[str, ...]:
    lower = sorted((one for one in cluster.pods_on.get(name, {}).values() if one.priority < info.priority), key=importance)
    if not lower:
        return (NO_VICTIMS,)
    protected, free = split_by_budgets(lower, budgets)
    out: dict[str, PodInfo] = {}
    try:
        for one in lower:
            cluster.drop_pod(one.uid)
            out[one.uid] = one
        cause = cause_in(info, row)
        if cause != ALLOWED:
            return reasons_of(cause, info.template, cluster, row)
        violations = 0
        # Those whose budgets would be broken have the first claim to stay.
        for group, breaks in ((protected, True), (free, False)):
            for one in group:
                cluster.put_pod(one, name)
                if cause_in(info, row) == ALLOWED:
                    del out[one.uid]
                else:
                    cluster.drop_pod(one.uid)
                    violations += breaks
        victims = tuple(sorted(out.values(), key=importance))
        return Room(name, victims, violations) if victims else (NO_VICTIMS,)
    finally:
        for one in out.values():
            cluster.put_pod(one, name)


def split_by_budgets(pods: Iterable[PodInfo], budgets: list[Budget]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Return the pods whose eviction would violate some budget if all were evicted, in this order, and the others."""
    left = [budget.allowed for budget in budgets]
    protected: list[PodInfo] = []
    free: list[PodInfo] = []
    for info in pods:
        breaks = False
        for number, budget in enumerate(budgets):
            if budget.covers(info):
                left[number] -= 1
                breaks = breaks or left[number] < 0
        (protected if breaks else free).append(info)
    return protected, free


def least_harm(rooms: list[Room]) -> Room:
    """Return the room with the fewest budget violations, then the least important victims, then the fewest, then the youngest."""

    def harm(room: Room) -> tuple[int, int, int, int, float]:
        highest = room.victims[0].priority
        # Priorities may be negative; shifted, more victims always weigh more.
        weight = sum(one.priority + _PRIORITY_SHIFT for one in room.victims)
        oldest = min(one.pod.status.startTime or _LATEST for one in room.victims if one.priority == highest)
        return room.violations, highest, weight, len(room.victims), -oldest.timestamp()

    return min(rooms, key=harm)


class Nominations:
    """Pods that wait for their victims to leave, with their nominated nodes. Pods of lower priority must leave the node to them."""

    def __init__(self) -> None:
        self._by_uid: dict[str, tuple[PodInfo, str]] = {}
        self._on: dict[str, dict[str, PodInfo]] = {}

    def put(self, info: PodInfo, node: str) -> None:
        self.drop(info.uid)
        self._by_uid[info.uid] = (info, node)
        self._on.setdefault(node, {})[info.uid] = info

    def drop(self, uid: str) -> None:
        known = self._by_uid.pop(uid, None)
        if known is not None:
            pods = self._on[known[1]]
            del pods[uid]
            if not pods:
                del self._on[known[1]]

    def node_of(self, uid: str) -> str | None:
        known = self._by_uid.get(uid)
        return known[1] if known is not None else None

    def before(self, info: PodInfo) -> Mapping[str, list[PodInfo]]:
        """Return the other pods with precedence, by node."""
        by_node: dict[str, list[PodInfo]] = {}
        for node, pods in self._on.items():
            others = [one for one in pods.values() if one.priority >= info.priority and one.uid != info.uid]
            if others:
                by_node[node] = others
        return by_node

    def below(self, info: PodInfo, node: str) -> list[PodInfo]:
        """Return the nominated pods that a pod of higher priority displaces on a node."""
        return [one for one in self._on.get(node, {}).values() if one.priority < info.priority]
