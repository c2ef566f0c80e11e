"""Failure policies, waits, verdicts and templates of Jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.controllers.job.make import condition, indexed, job, pod
from tests.unit.controllers.make import NOW, ago
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING
from tiphys.controllers.job.backoff import NO_FAILURES, Failures, finished_at, wait
from tiphys.controllers.job.conditions import judge, success_rule
from tiphys.controllers.job.failure_policy import match
from tiphys.controllers.job.indexes import Indexes
from tiphys.controllers.job.pods import FAILURES, IGNORED_FAILURES, observe
from tiphys.controllers.job.size import NewPod
from tiphys.controllers.job.tally import tally
from tiphys.controllers.job.template import PodMaker
from tiphys.controllers.shared.slim import SlimPod


def rule(action: str, *codes: int, operator: str = "In", container: str | None = None, on: str = "") -> batch.PodFailurePolicyRule:
    if on:
        patterns = [batch.PodFailurePolicyOnPodConditionsPattern(type=on, status="True")]
        return batch.PodFailurePolicyRule(action=action, onPodConditions=patterns)
    requirement = batch.PodFailurePolicyOnExitCodesRequirement(containerName=container, operator=operator, values=list(codes))
    return batch.PodFailurePolicyRule(action=action, onExitCodes=requirement)


def policy(*rules: batch.PodFailurePolicyRule) -> batch.PodFailurePolicy:
    return batch.PodFailurePolicy(rules=list(rules))


@pytest.mark.parametrize(
    ("rules", "failed", "action"),
    [
        ([rule("FailJob", 42)], pod(phase="Failed", code=42), "FailJob"),
        ([rule("FailJob", 42)], pod(phase="Failed", code=1), ""),
        ([rule("FailJob", 42, container="other")], pod(phase="Failed", code=42), ""),
        ([rule("FailJob", 42, container="main")], pod(phase="Failed", code=42), "FailJob"),
        ([rule("Ignore", 1, 2, operator="NotIn")], pod(phase="Failed", code=3), "Ignore"),
        ([rule("Ignore", 1, 2, operator="NotIn")], pod(phase="Failed", code=2), ""),
        # A code of 0 is no failure, whatever the rule says.
        ([rule("Ignore", 1, operator="NotIn")], pod(phase="Failed", code=0), ""),
        ([rule("Ignore", on="DisruptionTarget")], pod(phase="Failed", condition="DisruptionTarget"), "Ignore"),
        ([rule("Ignore", on="DisruptionTarget")], pod(phase="Failed"), ""),
        # The first that fits decides.
        ([rule("Count", 42), rule("FailJob", 42)], pod(phase="Failed", code=42), "Count"),
        ([rule("FailJob", 1), rule("FailIndex", 42)], pod(phase="Failed", code=42), "FailIndex"),
        ([], pod(phase="Failed"), ""),
    ],
)
def test_the_first_rule_that_fits_decides(rules: list[batch.PodFailurePolicyRule], failed: SlimPod, action: str) -> None:
    found = match(policy(*rules), failed)
    assert found.action == action
    assert found.counts == (action != "Ignore")


def test_a_failed_job_names_the_container_and_the_rule() -> None:
    failed = pod("sum-x", phase="Failed", code=42, condition="DisruptionTarget")
    assert match(policy(rule("Count", 1), rule("FailJob", 42)), failed).message == (
        "Container main for pod default/sum-x failed with exit code 42 matching FailJob rule at index 1"
    )
    assert match(policy(rule("FailJob", on="DisruptionTarget")), failed).message == (
        "Pod default/sum-x has condition DisruptionTarget matching FailJob rule at index 0"
    )


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (1000, 600)])
def test_waits_double_up_to_ten_minutes(failures: int, seconds: float) -> None:
    assert wait(failures, NOW, NOW) == seconds
    assert wait(failures, ago(7), NOW) == max(seconds - 7, 0)
    assert wait(failures, None, NOW) == 0


def test_failures_are_those_since_the_last_success() -> None:
    failed = [pod(f"f{ended}", phase="Failed", ended=ended) for ended in (30, 20, 5)]
    success = pod("s", phase="Succeeded", ended=10)
    assert NO_FAILURES.after([], failed) == Failures(3, ago(5))
    assert Failures(4, ago(90)).after([], failed) == Failures(7, ago(5))
    assert Failures(4, ago(90)).after([success], failed) == Failures(1, ago(5))
    assert Failures(4, ago(90)).after([success], failed[:2]) == NO_FAILURES
    assert Failures(4, ago(90)).after([], []) == Failures(4, ago(90))


def test_a_pod_ended_when_its_last_container_did() -> None:
    assert finished_at(pod(phase="Failed", ended=9)) == ago(9)
    running = pod()
    assert finished_at(running) == ago(50), "since when it is not ready"
    running.status.conditions = []
    assert finished_at(running) == ago(100), "since it is there"
    running.metadata.deletionTimestamp, running.metadata.deletionGracePeriodSeconds = NOW + timedelta(seconds=30), 30
    assert finished_at(running) == NOW
    running.metadata.deletionGracePeriodSeconds = 2**63 - 1
    assert finished_at(running) < ago(10**9), "a period that nothing can subtract"


def verdict(wanted: batch.Job, *pods: SlimPod) -> tuple[str, str]:
    observed = observe(wanted, pods)
    found = judge(wanted, observed, tally(wanted, observed), NOW)
    return (found.type, found.reason) if found is not None else ("", "")


FAILED = [pod(f"f{number}", phase="Failed", index=number, failures=0) for number in range(4)]


@pytest.mark.parametrize(
    ("wanted", "pods", "reason"),
    [
        (job(backoffLimit=1), FAILED[:1], ""),
        (job(backoffLimit=1), FAILED[:2], "BackoffLimitExceeded"),
        (job(backoffLimit=2, restart="OnFailure"), [pod(restarts=1)], ""),
        (job(backoffLimit=2, restart="OnFailure"), [pod(restarts=1), pod("q", restarts=1)], "BackoffLimitExceeded"),
        (job(backoffLimit=0, restart="OnFailure"), [pod(restarts=1)], "BackoffLimitExceeded"),
        (job(backoffLimit=0, restart="OnFailure"), [pod()], ""),
        (job(activeDeadlineSeconds=60), [pod()], "DeadlineExceeded"),
        (job(activeDeadlineSeconds=61), [pod()], ""),
        (job(activeDeadlineSeconds=2**63 - 1), [pod()], ""),
        (job(activeDeadlineSeconds=1, suspend=True), [pod()], ""),
        (job(activeDeadlineSeconds=1, status=batch.JobStatus(conditions=[condition("Suspended")])), [pod()], ""),
        (job(podFailurePolicy=policy(rule("FailJob", 1))), FAILED[:1], "PodFailurePolicy"),
        (indexed(4, backoffLimitPerIndex=1), FAILED, ""),
        (indexed(5, backoffLimitPerIndex=0, maxFailedIndexes=3), FAILED, "MaxFailedIndexesExceeded"),
        (indexed(5, backoffLimitPerIndex=0, maxFailedIndexes=4), FAILED, ""),
        (indexed(4, backoffLimitPerIndex=0), FAILED, "FailedIndexes"),
        (indexed(5, backoffLimitPerIndex=0), FAILED, ""),
        (indexed(5, backoffLimitPerIndex=0), [*FAILED, pod("s", phase="Succeeded", index=4)], "FailedIndexes"),
        (
            indexed(3, backoffLimitPerIndex=5, podFailurePolicy=policy(rule("FailIndex", 1)), maxFailedIndexes=0),
            FAILED[:1],
            "MaxFailedIndexesExceeded",
        ),
    ],
)
def test_jobs_fail_for_a_reason(wanted: batch.Job, pods: list[SlimPod], reason: str) -> None:
    assert verdict(wanted, *pods) == (("FailureTarget", reason) if reason else ("", ""))


def test_a_recorded_verdict_is_not_judged_again() -> None:
    wanted = job(backoffLimit=0, status=batch.JobStatus(conditions=[condition("SuccessCriteriaMet")]))
    assert verdict(wanted, FAILED[0]) == ("SuccessCriteriaMet", "Because")
    wanted.status.conditions = [condition("FailureTarget", "False")]
    assert verdict(wanted, FAILED[0]) == ("FailureTarget", "BackoffLimitExceeded")


def test_failures_come_before_successes() -> None:
    wanted = indexed(3, backoffLimit=0, successPolicy=batch.SuccessPolicy(rules=[batch.SuccessPolicyRule(succeededCount=1)]))
    success = pod("s", phase="Succeeded", index=2)
    assert verdict(wanted, success) == ("SuccessCriteriaMet", "SuccessPolicy")
    assert verdict(wanted, success, FAILED[0]) == ("FailureTarget", "BackoffLimitExceeded")


@pytest.mark.parametrize(
    ("succeeded", "count", "done", "met"),
    [
        (None, 2, "0", False),
        (None, 2, "0,7", True),
        ("1-3", None, "1,2", False),
        ("1-3", None, "0-3", True),
        ("1-3", 1, "3", True),
        ("1-3", 1, "0,4", False),
        ("1-3", 2, "0,1,4", False),
        ("9", None, "", False),
    ],
)
def test_success_rules(succeeded: str | None, count: int | None, done: str, met: bool) -> None:
    rules = [batch.SuccessPolicyRule(succeededCount=99), batch.SuccessPolicyRule(succeededIndexes=succeeded, succeededCount=count)]
    found = success_rule(batch.SuccessPolicy(rules=rules), Indexes.parse(done, 10), 10)
    assert found == (1 if met else None)


def test_pods_come_from_the_template() -> None:
    made = PodMaker(job()).make(NewPod())
    assert (made.metadata.generateName, made.metadata.finalizers, made.spec.hostname) == ("sum-", [TRACKING], "")
    assert COMPLETION_INDEX not in made.metadata.annotations
    assert not made.spec.containers[0].env


def test_pods_of_an_index() -> None:
    wanted = indexed(9)
    wanted.spec.template.spec.initContainers = [core.Container(name="init", env=[core.EnvVar(name="JOB_COMPLETION_INDEX", value="own")])]
    made = PodMaker(wanted).make(NewPod(7, failures=2, ignored=1))
    assert (made.metadata.generateName, made.spec.hostname) == ("sum-7-", "sum-7")
    assert made.metadata.labels[COMPLETION_INDEX] == made.metadata.annotations[COMPLETION_INDEX] == "7"
    assert (made.metadata.annotations[FAILURES], made.metadata.annotations[IGNORED_FAILURES]) == ("2", "1")
    assert [variable.name for variable in made.spec.containers[0].env] == ["JOB_COMPLETION_INDEX"]
    assert made.spec.initContainers[0].env[0].value == "own"
    assert not wanted.spec.template.spec.containers[0].env, "the template is not changed"
    wanted.metadata.name = "x" * 60
    assert PodMaker(wanted).make(NewPod(7)).metadata.generateName == "x" * 55 + "-7-"
