"""A directory and a driver for each test; failures of the shared suite are explained."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.node.local_path.scratch import scratch
from tiphys.node.local_path.driver import LocalPathDriver

pytest.register_assert_rewrite("tiphys.testing.csi_suite", "tiphys.testing.csi_node_suite")


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Path]:
    with scratch(request.path.stem.removeprefix("test_")) as directory:
        yield directory


@pytest.fixture
async def driver(place: Path) -> AsyncIterator[LocalPathDriver]:
    driver = LocalPathDriver(place / "storage", node="n1")
    yield driver
    await driver.close()
