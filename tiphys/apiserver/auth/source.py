"""Source of objects for authentication, authorization and admission: the API server's own caches, read synchronously."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)


class ObjectSource(Protocol):
    """Objects as last seen. Reads never wait; what they return is shared and must not be changed.

    Types that the server does not serve have no objects and never change; asking for them is no error.
    """

    def objects(self, type_: type[ObjectT], namespace: str = "") -> Iterable[ObjectT]:
        """Every object of a type (in a namespace), in no particular order."""
        ...

    def get(self, type_: type[ObjectT], namespace: str, name: str) -> ObjectT | None:
        """One object; `namespace` is "" for cluster-scoped types."""
        ...

    def passing(self, type_: type[ObjectT], namespace: str = "") -> Iterable[ObjectT]:
        """As `objects`, for a single look at many: nothing is kept for the next one."""
        ...

    def on_change(self, type_: type[ObjectT], callback: Callable[[ObjectT | None, ObjectT | None], None]) -> None:
        """Call `callback(old, new)` after every later change; `old` is None for a create, `new` for a delete.

        Callbacks are synchronous and run in commit order; they must be quick and must not raise.
        """
        ...
