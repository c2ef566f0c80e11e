"""The newest statuses of static pods, from their workers to the publisher of their mirror pods."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tiphys.api.core import v1 as core


class StaticStatuses:
    """Static pods that are being worked on, with their statuses, by uid. `subscribe` takes the listener for changes."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[core.Pod, core.PodStatus]] = {}
        self._expected: Collection[str] | None = ()
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the uid of a pod whose status was set, or that is gone; "" when others are expected."""
        self._listeners.append(listener)

    def expect(self, uids: Collection[str] | None) -> None:
        """Say which pods the sources have, also those without a status yet; None while a source has not answered."""
        self._expected = uids
        self._tell("")

    def may_come(self, uid: str) -> bool:
        """True if the pod has no status yet, but may have one soon: its mirror pod stays."""
        return uid not in self._shown and (self._expected is None or uid in self._expected)

    def set(self, pod: core.Pod, status: core.PodStatus) -> None:
        """Take the pod's status of now."""
        uid = pod.metadata.uid
        self._shown[uid] = pod, status
        self._tell(uid)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        if self._shown.pop(uid, None) is not None:
            self._tell(uid)

    def get(self, uid: str) -> tuple[core.Pod, core.PodStatus] | None:
        return self._shown.get(uid)

    def all(self) -> list[tuple[core.Pod, core.PodStatus]]:
        """Return every pod with its status."""
        return list(self._shown.values())

    def _tell(self, uid: str) -> None:
        for listener in self._listeners:
            listener(uid)
