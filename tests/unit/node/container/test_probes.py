"""Times of probes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.node.make import observed, pod, seen
from tiphys.aio.clock import VirtualClock
from tiphys.node.container.probes import ProbeManager
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.pb import api_pb2 as pb

pytestmark = pytest.mark.looptime


class SlowRuntime(CriClient):
    """A runtime whose commands take their time, and which notes when each began."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began: list[float] = []

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout: int = 0) -> pb.ExecSyncResponse:
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        return pb.ExecSyncResponse(exit_code=0)


@pytest.mark.parametrize(("takes", "began"), [(0.0, [0, 5, 10, 15]), (3.0, [0, 5, 10, 15]), (7.0, [0, 7, 14])])
async def test_the_period_counts_from_start_to_start(takes: float, began: list[float]) -> None:
    probe: dict[str, Any] = {"exec": {"command": ["true"]}, "periodSeconds": 5, "timeoutSeconds": 9}
    it, runtime = pod({"name": "a", "readinessProbe": probe}), SlowRuntime(takes)
    probes = ProbeManager(runtime, VirtualClock(), on_change=lambda _: None, tell=lambda *_: None)
    probes.sync(it, observed(seen(it, "a")), ip="10.42.0.5")
    await asyncio.sleep(19)
    await probes.close()
    assert runtime.began == began
