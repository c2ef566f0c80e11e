"""The status that the API shows for a pod."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.node.make import MOMENT, NOW, box, observed, pod, seen
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import qos_class
from tiphys.node.pod.observed import Observed, User
from tiphys.node.pod.plan import Verdicts
from tiphys.node.pod.status import Facts, Waiting, pod_status


def status(it: core.Pod, what: Observed, **facts: Any) -> core.PodStatus:
    return pod_status(it, Facts(what, host_ips=("192.0.2.1",), **facts), MOMENT)


def condition(of: core.PodStatus, type_: str) -> core.PodCondition:
    return next(one for one in of.conditions if one.type == type_)


def test_before_anything_exists() -> None:
    result = status(pod({"name": "a"}), observed(boxes=()))
    assert result.phase == "Pending"
    assert result.hostIP == "192.0.2.1"
    assert result.podIP == ""
    assert result.startTime is not None
    assert result.containerStatuses[0].state.waiting == core.ContainerStateWaiting(reason="ContainerCreating")
    assert condition(result, "PodScheduled").status == "True"
    assert condition(result, "Initialized").status == "True"
    assert condition(result, "PodReadyToStartContainers").status == "False"
    ready = condition(result, "Ready")
    assert (ready.status, ready.reason, ready.message) == ("False", "ContainersNotReady", "containers with unready status: [a]")


def test_a_running_pod_is_ready() -> None:
    it = pod({"name": "a"}, metadata={"generation": 3})
    result = status(it, observed(seen(it, "a")))
    assert result.phase == "Running"
    assert result.observedGeneration == 3
    assert result.podIP == "10.42.0.5"
    assert [one.ip for one in result.podIPs] == ["10.42.0.5"]
    one = result.containerStatuses[0]
    assert (one.ready, one.started, one.restartCount, one.containerID) == (True, True, 0, "containerd://a-0")
    assert one.state.running is not None
    assert all(each.status == "True" for each in result.conditions)
    assert condition(result, "Ready").observedGeneration == 3


def test_a_container_is_not_running_before_its_hook_has_ended() -> None:
    it = pod({"name": "a"}, {"name": "b"})
    what = observed(seen(it, "a"), seen(it, "b"))
    result = status(it, what, starting={"a-0"})
    assert result.phase == "Pending"
    first, second = result.containerStatuses
    assert first.state.waiting == core.ContainerStateWaiting(reason="ContainerCreating")
    assert (first.ready, first.started, second.ready) == (False, False, True)
    assert condition(result, "Ready").message == "containers with unready status: [a]"
    assert status(it, what).containerStatuses[0].ready, "it has ended"


def test_a_restarted_container_shows_its_last_end_while_its_hook_runs() -> None:
    it = pod({"name": "a"})
    what = observed(seen(it, "a", "exited", code=1, ago=50), seen(it, "a", attempt=1))
    one = status(it, what, starting={"a-1"}).containerStatuses[0]
    assert one.state.terminated is not None
    assert (one.state.terminated.exitCode, one.restartCount, one.ready) == (1, 0, False)


def test_init_containers_hold_the_pod_pending() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}, {"name": "j"}])
    result = status(it, observed(seen(it, "i", "exited"), seen(it, "j")))
    assert result.phase == "Pending"
    assert [one.ready for one in result.initContainerStatuses] == [True, False]
    assert result.containerStatuses[0].state.waiting == core.ContainerStateWaiting(reason="PodInitializing")
    initialized = condition(result, "Initialized")
    assert (initialized.status, initialized.message) == ("False", "containers with incomplete status: [j]")
    done = status(it, observed(seen(it, "i", "exited"), seen(it, "j", "exited"), seen(it, "a")))
    assert done.phase == "Running"
    assert condition(done, "Initialized").status == "True"


def test_a_crash_loop_shows_why_and_how_it_ended_before() -> None:
    it = pod({"name": "a"})
    dead = seen(it, "a", "exited", code=2, attempt=3, message="boom")
    result = status(it, observed(dead), waiting={"a": Waiting("CrashLoopBackOff", "back-off 40s")})
    one = result.containerStatuses[0]
    assert one.state.waiting == core.ContainerStateWaiting(reason="CrashLoopBackOff", message="back-off 40s")
    assert one.lastState.terminated is not None
    assert (one.lastState.terminated.exitCode, one.lastState.terminated.reason, one.lastState.terminated.message) == (2, "Error", "boom")
    assert one.restartCount == 3
    assert not one.ready
    assert result.phase == "Running"


def test_an_image_that_cannot_be_pulled() -> None:
    it = pod({"name": "a"})
    result = status(it, observed(), waiting={"a": Waiting("ImagePullBackOff", "Back-off pulling image")})
    assert result.phase == "Pending"
    assert result.containerStatuses[0].state.waiting is not None
    assert result.containerStatuses[0].state.waiting.reason == "ImagePullBackOff"


def test_restarts_keep_the_last_end() -> None:
    it = pod({"name": "a"})
    result = status(it, observed(seen(it, "a", "exited", code=1, ago=50), seen(it, "a", attempt=1)))
    one = result.containerStatuses[0]
    assert one.state.running is not None
    assert one.lastState.terminated is not None
    assert one.lastState.terminated.exitCode == 1
    assert one.restartCount == 1


@pytest.mark.parametrize(("codes", "phase", "reason"), [((0, 0), "Succeeded", "PodCompleted"), ((0, 1), "Failed", "PodFailed")])
def test_final_phases(codes: tuple[int, int], phase: str, reason: str) -> None:
    it = pod({"name": "a"}, {"name": "b"}, restartPolicy="Never")
    what = observed(seen(it, "a", "exited", code=codes[0]), seen(it, "b", "exited", code=codes[1]), boxes=(box(ready=False),))
    assert status(it, what).phase == "Running", "not before everything has stopped"
    result = status(it, what, over=True)
    assert result.phase == phase
    assert condition(result, "Ready").reason == reason
    assert condition(result, "PodReadyToStartContainers").status == "False"
    assert result.containerStatuses[0].state.terminated is not None
    assert result.containerStatuses[0].state.terminated.reason == "Completed"


def test_a_final_phase_stays() -> None:
    it = pod({"name": "a"}, restartPolicy="Never", status={"phase": "Failed", "reason": "Evicted", "message": "no room"})
    result = status(it, observed(boxes=()), over=True)
    assert (result.phase, result.reason, result.message) == ("Failed", "Evicted", "no room")


def test_a_pod_that_was_given_up() -> None:
    it = pod({"name": "a"})
    why = Waiting("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    result = status(it, observed(seen(it, "a", "exited", code=137)), failed=why, over=True)
    assert (result.phase, result.reason) == ("Failed", "DeadlineExceeded")


def test_a_pod_that_the_node_did_not_take_has_no_container_statuses() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}])
    why = Waiting("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu")
    rejected = status(it, observed(boxes=()), failed=why, rejected=True, over=True)
    assert (rejected.phase, rejected.reason) == ("Failed", "OutOfcpu")
    assert (rejected.containerStatuses, rejected.initContainerStatuses) == ([], [])
    it.status = rejected
    restarted = status(it, observed(boxes=()), over=True)
    assert (restarted.phase, restarted.reason, restarted.containerStatuses) == ("Failed", "OutOfcpu", [])


def test_readiness_follows_the_probe() -> None:
    it = pod({"name": "a", "readinessProbe": {"exec": {"command": ["x"]}}})
    what = observed(seen(it, "a"))
    assert not status(it, what).containerStatuses[0].ready
    assert not status(it, what, verdicts={"a-0": Verdicts(readiness=False)}).containerStatuses[0].ready
    assert status(it, what, verdicts={"a-0": Verdicts(readiness=True)}).containerStatuses[0].ready


def test_an_adopted_container_stays_ready_until_the_probe_speaks() -> None:
    it = pod({"name": "a", "readinessProbe": {"exec": {"command": ["x"]}}})
    before = core.ContainerStatus(name="a", ready=True, started=True)
    what = observed(seen(it, "a"))
    assert status(it, what, adopted={"a-0": before}).containerStatuses[0].ready
    assert not status(it, what, adopted={"a-0": before}, verdicts={"a-0": Verdicts(readiness=False)}).containerStatuses[0].ready


def test_startup_comes_before_readiness() -> None:
    it = pod({"name": "a", "startupProbe": {"exec": {"command": ["x"]}}})
    what = observed(seen(it, "a"))
    one = status(it, what).containerStatuses[0]
    assert (one.started, one.ready) == (False, False)
    one = status(it, what, verdicts={"a-0": Verdicts(startup=True)}).containerStatuses[0]
    assert (one.started, one.ready) == (True, True)


def test_readiness_gates() -> None:
    gate = "example.com/open"
    it = pod({"name": "a"}, readinessGates=[{"conditionType": gate}])
    result = status(it, observed(seen(it, "a")))
    ready = condition(result, "Ready")
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    assert condition(result, "ContainersReady").status == "True"
    it.status.conditions = [core.PodCondition(type=gate, status="True")]
    result = status(it, observed(seen(it, "a")))
    assert condition(result, "Ready").status == "True"
    assert condition(result, gate).status == "True", "conditions of others are carried over"


def test_transition_times_move_only_with_the_value() -> None:
    it = pod({"name": "a"})
    it.status = status(it, observed(boxes=()))
    later = pod_status(it, Facts(observed(seen(it, "a"))), MOMENT + timedelta(seconds=9))
    assert condition(later, "PodScheduled").lastTransitionTime == condition(it.status, "PodScheduled").lastTransitionTime
    assert condition(later, "Ready").lastTransitionTime == MOMENT + timedelta(seconds=9)
    assert later.startTime == it.status.startTime


def test_a_lost_container_is_reported_as_such() -> None:
    old = {"name": "a", "state": {"running": {}}, "containerID": "containerd://x", "restartCount": 1}
    it = pod({"name": "a"}, status={"phase": "Running", "containerStatuses": [old]})
    result = status(it, observed(boxes=()), over=True)
    ended = result.containerStatuses[0].state.terminated
    assert ended is not None
    assert (ended.reason, ended.exitCode) == ("ContainerStatusUnknown", 137)
    assert result.phase == "Failed"


def test_sidecars_show_as_running_init_containers() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "s", "restartPolicy": "Always"}])
    result = status(it, observed(seen(it, "s"), seen(it, "a")))
    assert result.phase == "Running"
    assert (result.initContainerStatuses[0].ready, result.initContainerStatuses[0].started) == (True, True)


def test_oom_kill_is_told() -> None:
    it = pod({"name": "a"})
    result = status(it, observed(seen(it, "a", "exited", code=137, reason="OOMKilled")))
    ended = result.containerStatuses[0].state.terminated
    assert ended is not None
    assert ended.reason == "OOMKilled"
    assert ended.finishedAt is not None
    assert ended.finishedAt.timestamp() == NOW - 1


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "100m"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "64Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1000m", "memory": "64Mi"}}, "Guaranteed"),
        ({"limits": {"memory": "64Mi"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_qos(resources: dict[str, Any], expected: str) -> None:
    assert qos_class(pod({"name": "a", "resources": resources})) == expected


LOST = "ContainerStatusUnknown"


def ends(statuses: list[core.ContainerStatus]) -> list[str]:
    """The reason of each container's end, or of its waiting."""
    return [
        one.state.terminated.reason if one.state.terminated else f"waits: {one.state.waiting and one.state.waiting.reason}"
        for one in statuses
    ]


