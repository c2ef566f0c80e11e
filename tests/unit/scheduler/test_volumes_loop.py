"""Pods with volumes in virtual time: what is bound before them, and what happens when that fails."""

from __future__ import annotations

import random

import pytest

from tests.unit.scheduler.make import node, pod
from tests.unit.scheduler.storage import SELECTED, claim, pod_with, serve_storage, storage_class, tie, volume
from tests.unit.scheduler.test_loop import condition, node_of, running, told
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.client.client import Client
from tiphys.runtime import copied
from tiphys.scheduler.scheduler import Scheduler
from tiphys.scheduler.settings import Profile, SchedulerSettings
from tiphys.testing import eventually
from tiphys.testing.crashes import crash_between_writes
from tiphys.testing.memory_api import MemoryApi

pytestmark = pytest.mark.looptime

SCHEDULER = "system:kube-scheduler"


def message(api: MemoryApi, name: str) -> str:
    found = condition(api, name)
    return found.message if found is not None else ""


def selected(api: MemoryApi, name: str) -> str | None:
    return api.get(core.PersistentVolumeClaim, name, "default").metadata.annotations.get(SELECTED)


def owner(api: MemoryApi, name: str) -> str | None:
    reference = api.get(core.PersistentVolume, name).spec.claimRef
    return reference.name if reference is not None else None


async def test_a_node_is_selected_and_the_pod_waits_for_its_volume(api: MemoryApi) -> None:
    api.add(node("n1"), storage_class(), claim("data"), pod_with("a", "data"))
    async with running(api):
        await eventually(lambda: selected(api, "data") == "n1")
        await eventually(lambda: api.get(core.Pod, "a", "default").status.nominatedNodeName == "n1")
        assert node_of(api, "a") == ""
        # Others need not wait for it.
        api.add(pod("b"))
        await eventually(lambda: node_of(api, "b") == "n1")
        serve_storage(api)
        await eventually(lambda: node_of(api, "a") == "n1")


async def test_a_volume_gets_the_name_of_its_claim_and_is_taken_once(api: MemoryApi) -> None:
    manual = storage_class("manual", provisioner="kubernetes.io/no-provisioner")
    api.add(node("n1"), node("n2"), manual, volume("small", class_name="manual", on="n2"), volume("large", class_name="manual", size="9Gi"))
    for name in ("a", "b", "c"):
        api.add(claim(name, class_name="manual"), pod_with(name, name))
    async with running(api):
        await eventually(lambda: owner(api, "small") and owner(api, "large"))
        await eventually(lambda: any(told(api, name) for name in ("a", "b", "c")))
        serve_storage(api)
        await eventually(lambda: sum(bool(node_of(api, name)) for name in ("a", "b", "c")) == 2)
        owners = {owner(api, "small"), owner(api, "large")}
        (last,) = {"a", "b", "c"} - owners
        assert len(owners) == 2
        assert node_of(api, owner(api, "small") or "") == "n2"
        assert message(api, last).startswith("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.")
        assert api.get(core.PersistentVolume, "small").metadata.annotations["pv.kubernetes.io/bound-by-controller"] == "yes"
        api.add(volume("more", class_name="manual"))
        await eventually(lambda: owner(api, "more") == last)


async def test_a_volume_that_cannot_be_made_there_sends_the_pod_elsewhere(api: MemoryApi) -> None:
    api.add(node("n1"), storage_class(), claim("data"), pod_with("a", "data"))
    async with running(api) as scheduler:
        await eventually(lambda: selected(api, "data") == "n1")
        api.add(node("n2"))
        full = api.get(core.Node, "n1")
        full.spec.unschedulable = True
        api.add(full)
        await eventually(lambda: len(scheduler.cluster) == 2)
        refused = api.get(core.PersistentVolumeClaim, "data", "default")
        del refused.metadata.annotations[SELECTED]
        api.add(refused)
        await eventually(lambda: selected(api, "data") == "n2")
        serve_storage(api)
        await eventually(lambda: node_of(api, "a") == "n2")
    said = [event.message for event in api.list(core.Event) if event.reason == "FailedScheduling"]
    assert 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"' in said


async def test_the_wait_ends_after_the_time_that_was_set(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), storage_class(), claim("data"), pod_with("a", "data", cpu="1"))
    settings = SchedulerSettings(profile=Profile(bind_timeout=600))
    async with running(api, settings=settings) as scheduler:
        await eventually(lambda: selected(api, "data") == "n1")
        began = api.clock.monotonic()
        await eventually(lambda: told_error(api, "a"), timeout=700, interval=1)
        assert 598 <= api.clock.monotonic() - began <= 602
        assert message(api, "a") == 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        # The next try waits on the node that is selected already.
        await eventually(lambda: scheduler.cluster.pods_on.get("n1"), timeout=20)
        serve_storage(api)
        await eventually(lambda: node_of(api, "a") == "n1")


def told_error(api: MemoryApi, name: str) -> bool:
    found = condition(api, name)
    return found is not None and found.reason == "SchedulerError"


