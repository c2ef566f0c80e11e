"""StatefulSets: which pod is created, deleted or replaced next."""

from __future__ import annotations

import pytest

from tests.unit.controllers.make import ago
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import IntOrString
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import is_member, parse_pod_name
from tiphys.controllers.statefulset.members import BURST
from tiphys.controllers.statefulset.plan import Plan

from .make import BAD, NEW, OLD, births, deaths, member, pending, planned, stateful_set


def outcome(step: Plan) -> tuple[list[int], list[str]]:
    return [ordinal for ordinal, _ in births(step)], deaths(step)


@pytest.mark.parametrize(
    ("pods", "created"),
    [
        ([], [0]),
        ([pending(0)], []),
        ([member(0, ready=False)], []),
        ([member(0)], [1]),
        ([member(0, deleting=True)], []),
        ([member(0), member(2)], [1]),
        ([member(1), member(2)], [0]),
        ([member(0), member(1), member(2)], []),
        ([member(0, phase="Unknown")], []),
    ],
)
def test_ordered_pods_are_created_one_after_the_other(pods: list[SlimPod], created: list[int]) -> None:
    assert outcome(planned(stateful_set(3), *pods)) == (created, [])


def test_parallel_pods_are_created_at_once() -> None:
    assert births(planned(stateful_set(4, parallel=True), pending(1), member(2, deleting=True))) == [(0, NEW), (3, NEW)]


def test_ordinals_begin_at_the_start() -> None:
    owner = stateful_set(2, start=5, parallel=True)
    assert outcome(planned(owner, member(4), member(5), member(7))) == ([6], ["web-7", "web-4"])


def test_steps_of_a_huge_set_are_bounded() -> None:
    step = planned(stateful_set(2**31 - 1, parallel=True), member(2**31 - 2, phase="Failed", ready=False))
    assert (len(step.create), deaths(step)) == (BURST, [f"web-{2**31 - 2}"])
    assert len(planned(stateful_set(0, parallel=True), *(member(number) for number in range(BURST + 9))).delete) == BURST


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
@pytest.mark.parametrize("parallel", [False, True])
def test_finished_pods_are_deleted_to_be_created_anew(phase: str, parallel: bool) -> None:
    owner = stateful_set(3, parallel=parallel)
    others = [member(0), member(2)]
    assert outcome(planned(owner, *others, member(1, phase=phase, ready=False))) == ([], ["web-1"])
    assert planned(owner, *others, member(1, phase=phase, ready=False, deleting=True)).is_empty
    assert outcome(planned(owner, *others)) == ([1], [])


def test_ordered_scale_down_takes_the_highest_and_waits_for_it() -> None:
    owner = stateful_set(1)
    pods = [member(number) for number in range(4)]
    assert deaths(planned(owner, *pods)) == ["web-3"]
    assert planned(owner, *pods[:3], member(3, deleting=True)).is_empty


@pytest.mark.parametrize(
    ("pods", "deleted"),
    [
        # Nothing shrinks while a pod that stays is not available.
        ([member(0, ready=False), member(1), member(2)], []),
        ([member(1), member(2)], []),
        # The only pod that is not ready may go; below it another one that is not ready must recover first.
        ([member(0), member(1), member(2, ready=False)], ["web-2"]),
        ([member(0), member(1, ready=False), member(2, ready=False)], []),
        ([member(0), member(1, ready=False), member(2)], ["web-2"]),
        ([member(0), member(1, ready=False)], ["web-1"]),
        # A finished pod never recovers.
        ([member(0), member(1, ready=False), member(2, phase="Failed", ready=False)], ["web-2"]),
        ([member(0), member(1, phase="Failed", ready=False), member(2, ready=False)], ["web-2"]),
    ],
)
def test_ordered_scale_down_halts_at_pods_that_are_not_ready(pods: list[SlimPod], deleted: list[str]) -> None:
    assert deaths(planned(stateful_set(1), *pods)) == deleted


def test_parallel_scale_down_takes_all_at_once() -> None:
    pods = [member(0, ready=False), member(1), member(2, ready=False), member(3, deleting=True)]
    assert deaths(planned(stateful_set(1, parallel=True), *pods)) == ["web-2", "web-1"]


