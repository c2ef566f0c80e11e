"""Volumes that were just given to a claim, until the cache shows it, so that no other claim is offered them.

Only to spare conflicts: a claim that is offered such a volume all the same fails to write it, as it has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from tiphys.api.core import v1 as core
from tiphys.runtime import Informer


class Promises:
    """Names of volumes with the revision at which the cache shows that they were given away."""

    def __init__(self, volumes: Informer[core.PersistentVolume]) -> None:
        self._volumes = volumes
        self._until: dict[str, float] = {}

    def names(self) -> frozenset[str]:
        """Return the volumes that look free and are not."""
        revision = self._volumes.revision
        self._until = {name: until for name, until in self._until.items() if until > revision}
        return frozenset(self._until)

    @contextmanager
    def giving(self, name: str) -> Iterator[None]:
        """Keep a volume from others while it is written; afterwards too, once `given` has been called."""
        self._until[name] = inf
        try:
            yield
        finally:
            if self._until.get(name) == inf:
                del self._until[name]

    def given(self, volume: core.PersistentVolume) -> None:
        """Record a volume as it was written."""
        self._until[volume.metadata.name] = int(volume.metadata.resourceVersion)
