"""DaemonSets against the real API server and scheduler, with nodes made by hand: pods are created, replaced, adopted and released."""

from __future__ import annotations

import asyncio

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.daemonset.daemons import Daemons, daemon_set
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.runtime import controller_of
from tiphys.testing import eventually


async def test_every_node_has_one_and_a_deleted_one_is_replaced(daemons: Daemons) -> None:
    made = await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    pods = await daemons.active()
    (revision,) = await daemons.revisions()
    for pod in pods:
        owner = controller_of(pod)
        assert owner is not None
        assert (owner.kind, owner.name, owner.uid) == ("DaemonSet", "web", made.metadata.uid)
        assert pod.metadata.labels[HASH_LABEL] == revision.metadata.labels[HASH_LABEL]
        assert pod.metadata.labels["pod-template-generation"] == "1"
    victim = pods[0]
    await daemons.client.delete(core.Pod, victim.metadata.name, "default")

    async def replaced() -> bool:
        return victim.metadata.uid not in {pod.metadata.uid for pod in await daemons.active()} and len(await daemons.active()) == 3

    await eventually(replaced)
    await daemons.runs_on("n1", "n2", "n3")
    events = (await daemons.client.list(core.Event, "default")).items
    told = [event for event in events if event.reason == "SuccessfulCreate" and event.involvedObject.kind == "DaemonSet"]
    assert told
    assert told[0].source.component == "daemonset-controller"


async def test_nodes_come_and_go(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    await daemons.add_node("n4")
    await daemons.runs_on("n1", "n2", "n3", "n4")
    await daemons.client.delete(core.Node, "n4")
    await daemons.status_is(desiredNumberScheduled=3, numberAvailable=3)


async def test_failed_pods_are_replaced(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    victim = (await daemons.active())[0]
    await daemons.client.patch(core.Pod, victim.metadata.name, "default", body={"status": {"phase": "Failed"}}, subresource="status")

    async def replaced() -> bool:
        return victim.metadata.uid not in {pod.metadata.uid for pod in await daemons.cluster.pods()}

    await eventually(replaced)
    await daemons.runs_on("n1", "n2", "n3")

    async def told() -> bool:
        events = (await daemons.client.list(core.Event, "default")).items
        text = f"Found failed daemon pod default/{victim.metadata.name} on node {victim.spec.nodeName}, will try to kill it"
        return any((event.type, event.reason, event.message) == ("Warning", "FailedDaemonPod", text) for event in events)

    await eventually(told)


async def test_pods_become_available_after_a_while(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set(minReadySeconds=2))
    await daemons.status_is(numberReady=3, numberAvailable=0, numberUnavailable=3)
    await daemons.status_is(numberReady=3, numberAvailable=3, numberUnavailable=0)


async def test_orphans_are_adopted_and_strays_released(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    before = {pod.metadata.uid for pod in await daemons.active()}
    await daemons.client.delete(apps.DaemonSet, "web", "default", propagation="Orphan")

    async def orphaned() -> bool:
        owned = [*await daemons.active(), *await daemons.revisions()]
        return len(owned) == 4 and all(controller_of(obj) is None for obj in owned)

    async def gone() -> bool:
        try:
            await daemons.client.get(apps.DaemonSet, "web", "default")
        except NotFound:
            return True
        return False

    await eventually(orphaned)
    await eventually(gone)
    made = await daemons.client.create(daemon_set())
    await daemons.status_is(numberAvailable=3, updatedNumberScheduled=3)
    assert {pod.metadata.uid for pod in await daemons.active()} == before
    owners = [controller_of(obj) for obj in (*await daemons.active(), *await daemons.revisions())]
    assert {owner.uid for owner in owners if owner is not None} == {made.metadata.uid}
    assert None not in owners
    stray = (await daemons.active())[0]
    await daemons.client.patch(core.Pod, stray.metadata.name, "default", body={"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        found = await daemons.client.get(core.Pod, stray.metadata.name, "default")
        return controller_of(found) is None and len(await daemons.active()) == 4

    await eventually(released)


async def test_a_status_that_others_write_stays(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    body = {"status": {"conditions": [condition]}}
    await daemons.client.patch(apps.DaemonSet, "web", "default", body=body, subresource="status")
    await daemons.add_node("n4")
    found = await daemons.status_is(numberAvailable=4)
    assert [(one.type, one.message) for one in found.status.conditions] == [("StatusUpdate", "Set from e2e test")]


async def test_a_collection_is_listed_and_deleted(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.client.create(daemon_set("other"))
    await eventually(lambda: count(daemons, 6))
    assert [one.metadata.name for one in (await daemons.client.list(apps.DaemonSet, labels="app=web")).items] == ["web"]
    await daemons.client.delete_collection(apps.DaemonSet, "default", labels="app=web")
    await eventually(lambda: count(daemons, 3))
    assert [one.metadata.name for one in (await daemons.client.list(apps.DaemonSet, "default")).items] == ["other"]


async def count(daemons: Daemons, number: int) -> bool:
    return len(await daemons.cluster.pods()) == number


async def test_a_restart_in_the_middle_makes_no_extra_pods(cluster: Cluster) -> None:
    nodes = [f"n{number}" for number in range(30)]
    async with cluster.controllers():
        await eventually(lambda: cluster.has_account("default"))
    for name in nodes:
        await cluster.add_node(name)
    await cluster.client.create(daemon_set())
    for _ in range(5):
        async with cluster.controllers():
            await asyncio.sleep(0)
        assert len(await cluster.pods()) <= 30
    async with cluster.controllers() as manager:
        await eventually(lambda: everywhere(cluster, 30))
        await eventually(lambda: manager.idle)
        assert len(await cluster.pods()) == 30


async def everywhere(cluster: Cluster, nodes: int) -> bool:
    return (await cluster.client.get(apps.DaemonSet, "web", "default")).status.currentNumberScheduled == nodes
