"""Graph of owners and dependents over all kinds ("Garbage Collection"). Pure: informers feed it, and it returns whom a change concerns.

It holds names and uids only; the objects themselves are in the caches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.runtime import Key

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Ident(NamedTuple):
    """Object of any kind; `resource` is `deployments.apps`."""

    resource: str
    namespace: str
    name: str

    def key(self) -> Key:
        """Encode as a key of the work queue."""
        return Key(self.namespace, f"{self.resource}/{self.name}")

    @classmethod
    def parse(cls, key: Key) -> Ident:
        """Decode a key of the work queue."""
        resource, _, name = key.name.partition("/")
        return cls(resource, key.namespace, name)


def is_waiting(meta: ObjectMeta) -> bool:
    """Return whether it is being deleted and waits for its dependents to be removed."""
    return meta.deletionTimestamp is not None and FOREGROUND in meta.finalizers


def is_orphaning(meta: ObjectMeta) -> bool:
    """Return whether it is being deleted and waits for its dependents to be orphaned."""
    return meta.deletionTimestamp is not None and ORPHAN in meta.finalizers


class Graph:
    """Objects by uid, and the dependents of each owner, present or not."""

    def __init__(self) -> None:
        self._idents: dict[str, Ident] = {}
        self._waiting: set[str] = set()
        self._dependents: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._idents)

    def find(self, uid: str) -> Ident | None:
        """Return the object with the uid, or None."""
        return self._idents.get(uid)

    def dependents(self, uid: str) -> list[Ident]:
        """Return the objects that name `uid` among their owners."""
        return [self._idents[dependent] for dependent in self._dependents.get(uid, ()) if dependent in self._idents]

    def out_of_reach(self, old: KubeObject | None, new: KubeObject | None) -> list[tuple[Ident, str]]:
        """Return pairs of a dependent and an owner's uid that are in different namespaces, as a change just recorded shows.

        Those are the references that the object newly has, and with a new object those to it.
        """
        if new is None:
            return []
        meta = new.metadata
        is_new = old is None or old.metadata.uid != meta.uid
        known = set() if old is None or is_new else {reference.uid for reference in old.metadata.ownerReferences}
        dependent = self._idents[meta.uid]
        owners = ((uid, self._idents.get(uid)) for uid in (one.uid for one in meta.ownerReferences) if uid not in known)
        pairs = [(dependent, uid) for uid, owner in owners if owner is not None and owner.namespace not in ("", meta.namespace)]
        if is_new and meta.namespace:
            pairs += [(ident, meta.uid) for ident in self.dependents(meta.uid) if ident.namespace != meta.namespace]
        return pairs

    def change(self, resource: str, old: KubeObject | None, new: KubeObject | None) -> list[Ident]:
        """Record a change; returns the objects whose fate it may decide."""
        concerned: list[Ident] = []
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            concerned += self._remove(old.metadata)
            old = None
        if new is not None:
            concerned += self._put(resource, old, new.metadata)
        return concerned

    def _remove(self, meta: ObjectMeta) -> Iterator[Ident]:
        uid = meta.uid
        self._idents.pop(uid, None)
        self._waiting.discard(uid)
        self._unlink(uid, (owner.uid for owner in meta.ownerReferences))
        yield from self.dependents(uid)
        yield from self._waiting_among(owner.uid for owner in meta.ownerReferences)

    def _put(self, resource: str, old: KubeObject | None, meta: ObjectMeta) -> Iterator[Ident]:
        uid, ident = meta.uid, Ident(resource, meta.namespace, meta.name)
        self._idents[uid] = ident
        owners = [owner.uid for owner in meta.ownerReferences]
        if old is not None:
            self._unlink(uid, [owner.uid for owner in old.metadata.ownerReferences if owner.uid not in owners])
        for owner in owners:
            self._dependents.setdefault(owner, {})[uid] = None
        if is_waiting(meta):
            if uid not in self._waiting:
                self._waiting.add(uid)
                yield from self.dependents(uid)
            yield ident
        else:
            self._waiting.discard(uid)
            if is_orphaning(meta) or any(self._is_doubtful(owner, ident) for owner in owners):
                yield ident
        if old is not None and old.metadata.ownerReferences != meta.ownerReferences:
            # An owner may have waited for a reference that is gone or no longer blocks it.
            yield from self._waiting_among(owner.uid for owner in old.metadata.ownerReferences)

    def _is_doubtful(self, owner: str, dependent: Ident) -> bool:
        """Return whether an owner is unknown, terminating, or out of the dependent's reach."""
        ident = self._idents.get(owner)
        return ident is None or owner in self._waiting or ident.namespace not in ("", dependent.namespace)

    def _unlink(self, uid: str, owners: Iterable[str]) -> None:
        for owner in owners:
            dependents = self._dependents.get(owner)
            if dependents is not None:
                dependents.pop(uid, None)
                if not dependents:
                    del self._dependents[owner]

    def _waiting_among(self, uids: Iterable[str]) -> Iterator[Ident]:
        for uid in uids:
            if uid in self._waiting:
                yield self._idents[uid]
