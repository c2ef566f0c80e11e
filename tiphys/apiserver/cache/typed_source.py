"""Typed objects over the watch caches, for the server's own parts that read objects of other kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tiphys.api.meta.v1 import KubeObject
from tiphys.apiserver.cache.entry import Entry
from tiphys.apiserver.cache.storage import AnyCache, Storage
from tiphys.apiserver.cache.watchcache import Listener

T = TypeVar("T", bound=KubeObject)


class TypedSource:
    """Typed objects over the caches, for authorizers and admission: decoded once per revision and kind, and only where asked for."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._decoded: dict[AnyCache, dict[tuple[str, str], tuple[int, Any]]] = {}
        self._lists: dict[AnyCache, tuple[Sequence[Entry], list[Any]]] = {}
        """Whole kinds as they were read last, and of which entries."""
        self._built_in: dict[type[Any], AnyCache] = {}

    def _typed(self, cache: AnyCache, entry: Entry) -> Any:
        known = self._decoded.get(cache)
        if known is None:
            self._decoded = {cache: objects for cache, objects in self._decoded.items() if self._storage.serves(cache)}
            self._lists = {cache: read for cache, read in self._lists.items() if self._storage.serves(cache)}
            known = self._decoded[cache] = {}
            cache.subscribe(self._forgetter(known))
        key = (entry.namespace, entry.name)
        cached = known.get(key)
        if cached is None or cached[0] != entry.revision:
            cached = known[key] = (entry.revision, cache.codec.decode(entry.data))
        return cached[1]

    def _cache(self, type_: type[Any]) -> AnyCache | None:
        """The cache of a type; types that are not served have no objects and never change."""
        known = self._built_in.get(type_)
        if known is not None:
            return known
        try:
            cache = self._storage.cache(self._storage.scheme.of(type_))
        except KeyError:
            return None
        if type_.__model__ is None:  # Custom kinds come and go.
            self._built_in[type_] = cache
        return cache

    @staticmethod
    def _forgetter(known: dict[tuple[str, str], tuple[int, Any]]) -> Listener:
        def forget(old: Entry | None, new: Entry | None) -> None:
            changed = new or old
            if changed is not None:
                known.pop((changed.namespace, changed.name), None)

        return forget

    def get(self, type_: type[T], namespace: str, name: str) -> T | None:
        """The object, read-only, or None."""
        cache = self._built_in.get(type_)
        if cache is None:
            cache = self._cache(type_)
        entry = None if cache is None else cache.get(namespace, name)
        return None if cache is None or entry is None else self._typed(cache, entry)

    def objects(self, type_: type[T], namespace: str = "") -> Iterable[T]:
        """All objects of a type (in a namespace), read-only."""
        cache = self._built_in.get(type_)
        if cache is None:
            cache = self._cache(type_)
        entries = () if cache is None else cache.entries(namespace)
        if cache is None or not entries:
            return ()
        if namespace:
            return [self._typed(cache, entry) for entry in entries]
        read = self._lists.get(cache)
        if read is None or read[0] is not entries:
            read = self._lists[cache] = (entries, [self._typed(cache, entry) for entry in entries])
        return read[1]

    def one_by_one(self, type_: type[T]) -> Iterator[T]:
        """All objects of a type, each decoded when it is taken: for a look that gives others their turns in between."""
        cache = self._cache(type_)
        if cache is not None:
            for entry in tuple(cache.entries("")):
                yield cache.codec.decode(entry.data)

    def passing(self, type_: type[T], namespace: str = "") -> Iterable[T]:
        """All objects of a type (in a namespace), decoded for this one look."""
        cache = self._cache(type_)
        return [] if cache is None else [cache.codec.decode(entry.data) for entry in cache.entries(namespace)]

    def on_change(self, type_: type[T], callback: Callable[[T | None, T | None], None], *, field: str = "") -> None:
        """Call `callback(old, new)` for every change of a type; with `field` only where that selectable field changes."""
        cache = self._cache(type_)
        if cache is None:
            return
        decode = cache.codec.decode

        def changed(old: Entry | None, new: Entry | None) -> None:
            if field and old is not None and new is not None and old.fields[field] == new.fields[field]:
                return
            callback(
                None if old is None else decode(old.data),
                None if new is None else decode(new.data),
            )

        cache.subscribe(changed)
