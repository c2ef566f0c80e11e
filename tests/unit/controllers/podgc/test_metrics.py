"""Counts of pods that are deleted by force."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import NOW
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import OUT_OF_SERVICE
from tiphys.controllers.podgc.controller import DELETED, ERRORS, PodCollector
from tiphys.controllers.podgc.settings import PodCollectorSettings
from tiphys.testing import eventually
from tiphys.testing.loops import running_loops
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def pod(name: str, node: str, *, deleting: bool = False, phase: str = "Running") -> core.Pod:
    return core.Pod(
        metadata=ObjectMeta(
            name=name, namespace="default", deletionTimestamp=NOW if deleting else None, deletionGracePeriodSeconds=30 if deleting else None
        ),
        spec=core.PodSpec(nodeName=node, containers=[core.Container(name="main", image="busybox")]),
        status=core.PodStatus(phase=phase),
    )


def node(name: str, ready: str) -> core.Node:
    taint = core.Taint(key=OUT_OF_SERVICE, value="nodeshutdown", effect="NoExecute")
    conditions = [core.NodeCondition(type="Ready", status=ready)]
    return core.Node(metadata=ObjectMeta(name=name), spec=core.NodeSpec(taints=[taint]), status=core.NodeStatus(conditions=conditions))


async def test_pods_are_counted_by_reason(api: MemoryApi) -> None:
    reasons = ("out-of-service", "orphaned", "unscheduled", "terminated")
    before = {reason: DELETED.labels("default", reason).value for reason in reasons}
    errors = sum(ERRORS.labels("default", reason).value for reason in reasons)
    api.add(node("off", "Unknown"), node("on", "True"))
    api.add(
        pod("lost", "off", deleting=True),
        pod("running", "off"),
        pod("ready", "on", deleting=True),
        pod("orphan", "gone"),
        pod("waiting", "", deleting=True),
        pod("old", "on", phase="Succeeded"),
        pod("pending", "on", phase="Pending"),
        pod("young", "on", phase="Failed"),
    )
    with api.faults.fail("delete pods", ServiceUnavailable("away"), times=1):
        async with running_loops(api.client(), lambda: PodCollector(PodCollectorSettings(threshold=1))):
            await eventually(lambda: len(api.list(core.Pod)) == 4, timeout=120)
    assert {one.metadata.name for one in api.list(core.Pod)} >= {"running", "ready"}
    assert {reason: DELETED.labels("default", reason).value - before[reason] for reason in reasons} == dict.fromkeys(reasons, 1)
    assert sum(ERRORS.labels("default", reason).value for reason in reasons) == errors + 1
