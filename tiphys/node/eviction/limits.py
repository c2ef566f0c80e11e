"""The loop that evicts pods which use more local storage than their limits allow.

Only pods with such limits are measured, in a thread and one after the other, and the pauses grow with the time that measuring takes. So a
node without them does nothing, and millions of files in a volume cost a small share of one core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from tiphys.api.core import v1 as core
from tiphys.node.eviction.local_storage import Excess, StorageUse, excess, is_limited, limits_containers
from tiphys.node.eviction.measure import storage_use
from tiphys.node.eviction.pod_use import Layers, UseMeter
from tiphys.node.metrics import families
from tiphys.node.pod.preemption import is_critical
from tiphys.node.pod.worker import PodWorker
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

REASON = "Evicted"
PERIOD = 10.0
"""Seconds between looks at the pods: upstream's."""
SHARE = 20.0
"""A look that took one second is followed by a pause of at least so many."""
GRACE = 1
"""Seconds that an evicted pod has to end."""


class LimitEvictions:
    """Looks at the pods that `serving` names and gives up those that exceed a limit."""

    def __init__(self, services: NodeServices, serving: Callable[[], Iterable[PodWorker]]) -> None:
        self.services = services
        self._serving = serving
        self._uses = UseMeter(services)

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        clock = self.services.clock
        while True:
            began = clock.monotonic()
            await self.look()
            await clock.sleep(max(PERIOD, (clock.monotonic() - began) * SHARE))

    async def look(self) -> None:
        """Measure the pods that have limits, and evict."""
        workers = [worker for worker in self._serving() if worker.pod is not None and is_limited(worker.pod)]
        if not workers:
            return
        layers: Layers = {}
        if any(worker.pod is not None and limits_containers(worker.pod) for worker in workers):
            layers = await self._uses.layers()
        for worker in workers:
            pod = worker.pod
            if pod is None:
                continue
            sizes = {name: size.bytes for name, size in layers.get(worker.uid, {}).items()}
            use = await asyncio.to_thread(self._measure, pod, sizes)
            over = excess(pod, use)
            # Measuring takes a while, in which the pod may have ended.
            if over is not None and worker in self._serving():
                self._evict(worker, pod, over)

    def _measure(self, pod: core.Pod, layers: dict[str, int]) -> StorageUse:
        meta = pod.metadata
        logs = self.services.settings.logs / f"{meta.namespace}_{meta.name}_{meta.uid}"
        return storage_use(pod, paths=self.services.volumes.paths(meta.uid), logs=logs, layers=layers)

    def _evict(self, worker: PodWorker, pod: core.Pod, over: Excess) -> None:
        if is_critical(pod):
            log.error("a critical pod exceeds its limit and is not evicted", extra={"pod": worker.who, "limit": over.message})
            return
        log.info("pod is evicted", extra={"pod": worker.who, "limit": over.message})
        self.services.tell(pod, "", "Warning", REASON, over.message)
        worker.give_up(REASON, over.message, grace=GRACE)
        families.EVICTIONS.labels(over.signal).inc()
