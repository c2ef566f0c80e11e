"""Deployments: sizes of a rolling update within their bounds, revisions, conditions; and that a step taken needs no second one."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.controllers.make import NOW, deployment, replica_set, template
from tiphys.api.apps import v1 as apps
from tiphys.api.well_known import LAST_APPLIED
from tiphys.controllers.deployment import history, rollout
from tiphys.controllers.deployment import status as states
from tiphys.controllers.deployment.plan import Plan, plan


def step(wanted: apps.Deployment, *sets: apps.ReplicaSet, running: bool = False, later: float = 0) -> Plan:
    return plan(wanted, sets, old_pods_running=running, now=NOW + timedelta(seconds=later))


def sizes(result: Plan) -> dict[str, int | None]:
    changed = {change.replica_set.metadata.name: change.replica_set.spec.replicas for change in result.updates}
    if result.create is not None:
        changed["new"] = result.create.replica_set.spec.replicas
    return changed


def apply(wanted: apps.Deployment, sets: list[apps.ReplicaSet], result: Plan) -> tuple[apps.Deployment, list[apps.ReplicaSet]]:
    """Return the server's state after a step."""
    written = {change.replica_set.metadata.name: change.replica_set for change in result.updates}
    gone = {found.metadata.name for found in result.deletes}
    after = [written.get(found.metadata.name, found) for found in sets if found.metadata.name not in gone]
    if result.create is not None:
        made = result.create.replica_set
        made.metadata.creationTimestamp = NOW
        after.append(made)
    meta = msgspec.structs.replace(wanted.metadata, annotations={**wanted.metadata.annotations, history.REVISION: result.revision or "1"})
    return msgspec.structs.replace(wanted, metadata=meta, status=result.status), after


# Sizes


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "bounds"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("25%", "25%", 1, (1, 0)),
        (0, "10%", 3, (0, 1)),
        (0, 0, 5, (0, 1)),
        ("100%", "100%", 4, (4, 4)),
        (2, 9, 4, (2, 4)),
        ("1%", "1%", 0, (0, 0)),
    ],
)
def test_bounds(surge: int | str, unavailable: int | str, replicas: int, bounds: tuple[int, int]) -> None:
    assert rollout.bounds(deployment(replicas, surge=surge, unavailable=unavailable)) == bounds


def test_a_first_rollout_starts_at_full_size() -> None:
    result = step(deployment(3))
    assert sizes(result) == {"new": 3}
    assert result.create is not None
    made = result.create.replica_set
    hash_ = made.metadata.labels[history.HASH_LABEL]
    assert made.metadata.name == f"web-{hash_}"
    assert made.spec.selector is not None
    assert made.spec.selector.matchLabels == {"app": "web", history.HASH_LABEL: hash_}
    assert made.spec.template.metadata.labels == {"app": "web", history.HASH_LABEL: hash_}
    assert made.metadata.annotations == {history.REVISION: "1", history.DESIRED: "3", history.MAXIMUM: "4"}
    assert result.create.event == f"Scaled up replica set {made.metadata.name} from 0 to 3"


def test_a_new_template_surges_and_shrinks_at_once() -> None:
    old = replica_set("old", replicas=10, available=10)
    result = step(deployment(10, image="b", surge=3, unavailable=2), old)
    # The two pods that go still take room until they are gone.
    assert sizes(result) == {"old": 8, "new": 3}
    shrunk = replica_set("old", replicas=8, available=8)
    new = replica_set("new", replicas=3, image="b", revision=2)
    assert sizes(step(deployment(10, image="b", surge=3, unavailable=2), shrunk, new)) == {"new": 5}


def test_pods_that_never_came_up_go_first() -> None:
    broken = replica_set("broken", replicas=4, available=0, image="x", age=50)
    good = replica_set("good", replicas=8, available=8, image="a", age=100)
    new = replica_set("new", replicas=0, image="b", revision=3)
    result = step(deployment(10, image="b", surge=2, unavailable=2), good, broken, new)
    assert sizes(result)["broken"] == 0
    assert "good" not in sizes(result)


def test_nothing_shrinks_while_the_new_pods_are_not_available() -> None:
    old = replica_set("old", replicas=8, available=8)
    new = replica_set("new", replicas=5, available=0, image="b", revision=2)
    assert sizes(step(deployment(10, image="b", surge=3, unavailable=2), old, new)) == {}


def test_a_stale_count_is_not_counted_on() -> None:
    # Told to shrink to 2, still reporting 3: one of these is about to go.
    old = replica_set("old", replicas=2, actual=3, available=3)
    new = replica_set("new", replicas=1, available=0, image="b", revision=2)
    assert sizes(step(deployment(3, image="b", surge=1, unavailable=1), old, new)) == {}


