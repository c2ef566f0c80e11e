"""Storage of every kind over a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tiphys.api.kinds import SCHEME
from tiphys.apiserver.cache.storage import Storage
from tiphys.store.memory import MemoryStore


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    await store.start()
    yield store
    await store.close()


@pytest.fixture
async def storage(store: MemoryStore) -> AsyncIterator[Storage]:
    storage = Storage(store, SCHEME)
    await storage.start()
    yield storage
    await storage.close()
