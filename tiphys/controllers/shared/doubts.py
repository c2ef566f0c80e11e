"""Creations whose result is unknown: the connection broke, or the server failed while it answered.

The object may be there although nobody was told, and the cache, which the loop waits for after writes that it knows of, may not show it
yet. So the server is asked for the pods of such an owner, until the cache is as new as the newest of them.
"""

from __future__ import annotations

from tiphys.api.machinery.errors import StatusError
from tiphys.api.machinery.selectors import Selector
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import Informer, Key, controller_of

UNKNOWN = -1
"""In place of a revision: the server was not asked yet."""


def is_unknown(error: BaseException) -> bool:
    """Return whether the error of a write leaves open if it took place."""
    return not isinstance(error, StatusError) or error.code >= 500


class Doubts:
    """Owners with pods that the cache may lack, and the revision that it must reach to be believed again."""

    def __init__(self) -> None:
        self._until: dict[Key, int] = {}

    def note(self, owner: Key, error: BaseException) -> None:
        """Record the error of a creation."""
        if is_unknown(error):
            self._until[owner] = UNKNOWN

    def forget(self, owner: Key) -> None:
        """Drop what is known about an owner that is gone."""
        self._until.pop(owner, None)

    async def settle(
        self, client: Client, owner: KubeObject, selector: Selector, informer: Informer[SlimPod], pods: list[SlimPod]
    ) -> list[SlimPod]:
        """Return the owner's pods: as cached, together with those that the server has if the cache is in doubt."""
        key = Key.of(owner)
        until = self._until.get(key)
        if until is None:
            return pods
        if UNKNOWN < until <= informer.revision:
            del self._until[key]
            return pods
        owned = {pod.metadata.uid: pod for pod in pods}
        newest = 0
        for pod in (await client.list(informer.kind, key.namespace, labels=str(selector))).items:
            above = controller_of(pod)
            if above is not None and above.uid == owner.metadata.uid:
                owned[pod.metadata.uid] = pod
                newest = max(newest, int(pod.metadata.resourceVersion))
        self._until[key] = newest
        return list(owned.values())
