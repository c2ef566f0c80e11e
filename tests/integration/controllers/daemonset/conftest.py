"""A cluster of three nodes with all controllers and the scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.daemonset.daemons import Daemons, running_daemons


@pytest.fixture
async def daemons(cluster: Cluster) -> AsyncIterator[Daemons]:
    async with running_daemons(cluster, "n1", "n2", "n3") as made:
        yield made
