"""Removal of pods for reasons outside themselves ("Pod disruption conditions")."""

from __future__ import annotations

from datetime import datetime

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import DISRUPTION_TARGET, condition
from tiphys.api.machinery.base import time
from tiphys.client.client import Client
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import patch_status


async def mark_disrupted(client: Client, pod: SlimPod, reason: str, message: str, now: datetime, *, failed: bool = False) -> None:
    """Set the condition with the reason for a pod's removal; `failed` also ends it, for pods that nobody else will end."""
    known = condition(pod, DISRUPTION_TARGET)
    if known is not None and known.status == "True" and known.reason == reason and not failed:
        return
    status: dict[str, object] = {
        "conditions": [{"type": DISRUPTION_TARGET, "status": "True", "lastTransitionTime": time(now), "reason": reason, "message": message}]
    }
    if failed:
        status["phase"] = "Failed"
    await patch_status(client, core.Pod, pod.metadata, status)
