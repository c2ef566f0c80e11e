"""Writing the status of a claim, of which the binder, the kubelet and two loops of the sidecar each own a part."""

from __future__ import annotations

from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.client.client import Client

Status = core.PersistentVolumeClaimStatus
_OURS = (
    "conditions",
    "capacity",
    "allocatedResources",
    "allocatedResourceStatuses",
    "currentVolumeAttributesClassName",
    "modifyVolumeStatus",
)


async def write(client: Client, claim: core.PersistentVolumeClaim, status: Status) -> core.PersistentVolumeClaim | None:
    """Write the fields of a status that differ, if the claim is as it is known here; returns the claim, or None when it is gone.

    Raises Conflict. It is a patch because that is what upstream's roles of sidecars allow.
    """
    before, after = msgspec.to_builtins(claim.status), msgspec.to_builtins(status)
    change: dict[str, Any] = {name: _merge(before.get(name), after.get(name)) for name in _OURS if before.get(name) != after.get(name)}
    if not change:
        return claim
    meta = claim.metadata
    body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resourceVersion}, "status": change}
    try:
        return await client.patch(core.PersistentVolumeClaim, meta.name, meta.namespace, body=body, kind="merge", subresource="status")
    except NotFound:
        return None


def _merge(before: Any, after: Any) -> Any:
    """Return a merge patch from one value to another."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = {key: None for key in before if key not in after}
        return {**gone, **{key: value for key, value in after.items() if before.get(key) != value}}
    return after