def test_containers_that_never_ran_have_failed_when_the_pod_is_over() -> None:
    it = pod({"name": "a"}, {"name": "b"}, restartPolicy="Never")
    result = status(it, observed(seen(it, "a", "exited")), over=True)
    assert (result.phase, ends(result.containerStatuses)) == ("Failed", ["Completed", LOST])
    lost = result.containerStatuses[1].state.terminated
    assert lost is not None
    assert (lost.exitCode, lost.message) == (137, "The container could not be located when the pod was terminated")
    assert not result.containerStatuses[1].ready
    it.status = result
    again = status(it, observed(boxes=()), over=True)
    assert (again.phase, again.containerStatuses) == (result.phase, result.containerStatuses)
    assert condition(again, "Initialized") == condition(result, "Initialized")


def test_containers_behind_a_failed_init_container_never_ran() -> None:
    it = pod({"name": "a"}, initContainers=[{"name": "i"}, {"name": "j"}, {"name": "k"}], restartPolicy="Never")
    result = status(it, observed(seen(it, "i", "exited"), seen(it, "j", "exited", code=1)), over=True)
    assert ends(result.initContainerStatuses) == ["Completed", "Error", "waits: PodInitializing"]
    assert ends(result.containerStatuses) == ["waits: PodInitializing"]
    nothing = status(it, observed(boxes=()), over=True)
    assert ends(nothing.initContainerStatuses) == [LOST, "waits: PodInitializing", "waits: PodInitializing"]
    done = observed(*(seen(it, name, "exited") for name in ("i", "j", "k")))
    assert ends(status(it, done, over=True).containerStatuses) == [LOST]
    it.status = result
    again = status(it, observed(boxes=()), over=True)
    assert (ends(again.containerStatuses), condition(again, "Initialized")) == (
        ends(result.containerStatuses),
        condition(result, "Initialized"),
    )


