from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine, remove_leftovers
from tiphys.images.build import ensure_images

CACHE = Path(__file__).resolve().parents[3] / "build" / "images"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="containers need root"))


@pytest.fixture(scope="session")
def node_machine() -> Iterator[Machine]:
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
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    """A kubelet on real containers, with an API server in memory. Nothing is left behind on the machine when it ends."""
    async with Node.running(node_machine, tmp_path) as made:
        yield made
