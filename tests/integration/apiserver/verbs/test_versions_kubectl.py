"""kubectl with kinds that are served in several groups and versions."""

from __future__ import annotations

import json
from typing import Any

EVENT = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "a", "namespace": "default"},
    "regarding": {"kind": "Pod", "name": "web", "namespace": "default", "apiVersion": "v1"},
    "eventTime": "2026-01-01T00:00:00.123456Z",
    "note": "It was started",
    "reportingController": "test",
    "reportingInstance": "here",
    "action": "Do",
    "reason": "Started",
    "type": "Normal",
}


def manifest(version: str, **spec: Any) -> str:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    document = {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 4, **spec},
    }
    return json.dumps(document)


async def test_events_of_the_new_group_are_seen_as_events(cluster: Any) -> None:
    kubectl = cluster.kubectl
    await kubectl("create", "-f", "-", stdin=json.dumps(EVENT))
    for command in (("get", "events"), ("get", "events.events.k8s.io"), ("events",)):
        text = await kubectl(*command)
        assert "Started" in text, text
        assert "It was started" in text, text
    assert "It was started" in await kubectl("events", "--for", "pod/web")
    assert await kubectl("get", "events", "--field-selector", "involvedObject.name=web", "-o", "name") == "event/a\n"
    selected = await kubectl("get", "events.events.k8s.io", "--field-selector", "regarding.name=web", "-o", "jsonpath={.items[*].note}")
    assert selected == "It was started"
    assert await kubectl("delete", "events", "--all") == 'event "a" deleted from default namespace\n'


async def test_autoscalers_are_applied_and_shown_in_both_versions(cluster: Any) -> None:
    kubectl = cluster.kubectl
    text = await kubectl("apply", "-f", "-", stdin=manifest("v1", targetCPUUtilizationPercentage=50))
    assert "horizontalpodautoscaler.autoscaling/web created" in text
    row = (await kubectl("get", "hpa", "--no-headers")).split()
    assert row[:7] == ["web", "Deployment/web", "cpu:", "<unknown>/50%", "1", "4", "0"]
    memory = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}
    await kubectl("apply", "-f", "-", stdin=manifest("v2", metrics=[memory]))
    shown = json.loads(await kubectl("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "json"))
    assert shown["apiVersion"] == "autoscaling/v1"
    assert "targetCPUUtilizationPercentage" not in shown["spec"]
    assert "memory" in shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest("v2", metrics=[memory], minReplicas=2))
    found = json.loads(await kubectl("get", "hpa", "web", "-o", "json"))
    assert (found["apiVersion"], found["spec"]["minReplicas"]) == ("autoscaling/v2", 2)
    assert "Metrics:" in await kubectl("describe", "hpa", "web")
    assert 'horizontalpodautoscaler.autoscaling "web" deleted' in await kubectl("delete", "hpa", "web")