def test_the_containers_of_a_living_pod_wait() -> None:
    it = pod({"name": "a"})
    assert ends(status(it, observed()).containerStatuses) == ["waits: ContainerCreating"]


def test_shows_the_user_that_the_runtime_reports() -> None:
    it = pod({"name": "a"})
    plain = seen(it, "a")
    assert status(it, observed(plain)).containerStatuses[0].user is None
    user = status(it, observed(msgspec.structs.replace(plain, user=User(7, 8, (9,))))).containerStatuses[0].user
    assert user == core.ContainerUser(linux=core.LinuxContainerUser(uid=7, gid=8, supplementalGroups=[9]))


@pytest.mark.parametrize(("mode", "supported", "shown"), [
    ("Enabled", True, "Enabled"), ("IfPossible", True, "Enabled"), ("IfPossible", False, "Disabled"), (None, True, "Disabled"),
])  # fmt: skip
def test_shows_which_mounts_are_read_only_all_the_way_down(mode: str | None, supported: bool, shown: str) -> None:
    mounts = [{"name": "d", "mountPath": "/d", "readOnly": True, "recursiveReadOnly": mode}, {"name": "d", "mountPath": "/w"}]
    it = pod({"name": "a", "volumeMounts": mounts}, volumes=[{"name": "d", "emptyDir": {}}])
    container = status(it, observed(seen(it, "a")), recursive_read_only=supported).containerStatuses[0]
    assert [mount.recursiveReadOnly for mount in container.volumeMounts] == [shown, None]
