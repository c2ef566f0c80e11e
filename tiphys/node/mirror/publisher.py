"""Keeps the mirror pods of a node in the API: created, put back when deleted, with the status of what they show."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec

from tiphys import __version__
from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import AlreadyExists, Conflict, NotFound, StatusError
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.client.client import Client
from tiphys.node.mirror.part import Part, Run
from tiphys.node.mirror.pod import is_mirror, is_mirror_of, mirror_pod, mirror_status, pod_name, static_mirror, translated
from tiphys.node.mirror.static import StaticStatuses
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.settings import NodeSettings
from tiphys.runtime.informer import Informer
from tiphys.runtime.key import Key

log = logging.getLogger(__name__)

_TROUBLE = (StatusError, ConnectionError, TimeoutError, OSError)


class _Mirror(msgspec.Struct, frozen=True):
    """A mirror pod as it should be: the pod to create, and the status of the created one."""

    manifest: core.Pod
    status: Callable[[core.Pod], core.PodStatus]


class MirrorPods:
    """The mirror pods of one node, for its daemons (`parts`) and its static pods (`static`).

    `tell` gets a static pod and the reason for which its mirror pod was not created. `node` gives the Node object of the moment: a node
    that registers again has another uid, and its mirror pods refer to that. A mirror pod on this node that shows neither a daemon nor a
    static pod is deleted, as nobody else would do it.
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
        *,
        static: StaticStatuses,
        tell: Callable[[core.Pod, str], None],
    ) -> None:
        self._client = client
        self._statuses = statuses
        self._clock = clock
        self._settings = settings
        self._parts = parts
        self._pods = pods
        self._node = node
        self._static = static
        self._tell = tell
        self._refused: dict[str, str] = {}
        self._changed = asyncio.Event()
        static.subscribe(self._on_static)

    def find(self, namespace: str, name: str) -> Part | None:
        """The part behind a mirror pod, None for every other pod."""
        if not any(pod.metadata.name == name and pod.metadata.namespace == namespace for pod in self.pods()):
            return None
        return next((part for part in self._parts if pod_name(part, self._settings.name) == name), None)

    def is_mirror_of(self, pod: core.Pod, uid: str) -> bool:
        """True if a uid is that of the mirror pod of a static pod."""
        mirror = self._pods.get(Key(pod.metadata.namespace, pod.metadata.name))
        return mirror is not None and mirror.metadata.uid == uid and _shows(mirror, pod.metadata.uid)

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

    def _on_static(self, uid: str) -> None:
        shown = self._static.get(uid)
        if shown is not None:
            pod, status = shown
            mirror = self._pods.get(Key(pod.metadata.namespace, pod.metadata.name))
            if mirror is not None and _shows(mirror, uid):
                self._statuses.set(mirror, translated(status, mirror))
                return
        self._changed.set()

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
        mirrors = {_name(mirror.manifest): mirror for mirror in (*self._of_static(node), *self._of_parts(node, runs, self._clock.now()))}
        kept: dict[tuple[str, str], core.Pod] = {}
        for pod in self.pods():
            desired = mirrors.get(_name(pod))
            if desired is not None and pod.metadata.deletionTimestamp is None and is_mirror_of(pod, desired.manifest):
                kept[_name(pod)] = pod
            elif desired is not None or pod.metadata.deletionTimestamp is not None or not self._static.may_come(_hash(pod)):
                await self._delete(pod)
        for name, mirror in mirrors.items():
            await self._publish(mirror, kept.get(name))

    def _of_parts(self, node: core.Node, runs: Sequence[Run | None], now: datetime) -> list[_Mirror]:
        addresses = self._settings.addresses
        return [
            _Mirror(mirror_pod(part, node, __version__, now), partial(mirror_status, run=run, addresses=addresses))
            for part, run in zip(self._parts, runs, strict=True)
            if run is not None
        ]

    def _of_static(self, node: core.Node) -> list[_Mirror]:
        return [_Mirror(static_mirror(pod, node), partial(translated, status)) for pod, status in self._static.all()]

    async def _publish(self, mirror: _Mirror, pod: core.Pod | None) -> None:
        manifest = mirror.manifest
        uid = manifest.metadata.annotations[CONFIG_MIRROR]
        if pod is None:
            try:
                pod = await self._client.create(manifest)
            except AlreadyExists:
                # Another pod has the name, or the informer has not yet shown the new pod.
                log.debug("mirror pod exists", extra={"pod": manifest.metadata.name})
                return
            except StatusError as error:
                # Such as a namespace that is not there: the others are published all the same.
                self._report(uid, manifest, str(error))
                return
            self._refused.pop(uid, None)
        self._statuses.set(pod, mirror.status(pod))

    def _report(self, uid: str, manifest: core.Pod, problem: str) -> None:
        if self._refused.get(uid) == problem:
            return
        self._refused[uid] = problem
        log.warning("mirror pod not created", extra={"pod": "/".join(_name(manifest)), "error": problem})
        if (shown := self._static.get(uid)) is not None:
            self._tell(shown[0], f"Failed to create the mirror pod: {problem}")

    async def _delete(self, pod: core.Pod) -> None:
        with contextlib.suppress(NotFound, Conflict):
            await self._client.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid, grace=0)


def _name(pod: core.Pod) -> tuple[str, str]:
    return pod.metadata.namespace, pod.metadata.name


def _hash(mirror: core.Pod) -> str:
    return mirror.metadata.annotations.get(CONFIG_MIRROR, "")


def _shows(mirror: core.Pod, uid: str) -> bool:
    return _hash(mirror) == uid and mirror.metadata.deletionTimestamp is None
