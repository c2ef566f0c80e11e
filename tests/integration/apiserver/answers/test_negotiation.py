"""Negotiation of formats, on every sort of answer: requests as a client in protobuf makes them, against the real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.integration.apiserver.answers.conftest import PROTOBUF, Cluster
from tiphys.api.authorization import v1 as authorization
from tiphys.api.autoscaling import v1 as autoscaling
from tiphys.api.core import v1 as core
from tiphys.api.machinery import protobuf
from tiphys.api.machinery.protobuf.special import fields
from tiphys.api.meta.v1 import DeleteOptions, ListMeta, ObjectMeta, Status
from tiphys.api.policy import v1 as policy
from tiphys.apiserver.cache.watchcache import RING_EVENTS
from tiphys.wire.http import Request, Response

MAPS = "/api/v1/namespaces/shop/configmaps"
PARTIAL = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Answer(NamedTuple):
    """An answer in protobuf, opened."""

    status: int
    version: str
    kind: str
    raw: bytes

    def read(self, type_: type[Any]) -> Any:
        return protobuf.read(type_, self.raw)

    def items(self, type_: type[Any]) -> tuple[ListMeta, list[Any]]:
        found = fields(self.raw, 0, len(self.raw))
        ((start, end),) = found[1]
        return protobuf.read(ListMeta, self.raw[start:end]), [protobuf.read(type_, self.raw[a:b]) for a, b in found.get(2, [])]


class Speaker:
    """A client that speaks protobuf."""

    def __init__(self, cluster: Cluster) -> None:
        self.transport = cluster.transport

    async def raw(
        self, method: str, path: str, body: bytes = b"", *, accept: str = PROTOBUF, media: str = PROTOBUF, query: Mapping[str, str] = {}
    ) -> Response:
        headers = {"accept": accept} | ({"content-type": media} if body else {})
        return await self.transport.request(Request(method, path, tuple(query.items()), headers, body))

    async def ask(
        self, method: str, path: str, obj: msgspec.Struct | bytes = b"", *, accept: str = PROTOBUF, query: Mapping[str, str] = {}
    ) -> Answer:
        body = obj if isinstance(obj, bytes) else protobuf.write_object(obj)
        response = await self.raw(method, path, body, accept=accept, query=query)
        assert response.headers["Content-Type"] == PROTOBUF
        return Answer(response.status, *protobuf.open_envelope(response.body))


@pytest.fixture
async def speaker(cluster: Cluster) -> Speaker:
    speaker = Speaker(cluster)
    for obj, path in (
        (core.Namespace(metadata=ObjectMeta(name="shop")), "/api/v1/namespaces"),
        (core.ServiceAccount(metadata=ObjectMeta(name="default")), "/api/v1/namespaces/shop/serviceaccounts"),
    ):
        assert (await speaker.ask("POST", path, obj)).status == 201
    return speaker


def config(name: str, **data: str) -> core.ConfigMap:
    return core.ConfigMap(metadata=ObjectMeta(name=name), data=data)


async def test_life_of_an_object(speaker: Speaker) -> None:
    made = await speaker.ask("POST", MAPS, config("c", a="b"))
    assert (made.status, made.version, made.kind) == (201, "v1", "ConfigMap")
    first = made.read(core.ConfigMap)
    assert (first.data, first.metadata.namespace) == ({"a": "b"}, "shop")
    assert first.metadata.resourceVersion
    first.data["x"] = "y"
    changed = (await speaker.ask("PUT", f"{MAPS}/c", first)).read(core.ConfigMap)
    assert changed.data == {"a": "b", "x": "y"}
    assert changed.metadata.resourceVersion != first.metadata.resourceVersion
    assert (await speaker.ask("GET", f"{MAPS}/c")).read(core.ConfigMap) == changed
    gone = await speaker.ask("DELETE", f"{MAPS}/c", DeleteOptions(apiVersion="v1", kind="DeleteOptions", propagationPolicy="Background"))
    status = gone.read(Status)
    assert (gone.status, gone.kind, status.status, status.details.name) == (200, "Status", "Success", "c")
    assert status.details.uid == first.metadata.uid


async def test_lists(speaker: Speaker) -> None:
    for name in ("a", "b", "c"):
        await speaker.ask("POST", MAPS, config(name))
    listed = await speaker.ask("GET", MAPS)
    about, items = listed.items(core.ConfigMap)
    assert (listed.version, listed.kind, [item.metadata.name for item in items]) == ("v1", "ConfigMapList", ["a", "b", "c"])
    assert about.resourceVersion == items[-1].metadata.resourceVersion
    page = await speaker.ask("GET", MAPS, query={"limit": "2"})
    about, items = page.items(core.ConfigMap)
    assert (len(items), about.remainingItemCount) == (2, 1)
    about, items = (await speaker.ask("GET", MAPS, query={"limit": "2", "continue": about.continue_})).items(core.ConfigMap)
    assert ([item.metadata.name for item in items], about.continue_, about.remainingItemCount) == (["c"], "", None)
    about, items = (await speaker.ask("GET", "/api/v1/secrets")).items(core.Secret)
    assert items == []
    about, items = (await speaker.ask("DELETE", MAPS)).items(core.ConfigMap)
    assert len(items) == 3


async def test_long_lists(speaker: Speaker) -> None:
    for index in range(200):
        await speaker.ask("POST", MAPS, config(f"c{index:03}"))
    _, items = (await speaker.ask("GET", MAPS)).items(core.ConfigMap)
    assert [item.metadata.name for item in items] == [f"c{index:03}" for index in range(200)]


async def test_errors(speaker: Speaker) -> None:
    missing = await speaker.ask("GET", f"{MAPS}/none")
    status = missing.read(Status)
    assert (missing.status, missing.version, missing.kind) == (404, "v1", "Status")
    assert (status.reason, status.code, status.message) == ("NotFound", 404, 'configmaps "none" not found')
    assert status.details.kind == "configmaps"
    invalid = (await speaker.ask("POST", MAPS, config("Not_A_Name"))).read(Status)
    assert (invalid.code, invalid.details.causes[0].field) == (422, "metadata.name")


async def test_bodies_that_make_no_sense(speaker: Speaker) -> None:
    for body in (b"k8s\0", b"{}", protobuf.seal("v1", "ConfigMap", b"\x0a\xff"), protobuf.seal("v1", "Secret", b"")):
        refused = await speaker.ask("POST", MAPS, body)
        assert (refused.status, refused.read(Status).reason) == (400, "BadRequest")
    unknown = config("known")
    sealed = protobuf.seal("v1", "ConfigMap", protobuf.write(core.ConfigMap, msgspec.to_builtins(unknown)) + b"\xfa\x07\x01a")
    assert (await speaker.ask("POST", MAPS, sealed, query={"fieldValidation": "Strict"})).status == 201


async def test_preferred_format_wins(speaker: Speaker) -> None:
    await speaker.ask("POST", MAPS, config("c"))

    async def answered(accept: str) -> str:
        return (await speaker.raw("GET", f"{MAPS}/c", accept=accept)).headers["Content-Type"]

    assert await answered(f"{PROTOBUF},application/json") == PROTOBUF
    assert await answered(f"{PROTOBUF}, */*") == PROTOBUF
    assert await answered(f"application/json,{PROTOBUF}") == "application/json"
    assert await answered(f"application/json;q=0.5,{PROTOBUF}") == PROTOBUF
    assert await answered("*/*") == "application/json"
    # A table has no message.
    assert await answered(f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1") == "application/json"
    assert (await speaker.raw("GET", f"{MAPS}/c", accept=f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1")).status == 406


async def test_bare_metadata(speaker: Speaker) -> None:
    await speaker.ask("POST", MAPS, config("c", a="b"))
    one = await speaker.ask("GET", f"{MAPS}/c", accept=PARTIAL)
    assert (one.version, one.kind) == ("meta.k8s.io/v1", "PartialObjectMetadata")
    assert one.read(core.ConfigMap) == core.ConfigMap(metadata=one.read(core.ConfigMap).metadata)
    listed = await speaker.ask("GET", MAPS, accept=f"{PARTIAL.replace('Metadata;', 'MetadataList;')},application/json")
    about, items = listed.items(core.ConfigMap)
    assert (listed.kind, [item.metadata.name for item in items], items[0].data) == ("PartialObjectMetadataList", ["c"], {})
    assert about.resourceVersion


async def test_review_is_answered_in_protobuf(speaker: Speaker) -> None:
    spec = authorization.SelfSubjectAccessReviewSpec(resourceAttributes=authorization.ResourceAttributes(verb="get", resource="pods"))
    review = authorization.SelfSubjectAccessReview(spec=spec)
    answer = await speaker.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.read(authorization.SelfSubjectAccessReview).status.allowed


async def test_subresources(speaker: Speaker) -> None:
    pods = "/api/v1/namespaces/shop/pods"
    pod = core.Pod(metadata=ObjectMeta(name="p"), spec=core.PodSpec(containers=[core.Container(name="c", image="c")]))
    assert (await speaker.ask("POST", pods, pod)).status == 201
    binding = core.Binding(metadata=ObjectMeta(name="p"), target=core.ObjectReference(kind="Node", name="n"))
    bound = await speaker.ask("POST", f"{pods}/p/binding", binding)
    assert (bound.status, bound.read(Status).status) == (201, "Success")
    running = (await speaker.ask("GET", f"{pods}/p")).read(core.Pod)
    assert running.spec.nodeName == "n"
    running.status.phase = "Running"
    assert (await speaker.ask("PUT", f"{pods}/p/status", running)).read(core.Pod).status.phase == "Running"
    evicted = await speaker.ask("POST", f"{pods}/p/eviction", policy.Eviction(metadata=ObjectMeta(name="p")))
    assert (evicted.status, evicted.read(Status).code) == (201, 201)
    sets = "/apis/apps/v1/namespaces/shop/deployments"
    assert (await speaker.raw("POST", sets, DEPLOYMENT, media="application/yaml")).status == 201
    scale = (await speaker.ask("GET", f"{sets}/d/scale")).read(autoscaling.Scale)
    assert scale.spec.replicas == 3
    scale.spec.replicas = 0
    assert (await speaker.ask("PUT", f"{sets}/d/scale", scale)).read(autoscaling.Scale).spec.replicas == 0


DEPLOYMENT = b"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}
"""


