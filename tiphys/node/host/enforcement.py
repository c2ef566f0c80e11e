"""Limits of what is reserved, and of what is not, on control groups ("Reserve Compute Resources for System Daemons")."""

from __future__ import annotations

import asyncio
import logging

from tiphys.node.host.allocatable import reserved
from tiphys.node.services import NodeServices

log = logging.getLogger(__name__)

DONE = "NodeAllocatableEnforced"
FAILED = "FailedNodeAllocatableEnforcement"
AGAIN = 60.0
"""Seconds between attempts: the kernel refuses a limit of memory below what is in use."""
_PODS, _PODS_DONE = "Failed to update Node Allocatable Limits", "Updated Node Allocatable limit across pods"


async def enforce(services: NodeServices) -> None:
    """Set the limits that `enforceNodeAllocatable` names. What the kernel refuses is tried again every minute, until it agrees."""
    settings = services.settings
    held: set[str] = set()
    groups = ["pods", *(group for group in settings.enforce_allocatable if group != "pods")]
    while len(held) < len(groups):
        for group in groups:
            if group not in held and await _enforce(services, group):
                held.add(group)
        if len(held) < len(groups):
            await services.clock.sleep(AGAIN)


async def _enforce(services: NodeServices, group: str) -> bool:
    """Limit one group; False when that failed. Without a limit for pods, an earlier one is taken away."""
    settings, cgroups = services.settings, services.cgroups
    if group == "pods":
        fault = await asyncio.to_thread(cgroups.hold)
        label, done = f"{_PODS} {cgroups.parent!r}", _PODS_DONE if group in settings.enforce_allocatable else ""
    else:
        kind, _, rest = group.partition("-reserved")
        path, reserve = {
            "system": (settings.system_reserved_cgroup, settings.system_reserved),
            "kube": (settings.kube_reserved_cgroup, settings.kube_reserved),
        }[kind]
        amounts = {name: number for name, number in reserved(reserve, {}).items() if name in reserve}
        fault = await asyncio.to_thread(cgroups.restrict, path, amounts, compressible=bool(rest))
        label, done = f"Failed to enforce {kind} reserved limits on {path!r}", f"Updated limits on {kind} reserved cgroup {path}"
    if fault:
        log.warning("limits of a group not set", extra={"group": group, "error": fault})
        services.tell_of_node("Warning", FAILED, f"{label}: {fault}")
    elif done:
        services.tell_of_node("Normal", DONE, done)
    return not fault
