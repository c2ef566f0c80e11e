"""Config maps and secrets that this node's pods refer to, each followed by an informer of its own while some pod needs it.

A node may read only what its pods name, one object at a time, so there is no cache of a whole namespace. Reads wait for the first answer
of the API server; after that they never wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tiphys.aio.tasks import TaskSet
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import KubeObject
from tiphys.runtime.informer import Informer, InformerFactory
from tiphys.runtime.key import Key

T = TypeVar("T", core.ConfigMap, core.Secret)
ObjectKey = tuple[type[core.ConfigMap] | type[core.Secret], str, str]

FIRST_ANSWER = 10.0
"""Seconds a reader waits for an object that was never read yet."""


class Unreachable(Exception):
    """The API server did not say in time whether the object exists."""


class ObjectCache:
    """Follows objects by name, for as long as some pod (by uid) uses them."""

    def __init__(self, informers: InformerFactory) -> None:
        self._informers = informers
        self._followed: dict[ObjectKey, Informer[Any]] = {}
        self._users: dict[ObjectKey, set[str]] = {}
        self._of_user: dict[str, set[ObjectKey]] = {}
        self._listeners: list[Callable[[set[str]], None]] = []
        self._tasks = TaskSet()

    def subscribe(self, listener: Callable[[set[str]], None]) -> None:
        """Call `listener` with the uids of the pods that use an object, whenever it changes."""
        self._listeners.append(listener)

    def use(self, uid: str, keys: set[ObjectKey]) -> None:
        """Say which objects a pod uses now; an empty set when it is gone."""
        before = self._of_user.get(uid, set())
        for key in keys - before:
            self._users.setdefault(key, set()).add(uid)
            if key not in self._followed:
                self._follow(key)
        for key in before - keys:
            users = self._users[key]
            users.discard(uid)
            if not users:
                del self._users[key]
                self._tasks.spawn(self._informers.release(self._followed.pop(key)), name=f"release {key[1]}/{key[2]}")
        if keys:
            self._of_user[uid] = set(keys)
        else:
            self._of_user.pop(uid, None)

    async def get(self, type_: type[T], namespace: str, name: str) -> T | None:
        """The object, or None when it does not exist; the pod must have said that it uses it. Raises Unreachable."""
        informer = self._followed.get((type_, namespace, name))
        if informer is None:
            raise Unreachable(f"{type_.__name__.lower()} {namespace}/{name} is not followed")
        if not informer.synced:
            try:
                await asyncio.wait_for(informer.wait_synced(), FIRST_ANSWER)
            except TimeoutError:
                raise Unreachable(f"failed to read {type_.__name__.lower()} {namespace}/{name}: no answer from the API server") from None
        obj: T | None = informer.get(Key(namespace, name))
        return obj

    async def close(self) -> None:
        """Forget everything; the informers belong to their factory."""
        await self._tasks.close()

    def _follow(self, key: ObjectKey) -> None:
        type_, namespace, name = key
        informer: Informer[Any] = self._informers.of(type_, namespace=namespace, fields=f"metadata.name={name}")
        self._followed[key] = informer

        def changed(old: KubeObject | None, new: KubeObject | None) -> None:
            users = self._users.get(key)
            if users and self._followed.get(key) is informer and informer.synced:
                for listener in self._listeners:
                    listener(set(users))

        informer.subscribe(changed)
