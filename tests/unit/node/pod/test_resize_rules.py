"""Resize of a pod: what is admitted, what is done about it, and what the status says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.node.make import MOMENT, NOW, observed, pod, seen
from tiphys.api.core import v1 as core
from tiphys.node.container.config import hashes as hashes_of
from tiphys.node.pod import resize_rules
from tiphys.node.pod.admitted import Admitted
from tiphys.node.pod.allocations import Allocations
from tiphys.node.pod.observed import Observed
from tiphys.node.pod.plan import Plan, Update, plan_pod
from tiphys.node.pod.status import Facts, pod_status
from tiphys.node.pod.status_writer import status_patch

SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
LARGE = {"requests": {"cpu": "4"}}
RESTART = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]


def resources(**changes: Any) -> core.ResourceRequirements:
    body = {kind: {**listed, **changes.get(kind, {})} for kind, listed in SMALL.items()}
    return msgspec.convert(body, core.ResourceRequirements)


def plan(it: core.Pod, what: Observed, applied: resize_rules.Sizes) -> Plan:
    return plan_pod(it, what, hashes=hashes_of(it), verdicts={}, backoffs={}, now=NOW, applied=applied)


def running(it: core.Pod, *names: str) -> Observed:
    return observed(*(seen(it, name) for name in names))


def test_changed_resources_are_updated_in_place() -> None:
    it = pod({"name": "a", "resources": SMALL}, {"name": "b", "resources": SMALL})
    applied = {"a-0": resources(requests={"cpu": "50m"}), "b-0": resources()}
    result = plan(it, running(it, "a", "b"), applied)
    assert (result.update, result.stop, result.start) == ((Update("a-0", "a"),), (), ())
    assert not result.empty
    assert plan(it, running(it, "a", "b"), {}).empty, "what is not known is as it should be"
    # The kernel knows nothing of requests for memory, and spellings do not matter.
    alike = {"a-0": resources(requests={"memory": "1Mi", "cpu": "0.1"}), "b-0": resources()}
    assert plan(it, running(it, "a", "b"), alike).empty


def test_a_policy_may_ask_for_a_restart() -> None:
    it = pod({"name": "a", "resources": SMALL, "resizePolicy": RESTART}, restartPolicy="OnFailure")
    less = plan(it, running(it, "a"), {"a-0": resources(limits={"memory": "64Mi"})})
    assert [(one.message, one.why) for one in less.stop] == [("Container a resize requires restart", "changed")]
    assert [(one.name, one.attempt) for one in less.start] == [("a", 1)]
    assert less.update == ()
    assert plan(it, running(it, "a"), {"a-0": resources(limits={"cpu": "1"})}).update == (Update("a-0", "a"),)


def test_a_request_alone_may_ask_for_a_restart() -> None:
    it = pod({"name": "a", "resources": SMALL, "resizePolicy": RESTART})
    applied = {"a-0": resources(requests={"memory": "32Mi"})}
    assert [one.why for one in plan(it, running(it, "a"), applied).stop] == ["changed"]
    assert not resize_rules.settled(it, running(it, "a"), applied)
    assert resize_rules.already(it, running(it, "a"), applied) == {}


def test_init_containers_and_sidecars_are_resized_too() -> None:
    it = pod(
        {"name": "a"}, initContainers=[{"name": "s", "restartPolicy": "Always", "resources": SMALL}, {"name": "i", "resources": SMALL}]
    )
    applied = {"s-0": resources(limits={"cpu": "1"}), "i-0": resources(limits={"cpu": "1"})}
    result = plan(it, running(it, "s", "i"), applied)
    assert result.update == (Update("s-0", "s"), Update("i-0", "i"))
    assert result.start == ()


def test_a_node_admits_what_it_has_room_for() -> None:
    def wanting(cpu: int, name: str = "web", **spec: Any) -> core.Pod:
        return pod({"name": "a", "resources": {"requests": {"cpu": f"{cpu}m"}}}, metadata={"uid": name}, **spec)

    book = Allocations({"cpu": 1000, "memory": 1 << 30})
    book.enter(wanting(300), lambda: None)
    book.enter(wanting(500, "other"), lambda: None)
    assert book.judge(wanting(500)) is None
    assert book.judge(wanting(501)) == resize_rules.Pending(
        "Deferred", "Node didn't have enough resource: cpu, requested: 501, used: 500, capacity: 1000"
    )
    assert book.judge(wanting(1001)) == resize_rules.Pending(
        "Infeasible", "Node didn't have enough capacity: cpu, requested: 1001, capacity: 1000"
    )
    asked: list[str] = []
    book.wait(wanting(600, "low"), 1.0, lambda: asked.append("low"))
    book.wait(wanting(600, "late", priority=5), 3.0, lambda: asked.append("late"))
    book.wait(wanting(600, "early", priority=5), 2.0, lambda: asked.append("early"))
    book.enter(wanting(400, "other"), lambda: None)
    assert asked == ["early", "late", "low"], "priority first, then who waits longest"
    asked.clear()
    book.enter(wanting(450, "other"), lambda: None)
    assert asked == [], "nothing was given back"
    book.leave("low")
    book.leave("other")
    assert asked == ["early", "late"]


def test_a_pod_is_seen_with_what_was_allocated_to_it() -> None:
    it = pod({"name": "a", "resources": SMALL}, {"name": "b"}, resources={"requests": {"cpu": "1"}})
    assert resize_rules.with_sizes(it, resize_rules.sizes_of(it)) is it
    before = {**resize_rules.sizes_of(it), "a": resources(requests={"cpu": "50m"}), "": resources()}
    shown = resize_rules.with_sizes(it, before)
    assert resize_rules.sizes_of(shown) == before
    assert it.spec.containers[0].resources.requests["cpu"] == "100m"


def claiming(size: dict[str, Any]) -> core.Pod:
    """A pod of two large containers, whose status says that the first runs with this size."""
    status = {"name": "a", "containerID": "containerd://a-0", "state": {"running": {}}, "resources": size}
    waiting = {"name": "b", "state": {"waiting": {}}, "resources": size}
    return pod({"name": "a", "resources": LARGE}, {"name": "b", "resources": LARGE}, status={"containerStatuses": [status, waiting]})


def test_a_new_agent_goes_on_with_what_was_recorded_and_not_with_what_a_status_says() -> None:
    it = claiming({"requests": {"cpu": "100"}})
    shown = running(it, "a")
    allocated, applied = resize_rules.adopted(it, shown, {"a": resources(), "gone": resources()})
    assert (allocated["a"], allocated["b"].requests) == (resources(), {"cpu": "4"})
    assert applied["a-0"].requests == {"cpu": "100"}, "which the next step corrects"
    assert resize_rules.is_unfinished(it, shown, allocated, applied)
    assert not resize_rules.is_unfinished(it, shown, allocated, {"a-0": resources()})
    assert not resize_rules.is_unfinished(it, observed(), allocated, applied)


def test_the_status_tells_about_what_runs_without_a_record() -> None:
    it = claiming(SMALL)
    allocated, applied = resize_rules.adopted(it, running(it, "a"), None)
    assert (allocated["a"], allocated["b"].requests) == (resources(), {"cpu": "4"})
    assert applied == {"a-0": resources()}
    # A container that the runtime does not know is somebody's invention.
    assert resize_rules.adopted(it, observed(), None) == (resize_rules.sizes_of(it), {})


def test_a_resize_of_the_whole_pod_is_finished_by_the_next_agent() -> None:
    it = pod({"name": "a"}, resources={"limits": {"cpu": "2"}}, status={"resources": {"limits": {"cpu": "1"}}})
    assert resize_rules.is_unfinished(it, running(it, "a"), resize_rules.sizes_of(it), {})
    as_shown = msgspec.convert({"limits": {"cpu": "1"}}, core.ResourceRequirements)
    assert not resize_rules.is_unfinished(it, running(it, "a"), {"": as_shown}, {})


def test_the_record_of_admission_outlives_the_agent(tmp_path: Path) -> None:
    assert Admitted(tmp_path).read("u1") is None
    asyncio.run(Admitted(tmp_path).write("u1", {"a": resources(), "": core.ResourceRequirements()}))
    assert Admitted(tmp_path).read("u1") == {"a": resources(), "": core.ResourceRequirements()}
    (tmp_path / "pods/u1/admitted.json").write_text("{")
    assert Admitted(tmp_path).read("u1") is None


def test_the_status_tells_what_is_in_force_and_what_is_under_way() -> None:
    it = pod({"name": "a", "resources": SMALL}, {"name": "b"}, metadata={"generation": 4})
    old = resources(requests={"cpu": "50m"})
    said = resize_rules.conditions(4, resize_rules.Pending("Deferred", "later"), resize_rules.Progress(3, "busy"))
    result = pod_status(it, Facts(running(it, "a", "b"), applied={"a-0": old}, resize=said), MOMENT)
    first, second = result.containerStatuses
    assert first.resources == old
    assert first.allocatedResources == SMALL["requests"]
    assert second.resources == core.ResourceRequirements(), "there, so that the API server knows it can be resized"
    told = {one.type: (one.status, one.reason, one.message, one.observedGeneration) for one in result.conditions if "Resize" in one.type}
    assert told == {"PodResizePending": ("True", "Deferred", "later", 4), "PodResizeInProgress": ("True", "Error", "busy", 3)}
    # When it is over the conditions go, from the API too.
    again = pod_status(msgspec.structs.replace(it, status=result), Facts(running(it, "a", "b")), MOMENT)
    assert not [one for one in again.conditions if "Resize" in one.type]
    body = status_patch("u1", again, result)["status"]["conditions"]
    assert [one for one in body if "$patch" in one] == [
        {"$patch": "delete", "type": "PodResizePending"},
        {"$patch": "delete", "type": "PodResizeInProgress"},
    ]


def test_a_resize_is_over_when_all_that_runs_has_what_it_should() -> None:
    it = pod({"name": "a", "resources": SMALL}, {"name": "b", "resources": SMALL})
    old = resources(limits={"cpu": "1"})
    assert not resize_rules.settled(it, running(it, "a"), {"a-0": old})
    assert resize_rules.settled(it, running(it, "a"), {"a-0": resources()})
    assert resize_rules.settled(it, observed(seen(it, "a", "exited")), {"a-0": old}), "what does not run starts with what it should have"


def test_events_tell_what_was_resized() -> None:
    it = pod({"name": "a", "resources": {"requests": {"cpu": "1"}}})
    assert resize_rules.summary("Pod resize started", it, 2) == (
        'Pod resize started: {"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}],"generation":2}'
    )


def test_requests_for_memory_are_in_force_at_once() -> None:
    it = pod({"name": "a", "resources": SMALL}, {"name": "b", "resources": SMALL})
    applied = {"a-0": resources(requests={"memory": "1Mi"}), "b-0": resources(limits={"memory": "1Gi"})}
    assert resize_rules.already(it, running(it, "a", "b"), applied) == {"a-0": resources()}


def test_resources_that_are_assigned_at_admission_stay() -> None:
    size = {"cpu": "1", "memory": "64Mi"}
    before, more_memory, more_cpu = (
        pod({"name": "main", "resources": {"requests": one, "limits": one}})
        for one in (size, {**size, "memory": "128Mi"}, {**size, "cpu": "2"})
    )
    book = Allocations({"cpu": 8000, "memory": 1 << 30}, {"cpu": 'CPU Manager policy "static"'})
    book.enter(before, lambda: None)
    assert book.judge(more_memory) is None
    pending = book.judge(more_cpu)
    assert pending == resize_rules.Pending("Infeasible", 'Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"')
    burstable = pod({"name": "main", "resources": {"requests": {"cpu": "2"}}})
    assert book.judge(burstable) is None
