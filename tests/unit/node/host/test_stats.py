"""Use of resources, as a page of metrics and as a summary."""

from __future__ import annotations

import msgspec

from tiphys.node.host import stats


def test_metrics() -> None:
    use = stats.ContainerUse("ns", "p", "u", "c", stats.Usage(cpu=2_500_000_000, memory=1024, at=1.0, started=1.0))
    text = stats.resource_metrics(stats.Usage(cpu=10**9, memory=5), [use])
    assert 'container_cpu_usage_seconds_total{container="c",namespace="ns",pod="p"} 2.5\n' in text
    assert 'pod_memory_working_set_bytes{namespace="ns",pod="p"} 1024\n' in text
    assert "node_cpu_usage_seconds_total 1\n" in text
    body = msgspec.to_builtins(stats.summary("n", stats.Usage(cpu=1), [use]))
    assert body["pods"][0]["podRef"] == {"name": "p", "namespace": "ns", "uid": "u"}
    assert body["pods"][0]["containers"][0]["memory"]["workingSetBytes"] == 1024
