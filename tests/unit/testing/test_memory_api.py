"""The API server in memory: what clients and tests see of it, and that a start from copied objects is a start like any other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
import pytest

from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.apiextensions import v1 as apiextensions
from tiphys.api.apps import v1 as apps
from tiphys.api.autoscaling import v1 as autoscaling
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.autoscaling.v2 import HorizontalPodAutoscaler
from tiphys.api.coordination import v1 as coordination
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta import v1 as meta
from tiphys.api.rbac import v1 as rbac
from tiphys.apiserver.server import ApiServer
from tiphys.client import Client, PartialObject, partial_kind
from tiphys.store.memory import MemoryStore
from tiphys.testing import eventually, memory_api
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config, pod, replica_set

pytestmark = pytest.mark.looptime


@pytest.fixture
def client(api: MemoryApi) -> Client:
    return api.client()


class SetClock(LoopClock):
    """A clock that stands still."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


# -- the server


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
    labeled.spec.containers[0].image = "other"
    assert (await client.update(labeled)).metadata.generation == 2
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await client.update(stale)
    same = await client.get(core.Pod, "a", "default")
    assert (await client.update(same)).metadata.resourceVersion == same.metadata.resourceVersion


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    made = await client.create(pod("a"))
    assert made.spec is not None
    made.status.phase = "Running"
    made.spec.containers[0].image = "other"
    after = await client.update_status(made)
    assert (after.status.phase, after.spec.containers[0].image if after.spec else None) == ("Running", "busybox")
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


async def test_deletion_waits_for_grace_and_finalizers(client: Client) -> None:
    held = pod("a", node="n1")
    held.metadata.finalizers = ["example.com/hold"]
    await client.create(held)
    await client.delete(core.Pod, "a", "default", grace=5)
    left = await client.get(core.Pod, "a", "default")
    assert (left.metadata.deletionGracePeriodSeconds, left.metadata.generation) == (5, 2)
    await client.delete(core.Pod, "a", "default", grace=0)
    held = await client.get(core.Pod, "a", "default")
    assert held.metadata.deletionGracePeriodSeconds == 0
    held.metadata.finalizers = []
    await client.update(held)
    with pytest.raises(errors.NotFound):
        await client.get(core.Pod, "a", "default")


async def test_delete_preconditions_and_propagation(client: Client) -> None:
    made = await client.create(config("c"))
    with pytest.raises(errors.Conflict, match="the UID in the precondition"):
        await client.delete(core.ConfigMap, "c", "default", uid="other")
    await client.delete(core.ConfigMap, "c", "default", uid=made.metadata.uid, propagation="Foreground")
    assert (await client.get(core.ConfigMap, "c", "default")).metadata.finalizers == ["foregroundDeletion"]


async def test_lists_select_and_page(api: MemoryApi, client: Client) -> None:
    api.add_namespace("elsewhere")
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


async def test_watch_follows_from_a_version_and_by_selector(api: MemoryApi, client: Client) -> None:
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
        assert int(seen[2].object.metadata.resourceVersion) == api.revision
        assert (await anext(events)).type == "BOOKMARK"


async def test_watch_from_forgotten_history_is_gone(api: MemoryApi, client: Client) -> None:
    listed = await client.list(core.Pod)
    await client.create(pod("a"))
    api.add_namespace("other")
    first = await client.list(core.ServiceAccount, limit=1)
    await client.create(pod("b"))
    await api.compact()
    with pytest.raises(errors.Gone):
        await anext(client.watch(core.Pod, resource_version=listed.resourceVersion))
    with pytest.raises(errors.Gone):
        await client.list(core.ServiceAccount, limit=1, continue_=first.continue_)
    assert len((await client.list(core.Pod)).items) == 2


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


async def test_scale_reads_and_writes_replicas(api: MemoryApi, client: Client) -> None:
    await client.create(replica_set("r", 3))
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


async def test_faults_are_delivered(api: MemoryApi, client: Client) -> None:
    api.faults.fail("create pods", errors.Conflict("no"))
    with pytest.raises(errors.Conflict):
        await client.create(pod("a"))
    await client.create(pod("a"))
    api.faults.down = True
    with pytest.raises(ConnectionError):
        await client.get(core.Pod, "a", "default")
    assert [call.verb for call in api.writes()] == ["create", "create"]


