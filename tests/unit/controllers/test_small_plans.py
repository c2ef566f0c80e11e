"""Budgets, namespaces, ownership and batches."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.controllers.make import NOW, ago, pod, replica_set
from tiphys.api.core import v1 as core
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.base import IntOrString
from tiphys.api.machinery.selectors import parse_labels
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.policy import v1 as policy
from tiphys.controllers.disruption.plan import disrupted, failed, status, targets
from tiphys.controllers.namespace import plan as namespaces
from tiphys.controllers.shared.batches import slow_start
from tiphys.controllers.shared.claim import sort_out
from tiphys.controllers.shared.scaled import scaled
from tiphys.controllers.shared.selecting import workload_selector


@pytest.mark.parametrize(
    ("value", "up", "expected"), [(None, True, 0), (3, True, 3), ("25%", True, 2), ("25%", False, 1), ("0%", True, 0), ("100%", False, 7)]
)
def test_percentages(value: IntOrString | None, up: bool, expected: int) -> None:
    assert scaled(value, 7, up=up) == expected
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        scaled("seven", 7, up=True)


# Budgets


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
    assert disrupted(found, pods, NOW) == ({"a": ago(10)}, 110)


def test_unknown_scale_allows_no_evictions() -> None:
    found = failed(budget(maxUnavailable=1), "no scale", NOW)
    assert found.disruptionsAllowed == 0
    assert [(c.status, c.reason, c.message) for c in found.conditions] == [("False", "SyncFailed", "no scale")]


# Namespaces


def test_content_kinds_are_each_storage_once_pods_first_and_events_last() -> None:
    kinds = namespaces.content_kinds(SCHEME)
    resources = [kind.resource for kind in kinds]
    assert len(resources) == len(set(resources))
    assert {"pods", "deployments.apps", "secrets", "endpointslices.discovery.k8s.io"} <= set(resources)
    assert not {"namespaces", "nodes", "clusterroles.rbac.authorization.k8s.io"} & set(resources)
    assert (kinds[0].plural, kinds[-1].plural) == ("pods", "events")


def test_an_empty_namespace_says_so_and_what_is_left_is_listed() -> None:
    terminating = core.Namespace(metadata=ObjectMeta(name="n", deletionTimestamp=NOW))
    empty = namespaces.summarize({"pods": []}, {})
    assert empty.is_empty
    assert {c.status for c in namespaces.status(terminating, empty, NOW).conditions} == {"False"}
    held = [pod("a"), pod("b")]
    held[0].metadata.finalizers = ["example.com/x"]
    full = namespaces.summarize({"pods": held}, {"secrets": "secrets: forbidden"})
    found = {c.type: (c.status, c.message) for c in namespaces.status(terminating, full, NOW).conditions}
    assert found["NamespaceContentRemaining"] == ("True", "Some resources are remaining: pods has 2 resource instances")
    assert found["NamespaceDeletionContentFailure"] == (
        "True", "Failed to delete all resource types, 1 remaining: secrets: forbidden",
    )  # fmt: skip
    assert found["NamespaceFinalizersRemaining"][1].endswith("finalizers remaining: example.com/x in 1 resource instances")
    terminating.status = namespaces.status(terminating, full, NOW)
    assert namespaces.status(terminating, full, ago(-60)) == terminating.status


# Ownership


def test_keeps_adopts_and_releases() -> None:
    owner = replica_set()
    mine, stray = pod("mine"), pod("stray", labels={"app": "other"})
    orphans = [pod("orphan"), pod("dying", deleting=True), pod("foreign", labels={"app": "other"})]
    claims = sort_out(owner, parse_labels("app=web"), [mine, stray], orphans)
    assert [[found.metadata.name for found in group] for group in claims] == [["mine"], ["orphan"], ["stray"]]
    owner.metadata.deletionTimestamp = NOW
    claims = sort_out(owner, parse_labels("app=web"), [mine, stray], orphans)
    assert [[found.metadata.name for found in group] for group in claims] == [["mine"], [], []]


def test_a_selector_of_everything_selects_nothing() -> None:
    assert not workload_selector(None).matches({"a": "b"})
    assert not workload_selector(type(replica_set().spec.selector)()).matches({"a": "b"})  # type: ignore[misc]


# Batches


async def test_batches_double_and_stop_at_the_first_failure() -> None:
    running, most, calls = 0, [0], 0

    async def call() -> None:
        nonlocal running, calls
        calls += 1
        number = calls
        running += 1
        most[-1] = max(most[-1], running)
        await asyncio.sleep(0)
        running -= 1
        if number == 6:
            raise ValueError("refused")

    outcome = await slow_start(100, call)
    # 1, 2, then the batch of 4 that has the failure in it.
    assert (calls, outcome.done, str(outcome.error)) == (7, 6, "refused")
    assert most == [4]


async def test_all_of_them_when_all_goes_well() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1

    assert await slow_start(10, call) == (10, None)
    assert calls == 10
