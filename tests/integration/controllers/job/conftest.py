"""Jobs are tested in virtual time."""

from __future__ import annotations

import pytest

from tests.integration.controllers.conftest import Cluster


@pytest.fixture
def cluster(virtual_cluster: Cluster) -> Cluster:
    return virtual_cluster