async def test_patches_are_answered_in_protobuf(speaker: Speaker) -> None:
    await speaker.ask("POST", MAPS, config("c", a="b"))
    response = await speaker.raw("PATCH", f"{MAPS}/c", b'{"data":{"a":null,"c":"d"}}', media="application/merge-patch+json")
    assert protobuf.read(core.ConfigMap, protobuf.open_envelope(response.body).raw).data == {"c": "d"}
    assert (await speaker.raw("PATCH", f"{MAPS}/c", b"k8s\0")).status == 415


class Frames:
    """The events of a watch's frames, as bytes come."""

    def __init__(self, response: Response) -> None:
        assert response.stream is not None
        self._stream = response.stream
        self._data = b""

    async def event(self) -> tuple[str, str, bytes]:
        """Type, and the kind and message of the object."""
        while len(self._data) < 4 or len(self._data) < 4 + int.from_bytes(self._data[:4], "big"):
            self._data += await anext(self._stream)
        end = 4 + int.from_bytes(self._data[:4], "big")
        frame, self._data = self._data[4:end], self._data[end:]
        found = fields(frame, 0, len(frame))
        ((name, name_end),), ((held, held_end),) = found[1], found[2]
        (((start, stop),),) = fields(frame, held, held_end).values()
        envelope = protobuf.open_envelope(frame[start:stop])
        return frame[name:name_end].decode(), envelope.kind, envelope.raw


