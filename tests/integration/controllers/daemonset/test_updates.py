"""Updates of DaemonSets: on delete, rolling within their bounds, rolled back, and the revisions that they leave."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.controllers.daemonset.daemons import Daemons, daemon_set
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery.base import IntOrString
from tiphys.api.machinery.conditions import is_true
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.shared.revisions import HASH_LABEL
from tiphys.runtime import controller_of
from tiphys.testing import eventually


async def test_on_delete_leaves_pods_alone(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set(strategy="OnDelete"))
    await daemons.runs_on("n1", "n2", "n3")
    await daemons.set_image("busybox:2")
    await daemons.status_is(updatedNumberScheduled=0, numberAvailable=3)
    assert [revision.revision for revision in await daemons.revisions()] == [1, 2]
    assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:1"}
    await daemons.client.delete(core.Pod, (await daemons.active())[0].metadata.name, "default")
    await daemons.status_is(updatedNumberScheduled=1, numberAvailable=3)


async def watch_pods(daemons: Daemons, least: int, most: int, done: asyncio.Event) -> None:
    """Follow every change and check that there are always enough ready pods and never too many active ones."""
    pods: dict[str, core.Pod] = {}
    full = False
    async for event in daemons.client.watch(core.Pod, "default"):
        meta = event.object.metadata
        pods[meta.uid] = event.object
        if event.type == "DELETED":
            del pods[meta.uid]
        active = [pod for pod in pods.values() if is_active(pod)]
        ready = [pod for pod in active if is_true(pod.status.conditions, "Ready")]
        assert len(active) <= most
        full = full or len(ready) >= least
        assert not full or len(ready) >= least
        if done.is_set():
            return


@pytest.mark.parametrize(("unavailable", "surge", "least", "most"), [(1, 0, 2, 3), ("50%", 0, 1, 3), (0, 1, 3, 4)])
async def test_a_rolling_update_stays_within_its_bounds(
    daemons: Daemons, unavailable: IntOrString, surge: IntOrString, least: int, most: int
) -> None:
    await daemons.client.create(daemon_set(unavailable=unavailable, surge=surge))
    await daemons.runs_on("n1", "n2", "n3")
    done = asyncio.Event()
    watching = asyncio.create_task(watch_pods(daemons, least, most, done))
    await asyncio.sleep(0)
    await daemons.set_image("busybox:2")
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)
    await daemons.runs_on("n1", "n2", "n3")
    assert {pod.spec.containers[0].image for pod in await daemons.active()} == {"busybox:2"}
    assert [revision.revision for revision in await daemons.revisions()] == [1, 2]
    hashes = {pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    assert hashes == {(await daemons.revisions())[-1].metadata.labels[HASH_LABEL]}
    done.set()
    await daemons.client.patch(core.Pod, (await daemons.active())[0].metadata.name, "default", body={"metadata": {"labels": {"seen": "y"}}})
    await watching


async def test_a_rollback_restarts_no_pod_without_need(daemons: Daemons) -> None:
    await daemons.client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    before = {pod.metadata.uid: pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    # The new image cannot be pulled: one node is down, and no more.
    daemons.phase = lambda pod: "Pending" if pod.spec.containers[0].image == "foo:missing" else "Running"
    await daemons.set_image("foo:missing")
    await daemons.status_is(updatedNumberScheduled=1, numberAvailable=2)
    kept = {pod.metadata.uid for pod in await daemons.active()} & before.keys()
    assert len(kept) == 2
    await daemons.set_image("busybox:1")
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)
    after = {pod.metadata.uid: pod.metadata.labels[HASH_LABEL] for pod in await daemons.active()}
    assert kept <= after.keys()
    # The old revision is the current one again, under a new number.
    assert set(after.values()) == set(before.values())
    assert [revision.revision for revision in await daemons.revisions()] == [2, 3]


async def test_the_life_of_controller_revisions(daemons: Daemons) -> None:
    """The steps of upstream's test of ControllerRevisions."""
    client = daemons.client
    made = await client.create(daemon_set())
    await daemons.runs_on("n1", "n2", "n3")
    (first,) = (await client.list(apps.ControllerRevision, labels="app=web")).items
    body = {"metadata": {"labels": {"mine": "patched"}}}
    patched = await client.patch(apps.ControllerRevision, first.metadata.name, "default", body=body)
    assert patched.metadata.labels["mine"] == "patched"
    second = apps.ControllerRevision(
        metadata=ObjectMeta(
            name="web-other",
            namespace="default",
            labels={"app": "web", HASH_LABEL: "other"},
            ownerReferences=first.metadata.ownerReferences,
        ),
        data=first.data,
        revision=first.revision + 1,
    )
    second = await client.create(second)
    assert len(await daemons.revisions()) == 2
    await client.delete(apps.ControllerRevision, first.metadata.name, "default")
    assert [one.metadata.name for one in await daemons.revisions()] == ["web-other"]
    second.metadata.labels["mine"] = "updated"
    second = await client.update(second)
    await daemons.update(template={"spec": {"terminationGracePeriodSeconds": 1}})

    async def numbers() -> list[int]:
        return [one.revision for one in await daemons.revisions()]

    async def has_three() -> bool:
        return await numbers() == [2, 3]

    await eventually(has_three)
    await client.delete_collection(apps.ControllerRevision, "default", labels="mine=updated")
    assert await numbers() == [3]
    assert controller_of((await daemons.revisions())[0]) == controller_of(first)
    assert made.metadata.uid == controller_of(first).uid  # type: ignore[union-attr]
    await daemons.status_is(updatedNumberScheduled=3, numberAvailable=3)
