"""Removal of dead containers with their logs. The choice is in `dead_plan.py`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from tiphys.node.container.logs import rotated
from tiphys.node.cri.errors import CriError
from tiphys.node.garbage import dead_plan
from tiphys.node.garbage.dead_plan import DeadContainer, DeadPolicy
from tiphys.node.garbage.disk import Progress
from tiphys.node.pod.observed import Observed
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

Pods = Callable[[], Iterable[tuple[Observed, bool]]]
"""Pods of the node, and True with each that is over."""


class DeadCollector:
    """The dead containers of a node."""

    def __init__(self, services: NodeServices, policy: DeadPolicy, pods: Pods) -> None:
        self.services = services
        self.policy = policy
        self._pods = pods

    async def collect(self) -> int:
        """Remove the containers that the policy gives up; returns their number. Raises CriError for one that was not removed."""
        return await self._remove(self.policy, None)

    async def reclaim(self, progress: Progress) -> int:
        """Remove dead containers, whatever their age, until there is enough room; returns their number. Raises CriError, OSError."""
        return await self._remove(dead_plan.PRESSURE, progress)

    async def _remove(self, policy: DeadPolicy, progress: Progress | None) -> int:
        now = self.services.clock.now().timestamp()
        failure: CriError | None = None
        count = 0
        for one in dead_plan.removable(dead_plan.dead_containers(self._pods()), policy, now):
            if progress is not None and await asyncio.to_thread(progress.is_enough):
                break
            # A pod whose dead container counts again, since the newer one is gone, keeps it.
            if one not in dead_plan.dead_containers(self._pods()):
                continue
            try:
                await self._remove_one(one)
                count += 1
                if progress is not None:
                    progress.count()
            except CriError as error:
                log.warning("dead container not removed", extra={"container": one.id, "uid": one.uid, "error": str(error)})
                failure = error
        if failure is not None and progress is None:
            raise failure
        return count

    async def _remove_one(self, one: DeadContainer) -> None:
        await self.services.cri.remove_container(one.id)
        if one.log_path:
            await asyncio.to_thread(remove_logs, Path(one.log_path))
        await self.services.relister.refresh(one.uid)


def remove_logs(path: Path) -> None:
    """Remove the log of one container with its rotated files. Blocking."""
    for file in (path, *rotated(path)):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("log not removed", extra={"path": str(file), "error": str(error)})
