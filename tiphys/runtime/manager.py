"""Runner of a set of controllers: shared informers and recorder, one client each, under leader election if desired."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from tiphys.aio.backoff import Backoff, BackoffPolicy
from tiphys.aio.clock import Clock, LoopClock
from tiphys.aio.tasks import supervise
from tiphys.client.client import Client
from tiphys.obs import metrics
from tiphys.obs.logging import get_logger
from tiphys.runtime.controller import Controller, ControllerContext, ControlLoop, note_write
from tiphys.runtime.declaration import Declaration, SharedCaches
from tiphys.runtime.informer import InformerFactory
from tiphys.runtime.key import Key
from tiphys.runtime.leader import LeaderElector
from tiphys.runtime.recorder import EventRecorder
from tiphys.runtime.workqueue import WorkQueue
from tiphys.settings.loop import WORKERS

log = get_logger(__name__)

RUNNING = metrics.gauge("running_managed_controllers", "Controllers that run here.", "name", "manager", stability="BETA")
RESTART = BackoffPolicy(first=1.0, cap=60.0)


class _Service(NamedTuple):
    name: str
    run: Callable[[], Awaitable[None]]


class Manager:
    """Add controllers, then `run`. A manager runs once: after LeadershipLost make a new one (or end the process, as upstream does)."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock | None = None,
        name: str = "tiphys-controller-manager",
        informers: InformerFactory | None = None,
        elector: LeaderElector | None = None,
        rng: random.Random | None = None,
        client_of: Callable[[Declaration], Client] | None = None,
    ) -> None:
        """`client_of` gives the client by which a loop writes; informers, events and leases use `client`."""
        self.client = client
        self._client_of = client_of or (lambda _: client)
        self.clock = clock or LoopClock()
        self.name = name
        self.rng = rng or random.Random()
        self.informers = informers or InformerFactory(client, clock=self.clock, rng=self.rng)
        self.elector = elector
        self.loops: list[ControlLoop] = []
        self._caches = SharedCaches(client.scheme)
        self._services: list[_Service] = []
        self._recorders: list[EventRecorder] = []

    def add_all(self, controllers: Iterable[Controller], *, workers: Callable[[str], int] = lambda name: WORKERS) -> None:
        """Set controllers up together, so that those which follow any kind use the caches that the others declare.

        `workers` gives the number of keys that a controller works on at once, by its name.
        """
        controllers = list(controllers)
        for controller in controllers:
            self._caches.note(controller.declaration)
        for controller in controllers:
            self.add(controller, workers=workers(controller.declaration.name))

    def add(self, controller: Controller, *, workers: int = WORKERS) -> ControlLoop:
        """Set a controller up. Its client is this manager's under the controller's name; its events come from `<name>-controller`, unless
        the declaration names a component.

        Raises UndeclaredRead for a controller that takes a cache which it does not declare.
        """
        name = controller.declaration.name
        self._caches.note(controller.declaration)
        component = controller.declaration.component or (name if name.endswith(("controller", "scheduler")) else f"{name}-controller")
        recorder = EventRecorder(self.client, component, clock=self.clock, rng=self.rng)
        queue: WorkQueue[Key] = WorkQueue(name, clock=self.clock)
        ctx = ControllerContext(
            controller.declaration,
            self._client_of(controller.declaration).derive(user_agent=f"{self.name}/{name}", on_write=note_write),
            self.informers,
            caches=self._caches,
            clock=self.clock,
            recorder=recorder,
            rng=self.rng,
            queue=queue,
        )
        controller.setup(ctx)
        loop = ControlLoop(controller, ctx, workers=workers)
        self.loops.append(loop)
        self._recorders.append(recorder)
        return loop

    def add_service(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Add a background task to run while leading, restarted after an exception (a periodic sweep, for example)."""
        self._services.append(_Service(name, run))

    @property
    def synced(self) -> bool:
        """True if every controller has the caches it needs."""
        return all(loop.synced for loop in self.loops)

    @property
    def idle(self) -> bool:
        """True if no key is queued or being processed (delayed keys may be waiting)."""
        return all(loop.ctx.queue.idle for loop in self.loops)

    async def run(self) -> None:
        """Run everything until cancelled; with an elector, wait to be elected first (raises LeadershipLost)."""
        try:
            if self.elector is not None:
                await self.elector.run(self._lead)
            else:
                await self._lead()
        finally:
            for recorder in self._recorders:
                await recorder.close()

    async def _lead(self) -> None:
        self.informers.start()
        log.info("controllers starting", extra={"controllers": len(self.loops)})
        try:
            async with asyncio.TaskGroup() as group:
                for loop in self.loops:
                    group.create_task(loop.run(), name=f"controller {loop.ctx.name}")
                    RUNNING.labels(loop.ctx.name, self.name).set(1)
                for service in self._services:
                    restart = Backoff(RESTART, self.rng)
                    group.create_task(supervise(service.name, service.run, clock=self.clock, backoff=restart), name=service.name)
                if not self.loops and not self._services:
                    await asyncio.get_running_loop().create_future()
        finally:
            for loop in self.loops:
                RUNNING.labels(loop.ctx.name, self.name).set(0)
            await self.informers.stop()
