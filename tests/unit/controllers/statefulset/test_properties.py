"""Properties of every plan of a StatefulSet, whatever state its pods are in."""

from __future__ import annotations

import copy

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.controllers.make import NOW, ago
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_finished
from tiphys.controllers.shared.slim import SlimPod
from tiphys.controllers.statefulset.identity import ordinal_of, revision_of
from tiphys.controllers.statefulset.members import is_running_and_ready, is_terminating, place, start_of
from tiphys.controllers.statefulset.plan import Plan

from .make import BAD, NEW, OLD, Claims, member, pending, planned, stateful_set

revisions = st.sampled_from([OLD, NEW, NEW, BAD])


@st.composite
def sets(draw: st.DrawFn) -> apps.StatefulSet:
    return stateful_set(
        draw(st.integers(0, 6)),
        parallel=draw(st.booleans()),
        strategy=draw(st.sampled_from(["RollingUpdate", "RollingUpdate", "OnDelete"])),
        partition=draw(st.sampled_from([None, 0, 0, 1, 3, 9])),
        unavailable=draw(st.sampled_from([None, 1, 2, "50%", "1%"])),
        start=draw(st.sampled_from([0, 0, 2])),
        claims=draw(st.sampled_from([(), ("data",)])),
        retention=draw(st.tuples(*[st.sampled_from(["Retain", "Delete"])] * 2)),
        minReadySeconds=draw(st.sampled_from([0, 0, 30])),
    )


@st.composite
def populations(draw: st.DrawFn) -> list[SlimPod]:
    """Pods with different ordinals: mostly healthy ones, else most plans would only wait."""
    result = []
    for ordinal in sorted(draw(st.sets(st.integers(0, 9), max_size=9))):
        state = draw(st.sampled_from(["ready"] * 8 + ["new", "unready", "pending", "failed", "deleting"]))
        result.append(
            member(
                ordinal,
                draw(revisions),
                claims=draw(st.sampled_from([("data",), ("data",), ()])),
                phase={"pending": "Pending", "failed": "Failed"}.get(state, "Running"),
                ready=state in ("ready", "new", "deleting"),
                since=5 if state == "new" else 60,
                deleting=state == "deleting",
                waiting=draw(st.sampled_from(["", "", "CrashLoopBackOff"])) if state == "unready" else "",
            )
        )
    return result


@st.composite
def stored_claims(draw: st.DrawFn) -> Claims:
    found = draw(st.sets(st.integers(0, 9)))
    result = {}
    for ordinal in found:
        made = core.PersistentVolumeClaim()
        made.metadata.name = f"data-web-{ordinal}"
        made.metadata.deletionTimestamp = draw(st.sampled_from([None, None, None, ago(1)]))
        result[made.metadata.name] = made
    return result


def applied(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims, step: Plan) -> tuple[list[SlimPod], Claims]:
    """The state after a step was taken."""
    claims = dict(claims)
    for made in [missing.claim for missing in step.claims] + [one for birth in step.create for one in birth.claims]:
        assert made.metadata.name not in claims, "created twice"
        claims[made.metadata.name] = made
    claims |= {change.claim.metadata.name: change.claim for change in step.owners}
    after = copy.deepcopy(pods)
    for pod in after:
        if any(pod.metadata.uid == gone.metadata.uid for gone, _ in step.delete):
            pod.metadata.deletionTimestamp = NOW
        if any(pod.metadata.uid == one.metadata.uid for one in step.relabel):
            pod.metadata.labels["statefulset.kubernetes.io/pod-name"] = pod.metadata.name
    mounted = tuple(template.metadata.name for template in owner.spec.volumeClaimTemplates)
    return [*after, *(pending(birth.ordinal, birth.revision, claims=mounted) for birth in step.create)], claims


@given(sets(), populations(), stored_claims())
def test_a_step_that_was_taken_leaves_nothing_to_do(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims) -> None:
    before = msgspec.json.encode([owner, pods, list(claims.values())])
    step = planned(owner, *pods, claims=claims)
    assert msgspec.json.encode([owner, pods, list(claims.values())]) == before, "plans change nothing"
    after, left = applied(owner, pods, claims, step)
    again = planned(owner, *after, claims=left)
    assert again.is_empty, again