def told(replica_set: apps.ReplicaSet) -> apps.ReplicaSet:
    """Return a ReplicaSet whose size was changed, and which has not seen it yet."""
    replica_set.metadata.generation += 1
    return replica_set


def test_pods_that_an_old_set_may_still_create_take_room() -> None:
    """The second pod of web-2 is on its way when the template changes once more."""
    wanted = deployment(3, image="c", surge=0, unavailable=1)
    first = replica_set("web-1", replicas=1, available=1, image="a", revision=1, age=300)
    growing = replica_set("web-2", replicas=2, actual=1, available=1, image="b", revision=2, age=200)
    assert sizes(step(wanted, first, growing)) == {"web-2": 1, "new": 0}
    new = replica_set("web-3", replicas=0, image="c", revision=3)
    shrunk = replica_set("web-2", replicas=1, actual=1, available=1, image="b", revision=2, age=200)
    assert sizes(step(wanted, first, told(shrunk), new)).get("web-3", 0) == 0
    shrunk.status.observedGeneration = shrunk.metadata.generation
    assert sizes(step(wanted, first, shrunk, new))["web-3"] == 1


def test_a_set_that_was_given_up_grows_again_once_it_has_noticed() -> None:
    """Its only pod may be about to go, and must not be counted on for those of the others."""
    wanted = deployment(2, image="a", surge=0, unavailable=1)
    back = told(replica_set("web-1", replicas=0, actual=1, available=1, image="a", revision=1, age=300))
    other = replica_set("web-2", replicas=1, available=1, image="b", revision=2, age=200)
    assert sizes(step(wanted, back, other)).get("web-1", 0) == 0
    back.status = apps.ReplicaSetStatus(observedGeneration=back.metadata.generation)
    assert sizes(step(wanted, back, other)) == {"web-1": 1}


def test_recreate_waits_for_the_last_old_pod() -> None:
    strategy = apps.DeploymentStrategy(type="Recreate")
    wanted = deployment(3, image="b", strategy=strategy)
    old = replica_set("old", replicas=3, available=3)
    assert sizes(step(wanted, old, running=True)) == {"old": 0}
    stopped = replica_set("old", replicas=0)
    assert sizes(step(wanted, stopped, running=True)) == {}
    assert sizes(step(wanted, stopped, running=False)) == {"new": 3}


def test_scaling_in_a_rollout_is_proportional() -> None:
    old = replica_set("old", replicas=8, available=8, desired=10, maximum=13)
    new = replica_set("new", replicas=5, available=0, image="b", revision=2, desired=10, maximum=13)
    result = step(deployment(15, image="b", surge=3, unavailable=2), old, new)
    assert sizes(result) == {"old": 11, "new": 7}
    assert all(change.replica_set.metadata.annotations[history.DESIRED] == "15" for change in result.updates)


def test_scaling_comes_before_a_new_template() -> None:
    old = replica_set("old", replicas=3, available=3, desired=3, maximum=4)
    assert sizes(step(deployment(5, image="b"), old)) == {"old": 5}


# A simulated cluster: whatever the kubelets do, the bounds hold.


@settings(max_examples=150, deadline=None)
@given(data=st.data(), replicas=st.integers(1, 12), surge=st.integers(0, 5), unavailable=st.integers(0, 5), moods=st.integers(0, 3))
def test_a_rolling_update_stays_within_its_bounds(data: st.DataObject, replicas: int, surge: int, unavailable: int, moods: int) -> None:
    wanted = deployment(replicas, image="b", surge=surge, unavailable=unavailable)
    surge, unavailable = rollout.bounds(wanted)
    sets = [replica_set("old", replicas=replicas, available=replicas, desired=replicas, maximum=replicas + surge)]
    for number in range(60):
        result = plan(wanted, sets, old_pods_running=False, now=NOW)
        wanted, sets = apply(wanted, sets, result)
        assert sum(rollout.size(found) for found in sets) <= replicas + surge
        assert sum(max(rollout.size(found), found.status.replicas) for found in sets) <= replicas + surge
        # Each ReplicaSet does its part or is slow: it deletes pods that are not available first.
        after = []
        for found in sets:
            slow = number < 30 and moods and data.draw(st.booleans(), label="slow")
            after.append(
                found if slow else _obey(found, ready=not (number < 20 and moods > 1 and data.draw(st.booleans(), label="unready")))
            )
        sets = after
        assert sum(rollout.sure(found) for found in sets) >= replicas - unavailable
    by_image = {found.spec.template.spec.containers[0].image: found for found in sets}
    assert (rollout.size(by_image["a"]), rollout.size(by_image["b"])) == (0, replicas)
    assert states.is_complete(wanted, wanted.status)


