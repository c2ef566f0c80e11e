from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.e2e.runtime.machine import Machine, Pod, running_machine
from tiphys.node.cri.client import CriClient

RunPod = Callable[[str], Awaitable[Pod]]


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running containerd with the pause and busybox images, purged at the end."""
    with running_machine() as running:
        yield running


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
