"""Steps of Jobs: what is recorded, counted, created and given up, and that a step that was taken leaves nothing to do."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.job.make import condition, indexed, job, pod
from tests.unit.controllers.job.test_rules import policy, rule
from tests.unit.controllers.make import NOW, ago
from tiphys.api.batch import v1 as batch
from tiphys.api.batch.job_status import validate_job_status
from tiphys.api.helpers.jobs import TRACKING
from tiphys.api.helpers.pods import is_active
from tiphys.controllers.job.backoff import NO_FAILURES, Failures
from tiphys.controllers.job.plan import Plan, finish, plan
from tiphys.controllers.job.pods import Memory, completion_index
from tiphys.controllers.job.size import BURST
from tiphys.controllers.job.status import Event, Outcome
from tiphys.controllers.shared.slim import SlimPod


def take(step: Plan, pods: list[SlimPod]) -> tuple[batch.Job, list[SlimPod], list[Event]]:
    """Take all of a step: the Job and its pods afterwards. Pods that are deleted have a kubelet that takes its time."""
    found = copy.copy(step.job)
    gone = {seen.uid for seen in (*step.settle, *step.kill, *step.discard)}
    deleted = {seen.uid for seen in (*step.kill, *step.discard)}
    after = []
    for one in copy.deepcopy(pods):
        if one.metadata.uid in gone:
            one.metadata.finalizers = []
        if one.metadata.uid in deleted:
            one.metadata.deletionTimestamp = NOW
        after.append(one)
    made = [pod(f"new-{new.index}-{number}", "Pending", index=new.index, failures=new.failures) for number, new in enumerate(step.create)]
    if step.record:
        assert validate_job_status(_with(found, step.status), step.job) == []
    status, events = finish(step, step.status, Outcome(gone, deleted, len(made)), NOW)
    assert validate_job_status(_with(found, status), _with(found, step.status) if step.record else step.job) == []
    return _with(found, status), [*after, *made], events


def _with(found: batch.Job, status: batch.JobStatus) -> batch.Job:
    return batch.Job(metadata=found.metadata, spec=found.spec, status=status)


def settle(found: batch.Job, pods: list[SlimPod], *, rounds: int = 8) -> tuple[batch.Job, list[SlimPod], list[Event]]:
    """Take steps until there is nothing to do."""
    told: list[Event] = []
    for _ in range(rounds):
        if any(one.type in ("Complete", "Failed") for one in found.status.conditions):
            return found, pods, told
        step = plan(found, pods, NOW)
        before = found.status
        found, pods, events = take(step, pods)
        told += events
        if not step.acts and found.status == before:
            return found, pods, told
    raise AssertionError("there is always something to do")


def uids(seen: object) -> list[str]:
    return [one.uid for one in seen]  # type: ignore[attr-defined]


lives = st.builds(
    pod,
    name=st.uuids().map(str),
    phase=st.sampled_from(["Pending", "Running", "Running", "Succeeded", "Failed"]),
    index=st.integers(0, 6),
    ended=st.just(3600),
    failures=st.integers(0, 2),
    tracked=st.booleans(),
    deleting=st.booleans(),
    ready=st.booleans(),
)
jobs = st.one_of(
    st.builds(job, completions=st.integers(0, 6), parallelism=st.integers(0, 4), backoffLimit=st.integers(0, 4), suspend=st.booleans()),
    st.builds(
        job, completions=st.none(), parallelism=st.integers(0, 4), podReplacementPolicy=st.sampled_from(["Failed", "TerminatingOrFailed"])
    ),
    st.builds(
        indexed, st.integers(1, 6), backoffLimit=st.just(50), podReplacementPolicy=st.sampled_from(["Failed", "TerminatingOrFailed"])
    ),
    st.builds(
        indexed,
        st.integers(1, 6),
        parallelism=st.integers(1, 3),
        backoffLimitPerIndex=st.integers(0, 2),
        maxFailedIndexes=st.integers(0, 1),
    ),
)


@given(jobs, st.lists(lives, max_size=12))
def test_a_step_that_is_taken_leaves_nothing_to_do(found: batch.Job, pods: list[SlimPod]) -> None:
    after, left, _ = settle(found, pods)
    if any(one.type in ("Complete", "Failed") for one in after.status.conditions):
        assert not [one for one in left if TRACKING in one.metadata.finalizers]
        return
    again = plan(after, left, NOW)
    assert not again.acts
    status, events = finish(again, again.status, Outcome(), NOW)
    assert (status, events) == (after.status, [])
    active = [one for one in left if is_active(one)]
    assert len(active) <= (after.spec.parallelism or 0) or (after.spec.completions is None and after.status.succeeded)
    assert after.status.active == len(active)
    if after.spec.completionMode == "Indexed":
        assert max(Counter(map(completion_index, active)).values(), default=0) <= 1


@given(jobs, st.lists(lives, max_size=12), st.data())
def test_a_step_that_is_cut_short_is_taken_up_where_it_ended(found: batch.Job, pods: list[SlimPod], data: st.DataObject) -> None:
    """After each step only some of the pods are changed, and the second status is lost at times: the counts come out the same."""
    whole, _, _ = settle(found, pods)
    current, left = found, pods
    for _ in range(40):
        step = plan(current, left, NOW)
        if step.record:
            current = _with(current, step.status)
        if not step.acts:
            break
        gone = {seen.uid for seen in step.settle if data.draw(st.booleans())}
        left = [one if one.metadata.uid not in gone else _without_finalizer(one) for one in left]
    done, _, _ = settle(current, left)
    assert (done.status.succeeded, done.status.failed) == (whole.status.succeeded, whole.status.failed)
    assert (done.status.completedIndexes, done.status.failedIndexes) == (whole.status.completedIndexes, whole.status.failedIndexes)


def _without_finalizer(found: SlimPod) -> SlimPod:
    changed = copy.deepcopy(found)
    changed.metadata.finalizers = []
    return changed


def test_pods_that_ended_are_named_then_counted() -> None:
    pods = [pod("a", "Succeeded"), pod("b", "Failed", ended=60), pod("c")]
    step = plan(job(completions=5, parallelism=3), pods, NOW)
    assert step.record
    assert step.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(succeeded=["uid-a"], failed=["uid-b"])
    assert (step.status.succeeded, step.status.failed) == (0, 0)
    assert uids(step.settle) == ["uid-a", "uid-b"]
    # One of the finalizers could not be removed.
    status, _ = finish(step, step.status, Outcome(settled={"uid-a"}), NOW)
    assert (status.succeeded, status.failed) == (1, 0)
    assert status.uncountedTerminatedPods == batch.UncountedTerminatedPods(failed=["uid-b"])
    again = plan(job(completions=5, parallelism=3, status=status), pods[1:], NOW)
    assert not again.record, "it is named already"
    assert uids(again.settle) == ["uid-b"]


def test_a_named_pod_that_is_gone_is_counted() -> None:
    status = batch.JobStatus(uncountedTerminatedPods=batch.UncountedTerminatedPods(succeeded=["x"], failed=["y"]))
    after, _, _ = settle(job(completions=3, parallelism=1, status=status), [])
    assert (after.status.succeeded, after.status.failed) == (1, 1)
    assert after.status.uncountedTerminatedPods == batch.UncountedTerminatedPods()


def test_pods_that_this_loop_settled_or_deleted_are_known_as_such() -> None:
    wanted = job(completions=5, parallelism=2)
    pods = [pod("a", "Succeeded"), pod("b")]
    step = plan(wanted, pods, NOW, memory=Memory(frozenset({"uid-a"}), frozenset({"uid-b"})))
    assert (uids(step.settle), len(step.create), step.status.terminating) == (["uid-b"], 2, 1)
    assert step.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(failed=["uid-b"])


def test_a_verdict_is_recorded_before_pods_go() -> None:
    pods = [pod("a", "Failed"), pod("b", ready=True), pod("c", tracked=False)]
    step = plan(job(completions=3, parallelism=3, backoffLimit=0), pods, NOW)
    assert step.record
    assert [one.type for one in step.status.conditions] == ["FailureTarget"]
    assert step.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(failed=["uid-a", "uid-b"])
    assert (uids(step.settle), uids(step.kill), uids(step.discard)) == (["uid-a"], ["uid-b"], ["uid-c"])
    after, left, events = take(step, pods)
    assert (after.status.failed, after.status.active, after.status.ready, after.status.terminating) == (2, 0, 0, 2)
    assert [one.type for one in after.status.conditions] == ["FailureTarget"], "pods are still terminating"
    assert events == []
    ended, _, events = settle(after, [one for one in left if one.metadata.deletionTimestamp is None])
    assert [(one.type, one.reason) for one in ended.status.conditions] == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert events == [Event("Warning", "BackoffLimitExceeded", "Job has reached the specified backoff limit")]


def test_a_success_policy_lets_the_other_pods_go_uncounted() -> None:
    rules = batch.SuccessPolicy(rules=[batch.SuccessPolicyRule(succeededCount=1)])
    wanted = indexed(3, backoffLimit=0, successPolicy=rules)
    step = plan(wanted, [pod("a", "Succeeded", index=0), pod("b", index=1), pod("c", index=2)], NOW)
    assert (uids(step.settle), uids(step.kill), uids(step.discard)) == (["uid-a"], [], ["uid-b", "uid-c"])
    assert [(one.type, one.message) for one in step.status.conditions] == [("SuccessCriteriaMet", "Matched rules at index 0")]
    after, _, _ = take(step, [pod("a", "Succeeded", index=0), pod("b", index=1), pod("c", index=2)])
    # A crash after the deletions, or their end as failures, does not turn the verdict.
    ended, _, events = settle(after, [pod("b", "Failed", index=1, tracked=False), pod("c", "Failed", index=2, tracked=False)])
    assert [one.type for one in ended.status.conditions] == ["SuccessCriteriaMet", "Complete"]
    assert (ended.status.succeeded, ended.status.failed, ended.status.completedIndexes) == (1, 0, "0")
    assert [event.reason for event in events] == ["Completed"]


def test_more_successes_than_completions_are_told() -> None:
    pods = [pod(str(number), "Succeeded") for number in range(3)]
    ended, _, events = settle(job(completions=2, parallelism=2), pods)
    assert ended.status.succeeded == 3
    assert [event.reason for event in events] == ["TooManySucceededPods", "Completed"]


def test_without_completions_any_success_ends_it_when_the_others_have_ended() -> None:
    queue = job(parallelism=3)
    queue.spec.completions = None
    assert len(plan(queue, [], NOW).create) == 3
    step = plan(queue, [pod("a", "Succeeded"), pod("b")], NOW)
    assert (len(step.create), list(step.discard)) == (0, []), "no new pods after a success, and the others go on"
    queue.spec.parallelism = 1
    assert list(plan(queue, [pod("a", "Succeeded"), pod("b"), pod("c")], NOW).discard) == [], "also when fewer are wanted by now"
    ended, _, _ = settle(queue, [pod("a", "Succeeded"), pod("b", "Failed")])
    assert [one.type for one in ended.status.conditions] == ["SuccessCriteriaMet", "Complete"]


def test_a_suspended_job_gives_its_pods_up_and_starts_anew() -> None:
    pods = [pod("a"), pod("b", ready=True)]
    suspended, left, events = take(plan(job(suspend=True, parallelism=2, completions=2), pods, NOW), pods)
    assert [(one.type, one.status, one.reason) for one in suspended.status.conditions] == [("Suspended", "True", "JobSuspended")]
    assert (suspended.status.active, suspended.status.ready, suspended.status.terminating) == (0, 0, 2)
    assert suspended.status.startTime is None
    assert suspended.status.failed == 0
    assert events == [Event("Normal", "Suspended", "Job suspended")]
    resumed = _with(job(suspend=False, parallelism=2, completions=2, activeDeadlineSeconds=1), suspended.status)
    after, _, events = take(plan(resumed, [], NOW), left)
    assert [(one.type, one.status, one.reason) for one in after.status.conditions] == [("Suspended", "False", "JobResumed")]
    assert after.status.startTime == NOW
    assert after.status.active == 2
    assert events == [Event("Normal", "Resumed", "Job resumed")]


def test_a_job_that_is_created_suspended_has_no_start() -> None:
    suspended, _, _ = settle(job(suspend=True, started=None), [])
    assert suspended.status.startTime is None
    assert [one.type for one in suspended.status.conditions] == ["Suspended"]


def test_a_suspended_job_that_fails_gets_the_start_that_the_server_demands() -> None:
    wanted = job(suspend=True, started=None, podFailurePolicy=policy(rule("FailJob", 1)))
    ended, _, _ = settle(wanted, [pod("a", "Failed")])
    assert [one.type for one in ended.status.conditions] == ["FailureTarget", "Failed"]
    assert ended.status.startTime == NOW


def test_an_elastic_job_forgets_indexes_beyond_its_completions() -> None:
    status = batch.JobStatus(completedIndexes="0,3,4", succeeded=3)
    pods = [pod("a", index=1), pod("b", index=2), pod("c", index=5)]
    after, _, _ = take(plan(indexed(3, status=status), pods, NOW), pods)
    assert (after.status.completedIndexes, after.status.succeeded, after.status.active) == ("0", 1, 2)


def test_pods_without_a_valid_index_or_with_a_taken_one_go() -> None:
    pods = [
        pod("new", "Pending", index=0),
        pod("ready", index=0, ready=True),
        pod("beyond", index=7),
        pod("none"),
        pod("bare", index=1, tracked=False),
    ]
    step = plan(indexed(2), pods, NOW)
    assert sorted(uids(step.discard)) == ["uid-bare", "uid-beyond", "uid-new", "uid-none"]
    assert list(step.create) == []


def test_terminating_pods_are_replaced_at_once_or_when_they_have_ended() -> None:
    pods = [pod("a", deleting=True), pod("b")]
    at_once = plan(job(completions=2, parallelism=2), pods, NOW, failures=NO_FAILURES)
    assert at_once.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(failed=["uid-a"])
    assert at_once.status.terminating == 1
    later = plan(job(completions=2, parallelism=2, podReplacementPolicy="Failed"), pods, NOW)
    assert (list(later.create), list(later.settle), later.after) == ([], [], None)


def test_an_ignored_failure_does_not_count() -> None:
    wanted = job(backoffLimit=0, podFailurePolicy=policy(rule("Ignore", on="DisruptionTarget")))
    step = plan(wanted, [pod("a", "Failed", condition="DisruptionTarget", ended=60)], NOW)
    assert uids(step.settle) == ["uid-a"]
    assert not step.record
    assert len(step.create) == 1


def test_a_failed_pod_stays_until_its_index_has_another() -> None:
    wanted = indexed(2, backoffLimitPerIndex=3)
    failed = pod("a", "Failed", index=0, failures=1, ended=5)
    step = plan(wanted, [failed, pod("b", index=1)], NOW)
    assert (list(step.settle), list(step.create), step.after) == ([], [], 15.0), "the wait after the second failure is 20 s"
    failed = pod("a", "Failed", index=0, failures=1, ended=25)
    step = plan(wanted, [failed, pod("b", index=1)], NOW)
    assert [(new.index, new.failures, new.ignored) for new in step.create] == [(0, 2, 0)]
    assert list(step.settle) == []
    step = plan(wanted, [failed, pod("c", index=0, failures=2), pod("b", index=1)], NOW)
    assert uids(step.settle) == ["uid-a"]
    assert step.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(failed=["uid-a"])


def test_an_index_that_waits_leaves_its_place_to_another() -> None:
    step = plan(indexed(3, parallelism=1, backoffLimitPerIndex=3), [pod("a", "Failed", index=0, failures=0)], NOW)
    assert [new.index for new in step.create] == [1]
    assert step.after is None


def test_waits_hold_back_all_pods_of_a_job_without_limits_per_index() -> None:
    step = plan(job(completions=2, parallelism=2), [pod("a", "Failed", ended=4), pod("b")], NOW)
    assert (list(step.create), step.after) == ([], 6.0)
    assert step.failures == Failures(1, ago(4))
    assert step.status.active == 1


def test_the_deadline_wakes_it() -> None:
    assert plan(job(activeDeadlineSeconds=90), [pod()], NOW).after == 30.0
    assert plan(job(activeDeadlineSeconds=90, started=None), [], NOW).after == 90.0


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_many_pods_are_counted_in_portions(phase: str) -> None:
    many = [pod(str(number), phase, ended=3600) for number in range(2 * BURST + 10)]
    found = job(completions=5000, parallelism=1000, backoffLimit=5000)
    step = plan(found, many, NOW)
    assert (len(step.settle), step.after) == (BURST, 0.0)
    after, _, _ = settle(found, many)
    assert after.status.succeeded + after.status.failed == len(many)


def test_a_job_that_is_being_deleted_lets_its_pods_go_and_creates_none() -> None:
    dying = job(completions=3, parallelism=3)
    dying.metadata.deletionTimestamp = NOW
    step = plan(dying, [pod("a"), pod("b", "Succeeded")], NOW)
    assert uids(step.settle) == ["uid-a", "uid-b"]
    assert step.status.uncountedTerminatedPods == batch.UncountedTerminatedPods(succeeded=["uid-b"])
    assert (list(step.create), list(step.kill), list(step.discard)) == ([], [], [])


def test_a_recorded_verdict_outlives_whatever_follows() -> None:
    status = batch.JobStatus(conditions=[condition("FailureTarget")], startTime=ago(60))
    ended, _, _ = settle(job(completions=1, status=status), [pod("a", "Succeeded")])
    assert [one.type for one in ended.status.conditions] == ["FailureTarget", "Failed"]
    assert ended.status.succeeded == 1
