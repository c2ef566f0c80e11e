"""Config maps and secrets that this node's pods refer to, each followed by a watch of its own while somebody needs it.

A node may read only what its pods name, one object at a time, so there is no cache of a whole namespace. Objects marked immutable are
read once. Reads wait for the first answer of the API server; after that they never wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import TypeVar

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.api.errors import StatusError
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client

log = logging.getLogger(__name__)

Followed = core.ConfigMap | core.Secret
T = TypeVar("T", core.ConfigMap, core.Secret)
ObjectKey = tuple[type[core.ConfigMap] | type[core.Secret], str, str]

FIRST_ANSWER = 10.0
"""Seconds a reader waits for an object that was never read yet."""


class Unreachable(Exception):
    """The API server did not say in time whether the object exists."""


class _Entry:
    def __init__(self) -> None:
        self.users: set[str] = set()
        self.loaded = asyncio.Event()
        self.obj: Followed | None = None
        self.error = ""
        self.task: asyncio.Task[None] | None = None


class ObjectCache:
    """Follows objects by name, for as long as some pod (by uid) uses them."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self._entries: dict[ObjectKey, _Entry] = {}
        self._of_user: dict[str, set[ObjectKey]] = {}
        self._listeners: list[Callable[[set[str]], None]] = []

    def subscribe(self, listener: Callable[[set[str]], None]) -> None:
        """Call `listener` with the uids of the pods that use an object, whenever it changes."""
        self._listeners.append(listener)

    def use(self, uid: str, keys: set[ObjectKey]) -> None:
        """Say which objects a pod uses now; an empty set when it is gone."""
        before = self._of_user.get(uid, set())
        for key in keys - before:
            entry = self._entries.setdefault(key, _Entry())
            entry.users.add(uid)
            if entry.task is None:
                entry.task = asyncio.create_task(self._follow(key, entry), name=f"follow {key[0].__name__} {key[1]}/{key[2]}")
        for key in before - keys:
            entry = self._entries[key]
            entry.users.discard(uid)
            if not entry.users:
                del self._entries[key]
                if entry.task is not None:
                    entry.task.cancel()
        if keys:
            self._of_user[uid] = set(keys)
        else:
            self._of_user.pop(uid, None)

    async def get(self, type_: type[T], namespace: str, name: str) -> T | None:
        """The object, or None when it does not exist; the pod must have said that it uses it. Raises Unreachable."""
        entry = self._entries.get((type_, namespace, name))
        if entry is None:
            raise Unreachable(f"{type_.__name__.lower()} {namespace}/{name} is not followed")
        if not entry.loaded.is_set():
            try:
                await asyncio.wait_for(entry.loaded.wait(), FIRST_ANSWER)
            except TimeoutError:
                raise Unreachable(f"failed to read {type_.__name__.lower()} {namespace}/{name}: {entry.error or 'no answer'}") from None
        return entry.obj  # type: ignore[return-value]

    async def close(self) -> None:
        """Stop following everything."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        self._entries.clear()
        self._of_user.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: ObjectKey, entry: _Entry) -> None:
        wait = 0.2
        while True:
            try:
                await self._list_and_watch(key, entry)
                wait = 0.2
            except (StatusError, ConnectionError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                entry.error = str(error)
                wait = min(wait * 2, 10.0)
            await self.clock.sleep(wait)

    async def _list_and_watch(self, key: ObjectKey, entry: _Entry) -> None:
        type_, namespace, name = key
        fields = f"metadata.name={name}"
        listed = await self.client.list(type_, namespace, fields=fields)
        self._set(entry, listed.items[0] if listed.items else None)
        if entry.obj is not None and entry.obj.immutable:
            await asyncio.Event().wait()
        watch = self.client.watch(type_, namespace, fields=fields, resource_version=listed.resourceVersion)
        async with aclosing(watch) as events:
            async for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    self._set(entry, event.object)
                elif event.type == "DELETED":
                    self._set(entry, None)

    def _set(self, entry: _Entry, obj: KubeObject | None) -> None:
        assert obj is None or isinstance(obj, core.ConfigMap | core.Secret)
        old, entry.obj = entry.obj, obj
        first = not entry.loaded.is_set()
        entry.loaded.set()
        same = (old is None) == (obj is None) and (
            old is None or obj is None or old.metadata.resourceVersion == obj.metadata.resourceVersion
        )
        if first or same:
            return
        for listener in self._listeners:
            listener(set(entry.users))
