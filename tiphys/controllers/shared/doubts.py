"""Creations whose result is unknown: the connection broke, or the server failed while it answered.

The object may be there although nobody was told, and the cache, which the loop waits for after writes that it knows of, may not show it
yet. So the server is asked for the objects of such an owner, until the cache is as new as the newest of them.
"""

from __future__ import annotations

from typing import TypeVar

from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.selectors import Selector
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.runtime import Informer, Key, controller_of

T = TypeVar("T", bound=KubeObject)

UNKNOWN = -1
"""In place of a revision: the server was not asked yet."""


def is_unknown(error: BaseException) -> bool:
    """Return whether the error of a write leaves open if it took place."""
    return not isinstance(error, StatusError) or error.code >= 500


class Doubts:
    """Owners with objects that the cache may lack, and the revision that it must reach to be believed again."""

    def __init__(self) -> None:
        self._until: dict[Key, int] = {}

    def note(self, owner: Key, error: BaseException) -> None:
        """Record the error of a creation."""
        if is_unknown(error):
            self._until[owner] = UNKNOWN

    def forget(self, owner: Key) -> None:
        """Drop what is known about an owner that is gone."""
        self._until.pop(owner, None)

    async def settle(self, client: Client, owner: KubeObject, selector: Selector, informer: Informer[T], objs: list[T]) -> list[T]:
        """Return the owner's objects: as cached, together with those that the server has if the cache is in doubt."""
        key = Key.of(owner)
        until = self._until.get(key)
        if until is None:
            return objs
        if UNKNOWN < until <= informer.revision:
            del self._until[key]
            return objs
        owned = {obj.metadata.uid: obj for obj in objs}
        newest = 0
        for obj in (await client.list(informer.kind, key.namespace, labels=str(selector))).items:
            above = controller_of(obj)
            if above is not None and above.uid == owner.metadata.uid:
                owned[obj.metadata.uid] = obj
                newest = max(newest, int(obj.metadata.resourceVersion))
        self._until[key] = newest
        return list(owned.values())