@given(sets(), populations(), stored_claims())
def test_an_ordinal_has_one_pod(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims) -> None:
    step = planned(owner, *pods, claims=claims)
    created = [birth.ordinal for birth in step.create]
    assert len(set(created)) == len(created)
    assert not set(created) & {ordinal_of(pod) for pod in pods}
    first = start_of(owner)
    assert all(first <= ordinal < first + (owner.spec.replicas or 0) for ordinal in created)
    deleted = [pod.metadata.uid for pod, _ in step.delete]
    assert len(set(deleted)) == len(deleted)
    assert not any(is_terminating(pod) for pod, _ in step.delete)


@given(sets(), populations(), stored_claims())
def test_updates_make_no_more_unavailable_than_allowed(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims) -> None:
    step = planned(owner, *pods, claims=claims)
    members = place(owner, OLD, NEW, pods, NOW)
    available = {pod.metadata.uid for pod in members.replicas.values() if members.is_available(pod)}
    hit = [pod for pod in members.replicas.values() if pod.metadata.uid in available & {gone.metadata.uid for gone, _ in step.delete}]
    if hit:
        assert members.size - len(available) + len(hit) <= members.max_unavailable
        assert members.rolling
    for pod in hit:
        assert revision_of(pod) != NEW
        assert ordinal_of(pod) - members.start >= members.partition
    # Of those that could be taken, the highest ordinals were.
    spared = [
        ordinal_of(pod) - members.start
        for pod in members.replicas.values()
        if pod.metadata.uid in available - {gone.metadata.uid for gone, _ in step.delete} and revision_of(pod) != NEW
    ]
    if hit:
        assert max((index for index in spared if index >= members.partition), default=-1) < min(
            ordinal_of(pod) - members.start for pod in hit
        )


@given(sets(), populations(), stored_claims())
def test_ordered_sets_do_one_thing_after_the_other(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims) -> None:
    owner.spec.podManagementPolicy = "OrderedReady"
    step = planned(owner, *pods, claims=claims)
    members = place(owner, OLD, NEW, pods, NOW)
    assert len(step.create) <= 1
    for birth in step.create:
        below = [members.replicas.get(index) for index in range(birth.ordinal - members.start)]
        assert all(pod is not None and members.is_available(pod) for pod in below)
    settled = len(members.replicas) == members.size and all(members.is_available(pod) for pod in members.replicas.values())
    for pod, _ in step.delete:
        if pod in members.condemned:
            assert settled
            assert [gone for gone, _ in step.delete] == [members.condemned[0]]
        elif not is_finished(pod) and is_running_and_ready(pod):
            assert settled
            assert members.condemned == []
    if len(step.delete) > 1:
        assert settled
        assert len(step.delete) <= members.max_unavailable
        assert [ordinal_of(pod) for pod, _ in step.delete] == sorted((ordinal_of(pod) for pod, _ in step.delete), reverse=True)


@given(sets(), populations(), stored_claims())
def test_a_set_whose_pods_become_ready_converges(owner: apps.StatefulSet, pods: list[SlimPod], claims: Claims) -> None:
    """Pods start, recover and end as they are told to; in the end each is what it should be."""
    owner.spec.minReadySeconds = 0
    for claim in claims.values():
        claim.metadata.deletionTimestamp = None
    for _ in range(60):
        step = planned(owner, *pods, claims=claims)
        moving = not step.is_empty
        after, claims = applied(owner, pods, claims, step)
        pods = []
        for pod in after:
            if is_terminating(pod):
                moving = True
                continue
            if not is_finished(pod) and not is_running_and_ready(pod):
                pod, moving = _recovered(pod), True
            pods.append(pod)
        if not moving:
            break
    first, size = start_of(owner), owner.spec.replicas or 0
    assert sorted(map(ordinal_of, pods)) == list(range(first, first + size))
    if owner.spec.updateStrategy.type == "RollingUpdate":
        partition = place(owner, OLD, NEW, [], NOW).partition
        assert all(revision_of(pod) == NEW for pod in pods if ordinal_of(pod) - first >= partition)


def _recovered(pod: SlimPod) -> SlimPod:
    pod = copy.deepcopy(pod)
    pod.status.phase = "Running"
    pod.status.conditions = [core.PodCondition(type="Ready", status="True", lastTransitionTime=ago(60))]
    return pod
