"""The worst input of every parser: the event loop turns on while the server deals with it, and a quiet client gets its answers."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from typing import Any

import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, PODS, STRATEGIC, Api
from tests.integration.apiserver.crd.made import define, definition, version
from tests.integration.apiserver.hostile.conftest import DEPLOYMENTS
from tiphys.api.machinery.selectors import parse_labels
from tiphys.apiserver.verbs import read

APPLY = "application/apply-patch+yaml"
YAML, JSON, PROTOBUF = "application/yaml", "application/json", "application/vnd.kubernetes.protobuf"
SIZE = 2_900_000
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TURNS = "/apis/turns.example.com/v1/namespaces/default/turns"
REVIEW = b"kind: SelfSubjectAccessReview\nspec: {nonResourceAttributes: {path: /x, verb: get}}\n"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
LONGEST_STEP = 8.0
"""Seconds of processor time that one step of the loop may take. The slowest of these takes 0.03 to 0.1, but the time of the thread for
large objects is counted, too, while the loop waits for the interpreter, and on a slow and busy machine it waits long (4.7 seen)."""
LONGEST_DEFINITION_STEP = 10.0
"""The same for what only an administrator can send."""
CRON_JOBS = "/apis/batch/v1/namespaces/default/cronjobs"
SIGNING_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


OWNERS = b",".join(b'{"apiVersion":"v1","kind":"P","name":"n%d","uid":"u%d"}' % (n, n) for n in range(15_000))


def field(value: bytes) -> bytes:
    """A custom object with a value in JSON."""
    return b'{"apiVersion":"turns.example.com/v1","kind":"Turn","metadata":{"name":"b"},"a":' + value + b"}"


REQUESTS: dict[str, tuple[str, str, str, bytes]] = {
    "YAML of maps in lists": ("POST", REVIEWS, YAML, REVIEW + b"x: [" + b"{a: [{a: b}]}, " * 170_000 + b"]"),
    "YAML in blocks": ("POST", REVIEWS, YAML, REVIEW + b"x:\n" + b"- a: b\n" * 400_000),
    "YAML in flow style": ("POST", REVIEWS, YAML, REVIEW + b"x: [" + b"a," * 1_400_000 + b"]"),
    "YAML near the limit": ("POST", REVIEWS, YAML, REVIEW + b"x: [" + b"{a: b}," * 80_000 + b"]"),
    "YAML of brackets": ("POST", REVIEWS, YAML, REVIEW + b"x: " + b"[" * SIZE),
    "YAML of numbers": ("POST", REVIEWS, YAML, REVIEW + b"x: 1" + b":00" * 900_000),
    "YAML of directives": ("POST", REVIEWS, YAML, b"".join(b"%%TAG !a%d! x\n" % n for n in range(150_000)) + b"---\n" + REVIEW),
    "YAML of aliases": ("POST", REVIEWS, YAML, REVIEW + b"x: &a [" + b"b," * 1000 + b"]\ny: [" + b"*a," * 900_000 + b"]"),
    "YAML of merges": ("POST", REVIEWS, YAML, REVIEW + b"x: &a {a: b}\n" + b"".join(b"b%d: {<<: *a}\n" % n for n in range(150_000))),
    "apply in YAML": ("PATCH", f"{CONFIGS}/a?fieldManager=m", APPLY, b"data: {" + b"".join(b"k%d: v," % n for n in range(200_000)) + b"}"),
    "apply in JSON": ("PATCH", f"{CONFIGS}/a?fieldManager=m", APPLY, b'{"x":[' + b"[]," * 900_000 + b"1]}"),
    "JSON of lists": ("POST", REVIEWS, JSON, b'{"x":[' + b"[]," * 900_000 + b"1]}"),
    "JSON of repeated keys": ("POST", REVIEWS, JSON, b"{" + b'"a":1,' * 400_000 + b'"b":1}'),
    "JSON of wrong types": ("POST", PODS, JSON, b'{"spec":{"containers":[' + b"1," * 1_400_000 + b"1]}}"),
    "JSON of unknown fields": (
        "POST",
        CONFIGS,
        JSON,
        b'{"metadata":{"name":"b"},' + b",".join(b'"k%d":1' % n for n in range(200_000)) + b"}",
    ),
    "custom object of lists": ("POST", TURNS, JSON, field(b"[" + b"[]," * 450_000 + b"1]")),
    "custom object in YAML": ("POST", TURNS, YAML, field(b"[" + b"{a : [b]}," * 60_000 + b"1]")),
    "JSON patch": (
        "PATCH",
        f"{CONFIGS}/a",
        JSON_PATCH,
        b"[" + b",".join([b'{"op":"copy","from":"/data","path":"/data/x"}'] * 9_000) + b"]",
    ),
    "JSON patch of a copy": (
        "PATCH",
        f"{CONFIGS}/a",
        JSON_PATCH,
        b'[{"op":"add","path":"/x","value":[' + b",".join([b"[0]"] * 300_000) + b']},{"op":"copy","from":"/x","path":"/y"}]',
    ),
    "long name": ("POST", CONFIGS, JSON, b'{"metadata":{"name":"' + b"A" * SIZE + b'"}}'),
    "JSON patch of one long path": ("PATCH", f"{CONFIGS}/a", JSON_PATCH, b'[{"op":"add","value":1,"path":"' + b"/a" * 1_400_000 + b'"}]'),
    "merge patch": ("PATCH", f"{CONFIGS}/a", MERGE, b'{"data":{' + b",".join(b'"k%d":"v"' % n for n in range(60_000)) + b"}}"),
    "strategic merge patch": (
        "PATCH",
        f"{DEPLOYMENTS}/a",
        STRATEGIC,
        b'{"metadata":{"finalizers":[' + b",".join(b'"a.b/%d"' % n for n in range(100_000)) + b"]}}",
    ),
    "strategic merge patch of directives": (
        "PATCH",
        f"{DEPLOYMENTS}/a",
        STRATEGIC,
        b'{"metadata":{"$deleteFromPrimitiveList/finalizers":[' + b",".join(b'"a.b/%d"' % n for n in range(100_000)) + b"]}}",
    ),
    "protobuf": ("POST", CONFIGS, PROTOBUF, b"k8s\0" + b"\x12" * SIZE),
    "protobuf of empty fields": ("POST", CONFIGS, PROTOBUF, b"k8s\0\x0a\x00\x12" + b"\x80\xea\x30" + b"\x12\x00" * 400_000),
    "containers": (
        "POST",
        PODS,
        JSON,
        b'{"metadata":{"name":"b"},"spec":{"containers":[' + b",".join(b'{"name":"c%d","image":"i"}' % n for n in range(20_000)) + b"]}}",
    ),
    "apply of containers": (
        "PATCH",
        f"{PODS}/b?fieldManager=m",
        APPLY,
        b'{"apiVersion":"v1","kind":"Pod","spec":{"containers":['
        + b",".join(b'{"name":"c%d","image":"i"}' % n for n in range(20_000))
        + b"]}}",
    ),
    "patch of owners": ("PATCH", f"{CONFIGS}/a", MERGE, b'{"metadata":{"ownerReferences":[' + OWNERS + b"]}}"),
    "apply of owners": (
        "PATCH",
        f"{CONFIGS}/b?fieldManager=m",
        APPLY,
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","ownerReferences":[' + OWNERS + b"]}}",
    ),
    "managers": (
        "PUT",
        f"{CONFIGS}/a",
        JSON,
        b'{"metadata":{"name":"a","managedFields":['
        + b",".join(
            b'{"manager":"m%d","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:a%d":{}}}}' % (n, n)
            for n in range(9_000)
        )
        + b"]}}",
    ),
    "repeated keys": (
        "POST",
        f"{CONFIGS}?fieldValidation=Strict",
        JSON,
        b'{"metadata":{"name":"b"},"data":{' + b",".join(b'"k%d":"1","k%d":"1"' % (n, n) for n in range(80_000)) + b"}}",
    ),
    "schedule": ("POST", CRON_JOBS, JSON, b'{"metadata":{"name":"b"},"spec":{"schedule":"@every ' + b"1" * 300_000 + b'"}}'),
    "certificate request": (
        "POST",
        SIGNING_REQUESTS,
        JSON,
        b'{"metadata":{"name":"b"},"spec":{"request":"' + base64.b64encode(b"-----BEGIN A-----\n" * 60_000) + b'"}}',
    ),
    "label selector": ("GET", f"{CONFIGS}?labelSelector=" + "a%20in%20(" + "b," * 15_000 + "b)", JSON, b""),
    "field selector": ("GET", f"{CONFIGS}?fieldSelector=" + "metadata.name%3Da," * 3_000, JSON, b""),
    "timeout": ("GET", f"{CONFIGS}?timeout=" + "0" * 60_000, JSON, b""),
}


class Steps:
    """Measures the steps of the running loop, in processor time of the process."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._loop = asyncio.get_running_loop()
        self._last = time.process_time()
        self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = time.process_time()
        self.longest, self._last = max(self.longest, now - self._last), now
        self._handle = self._loop.call_soon(self._turn)

    def stop(self) -> float:
        """The longest step."""
        self._turn()
        self._handle.cancel()
        return self.longest


