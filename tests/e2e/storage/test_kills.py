"""kill -9 of the server and the node process while claims and pods come and go."""

from __future__ import annotations

import random

from tests.e2e.storage.churn import Churn
from tiphys.testing.cluster import Cluster

SECONDS = 12.0


def test_nothing_is_lost_shared_or_left(cluster: Cluster) -> None:
    churn = Churn(cluster, random.Random(7))
    churn.run(SECONDS)
    assert churn.kills
    churn.settle()
    churn.finish()