async def test_discovery_names_what_is_served(client: Client) -> None:
    body = (await client.raw("GET", "/apis/apps/v1")).body
    assert b'"replicasets/scale"' in body
    with pytest.raises(errors.NotFound):
        await client.raw("GET", "/apis/apps/v2")


# -- direct access


async def test_added_objects_are_as_they_are(api: MemoryApi, client: Client) -> None:
    wanted = pod("a", "nowhere", node="n1")
    wanted.status.phase = "Running"
    wanted.metadata.deletionGracePeriodSeconds = 7
    api.add(wanted)
    assert wanted.metadata.uid == "", "copies are put in place"
    (stored,) = api.list(core.Pod)
    assert (stored.status.phase, stored.metadata.deletionGracePeriodSeconds, stored.metadata.generation) == ("Running", 7, 1)
    assert await client.get(core.Pod, "a", "nowhere") == stored
    stored.status.phase = "Failed"
    api.add(stored)
    again = api.get(core.Pod, "a", "nowhere")
    assert (again.status.phase, again.metadata.uid) == ("Failed", stored.metadata.uid)
    assert int(again.metadata.resourceVersion) == api.revision == int(stored.metadata.resourceVersion) + 1


async def test_removed_objects_are_gone_at_once(api: MemoryApi, client: Client) -> None:
    held = config("held")
    held.metadata.finalizers = ["example.com/hold"]
    await client.create(held)
    api.remove(core.ConfigMap, "held", "default")
    assert api.find(core.ConfigMap, "held", "default") is None
    with pytest.raises(KeyError, match="ConfigMap default/held"):
        api.remove(core.ConfigMap, "held", "default")
    with pytest.raises(errors.NotFound):
        await client.get(core.ConfigMap, "held", "default")


async def test_changes_are_listed_in_order(api: MemoryApi, client: Client) -> None:
    assert api.changes(core.ConfigMap) == []
    first = await client.create(config("a"))
    api.add(config("b", "elsewhere"))
    body = {"metadata": {"labels": {"x": "1"}}}
    second = await client.patch(core.ConfigMap, "a", "default", body=body)
    await client.delete(core.ConfigMap, "a", "default")
    (elsewhere,) = api.list(core.ConfigMap, "elsewhere")
    changes = api.changes(core.ConfigMap)
    assert [change.kind for change in changes] == ["create", "create", "update", "delete"]
    assert [change.object for change in changes[:3]] == [first, elsewhere, second]
    assert changes[3].object.metadata.labels == {"x": "1"}
    assert [change.object.metadata.namespace for change in api.changes(core.ConfigMap, "elsewhere")] == ["elsewhere"]
    await api.compact()
    assert api.changes(core.ConfigMap) == []


async def test_kinds_of_several_versions_are_one(api: MemoryApi, client: Client) -> None:
    target = autoscaling.CrossVersionObjectReference(kind="Deployment", name="web")
    spec = autoscaling.HorizontalPodAutoscalerSpec(scaleTargetRef=target, maxReplicas=3)
    api.add(autoscaling.HorizontalPodAutoscaler(metadata=meta.ObjectMeta(name="a", namespace="default"), spec=spec))
    assert api.get(HorizontalPodAutoscaler, "a", "default").spec.maxReplicas == 3
    assert (await client.get(autoscaling.HorizontalPodAutoscaler, "a", "default")).spec.maxReplicas == 3
    api.remove(autoscaling.HorizontalPodAutoscaler, "a", "default")
    assert api.list(HorizontalPodAutoscaler) == []


async def test_added_events_live_as_long_as_others(api: MemoryApi) -> None:
    api.add(core.Event(metadata=meta.ObjectMeta(name="a", namespace="default")))
    await asyncio.sleep(3599)
    assert len(api.list(core.Event)) == 1
    await asyncio.sleep(2)
    assert api.list(core.Event) == []


async def test_others_have_no_more_rights_than_roles_give_them(api: MemoryApi) -> None:
    robot = api.client("robot", "robots")
    with pytest.raises(errors.Forbidden, match='User "robot" cannot get resource "configmaps"'):
        await robot.get(core.ConfigMap, "a", "default")
    api.add(
        config("a"),
        rbac.ClusterRoleBinding(
            metadata=meta.ObjectMeta(name="robots"),
            roleRef=rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="view"),
            subjects=[rbac.Subject(apiGroup="rbac.authorization.k8s.io", kind="Group", name="robots")],
        ),
    )
    assert (await robot.get(core.ConfigMap, "a", "default")).metadata.name == "a"


