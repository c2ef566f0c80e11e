"""Pods that wait for a node, in one of four places:

    active    in the order of priority, then of time
    backoff   tried not long ago: 1 s after the first try, doubling to 10 s
    parked    no node was right; woken by a change in the cluster that may help, at the latest after five minutes
    gated     has scheduling gates; nobody may try ("Pod Scheduling Readiness", KEP-3521)

No clock of its own: time is an argument, in monotonic seconds. The owner sleeps until `next_due`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec

from tiphys.aio.backoff import BackoffPolicy
from tiphys.scheduler.devices.pod import PodDevices
from tiphys.scheduler.settings import DEFAULTS
from tiphys.scheduler.template import PodInfo
from tiphys.scheduler.volumes.pod import PodVolumes

BACKOFF = BackoffPolicy(first=DEFAULTS.initial_backoff, cap=DEFAULTS.max_backoff)
PARKED_AT_MOST = 300.0

Place = Literal["active", "backoff", "parked", "gated", "taken"]
Came = Callable[[Place, str], None]
"""Callback for each pod that enters a place, with upstream's name of the event."""
ADDED, UPDATED, FAILED = "UnscheduledPodAdd", "UnscheduledPodUpdate", "ScheduleAttemptFailure"
BACKED_OFF, TIMED_OUT = "BackoffComplete", "UnschedulableTimeout"


class Kind(NamedTuple):
    """Parked pods that were rejected for the same reasons, so that what helps one helps all: hints are evaluated once per kind."""

    template: bytes
    social: bytes
    rules: frozenset[str]
    volumes: PodVolumes | None
    devices: PodDevices | None = None


class Waiting(msgspec.Struct, eq=False):
    """Pod in the queue. `tries` counts decisions without success, `rules` are the filters that rejected it last."""

    info: PodInfo
    since: float
    order: int
    place: Place = "active"
    tries: int = 0
    first: float | None = None
    """Time of the first attempt."""
    due: float = 0.0
    not_before: float = 0.0
    rules: frozenset[str] = frozenset()
    ticket: int = 0
    """Entries of the heaps with an older ticket are void."""

    @property
    def kind(self) -> Kind:
        return Kind(self.info.template.key, self.info.social.key, self.rules, self.info.volumes, self.info.devices)


