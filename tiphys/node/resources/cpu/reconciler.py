"""The loop that keeps the CPUs of running containers as the CPU manager has assigned them: at each change, and every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.host.cpuset import format_cpus
from tiphys.node.resources.cpu.manager import CpuManager
from tiphys.node.runtime.pleg import Relister

log = logging.getLogger(__name__)


class CpuReconciler:
    """Updates containers whose CPUs differ from those that they last got. `period` is in seconds."""

    def __init__(self, manager: CpuManager, cri: CriClient, relister: Relister, *, period: float) -> None:
        self.manager = manager
        self.cri = cri
        self.relister = relister
        self.period = period
        self._applied: dict[str, frozenset[int]] = {}

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await self.manager.started.wait()
        while True:
            self.manager.changed.clear()
            await self.reconcile()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.period):
                    await self.manager.changed.wait()

    async def reconcile(self) -> None:
        """Look at all running containers once. A failure is logged and tried again at the next look."""
        running = {}
        for uid in self.relister.uids:
            for container in self.relister.get(uid).running:
                running[container.id] = (uid, container.name)
        self._applied = {ident: cpus for ident, cpus in self._applied.items() if ident in running}
        for ident, (uid, name) in running.items():
            # Read one by one: the assignment may change while an update is under way.
            cpus = self.manager.cpus_of(uid, name)
            if self._applied.get(ident) != cpus:
                try:
                    await self.cri.update_container_resources(ident, pb.LinuxContainerResources(cpuset_cpus=format_cpus(cpus)))
                except CriError as error:
                    log.warning("CPUs of a container not updated", extra={"container": ident, "error": str(error)})
                else:
                    self._applied[ident] = cpus