async def test_custom_kinds_are_served(api: MemoryApi, client: Client) -> None:
    names = apiextensions.CustomResourceDefinitionNames(plural="widgets", kind="Widget")
    schema = apiextensions.CustomResourceValidation(
        openAPIV3Schema=msgspec.convert({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, apiextensions.JSONSchemaProps)
    )
    version = apiextensions.CustomResourceDefinitionVersion(name="v1", served=True, storage=True, schema=schema)
    spec = apiextensions.CustomResourceDefinitionSpec(group="example.com", scope="Namespaced", names=names, versions=[version])
    await client.create(apiextensions.CustomResourceDefinition(metadata=meta.ObjectMeta(name="widgets.example.com"), spec=spec))
    widgets = partial_kind("example.com", "v1", "widgets")

    await eventually(lambda: api.scheme.by_resource("example.com", "v1", "widgets"))
    api.add_namespace("team")
    body = msgspec.json.encode({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "size": 3})
    await client.raw("POST", widgets.path("team"), body=body, headers={"content-type": "application/json"})
    assert [obj.metadata.name for obj in (await client.list(widgets)).items] == ["a"]


async def rest(events: AsyncIterator[object]) -> int:
    """Return the number of events until the end of a watch."""
    return len([event async for event in events])


async def test_a_restarted_server_has_what_there_was(api: MemoryApi, client: Client) -> None:
    made = await client.create(config("a"))
    async with aclosing(client.watch(core.ConfigMap, resource_version=made.metadata.resourceVersion, bookmarks=False)) as events:
        watching = asyncio.create_task(rest(events))
        await asyncio.sleep(1)
        await api.restart()
        assert await watching == 0
    assert await client.get(core.ConfigMap, "a", "default") == made
    await api.stop()
    with pytest.raises(ConnectionError, match="is not running"):
        await client.get(core.ConfigMap, "a", "default")


# -- starts


async def test_objects_can_be_added_before_the_server_starts(api: MemoryApi, client: Client) -> None:
    api.add(config("a"))
    assert api.get(core.ConfigMap, "a", "default").metadata.creationTimestamp == api.clock.now()
    assert (await client.get(core.ConfigMap, "a", "default")) == api.get(core.ConfigMap, "a", "default")
    (default,) = (await client.list(core.Namespace, fields="metadata.name=default")).items
    assert default.metadata.creationTimestamp == memory_api.FOUNDED


async def test_a_cancelled_request_does_not_stop_the_start(api: MemoryApi, client: Client) -> None:
    first = asyncio.create_task(client.list(core.Pod))
    second = asyncio.create_task(client.list(core.Pod))
    await asyncio.sleep(0)
    await cancel_and_wait(first)
    assert (await second).items == []


async def test_a_copied_start_leaves_what_a_first_start_leaves(api: MemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never knows whether its server was the first of the process."""
    await api.start()
    copied = system_objects(api)
    clock = SetClock(memory_api.FOUNDED)
    server = ApiServer(api.server.settings, MemoryStore(clock=clock), clock=clock, rng=random.Random(1))
    await server.start(listen=False)
    monkeypatch.setattr(api, "store", server.storage.store)
    first = system_objects(api)
    await server.stop(grace=0.1)
    # What `namespaces` adds; a server leaves that to control loops.
    assert copied.keys() - first.keys() == {"/registry/core/serviceaccounts/default/default"}
    assert {key: copied[key] for key in first} == first


def system_objects(api: MemoryApi) -> dict[str, object]:
    """Return the stored objects by key, without what is drawn."""
    found: dict[str, Any] = {}
    for kind in api.scheme:
        if "get" in kind.verbs and kind.stored is None:
            for obj in api.list(kind.type):
                obj.metadata.uid = obj.metadata.resourceVersion = ""
                if isinstance(obj, coordination.Lease):  # Its holder is drawn, and it is renewed at each start.
                    obj.spec = coordination.LeaseSpec()
                found[api.server.storage.key(kind, obj.metadata.namespace, obj.metadata.name)] = obj
    return found


async def test_servers_share_nothing(api: MemoryApi) -> None:
    async with MemoryApi.running(clock=api.clock, namespaces=("default", "team")) as other:
        await other.client().create(config("a", "team"))
        assert api.list(core.ConfigMap, "team") == []
        assert api.find(core.Namespace, "team") is None
        assert api.calls == []
