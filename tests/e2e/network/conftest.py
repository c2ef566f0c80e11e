from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.network.cluster import Cluster
from tests.e2e.network.machine import Machine, inside, remove_leftovers


@pytest.fixture(scope="session")
def _no_leftovers() -> None:
    remove_leftovers()


@pytest.fixture
def space(_no_leftovers: None) -> Iterator[Machine]:
    """The machine, with this thread in its node's namespace."""
    made = Machine()
    try:
        with inside(made.node.full):
            yield made
    finally:
        made.remove()


@pytest.fixture
async def machine(space: Machine) -> AsyncIterator[Machine]:
    yield space
    await space.close()


@pytest.fixture
async def cluster(machine: Machine, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster with its bridge; its proxy is not started yet."""
    async with Cluster.running(machine, tmp_path) as made:
        yield made
