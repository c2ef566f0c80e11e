"""The status of a disruption budget."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import NOW, ago, pod
from tiphys.api.machinery.base import IntOrString
from tiphys.api.machinery.durations import NEVER
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.policy import v1 as policy
from tiphys.controllers.disruption.plan import failed, grants, status, targets


def budget(**spec: IntOrString) -> policy.PodDisruptionBudget:
    return policy.PodDisruptionBudget(
        metadata=ObjectMeta(name="b", generation=4),
        spec=policy.PodDisruptionBudgetSpec(**spec),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 2}, (3, 2)),
        ({"minAvailable": "50%"}, (10, 5)),
        ({"minAvailable": "51%"}, (10, 6)),
        ({"maxUnavailable": 1}, (10, 9)),
        ({"maxUnavailable": "15%"}, (10, 8)),
        ({"maxUnavailable": 99}, (10, 0)),
    ],
)
def test_targets(spec: dict[str, IntOrString], expected: tuple[int, int]) -> None:
    assert targets(budget(**spec), [pod("a"), pod("b"), pod("c")], 10) == expected


def test_healthy_is_ready_and_staying() -> None:
    pods = [pod("a"), pod("b"), pod("c", ready=False), pod("d", deleting=True), pod("e")]
    found = status(budget(minAvailable=1), pods, None, {"e": NOW}, NOW)
    assert (found.expectedPods, found.currentHealthy, found.disruptionsAllowed, found.observedGeneration) == (5, 2, 1, 4)
    assert status(budget(minAvailable=1), [], None, {}, NOW).disruptionsAllowed == 0


def test_granted_evictions_count_until_the_pod_goes_or_two_minutes_are_over() -> None:
    found = budget(minAvailable=1)
    found.status.disruptedPods = {"a": ago(10), "gone": ago(10), "going": ago(10), "stayed": ago(121)}
    pods = [pod("a"), pod("going", deleting=True), pod("stayed")]
    assert grants(found, pods, NOW) == ({"a": ago(10)}, 110, [pods[2]])


def test_a_grant_that_lies_far_ahead_is_kept() -> None:
    found = budget(minAvailable=1)
    found.status.disruptedPods = {"a": NEVER}
    assert grants(found, [pod("a")], NOW).pending == {"a": NEVER}


def test_unknown_scale_allows_no_evictions() -> None:
    found = failed(budget(maxUnavailable=1), "no scale", NOW)
    assert found.disruptionsAllowed == 0
    assert [(c.status, c.reason, c.message) for c in found.conditions] == [("False", "SyncFailed", "no scale")]
