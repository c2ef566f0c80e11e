"""A load that pods share, in place of the resource metrics API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.metrics.v1beta1 import PodMetrics
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.usage import Curve, UsageTransport


@pytest.mark.parametrize(
    ("time", "load"), [("06:00", 100), ("08:00", 200), ("10:00", 300), ("10:01:30", 375), ("10:02", 400), ("22:00", 300), ("02:00", 200)]
)
def test_a_load_follows_lines_between_times_and_over_midnight(time: str, load: int) -> None:
    curve = Curve({"06:00": "100m", "10:00": "300m", "10:02": "0.4", "18:00": "400m"})
    assert curve.at(datetime.fromisoformat(f"2026-01-01T{time}").replace(tzinfo=UTC)) == load


@pytest.mark.parametrize("points", [{}, {"25:00": 1}, {"noon": 1}, {"12:00": "much"}])
def test_rejects_loads_without_times_and_quantities(points: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Curve(points)


def ready_pod(name: str, app: str, status: str = "True") -> core.Pod:
    return core.Pod(
        metadata=ObjectMeta(name=name, namespace="default", labels={"app": app}),
        spec=core.PodSpec(containers=[core.Container(name="main", image="web")]),
        status=core.PodStatus(conditions=[core.PodCondition(type="Ready", status=status)]),
    )


async def test_ready_pods_that_a_request_selects_share_the_load(api: MemoryApi) -> None:
    api.add(ready_pod("a", "web"), ready_pod("b", "web"), ready_pod("c", "web", "False"), ready_pod("d", "other"))
    client = api.client()
    client.transport = transport = UsageTransport(client.transport, api.client())
    with pytest.raises(ServiceUnavailable, match="currently unable"):
        await client.list(PodMetrics, "default", labels="app=web")
    transport.curves = {"cpu": Curve({"00:00": "1500m"}), "memory": Curve({"00:00": "1k"})}
    found = (await client.list(PodMetrics, "default", labels="app=web")).items
    assert [(one.metadata.name, one.containers[0].name) for one in found] == [("a", "main"), ("b", "main")]
    assert found[0].containers[0].usage == {"cpu": "750m", "memory": "500000m"}
    assert found[0].timestamp is not None
    assert len((await client.list(core.Pod, "default")).items) == 4
