"""Pods that count, and what they request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tiphys.controllers.autoscaling.pods import Sample, count_ready, grouped, request_of
from tiphys.controllers.autoscaling.settings import AutoscalingSettings
from tiphys.controllers.autoscaling.slim import ScaledPod

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SETTINGS = AutoscalingSettings()


def pod(
    name: str, *, age: float = 3600.0, ready: str | None = "True", since: float | None = None, phase: str = "Running", **more: Any
) -> ScaledPod:
    conditions = []
    if ready is not None:
        moment = NOW - timedelta(seconds=age - 1.0 if since is None else since)
        conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": moment.isoformat()}]
    status = {"phase": phase, "startTime": (NOW - timedelta(seconds=age)).isoformat(), "conditions": conditions}
    document = {"metadata": {"name": name}, "spec": more, "status": status}
    return msgspec.convert(document, ScaledPod)


def sample(age: float = 5.0, window: float = 15.0) -> Sample:
    return Sample(100, NOW - timedelta(seconds=age), window)


def test_pods_by_what_is_known_of_them() -> None:
    going = pod("going")
    going.metadata.deletionTimestamp = NOW
    pods = [pod("ready"), going, pod("failed", phase="Failed"), pod("pending", phase="Pending"), pod("silent")]
    samples = {name: sample() for name in ("ready", "going", "failed", "pending")}
    groups = grouped(pods, samples, "cpu", NOW, SETTINGS)
    assert groups.ready == 1
    assert [sorted(names) for names in (groups.unready, groups.missing, groups.ignored)] == [["pending"], ["silent"], ["failed", "going"]]


@pytest.mark.parametrize(
    ("young", "unready"),
    [
        (pod("a", age=60.0, since=50.0), False),
        (pod("a", age=60.0, ready="False", since=50.0), True),
        (pod("a", age=60.0, since=10.0), True),
        (pod("a", age=3600.0, ready="False", since=3590.0), True),
        (pod("a", age=3600.0, ready="False", since=60.0), False),
        (pod("a", ready=None), True),
    ],
    ids=["window after ready", "not ready", "window before ready", "never ready", "unready since", "no condition"],
)
def test_the_cpu_of_young_pods_counts_once_they_were_ready_for_a_window(young: ScaledPod, unready: bool) -> None:
    assert bool(grouped([young], {"a": sample()}, "cpu", NOW, SETTINGS).unready) is unready
    assert not grouped([young], {"a": sample()}, "memory", NOW, SETTINGS).unready


def test_counts_pods_that_run_and_are_ready() -> None:
    assert count_ready([pod("a"), pod("b", ready="False"), pod("c", phase="Succeeded")]) == 1


def box(name: str, cpu: str = "", **more: str) -> dict[str, Any]:
    return {"name": name, "resources": {"requests": {"cpu": cpu} if cpu else {}}, **more}


def test_requests_of_pods_and_containers() -> None:
    sidecar, setup = box("proxy", "50m", restartPolicy="Always"), box("setup", "2")
    made = pod("a", containers=[box("main", "200m"), box("log", "1")], initContainers=[setup, sidecar])
    assert request_of(made, "cpu", "") == 1250
    assert request_of(made, "cpu", "main") == 200
    assert request_of(pod("a", containers=[box("main")], resources={"requests": {"cpu": "3"}}), "cpu", "") == 3000


def test_a_missing_request_is_named() -> None:
    made = pod("a", containers=[box("main", "200m"), box("log")])
    with pytest.raises(LookupError, match="missing request for cpu in container log of Pod a"):
        request_of(made, "cpu", "")
    with pytest.raises(LookupError, match="container web not found in Pod a"):
        request_of(made, "cpu", "web")
    with pytest.raises(LookupError, match="missing pod-level request for cpu in Pod b"):
        request_of(pod("b", containers=[], resources={"requests": {"memory": "1Gi"}}), "cpu", "")
