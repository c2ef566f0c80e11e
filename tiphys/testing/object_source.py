"""An `ObjectSource` (see `tiphys.apiserver.auth.source`) over plain dicts, for tests of what reads objects synchronously."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)


class DictObjectSource:
    """Objects by type, namespace and name. `put` and `remove` tell subscribers, as the API server's caches do."""

    def __init__(self, *objects: KubeObject) -> None:
        self._objects: dict[type, dict[tuple[str, str], KubeObject]] = {}
        self._callbacks: dict[type, list[Callable[[Any, Any], None]]] = {}
        for obj in objects:
            self.put(obj)

    def objects(self, type_: type[ObjectT], namespace: str = "") -> Iterable[ObjectT]:
        result = [obj for obj in self._objects.get(type_, {}).values() if namespace in ("", obj.metadata.namespace)]
        return cast("Iterable[ObjectT]", result)

    def passing(self, type_: type[ObjectT], namespace: str = "") -> Iterable[ObjectT]:
        return self.objects(type_, namespace)

    def get(self, type_: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        return cast("ObjectT | None", self._objects.get(type_, {}).get((namespace, name)))

    def on_change(self, type_: type[ObjectT], callback: Callable[[ObjectT | None, ObjectT | None], None]) -> None:
        self._callbacks.setdefault(type_, []).append(callback)

    def put(self, obj: KubeObject) -> None:
        """Create or replace an object."""
        key = (obj.metadata.namespace, obj.metadata.name)
        table = self._objects.setdefault(type(obj), {})
        old = table.get(key)
        table[key] = obj
        self._tell(type(obj), old, obj)

    def remove(self, obj: KubeObject) -> None:
        """Delete an object; raises KeyError when it is not there."""
        old = self._objects[type(obj)].pop((obj.metadata.namespace, obj.metadata.name))
        self._tell(type(obj), old, None)

    def _tell(self, type_: type, old: KubeObject | None, new: KubeObject | None) -> None:
        for callback in self._callbacks.get(type_, []):
            callback(old, new)
