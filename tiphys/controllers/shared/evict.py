"""Removing pods for reasons that are not their own ("Pod disruption conditions")."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.base import time
from tiphys.api.core import v1 as core
from tiphys.api.errors import NotFound
from tiphys.api.helpers.pods import condition
from tiphys.client.client import Client
from tiphys.controllers.shared.slim import SlimPod

DISRUPTED = "DisruptionTarget"


async def mark_disrupted(client: Client, pod: SlimPod, reason: str, message: str, now: datetime, *, failed: bool = False) -> None:
    """Say on the pod why it is removed; `failed` ends it as well, for pods that nobody else will end."""
    known = condition(pod, DISRUPTED)
    if known is not None and known.status == "True" and known.reason == reason and not failed:
        return
    status: dict[str, object] = {
        "conditions": [{"type": DISRUPTED, "status": "True", "lastTransitionTime": time(now), "reason": reason, "message": message}]
    }
    if failed:
        status["phase"] = "Failed"
    body = {"metadata": {"uid": pod.metadata.uid}, "status": status}
    try:
        await client.patch(core.Pod, pod.metadata.name, pod.metadata.namespace, body=body, kind="strategic", subresource="status")
    except NotFound:
        return


async def delete_pod(client: Client, pod: SlimPod, *, grace: int | None = None) -> None:
    """Delete this very pod, if it is still there."""
    try:
        await client.delete(core.Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid, grace=grace)
    except NotFound:
        return
