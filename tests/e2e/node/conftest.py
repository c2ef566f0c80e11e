from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine, running_machine


@pytest.fixture(scope="session")
def node_machine() -> Iterator[Machine]:
    """A running containerd with the pause and busybox images, purged at the end."""
    with running_machine() as running:
        yield running


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    """A kubelet on real containers, with an API server in memory. Nothing is left behind on the machine when it ends."""
    async with Node.running(node_machine, tmp_path) as made:
        yield made
