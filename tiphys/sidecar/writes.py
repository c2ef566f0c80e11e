"""Writes that the loops of the sidecar have in common: finalizers, without conflicts, on this very object alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tiphys.api.machinery.errors import Conflict, NotFound
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client

T = TypeVar("T", bound=KubeObject)


async def add_finalizer(client: Client, obj: T, finalizer: str, *, annotations: Mapping[str, str | None] | None = None) -> T | None:
    """Set a finalizer, and annotations in the same write; returns the object, or None when it is gone or another one has its name."""
    more = {"annotations": annotations} if annotations else {}
    return await _patch(client, obj, {"finalizers": [finalizer], **more})


async def remove_finalizer(client: Client, obj: T, finalizer: str, *, annotations: Mapping[str, str | None] | None = None) -> T | None:
    """Remove a finalizer, and change annotations in the same write; returns as `add_finalizer`."""
    more = {"annotations": annotations} if annotations else {}
    return await _patch(client, obj, {"$deleteFromPrimitiveList/finalizers": [finalizer], **more})


async def _patch(client: Client, obj: T, metadata: dict[str, Any]) -> T | None:
    meta = obj.metadata
    body = {"metadata": {"uid": meta.uid, **metadata}}
    try:
        return await client.patch(type(obj), meta.name, meta.namespace, body=body, kind="strategic")
    except NotFound:
        return None
    except Conflict:
        return (
            None
            if await current(client, obj) is None
            else await client.patch(type(obj), meta.name, meta.namespace, body=body, kind="strategic")
        )


async def current(client: Client, obj: T) -> T | None:
    """Return this very object as the server has it, None when it is gone."""
    try:
        live = await client.get(type(obj), obj.metadata.name, obj.metadata.namespace)
    except NotFound:
        return None
    return live if live.metadata.uid == obj.metadata.uid else None
