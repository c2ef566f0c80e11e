"""Shared by unit tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.testing.memory_api import MemoryApi


@pytest.fixture
async def api() -> AsyncIterator[MemoryApi]:
    """An API server in the time of the event loop: real, or virtual under `pytest.mark.looptime`."""
    async with MemoryApi.running(clock=VirtualClock()) as running:
        yield running
