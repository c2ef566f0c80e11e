"""Keeping containers' logs small: moved aside by size, the newest few kept ("Logging Architecture", log rotation)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from tiphys.node.container import logs
from tiphys.node.cri.errors import CriError
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)


async def rotate_logs(services: NodeServices) -> None:
    """Look at the logs of running containers now and then, until cancelled."""
    while True:
        await services.clock.sleep(services.settings.log_period)
        await rotate_large(services)


async def rotate_large(services: NodeServices) -> None:
    """Rotate the logs of running containers that are too large, a few at once."""
    gate = asyncio.Semaphore(services.settings.log_workers)

    async def one(container_id: str, path: Path) -> None:
        async with gate:
            await rotate_one(services, container_id, path)

    running = [container for uid in services.relister.uids for container in services.relister.get(uid).running if container.log_path]
    async with asyncio.TaskGroup() as group:
        for container in running:
            path = Path(container.log_path)
            if logs.needs_rotation(path, services.settings.log_max_bytes):
                group.create_task(one(container.id, path), name=f"rotate {path}")


async def rotate_one(services: NodeServices, container_id: str, path: Path) -> None:
    """Move one log aside and have a new one opened; without a new one the old goes back, so that nothing is lost."""
    try:
        moved = await asyncio.to_thread(logs.rotate, path, services.settings.log_max_files, services.clock.now())
    except OSError as error:
        log.warning("log not rotated", extra={"path": str(path), "error": str(error)})
        return
    try:
        await services.cri.reopen_container_log(container_id)
    except CriError as error:
        log.warning("log not reopened", extra={"path": str(path), "error": str(error)})
        await asyncio.to_thread(logs.put_back, moved, path)