class SchedulingQueue:
    """See the module. A pod taken by `pop` stays known until it is parked, retried or removed."""

    def __init__(self, backoff: BackoffPolicy = BACKOFF, *, came: Came = lambda place, event: None) -> None:
        self._backoff = backoff
        self._came = came
        self._waiting: dict[str, Waiting] = {}
        self._places: Counter[Place] = Counter()
        self._parked: dict[Kind, dict[str, Waiting]] = {}
        self._active: list[tuple[int, float, int, int, str]] = []
        self._timed: list[tuple[float, int, str]] = []
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, uid: str) -> bool:
        return uid in self._waiting

    def get(self, uid: str) -> Waiting | None:
        """Return a pod in the queue, or None."""
        return self._waiting.get(uid)

    def add(self, info: PodInfo, now: float) -> None:
        """Add a pod that needs a node."""
        if info.uid in self._waiting:
            self.update(info, now, helps=True)
            return
        self._tickets += 1
        one = Waiting(info, since=now, order=self._tickets)
        self._waiting[info.uid] = one
        self._places[one.place] += 1
        if info.pod.spec.schedulingGates:
            self._stamp(one, "gated")
            self._came("gated", ADDED)
        else:
            self._activate(one, ADDED)

    def update(self, info: PodInfo, now: float, *, helps: bool) -> None:
        """Update a waiting pod; `helps` says whether the change could resolve its rejection."""
        one = self._waiting[info.uid]
        moved = one.info.priority != info.priority
        parked = one.place == "parked"
        if parked:
            self._unpark(one)
        one.info = info
        if parked:
            self._parked.setdefault(one.kind, {})[info.uid] = one
        if info.pod.spec.schedulingGates:
            if one.place != "taken":
                self._stamp(one, "gated")
        elif one.place == "gated" or (one.place == "active" and moved):
            self._activate(one, UPDATED)
        elif one.place == "parked" and helps:
            self._wake(one, now, UPDATED)

    def remove(self, uid: str) -> None:
        """Remove a pod that needs no node any more."""
        one = self._waiting.pop(uid, None)
        if one is not None:
            self._places[one.place] -= 1
            if one.place == "parked":
                self._unpark(one)

    def pop(self) -> Waiting | None:
        """Return the next pod to try, or None. Call `release` for `due` pods first."""
        while self._active:
            *_, ticket, uid = heapq.heappop(self._active)
            one = self._waiting.get(uid)
            if one is not None and one.place == "active" and one.ticket == ticket:
                self._stamp(one, "taken")
                return one
        return None

    def park(self, one: Waiting, now: float, rules: frozenset[str]) -> None:
        """Park a pod that no node fits, because of these filters."""
        if self._waiting.get(one.info.uid) is not one:
            return
        one.tries += 1
        one.rules = rules
        one.not_before = now + self._backoff.delay(one.tries - 1)
        self._time(one, "parked", now + PARKED_AT_MOST, FAILED)

    def retry(self, one: Waiting, now: float) -> None:
        """Retry a pod after the backoff, for a failure unrelated to it."""
        if self._waiting.get(one.info.uid) is not one:
            return
        one.tries += 1
        one.not_before = now + self._backoff.delay(one.tries - 1)
        self._time(one, "backoff", one.not_before, FAILED)

    def wake(self, now: float, helps: Callable[[Waiting], bool], event: str = "") -> None:
        """Requeue the parked pods that a change in the cluster may help."""
        for kind, pods in list(self._parked.items()):
            if helps(next(iter(pods.values()))):
                for one in list(pods.values()):
                    self._wake(one, now, event)
                assert kind not in self._parked

    def release(self, now: float) -> None:
        """Activate the pods that are due."""
        while self._timed and self._timed[0][0] <= now:
            _, ticket, uid = heapq.heappop(self._timed)
            one = self._waiting.get(uid)
            if one is not None and one.ticket == ticket and one.place in ("backoff", "parked"):
                self._activate(one, BACKED_OFF if one.place == "backoff" else TIMED_OUT)

    @property
    def next_due(self) -> float | None:
        """Time at which `release` has something to do."""
        while self._timed:
            due, ticket, uid = self._timed[0]
            one = self._waiting.get(uid)
            if one is not None and one.ticket == ticket and one.place in ("backoff", "parked"):
                return due
            heapq.heappop(self._timed)
        return None

    @property
    def places(self) -> Counter[Place]:
        """Return the number of pods in each place."""
        return +self._places

    @property
    def parked(self) -> Iterator[Waiting]:
        """Pods that no node fits."""
        return (one for pods in tuple(self._parked.values()) for one in tuple(pods.values()))

    def _activate(self, one: Waiting, event: str) -> None:
        self._stamp(one, "active")
        self._came("active", event)
        heapq.heappush(self._active, (-one.info.priority, one.since, one.order, one.ticket, one.info.uid))

    def _wake(self, one: Waiting, now: float, event: str) -> None:
        if one.not_before <= now:
            self._activate(one, event)
        else:
            self._time(one, "backoff", one.not_before, event)

    def _time(self, one: Waiting, place: Place, due: float, event: str) -> None:
        self._stamp(one, place)
        self._came(place, event)
        one.due = due
        heapq.heappush(self._timed, (due, one.ticket, one.info.uid))

    def _stamp(self, one: Waiting, place: Place) -> None:
        if one.place == "parked":
            self._unpark(one)
        self._tickets += 1
        one.ticket = self._tickets
        self._places[one.place] -= 1
        self._places[place] += 1
        one.place = place
        if place == "parked":
            self._parked.setdefault(one.kind, {})[one.info.uid] = one

    def _unpark(self, one: Waiting) -> None:
        pods = self._parked[one.kind]
        del pods[one.info.uid]
        if not pods:
            del self._parked[one.kind]
