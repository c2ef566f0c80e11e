"""Control loops: a key goes in, an outcome comes out, and one place decides what follows.

    reconcile returned DONE            forget earlier failures
    returned Result(after=30)          forget, and look again in 30 s
    returned Result(0.1, early=True)   look again in 0.1 s, and forget nothing
    raised Conflict or AlreadyExists   somebody else was faster or the cache is behind: again, rate limited, no error
    raised Terminal                    record; no retry until something changes
    raised anything else               again, rate limited (at least as late as the server asked for)

A controller never sees the queue. It must be level-triggered: a key says that something may have changed, not what.

Reading one's own writes: a cache may not show yet what the last reconcile wrote, and deciding on it again would do everything twice. So
the loop remembers, per key, the newest resource version that a reconcile wrote to each resource, and holds the next reconcile of that key
until the informers have seen it. This needs resource versions that compare (KEP-5504, "Comparable Resource Version").
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar

from tiphys.aio.clock import Clock
from tiphys.api.machinery.errors import AlreadyExists, Conflict, StatusError
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.obs import logging, metrics
from tiphys.runtime.declaration import Declaration, Resource, SharedCaches, UndeclaredRead
from tiphys.runtime.informer import Informer, InformerFactory
from tiphys.runtime.key import Key
from tiphys.runtime.recorder import EventRecorder
from tiphys.runtime.workqueue import WorkQueue
from tiphys.settings.loop import WORKERS

log = logging.get_logger(__name__)

T = TypeVar("T", bound=KubeObject)

RECONCILES = metrics.counter("tiphys_reconcile_total", "Reconciles by controller and outcome.", "controller", "outcome")
SECONDS = metrics.histogram("tiphys_reconcile_seconds", "Duration of reconciles.", "controller")

CATCH_UP_SECONDS = 1.0
"""Maximum time a worker waits for a cache that is behind before it puts the key back."""


class Result(NamedTuple):
    """Result of a reconcile: the delay in seconds until the next one, if any."""

    after: float | None = None
    early: bool = False
    """True if it was too early to do anything: failures before it are not forgotten, and delays after them go on growing."""


DONE = Result()


class Terminal(Exception):
    """Error of a reconcile that trying again cannot fix until something changes."""


class Controller(Protocol):
    """Reconciler of one kind of object."""

    declaration: Declaration

    def setup(self, ctx: ControllerContext) -> None:
        """Take informers with `ctx.read`, add indexes, and say with `ctx.watch` which changes concern which keys."""
        ...

    async def reconcile(self, key: Key) -> Result:
        """Move the state behind this key to the desired one, or take the next step toward it."""
        ...


class ControllerContext:
    """Dependencies given to a controller. Its reconciles start once every informer it took in `setup` is synced."""

    def __init__(
        self,
        declaration: Declaration,
        client: Client,
        informers: InformerFactory,
        *,
        caches: SharedCaches,
        clock: Clock,
        recorder: EventRecorder,
        rng: random.Random,
        queue: WorkQueue[Key],
    ) -> None:
        self.name = declaration.name
        self.client = client
        self.clock = clock
        self.recorder = recorder
        self.rng = rng
        self.queue = queue
        self.taken: list[Informer[Any]] = []
        """The informers that the controller reads."""
        self._declaration = declaration
        self._informers = informers
        self._caches = caches

    def read(self, type_: type[T]) -> Informer[T]:
        """Return the shared informer that the declaration names for a type. Raises UndeclaredRead for any other."""
        for declared in self._declaration.reads:
            if declared.type_ is type_:
                return self._take(declared.informer(self._informers, self.client.scheme))
        raise UndeclaredRead(f"{self.name} does not declare that it reads {type_.__name__}")

    def follow(self, kind: Kind[Any]) -> Informer[Any]:
        """Return an informer of any kind: the one that some loop keeps, or else one of metadata alone (`owners_only`)."""
        if not self._declaration.follows_any:
            raise UndeclaredRead(f"{self.name} does not declare that it follows kinds such as {kind.resource}")
        return self._take(self._caches.informer(self._informers, kind))

    async def release(self, informer: Informer[Any]) -> None:
        """Stop and forget an informer that nobody else uses, for kinds that are no longer served."""
        if informer in self.taken:
            self.taken.remove(informer)
        await self._informers.release(informer)

    def _take(self, informer: Informer[T]) -> Informer[T]:
        if informer not in self.taken:
            self.taken.append(informer)
        return informer

    def watch(
        self,
        informer: Informer[T],
        to_keys: Callable[[T], Iterable[Key]] | None = None,
        *,
        when: Callable[[T | None, T | None], bool] | None = None,
    ) -> None:
        """Reconcile the keys that `to_keys` returns for the old and the new state of a changed object; by default the object's own.

        `when(old, new)` may leave out changes that do not matter.
        """

        def handler(old: T | None, new: T | None) -> None:
            if when is not None and not when(old, new):
                return
            for obj in (old, new):
                if obj is not None:
                    for key in (Key.of(obj),) if to_keys is None else to_keys(obj):
                        self.queue.add(key)

        informer.subscribe(handler)

    def enqueue(self, key: Key, after: float = 0.0) -> None:
        """Queue a key for reconciling, now or after a delay in seconds."""
        self.queue.add_after(key, after)


_written: ContextVar[dict[Resource, int] | None] = ContextVar("written", default=None)


def note_write(kind: Kind[Any], obj: KubeObject) -> None:
    """Record a write of the running reconcile; the manager installs this as `Client.on_write`."""
    written = _written.get()
    version = obj.metadata.resourceVersion
    if written is not None and version.isdigit():
        resource = (kind.group, kind.plural)
        written[resource] = max(written.get(resource, 0), int(version))


class ControlLoop:
    """Runner of one controller: workers, outcomes, metrics."""

    def __init__(self, controller: Controller, ctx: ControllerContext, *, workers: int = WORKERS) -> None:
        self.controller = controller
        self.ctx = ctx
        self.synced = False
        self._workers = workers
        self._queue = ctx.queue
        self._written: dict[Key, dict[Resource, int]] = {}

    async def run(self) -> None:
        """Wait for the caches, then reconcile until cancelled."""
        try:
            for informer in list(self.ctx.taken):
                await informer.wait_synced()
            self.synced = True
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"controller {self.ctx.name} worker {number}")
        finally:
            await self._queue.close()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self.process(key)
            finally:
                self._queue.done(key)

    async def process(self, key: Key) -> None:
        """Reconcile a key once and handle the outcome; never raises, except for cancellation."""
        name = self.ctx.name
        if not await self._caught_up(key):
            self._queue.add_rate_limited(key)
            RECONCILES.labels(name, "behind").inc()
            return
        written: dict[Resource, int] = {}
        token = _written.set(written)
        started = self.ctx.clock.monotonic()
        with logging.fields(controller=name, key=str(key)):
            try:
                result = await self.controller.reconcile(key)
            except Exception as error:
                outcome = self._failed(key, error)
            else:
                outcome = self._succeeded(key, result)
            finally:
                _written.reset(token)
                if written:
                    self._written[key] = written
        RECONCILES.labels(name, outcome).inc()
        SECONDS.labels(name).observe(self.ctx.clock.monotonic() - started)

    def _succeeded(self, key: Key, result: Result) -> str:
        if not result.early:
            self._queue.forget(key)
        if result.after is None:
            return "done"
        self._queue.add_after(key, result.after)
        return "again"

    def _failed(self, key: Key, error: Exception) -> str:
        if isinstance(error, Terminal):
            self._queue.forget(key)
            log.error("reconcile gave up", extra={"error": str(error)})
            return "terminal"
        delay = self._queue.add_rate_limited(key, at_least=_retry_after(error))
        fields = {"error": str(error), "failures": self._queue.failures(key), "delay": round(delay, 3)}
        if isinstance(error, Conflict | AlreadyExists):
            log.debug("reconcile met a conflict", extra=fields)
            return "conflict"
        if isinstance(error, StatusError | ConnectionError):
            log.warning("reconcile failed", extra=fields)
        else:
            # Only the first failure of several in a row has the stack: a device that stays busy would fill the log with it.
            log.error("reconcile failed", extra=fields, exc_info=error if fields["failures"] == 1 else None)
        return "error"

    async def _caught_up(self, key: Key) -> bool:
        """Return whether the caches show the last reconcile's writes for the key, after waiting briefly for them."""
        written = self._written.get(key)
        if written is None:
            return True
        for informer in self.ctx.taken:
            required = written.get((informer.selection.group, informer.selection.plural), 0)
            in_sight = informer.selection.is_whole and informer.selection.namespace in ("", key.namespace)
            if not in_sight or informer.revision >= required:
                continue
            try:
                async with asyncio.timeout(CATCH_UP_SECONDS):
                    await informer.wait_for(required)
            except TimeoutError:
                return False
        # A reconcile of the key is the only writer of this, and the queue lets only one run at a time.
        del self._written[key]
        return True


def _retry_after(error: Exception) -> float:
    details = error.details if isinstance(error, StatusError) else None
    return float(details.retryAfterSeconds) if details is not None else 0.0