def test_a_rolling_update_goes_from_the_highest_ordinal_down() -> None:
    owner = stateful_set(3)
    assert deaths(planned(owner, member(0, OLD), member(1, OLD), member(2, OLD))) == ["web-2"]
    assert planned(owner, member(0, OLD), member(1, OLD), member(2, OLD, deleting=True)).is_empty
    assert births(planned(owner, member(0, OLD), member(1, OLD))) == [(2, NEW)]
    assert planned(owner, member(0, OLD), member(1, OLD), member(2, ready=False)).is_empty
    assert deaths(planned(owner, member(0, OLD), member(1, OLD), member(2))) == ["web-1"]
    assert planned(owner, member(0), member(1), member(2)).is_empty


def test_scaling_comes_before_updating() -> None:
    assert outcome(planned(stateful_set(2), member(0, OLD), member(1, OLD), member(2, OLD))) == ([], ["web-2"])
    assert outcome(planned(stateful_set(3), member(0, OLD), member(1, OLD))) == ([2], [])


def test_pods_below_the_partition_keep_their_revision() -> None:
    owner = stateful_set(3, partition=2)
    assert planned(owner, member(0, OLD), member(1, OLD), member(2)).is_empty
    assert deaths(planned(owner, member(0, OLD), member(1, OLD), member(2, OLD))) == ["web-2"]
    assert births(planned(owner, member(0, OLD))) == [(1, OLD)]
    assert births(planned(owner, member(0, OLD), member(1, OLD))) == [(2, NEW)]


def test_the_partition_counts_from_the_start() -> None:
    owner = stateful_set(3, partition=2, start=10)
    assert births(planned(owner, member(10, OLD), member(11, OLD))) == [(12, NEW)]
    assert births(planned(owner, member(10, OLD))) == [(11, OLD)]


def test_without_a_partition_all_pods_are_updated() -> None:
    owner = stateful_set(3, partition=None)
    assert births(planned(owner, member(1, OLD), member(2))) == [(0, NEW)]
    assert deaths(planned(owner, member(0, OLD), member(1, OLD), member(2))) == ["web-1"]


def test_on_delete_replaces_only_what_somebody_deleted() -> None:
    owner = stateful_set(3, strategy="OnDelete")
    assert planned(owner, member(0, OLD), member(1, OLD), member(2, BAD, ready=False)).is_empty
    assert births(planned(owner, member(1, OLD), member(2, OLD))) == [(0, NEW)]


@pytest.mark.parametrize(
    ("unavailable", "deleted"),
    [(None, 1), (1, 1), (2, 2), ("60%", 3), ("100%", 5), ("1%", 1), (9, 5)],
)
def test_several_pods_are_updated_at_once(unavailable: IntOrString | None, deleted: int) -> None:
    for parallel in (False, True):
        owner = stateful_set(5, unavailable=unavailable, parallel=parallel)
        step = planned(owner, *(member(number, OLD) for number in range(5)))
        assert deaths(step) == [f"web-{number}" for number in (4, 3, 2, 1, 0)[:deleted]]


def test_parallel_updates_count_what_is_unavailable_for_other_reasons() -> None:
    owner = stateful_set(5, parallel=True, unavailable=2)
    pods = [member(0, OLD), member(1, OLD), member(2, OLD), member(3, ready=False), member(4)]
    assert deaths(planned(owner, *pods)) == ["web-2"]
    assert outcome(planned(owner, *pods[:4])) == ([4], [])


def test_parallel_updates_replace_broken_pods_first() -> None:
    """They are missing anyway; a healthy one above them would be one more."""
    owner = stateful_set(3, parallel=True)
    assert deaths(planned(owner, member(0, OLD, ready=False), member(1, OLD), member(2, OLD))) == ["web-0"]
    assert deaths(planned(owner, *(member(number, OLD, ready=False) for number in range(3)))) == ["web-2", "web-1", "web-0"]


def test_a_rollback_replaces_pods_of_a_revision_that_never_worked() -> None:
    """The update from OLD to BAD got stuck at its first pod, and OLD is what is wanted again."""
    owner = stateful_set(3)
    pods = [member(0), member(1), member(2, BAD, ready=False)]
    assert deaths(planned(owner, *pods, rollout=False)) == ["web-2"]
    assert deaths(planned(owner, *pods[:2], pending(2, BAD), rollout=False)) == ["web-2"]
    assert planned(owner, *pods[:2], member(2, BAD, ready=False, deleting=True), rollout=False).is_empty
    assert births(planned(owner, *pods[:2], rollout=False)) == [(2, NEW)]


