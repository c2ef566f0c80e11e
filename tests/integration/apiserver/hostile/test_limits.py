"""Objects that are too deep or too large are refused by every verb that writes, and what is stored is read in every format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, Api, config
from tests.integration.apiserver.crd.made import define, definition, version
from tiphys.api.machinery.limits import MAX_DEPTH

APPLY = "application/apply-patch+yaml"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
BOMB = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"v": {"type": "string", "default": "x" * 10_000}}}},
    },
}
PATH = "/apis/deep.example.com/v1/namespaces/default/deeps"


async def deeps(api: Api, schema: dict[str, Any]) -> None:
    await define(api, definition("Deep", "deep.example.com", version("v1", schema)))


def deep(levels: int, name: str = "a") -> dict[str, Any]:
    """A custom object that nests this many levels."""
    value: Any = 1
    for _ in range(levels - 1):
        value = {"a": value}
    return {"apiVersion": "deep.example.com/v1", "kind": "Deep", "metadata": {"name": name}, "a": value}


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 400, 900, 5000])
async def test_rejects_deep_objects(api: Api, levels: int) -> None:
    await deeps(api, OPEN)
    head = '{"apiVersion":"deep.example.com/v1","kind":"Deep","metadata":{"name":"a"},"a":'
    text = head + '{"a":' * (levels - 1) + "1" + "}" * levels
    assert (await api.post(PATH, deep(3))).status == 201
    for method, target, media in (
        ("POST", PATH, "application/json"),
        ("POST", PATH, "application/yaml"),
        ("PUT", f"{PATH}/a", "application/json"),
        ("PATCH", f"{PATH}/a", MERGE),
        ("PATCH", f"{PATH}/a?fieldManager=m&force=true", APPLY),
    ):
        answer = await api.send(method, target, text.encode(), content_type=media)
        assert (answer.status, answer.reason) == (400, "BadRequest"), (method, media, answer.body[:300])


async def test_reads_the_deepest_object_in_every_format(api: Api) -> None:
    await deeps(api, OPEN)
    # The fields of its manager lie three levels deeper than the object's own.
    assert (await api.post(PATH, deep(MAX_DEPTH - 5))).status == 201
    for media in ("application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io"):
        assert (await api.get(f"{PATH}/a", accept=media)).status == 200, media


async def test_rejects_objects_that_a_patch_makes_deep(api: Api) -> None:
    await deeps(api, OPEN)
    assert (await api.post(PATH, deep(MAX_DEPTH - 5))).status == 201
    place = "/a" * (MAX_DEPTH - 10)
    for operation in ({"op": "copy", "from": "/a", "path": place}, {"op": "add", "path": place, "value": deep(100)}):
        answer = await api.patch(f"{PATH}/a", [operation], JSON_PATCH)
        assert (answer.status, answer.reason) == (400, "BadRequest"), answer.body[:300]


async def test_rejects_what_defaults_make_too_large(api: Api) -> None:
    await deeps(api, BOMB)
    bomb = {"apiVersion": "deep.example.com/v1", "kind": "Deep", "metadata": {"name": "b"}, "items": [{}] * 5000}
    answer = await api.post(PATH, bomb)
    assert (answer.status, answer.message) == (500, "etcdserver: request is too large")
    assert answer.doc["details"]["causes"][0]["field"] == "items[157].v"
    assert (await api.get(f"{PATH}/b")).status == 404


async def test_rejects_objects_larger_than_etcd_takes(api: Api) -> None:
    answer = await api.post(CONFIGS, config("large", x="x" * 900_000, y="\x01" * 140_000))
    assert (answer.status, answer.message) == (500, "etcdserver: request is too large")
    assert json.loads(answer.body)["code"] == 500


async def test_keys_in_the_worst_order_do_not_end_the_server(api: Api) -> None:
    data = dict.fromkeys(["z", *(f"{number:06x}" for number in range(60_000))], "")
    assert (await api.post(CONFIGS, {"metadata": {"name": "many"}, "data": data})).status == 201
    more = {"data": dict.fromkeys(["zz", *(f"{number:06x}" for number in range(60_000, 150_000))], "")}
    patched = await api.patch(f"{CONFIGS}/many", more, MERGE)
    assert (patched.status, patched.message) == (500, "etcdserver: request is too large")
    assert (await api.get(f"{CONFIGS}/many")).doc["data"].keys() == data.keys()