async def test_a_pod_that_goes_while_its_volumes_are_bound_gives_all_back(api: MemoryApi) -> None:
    api.add(node("n1", cpu="1"), storage_class(), claim("data"), pod_with("a", "data", cpu="1"))
    async with running(api) as scheduler:
        await eventually(lambda: selected(api, "data") == "n1")
        api.remove(core.Pod, "a", "default")
        api.add(pod("b", cpu="1"))
        await eventually(lambda: node_of(api, "b") == "n1")
        await eventually(lambda: not scheduler.cluster.volumes.is_reserved(("default", "data")))


async def test_a_refused_write_is_tried_again(api: MemoryApi) -> None:
    api.add(node("n1"), storage_class(), claim("data"), pod_with("a", "data"))
    api.faults.fail("patch persistentvolumeclaims", errors.Conflict("it has changed"))
    async with running(api):
        await eventually(lambda: selected(api, "data") == "n1")
        serve_storage(api)
        await eventually(lambda: node_of(api, "a") == "n1")
    assert any("it has changed" in event.message for event in api.list(core.Event))


async def test_claims_are_explained_and_waited_for(api: MemoryApi) -> None:
    immediate = storage_class("immediate", mode="Immediate")
    api.add(node("n1"), immediate, pod_with("a", "data"))
    wanted = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    async with running(api):
        said = f'0/1 nodes are available: persistentvolumeclaim "data" not found. {wanted}'
        await eventually(lambda: message(api, "a") == said)
        api.add(claim("data", class_name="immediate"))
        said = f"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {wanted}"
        await eventually(lambda: message(api, "a") == said)
        api.add(*tie(api.get(core.PersistentVolumeClaim, "data", "default"), volume("v", on="n2")))
        said = f"0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity. {wanted}"
        await eventually(lambda: message(api, "a") == said)
        api.add(node("n2"))
        await eventually(lambda: node_of(api, "a") == "n2")


async def test_a_pod_gets_a_claim_for_one_pod_from_a_pod_of_lower_priority(api: MemoryApi) -> None:
    both = tie(claim("data", mode="ReadWriteOncePod"), volume("v", mode="ReadWriteOncePod"))
    api.add(node("n1"), node("n2"), storage_class(), *both, pod_with("low", "data", on="n1", priority=1))
    api.add(pod_with("same", "data", priority=1), pod_with("high", "data", priority=2))
    async with running(api):
        await eventually(lambda: api.get(core.Pod, "low", "default").metadata.deletionTimestamp)
        await eventually(lambda: api.get(core.Pod, "high", "default").status.nominatedNodeName == "n1")
        api.remove(core.Pod, "low", "default")
        await eventually(lambda: node_of(api, "high"))
        said = "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
        await eventually(lambda: said in message(api, "same"))
        api.remove(core.Pod, "high", "default")
        await eventually(lambda: node_of(api, "same"))


async def test_another_scheduler_goes_on_with_what_the_first_selected(api: MemoryApi) -> None:
    api.add(node("n1"), storage_class(), claim("data"), pod_with("a", "data"))
    async with running(api):
        await eventually(lambda: selected(api, "data") == "n1")
    api.add(node("n2", cpu="64", memory="256Gi"))
    async with running(api):
        await eventually(lambda: condition(api, "a") is None and api.get(core.Pod, "a", "default").status.nominatedNodeName == "n1")
        serve_storage(api)
        await eventually(lambda: node_of(api, "a") == "n1")


async def test_a_scheduler_that_dies_between_two_writes_binds_each_volume_once() -> None:
    def prepare(api: MemoryApi) -> None:
        api.add(node("n1"), node("n2"), storage_class(), storage_class("manual", provisioner="kubernetes.io/no-provisioner"))
        api.add(volume("v1", class_name="manual", on="n1"), volume("v2", class_name="manual", on="n2"))
        for name in ("a", "b"):
            api.add(claim(f"{name}-made", class_name="delayed"), claim(f"{name}-given", class_name="manual"))
            api.add(pod_with(name, f"{name}-made", f"{name}-given"))

    async def run(client: Client) -> None:
        await Scheduler(client, clock=client.clock, rng=random.Random(1)).run()

    def check(api: MemoryApi) -> bool:
        serve_storage(api)
        if not all(node_of(api, name) for name in ("a", "b")):
            return False
        given = {name: api.get(core.PersistentVolumeClaim, f"{name}-given", "default").spec.volumeName for name in ("a", "b")}
        assert sorted(given.values()) == ["v1", "v2"]
        for name in ("a", "b"):
            made = copied(api.get(core.PersistentVolume, f"made-for-{name}-made"))
            assert given[name] == f"v{node_of(api, name)[1:]}"
            assert made.spec.nodeAffinity == volume("x", on=node_of(api, name)).spec.nodeAffinity
        return True

    assert await crash_between_writes(prepare=prepare, run=run, check=check) > 4
