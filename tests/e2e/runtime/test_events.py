"""Hints from containerd: a dead container is noticed without listing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.runtime.conftest import RunPod
from tests.e2e.runtime.machine import Machine
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import Unavailable
from tiphys.node.cri.events import ContainerHint, container_hints
from tiphys.testing.eventually import eventually


@contextlib.asynccontextmanager
async def hints_of(machine: Machine) -> AsyncIterator[list[ContainerHint]]:
    seen: list[ContainerHint] = []
    listening = asyncio.Event()

    async def listen() -> None:
        async for hint in container_hints(machine.supervisor.socket_path):
            if hint is None:
                listening.set()
            else:
                seen.append(hint)

    task = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(listening.wait(), 20)
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_container_that_ends_is_told_and_a_command_in_it_is_not(machine: Machine, cri: CriClient, run_pod: RunPod) -> None:
    async with hints_of(machine) as seen:
        pod = await run_pod("hints")
        container = await pod.start("main", command=["sleep", "1000"])
        await eventually(lambda: ContainerHint(pod.id, "start") in seen and ContainerHint(container, "start") in seen)
        await pod.output(container, ["true"])
        await cri.stop_container(container, grace=0)
        await eventually(lambda: ContainerHint(container, "delete") in seen)
        assert [hint for hint in seen if hint.container_id == container] == [
            ContainerHint(container, "start"),
            ContainerHint(container, "exit"),
            ContainerHint(container, "delete"),
        ]


async def test_nobody_on_the_socket_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiphys.node.cri.events._CONNECT_SECONDS", 0.05)
    with pytest.raises(Unavailable, match="nobody answers"):
        async for _ in container_hints(tmp_path / "absent.sock"):
            pass
