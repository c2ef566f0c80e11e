"""Swap, protection and throttling of containers on control groups v2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.container.memory import MemoryRules, unified

GI = 1 << 30
RULES = MemoryRules(capacity=8 * GI, allocatable=6 * GI, swap=4 * GI, v2=True)


def files(resources: dict[str, Any], *, priority: str = "", **changes: Any) -> dict[str, str]:
    made: core.Pod = pod({"name": "a", "resources": resources})
    made.spec.priorityClassName = priority
    made.spec.priority = 2_000_000_000 if priority else None
    return unified(made, made.spec.containers[0], msgspec.structs.replace(RULES, **changes))


BURSTABLE = {"requests": {"memory": "2Gi"}, "limits": {"memory": "4Gi"}}
GUARANTEED = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}


def test_control_groups_v1_have_no_such_files() -> None:
    assert files(BURSTABLE, v2=False, swap_behavior="LimitedSwap") == {}


def test_no_container_swaps_by_default_and_its_processes_end_together() -> None:
    assert files(BURSTABLE) == {"memory.swap.max": "0", "memory.oom.group": "1"}
    assert files(BURSTABLE, ends_together=False)["memory.oom.group"] == "0"


@pytest.mark.parametrize(
    ("resources", "priority", "swap"),
    [
        (BURSTABLE, "", GI),
        ({"requests": {"memory": "2Gi"}}, "", GI),
        (BURSTABLE, "system-node-critical", 0),
        (GUARANTEED, "", 0),
        ({}, "", 0),
        ({"requests": {"cpu": "1"}}, "", 0),
        ({"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}}, "", 0),
    ],
)
def test_limited_swap_is_shared_by_requests(resources: dict[str, Any], priority: str, swap: int) -> None:
    assert files(resources, priority=priority, swap_behavior="LimitedSwap")["memory.swap.max"] == str(swap)


def test_requests_are_protected_when_the_node_reserves_memory() -> None:
    kept = files(BURSTABLE, reservation="TieredReservation")
    assert (kept.get("memory.low"), kept.get("memory.min")) == (str(2 * GI), None)
    kept = files(GUARANTEED, reservation="TieredReservation")
    assert (kept.get("memory.low"), kept.get("memory.min")) == (None, str(2 * GI))
    assert "memory.low" not in files({}, reservation="TieredReservation")


def test_containers_are_throttled_between_request_and_limit() -> None:
    assert files(BURSTABLE, throttling=0.9)["memory.high"] == str(int(3.8 * GI) // 4096 * 4096)
    assert files({"requests": {"memory": "2Gi"}}, throttling=0.5)["memory.high"] == str(4 * GI)
    assert "memory.high" not in files(GUARANTEED, throttling=0.9)
