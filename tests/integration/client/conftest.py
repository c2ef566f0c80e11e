"""A listener for the tests of the client over HTTPS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tiphys.testing.https import Listener, serve
from tiphys.testing.memory_api import MemoryApi


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    async with MemoryApi.running() as api, serve(api, tmp_path) as running:
        yield running
