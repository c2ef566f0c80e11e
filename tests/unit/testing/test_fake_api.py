"""The fake API server keeps the promises of the real one, since other tests rest on it."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta import v1 as meta
from tiphys.client import Client, PartialObject, partial_kind
from tiphys.testing.fake_api import FakeApi
from tiphys.testing.samples import config, pod, small_scheme


@pytest.fixture
def api() -> FakeApi:
    return FakeApi(small_scheme(), clock=VirtualClock())


@pytest.fixture
def client(api: FakeApi) -> Client:
    return api.client()


async def test_create_stamps_the_object_and_drops_its_status(client: Client) -> None:
    wanted = pod("a")
    wanted.status.phase = "Running"
    made = await client.create(wanted)
    assert made.metadata.uid
    assert made.metadata.creationTimestamp is not None
    assert made.metadata.generation == 1
    assert made.status.phase == "Pending"
    with pytest.raises(errors.AlreadyExists, match='pods "a" already exists'):
        await client.create(wanted)


async def test_update_checks_the_version_and_counts_generations(client: Client) -> None:
    made = await client.create(pod("a"))
    stale = await client.get(core.Pod, "a", "default")
    made.metadata.labels["x"] = "1"
    labeled = await client.update(made)
    assert labeled.metadata.generation == 1
    assert labeled.metadata.resourceVersion != made.metadata.resourceVersion
    assert labeled.spec is not None
    labeled.spec.nodeName = "n1"
    assert (await client.update(labeled)).metadata.generation == 2
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await client.update(stale)
    same = await client.get(core.Pod, "a", "default")
    assert (await client.update(same)).metadata.resourceVersion == same.metadata.resourceVersion


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    made = await client.create(pod("a"))
    assert made.spec is not None
    made.status.phase = "Running"
    made.spec.nodeName = "n1"
    after = await client.update_status(made)
    assert (after.status.phase, after.spec.nodeName if after.spec else None) == ("Running", "")
    after.status.phase = "Failed"
    assert (await client.update(after)).status.phase == "Running"
    patched = await client.patch(core.Pod, "a", "default", body={"status": {"phase": "Succeeded"}}, subresource="status")
    assert patched.status.phase == "Succeeded"


async def test_patch_merges_and_checks_a_version_it_names(client: Client) -> None:
    made = await client.create(config("c", a="1", b="2"))
    patched = await client.patch(core.ConfigMap, "c", "default", body={"data": {"a": None, "c": "3"}})
    assert patched.data == {"b": "2", "c": "3"}
    with pytest.raises(errors.Conflict):
        await client.patch(
            core.ConfigMap, "c", "default", body={"metadata": {"resourceVersion": made.metadata.resourceVersion}, "data": {"x": "y"}}
        )


async def test_deletion_waits_for_grace_and_finalizers(api: FakeApi, client: Client) -> None:
    await client.create(pod("a", node="n1"))
    await client.delete(core.Pod, "a", "default", grace=5)
    left = await client.get(core.Pod, "a", "default")
    assert (left.metadata.deletionGracePeriodSeconds, left.metadata.generation) == (5, 2)
    left.metadata.finalizers = ["test/hold"]
    await client.update(left)
    await client.delete(core.Pod, "a", "default", grace=0)
    held = await client.get(core.Pod, "a", "default")
    assert held.metadata.deletionGracePeriodSeconds == 0
    held.metadata.finalizers = []
    await client.update(held)
    with pytest.raises(errors.NotFound):
        await client.get(core.Pod, "a", "default")


async def test_delete_preconditions_and_propagation(client: Client) -> None:
    made = await client.create(config("c"))
    with pytest.raises(errors.Conflict, match="UID in precondition"):
        await client.delete(core.ConfigMap, "c", "default", uid="other")
    await client.delete(core.ConfigMap, "c", "default", uid=made.metadata.uid, propagation="Foreground")
    assert (await client.get(core.ConfigMap, "c", "default")).metadata.finalizers == ["foregroundDeletion"]


async def test_namespaces_go_when_finalized(client: Client) -> None:
    made = await client.create(core.Namespace(metadata=meta.ObjectMeta(name="team")))
    assert (made.spec.finalizers, made.status.phase) == (["kubernetes"], "Active")
    await client.delete(core.Namespace, "team")
    left = await client.get(core.Namespace, "team")
    assert left.status.phase == "Terminating"
    left.spec.finalizers = []
    await client.update(left, subresource="finalize")
    with pytest.raises(errors.NotFound):
        await client.get(core.Namespace, "team")


async def test_lists_select_and_page(client: Client) -> None:
    for number in range(5):
        await client.create(pod(f"p{number}", node=f"n{number % 2}", labels={"odd": str(number % 2)}))
    await client.create(pod("other", "elsewhere"))
    assert [item.metadata.name for item in (await client.list(core.Pod, "default", labels="odd=1")).items] == ["p1", "p3"]
    assert [item.metadata.name for item in (await client.list(core.Pod, fields="spec.nodeName=n0")).items] == ["p0", "p2", "p4"]
    pages = [page async for page in client.pages(core.Pod, limit=4)]
    assert [len(page.items) for page in pages] == [4, 2]
    assert (pages[0].remaining, pages[1].continue_) == (2, "")
    with pytest.raises(errors.BadRequest):
        await client.list(core.Pod, labels="a in (")


async def test_watch_follows_from_a_version_and_by_selector(api: FakeApi, client: Client) -> None:
    made = await client.create(pod("a", labels={"app": "x"}))
    listed = await client.list(core.Pod)
    made.metadata.labels["app"] = "y"
    made = await client.update(made)
    made.metadata.labels["app"] = "x"
    made = await client.update(made)
    await client.delete(core.Pod, "a", "default")
    async with aclosing(client.watch(core.Pod, labels="app=x", resource_version=listed.resourceVersion)) as events:
        seen = [await anext(events) for _ in range(3)]
        assert [event.type for event in seen] == ["DELETED", "ADDED", "DELETED"]
        assert seen[0].object.metadata.labels["app"] == "x"
        assert int(seen[2].object.metadata.resourceVersion) == api.store.revision
        api.store.bookmark()
        assert (await anext(events)).type == "BOOKMARK"


async def test_watch_from_forgotten_history_is_gone(api: FakeApi, client: Client) -> None:
    listed = await client.list(core.Pod)
    await client.create(pod("a"))
    api.store.compact()
    with pytest.raises(errors.Gone):
        await anext(client.watch(core.Pod, resource_version=listed.resourceVersion))


async def test_binding_assigns_once(client: Client) -> None:
    await client.create(pod("a"))
    binding = core.Binding(metadata=meta.ObjectMeta(name="a", namespace="default"), target=core.ObjectReference(kind="Node", name="n1"))
    await client.post(core.Pod, "a", "default", "binding", binding, meta.Status)
    bound = await client.get(core.Pod, "a", "default")
    assert bound.spec is not None
    assert bound.spec.nodeName == "n1"
    assert [(condition.type, condition.status) for condition in bound.status.conditions] == [("PodScheduled", "True")]
    with pytest.raises(errors.Conflict, match="already assigned"):
        await client.post(core.Pod, "a", "default", "binding", binding, meta.Status)


async def test_scale_reads_and_writes_replicas(api: FakeApi, client: Client) -> None:
    wanted = apps.ReplicaSet(metadata=meta.ObjectMeta(name="r", namespace="default"))
    wanted.spec.replicas = 3
    await client.create(wanted)
    scale = await client.get_subresource(apps.ReplicaSet, "r", "default", "scale", Scale)
    assert scale.spec.replicas == 3
    scale.spec.replicas = 7
    await client.put_subresource(apps.ReplicaSet, "r", "default", "scale", scale)
    assert api.get(apps.ReplicaSet, "r", "default").spec.replicas == 7


async def test_partial_objects_carry_metadata_only(client: Client) -> None:
    await client.create(pod("a", labels={"x": "y"}))
    listed = await client.list(partial_kind("", "v1", "pods"))
    assert isinstance(listed.items[0], PartialObject)
    assert listed.items[0].metadata.labels == {"x": "y"}


async def test_faults_are_delivered(api: FakeApi, client: Client) -> None:
    api.fail(errors.Conflict("no"), verb="create", resource="pods")
    with pytest.raises(errors.Conflict):
        await client.create(pod("a"))
    await client.create(pod("a"))
    api.down = True
    with pytest.raises(ConnectionError):
        await client.get(core.Pod, "a", "default")
    assert [call.verb for call in api.writes()] == ["create", "create"]


async def test_discovery_names_the_scheme(client: Client) -> None:
    body = (await client.raw("GET", "/apis/apps/v1")).body
    assert b'"replicasets/scale"' in body
    with pytest.raises(errors.NotFound):
        await client.raw("GET", "/apis/apps/v2")
