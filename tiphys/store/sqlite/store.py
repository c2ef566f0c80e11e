"""Asyncio interface of the embedded store: callers get futures, which one callback per commit resolves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from tiphys.aio.clock import Clock, LoopClock
from tiphys.store.contract import Compacted, Event, FutureRevision, KeyValue, Page, Revision, StoreClosed, StoreError, StoreFailed, Watch
from tiphys.store.expiry import Deadline, Deadlines
from tiphys.store.failure import FailureLatch
from tiphys.store.sqlite.file import OpenLog, open_log
from tiphys.store.sqlite.options import Options
from tiphys.store.sqlite.reader import Reader
from tiphys.store.sqlite.rows import CREATE, DELETE, UPDATE
from tiphys.store.sqlite.snapshot import take_snapshot
from tiphys.store.sqlite.staging import Write
from tiphys.store.sqlite.writer import Writer
from tiphys.store.watches import WatchHub

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """A store in the SQLite file `path`, made if it is not there. Belongs to the event loop that starts it.

    Threads: `tiphys-store-writer` commits, `tiphys-store-reader` reads, `tiphys-store-snapshot` copies on demand.
    """

    def __init__(self, path: str | os.PathLike[str], *, options: Options | None = None, clock: Clock | None = None) -> None:
        self.path = os.path.abspath(path)
        self._options = options or Options()
        self._clock = clock or LoopClock()
        self._hub = WatchHub(buffer=self._options.watch_buffer)
        self._deadlines = Deadlines()
        self._failure = FailureLatch()
        self._is_open = False
        self._opened: OpenLog | None = None

    async def start(self) -> None:
        if self._opened is not None:
            raise StoreError("the store is already started")
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(1, "tiphys-store-reader")
        try:
            opened = await self._loop.run_in_executor(self._pool, open_log, self.path, self._options)
        except BaseException:
            self._pool.shutdown(wait=False)
            raise
        self._opened = opened
        self._index = opened.index
        self._hub.published = opened.index.revision
        live = opened.index.live.items()
        self._deadlines = Deadlines(Deadline(expires, key, created) for key, (_, created, expires) in live if expires is not None)
        self._reader = Reader(opened)
        self._writer = Writer(opened, self._options, self._deliver_from_thread, self._fail_from_thread)
        self._gathering: list[Write] = []
        self._hand_over_due = False
        self._committing = False
        self._writer.start()
        self._is_open = True
        self._ticker = asyncio.create_task(self._tick_forever(), name="tiphys-store-tick")

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._ticker.cancel()
        await asyncio.wait([self._ticker])
        while self._gathering:
            self._hand_over()
        await self._loop.run_in_executor(self._pool, self._release)
        self._pool.shutdown(wait=False)
        await asyncio.sleep(0)  # the deliveries of the last commits were queued before; they run first
        self._hub.close()

    @property
    def failure(self) -> StoreFailed | None:
        return self._failure.failure

    async def failed(self) -> StoreFailed:
        return await self._failure.wait()

    def current_revision(self) -> Revision:
        return Revision(self._index.revision if self._opened else 0)

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> Revision:
        expires = None if ttl is None else self._clock.now().timestamp() + ttl
        return Revision(await self._submit(Write(CREATE, key, value, None, expires)))

    async def get(self, key: str, *, revision: Revision | None = None) -> KeyValue | None:
        return await self._read(self._reader_of().get, key, revision)

    async def list(self, prefix: str, *, revision: Revision | None = None, start: str = "", limit: int = 0) -> Page:
        return await self._read(self._reader_of().list, prefix, revision, start, limit)

    async def update(self, key: str, value: bytes, *, expected: Revision) -> Revision:
        return Revision(await self._submit(Write(UPDATE, key, value, expected)))

    async def delete(self, key: str, *, expected: Revision | None = None) -> Event:
        event: Event = await self._submit(Write(DELETE, key, b"", expected))
        return event

    async def watch(self, prefix: str, *, after: Revision) -> Watch:
        self._check_open()
        if after < self._index.floor:
            raise Compacted(Revision(self._index.floor))
        return self._hub.join(prefix, after, self._replay)

    async def compact(self, revision: Revision) -> None:
        self._check_open()
        if revision > self._index.revision:
            raise FutureRevision(Revision(self._index.revision))
        done: asyncio.Future[None] = self._loop.create_future()

        def settle(error: StoreError | None) -> None:
            if not done.done():
                done.set_exception(error) if error else done.set_result(None)

        self._writer.compact(revision, lambda error: self._call_in_loop(settle, error))
        await done

    async def snapshot(self, path: str | os.PathLike[str]) -> Revision:
        """Copy the store to `path` (replaced if it exists) while it goes on; returns the newest revision in the copy."""
        self._check_open()
        pool = ThreadPoolExecutor(1, "tiphys-store-snapshot")
        try:
            return await self._loop.run_in_executor(pool, take_snapshot, self.path, os.fspath(path))
        finally:
            pool.shutdown(wait=False)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreClosed("the store is not open")

    def _submit(self, write: Write) -> asyncio.Future[Any]:
        if not self._is_open:
            raise StoreClosed("the store is not open")
        if not write.key:
            raise ValueError("a key must not be empty")
        write.future = future = self._loop.create_future()
        self._gathering.append(write)
        if not self._committing and not self._hand_over_due:
            self._hand_over_due = True
            self._loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        """Hand the collected writes to the writer: once per turn of the loop, or when it has finished the previous ones.

        Each hand-over wakes a thread that then wants the interpreter; write by write that costs the loop more than the commits do.
        """
        self._hand_over_due = False
        if self._gathering:
            limit = self._options.group
            group, self._gathering = self._gathering[:limit], self._gathering[limit:]
            self._committing = True
            self._writer.submit(group)

    def _reader_of(self) -> Reader:
        self._check_open()
        return self._reader

    async def _read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))
        except StoreFailed as failure:
            self._failure.set(failure)
            raise

    async def _replay(self, prefix: str, after: int, upto: int) -> tuple[Sequence[Event], int]:
        return await self._read(self._reader_of().replay, prefix, after, upto)

    def _release(self) -> None:
        """Close both connections and then release the file, in the reader thread after the last read.

        One after the other: SQLite removes its log with the last connection, and of two that close at once neither may be the last.
        """
        assert self._opened is not None
        self._reader.close()
        self._writer.stop()
        self._writer.join()
        self._opened.lock.release()

    def _deliver_from_thread(self, writes: Sequence[Write]) -> None:
        self._call_in_loop(self._deliver, writes)

    def _fail_from_thread(self, failure: StoreFailed) -> None:
        self._call_in_loop(self._failure.set, failure)

    def _call_in_loop(self, callback: Callable[[T], None], argument: T) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            if not self._loop.is_closed():  # a loop that was closed has nobody left to tell
                raise

    def _deliver(self, writes: Sequence[Write]) -> None:
        """Deliver a group to watchers first, then to the waiters: a caller that has its answer finds the event in any watch."""
        self._committing = False
        self._hand_over()
        watched = bool(self._hub)
        events: list[Event] = []
        newest = 0
        outcomes: list[tuple[asyncio.Future[Any], object]] = []
        for write in writes:
            outcome: object = write.error
            if write.revision:
                newest = outcome = write.revision
                if watched or write.kind == DELETE:
                    event = write.to_event()
                    events.append(event)
                    if write.kind == DELETE:
                        outcome = event
                if write.expires is not None:
                    self._deadlines.add(Deadline(write.expires, write.key, write.create_revision))
            if write.future is not None:
                outcomes.append((write.future, outcome))
        if newest:
            self._hub.publish(events, newest)
        for future, outcome in outcomes:
            if not future.done():  # the caller was cancelled
                if isinstance(outcome, StoreError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    async def _tick_forever(self) -> None:
        while True:
            await self._clock.sleep(self._options.tick)
            for due in self._deadlines.pop_due(self._clock.now().timestamp()):
                self._writer.submit([Write(DELETE, due.key, b"", life=due.create_revision)])
            self._writer.tick(self._clock.monotonic())
