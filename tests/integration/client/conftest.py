"""A listener for the tests of the client over HTTPS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tiphys.testing.fake_api import FakeApi
from tiphys.testing.fake_https import Listener, serve
from tiphys.testing.samples import small_scheme


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    async with serve(FakeApi(small_scheme()), tmp_path) as running:
        yield running
