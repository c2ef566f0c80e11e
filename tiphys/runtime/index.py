"""Indexes shared by many controllers, above all from an owner to its dependents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tiphys.api.meta.v1 import KubeObject, OwnerReference
from tiphys.runtime.informer import Informer
from tiphys.runtime.key import Key

T = TypeVar("T", bound=KubeObject)

OWNER = "controller uid"
"""Index: the uid of the controlling owner."""

ANY_OWNER = "owner uid"
"""Index: the uid of every owner, controlling or not."""


def controller_of(obj: KubeObject) -> OwnerReference | None:
    """Return the owner that controls the object, of which there is at most one."""
    for reference in obj.metadata.ownerReferences:
        if reference.controller:
            return reference
    return None


def by_controller(obj: KubeObject) -> Iterable[str]:
    """Return the function of the OWNER index."""
    owner = controller_of(obj)
    return (owner.uid,) if owner is not None else ()


def index_owners(informer: Informer[T]) -> Informer[T]:
    """Add the OWNER index (harmless when it is there) and return the informer."""
    informer.add_index(OWNER, by_controller)
    return informer


def to_owner(kind: str, group: str = "") -> Callable[[KubeObject], Iterable[Key]]:
    """Return a `to_keys` for `ControllerContext.watch`: the key of the controlling owner, if it has this kind and group (any version)."""

    def keys(obj: KubeObject) -> Iterable[Key]:
        owner = controller_of(obj)
        if owner is None or owner.kind != kind or owner.apiVersion.rpartition("/")[0] != group:
            return ()
        return (Key(obj.metadata.namespace, owner.name),)

    return keys