@pytest.mark.parametrize(
    "broken",
    [
        pending(1, OLD),
        member(1, OLD, ready=False, restarts=3, waiting="CrashLoopBackOff"),
        # Ready has been false since the kubelet first reported.
        member(1, OLD, ready=False, since=500, started=500),
        member(1, BAD, ready=False),
    ],
)
def test_a_fix_replaces_pods_that_are_broken(broken: SlimPod) -> None:
    owner = stateful_set(3)
    assert outcome(planned(owner, member(0, OLD), broken)) == ([], ["web-1"])
    # One at a time, from the highest ordinal down.
    assert deaths(planned(owner, pending(0, OLD), broken, pending(2, BAD))) == ["web-2"]
    assert planned(owner, pending(0, OLD), broken, pending(2, BAD, deleting=True)).is_empty


def test_only_pods_that_are_not_ready_must_be_unchanged_to_be_deleted() -> None:
    """A pod that is replaced because it serves nobody may serve somebody by now."""
    parallel = stateful_set(3, parallel=True, unavailable=2)
    step = planned(parallel, member(0, OLD), member(1, OLD, ready=False), member(2, OLD))
    assert [(removal.pod.metadata.name, removal.unchanged) for removal in step.delete] == [("web-2", False), ("web-1", True)]
    assert [removal.unchanged for removal in planned(stateful_set(3), member(0, OLD), pending(1, BAD)).delete] == [True]
    assert [removal.unchanged for removal in planned(stateful_set(0), member(0, ready=False)).delete] == [False]


def test_a_pod_that_was_ready_once_may_recover_before_its_turn() -> None:
    owner = stateful_set(3)
    assert planned(owner, member(0, OLD), member(1, OLD, ready=False, since=10, started=500, restarts=1), member(2, OLD)).is_empty
    # So may one below the partition, and one that is of the new revision.
    assert planned(stateful_set(3, partition=2), member(0, OLD), pending(1, OLD), member(2)).is_empty
    assert planned(owner, member(0, OLD), member(1, OLD), pending(2)).is_empty
    assert deaths(planned(stateful_set(3, partition=2), member(0, OLD), pending(1, BAD), member(2))) == ["web-1"]


def test_pods_must_be_ready_for_a_while_to_count() -> None:
    owner = stateful_set(3, minReadySeconds=30)
    step = planned(owner, member(0, since=20))
    assert (step.is_empty, step.after) == (True, 10)
    assert births(planned(owner, member(0, since=30))) == [(1, NEW)]
    assert planned(owner, member(0, OLD), member(1, OLD), member(2, since=1)).is_empty
    assert planned(stateful_set(3, minReadySeconds=30, parallel=True), *(member(number, OLD, since=1) for number in range(3))).is_empty
    assert planned(stateful_set(1, minReadySeconds=30), member(0), member(1, since=1), member(2, since=1)).is_empty


def test_a_set_that_is_being_deleted_is_left_alone() -> None:
    owner = stateful_set(3)
    owner.metadata.deletionTimestamp = ago(1)
    assert planned(owner, member(0, OLD), member(7)).is_empty


def test_adopted_pods_get_the_labels_of_their_identity() -> None:
    stranger = member(0, labels={"app": "web", "controller-revision-hash": NEW})
    step = planned(stateful_set(1), stranger)
    assert step.relabel == [stranger]
    assert planned(stateful_set(1), member(0)).is_empty


def test_pods_with_other_volumes_are_reported() -> None:
    owner = stateful_set(1, claims=("data",))
    claim = core.PersistentVolumeClaim()
    step = planned(owner, member(0), claims={"data-web-0": claim})
    assert [pod.metadata.name for pod in step.misfits] == ["web-0"]
    step = planned(owner, member(0, claims=("data",)), claims={"data-web-0": claim})
    assert step.misfits == []


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("web-0", ("web", 0)),
        ("web-10", ("web", 10)),
        ("a-1-2", ("a-1", 2)),
        ("web-2147483647", ("web", 2**31 - 1)),
        ("web-2147483648", None),
        ("web-99999999999", None),
        ("web-00", None),
        ("web-01", None),
        ("web-", None),
        ("web", None),
        ("-0", None),
        ("web-1\n", None),
        ("web-٣", None),
    ],
)
def test_names_tell_set_and_ordinal(name: str, parsed: tuple[str, int] | None) -> None:
    assert parse_pod_name(name) == parsed
    pod = member(0)
    pod.metadata.name = name
    assert is_member(stateful_set(), pod) == (parsed is not None and parsed[0] == "web")