async def measured(api: Api, method: str, target: str, body: Any, media: str) -> float:
    """The longest step while a request is answered and another client gets answers to its own."""
    steps = Steps()
    asking = asyncio.ensure_future(api.send(method, target, body, content_type=media))
    quiet = api.acting_as("quiet", "system:masters")
    while True:
        assert (await quiet.get("/livez")).status == 200
        assert (await quiet.get(f"{CONFIGS}/a")).status == 200
        if asking.done():
            break
        await asyncio.sleep(0)
    answer = await asking
    assert answer.status < 500 or b"etcdserver: request is too large" in answer.body
    return steps.stop()


@pytest.mark.parametrize("name", REQUESTS)
async def test_no_step_is_long(api: Api, name: str) -> None:
    method, target, media, body = REQUESTS[name]
    if target == TURNS:
        await define(api, definition("Turn", "turns.example.com", version("v1", OPEN)))
    assert await measured(api, method, target, body, media) < LONGEST_STEP


async def test_yaml_is_parsed_in_short_steps(api: Api) -> None:
    plain = api.acting_as("somebody", "system:authenticated")
    for name in REQUESTS:
        method, target, media, body = REQUESTS[name]
        if media == YAML and target == REVIEWS:
            assert await measured(plain, method, target, body, media) < LONGEST_STEP, name


