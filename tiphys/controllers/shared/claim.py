"""Claims of owners on objects: adoption of orphans and release of those that no longer match ("ReplicaSet", "Garbage Collection").

An owner controls the objects that its selector matches. One without a controller that matches is adopted, one that it controls and that
matches no longer is released. Adoption first asks the server whether the owner is still there, lest a cache that is behind hands objects
to somebody who is being deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from tiphys.api.machinery.errors import Invalid, NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.selectors import Selector
from tiphys.api.meta.v1 import KubeObject, OwnerReference
from tiphys.client.client import Client
from tiphys.runtime import OWNER, Informer, controller_of

T = TypeVar("T", bound=KubeObject)

ORPHANS = "namespace of orphans"
"""Index: the namespace of objects without a controller."""


def orphan_namespace(obj: KubeObject) -> Iterable[str]:
    """Return the function of the ORPHANS index."""
    return () if controller_of(obj) is not None else (obj.metadata.namespace,)


def index_orphans(informer: Informer[T]) -> Informer[T]:
    """Add the ORPHANS index (harmless when it is there) and return the informer."""
    informer.add_index(ORPHANS, orphan_namespace)
    return informer


def reference(owner: KubeObject) -> OwnerReference:
    """Return the reference by which `owner` controls something."""
    meta = owner.metadata
    return OwnerReference(
        apiVersion=owner.apiVersion, kind=owner.kind, name=meta.name, uid=meta.uid, controller=True, blockOwnerDeletion=True
    )


class Claims(NamedTuple, Generic[T]):
    """Candidates to keep, adopt and release."""

    keep: list[T]
    adopt: list[T]
    release: list[T]


def sort_out(
    owner: KubeObject, selector: Selector, owned: Iterable[T], orphans: Iterable[T], member: Callable[[T], bool] = lambda _: True
) -> Claims[T]:
    """Sort candidates into those to keep, adopt and release. Pure.

    What the selector matches belongs to the owner, if it is also a `member`.
    """
    claims: Claims[T] = Claims([], [], [])
    dying = owner.metadata.deletionTimestamp is not None
    for obj in owned:
        if selector.matches(obj.metadata.labels) and member(obj):
            claims.keep.append(obj)
        elif not dying:
            claims.release.append(obj)
    if not dying:
        for obj in orphans:
            if obj.metadata.deletionTimestamp is None and selector.matches(obj.metadata.labels) and member(obj):
                claims.adopt.append(obj)
    return claims


async def claim(
    client: Client,
    owner: KubeObject,
    selector: Selector,
    informer: Informer[T],
    *,
    adoptable: Callable[[T], bool] = lambda _: True,
    member: Callable[[T], bool] = lambda _: True,
) -> list[T]:
    """Adopt and release objects, and return those that the owner controls. Raises NotFound when the owner is gone.

    The informer needs the OWNER and ORPHANS indexes. Orphans that are not `adoptable` are left alone. What is no
    `member` is treated as if the selector did not match it.
    """
    meta = owner.metadata
    orphans = filter(adoptable, informer.by_index(ORPHANS, meta.namespace))
    claims = sort_out(owner, selector, informer.by_index(OWNER, meta.uid), orphans, member)
    return await claim_among(client, owner, claims, informer.kind)


async def claim_among(client: Client, owner: KubeObject, claims: Claims[T], kind: Kind[T], *, finalizer: str = "") -> list[T]:
    """Adopt and release what the claims say, and return what the owner controls then. Raises NotFound when the owner is gone.

    A `finalizer` is added to what is adopted and removed from what is released, in the same write.
    """
    kept = claims.keep
    if claims.adopt:
        await _check_alive(client, owner)
    for obj in claims.adopt:
        adopted = await _adopt(client, kind, owner, obj, finalizer)
        if adopted is not None:
            kept.append(adopted)
    for obj in claims.release:
        await _release(client, kind, owner, obj, finalizer)
    return kept


async def _check_alive(client: Client, owner: KubeObject) -> None:
    meta = owner.metadata
    fresh = await client.get(type(owner), meta.name, meta.namespace)
    if fresh.metadata.uid != meta.uid or fresh.metadata.deletionTimestamp is not None:
        raise NotFound.object(client.kind_of(type(owner)).plural, meta.name)


async def _adopt(client: Client, kind: Kind[T], owner: KubeObject, obj: T, finalizer: str) -> T | None:
    meta = obj.metadata
    finalizers = [*meta.finalizers, finalizer] if finalizer and finalizer not in meta.finalizers else meta.finalizers
    try:
        return await _write_owners(client, kind, obj, [*meta.ownerReferences, reference(owner)], finalizers)
    except NotFound:
        return None


async def _release(client: Client, kind: Kind[T], owner: KubeObject, obj: T, finalizer: str) -> None:
    meta = obj.metadata
    references = [ref for ref in meta.ownerReferences if ref.uid != owner.metadata.uid]
    try:
        await _write_owners(client, kind, obj, references, [name for name in meta.finalizers if name != finalizer])
    except (NotFound, Invalid):
        # It is gone already, or another object has its name.
        return


async def _write_owners(client: Client, kind: Kind[T], obj: T, references: Sequence[OwnerReference], finalizers: Sequence[str]) -> T:
    meta = obj.metadata
    change: dict[str, object] = {"uid": meta.uid, "resourceVersion": meta.resourceVersion, "ownerReferences": references}
    if finalizers != meta.finalizers:
        change["finalizers"] = finalizers
    return await client.patch(kind, meta.name, meta.namespace, body={"metadata": change})
