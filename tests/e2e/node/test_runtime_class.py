"""Pods run with the handler that their runtime class names."""

from __future__ import annotations

from tests.e2e.node.cluster import Node
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.node.v1 import RuntimeClass
from tiphys.testing.eventually import eventually


async def test_the_handler_of_a_class_runs_its_pods(node: Node) -> None:
    await node.client.create(RuntimeClass(metadata=ObjectMeta(name="ordinary"), handler="runc"))
    await node.run("web", runtimeClassName="ordinary")
    await node.ready()
    [sandbox] = await node.cri.list_pod_sandboxes()
    assert sandbox.runtime_handler == "runc"


async def test_a_handler_that_the_runtime_lacks_is_told(node: Node) -> None:
    await node.client.create(RuntimeClass(metadata=ObjectMeta(name="special"), handler="no-such-handler"))
    await node.run("web", runtimeClassName="special")
    missing = RuntimeClass(metadata=ObjectMeta(name="missing"), handler="runc")
    await node.client.create(missing)
    with node.api.faults.hold_events("watch pods"):
        await node.run("lost", runtimeClassName="missing")
        await node.client.delete(RuntimeClass, "missing")
    await eventually(lambda: any("no-such-handler" in said for said in node.events("FailedCreatePodSandBox")))
    await eventually(lambda: 'Failed to create pod sandbox: RuntimeClass "missing" not found' in node.events("FailedCreatePodSandBox"))
    assert node.pod().status.phase == "Pending"
    await node.client.create(missing)
    await node.ready("lost")
