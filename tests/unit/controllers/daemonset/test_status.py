"""The status of a DaemonSet, and the delays of pods that fail."""

from __future__ import annotations

import msgspec

from tests.unit.controllers.daemonset.make import NEW, OLD, daemon, daemon_set
from tests.unit.controllers.make import NOW
from tiphys.api.apps import v1 as apps
from tiphys.controllers.daemonset.placement import Fit
from tiphys.controllers.daemonset.plan import Observation, by_node
from tiphys.controllers.daemonset.retries import FORGOTTEN, Retries
from tiphys.controllers.daemonset.status import status
from tiphys.controllers.shared.slim import SlimPod
from tiphys.runtime import Key

WEB = Key("default", "web")


def counted(
    wanted: apps.DaemonSet, fits: dict[str, Fit], *pods: SlimPod, created: dict[str, SlimPod] | None = None
) -> apps.DaemonSetStatus:
    return status(wanted, Observation(fits, by_node(pods), (), NEW, "2", NOW), created or {}, 0)


def test_nodes_are_counted_by_their_pod() -> None:
    fits = {**dict.fromkeys(("n1", "n2", "n3", "n4", "n5"), Fit.RUN), "n6": Fit.STAY, "n7": Fit.NO, "n8": Fit.NO}
    pods = [
        daemon("a", node="n1", since=60),
        daemon("b", node="n2", since=5, revision=OLD),
        daemon("c", node="n3", ready=False),
        daemon("d", node="n4", bound=False, phase="Pending", ready=False),
        daemon("e", node="n6"),
        daemon("f", node="n7"),
    ]
    result = counted(daemon_set(minReadySeconds=30), fits, *pods)
    assert msgspec.structs.asdict(result) == {
        "currentNumberScheduled": 4,
        "numberMisscheduled": 2,
        "desiredNumberScheduled": 5,
        "numberReady": 2,
        "observedGeneration": 3,
        "updatedNumberScheduled": 3,
        "numberAvailable": 1,
        "numberUnavailable": 4,
        "collisionCount": None,
        "conditions": [],
    }


def test_the_oldest_pod_on_a_node_counts() -> None:
    result = counted(daemon_set(), {"n1": Fit.RUN}, daemon("young", age=1, ready=False), daemon("old", age=9, revision=OLD))
    assert (result.numberReady, result.updatedNumberScheduled) == (1, 0)


def test_pods_on_their_way_out_count_unless_they_have_ended() -> None:
    fits = {"n1": Fit.RUN, "n2": Fit.RUN}
    ended = daemon("b", node="n2", phase="Failed", ready=False, deleting=True)
    assert counted(daemon_set(), fits, daemon("a", deleting=True), ended).currentNumberScheduled == 1


def test_pods_that_were_just_created_count() -> None:
    result = counted(daemon_set(), {"n1": Fit.RUN}, created={"n1": daemon("a", phase="Pending", ready=False)})
    assert (result.currentNumberScheduled, result.updatedNumberScheduled, result.numberUnavailable) == (1, 1, 1)


def test_conditions_and_collisions_are_kept() -> None:
    wanted = daemon_set()
    wanted.status = apps.DaemonSetStatus(collisionCount=2, conditions=[apps.DaemonSetCondition(type="Mine", status="True")])
    result = counted(wanted, {})
    assert (result.collisionCount, result.conditions) == (2, wanted.status.conditions)
    assert status(wanted, Observation({}, {}, (), NEW, "2", NOW), {}, 3).collisionCount == 3


def test_failures_wait_longer_each_time_by_node() -> None:
    retries, now, waits = Retries(), 100.0, []
    for _ in range(12):
        waits.append(retries.wait(WEB, 1, "n1", now))
        now += waits[-1]
        retries.record(WEB, 1, "n1", now)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]
    assert retries.wait(WEB, 1, "n1", now + 300) == 600
    assert retries.wait(WEB, 1, "n2", now) == 0


def test_failures_are_forgotten_with_time_and_with_another_template() -> None:
    retries = Retries()
    retries.record(WEB, 1, "n1", 100.0)
    retries.record(WEB, 1, "n1", 101.0)
    assert retries.wait(WEB, 1, "n1", 101.0) == 2
    assert retries.wait(WEB, 1, "n1", 102.0 + FORGOTTEN) == 0
    retries.record(WEB, 1, "n2", 102.0 + FORGOTTEN)
    retries.record(WEB, 1, "n1", 102.0 + FORGOTTEN)
    assert retries.wait(WEB, 1, "n1", 102.0 + FORGOTTEN) == 1
    assert retries.wait(WEB, 2, "n1", 102.0 + FORGOTTEN) == 0
    retries.record(WEB, 2, "n1", 0.0)
    retries.forget(WEB)
    assert retries.wait(WEB, 2, "n1", 0.0) == 0
