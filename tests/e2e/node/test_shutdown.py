"""Graceful shutdown of a node with real containers: order, statuses, and pods that come too late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.scheduling.v1 import PriorityClass
from tiphys.node.shutdown.manager import END_TIME, START_TIME
from tiphys.testing.eventually import eventually

MESSAGE = "Pod was terminated in response to imminent node shutdown."


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    async with Node.running(node_machine, tmp_path, shutdown_grace_by_priority=((0, 20), (1000, 20))) as made:
        yield made


def ready(node: Node) -> tuple[str, str]:
    condition = next(one for one in node.api.get(core.Node, node.name).status.conditions if one.type == "Ready")
    return condition.status, condition.message


async def test_pods_end_by_priority_and_new_ones_are_refused(node: Node, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()

    def note(name: str) -> dict[str, object]:
        script = f"trap 'sleep 1; echo {name} >> /out/ends; exit 0' TERM; while true; do sleep 0.1; done"
        return {"command": ["sh", "-c", script], "volumeMounts": [{"name": "out", "mountPath": "/out"}]}

    volumes = [{"name": "out", "hostPath": {"path": str(shared)}}]
    for name, priority in (("important", 5000), ("batch", 0), ("web", 500)):
        node.api.add(PriorityClass(metadata=ObjectMeta(name=name), value=priority))
        await node.run(name, note(name), volumes=volumes, priorityClassName=name, terminationGracePeriodSeconds=10)
    for name in ("important", "batch", "web"):
        await node.ready(name)
    assert node.kubelet is not None
    node.kubelet.shutdown.begin()
    await eventually(lambda: ready(node) == ("False", "node is shutting down"))
    await node.run("late")
    late = await node.phase("Failed", "late")
    message = "Pod was rejected: Pod was rejected as the node is shutting down."
    assert (late.status.reason, late.status.message) == ("NodeShutdown", message)
    for name in ("important", "batch", "web"):
        pod = await node.phase("Failed", name)
        assert (pod.status.reason, pod.status.message) == ("Terminated", MESSAGE)
        disruption = next(one for one in pod.status.conditions if one.type == "DisruptionTarget")
        assert (disruption.status, disruption.reason, disruption.message) == ("True", "TerminationByKubelet", MESSAGE)
    await node.kubelet.shutdown.finished.wait()
    *first, last = (shared / "ends").read_text().split()
    assert (sorted(first), last) == (["batch", "web"], "important")
    assert 0 < START_TIME.labels().value <= END_TIME.labels().value

    node.kubelet.shutdown.cancel()
    await eventually(lambda: ready(node)[0] == "True")
    await node.run("after")
    await node.phase("Running", "after")
    assert sorted(node.events("Shutdown")) == [
        "Shutdown manager detected shutdown cancellation",
        "Shutdown manager detected shutdown event",
    ]


async def test_pods_that_ended_for_a_shutdown_stay_ended_in_the_next_life_of_the_kubelet(node: Node) -> None:
    await node.run("web")
    await node.ready("web")
    assert node.kubelet is not None
    node.kubelet.shutdown.begin()
    await node.phase("Failed", "web")
    await node.kubelet.shutdown.finished.wait()
    await node.kill()
    await node.start()
    await eventually(lambda: ready(node)[0] == "True")
    assert node.pod("web").status.phase == "Failed"
    assert START_TIME.labels().value > 0
