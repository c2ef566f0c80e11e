"""Writes of pod statuses."""

from __future__ import annotations

from tests.unit.node.make import MOMENT, observed, pod, seen
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.node.pod.status import Facts, pod_status
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.pod.status_writer import status_patch as pod_status_patch
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi


def test_a_status_patch_clears_what_is_gone_and_leaves_others_conditions() -> None:
    it = pod({"name": "a"})
    status = pod_status(it, Facts(observed(seen(it, "a"))), MOMENT)
    status.conditions.append(core.PodCondition(type="Other", status="True"))
    body = pod_status_patch("u1", status, core.PodStatus(podIPs=[core.PodIP(ip="1.1.1.1")]))["status"]
    assert body["message"] is None
    assert {"type", "status", "reason", "message"} <= body["conditions"][0].keys()
    assert "Other" not in [condition["type"] for condition in body["conditions"]]
    assert body["podIPs"] == [{"$patch": "replace"}, {"ip": "10.42.0.5"}]
    assert pod_status_patch("u1", core.PodStatus(), core.PodStatus())["status"]["podIPs"] is None


async def test_the_writer_writes_the_newest_once_and_survives_an_outage(api: MemoryApi) -> None:
    it = pod({"name": "a"})
    api.add(it)
    uid = api.get(core.Pod, "web", "default").metadata.uid
    it = api.get(core.Pod, "web", "default")
    writer = StatusWriter(api.client(), LoopClock())
    running = pod_status(it, Facts(observed(seen(it, "a"))), MOMENT)
    api.faults.fail("patch pods/status", ServiceUnavailable("away"), times=2)
    writer.set(it, pod_status(it, Facts(observed(boxes=())), MOMENT))
    writer.set(it, running)
    await writer.wait_written(uid)
    assert api.get(core.Pod, "web", "default").status.phase == "Running"
    count = len(api.writes())
    writer.set(it, running)
    await writer.wait_written(uid)
    assert len(api.writes()) == count

    # Somebody else changes it: it is put right.
    await api.client().patch(core.Pod, "web", "default", body={"status": {"phase": "Pending"}}, subresource="status")
    writer.observe(api.get(core.Pod, "web", "default"))
    await eventually(lambda: api.get(core.Pod, "web", "default").status.phase == "Running")
    api.remove(core.Pod, "web", "default")
    writer.set(it, pod_status(it, Facts(observed(seen(it, "a", "exited"))), MOMENT))
    await writer.wait_written(uid)
    await writer.close()