async def test_watch(speaker: Speaker) -> None:
    await speaker.ask("POST", MAPS, config("a"))
    query = {"watch": "1", "allowWatchBookmarks": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    accept = f"{PROTOBUF};stream=watch,application/json"
    first = await speaker.raw("GET", MAPS, query=query, accept=accept)
    assert first.headers["Content-Type"] == f"{PROTOBUF};stream=watch"
    second = Frames(await speaker.raw("GET", MAPS, query={"watch": "1", "resourceVersion": "0"}, accept=f"{PROTOBUF},application/json"))
    bare = Frames(await speaker.raw("GET", MAPS, query={"watch": "1", "resourceVersion": "0"}, accept=PARTIAL))
    frames = Frames(first)
    type_, kind, raw = await frames.event()
    assert (type_, kind, protobuf.read(core.ConfigMap, raw).metadata.name) == ("ADDED", "ConfigMap", "a")
    type_, kind, raw = await frames.event()
    mark = protobuf.read(core.ConfigMap, raw).metadata
    assert (type_, kind, mark.annotations) == ("BOOKMARK", "ConfigMap", {"k8s.io/initial-events-end": "true"})
    assert mark.resourceVersion
    await second.event()
    assert (await bare.event())[:2] == ("ADDED", "PartialObjectMetadata")
    changed = (await speaker.ask("PUT", f"{MAPS}/a", config("a", x="y"))).read(core.ConfigMap)
    for reader in (frames, second):
        type_, kind, raw = await reader.event()
        assert (type_, kind, protobuf.read(core.ConfigMap, raw)) == ("MODIFIED", "ConfigMap", changed)
    type_, kind, raw = await bare.event()
    assert (type_, kind, protobuf.read(core.ConfigMap, raw).data) == ("MODIFIED", "PartialObjectMetadata", {})
    await speaker.ask("DELETE", f"{MAPS}/a")
    type_, _, raw = await frames.event()
    gone = protobuf.read(core.ConfigMap, raw)
    assert (type_, gone.data) == ("DELETED", {"x": "y"})
    assert int(gone.metadata.resourceVersion) > int(changed.metadata.resourceVersion)


async def test_a_watch_that_cannot_be_resumed(speaker: Speaker) -> None:
    """So many changes lie in between that the first ones are forgotten."""
    version = (await speaker.ask("POST", MAPS, config("a"))).read(core.ConfigMap).metadata.resourceVersion
    for index in range(RING_EVENTS + 10):
        changed = await speaker.raw("PUT", f"{MAPS}/a", b'{"data":{"a":"%d"}}' % index, media="application/json", accept="application/json")
        assert changed.status == 200
    response = await speaker.raw("GET", MAPS, query={"watch": "1", "resourceVersion": version})
    type_, kind, raw = await Frames(response).event()
    status = protobuf.read(Status, raw)
    assert (type_, kind, status.code, status.reason) == ("ERROR", "Status", 410, "Expired")
