"""DaemonSets: which nodes get a pod, which pods go, and that a rolling update stays within its bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.controllers.daemonset.make import NEW, OLD, daemon, daemon_set
from tests.unit.controllers.make import NOW, ago
from tiphys.api.apps import v1 as apps
from tiphys.api.helpers.pods import is_active, is_available
from tiphys.api.machinery.base import IntOrString
from tiphys.controllers.daemonset.placement import Fit
from tiphys.controllers.daemonset.plan import BURST, Observation, Plan, bounds, by_node, plan
from tiphys.controllers.shared.slim import SlimPod

Fits = Mapping[str, Fit]


def at_once(_: str) -> float:
    return 0.0


def look(fits: Fits | int, pods: Iterable[SlimPod], later: float = 0, deleted: frozenset[str] = frozenset()) -> Observation:
    known = {f"n{number}": Fit.RUN for number in range(1, fits + 1)} if isinstance(fits, int) else fits
    return Observation(known, by_node(pods, deleted), deleted, NEW, "2", NOW + timedelta(seconds=later))


class Names(NamedTuple):
    """A plan by the names of nodes and pods."""

    create: list[str]
    delete: list[str]
    replace: list[str]


def names(step: Plan) -> Names:
    return Names(step.create, [one.pod.metadata.name for one in step.delete], [one.pod.metadata.name for one in step.replace])


def steps(
    wanted: apps.DaemonSet, fits: Fits | int, *pods: SlimPod, wait: Callable[[str], float] = at_once, deleted: frozenset[str] = frozenset()
) -> Names:
    return names(plan(wanted, look(fits, pods, deleted=deleted), wait))


def test_pods_that_are_not_available_go_only_as_they_are_known() -> None:
    """It may have become available, and then it must wait for its turn."""
    old = [daemon("a", node="n1", revision=OLD), daemon("b", node="n2", revision=OLD, ready=False)]
    step = plan(daemon_set(unavailable=2), look(2, old), at_once)
    assert {one.pod.metadata.name: one.unchanged for one in step.replace} == {"a": False, "b": True}


# Places


def test_each_node_that_fits_gets_one_pod() -> None:
    fits = {"n1": Fit.RUN, "n2": Fit.STAY, "n3": Fit.NO, "n4": Fit.RUN}
    assert steps(daemon_set(), fits, daemon("a", node="n4")) == (["n1"], [], [])


def test_pods_stay_or_go_with_the_fit_of_their_node() -> None:
    fits = {"n1": Fit.STAY, "n2": Fit.NO}
    assert steps(daemon_set(), fits, daemon("a"), daemon("b", node="n2"), daemon("c", node="n2", deleting=True)) == ([], ["b"], [])


def test_a_pod_that_waits_for_its_node_counts() -> None:
    assert steps(daemon_set(), 1, daemon("a", bound=False, phase="Pending", ready=False)) == ([], [], [])


def test_a_pod_that_waits_for_a_node_that_is_gone_is_deleted() -> None:
    waiting, bound = daemon("a", node="gone", bound=False, phase="Pending", ready=False), daemon("b", node="gone")
    assert steps(daemon_set(), 0, waiting, bound) == ([], ["a"], [])


def test_of_several_pods_the_oldest_stays_and_bound_ones_are_preferred() -> None:
    pods = [daemon("young", age=10), daemon("old", age=50), daemon("older", age=90, bound=False)]
    assert steps(daemon_set(), 1, *pods).delete == ["young", "older"]
    same = [daemon("b", age=10), daemon("a", age=10)]
    assert steps(daemon_set(), 1, *same).delete == ["b"]


def test_a_pod_on_its_way_out_keeps_its_place() -> None:
    assert steps(daemon_set(), 1, daemon("a", deleting=True)) == ([], [], [])
    assert steps(daemon_set(), 1, daemon("a"), deleted=frozenset({"uid-a"})) == ([], [], [])
    # But one that has ended takes none.
    assert steps(daemon_set(), 1, daemon("a", deleting=True, phase="Failed", ready=False)) == (["n1"], [], [])


def test_own_deletions_are_not_repeated() -> None:
    assert steps(daemon_set(), {"n1": Fit.NO}, daemon("a"), deleted=frozenset({"uid-a"})) == ([], [], [])


def test_one_step_is_not_too_large() -> None:
    assert len(steps(daemon_set(), 2 * BURST).create) == BURST
    crowd = [daemon(f"p{number}", node=f"n{number}") for number in range(1, 2 * BURST)]
    step = steps(daemon_set(), {f"n{number}": Fit.NO for number in range(1, 2 * BURST)}, *crowd)
    assert len(step.delete) == BURST
    former = [daemon(f"p{number}", node=f"n{number}", revision=OLD) for number in range(1, 2 * BURST)]
    assert len(steps(daemon_set(unavailable="100%"), 2 * BURST - 1, *former).replace) == BURST


# Pods that end


def test_a_failed_pod_is_replaced_at_once_and_later_after_a_while() -> None:
    failed = daemon("a", phase="Failed", ready=False)
    step = plan(daemon_set(), look(1, [failed]), at_once)
    assert names(step) == (["n1"], ["a"], [])
    assert [one.cause for one in step.delete] == ["failed"]
    step = plan(daemon_set(), look(1, [failed]), lambda node: 7.0)
    assert (names(step), step.after) == (([], [], []), 7.0)
    # With a surge as well: failures are no reason to hurry.
    assert steps(daemon_set(surge=1, unavailable=0), 1, failed, wait=lambda node: 7.0) == ([], [], [])
    assert steps(daemon_set(surge=1, unavailable=0), 1, failed, daemon("b", revision=OLD), wait=lambda node: 7.0) == ([], [], [])


def test_a_failed_pod_of_a_former_template_does_not_wait_for_its_turn() -> None:
    failed = daemon("a", phase="Failed", ready=False, revision=OLD)
    assert steps(daemon_set(), 1, failed, wait=lambda node: 7.0) == (["n1"], ["a"], [])
    assert steps(daemon_set(strategy="OnDelete"), 1, failed, wait=lambda node: 7.0) == ([], [], [])


def test_a_succeeded_pod_is_replaced() -> None:
    step = plan(daemon_set(), look(1, [daemon("a", phase="Succeeded", ready=False)]), lambda node: 7.0)
    assert names(step) == (["n1"], ["a"], [])
    assert [one.cause for one in step.delete] == ["succeeded"]


# Rolling updates


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [
        (0, 1, 5, (0, 1)),
        (0, "10%", 5, (0, 1)),
        (0, "30%", 10, (0, 3)),
        (0, "31%", 10, (0, 4)),
        ("30%", 0, 11, (4, 0)),
        ("1%", 0, 1, (1, 0)),
        (0, 0, 3, (0, 1)),
        (0, 0, 0, (0, 0)),
        (0, "50%", 0, (0, 0)),
        (0, "100%", 7, (0, 7)),
    ],
)
def test_bounds_are_rounded_up(surge: IntOrString, unavailable: IntOrString, desired: int, expected: tuple[int, int]) -> None:
    assert bounds(daemon_set(surge=surge, unavailable=unavailable), desired) == expected


def test_old_pods_go_as_far_as_availability_allows() -> None:
    pods = [daemon(f"p{number}", node=f"n{number}", revision=OLD) for number in range(1, 5)]
    assert steps(daemon_set(unavailable=2), 4, *pods).replace == ["p1", "p2"]
    pods[0] = daemon("p1", ready=False)
    assert steps(daemon_set(unavailable=2), 4, *pods).replace == ["p2"]
    pods[1] = daemon("p2", node="n2", deleting=True)
    assert steps(daemon_set(unavailable=2), 4, *pods).replace == []
    # An old pod that is not available may go in any case, and counts.
    pods[2] = daemon("p3", node="n3", revision=OLD, ready=False)
    assert steps(daemon_set(unavailable=2), 4, *pods).replace == ["p3"]


def test_old_pods_leave_nodes_for_good_one_by_one_as_well() -> None:
    fits = {"n1": Fit.STAY, "n2": Fit.STAY, "n3": Fit.RUN}
    pods = [daemon(f"p{number}", node=f"n{number}", revision=OLD) for number in range(1, 4)]
    assert steps(daemon_set(), fits, *pods).replace == ["p1"]
    pods[0] = daemon("p1", revision=OLD, deleting=True)
    assert steps(daemon_set(), fits, *pods).replace == []
    assert steps(daemon_set(), fits, *pods[1:]).replace == ["p2"]


def test_new_pods_must_be_ready_for_a_while() -> None:
    wanted = daemon_set(minReadySeconds=30)
    pods = [daemon("a", since=10), daemon("b", node="n2", revision=OLD, since=100)]
    step = plan(wanted, look(2, pods), at_once)
    assert (names(step), step.after) == (([], [], []), 20.0)
    step = plan(wanted, look(2, pods, later=20), at_once)
    assert (names(step).replace, step.after) == (["b"], None)


def test_nothing_is_replaced_on_delete() -> None:
    assert steps(daemon_set(strategy="OnDelete"), 2, daemon("a", revision=OLD)) == (["n2"], [], [])


def test_a_surge_puts_new_pods_beside_old_ones() -> None:
    wanted = daemon_set(surge=1, unavailable=0)
    old = [daemon(f"p{number}", node=f"n{number}", revision=OLD) for number in (1, 2)]
    assert steps(wanted, 2, *old) == (["n1"], [], [])
    assert steps(wanted, 2, *old, daemon("new", ready=False, age=1)) == ([], [], [])
    assert steps(wanted, 2, *old, daemon("new", age=1)) == (["n2"], ["p1"], [])
    # The old pod stops being ready: it is in the way only.
    worse = [daemon("p1", revision=OLD, ready=False), old[1], daemon("new", ready=False, age=1)]
    assert steps(wanted, 2, *worse) == (["n2"], ["p1"], [])
    # Where the old pod is not available there is nothing to lose.
    broken = steps(wanted, 2, daemon("p1", revision=OLD, ready=False), old[1])
    assert (sorted(broken.create), broken.replace) == (["n1", "n2"], ["p1"])


def test_a_surge_does_not_wait_for_pods_to_be_gone() -> None:
    assert steps(daemon_set(surge=1, unavailable=0), 1, daemon("a", deleting=True)).create == ["n1"]


def test_a_surge_leaves_a_node_only_when_enough_others_are_available() -> None:
    wanted = daemon_set(surge=1, unavailable=0)
    fits = {"n1": Fit.STAY, "n2": Fit.RUN}
    leaving = daemon("a", revision=OLD)
    assert steps(wanted, fits, leaving, daemon("b", node="n2", ready=False)) == ([], [], [])
    assert steps(wanted, fits, leaving, daemon("b", node="n2")) == ([], [], ["a"])
    assert steps(wanted, fits, daemon("a", revision=OLD, ready=False)) == (["n2"], [], ["a"])


# Properties


strategies = st.sampled_from(
    [
        daemon_set(unavailable=1),
        daemon_set(unavailable=2),
        daemon_set(unavailable="40%", minReadySeconds=10),
        daemon_set(surge=1, unavailable=0),
        daemon_set(surge="60%", unavailable=0, minReadySeconds=10),
        daemon_set(strategy="OnDelete"),
    ]
)
fits = st.dictionaries(
    st.sampled_from([f"n{number}" for number in range(1, 8)]), st.sampled_from([Fit.RUN, Fit.RUN, Fit.RUN, Fit.STAY, Fit.NO]), max_size=7
)
some_pods = st.lists(
    st.builds(
        lambda name, phase, ready, **state: daemon(name, phase=phase, ready=ready and phase == "Running", **state),
        name=st.uuids().map(str),
        node=st.sampled_from([f"n{number}" for number in range(1, 8)]),
        bound=st.sampled_from([True, True, False]),
        revision=st.sampled_from([NEW, OLD]),
        phase=st.sampled_from(["Pending", "Running", "Running", "Running", "Succeeded", "Failed"]),
        ready=st.booleans(),
        since=st.integers(0, 20),
        age=st.integers(20, 30),
        deleting=st.sampled_from([False, False, False, True]),
    ),
    max_size=14,
    unique_by=lambda pod: pod.metadata.uid,
)


def apply(pods: Iterable[SlimPod], step: Plan) -> list[SlimPod]:
    """Return the pods as the server has them right after a step: what was deleted is on its way out."""
    gone = {one.pod.metadata.uid: one.node for one in (*step.delete, *step.replace)}
    after = []
    for pod in pods:
        if pod.metadata.uid in gone:
            ready = pod.status.conditions[0].status == "True"
            state: dict[str, Any] = {"phase": pod.status.phase, "ready": ready, "bound": bool(pod.spec.nodeName)}
            labels = pod.metadata.labels
            pod = daemon(pod.metadata.name, node=gone[pod.metadata.uid], deleting=True, **state)
            pod.metadata.labels = labels
        after.append(pod)
    return [*after, *(daemon(f"made-{node}-{len(after)}", node=node, phase="Pending", ready=False, age=0) for node in step.create)]


def live(pods: Iterable[SlimPod], node: str) -> list[SlimPod]:
    return [one for one in by_node(pods).get(node, ()) if is_active(one)]


def missing(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod], later: float = 0) -> int:
    """Return the number of nodes that should have an available pod and do not."""
    now, seconds = NOW + timedelta(seconds=later), wanted.spec.minReadySeconds
    lacking = [not any(is_available(pod, seconds, now) for pod in live(pods, name)) for name, fit in known.items() if fit is Fit.RUN]
    return sum(lacking)


@given(strategies, fits, some_pods, st.sampled_from([0.0, 5.0]))
def test_a_step_that_was_taken_needs_no_second_one(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod], wait: float) -> None:
    after = apply(pods, plan(wanted, look(known, pods), lambda node: wait))
    assert names(plan(wanted, look(known, after), lambda node: wait)) == ([], [], [])


@given(strategies, fits, some_pods)
def test_a_node_has_one_live_pod_or_an_old_and_a_new_one(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod]) -> None:
    after = apply(pods, plan(wanted, look(known, pods), at_once))
    surge = bounds(wanted, 1)[0] > 0
    for name, fit in known.items():
        there = [pod.metadata.labels["pod-template-generation"] for pod in live(after, name)]
        assert len(there) == len(set(there)) if surge else len(there) <= 1
        assert not there or fit is not Fit.NO


def uncrowded(wanted: apps.DaemonSet, pods: Iterable[SlimPod]) -> bool:
    surge = bounds(wanted, 1)[0] > 0
    seen = [(name, pod.metadata.labels["pod-template-generation"] if surge else "") for name in by_node(pods) for pod in live(pods, name)]
    return len(seen) == len(set(seen))


@given(strategies, fits, some_pods)
def test_never_more_are_unavailable_than_allowed(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod]) -> None:
    assume(uncrowded(wanted, pods))
    after = apply(pods, plan(wanted, look(known, pods), at_once))
    allowed = bounds(wanted, sum(fit is Fit.RUN for fit in known.values()))[1]
    assert missing(wanted, known, after) <= max(missing(wanted, known, pods), allowed)


@given(strategies, fits, some_pods)
def test_a_surge_stays_within_its_bound(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod]) -> None:
    surge = bounds(wanted, sum(fit is Fit.RUN for fit in known.values()))[0]

    def beside_available(state: list[SlimPod]) -> int:
        doubled = [name for name in known if len(live(state, name)) == 2]
        return sum(missing(wanted, {name: Fit.RUN}, state) == 0 for name in doubled)

    assume(uncrowded(wanted, pods))
    after = apply(pods, plan(wanted, look(known, pods), at_once))
    assert beside_available(after) <= max(beside_available(pods), surge)


@given(strategies, fits, some_pods)
def test_a_rollout_ends_with_one_new_pod_on_each_node(wanted: apps.DaemonSet, known: Fits, pods: list[SlimPod]) -> None:
    """Kubelets make every pod ready and let those go that are deleted; bounds hold all the way."""
    allowed = bounds(wanted, sum(fit is Fit.RUN for fit in known.values()))[1]
    most, at_rest = len(known), False
    for turn in range(40):
        later = turn * 20
        step = plan(wanted, look(known, pods, later), at_once)
        if at_rest and names(step) == ([], [], []) and step.after is None:
            break
        pods = apply(pods, step)
        if turn > 0:
            assert missing(wanted, known, pods, later) <= max(most, allowed)
            most = max(missing(wanted, known, pods, later), allowed)
        at_rest = all(pod.metadata.deletionTimestamp is None for pod in pods)
        pods = [pod for pod in pods if pod.metadata.deletionTimestamp is None]
        for pod in pods:
            ready = pod.status.conditions[0]
            if pod.status.phase == "Pending" or (pod.status.phase == "Running" and ready.status == "False"):
                pod.spec.nodeName = next(iter(by_node([pod])))
                pod.status.phase, ready.status, ready.lastTransitionTime = "Running", "True", ago(-later)
                at_rest = False
    else:
        raise AssertionError("the rollout does not end")
    assert missing(wanted, known, pods, later) == 0
    for name, fit in known.items():
        labels = [pod.metadata.labels["pod-template-generation"] for pod in live(pods, name)]
        if fit is Fit.NO:
            assert labels == []
        elif fit is Fit.RUN and wanted.spec.updateStrategy.type == "RollingUpdate":
            assert labels == ["2"]
        elif wanted.spec.updateStrategy.type == "RollingUpdate" and Fit.RUN in known.values():
            # A percentage of no nodes lets nothing move, as upstream has it.
            assert labels in ([], ["2"])