def _obey(found: apps.ReplicaSet, *, ready: bool) -> apps.ReplicaSet:
    replicas = rollout.size(found)
    available = min(found.status.availableReplicas, replicas)
    if ready:
        available = replicas
    status = msgspec.structs.replace(
        found.status, replicas=replicas, readyReplicas=available, availableReplicas=available, observedGeneration=1
    )
    return msgspec.structs.replace(found, status=status)


def _some_set(name: str, image: str, revision: int) -> st.SearchStrategy[apps.ReplicaSet]:
    return st.builds(
        lambda replicas, actual, available, desired, maximum: replica_set(
            name,
            replicas=replicas,
            actual=actual,
            available=min(available, actual),
            image=image,
            revision=revision,
            age=100 - revision,
            desired=desired,
            maximum=maximum,
        ),
        st.integers(0, 10),
        st.integers(0, 10),
        st.integers(0, 10),
        st.none() | st.integers(0, 12),
        st.none() | st.integers(0, 16),
    )


@settings(max_examples=300, deadline=None)
@given(
    replicas=st.integers(0, 10),
    bounds=st.tuples(st.sampled_from([0, 1, 3, "25%", "100%"]), st.sampled_from([0, 1, "25%", "100%"])),
    image=st.sampled_from("abc"),
    paused=st.booleans(),
    recreate=st.booleans(),
    first=_some_set("s1", "a", 1),
    second=_some_set("s2", "b", 2),
)
def test_steps_come_to_an_end(
    replicas: int,
    bounds: tuple[int | str, int | str],
    image: str,
    paused: bool,
    recreate: bool,
    first: apps.ReplicaSet,
    second: apps.ReplicaSet,
) -> None:
    wanted = deployment(replicas, image=image, surge=bounds[0], unavailable=bounds[1], paused=paused)
    if recreate:
        wanted.spec.strategy = apps.DeploymentStrategy(type="Recreate")
    sets = [first, second]
    # While the pods that are reported do not change, a step moves one pod at least, of ten in each set; the status follows one step later.
    for _ in range(24):
        result = plan(wanted, sets, old_pods_running=False, now=NOW)
        assert all(rollout.size(change.replica_set) >= 0 for change in result.updates)
        if (result.create, result.updates, result.deletes, result.status) == (None, [], [], wanted.status):
            return
        wanted, sets = apply(wanted, sets, result)
    pytest.fail(f"still something to do: {result}")


# Revisions


def test_the_hash_label_is_no_difference() -> None:
    labeled = template("a", {"app": "web", history.HASH_LABEL: "x"})
    assert history.same_template(labeled, template("a"))
    assert not history.same_template(labeled, template("b"))
    assert not history.same_template(labeled, template("a", {"app": "other"}))


def test_hashes_tell_templates_and_collisions_apart() -> None:
    hashes = {history.template_hash(template(image), count) for image in "ab" for count in (None, 1, 2)}
    assert len(hashes) == 6
    assert history.template_hash(template("a"), None) == history.template_hash(template("a"), 0)
    assert all(len(found) == 10 for found in hashes)


def test_going_back_renumbers_and_remembers() -> None:
    first = replica_set("first", replicas=0, image="a", revision=1)
    second = replica_set("second", replicas=3, available=3, image="b", revision=2)
    result = step(deployment(3, image="a"), first, second)
    annotations = next(c.replica_set for c in result.updates if c.replica_set.metadata.name == "first").metadata.annotations
    assert (annotations[history.REVISION], annotations[history.HISTORY], result.revision) == ("3", "1", "3")


def test_annotations_follow_but_for_those_of_others() -> None:
    wanted = deployment(1)
    wanted.metadata.annotations = {"team": "a", LAST_APPLIED: "{}", history.REVISION: "9"}
    result = step(wanted)
    assert result.create is not None
    annotations = result.create.replica_set.metadata.annotations
    assert annotations["team"] == "a"
    assert LAST_APPLIED not in annotations
    assert annotations[history.REVISION] == "1"


def test_a_long_history_forgets_its_beginning() -> None:
    found = replica_set("web", revision=5)
    found.metadata.annotations[history.HISTORY] = ",".join(str(number) for number in range(1000))
    text = history.annotations_for(deployment(), found, 2000)[history.HISTORY]
    assert len(text) <= history.HISTORY_LENGTH
    assert text.endswith(",5")


def test_old_sets_beyond_the_limit_go_unless_they_have_pods() -> None:
    wanted = deployment(1, image="z", revisionHistoryLimit=1)
    new = replica_set("new", replicas=1, available=1, image="z", revision=9, desired=1, maximum=2)
    olds = [replica_set(f"old-{number}", replicas=0, image=str(number), revision=number) for number in range(1, 5)]
    olds[0].status.replicas = 1
    wanted.status = step(wanted, new, *olds).status
    assert [found.metadata.name for found in step(wanted, new, *olds).deletes] == []  # old-1 still has a pod: not complete
    olds[0].status.replicas = 0
    wanted.status = step(wanted, new, *olds).status
    assert [found.metadata.name for found in step(wanted, new, *olds).deletes] == ["old-1", "old-2", "old-3"]


