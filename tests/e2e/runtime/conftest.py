from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.runtime.machine import Machine, Pod, remove_leftovers
from tiphys.images.build import ensure_images
from tiphys.node.cri.client import CriClient

CACHE = Path(__file__).resolve().parents[3] / "build" / "images"

RunPod = Callable[[str], Awaitable[Pod]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running containerd with the pause and busybox images, purged at the end."""
    remove_leftovers()
    made = Machine.new()

    async def start() -> None:
        await made.start()
        await ensure_images(["pause", "busybox"], cache_dir=CACHE, containerd_socket=made.supervisor.socket_path)

    try:
        asyncio.run(start())
        yield made
    finally:
        left = asyncio.run(made.purge())
        made.remove()
        assert left == []


@pytest.fixture
async def cri(machine: Machine) -> AsyncIterator[CriClient]:
    async with CriClient(machine.supervisor.socket_path) as client:
        yield client


@pytest.fixture
async def run_pod(machine: Machine, cri: CriClient) -> AsyncIterator[RunPod]:
    """Starts pods by name; they are removed when the test ends."""
    pods: list[Pod] = []

    async def run(name: str) -> Pod:
        pod = Pod(cri, machine, name)
        pods.append(pod)
        return await pod.run()

    yield run
    for pod in pods:
        if pod.id:
            await pod.remove()
