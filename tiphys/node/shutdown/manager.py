"""Ends the pods of a node that shuts down, in order, and takes no new ones meanwhile ("Node Shutdowns", KEP-2000, KEP-2712)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from tiphys.node.pod.worker import PodWorker
from tiphys.node.services import NodeServices
from tiphys.node.shutdown.plan import MESSAGE, REASON, Group, grace, groups, periods
from tiphys.node.shutdown.state import ShutdownState, load, store
from tiphys.obs import metrics

log = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between looks at pods that end."""
_ENDED = ("terminated", "removing", "removed", "gone")

START_TIME = metrics.gauge("kubelet_graceful_shutdown_start_time_seconds", "Start of the last graceful shutdown, in unix seconds.")
END_TIME = metrics.gauge("kubelet_graceful_shutdown_end_time_seconds", "End of the last graceful shutdown, in unix seconds.")


class ShutdownManager:
    """Waits for `begin`, then ends the pods that `serving` names. `hurry` has the Node's status written at once."""

    def __init__(self, services: NodeServices, serving: Callable[[], Iterable[PodWorker]], hurry: Callable[[], None]) -> None:
        self._services = services
        self._serving = serving
        self._hurry = hurry
        settings = services.settings
        self.periods = periods(settings.shutdown_grace, settings.shutdown_grace_critical, settings.shutdown_grace_by_priority)
        self._requested = asyncio.Event()
        self.finished = asyncio.Event()
        """Set once the pods have ended, or their time is over."""

    @property
    def seconds(self) -> int:
        """The time that a shutdown takes at most; 0 if graceful shutdown is off."""
        return sum(period.seconds for period in self.periods)

    def obstacle(self) -> str:
        """Return why the node is not ready, or ""."""
        return "node is shutting down" if self._services.shutting_down.is_set() else ""

    def begin(self) -> None:
        """The machine is about to be shut down."""
        if not self.periods:
            log.warning("the node is told to shut down, but shutdownGracePeriod is not set: pods are left as they are")
            return
        if not self._services.shutting_down.is_set():
            self._services.shutting_down.set()
            self._services.tell_of_node("Normal", "Shutdown", "Shutdown manager detected shutdown event")
            self.finished.clear()
            self._requested.set()
            self._hurry()

    def cancel(self) -> None:
        """The machine stays up after all: pods are taken again. Those that were told to end do end."""
        if self._services.shutting_down.is_set():
            self._services.shutting_down.clear()
            self._services.tell_of_node("Normal", "Shutdown", "Shutdown manager detected shutdown cancellation")
            self._hurry()

    async def run(self) -> None:
        """Carry shutdowns out, until cancelled."""
        await self._show(await asyncio.to_thread(load, self._services.settings.root))
        while True:
            await self._requested.wait()
            self._requested.clear()
            await self._shut_down()
            self.finished.set()

    async def _shut_down(self) -> None:
        clock = self._services.clock
        begun = clock.now()
        await self._record(ShutdownState(begun))
        workers = {worker.uid: worker for worker in self._serving() if worker.pod is not None}
        for group in groups((worker.view() for worker in workers.values()), self.periods):
            await self._end(group, workers)
        await self._record(ShutdownState(begun, clock.now()))
        log.info("pods have ended for the shutdown of the node", extra={"pods": len(workers)})

    async def _end(self, group: Group, workers: dict[str, PodWorker]) -> None:
        """End a group, and wait until nothing runs and the volumes are unmounted, which later groups may have the drivers of."""
        members = [workers[pod.metadata.uid] for pod in group.pods]
        for pod, worker in zip(group.pods, members, strict=True):
            worker.give_up(REASON, MESSAGE, grace=grace(pod, group.seconds), disruption=MESSAGE)
        clock = self._services.clock
        deadline = clock.monotonic() + group.seconds
        while (late := [worker.who for worker in members if worker.life.state not in _ENDED]) and clock.monotonic() < deadline:
            await clock.sleep(LOOK)
        if late:
            log.warning("pods have not ended in the time of their group", extra={"pods": late, "seconds": group.seconds})
        # The API server may go with a later group, or with the machine.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - clock.monotonic(), 0)):
                await asyncio.gather(*(self._services.statuses.wait_written(worker.uid) for worker in members))

    async def _record(self, state: ShutdownState) -> None:
        try:
            await asyncio.to_thread(store, self._services.settings.root, state)
        except OSError as error:
            log.warning("shutdown not recorded", extra={"error": str(error)})
        await self._show(state)

    async def _show(self, state: ShutdownState) -> None:
        START_TIME.labels().set(state.start_time.timestamp() if state.start_time is not None else 0)
        END_TIME.labels().set(state.end_time.timestamp() if state.end_time is not None else 0)