# Conditions


def reason(status: apps.DeploymentStatus, type_: str = states.PROGRESSING) -> str:
    found = states.condition(status, type_)
    return f"{found.status} {found.reason}" if found is not None else ""


def test_progress_from_the_first_step_to_the_last() -> None:
    wanted = deployment(2)
    result = step(wanted)
    assert reason(result.status) == "True NewReplicaSetCreated"
    assert reason(result.status, states.AVAILABLE) == "False MinimumReplicasUnavailable"
    wanted, sets = apply(wanted, [], result)
    sets[0].status = apps.ReplicaSetStatus(replicas=2, readyReplicas=1, availableReplicas=1, observedGeneration=1)
    result = step(wanted, *sets, later=5)
    assert reason(result.status) == "True ReplicaSetUpdated"
    assert result.after == 601
    wanted, sets = apply(wanted, sets, result)
    sets[0].status = apps.ReplicaSetStatus(replicas=2, readyReplicas=2, availableReplicas=2, observedGeneration=1)
    result = step(wanted, *sets, later=9)
    assert reason(result.status) == "True NewReplicaSetAvailable"
    assert reason(result.status, states.AVAILABLE) == "True MinimumReplicasAvailable"
    assert result.after is None


def test_progress_renews_the_clock_and_lack_of_it_is_an_error() -> None:
    wanted = deployment(3)
    sets = [replica_set("web", replicas=3, actual=3, available=0, desired=3, maximum=4)]
    wanted, sets = apply(wanted, sets, step(wanted, *sets))
    assert reason(wanted.status) == "True FoundNewReplicaSet"
    sets[0].status.readyReplicas = sets[0].status.availableReplicas = 1
    wanted, sets = apply(wanted, sets, step(wanted, *sets, later=500))
    late = step(wanted, *sets, later=1000)
    assert late.status == wanted.status
    assert late.after == 101
    late = step(wanted, *sets, later=1101)
    assert reason(late.status) == "False ProgressDeadlineExceeded"
    assert late.after is None


def test_a_pause_is_not_held_against_the_rollout() -> None:
    wanted = deployment(3, paused=True)
    sets = [replica_set("web", replicas=3, available=1, desired=3, maximum=4)]
    wanted, sets = apply(wanted, sets, step(wanted, *sets))
    assert reason(wanted.status) == "Unknown DeploymentPaused"
    assert step(wanted, *sets, later=10_000).after is None
    wanted.spec.paused = False
    resumed = step(wanted, *sets, later=10_000)
    assert reason(resumed.status) == "Unknown DeploymentResumed"
    assert resumed.after == 601


def test_no_deadline_no_condition() -> None:
    wanted = deployment(1, progressDeadlineSeconds=states.NEVER)
    assert reason(step(wanted).status) == ""
    assert step(wanted).after is None


def test_a_failure_of_the_new_set_shows() -> None:
    new = replica_set("web", replicas=1, actual=0)
    new.status.conditions = [apps.ReplicaSetCondition(type="ReplicaFailure", status="True", reason="FailedCreate", message="quota")]
    wanted = deployment(1)
    wanted.status = step(wanted, new).status
    assert reason(wanted.status, states.FAILURE) == "True FailedCreate"
    new.status.conditions = []
    assert reason(step(wanted, new).status, states.FAILURE) == ""


def test_a_dying_deployment_only_reports() -> None:
    wanted = deployment(3, image="b")
    wanted.metadata.deletionTimestamp = NOW
    result = step(wanted, replica_set("old", replicas=3, available=3))
    assert (result.create, result.updates, result.deletes) == (None, [], [])
    assert result.status.availableReplicas == 3


@pytest.mark.parametrize(
    ("terminating", "generations", "total"), [((1, 2), (1, 1), 3), ((1, None), (1, 0), 1), ((1, None), (1, 1), None), ((None,), (0,), 0)]
)
def test_terminating_pods_are_counted_once_all_are_known(
    terminating: tuple[int | None, ...], generations: tuple[int, ...], total: int | None
) -> None:
    sets = [replica_set(f"web-{number}") for number in range(len(terminating))]
    for found, number, generation in zip(sets, terminating, generations, strict=True):
        found.status.terminatingReplicas, found.status.observedGeneration = number, generation
    assert states.counted(deployment(2), sets, None, 2, NOW).terminatingReplicas == total
