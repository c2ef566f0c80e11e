"""The client's verbs against the API server in-process and over HTTPS: both must behave alike, so that tests of one tell of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.api.apps import v1 as apps
from tiphys.api.authentication.v1 import TokenRequest, TokenRequestSpec
from tiphys.api.autoscaling.v1 import Scale
from tiphys.api.core import v1 as core
from tiphys.api.machinery import errors
from tiphys.api.meta import v1 as meta
from tiphys.api.policy.v1 import Eviction
from tiphys.client import Client, PartialObject, partial_kind
from tiphys.client.rest import HttpTransport
from tiphys.runtime import EventRecorder, InformerFactory, Key, LeaderElector, update_with_retry
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server
from tiphys.testing.samples import config, pod


@pytest.fixture(params=["in-process", "https"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api_server(tmp_path, listen=request.param == "https") as (server, client_for):
        client = client_for()
        if request.param == "https":
            keys = tmp_path / "pki"
            address = f"https://127.0.0.1:{server.port}"
            client = Client(HttpTransport(address, ca=keys / "ca.crt", cert=keys / "admin.crt", key=keys / "admin.key"))
        yield await prepared(client)
        await client.close()


async def prepared(client: Client) -> Client:
    """Namespaces with their default service account, as controllers would make it."""
    for name in ("default", "other"):
        with suppress(errors.AlreadyExists):
            await client.create(core.Namespace(metadata=meta.ObjectMeta(name=name)))
        await client.create(core.ServiceAccount(metadata=meta.ObjectMeta(name="default", namespace=name)))
    return client


async def test_create_get_update_delete(client: Client) -> None:
    made = await client.create(config("a", x="1"))
    assert made.metadata.uid
    assert made.metadata.creationTimestamp is not None
    with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
        await client.create(config("a"))
    made.data["x"] = "2"
    updated = await client.update(made)
    assert int(updated.metadata.resourceVersion) > int(made.metadata.resourceVersion)
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await client.update(made)
    assert (await client.update(updated)).metadata.resourceVersion == updated.metadata.resourceVersion
    assert (await client.get(core.ConfigMap, "a", "default")) == updated
    with pytest.raises(errors.Conflict):
        await client.delete(core.ConfigMap, "a", "default", uid="another")
    with pytest.raises(errors.Conflict):
        await client.delete(core.ConfigMap, "a", "default", resource_version=made.metadata.resourceVersion)
    await client.delete(core.ConfigMap, "a", "default", uid=made.metadata.uid)
    for call in (client.get(core.ConfigMap, "a", "default"), client.delete(core.ConfigMap, "a", "default")):
        with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
            await call


async def test_generated_names(client: Client) -> None:
    unnamed = config("")
    unnamed.metadata.generateName = "made-"
    names = {(await client.create(unnamed)).metadata.name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    wanted = pod("a")
    wanted.status.phase = "Running"
    made = await client.create(wanted)
    assert (made.status.phase, made.metadata.generation) == ("Pending", 1)
    made.status.phase = "Running"
    made.metadata.labels["x"] = "y"
    after = await client.update_status(made)
    assert after.status.phase == "Running"
    after.metadata.labels["x"] = "y"
    after.status.phase = "Failed"
    final = await client.update(after)
    assert (final.status.phase, final.metadata.labels["x"], final.metadata.generation) == ("Running", "y", 1)
    patched = await client.patch(core.Pod, "a", "default", body={"status": {"phase": "Succeeded"}}, subresource="status")
    assert patched.status.phase == "Succeeded"


async def test_patches_of_each_kind(client: Client) -> None:
    made = await client.create(pod("a", labels={"x": "1"}))
    merged = await client.patch(core.Pod, "a", "default", body={"metadata": {"labels": {"x": None, "y": "2"}}})
    assert merged.metadata.labels == {"y": "2"}
    image = {"spec": {"containers": [{"name": "main", "image": "other"}]}}
    strategic = await client.patch(core.Pod, "a", "default", body=image, kind="strategic")
    assert strategic.spec is not None
    assert [container.image for container in strategic.spec.containers] == ["other"]
    steps = [{"op": "add", "path": "/metadata/labels/z", "value": "3"}]
    assert (await client.patch(core.Pod, "a", "default", body=steps, kind="json")).metadata.labels == {"y": "2", "z": "3"}
    stale = {"metadata": {"resourceVersion": made.metadata.resourceVersion, "labels": {"q": "r"}}}
    with pytest.raises(errors.Conflict):
        await client.patch(core.Pod, "a", "default", body=stale)


async def test_deletion_waits_for_grace_and_finalizers(client: Client) -> None:
    made = await client.create(pod("a"))
    binding = core.Binding(metadata=meta.ObjectMeta(name="a", namespace="default"), target=core.ObjectReference(kind="Node", name="n1"))
    await client.post(core.Pod, "a", "default", "binding", binding, meta.Status)
    with pytest.raises(errors.Conflict):
        await client.post(core.Pod, "a", "default", "binding", binding, meta.Status)
    await client.delete(core.Pod, "a", "default", grace=5)
    left = await client.get(core.Pod, "a", "default")
    assert left.metadata.deletionGracePeriodSeconds == 5
    assert left.metadata.generation > made.metadata.generation
    left.metadata.finalizers = ["example.com/hold"]
    with pytest.raises((errors.Forbidden, errors.Invalid)):
        await client.update(left)
    await client.delete(core.Pod, "a", "default", grace=0)
    with pytest.raises(errors.NotFound):
        await client.get(core.Pod, "a", "default")
    held = config("held")
    held.metadata.finalizers = ["example.com/hold"]
    await client.create(held)
    await client.delete(core.ConfigMap, "held", "default")
    waiting = await client.get(core.ConfigMap, "held", "default")
    assert (waiting.metadata.deletionGracePeriodSeconds, waiting.metadata.deletionTimestamp is not None) == (0, True)
    waiting.metadata.finalizers = []
    await client.update(waiting)
    with pytest.raises(errors.NotFound):
        await client.get(core.ConfigMap, "held", "default")


async def test_lists_select_and_page(client: Client) -> None:
    for number in range(5):
        await client.create(config(f"p{number}"))
        await client.patch(core.ConfigMap, f"p{number}", "default", body={"metadata": {"labels": {"odd": str(number % 2)}}})
    await client.create(config("away", "other"))
    assert [item.metadata.name for item in (await client.list(core.ConfigMap, "default", labels="odd=1")).items] == ["p1", "p3"]
    assert [item.metadata.name for item in (await client.list(core.ConfigMap, fields="metadata.name=p2")).items] == ["p2"]
    pages = [page async for page in client.pages(core.ConfigMap, "default", labels="odd", limit=2)]
    assert [[item.metadata.name for item in page.items] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert len({page.resourceVersion for page in pages}) == 1
    for labels, fields in (("a in (", ""), ("", "spec.nonsense=1")):
        with pytest.raises(errors.BadRequest):
            await client.list(core.ConfigMap, labels=labels, fields=fields)
    await client.delete_collection(core.ConfigMap, "default", labels="odd=0")
    assert [item.metadata.name for item in (await client.list(core.ConfigMap, "default", labels="odd")).items] == ["p1", "p3"]


async def test_watches_follow_from_a_version_and_by_selector(client: Client) -> None:
    listed = await client.list(core.ConfigMap)
    await client.create(config("a"))
    for value in ("x", "y", "x"):
        last = await client.patch(core.ConfigMap, "a", "default", body={"metadata": {"labels": {"app": value}}})
    await client.delete(core.ConfigMap, "a", "default")
    async with aclosing(client.watch(core.ConfigMap, "default", labels="app=x", resource_version=listed.resourceVersion)) as events:
        seen = [await anext(events) for _ in range(4)]
    assert [event.type for event in seen] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    versions = [int(event.object.metadata.resourceVersion) for event in seen]
    assert versions == sorted(set(versions))
    assert versions[2] == int(last.metadata.resourceVersion)


async def test_an_object_that_leaves_a_selection_is_shown_as_it_was(client: Client) -> None:
    await client.create(config("a"))
    await client.patch(core.ConfigMap, "a", "default", body={"metadata": {"labels": {"app": "x"}}})
    listed = await client.list(core.ConfigMap)
    left = await client.patch(core.ConfigMap, "a", "default", body={"metadata": {"labels": {"app": "y"}}})
    async with aclosing(client.watch(core.ConfigMap, "default", labels="app=x", resource_version=listed.resourceVersion)) as events:
        event = await anext(events)
    assert (event.type, event.object.metadata.resourceVersion) == ("DELETED", left.metadata.resourceVersion)
    assert event.object.metadata.labels == {"app": "x"}


async def test_an_empty_version_begins_with_what_is_there(client: Client) -> None:
    await client.create(config("a"))
    async with aclosing(client.watch(core.ConfigMap, "default", fields="metadata.name=a")) as events:
        assert [(event.type, event.object.metadata.name) for event in [await anext(events)]] == [("ADDED", "a")]


async def test_partial_objects_carry_metadata_only(client: Client) -> None:
    await client.create(config("a", x="1"))
    kind = partial_kind("", "v1", "configmaps")
    (found,) = (await client.list(kind, "default", fields="metadata.name=a")).items
    assert isinstance(found, PartialObject)
    assert (found.metadata.name, (await client.get(kind, "a", "default")).metadata.uid) == ("a", found.metadata.uid)


async def test_scale_eviction_and_tokens(client: Client) -> None:
    template = core.PodTemplateSpec(metadata=meta.ObjectMeta(labels={"a": "b"}), spec=pod("x").spec)
    wanted = apps.Deployment(
        metadata=meta.ObjectMeta(name="d", namespace="default"),
        spec=apps.DeploymentSpec(replicas=3, selector=meta.LabelSelector(matchLabels={"a": "b"}), template=template),
    )
    await client.create(wanted)
    scale = await client.get_subresource(apps.Deployment, "d", "default", "scale", Scale)
    assert (scale.spec.replicas, scale.status.selector) == (3, "a=b")
    scale.spec.replicas = 7
    await client.put_subresource(apps.Deployment, "d", "default", "scale", scale)
    scaled = await client.get(apps.Deployment, "d", "default")
    assert (scaled.spec.replicas, scaled.metadata.generation) == (7, 2)
    await client.create(pod("a"))
    eviction = Eviction(metadata=meta.ObjectMeta(name="a", namespace="default"))
    await client.post(core.Pod, "a", "default", "eviction", eviction, meta.Status)
    with pytest.raises(errors.NotFound):
        await client.get(core.Pod, "a", "default")
    asked = TokenRequest(spec=TokenRequestSpec(expirationSeconds=3600))
    token = await client.post(core.ServiceAccount, "default", "default", "token", asked, TokenRequest)
    assert token.status.token
    assert token.status.expirationTimestamp is not None


async def test_namespaces_go_when_they_are_finalized(client: Client) -> None:
    made = await client.create(core.Namespace(metadata=meta.ObjectMeta(name="team")))
    assert (made.spec.finalizers, made.status.phase) == (["kubernetes"], "Active")
    await client.delete(core.Namespace, "team")
    left = await client.get(core.Namespace, "team")
    assert left.status.phase == "Terminating"
    left.spec.finalizers = []
    await client.update(left, subresource="finalize")
    with pytest.raises(errors.NotFound):
        await client.get(core.Namespace, "team")


async def test_errors_name_the_mistake(client: Client) -> None:
    broken = pod("a")
    assert broken.spec is not None
    broken.spec.containers[0].name = ""
    with pytest.raises(errors.Invalid, match=r"spec\.containers"):
        await client.create(broken)
    assert (await client.list(core.Pod, "default")).items == []


async def test_dry_runs_change_nothing(client: Client) -> None:
    made = await client.create(config("a"), dry_run=True)
    assert made.metadata.uid
    with pytest.raises(errors.NotFound):
        await client.get(core.ConfigMap, "a", "default")


async def test_the_runtime_works_on_it(client: Client) -> None:
    factory = InformerFactory(client)
    informer = factory.of(core.ConfigMap, namespace="default")
    factory.start()
    await informer.wait_synced()
    await client.create(config("a"))
    await update_with_retry(client, core.ConfigMap, Key("default", "a"), lambda obj: obj.data.update(x="y"))
    after = await client.get(core.ConfigMap, "a", "default")
    await informer.wait_for(int(after.metadata.resourceVersion))
    cached = informer.get(Key("default", "a"))
    assert cached is not None
    assert (cached.data, cached.metadata.resourceVersion) == ({"x": "y"}, after.metadata.resourceVersion)
    recorder = EventRecorder(client, "test", clock=LoopClock())
    for _ in range(2):
        recorder.event(cached, "Normal", "Seen", "there it is")
        await recorder.flush()
    (event,) = (await client.list(core.Event, "default", fields="involvedObject.name=a")).items
    assert (event.count, event.involvedObject.kind) == (2, "ConfigMap")
    await recorder.close()
    await client.delete(core.ConfigMap, "a", "default")
    await eventually(lambda: informer.get(Key("default", "a")) is None)
    await factory.stop()


async def test_leaders_are_elected_on_it(client: Client) -> None:
    led: list[str] = []

    async def lead() -> None:
        led.append(elector.leader)

    elector = LeaderElector(client, "test", "me", clock=LoopClock(), namespace="default")
    await elector.run(lead)
    assert led == ["me"]
