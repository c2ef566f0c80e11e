"""Stopping containers: the preStop hook, the stop signal, and SIGKILL when the time is over ("Termination of Pods").

Ordinary containers end together; then the sidecars, the last one first (KEP-753), in what is left of the same time.
"""

from __future__ import annotations

import asyncio
import contextlib

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import is_sidecar
from tiphys.node.container.hooks import run_hook
from tiphys.node.cri.errors import NotFound
from tiphys.node.names import DEFAULT_GRACE
from tiphys.node.pod.observed import SeenContainer
from tiphys.node.pod.plan import find_container, grace_of
from tiphys.node.services import NodeServices


class PodKiller:
    """Stops a pod, or single containers of it."""

    def __init__(self, services: NodeServices, uid: str, pod: core.Pod | None) -> None:
        self.services = services
        self.uid = uid
        self.pod = pod

    async def kill(self, *, grace_cap: int | None = None, missing: bool = False) -> None:
        """Stop everything of the pod, the sandboxes last. Raises CriError."""
        seen = await self.services.relister.refresh(self.uid)
        grace = self._grace(seen.running, missing=missing)
        if grace_cap is not None:
            grace = min(grace, max(grace_cap, 1))
        deadline = self.services.clock.monotonic() + grace
        sidecars = self._sidecars()
        await asyncio.gather(*(self._stop(one, deadline) for one in seen.running if one.name not in sidecars))
        for name in reversed(sidecars):
            for one in seen.running:
                if one.name == name:
                    await self._stop(one, deadline)
        # Those that died by themselves too: until they are stopped they hold their network namespace and address.
        for box in seen.sandboxes:
            await self.services.cri.stop_pod_sandbox(box.id)

    async def stop_one(self, container: SeenContainer, grace: int, message: str) -> None:
        """Stop a single container. Raises CriError."""
        await self._stop(container, self.services.clock.monotonic() + grace, message)

    def _grace(self, running: tuple[SeenContainer, ...], *, missing: bool) -> int:
        if self.pod is None:
            return max((one.grace if one.grace is not None else DEFAULT_GRACE for one in running), default=1)
        if missing and self.pod.metadata.deletionTimestamp is None:
            return 1  # removed from the API without waiting for us: it must go at once
        return grace_of(self.pod)

    def _sidecars(self) -> list[str]:
        if self.pod is None:
            return []
        return [container.name for container in self.pod.spec.initContainers if is_sidecar(container)]

    async def _stop(self, seen: SeenContainer, deadline: float, message: str = "") -> None:
        clock = self.services.clock
        if self.pod is not None:
            self.services.tell(self.pod, seen.name, "Normal", "Killing", message or f"Stopping container {seen.name}")
            deleted = self.pod.metadata.deletionTimestamp is not None
            self.services.stopped[seen.id] = message or ("the pod was deleted" if deleted else "the pod was stopped")
            await self._pre_stop(seen, deadline - clock.monotonic())
        left = deadline - clock.monotonic()
        with contextlib.suppress(NotFound):
            await self.services.cri.stop_container(seen.id, grace=max(round(left), 1))

    async def _pre_stop(self, seen: SeenContainer, left: float) -> None:
        assert self.pod is not None
        container = find_container(self.pod, seen.name)
        if container is None or container.lifecycle is None or container.lifecycle.preStop is None or left <= 0:
            return
        ip = self.services.pod_ip(self.pod, self.services.relister.get(self.uid))
        wrong = "the hook took longer than the grace period"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                wrong = await run_hook(
                    self.services.cri,
                    self.services.clock,
                    container,
                    container.lifecycle.preStop,
                    container_id=seen.id,
                    pod_ip=ip,
                    timeout=left,
                )
        if wrong:
            self.services.tell(self.pod, seen.name, "Warning", "FailedPreStopHook", f"PreStopHook failed: {wrong}")
