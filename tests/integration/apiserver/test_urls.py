"""URLs and methods: what is there (404), what it takes (405), and what people try."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.apiserver.api import CONFIGS, JSON_PATCH, MERGE, NS, PODS, STRATEGIC, Api, config, deployment, pod
from tiphys.testing.api_server import running_api_server

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", "/api/v1/colors", 404),
        ("GET", "/apis/apps/v9/deployments", 404),
        ("GET", f"{NS}/nodes", 404),
        ("GET", "/api/v1/nodes/a/b", 404),
        ("GET", "/api/v1/pods/a", 404),
        ("GET", f"{PODS}/a/color", 404),
        ("GET", f"{PODS}/a/status/more", 404),
        ("GET", f"{CONFIGS}/a/status", 404),
        ("GET", f"{CONFIGS}//", 200),
        ("GET", f"{NS}//configmaps", 404),
        ("GET", f"{NS}/namespaces/default", 404),
        ("PUT", CONFIGS, 405),
        ("PATCH", CONFIGS, 405),
        ("POST", f"{CONFIGS}/a", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/configmaps", 405),
        ("DELETE", f"{PODS}/a/status", 405),
        ("GET", f"{PODS}/a/binding", 405),
        ("OPTIONS", CONFIGS, 405),
        ("POST", "/version", 405),
        ("GET", "/apis/authorization.k8s.io/v1/subjectaccessreviews", 405),
        ("DELETE", "/api/v1/namespaces", 405),
    ],
)
async def test_urls_and_their_methods(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.send(method, path, config("a") if method in ("POST", "PUT", "PATCH") else None)
    assert answer.status == status
    if status != 200:
        assert answer.reason == {404: "NotFound", 405: "MethodNotAllowed"}[status]
    assert (await api.get(CONFIGS)).names == []


async def test_escapes_are_undone_once(api: Api) -> None:
    await api.post(CONFIGS, config("a.b"))
    assert (await api.get("/api/v1/n%61mespaces/default/configmaps/a%2Eb")).status == 200
    assert (await api.get(f"{CONFIGS}/a%252Eb")).status == 404
    assert (await api.get(f"{CONFIGS}/%ff")).status == 404


async def test_a_head_is_a_get_and_never_a_watch(api: Api) -> None:
    await api.post(CONFIGS, config("a"))
    assert (await api.send("HEAD", f"{CONFIGS}/a")).status == 200
    assert (await api.send("HEAD", f"{CONFIGS}?watch=1")).status == 200


async def test_a_role_in_a_namespace_may_show_the_namespace(api: Api) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
    view = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jason"}]
    made = await api.post(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/team/rolebindings",
        {"metadata": {"name": "v"}, "roleRef": view, "subjects": subjects},
    )
    assert made.status == 201
    jason = api.acting_as("jason", "system:authenticated")
    assert (await jason.get("/api/v1/namespaces/team")).status == 200
    assert (await jason.get("/api/v1/namespaces/default")).reason == "Forbidden"
    assert (await jason.get("/api/v1/namespaces")).reason == "Forbidden"


@pytest.mark.parametrize(
    "path",
    [
        f"{CONFIGS}/..",
        f"{CONFIGS}/%2e%2e",
        f"{CONFIGS}/..%2f..%2fkube-system%2fconfigmaps%2fsecret",
        "/api/v1/namespaces/kube-system%2fconfigmaps/secret",
        "/api/v1/namespaces/..%2fkube-system/configmaps/secret",
        "/api/v1/namespaces/default/../kube-system/configmaps/secret",
        "/api/v1/namespaces/kube-system/configmaps/secret%00",
        "/api/v1/namespaces/kube-system/configmaps/%73ecret%2f",
        "/api//v1/namespaces/kube-system/configmaps/secret",
        "//api/v1/namespaces/kube-system/configmaps/secret",
        "/%61pi/v1/namespaces/kube-system/configmaps/secret",
        "http://server/api/v1/namespaces/kube-system/configmaps/secret",
    ],
)
async def test_no_spelling_of_a_path_gets_around_authorization(api: Api, path: str) -> None:
    await api.post("/api/v1/namespaces/kube-system/configmaps", config("secret", x="hidden"))
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jason"}]
    await api.post(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {"metadata": {"name": "e"}, "roleRef": role, "subjects": subjects},
    )
    answer = await api.acting_as("jason", "system:authenticated").get(path)
    assert answer.status in (403, 404)
    assert b"hidden" not in answer.body


@pytest.fixture
async def watched(api: Api, caplog: pytest.LogCaptureFixture) -> Api:
    await api.post(CONFIGS, config("a", x="1"))
    await api.post(PODS, pod("a"))
    await api.post("/apis/apps/v1/namespaces/default/deployments", deployment("a"))
    caplog.set_level(logging.WARNING, "tiphys.apiserver")
    return api


def no_complaints(caplog: pytest.LogCaptureFixture) -> None:
    assert [record for record in caplog.records if record.name.startswith("tiphys.apiserver")] == []


segments = st.one_of(
    st.sampled_from(["api", "apis", "v1", "namespaces", "default", "pods", "configmaps", "a", "status", "proxy", "log", "watch", "..", ""]),
    st.text(min_size=1, max_size=6).map(lambda text: quote(text, safe="")),
    st.text("%/.:;~\x00é", min_size=1, max_size=6),
)


@EXAMPLES
@given(
    path=st.lists(segments, max_size=9).map(lambda parts: "/" + "/".join(parts)),
    method=st.sampled_from(["GET", "PUT", "POST", "PATCH", "HEAD", "OPTIONS"]),
    query=st.one_of(st.just(""), st.text(max_size=30)),
)
async def test_any_path(watched: Api, caplog: pytest.LogCaptureFixture, path: str, method: str, query: str) -> None:
    response = await watched.respond(method, f"{path}?{query}" if query else path, b"{}" if method[0] == "P" else None)
    if response.stream is not None:
        await response.stream.aclose()  # type: ignore[attr-defined]
    assert response.status < 500 or response.status in (503, 504)
    if response.status >= 400 and b'"Status"' in response.body:
        assert json.loads(response.body)["code"] == response.status
    no_complaints(caplog)


FIELDS = (
    *(
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "resourceVersion",
        "uid",
        "apiVersion",
        "kind",
    ),
    *("data", "spec", "status", "containers", "replicas", "selector", "template", "binaryData", "x"),
)
documents: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@EXAMPLES
@given(document=documents, kind=st.sampled_from(["configmaps", "pods", "services", "secrets", "bindings"]))
async def test_any_document_as_a_new_object(watched: Api, caplog: pytest.LogCaptureFixture, document: Any, kind: str) -> None:
    answer = await watched.send("POST", f"{NS}/{kind}?dryRun=All", json.dumps(document).encode())
    assert answer.status < 500
    if answer.status >= 400:
        assert answer.reason
    no_complaints(caplog)


@EXAMPLES
@given(
    document=documents,
    media=st.sampled_from([MERGE, STRATEGIC, JSON_PATCH]),
    target=st.sampled_from([f"{CONFIGS}/a", f"{PODS}/a", f"{PODS}/a/status", "/apis/apps/v1/namespaces/default/deployments/a/scale"]),
)
async def test_any_document_as_a_patch(watched: Api, caplog: pytest.LogCaptureFixture, document: Any, media: str, target: str) -> None:
    answer = await watched.send("PATCH", f"{target}?dryRun=All", json.dumps(document).encode(), content_type=media)
    assert answer.status < 500
    if answer.status >= 400:
        assert answer.reason
    no_complaints(caplog)


@EXAMPLES
@given(body=st.binary(max_size=40), media=st.sampled_from(["application/json", "application/yaml", MERGE, "text/plain", "a/b; c=d"]))
async def test_any_bytes(watched: Api, caplog: pytest.LogCaptureFixture, body: bytes, media: str) -> None:
    for method, target in (("POST", CONFIGS), ("PUT", f"{CONFIGS}/a"), ("PATCH", f"{CONFIGS}/a"), ("DELETE", f"{CONFIGS}/zzz")):
        answer = await watched.send(method, f"{target}?dryRun=All", body, content_type=media)
        assert answer.status < 500
    no_complaints(caplog)


DEEP = 20_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"metadata":{"name":"d"},"data":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b'{"metadata":{"name":"d","labels":{"a":"' + b"x" * 2_000_000 + b'"}}}',
        b'{"metadata":{"name":"' + b"d" * 2_000_000 + b'"}}',
        b'{"metadata":{"name":"\xff\xfe"}}',
        b'{"metadata":{"name":"\\ud800"}}',
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
    ids=["open", "deep", "deep in place", "long label", "long name", "not UTF-8", "half a surrogate", "byte order mark", "zero"],
)
async def test_hostile_bodies(watched: Api, caplog: pytest.LogCaptureFixture, body: bytes) -> None:
    for method, target, media in (
        ("POST", CONFIGS, "application/json"),
        ("PATCH", f"{CONFIGS}/a", MERGE),
        ("PATCH", f"{CONFIGS}/a", STRATEGIC),
        ("PATCH", f"{CONFIGS}/a", JSON_PATCH),
    ):
        answer = await watched.send(method, target, body, content_type=media)
        assert 400 <= answer.status < 500
        assert len(answer.body) < 1 << 20 or b"label" in body or b"name" in body
        assert answer.reason
    no_complaints(caplog)


async def test_a_yaml_bomb_stays_small(watched: Api) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    answer = await watched.send("POST", CONFIGS, "\n".join(lines).encode(), content_type="application/yaml")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert len(answer.body) < 100_000


async def test_a_huge_selector_is_answered(watched: Api) -> None:
    values = ",".join(f"v{n}" for n in range(5000))
    assert (await watched.get(f"{CONFIGS}?labelSelector=app+in+({values})")).names == []
    many = ",".join(f"k{n}!%3Dv" for n in range(4000))
    assert (await watched.get(f"{CONFIGS}?labelSelector={many}")).names == ["a"]


async def test_made_up_resources_make_no_series(watched: Api) -> None:
    for n in range(50):
        await watched.get(f"/api/v1/made-up-{n}")
        await watched.get(f"{PODS}/a/made-up-{n}")
    page = (await watched.get("/metrics")).body.decode()
    assert "made-up" not in page
    series = 'verb="GET",group="",version="v1",resource="pods",subresource="",scope="resource",component="apiserver",dry_run=""'
    assert f'apiserver_request_total{{{series},code="404"}} 50' in page


async def test_unreadable_values_in_the_store_are_not_served_and_do_no_harm(keys: Path) -> None:
    from tiphys.store.memory import MemoryStore

    store = MemoryStore()
    async with running_api_server(keys, store=store) as (server, _):
        api = Api(server)
        await store.create("/registry/core/configmaps/default/odd", b'{"kind": "ConfigMap", "newField": 1}')
        await store.create("/registry/elsewhere", b"1")
        assert (await api.post(CONFIGS, config("a"))).status == 201
        assert (await api.get(CONFIGS)).names == ["a"]
