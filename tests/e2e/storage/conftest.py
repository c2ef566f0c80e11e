"""One real cluster per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tiphys.testing.cluster import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster with the images that the module's IMAGES name."""
    images: tuple[str, ...] = getattr(request.module, "IMAGES", ("busybox",))
    with running_cluster(images=images) as running:
        yield running
