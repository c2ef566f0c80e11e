"""Jobs against the real API server in virtual time: pods are created, counted once, replaced and given up; the tests play the kubelet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.job.jobs import (
    active,
    bind,
    counted,
    create,
    end,
    ends,
    finish_deletion,
    get,
    index_of,
    indexed,
    is_tracked,
    job,
    status_is,
    tells,
)
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, CONTROLLER_LABELS, NAME_LABELS
from tiphys.api.helpers.pods import is_active
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.api.policy import v1 as policy_v1
from tiphys.controllers.job.indexes import Indexes
from tiphys.controllers.job.pods import FAILURES
from tiphys.runtime import Key, controller_of, update_with_retry

pytestmark = pytest.mark.looptime


async def test_runs_pods_until_enough_succeeded(cluster: Cluster) -> None:
    async with cluster.controllers():
        made = await create(cluster, job(completions=3, parallelism=2))
        first = await active(cluster, 2)
        for pod in first:
            owner = controller_of(pod)
            assert owner is not None
            assert (owner.kind, owner.apiVersion, owner.name, owner.uid) == ("Job", "batch/v1", "sum", made.metadata.uid)
            assert owner.blockOwnerDeletion
            assert pod.metadata.name.startswith("sum-")
            assert {pod.metadata.labels[label] for label in NAME_LABELS} == {"sum"}
            assert {pod.metadata.labels[label] for label in CONTROLLER_LABELS} == {made.metadata.uid}
            assert pod.metadata.labels["app"] == "sum"
            assert is_tracked(pod)
        started = await status_is(cluster, active=2, ready=0, succeeded=0, terminating=0)
        assert started.status.startTime is not None
        await cluster.make_ready(first[0])
        await status_is(cluster, active=2, ready=1)
        await end(cluster, first[0])
        await status_is(cluster, active=2, ready=0, succeeded=1)
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        done = await ends(cluster, "SuccessCriteriaMet", "Complete", reason="CompletionsReached")
        assert (done.status.succeeded, done.status.failed, done.status.active, done.status.completedIndexes) == (3, 0, 0, "")
        assert done.status.completionTime is not None
        assert done.status.uncountedTerminatedPods == batch.UncountedTerminatedPods()
        assert not [pod for pod in await cluster.pods() if is_tracked(pod)]
        assert len(await cluster.pods()) == 3
        await tells(cluster, "SuccessfulCreate", "SuccessfulCreate", "SuccessfulCreate", "Completed")


async def test_failed_pods_are_replaced_after_a_wait_that_doubles(cluster: Cluster) -> None:
    clock = cluster.client.clock
    async with cluster.controllers():
        await create(cluster, job(backoffLimit=3))
        waits = []
        for failures in range(3):
            (pod,) = await active(cluster, 1)
            await end(cluster, pod, 1)
            failed = clock.now()
            await status_is(cluster, failed=failures + 1, active=0)
            await active(cluster, 1)
            waits.append((clock.now() - failed).total_seconds())
        for waited, expected in zip(waits, (10, 20, 40), strict=True):
            assert expected - 1 <= waited <= expected + 2
        (pod,) = await active(cluster, 1)
        await end(cluster, pod, 1)
        failed_job = await ends(cluster, "FailureTarget", "Failed", reason="BackoffLimitExceeded")
        assert failed_job.status.failed == 4
        assert failed_job.status.completionTime is None
        await tells(cluster, *["SuccessfulCreate"] * 4, "BackoffLimitExceeded")


async def test_a_job_that_fails_takes_its_other_pods_along(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=3, parallelism=3, backoffLimit=0))
        pods = await active(cluster, 3)
        await bind(cluster, *pods)
        await end(cluster, pods[0], 1)
        await status_is(cluster, active=0, terminating=2, failed=3)
        assert [one.type for one in (await get(cluster)).status.conditions] == ["FailureTarget"], "its pods still run"
        for pod in pods[1:]:
            await finish_deletion(cluster, pod)
        await ends(cluster, "FailureTarget", "Failed", reason="BackoffLimitExceeded")
        await status_is(cluster, active=0, terminating=0, failed=3)


async def test_indexed_pods_have_an_index_a_host_name_and_a_variable(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, indexed(4, parallelism=2))
        pods = await active(cluster, 2)
        assert [index_of(pod) for pod in pods] == [0, 1]
        for index, pod in enumerate(pods):
            assert pod.metadata.name.startswith(f"sum-{index}-")
            assert pod.metadata.labels[COMPLETION_INDEX] == str(index)
            assert pod.spec.hostname == f"sum-{index}"
            (variable,) = [found for found in pod.spec.containers[0].env if found.name == "JOB_COMPLETION_INDEX"]
            assert variable.valueFrom is not None
            assert variable.valueFrom.fieldRef is not None
            assert variable.valueFrom.fieldRef.fieldPath == f"metadata.labels['{COMPLETION_INDEX}']"
        await end(cluster, pods[1])
        await status_is(cluster, completedIndexes="1", succeeded=1, active=2)
        for _ in range(3):
            pod = next(pod for pod in await cluster.pods() if is_active(pod))
            await end(cluster, pod)
            await counted(cluster, pod)
        await ends(cluster, "SuccessCriteriaMet", "Complete", reason="CompletionsReached")
        await status_is(cluster, completedIndexes="0-3", succeeded=4, failedIndexes=None)


async def test_containers_that_are_restarted_in_place(cluster: Cluster) -> None:
    """A pod whose containers fail and are restarted on its node is no failed pod; too many restarts are."""
    async with cluster.controllers():
        await create(cluster, job(restart="OnFailure", completions=2, parallelism=2, backoffLimit=6))
        for pod in await active(cluster, 2):
            await end(cluster, pod, change=_restarted(1))
        done = await ends(cluster, "SuccessCriteriaMet", "Complete")
        assert (done.status.succeeded, done.status.failed) == (2, 0)
        await create(cluster, job("flaky", restart="OnFailure", backoffLimit=2))
        (pod,) = await active(cluster, 1)

        def restart(found: core.Pod) -> None:
            found.status.phase = "Running"
            _restarted(2)(found)

        await update_with_retry(cluster.client, core.Pod, Key.of(pod), restart, subresource="status")
        await ends(cluster, "FailureTarget", "Failed", name="flaky", reason="BackoffLimitExceeded")


def _restarted(times: int) -> Callable[[core.Pod], None]:
    def change(pod: core.Pod) -> None:
        if not pod.status.containerStatuses:
            pod.status.containerStatuses = [core.ContainerStatus(name="main", image="busybox:1", imageID="")]
        pod.status.containerStatuses[0].restartCount = times

    return change


async def test_each_index_has_failures_of_its_own(cluster: Cluster) -> None:
    """Odd indexes fail, and are retried once; the others succeed all the same."""
    async with cluster.controllers():
        await create(cluster, indexed(4, parallelism=2, backoffLimitPerIndex=1))
        attempts = []
        while (await get(cluster)).status.completionTime is None:
            pods = [pod for pod in await cluster.pods() if is_active(pod)]
            for pod in pods:
                attempts.append((index_of(pod), pod.metadata.annotations[FAILURES]))
                await end(cluster, pod, index_of(pod) % 2)
            if any(one.type == "Failed" for one in (await get(cluster)).status.conditions):
                break
            await cluster.client.clock.sleep(1.0)
        failed = await ends(cluster, "FailureTarget", "Failed", reason="FailedIndexes")
        assert (failed.status.completedIndexes, failed.status.failedIndexes) == ("0,2", "1,3")
        assert (failed.status.succeeded, failed.status.failed) == (2, 4)
        assert sorted(attempts) == [(0, "0"), (1, "0"), (1, "1"), (2, "0"), (3, "0"), (3, "1")]


async def test_too_many_failed_indexes_end_it(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, indexed(10, parallelism=2, backoffLimitPerIndex=0, maxFailedIndexes=1))
        for pod in await active(cluster, 2):
            await end(cluster, pod, 1)
        failed = await ends(cluster, "FailureTarget", "Failed", reason="MaxFailedIndexesExceeded")
        assert failed.status.failedIndexes == "0,1"
        assert failed.status.active == 0


def _policy(action: str, *codes: int, on: str = "") -> batch.PodFailurePolicy:
    if on:
        patterns = [batch.PodFailurePolicyOnPodConditionsPattern(type=on, status="True")]
        return batch.PodFailurePolicy(rules=[batch.PodFailurePolicyRule(action=action, onPodConditions=patterns)])
    requirement = batch.PodFailurePolicyOnExitCodesRequirement(operator="In", values=list(codes))
    return batch.PodFailurePolicy(rules=[batch.PodFailurePolicyRule(action=action, onExitCodes=requirement)])


async def test_an_exit_code_ends_it_early(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(completions=3, parallelism=3, podFailurePolicy=_policy("FailJob", 3)))
        pods = await active(cluster, 3)
        await end(cluster, pods[0], 3)
        failed = await ends(cluster, "FailureTarget", "Failed", reason="PodFailurePolicy")
        assert failed.status.conditions[0].message == (
            f"Container main for pod default/{pods[0].metadata.name} failed with exit code 3 matching FailJob rule at index 0"
        )
        await tells(cluster, *["SuccessfulCreate"] * 3, *["SuccessfulDelete"] * 2, "PodFailurePolicy")


async def test_an_exit_code_ends_its_index(cluster: Cluster) -> None:
    async with cluster.controllers():
        policy = _policy("FailIndex", 42)
        await create(cluster, indexed(2, backoffLimitPerIndex=3, podFailurePolicy=policy))
        pods = await active(cluster, 2)
        await end(cluster, pods[0], 42)
        await status_is(cluster, failedIndexes="0", failed=1)
        await end(cluster, pods[1])
        failed = await ends(cluster, "FailureTarget", "Failed", reason="FailedIndexes")
        assert (failed.status.completedIndexes, failed.status.failedIndexes, failed.status.failed) == ("1", "0", 1)


async def test_disruptions_can_be_ignored(cluster: Cluster) -> None:
    """Pods that are evicted do not count, and are replaced when they have ended."""
    async with cluster.controllers():
        await create(cluster, indexed(2, backoffLimit=0, podFailurePolicy=_policy("Ignore", on="DisruptionTarget")))
        pods = await active(cluster, 2)
        await bind(cluster, *pods)
        for pod in pods:
            eviction = policy_v1.Eviction(metadata=ObjectMeta(name=pod.metadata.name, namespace="default"))
            await cluster.client.post(core.Pod, pod.metadata.name, "default", "eviction", eviction, Status)
        await status_is(cluster, active=0, terminating=2)
        for pod in pods:
            evicted = await cluster.client.get(core.Pod, pod.metadata.name, "default")
            assert [one.type for one in evicted.status.conditions if one.type == "DisruptionTarget"]
            await end(cluster, evicted, 137)
            await finish_deletion(cluster, evicted)
        for pod in await active(cluster, 2):
            await end(cluster, pod)
        done = await ends(cluster, "SuccessCriteriaMet", "Complete")
        assert (done.status.succeeded, done.status.failed) == (2, 0)


@pytest.mark.parametrize(
    ("rule", "done"),
    [
        (batch.SuccessPolicyRule(succeededIndexes="0-2"), [0, 1, 2]),
        (batch.SuccessPolicyRule(succeededIndexes="1"), [1]),
        (batch.SuccessPolicyRule(succeededCount=1), [2]),
        (batch.SuccessPolicyRule(succeededIndexes="0,2", succeededCount=1), [2]),
    ],
    ids=["all indexes", "some indexes", "a number", "a number of some indexes"],
)
async def test_a_success_policy_ends_it(cluster: Cluster, rule: batch.SuccessPolicyRule, done: list[int]) -> None:
    async with cluster.controllers():
        await create(cluster, indexed(3, successPolicy=batch.SuccessPolicy(rules=[rule])))
        pods = await active(cluster, 3)
        for index in done:
            await end(cluster, pods[index])
        succeeded = await ends(cluster, "SuccessCriteriaMet", "Complete", reason="SuccessPolicy")
        assert succeeded.status.completedIndexes == str(Indexes.of(done))
        assert (succeeded.status.succeeded, succeeded.status.failed, succeeded.status.active) == (len(done), 0, 0)
        assert not [pod for pod in await cluster.pods() if is_active(pod)]


async def test_pods_are_replaced_only_when_they_have_ended(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(podReplacementPolicy="Failed"))
        (pod,) = await active(cluster, 1)
        await bind(cluster, pod)
        await cluster.client.delete(core.Pod, pod.metadata.name, "default")
        await status_is(cluster, active=0, terminating=1, failed=0)
        await cluster.client.clock.sleep(60.0)
        assert len(await cluster.pods()) == 1
        await end(cluster, pod, 143)
        await status_is(cluster, active=1, terminating=0, failed=1)
        await finish_deletion(cluster, pod)
        (other,) = await active(cluster, 1)
        await end(cluster, other)
        await ends(cluster, "SuccessCriteriaMet", "Complete")


async def test_without_completions_the_first_success_decides(cluster: Cluster) -> None:
    async with cluster.controllers():
        await create(cluster, job(parallelism=2))
        pods = await active(cluster, 2)
        await end(cluster, pods[0])
        await status_is(cluster, active=1, succeeded=1)
        await end(cluster, pods[1], 1)
        done = await ends(cluster, "SuccessCriteriaMet", "Complete")
        assert (done.status.succeeded, done.status.failed) == (1, 1)
