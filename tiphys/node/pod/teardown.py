"""Removal of a pod whose containers have ended: its resources on the node, its volumes, its object in the API."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.node.services import NodeServices
from tiphys.node.volumes.payload import VolumeError

log = logging.getLogger(__name__)


async def tear_down(services: NodeServices, uid: str, who: str, pause: Callable[[], float]) -> None:
    """Release the pod's resources besides its containers, trying its volumes every `pause()` seconds until they are removed."""
    services.allocations.leave(uid)
    await services.assigners.release(uid)
    services.images.forget(uid)
    services.objects.use(uid, set())
    while True:
        try:
            await services.volumes.tear_down(uid)
            break
        except (OSError, VolumeError) as error:
            log.warning("volumes of a pod not removed", extra={"pod": who, "error": str(error)})
            await services.clock.sleep(pause())


async def delete_object(services: NodeServices, pod: core.Pod) -> None:
    """Delete the pod from the API once its last status is there. Raises StatusError or OSError."""
    meta = pod.metadata
    await services.statuses.wait_written(meta.uid)
    with contextlib.suppress(NotFound, Conflict):
        await services.client.delete(core.Pod, meta.name, meta.namespace, grace=0, uid=meta.uid)
