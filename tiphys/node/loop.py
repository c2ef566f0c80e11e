"""The loop that brings a node's pods, its container runtime and its probes together: everything that happens wakes the worker concerned.

Pods come from an informer on `spec.nodeName`. Ends of containers come from containerd's event stream the moment they happen; the runtime
is also looked at every few seconds (every second where there is no stream), so a lost event costs delay, not correctness.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime

import msgspec

from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.node.cri.errors import CriError
from tiphys.node.metrics import families
from tiphys.node.metrics.working import Work
from tiphys.node.mirror.pod import history, is_mirror
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.worker import PodWorker
from tiphys.node.refresher import VolumeRefresher
from tiphys.node.runtime.containerd_events import End
from tiphys.node.serve.unread_stdin import pipes_of, release_stdin
from tiphys.node.services import NodeServices
from tiphys.node.static.plan import plan_static
from tiphys.runtime.informer import Informer
from tiphys.runtime.key import Key

log = logging.getLogger(__name__)

CHASE = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0)
"""Seconds between looks at a container whose process has ended, until the runtime has noticed too."""

SETTLE = 3.0
"""Seconds after the event stream was opened during which it is not yet relied upon."""

HISTORY_WAIT = 2.0
"""Seconds for which the static pods of a kubelet that starts wait for the statuses of their mirror pods."""

STALLED = 120.0
"""Seconds without a look at the runtime after which the loop counts as stuck."""

Ends = Callable[[], AsyncIterator[End]]


class PodLoop:
    """The workers of all pods of a node."""

    def __init__(self, services: NodeServices, pods: Informer[core.Pod], *, ends: Ends | None = None, awaits_static: bool = False) -> None:
        self.services = services
        self.pods = pods
        self.refresher = VolumeRefresher(services, self._running_pod)
        self.runtime_error = "the container runtime was not asked yet"
        """Reason for which the runtime does not answer, or ""."""
        self.begun = asyncio.Event()
        """Set once there is a worker for every pod of the API and of the runtime."""
        self.live = False
        """True if pods are being served: the API server and the runtime have both answered once."""
        self._looked = services.clock.monotonic()
        self._ends = ends
        self._awaits_static = awaits_static
        self._static: dict[str, core.Pod] = {}
        self._left_over: set[str] = set()
        self._begun = False
        self._complete = asyncio.Event()
        """Set once every source of static pods has answered: until then a pod that nobody knows may be one of theirs."""
        if awaits_static:
            services.static.expect(None)
        else:
            self._complete.set()
        self._workers: dict[str, PodWorker] = {}
        self._tasks = TaskSet()
        self._streaming = False
        self._quiet_from = 0.0
        self._relist_now = asyncio.Event()

    # -- queries

    def health(self) -> str:
        """Return why pods are not being served, or ""."""
        if not self._begun:
            return "no pod was looked at"
        late = self.services.clock.monotonic() - self._looked > STALLED
        return "sync Loop took longer than expected" if late else ""

    def worker(self, uid: str) -> PodWorker | None:
        return self._workers.get(uid)

    def known_pods(self) -> list[core.Pod]:
        """Every pod that is being worked on, with the status as this node sees it."""
        return [worker.view() for worker in self._workers.values() if worker.pod is not None]

    def serving(self) -> list[PodWorker]:
        """The workers of pods that run, or are about to."""
        return [worker for worker in self._workers.values() if worker.is_serving]

    def workers(self) -> list[PodWorker]:
        """Return all workers, also those of pods that the API server does not know."""
        return list(self._workers.values())

    def work(self) -> list[Work]:
        """Every worker as metrics count it."""
        return [
            Work(
                worker.life.state, worker.is_known, worker.pod is not None, static=worker.static,
                ephemeral=len(worker.pod.spec.ephemeralContainers) if worker.pod is not None else 0,
            )
            for worker in self._workers.values()
        ]  # fmt: skip

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of a pod by name."""
        for worker in self._workers.values():
            pod = worker.pod
            if pod is not None and pod.metadata.namespace == namespace and pod.metadata.name == name and (worker.in_api or worker.static):
                return worker
        return None

    # -- what wakes workers; nothing here waits

    def on_runtime(self, observed: Observed) -> None:
        """The runtime shows something new about a pod."""
        worker = self._workers.get(observed.uid)
        if worker is not None:
            self._guarded(worker, worker.observe)
        elif self.live and self._complete.is_set() and not observed.empty:
            self._add(observed.uid, None)

    def on_probe(self, uid: str) -> None:
        """A probe has a new verdict on one of the pod's containers."""
        if (worker := self._workers.get(uid)) is not None:
            self._guarded(worker, worker.wake)

    def on_health(self, uids: Collection[str]) -> None:
        """Devices of these pods have another health."""
        for uid in uids:
            if (worker := self._workers.get(uid)) is not None:
                self._guarded(worker, worker.wake)

    def on_objects(self, uids: set[str]) -> None:
        """A config map or secret of these pods changed."""
        for uid in uids:
            if (worker := self._workers.get(uid)) is not None:
                self._guarded(worker, worker.wake)
                self.refresher.mark(uid)

    def set_static(self, pods: Sequence[core.Pod], complete: bool) -> None:
        """Run exactly these static pods. `complete` says that every source has answered."""
        self._static = {pod.metadata.uid: pod for pod in pods}
        if self._begun:
            self._sync_static()
        self.services.static.expect(self._static.keys() if complete else None)
        if complete:
            self._complete.set()

    def _sync_static(self) -> None:
        workers = {uid: worker.pod for uid, worker in self._workers.items() if worker.static and worker.pod is not None}
        changes = plan_static(self._static, workers, busy=self._workers.keys())
        for uid in changes.end:
            self._guarded(self._workers[uid], self._workers[uid].withdraw)
        for uid in changes.start:
            pod = self._static[uid]
            mirror = self.pods.get(Key(pod.metadata.namespace, pod.metadata.name))
            self._add(uid, msgspec.structs.replace(pod, status=history(mirror, uid)))

    def _on_pod(self, old: core.Pod | None, new: core.Pod | None) -> None:
        # A mirror pod shows what runs already: there is nothing to work on.
        old, new = (None if pod is not None and is_mirror(pod) else pod for pod in (old, new))
        if not self.live:
            return
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            gone = self._workers.get(old.metadata.uid)
            if gone is not None and gone.in_api:
                if gone.pod is not None and old.metadata.deletionTimestamp is not None:
                    gone.pod = old
                self._guarded(gone, gone.missing)
        if new is None:
            return
        worker = self._workers.get(new.metadata.uid)
        if worker is None:
            self._add(new.metadata.uid, new)
            return
        before = worker.pod
        self._guarded(worker, lambda: worker.update(new))
        if before is not None and _downward(before) != _downward(new):
            self.refresher.mark(new.metadata.uid)

    def _guarded(self, worker: PodWorker, tell: Callable[[], None]) -> None:
        """Tell a worker something; a mistake about one pod must not stop the others."""
        try:
            tell()
        except Exception:
            log.exception("pod worker failed", extra={"pod": worker.who, "state": worker.life.state})

    def _add(self, uid: str, pod: core.Pod | None) -> None:
        worker = PodWorker(self.services, uid, pod)
        self._workers[uid] = worker
        if pod is None:
            families.ORPHANS.labels().inc()
        else:
            families.CONTAINERS_PER_POD.labels().observe(len(pod.spec.containers))
        self._tasks.spawn(self._work(worker), name=f"pod {worker.who}")

    async def _work(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            self._workers.pop(worker.uid, None)
        # Another static pod may have waited for the name.
        self._sync_static()

    def _running_pod(self, uid: str) -> core.Pod | None:
        worker = self._workers.get(uid)
        return worker.pod if worker is not None and worker.life.state == "syncing" else None

    # -- tasks

    async def run(self) -> None:
        """Serve pods until cancelled. Cancelling leaves every container as it is."""
        self.pods.subscribe(self._on_pod)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_runtime(), name="watch the runtime")
                if self._ends is not None:
                    group.create_task(self._follow_ends(self._ends), name="follow container ends")
                group.create_task(self._begin(), name="first look")
                group.create_task(self.refresher.run(), name="renew tokens")
        finally:
            await self.refresher.close()
            await self._tasks.close()

    async def _begin(self) -> None:
        """Take up the static pods once the runtime has answered, those of the API once that has, then whatever else the runtime holds."""
        while self.runtime_error:
            await self.services.clock.sleep(0.05)
        await self._begin_static()
        await self.pods.wait_synced()
        self.live = True
        # In the order in which they came, so that of two that do not fit together the same one is taken every time.
        for pod in sorted(self.pods.list(), key=lambda pod: pod.metadata.creationTimestamp or datetime.min.replace(tzinfo=UTC)):
            self._on_pod(None, pod)
        await self._complete.wait()
        for uid in self._left_over - self._workers.keys() - self.services.relister.uids:
            # Their parts of the machine were kept for them while the API server could not be asked.
            await self.services.assigners.release(uid)
        for uid in self.services.relister.uids - self._workers.keys():
            log.info("the API server does not know the pod any more", extra={"uid": uid})
            self._add(uid, None)
        self.begun.set()

    async def _begin_static(self) -> None:
        relister = self.services.relister
        # Static pods that run already lose nothing by a short wait, and their history is in the API.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HISTORY_WAIT if self._awaits_static else None):
                await self.pods.wait_synced()
        left_over = await asyncio.to_thread(self.services.volumes.left_over)
        known = {pod.metadata.uid for pod in self.pods.list()} if self.pods.synced else left_over
        await self.services.assigners.start(known | relister.uids | self._static.keys())
        self._left_over = left_over
        self._begun = True
        self._sync_static()

    async def _watch_runtime(self) -> None:
        settings = self.services.settings
        while True:
            self._relist_now.clear()
            self._looked = self.services.clock.monotonic()
            try:
                await self.services.relister.relist()
                self.runtime_error = ""
            except CriError as error:
                self.runtime_error = str(error)
            settled = self._streaming and self.services.clock.monotonic() >= self._quiet_from
            quiet = settled and not self.runtime_error
            period = settings.quiet_relist_period if quiet else settings.relist_period
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._relist_now.wait()

    async def _follow_ends(self, ends: Ends) -> None:
        while True:
            try:
                async for end in ends():
                    if not end.container:
                        # What happened before the stream was open is found by looking, and looking again.
                        self._streaming = True
                        self._quiet_from = self.services.clock.monotonic() + SETTLE
                        self._relist_now.set()
                        continue
                    if end.process:
                        self._exec_ended(end)
                    else:
                        self._tasks.spawn(self._chase(end.container), name=f"chase {end.container[:12]}")
            except CriError as error:
                log.debug("event stream ended", extra={"error": str(error)})
            self._streaming = False
            self._relist_now.set()
            await self.services.clock.sleep(1.0)

    def _exec_ended(self, end: End) -> None:
        state = self.services.settings.containerd_state
        if state is not None:
            release = release_stdin(pipes_of(state, end.container), end.process, self.services.clock)
            self._tasks.spawn(release, name=f"release stdin of {end.process[:12]}")

    async def _chase(self, ident: str) -> None:
        """Look until the runtime agrees that the process has ended. Short lives end before their container was ever seen."""
        relister = self.services.relister
        for delay in CHASE:
            await self.services.clock.sleep(delay)
            uid = relister.owner(ident)
            try:
                if uid is None:
                    await relister.relist()
                    continue
                seen = await relister.refresh(uid)
            except CriError:
                return
            alive = [one.id for one in seen.running] + [box.id for box in seen.sandboxes if box.ready]
            if ident not in alive and relister.owner(ident) is not None:
                return


def _downward(pod: core.Pod) -> tuple[dict[str, str], dict[str, str]]:
    """Return the part of a running pod's own data that may change under the downward API."""
    return pod.metadata.labels, pod.metadata.annotations
