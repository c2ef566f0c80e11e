"""The rate of requests is limited."""

from __future__ import annotations

from tiphys.node.pod_resources.limit import RateLimit


def test_a_burst_and_then_the_rate() -> None:
    limit = RateLimit(8.0, 3, now=100.0)
    assert [limit.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [limit.take(100.125) for _ in range(2)] == [True, False]
    # What nobody took is not saved up beyond the burst.
    assert [limit.take(1000.0) for _ in range(4)] == [True, True, True, False]
