"""Clusters for tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tiphys.testing.cluster import Cluster, running_cluster, taken_slot


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running cluster for the module."""
    with running_cluster() as running:
        yield running


@pytest.fixture
def slot() -> Iterator[Cluster]:
    """A cluster that is not started yet; whatever the test leaves is purged."""
    with taken_slot() as cluster:
        try:
            yield cluster
        finally:
            cluster.down(purge=True)
