"""Writes of custom resources, by merge patches: fields that are not known here stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import KubeObject
from tiphys.client.client import Client

T = TypeVar("T", bound=KubeObject)


async def patch_metadata(
    client: Client,
    obj: T,
    *,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    annotations: Mapping[str, str | None] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> T | None:
    """Add and remove finalizers, change annotations and parts of the spec, if something differs; returns None when the object is gone.

    Raises Conflict when it changed: finalizers are replaced as a whole.
    """
    meta = obj.metadata
    finalizers = [one for one in meta.finalizers if one not in remove] + [one for one in add if one not in meta.finalizers]
    changes = {key: value for key, value in (annotations or {}).items() if meta.annotations.get(key) != value}
    if finalizers == meta.finalizers and not changes and not spec:
        return obj
    body: dict[str, Any] = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion}}
    if finalizers != meta.finalizers:
        body["metadata"]["finalizers"] = finalizers
    if changes:
        body["metadata"]["annotations"] = changes
    if spec:
        body["spec"] = spec
    try:
        return await client.patch(type(obj), meta.name, meta.namespace, body=body, kind="merge")
    except NotFound:
        return None


async def patch_status(client: Client, obj: T, status: msgspec.Struct) -> T | None:
    """Write the fields of a status that differ; returns None when the object is gone. Raises Conflict when it changed."""
    before = msgspec.to_builtins(getattr(obj, "status", None)) or {}
    after = msgspec.to_builtins(status)
    change = {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}
    if not change:
        return obj
    meta = obj.metadata
    body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion}, "status": change}
    try:
        return await client.patch(type(obj), meta.name, meta.namespace, body=body, kind="merge", subresource="status")
    except NotFound:
        return None
