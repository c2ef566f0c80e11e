"""postStart and preStop: a command, an HTTP request or a sleep. See "Container Lifecycle Hooks"."""

from __future__ import annotations

import msgspec

from tiphys.aio.clock import Clock
from tiphys.api.core import v1 as core
from tiphys.node.container import checks
from tiphys.node.cri.client import CriClient
from tiphys.node.pod.plan import AnyContainer


async def run_hook(
    cri: CriClient, clock: Clock, container: AnyContainer, handler: core.LifecycleHandler, *, container_id: str, pod_ip: str, timeout: float
) -> str:
    """Run a hook to its end, for `timeout` seconds at most where it can be interrupted; returns what went wrong, or ""."""
    if handler.sleep is not None:
        await clock.sleep(min(float(handler.sleep.seconds), timeout))
        return ""
    if handler.exec is not None:
        verdict = await checks.run_command(cri, container_id, handler.exec.command, timeout)
    elif handler.httpGet is not None:
        # An answer will do: upstream looks at no status here.
        verdict = await checks.http_get(
            container, handler.httpGet, pod_ip, min(timeout, 30.0), user_agent="kube-lifecycle/1.36", any_status=True
        )
    else:
        # The API takes a TCP connection as a hook and nothing has ever made one ("Container Lifecycle Hooks").
        return f"Cannot run handler: invalid handler: {msgspec.json.encode(handler).decode()}"
    return "" if verdict.ok else verdict.output or "the hook failed"
