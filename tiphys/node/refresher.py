"""Keeping the files in running pods' volumes up to date: changed config maps and secrets at once, tokens before they end."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.node.services import NodeServices
from tiphys.node.volumes.payload import VolumeError

log = logging.getLogger(__name__)

RETRY = 5.0
TOKEN_PERIOD = 30.0


class VolumeRefresher:
    """Refreshes the volumes of registered pods. `running` gives a pod while its volumes are in use."""

    def __init__(self, services: NodeServices, running: Callable[[str], core.Pod | None]) -> None:
        self.services = services
        self._running = running
        self._dirty: set[str] = set()
        self._busy: set[str] = set()
        self._tasks = TaskSet()

    def mark(self, uid: str) -> None:
        """Something that the pod's files are made from has changed."""
        self._dirty.add(uid)
        if uid not in self._busy:
            self._busy.add(uid)
            self._tasks.spawn(self._refresh(uid), name=f"refresh volumes of {uid}")

    async def run(self) -> None:
        """Renew tokens when their time comes, until cancelled."""
        clock = self.services.clock
        while True:
            await clock.sleep(TOKEN_PERIOD)
            now = clock.now()
            for uid in self.services.relister.uids:
                due = self.services.tokens.renewal(uid)
                if due is not None and due <= now:
                    self.mark(uid)

    async def close(self) -> None:
        await self._tasks.close()

    async def _refresh(self, uid: str) -> None:
        try:
            while uid in self._dirty:
                self._dirty.discard(uid)
                pod = self._running(uid)
                if pod is None:
                    return
                try:
                    await self.services.volumes.refresh(pod, self.services.identity(pod, self.services.relister.get(uid)))
                except VolumeError as error:
                    self.services.tell(pod, "", "Warning", "FailedMount", str(error))
                    self._dirty.add(uid)
                    await self.services.clock.sleep(RETRY)
        finally:
            self._busy.discard(uid)
