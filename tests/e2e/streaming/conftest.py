from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.runtime.conftest import RunPod, cri, machine, run_pod
from tests.e2e.streaming.pods import Containers
from tests.integration.node.serve.streaming.kubectl import Streaming
from tests.integration.node.serve.streaming.neighbors import Front, listen, stop
from tiphys.node.cri.client import CriClient
from tiphys.testing.kubectl import Kubectl

__all__ = ["cri", "machine", "run_pod"]


@pytest.fixture
async def containers(cri: CriClient, run_pod: RunPod) -> Containers:
    return Containers(cri, await run_pod("streaming"))


@pytest.fixture
async def front(containers: Containers) -> AsyncIterator[Front]:
    made = Front(containers.streaming_url)
    server, made.port, tasks = await listen(made.handle)
    yield made
    await stop(server, tasks)


@pytest.fixture
def upgrade() -> str:
    return "websocket"


@pytest.fixture
def kubectl(front: Front, tmp_path: Path, upgrade: str) -> Kubectl:
    return Streaming(front, tmp_path, upgrade)
