"""Keeps the mirror pods of a node in the API: created, put back when deleted, with the status of the processes that they show."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from tiphys import __version__
from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.client.client import Client
from tiphys.node.mirror.part import Part, Run
from tiphys.node.mirror.pod import NAMESPACE, is_mirror, is_mirror_of, mirror_pod, mirror_status, pod_name
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.settings import NodeSettings
from tiphys.runtime.informer import Informer

log = logging.getLogger(__name__)

_TROUBLE = (StatusError, ConnectionError, TimeoutError, OSError)


class MirrorPods:
    """The mirror pods of one node.

    `node` gives the Node object of the moment: a node that registers again has another uid, and its mirror pods refer to that. A mirror
    pod on this node that shows none of the `parts` is deleted, as nobody else would do it.
    """

    def __init__(
        self,
        client: Client,
        statuses: StatusWriter,
        clock: Clock,
        settings: NodeSettings,
        parts: Sequence[Part],
        pods: Informer[core.Pod],
        node: Callable[[], Awaitable[core.Node]],
    ) -> None:
        self._client = client
        self._statuses = statuses
        self._clock = clock
        self._settings = settings
        self._parts = parts
        self._pods = pods
        self._node = node
        self._changed = asyncio.Event()

    def find(self, namespace: str, name: str) -> Part | None:
        """The part behind a mirror pod, None for every other pod."""
        if not any(pod.metadata.name == name and pod.metadata.namespace == namespace for pod in self.pods()):
            return None
        return next((part for part in self._parts if pod_name(part, self._settings.name) == name), None)

    def pods(self) -> list[core.Pod]:
        """The mirror pods of this node, as the API has them."""
        return [pod for pod in self._pods.list() if is_mirror(pod)]

    async def run(self) -> None:
        """Publish until cancelled: look at the processes once per `status_period`, write to the API only what changed."""
        self._pods.subscribe(self._on_pod)
        await self._pods.wait_synced()
        while True:
            self._changed.clear()
            try:
                await self._sync(await self._node())
            except _TROUBLE as error:
                log.info("mirror pods not published", extra={"error": str(error)})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.status_period):
                    await self._changed.wait()
                # Pods deleted in a loop come back at a bounded rate.
                await self._clock.sleep(0.2)

    def _on_pod(self, old: core.Pod | None, new: core.Pod | None) -> None:
        if new is not None and is_mirror(new):
            self._statuses.observe(new)
        gone = old is not None and is_mirror(old) and (new is None or new.metadata.uid != old.metadata.uid)
        if gone and old is not None:
            self._statuses.forget(old.metadata.uid)
        if gone or (new is not None and is_mirror(new) and (old is None or new.metadata.deletionTimestamp is not None)):
            self._changed.set()

    async def _sync(self, node: core.Node) -> None:
        runs = await asyncio.to_thread(lambda: [part.read() for part in self._parts])
        now = self._clock.now()
        desired = [(mirror_pod(part, node, __version__, now), run) for part, run in zip(self._parts, runs, strict=True) if run is not None]
        manifests = {(NAMESPACE, manifest.metadata.name): manifest for manifest, _ in desired}
        kept: dict[str, core.Pod] = {}
        for pod in self.pods():
            manifest = manifests.get((pod.metadata.namespace, pod.metadata.name))
            if manifest is not None and pod.metadata.deletionTimestamp is None and is_mirror_of(pod, manifest):
                kept[pod.metadata.name] = pod
            else:
                await self._delete(pod)
        for manifest, run in desired:
            await self._publish(manifest, run, kept.get(manifest.metadata.name))

    async def _publish(self, manifest: core.Pod, run: Run, pod: core.Pod | None) -> None:
        if pod is None:
            try:
                pod = await self._client.create(manifest)
            except AlreadyExists:
                # Another pod has the name, or the informer has not yet shown the new pod.
                log.debug("mirror pod exists", extra={"pod": manifest.metadata.name})
                return
        self._statuses.set(pod, mirror_status(pod, run, self._settings.addresses))

    async def _delete(self, pod: core.Pod) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await self._client.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid, grace=0)
