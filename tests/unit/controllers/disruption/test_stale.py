"""Conditions DisruptionTarget of pods that stay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.make import NOW, ago, pod, whole_pod
from tiphys.aio.clock import VirtualClock
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import condition
from tiphys.controllers.disruption.stale import StaleDisruptionController, stale_in
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi


def announced(seconds: float, *, reason: str = "EvictionByEvictionAPI", status: str = "True") -> core.PodCondition:
    return core.PodCondition(type="DisruptionTarget", status=status, reason=reason, message="m", lastTransitionTime=ago(seconds))


@pytest.mark.parametrize(
    ("state", "told", "left"),
    [
        ({}, announced(20), 100.0),
        ({}, announced(120), 0.0),
        ({}, announced(5000), 0.0),
        ({}, announced(5000, status="False"), None),
        ({}, announced(5000, reason="TerminationByKubelet"), None),
        ({"deleting": True}, announced(5000), None),
        ({"phase": "Failed"}, announced(5000), None),
        ({}, core.PodCondition(type="Other", status="True"), None),
    ],
)
def test_stale_after_two_minutes_unless_it_is_on_its_way(state: dict[str, Any], told: core.PodCondition, left: float | None) -> None:
    found = pod(**state)
    found.status.conditions.append(told)
    assert stale_in(found, NOW) == left


@pytest.mark.looptime
async def test_a_pod_that_stays_is_no_longer_a_target() -> None:
    clock = VirtualClock(NOW)
    async with MemoryApi.running(clock=clock) as api:
        for name in ("staying", "going"):
            announced_pod = whole_pod(name)
            announced_pod.status.conditions.append(announced(30))
            api.add(announced_pod)
        async with running_loops(api.client(), StaleDisruptionController):
            await clock.sleep(60)
            await api.client().delete(core.Pod, "going", "default", grace=300)
            await clock.sleep(29)
            assert api.writes()[1:] == []
            await clock.sleep(3)
            kept = condition(api.get(core.Pod, "staying", "default"), "DisruptionTarget")
            assert kept is not None
            assert (kept.status, kept.reason, kept.message) == ("False", "", "")
            assert kept.lastTransitionTime is not None
            assert (kept.lastTransitionTime - NOW).total_seconds() == 90
            still = condition(api.get(core.Pod, "going", "default"), "DisruptionTarget")
            assert still is not None
            assert still.status == "True"
            before = len(api.writes())
            await clock.sleep(3600)
            assert len(api.writes()) == before
