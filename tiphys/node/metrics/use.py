"""Use by everything that runs on the node: its control groups, their owners, and their present use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from tiphys.aio.clock import Clock
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.host.stats import ContainerUse, Usage
from tiphys.node.metrics.cadvisor import Machine, Subject, cadvisor_lines
from tiphys.node.metrics.groups import GroupReader, device_names, interfaces
from tiphys.node.pod.observed import Observed
from tiphys.node.runtime.config import PAUSE_IMAGE
from tiphys.node.runtime.pleg import Relister
from tiphys.obs import metrics

log = logging.getLogger(__name__)

TIERS = ("", "/burstable", "/besteffort")
HOUSEKEEPING = 10.0
"""Seconds for which the size of writable layers is good, which only the runtime knows: as long as upstream's housekeeping."""
_SUMMED = ("cpu", "working_set", "memory", "rss")
MIN_RATE_SPAN = 1.0
"""Seconds between two readings that make a rate."""


class NodeUse:
    """Measures the pods of one node. Kernel files are read in a thread; no answer waits for the runtime."""

    def __init__(self, relister: Relister, cri: CriClient, parent: str, machine: Machine, clock: Clock) -> None:
        self._clock = clock
        self._relister = relister
        self._cri = cri
        self._parent = parent
        self._machine = machine
        self._written: dict[str, int] = {}
        self._written_at = float("-inf")
        self._readings: dict[str, tuple[float, int, int]] = {}
        """Time at which each container was read, its CPU time then, and its rate."""

    async def cadvisor(self) -> bytes:
        """The page `/metrics/cadvisor`."""
        return await asyncio.to_thread(self._page, self._pods())

    async def containers(self) -> list[ContainerUse]:
        """The use of each container that runs."""
        return await asyncio.to_thread(self._uses, self._pods(), self._clock.now().timestamp())

    @property
    def stale(self) -> bool:
        """True if `refresh` is due; true once per housekeeping interval."""
        now = self._clock.monotonic()
        if now - self._written_at < HOUSEKEEPING:
            return False
        self._written_at = now
        return True

    async def refresh(self) -> None:
        """Ask the runtime for the size of writable layers, for the answers after this."""
        try:
            listed = await self._cri.list_container_stats()
        except CriError as error:
            log.debug("sizes of writable layers are unknown", extra={"error": str(error)})
            return
        self._written = {one.attributes.id: one.writable_layer.used_bytes.value for one in listed}

    def _pods(self) -> list[Observed]:
        return [self._relister.get(uid) for uid in self._relister.uids]

    def _page(self, pods: list[Observed]) -> bytes:
        groups = subjects(GroupReader(), self._parent, pods, self._written)
        return metrics.page(cadvisor_lines(self._machine, groups, device_names()))

    def _uses(self, pods: list[Observed], now: float) -> list[ContainerUse]:
        reader = GroupReader(names=_SUMMED)
        homes = _homes(reader, self._parent)
        uses = []
        for pod in pods:
            path = homes.get(pod.uid, "")
            for one in _containers(reader, path, pod, reader.listed(path)) if path else ():
                uses.append(ContainerUse(one.namespace, one.pod, pod.uid, one.container, self._usage(one, now)))
        self._readings = {ident: reading for ident, reading in list(self._readings.items()) if reading[0] > now - 10 * HOUSEKEEPING}
        return uses

    def _usage(self, one: Subject, now: float) -> Usage:
        values = one.use.values
        cpu, (working, memory, rss) = int(values.get("cpu", 0) * 1e9), (int(values.get(name, 0)) for name in _SUMMED[1:])
        return Usage(cpu, self._rate(one.name, now, cpu), working, memory, rss, at=now, started=one.started)

    def _rate(self, ident: str, now: float, cpu: int) -> int:
        """Nanoseconds of CPU per second since the last reading."""
        before, cpu_before, rate = self._readings.get(ident, (0.0, 0, 0))
        if now - before < MIN_RATE_SPAN:
            return rate
        rate = int(max(cpu - cpu_before, 0) / (now - before)) if before else 0
        self._readings[ident] = (now, cpu, rate)
        return rate


def subjects(reader: GroupReader, parent: str, pods: Iterable[Observed], written: Mapping[str, int]) -> Iterator[Subject]:
    """The machine, the tiers, and each pod with its sandboxes and containers that run. Touches many files: for a thread.

    `written` has the size of writable layers by container.
    """
    for path in ("/", *(parent + tier for tier in TIERS)):
        yield Subject(path, reader.read(path), started=reader.created(path))
    homes = _homes(reader, parent)
    for pod in pods:
        path = homes.get(pod.uid, "")
        use, alive = reader.read(path), set(reader.listed(path))
        if not path or not use.values:
            continue  # Gone, maybe since its group was listed.
        yield Subject(path, use, pod.namespace, pod.name, started=reader.created(path))
        yield from _sandboxes(reader, path, pod, alive)
        yield from _containers(reader, path, pod, alive, written)


def _homes(reader: GroupReader, parent: str) -> dict[str, str]:
    """The group of each pod that has one, by uid."""
    return {
        name.removeprefix("pod"): f"{parent}{tier}/{name}"
        for tier in TIERS
        for name in reader.listed(parent + tier)
        if name.startswith("pod")
    }  # fmt: skip


def _sandboxes(reader: GroupReader, path: str, pod: Observed, alive: Collection[str]) -> Iterator[Subject]:
    for box in pod.sandboxes:
        if box.ready and box.id in alive:
            group = f"{path}/{box.id}"
            use = reader.read(group)
            network = interfaces(use.pids[0]) if use.pids else ()
            yield Subject(group, use, pod.namespace, pod.name, "", box.id, PAUSE_IMAGE, box.created, network)


def _containers(
    reader: GroupReader, path: str, pod: Observed, alive: Collection[str], written: Mapping[str, int] = MappingProxyType({})
) -> Iterator[Subject]:
    for one in pod.containers:
        if one.state == "running" and one.id in alive:
            group, image = f"{path}/{one.id}", one.image or one.image_ref
            yield Subject(
                group, reader.read(group), pod.namespace, pod.name, one.name, one.id, image, one.started, written=written.get(one.id)
            )  # fmt: skip
