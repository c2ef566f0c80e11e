"""Writes shared by control loops. A missing object is no error: nothing remains to be done for it.

Conflicts come through; the loop tries again from a fresh look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.client.client import Client

T = TypeVar("T", bound=KubeObject)


async def update_present(client: Client, obj: T, *, subresource: str = "") -> T | None:
    """Replace an object; returns it as written, or None when it no longer exists."""
    try:
        return await client.update(obj, subresource=subresource)
    except NotFound:
        return None


async def write_status(client: Client, obj: T, status: msgspec.Struct) -> T | None:
    """Write an object's status if it differs; returns the resulting object, or None when it no longer exists."""
    if obj.status == status:  # type: ignore[attr-defined]
        return obj
    # A shallow copy: objects of caches are read only, and all that changes is the status.
    return await update_present(client, msgspec.structs.replace(obj, status=status), subresource="status")


async def patch_status(client: Client, type_: type[Any], meta: ObjectMeta, status: Mapping[str, object]) -> bool:
    """Change parts of this very object's status, by a strategic patch; returns False when it no longer exists."""
    body = {"metadata": {"uid": meta.uid}, "status": status}
    try:
        await client.patch(type_, meta.name, meta.namespace, body=body, kind="strategic", subresource="status")
    except NotFound:
        return False
    return True


async def delete_exact(
    client: Client,
    type_: type[Any] | Kind[Any],
    meta: ObjectMeta,
    *,
    grace: int | None = None,
    unchanged: bool = False,
    propagation: str = "",
) -> bool:
    """Delete this very object, and with `unchanged` only in the version known here; returns False when it no longer exists.

    `grace` is in seconds, None for the object's own. `propagation` (Background, Foreground, Orphan) is what becomes of its dependents,
    by default what the kind says. Raises Conflict when another object has its name by now, or when it changed.
    """
    version = meta.resourceVersion if unchanged else ""
    try:
        await client.delete(type_, meta.name, meta.namespace, uid=meta.uid, resource_version=version, grace=grace, propagation=propagation)
    except NotFound:
        return False
    return True
