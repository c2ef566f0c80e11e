"""The assigners of a node as one: admission of pods through all of them, their grants added up, and the end.

Admission follows "Control Topology Management Policies on a node": all assigners give hints for a container, the alignment merges them
into one set of NUMA nodes, and each assigner then assigns within it; with the scope "pod" the hints are those of the pod as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from tiphys.aio.clock import monotonic
from tiphys.api.core import v1 as core
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources import metrics
from tiphys.node.resources.assigner import Assigner, Grant, Hints, Nodes, Refused

log = logging.getLogger(__name__)


class Alignment(Protocol):
    """The policy that decides which NUMA nodes a container's resources come from."""

    by_pod: bool
    """True if the containers of a pod are aligned with each other, from hints for the pod as a whole."""

    def merge(self, hints: Sequence[Hints]) -> Nodes | None:
        """Return the nodes to assign within, None for all, from the hints of each assigner. Raises Refused."""


class Assigners:
    """All assigners of a node, in the order in which they assign.

    Calls of `hints`, `assign`, `release` and `start` come one at a time. `prepare` runs beside them, since it may wait for a plugin.
    """

    def __init__(self, assigners: Iterable[Assigner] = (), *, alignment: Alignment | None = None) -> None:
        self._assigners = list(assigners)
        self.alignment = alignment
        """None: hints are not collected, and everything may come from anywhere."""
        self._lock = asyncio.Lock()
        self._left: set[str] = set()

    def add(self, assigner: Assigner) -> None:
        """Take one more assigner into use, before the start."""
        self._assigners.append(assigner)

    async def start(self, live: Collection[str]) -> None:
        """Read all checkpoints, and forget pods other than the `live` ones (by uid)."""
        async with self._lock:
            for assigner in self._assigners:
                await assigner.start(live)

    async def admit(self, pod: core.Pod) -> None:
        """Assign to all containers of a pod what they request. Raises Refused; then nothing is assigned."""
        if not self._assigners:
            return
        uid, started = pod.metadata.uid, monotonic()
        async with self._lock:
            for left in tuple(self._left):
                await self._release(left)
            metrics.ADMISSION_REQUESTS.labels().inc()
            try:
                await self._assign(pod)
            except Refused:
                await self._release(uid)
                raise
            except BaseException:
                # Cancelled half-way: the next call takes back what had been assigned.
                self._left.add(uid)
                raise
            finally:
                metrics.ADMISSION_MILLISECONDS.labels().observe((monotonic() - started) * 1000)

    async def _assign(self, pod: core.Pod) -> None:
        alignment = self.alignment
        together = None
        if alignment is not None and alignment.by_pod:
            together = alignment.merge([assigner.pod_hints(pod) for assigner in self._assigners])
        for container in (*pod.spec.initContainers, *pod.spec.containers):
            nodes = together
            if alignment is not None and not alignment.by_pod:
                nodes = alignment.merge([assigner.hints(pod, container) for assigner in self._assigners])
            for assigner in self._assigners:
                await assigner.assign(pod, container, nodes)

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        """Return all that was assigned to a container that is about to be created. Raises Refused, which is worth trying again."""
        return total([await assigner.prepare(pod, container) for assigner in self._assigners])

    def leave(self, uid: str) -> None:
        """Note that the pod has ended and that its room may be given to others: the next admission takes back all that it owns."""
        if self._assigners:
            self._left.add(uid)

    async def release(self, uid: str) -> None:
        """Take back all that a pod owns; its containers have ended."""
        if self._assigners:
            async with self._lock:
                await self._release(uid)

    async def _release(self, uid: str) -> None:
        for assigner in self._assigners:
            await assigner.release(uid)
        self._left.discard(uid)


def total(grants: Sequence[Grant]) -> Grant:
    """Return one grant of everything in these; of equal variables and annotations the last one counts."""
    return Grant(
        cpus=frozenset().union(*(grant.cpus for grant in grants)),
        unlimited_cpu=any(grant.unlimited_cpu for grant in grants),
        memory_nodes=frozenset().union(*(grant.memory_nodes for grant in grants)),
        env={name: value for grant in grants for name, value in grant.env.items()},
        mounts=tuple(mount for grant in grants for mount in grant.mounts),
        devices=tuple(device for grant in grants for device in grant.devices),
        annotations={name: value for grant in grants for name, value in grant.annotations.items()},
        cdi_devices=tuple(dict.fromkeys(name for grant in grants for name in grant.cdi_devices)),
    )
