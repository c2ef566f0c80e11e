"""CPU and memory allocated to the pods of this node, those that wait for more, and those that are made to give it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts, pod_requests
from tiphys.node.pod.resize_rules import RESIZABLE, Pending, fixed_resource, importance, judge

Retry = Callable[[], None]
Yield = Callable[[], None]
"""Makes a pod release its resources for a more important one."""


class Allocations:
    """The book of the node. Nothing in it is kept over a restart: workers enter their pods again."""

    def __init__(self, capacity: Amounts, pinned: Mapping[str, str] | None = None) -> None:
        """Take what pods may use, and the policies by which resources of Guaranteed pods are fixed once they are admitted."""
        self.capacity = capacity
        self.pinned = pinned or {}
        self._admitted: dict[str, Amounts] = {}
        self._pods: dict[str, core.Pod] = {}
        self._waiting: dict[str, tuple[tuple[int, bool, float], Retry]] = {}
        self._yields: dict[str, Yield] = {}
        self._left = asyncio.Event()

    def enter(self, pod: core.Pod, yield_: Yield) -> None:
        """The pod has what its spec says. Whatever it gave back goes to those who wait."""
        uid, now = pod.metadata.uid, {name: value for name, value in pod_requests(pod).items() if name in RESIZABLE}
        before = self._admitted.get(uid, {})
        self._admitted[uid] = now
        self._pods[uid] = pod
        self._yields[uid] = yield_
        self._waiting.pop(uid, None)
        if any(before.get(name, 0) > now.get(name, 0) for name in RESIZABLE):
            self._offer()

    def leave(self, uid: str) -> None:
        """The pod has ended."""
        self._waiting.pop(uid, None)
        self._yields.pop(uid, None)
        if self._pods.pop(uid, None) is not None:
            self._left.set()
            self._left = asyncio.Event()
        if self._admitted.pop(uid, None):
            self._offer()

    def others(self, uid: str) -> list[core.Pod]:
        """The pods that are in the book, but for this one."""
        return [pod for other, pod in self._pods.items() if other != uid]

    async def preempt(self, uids: Collection[str]) -> None:
        """Make pods give back all that they have; returns when they have."""
        for uid in uids:
            if uid in self._yields:
                self._yields[uid]()
        while not self._pods.keys().isdisjoint(uids):
            await self._left.wait()

    def judge(self, pod: core.Pod) -> Pending | None:
        """Return why there is no room for the pod's requests besides all others; None if there is."""
        fixed = fixed_resource(self._pods.get(pod.metadata.uid), pod, self.pinned)
        if fixed is not None:
            return fixed
        used: Amounts = {}
        for uid, amounts in self._admitted.items():
            if uid != pod.metadata.uid:
                for name, value in amounts.items():
                    used[name] = used.get(name, 0) + value
        return judge(pod, used, self.capacity)

    def wait(self, pod: core.Pod, since: float, retry: Retry) -> None:
        """Call `retry` whenever there is new room, until the pod is entered again or leaves."""
        self._waiting[pod.metadata.uid] = (importance(pod, since), retry)

    def _offer(self) -> None:
        for uid, (_, retry) in sorted(self._waiting.items(), key=lambda item: item[1][0]):
            if uid in self._waiting:
                retry()