async def test_long_selectors_are_parsed_beside_the_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def parsed(text: str) -> Any:
        threads.append(threading.get_ident())
        return parse_labels(text)

    monkeypatch.setattr(read, "parse_labels", parsed)
    selector = ",".join(f"!k{n}" for n in range(9000))
    assert [item["metadata"]["name"] for item in (await api.get(f"{CONFIGS}?labelSelector={selector}")).doc["items"]][-1] == "a"
    async with api.watch(f"{CONFIGS}?watch=1&labelSelector={selector}") as events:
        event = await events.next()
        assert event is not None
        assert event["type"] == "ADDED"
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_an_answer_about_a_long_name_is_short(api: Api) -> None:
    answer = await api.send("POST", CONFIGS, b'{"metadata":{"name":"' + b"A" * SIZE + b'"}}', content_type=JSON)
    assert (answer.status, len(answer.body) < 50_000) == (422, True)
    assert b"a lowercase RFC 1123 subdomain must consist of" in answer.body


async def test_alternatives_for_each_item(api: Api) -> None:
    item = {"type": "string", "anyOf": [{"enum": [f"x{n}"]} for n in range(600)]}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": item}}}
    await define(api, definition("Turn", "turns.example.com", version("v1", schema)))
    body = field(b"[" + b",".join([b'"x599"'] * 3500) + b"]")
    assert await measured(api, "POST", TURNS, body, JSON) < LONGEST_STEP
    assert b"running out of cost budget" in (await api.send("POST", TURNS, body, content_type=JSON)).body


async def test_columns_of_nested_lookups(api: Api) -> None:
    shown = version("v1", OPEN)
    shown["additionalPrinterColumns"] = [
        {"name": f"C{n}", "type": "string", "jsonPath": path}
        for n, path in enumerate((".spec" + "..a" * 12, ".spec[1" + " " * 4000, ".x[::0]"))
    ]
    await define(api, definition("Turn", "turns.example.com", shown))
    nested: Any = 1
    for _ in range(180):
        nested = {"a": nested}
    document = {"apiVersion": "turns.example.com/v1", "kind": "Turn", "metadata": {"name": "b"}, "spec": nested, "x": [1]}
    assert (await api.post(TURNS, document)).status == 201
    steps = Steps()
    table = await api.get(TURNS, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert steps.stop() < LONGEST_STEP
    assert table.status == 200
    assert table.doc["rows"][0]["cells"] == ["b", None]


async def test_many_columns_of_lookups(api: Api) -> None:
    shown = version("v1", OPEN)
    shown["additionalPrinterColumns"] = [{"name": f"C{n}", "type": "string", "jsonPath": ".a..b"} for n in range(2000)]
    await define(api, definition("Turn", "turns.example.com", shown))
    assert (await api.send("POST", TURNS, field(b"[" + b",".join([b"1"] * 9000) + b"]"), content_type=JSON)).status == 201
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    for target in (TURNS, f"{TURNS}/b"):
        steps = Steps()
        table = await api.get(target, accept=accept)
        assert steps.stop() < LONGEST_STEP
        assert table.doc["rows"][0]["cells"] == ["b", *[None] * 2000]
    steps = Steps()
    async with api.watch(f"{TURNS}?watch=1", accept=accept) as events:
        await events.next()
    assert steps.stop() < LONGEST_STEP


@pytest.mark.parametrize("pattern", ["\\p{" * 100_000, "(?<" * 100_000, "[[:" * 100_000, "a{1000}" * 100_000])
async def test_patterns_without_an_end(api: Api, pattern: str) -> None:
    made = definition(
        "Turn", "turns.example.com", version("v1", {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})
    )
    steps = Steps()
    answer = await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", made)
    assert steps.stop() < LONGEST_DEFINITION_STEP
    assert answer.status == 422
