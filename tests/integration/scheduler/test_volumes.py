"""Pods with volumes against the real API server, with the rights of the scheduler's own roles."""

from __future__ import annotations

from tests.integration.scheduler.cluster import join
from tests.integration.scheduler.conftest import RunScheduler
from tests.integration.scheduler.test_scheduler import condition, placed
from tests.unit.scheduler.make import node
from tests.unit.scheduler.storage import BOUND, SELECTED, claim, pod_with, storage_class, volume
from tiphys.api.core import v1 as core
from tiphys.client.client import Client
from tiphys.testing.eventually import eventually


async def _bind(client: Client, name: str, volume_name: str) -> None:
    """Bind a claim as the controller of volumes does."""
    body = {"metadata": {"annotations": {BOUND: "yes"}}, "spec": {"volumeName": volume_name}}
    await client.patch(core.PersistentVolumeClaim, name, "default", body=body)
    await client.patch(core.PersistentVolumeClaim, name, "default", body={"status": {"phase": "Bound"}}, subresource="status")


async def test_a_volume_is_made_on_the_selected_node(client: Client, run_scheduler: RunScheduler) -> None:
    for number in range(2):
        await join(client, node(f"node-{number}"))
    await client.create(storage_class())
    await client.create(claim("data"))
    async with run_scheduler():
        await client.create(pod_with("a", "data"))

        async def selected() -> str | None:
            found = await client.get(core.PersistentVolumeClaim, "data", "default")
            return found.metadata.annotations.get(SELECTED)

        where = await eventually(selected)
        assert where is not None
        made = volume("made", on=where)
        found = await client.get(core.PersistentVolumeClaim, "data", "default")
        made.spec.claimRef = core.ObjectReference(namespace="default", name="data", uid=found.metadata.uid)
        await client.create(made)
        await _bind(client, "data", "made")
        assert await placed(client, 1) == {"a": where}
        assert (await client.get(core.Pod, "a", "default")).status.nominatedNodeName == ""


async def test_two_pods_get_two_volumes_and_the_third_says_why(client: Client, run_scheduler: RunScheduler) -> None:
    for number in range(2):
        await join(client, node(f"node-{number}"))
    await client.create(storage_class("manual", provisioner="kubernetes.io/no-provisioner"))
    for number in range(2):
        name = f"v{number}"
        await client.create(volume(name, class_name="manual", on=f"node-{number}"))
        await client.patch(core.PersistentVolume, name, body={"status": {"phase": "Available"}}, subresource="status")
    async with run_scheduler():
        for name in ("a", "b", "c"):
            await client.create(claim(name, class_name="manual"))
            await client.create(pod_with(name, name))

        async def owners() -> dict[str, str]:
            found = {one.metadata.name: one.spec.claimRef for one in (await client.list(core.PersistentVolume)).items}
            assert all(reference is not None for reference in found.values())
            return {reference.name: name for name, reference in found.items() if reference is not None}

        given = await eventually(owners)
        assert len(given) == 2
        (last,) = {"a", "b", "c"} - set(given)

        async def reason() -> bool:
            found = condition(await client.get(core.Pod, last, "default"))
            return found is not None and found.message.startswith(
                "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
            )

        await eventually(reason)
        for name, volume_name in given.items():
            await _bind(client, name, volume_name)

        async def nodes() -> dict[str, str]:
            found = {one.metadata.name: one.spec.nodeName for one in (await client.list(core.Pod, "default")).items}
            assert all(found[name] for name in given)
            return found

        where = await eventually(nodes)
        assert {name: where[name] for name in given} == {name: f"node-{given[name][1:]}" for name in given}


async def test_a_missing_claim_is_named(client: Client, run_scheduler: RunScheduler) -> None:
    await join(client, node("node-0"))
    async with run_scheduler():
        await client.create(pod_with("a", "data"))

        async def reason() -> bool:
            found = condition(await client.get(core.Pod, "a", "default"))
            return found is not None and found.message == (
                '0/1 nodes are available: persistentvolumeclaim "data" not found. '
                "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            )

        await eventually(reason)
