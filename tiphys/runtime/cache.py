"""Collection in memory, with indexes and subscribers. No I/O and no waiting: an informer feeds it."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from tiphys.api.meta.v1 import KubeObject
from tiphys.obs.logging import get_logger
from tiphys.runtime.key import Key

log = get_logger(__name__)

T = TypeVar("T", bound=KubeObject)

IndexFn = Callable[[T], Iterable[str]]
Handler = Callable[[T | None, T | None], None]

# Sets that keep their order, so that everything read from a cache comes in the same order in every run.
Keys = dict[Key, None]


class Index(Generic[T]):
    """Keys by the values that a function yields for an object. The function must be pure: it is called again for old objects."""

    def __init__(self, fn: IndexFn[T]) -> None:
        self.fn = fn
        self._keys: dict[str, Keys] = {}

    def move(self, key: Key, old: T | None, new: T | None) -> None:
        """Update the index for an object's change from one state to the next."""
        before = set(self.fn(old)) if old is not None else set()
        after = list(dict.fromkeys(self.fn(new))) if new is not None else []
        for value in before.difference(after):
            keys = self._keys[value]
            del keys[key]
            if not keys:
                del self._keys[value]
        for value in after:
            self._keys.setdefault(value, {})[key] = None

    def keys(self, value: str) -> Iterable[Key]:
        return self._keys.get(value, ())


def _namespace(obj: KubeObject) -> tuple[str]:
    return (obj.metadata.namespace,)


class Cache(Generic[T]):
    """Objects by key. They are shared by everybody who reads them: READ ONLY, copy before changing."""

    def __init__(self) -> None:
        self._objects: dict[Key, T] = {}
        self._namespaces: Index[T] = Index(_namespace)
        self._indexes: dict[str, Index[T]] = {}
        self._handlers: list[Handler[T]] = []

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> T | None:
        """Return the object, or None."""
        return self._objects.get(key)

    def list(self, namespace: str = "") -> builtins.list[T]:
        """Return all objects, or those of a namespace."""
        if not namespace:
            return list(self._objects.values())
        return [self._objects[key] for key in self._namespaces.keys(namespace)]

    def by_index(self, index: str, value: str) -> builtins.list[T]:
        """Return the objects for which the index has the value. Raises KeyError for an index that was never added."""
        return [self._objects[key] for key in self._indexes[index].keys(value)]

    def add_index(self, name: str, fn: IndexFn[T]) -> None:
        """Add an index, over existing objects as well. The same function under the same name again changes nothing; another
        function raises ValueError.
        """
        known = self._indexes.get(name)
        if known is not None:
            if known.fn is not fn:
                raise ValueError(f"a different index named {name!r} exists")
            return
        index = Index(fn)
        for key, obj in self._objects.items():
            index.move(key, None, obj)
        self._indexes[name] = index

    def subscribe(self, handler: Handler[T]) -> None:
        """Call `handler(old, new)` for each change: `old` is None for a new object, `new` for a removed one. Existing objects are
        reported at once. An exception in a handler is logged and does not stop the others.
        """
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            self._notify([handler], None, obj)

    def put(self, obj: T) -> None:
        """Record an added or changed object."""
        key = Key.of(obj)
        old = self._objects.get(key)
        self._objects[key] = obj
        self._index(key, old, obj)
        self._notify(self._handlers, old, obj)

    def drop(self, obj: T) -> None:
        """Record a removed object; `obj` is its last state."""
        key = Key.of(obj)
        old = self._objects.pop(key, None)
        if old is not None:
            self._index(key, old, None)
            self._notify(self._handlers, obj, None)

    def replace(self, objs: Iterable[T]) -> None:
        """Make these the content. Handlers get the differences, removals last; unchanged objects are kept as they are."""
        fresh = {Key.of(obj): obj for obj in objs}
        gone = [obj for key, obj in self._objects.items() if key not in fresh]
        for key, obj in fresh.items():
            old = self._objects.get(key)
            if old is None or old.metadata.resourceVersion != obj.metadata.resourceVersion or old.metadata.uid != obj.metadata.uid:
                self.put(obj)
        for obj in gone:
            self.drop(obj)

    def _index(self, key: Key, old: T | None, new: T | None) -> None:
        self._namespaces.move(key, old, new)
        for index in self._indexes.values():
            index.move(key, old, new)

    def _notify(self, handlers: Iterable[Handler[T]], old: T | None, new: T | None) -> None:
        for handler in handlers:
            try:
                handler(old, new)
            except Exception:
                log.exception("cache handler failed", extra={"object": str(Key.of(new or old))})  # type: ignore[arg-type]
