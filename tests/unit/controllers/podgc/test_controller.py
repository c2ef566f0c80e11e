"""Finished pods beyond the number that is kept."""

from __future__ import annotations

from tests.unit.controllers.make import pod
from tiphys.controllers.podgc.controller import surplus


def test_evicted_pods_go_first_then_the_oldest() -> None:
    evicted = pod("evicted", phase="Failed", age=1)
    evicted.status.reason = "Evicted"
    pods = [pod("young", phase="Succeeded", age=10), evicted, pod("old", phase="Succeeded", age=99)]
    assert [found.metadata.name for found in surplus(pods, 1)] == ["evicted", "old"]
    assert surplus(pods, 3) == []
