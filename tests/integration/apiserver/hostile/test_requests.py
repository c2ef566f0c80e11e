"""Requests with garbage in every place where a client may put something: a 4xx that says what is wrong, and the server goes on."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, PODS, STRATEGIC, Answer, Api, config
from tests.integration.apiserver.hostile.conftest import DEPLOYMENTS
from tests.unit.api.machinery.protobuf.filling import fill
from tests.unit.api.test_any_object import objects, spoil
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery import protobuf
from tiphys.api.machinery.limits import ObjectTooLarge
from tiphys.api.machinery.protobuf.messages import is_known
from tiphys.api.machinery.scheme import Kind

APPLY = "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
GARBAGE = (
    "", " ", "0", "-1", "1", "1.5", "1e9", "9" * 19, "9" * 40, "-" + "9" * 40, "0x10", "१", "NaN", "true", "TRUE", "maybe", "null", "\x00", "\n",
    "é", "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "%", "%zz", "../..", "a" * 5000, "All", "Exact", "NotOlderThan", "Orphan",
    "a=b", "a in (", "a in ()", "!", "!=", "a,,b", "metadata.name=a", "metadata.name", "spec.x=1", "=", "==", "(", "a notin (b", "\u202e", "{}",
    "eyJydiI6MSwic3RhcnQiOiJhIn0", "eyJydiI6LTUsInN0YXJ0IjoiIn0", "e30", "bnVsbA", "////", "W10", "eyJydiI6OTk5OTk5OTk5OTk5LCJzdGFydCI6ImEifQ",
)  # fmt: skip
OPTIONS = (
    "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "allowWatchBookmarks",
    "sendInitialEvents", "watch", "dryRun", "fieldManager", "fieldValidation", "force", "gracePeriodSeconds", "propagationPolicy",
    "orphanDependents", "pretty", "shardSelector", "container", "tailLines", "sinceSeconds", "sinceTime", "limitBytes", "follow", "stdin",
    "command", "ports", "hash", "verbose", "exclude", "includeObject", "ignoreStoreReadErrorWithClusterBreakingPotential",
)  # fmt: skip
REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("GET", CONFIGS, None), ("GET", f"{CONFIGS}/a", None), ("GET", "/api/v1/pods", None), ("GET", f"{PODS}/a/log", None),
    ("GET", f"{PODS}/a/exec", None), ("POST", f"{PODS}/a/portforward", None), ("GET", "/api/v1/watch/configmaps", None),
    ("POST", CONFIGS, config("new")), ("PUT", f"{CONFIGS}/a", config("a")), ("PATCH", f"{CONFIGS}/a", {}), ("DELETE", f"{CONFIGS}/none", None),
    ("DELETE", f"{CONFIGS}", None), ("GET", "/openapi/v3/api/v1", None), ("GET", "/readyz", None), ("GET", "/metrics", None),
    ("POST", f"{PODS}/a/eviction", {"metadata": {"name": "a"}}), ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {}),
)  # fmt: skip
RNG = 20260101


def judge(answer: Answer | None, what: object) -> None:
    """No failure of the server, and a failure of the client in the shape that clients read."""
    if answer is None:
        return
    if answer.status == 500 and answer.message == ObjectTooLarge().message:
        return
    assert answer.status < 500 or answer.status in (503, 504), (what, answer.body[:500])
    assert answer.status < 400 or len(answer.body) < 400_000, what
    if answer.status >= 400 and answer.headers.get("Content-Type") == "application/json":
        assert answer.reason, what


async def ask(api: Api, method: str, target: str, body: Any = None, **headers: str) -> Answer | None:
    """The answer, None for a stream (which is closed)."""
    response = await api.respond(method, target, body, **headers)
    if response.stream is not None:
        await response.stream.aclose()  # type: ignore[attr-defined]
        return None
    return Answer(response.status, response.headers, response.body, list(response.repeated))


async def lives(api: Api) -> None:
    assert (await api.get(f"{CONFIGS}/a")).doc["data"] == {"x": "1"}


@pytest.mark.parametrize("option", OPTIONS)
async def test_options_with_garbage(api: Api, option: str) -> None:
    for method, target, body in REQUESTS:
        for value in GARBAGE:
            if method == "DELETE" and target == CONFIGS and option != "dryRun":
                more = "&dryRun=All"
            else:
                more = "&dryRun=All" if method in ("POST", "PUT", "PATCH") and option != "dryRun" else ""
            if method == "DELETE" and option == "dryRun" and target == CONFIGS and value in ("", "All"):
                continue
            media = MERGE if method == "PATCH" else "application/json"
            if method in ("POST", "PUT", "PATCH") and option == "dryRun" and value == "":
                continue
            judge(
                await ask(api, method, f"{target}?{option}={quote(value)}{more}", body, content_type=media), (method, target, option, value)
            )
    await lives(api)


HEADERS = ("accept", "content-type", "accept-encoding", "if-none-match", "user-agent", "authorization", "impersonate-user", "impersonate-group",
           "impersonate-uid", "impersonate-extra-x", "content-encoding", "upgrade", "connection", "range", "host", "expect", "origin")  # fmt: skip
VALUES = (*GARBAGE[:30], "application/json;", ";", ",", ",,,;;;===", "*/*;q=x", "a/b" * 1000, "application/json;as=Table;v=v9;g=x", "Bearer",
          "Bearer " + "x.y.z", "Bearer " + "A" * 9000, "Basic !!", "Bearer eyJhbGciOiJub25lIn0.e30.", "websocket", "gzip;q=0,identity;q=0",
          f"{PROTOBUF};stream=watch", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "bytes=0-", "system:masters")  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
async def test_headers_with_garbage(api: Api, header: str) -> None:
    for method, target, body in REQUESTS:
        if method == "DELETE" and target == CONFIGS:
            continue
        more = "?dryRun=All" if method in ("POST", "PUT", "PATCH") else ""
        for value in VALUES:
            headers = {header.replace("-", "_"): value}
            if method == "PATCH" and header != "content-type":
                headers["content_type"] = MERGE
            judge(await ask(api, method, target + more, body, **headers), (method, target, header, value))
    await lives(api)


def documents(kind: Kind[Any], rng: random.Random) -> Iterator[bytes]:
    """Bodies that look like objects of a kind."""
    for obj in objects(kind, rng)[:8]:
        obj.metadata.name, obj.metadata.namespace = "a", "default" if kind.namespaced else ""
        yield msgspec.json.encode(obj)
    for _ in range(8):
        document = spoil(msgspec.json.decode(msgspec.json.encode(fill(kind.type, rng, density=0.6, depth=4))), rng, 0.8)
        document["metadata"] = rng.choice(
            ({"name": "a"}, {"name": 7}, [], None, {"generateName": "x"}, {"name": "a", "managedFields": [{"fieldsV1": 1}]})
        )
        document["kind"] = rng.choice((kind.kind, "", None, 5))
        yield msgspec.json.encode(document)
    text = msgspec.json.encode(fill(kind.type, rng, density=0.7, depth=4))
    yield text[: len(text) // 2]
    yield text.replace(b"{", b"[", 1)
    yield text.replace(b":", b":null,", 1)
    yield text.replace(b'"', b'"\\ud800', 1)


KINDS = [pytest.param(kind, id=f"{kind.resource}-{kind.version}") for kind in SCHEME]


@pytest.mark.parametrize("kind", KINDS)
async def test_any_object_of_any_kind(api: Api, kind: Kind[Any]) -> None:
    rng = random.Random(RNG)
    place = kind.path("default")
    for body in documents(kind, rng):
        for validation in ("Warn", "Strict"):
            judge(await ask(api, "POST", f"{place}?dryRun=All&fieldValidation={validation}", body), body)
        if "update" in kind.verbs:
            judge(await ask(api, "PUT", f"{place}/a?dryRun=All", body), body)
        if "patch" in kind.verbs:
            for media in (MERGE, STRATEGIC, APPLY):
                judge(await ask(api, "PATCH", f"{place}/a?dryRun=All&fieldManager=m", body, content_type=media), (media, body))
        for sub in kind.subresources:
            for verb, method in (("update", "PUT"), ("create", "POST"), ("patch", "PATCH")):
                if verb in sub.verbs:
                    media = MERGE if verb == "patch" else "application/json"
                    judge(await ask(api, method, f"{place}/a/{sub.name}?dryRun=All", body, content_type=media), (sub.name, method, body))
    await lives(api)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=f"{kind.resource}-{kind.version}") for kind in SCHEME if is_known(kind.type)])
async def test_broken_protobuf_of_any_kind(api: Api, kind: Kind[Any]) -> None:
    rng = random.Random(RNG)
    place = kind.path("default")
    for _ in range(12):
        obj = fill(kind.type, rng, density=0.6, depth=4)
        sealed = bytearray(protobuf.write_object(obj))
        for _ in range(rng.randint(0, 6)):
            sealed[rng.randrange(len(sealed))] = rng.randrange(256)
        body = bytes(sealed[: rng.randrange(len(sealed) + 1)]) if rng.random() < 0.5 else bytes(sealed)
        judge(await ask(api, "POST", f"{place}?dryRun=All", body, content_type=PROTOBUF), body)
        judge(await ask(api, "POST", f"{place}?dryRun=All", body, content_type=PROTOBUF, accept=PROTOBUF), None)
        if "delete" in kind.verbs:
            judge(await ask(api, "DELETE", f"{place}/none", body, content_type=PROTOBUF), body)
    await lives(api)


BOMB = [{"op": "add", "path": "/data/x", "value": "y" * 100}]
PATCHES: list[tuple[str, Any]] = [
    (JSON_PATCH, [*BOMB, *[{"op": "copy", "from": "/data", "path": f"/data/c{n}"} for n in range(60)]]),
    (JSON_PATCH, [{"op": "copy", "from": "/metadata", "path": f"/metadata/annotations{n or ''}"} for n in range(40)]),
    (JSON_PATCH, [{"op": "test", "path": "/data/x", "value": "1"}] * 10_001),
    (JSON_PATCH, [{"op": "add", "path": "/" + "a/" * 30_000, "value": 1}]),
    (JSON_PATCH, [{"op": "move", "from": "", "path": "/data"}]),
    (JSON_PATCH, [{"op": "copy", "from": "", "path": "/data/self"}]),
    (JSON_PATCH, [{"op": "remove", "path": ""}]),
    (JSON_PATCH, [{"op": "replace", "path": "", "value": []}]),
    (JSON_PATCH, [{"op": "add", "path": "/metadata/finalizers/-1", "value": "x"}]),
    (JSON_PATCH, [{"op": "add", "path": "/metadata/finalizers/99999999999999999999", "value": "x"}]),
    (JSON_PATCH, [{"op": "add", "path": "/data/~2", "value": "x"}]),
    (JSON_PATCH, [{"op": "add", "path": "data", "value": "x"}]),
    (JSON_PATCH, [{"op": 5}, 7, None]),
    (MERGE, {"metadata": {"name": "b"}}),
    (MERGE, {"metadata": None}),
    (MERGE, {"kind": "Pod"}),
    (MERGE, {"metadata": {"managedFields": [{"manager": 1}]}}),
    (MERGE, {"data": {f"k{n}": "v" * 20 for n in range(80_000)}}),
    (STRATEGIC, {"$patch": "replace"}),
    (STRATEGIC, {"$patch": "explode"}),
    (STRATEGIC, {"metadata": {"$patch": "delete"}}),
    (STRATEGIC, {"$setElementOrder/data": [1, {}]}),
    (STRATEGIC, {"metadata": {"$deleteFromPrimitiveList/finalizers": "x", "$retainKeys": 5}}),
    (STRATEGIC, {"$retainKeys": ["metadata"]}),
    (APPLY, {}),
    (APPLY, {"apiVersion": "v1", "kind": "ConfigMap"}),
    (APPLY, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}),
    (APPLY, {"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}}),
    (APPLY, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "managedFields": [{"manager": "x"}]}}),
    (APPLY, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": ["x", "x"]}}),
    (APPLY, [1]),
    (APPLY, "text"),
]


@pytest.mark.parametrize("number", range(len(PATCHES)))
async def test_patches_of_absurd_shape(api: Api, number: int) -> None:
    media, patch = PATCHES[number]
    for target in (f"{CONFIGS}/a", f"{DEPLOYMENTS}/a", f"{DEPLOYMENTS}/a/scale", f"{PODS}/a/status"):
        for query in ("dryRun=All&fieldManager=m", "dryRun=All&fieldManager=m&force=true"):
            answer = await ask(api, "PATCH", f"{target}?{query}", patch, content_type=media)
            judge(answer, (target, str(patch)[:200]))
    await lives(api)


GARBAGE_FIELDS: list[Any] = [
    {}, [], None, 1, "x", {"f:data": 1}, {"f:data": {"f:x": {"f:y": {}}}}, {"k:{": {}}, {'k:{"a":1}': {}}, {"v:": {}}, {"v:{]": {}}, {"i:x": {}},
    {"i:99999999999999999999": {}}, {".": 5}, {"f:": {}}, {"q:x": {}}, {"": {}}, {"f:metadata": {"f:finalizers": {'v:"x"': {}, "i:-1": {}}}},
    {"f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}}, 'k:{"name":5}': {}}}},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(GARBAGE_FIELDS)))
async def test_managed_fields_with_garbage(api: Api, number: int) -> None:
    fields = GARBAGE_FIELDS[number]
    for entry in (
        {
            "manager": "m",
            "operation": "Apply",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
            "time": "2026-01-01T00:00:00Z",
        },
        {"manager": "", "operation": "Explode", "apiVersion": "", "fieldsType": "FieldsV9", "fieldsV1": fields},
        {"manager": "x" * 3000, "operation": "Update", "apiVersion": "apps/v7", "fieldsV1": fields, "subresource": "\x00"},
    ):
        document = config("a", x="1")
        document["metadata"]["managedFields"] = [entry, entry]
        judge(await ask(api, "PUT", f"{CONFIGS}/a?dryRun=All", document), document)
        made = config("b")
        made["metadata"]["managedFields"] = [entry]
        judge(await ask(api, "POST", f"{CONFIGS}?dryRun=All", made), made)
        judge(await ask(api, "PATCH", f"{CONFIGS}/a?dryRun=All", {"metadata": {"managedFields": [entry]}}, content_type=MERGE), entry)
    await lives(api)


BODIES = {
    "repeated keys": b'{"metadata":{"name":"b","name":"c"},"data":{"a":"1","a":"2"},"data":{"b":"3"}}',
    "many repeated keys": b'{"metadata":{"name":"b"},"data":{' + b",".join([b'"a":"1"'] * 50_000) + b"}}",
    "huge integer": b'{"metadata":{"name":"b","generation":' + b"9" * 5000 + b"}}",
    "huge exponent": b'{"metadata":{"name":"b","generation":1e400}}',
    "not a number": b'{"metadata":{"name":"b","generation":NaN}}',
    "surrogate": b'{"metadata":{"name":"b"},"data":{"\\ud800":"\\udc00"}}',
    "overlong": b'{"metadata":{"name":"b"},"data":{"a":"\xc0\xaf"}}',
    "NUL": b'{"metadata":{"name":"b\\u0000"}}',
    "wide": b'{"metadata":{"name":"b"},"data":{' + b",".join(b'"k%d":"v"' % n for n in range(100_000)) + b"}}",
    "labels": b'{"metadata":{"name":"b","labels":{' + b",".join(b'"k%d":"v"' % n for n in range(50_000)) + b"}}}",
    "owners": json.dumps({"metadata": {"name": "b", "ownerReferences": [{}] * 20_000}}).encode(),
    "finalizers": json.dumps({"metadata": {"name": "b", "finalizers": ["no domain"] * 20_000}}).encode(),
}
YAMLS = {
    "two documents": b"metadata: {name: b}\n---\nmetadata: {name: c}\n",
    "tags": b"metadata: {name: !!python/object/apply:os.system ['true']}\n",
    "own anchor": b"a: &a [*a]\n",
    "merge": b"x: &x {a: 1}\nmetadata: {<<: *x, name: b}\n",
    "merge bomb": b"a: &a {k: v}\n" + b"".join(b"b%d: &b%d {<<: [*a, *a, *a, *a]}\n" % (n, n) for n in range(2000)),
    "complex keys": b"? [a, b]\n: c\n",
    "deep": b"- " * 30_000,
    "deep flow": b"{a: " * 30_000,
    "tabs": b"metadata:\n\tname: b\n",
    "binary": b"data: {a: !!binary x}\n",
    "dates": b"metadata: {name: 2026-01-01}\n",
    "odd numbers": b"metadata: {name: 0o17, generation: 1:30:00}\n",
    "directive": b"%YAML 9.9\n---\na: b\n",
    "not UTF-8": b"metadata: {name: \xff}\n",
    "UTF-16": "metadata: {name: b}".encode("utf-16"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_in_json(api: Api, name: str) -> None:
    for validation in ("Ignore", "Warn", "Strict"):
        for target in (CONFIGS, PODS, DEPLOYMENTS):
            judge(await ask(api, "POST", f"{target}?dryRun=All&fieldValidation={validation}", BODIES[name]), name)
        judge(await ask(api, "PATCH", f"{CONFIGS}/a?dryRun=All&fieldValidation={validation}", BODIES[name], content_type=MERGE), name)
    await lives(api)


@pytest.mark.parametrize("name", YAMLS)
async def test_bodies_in_yaml(api: Api, name: str) -> None:
    for target in (CONFIGS, PODS):
        judge(await ask(api, "POST", f"{target}?dryRun=All", YAMLS[name], content_type="application/yaml"), name)
    judge(await ask(api, "PATCH", f"{CONFIGS}/a?dryRun=All&fieldManager=m", YAMLS[name], content_type=APPLY), name)
    await lives(api)


@pytest.mark.parametrize("place", ["kind", "apiVersion", "uid", "resourceVersion", "name", "namespace"])
async def test_refusals_do_not_repeat_a_long_text(api: Api, place: str) -> None:
    await api.post(CONFIGS, config("a"))
    text, document = "x" * 2_500_000, config("a")
    (document if place in document else document["metadata"])[place] = text
    for answer in (
        await ask(api, "PUT", f"{CONFIGS}/a", document),
        await ask(api, "POST", CONFIGS, document),
        await ask(api, "PATCH", f"{CONFIGS}/a", document, content_type=MERGE),
        await ask(api, "DELETE", f"{CONFIGS}/a", {"preconditions": {place: text}} if place in ("uid", "resourceVersion") else document),
    ):
        assert answer is not None
        assert answer.status >= 400
        assert len(answer.body) < 200_000
    await lives(api)
