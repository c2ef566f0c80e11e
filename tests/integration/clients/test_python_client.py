"""The official Python client, typed and dynamic: lists in pages, watches that go on, every patch, apply, streams of logs left out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import kubernetes
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

from tests.integration.clients.conftest import running_cluster
from tests.integration.clients.crd import WIDGETS, widget

T = TypeVar("T")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
# The client leaves its sockets to the garbage collector.


class Calls:
    """The client in a thread, since the server runs in this one's loop."""

    def __init__(self, api: Any, home: Path) -> None:
        self.api = api
        self.home = home

    async def __call__(self, function: Callable[[Any], T]) -> T:
        return await asyncio.wait_for(asyncio.to_thread(function, self.api), 60)


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    async with running_cluster(tmp_path):
        api = kubernetes.config.new_client_from_config(str(tmp_path / "admin.kubeconfig"))
        yield Calls(api, tmp_path)
        api.close()


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "one"}}, "data": data}


async def test_typed_objects(calls: Calls) -> None:
    def use(api: Any) -> None:
        core, apps = kubernetes.client.CoreV1Api(api), kubernetes.client.AppsV1Api(api)
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "registry.example/web:1", "ports": [{"containerPort": 80}]}]},
        }
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        apps.create_namespaced_deployment("default", {"metadata": {"name": "web"}, "spec": spec})
        ready = 0
        watch = kubernetes.watch.Watch()
        for event in watch.stream(apps.list_namespaced_deployment, "default", timeout_seconds=30):
            ready = event["object"].status.ready_replicas
            if ready == 2:
                watch.stop()
        assert ready == 2
        found = apps.read_namespaced_deployment("web", "default")
        assert (found.spec.replicas, found.spec.template.spec.containers[0].ports[0].protocol) == (2, "TCP")
        scale = apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 1}})
        assert scale.spec.replicas == 1
        found.metadata.resource_version = "1"
        with pytest.raises(ApiException) as stale:
            apps.replace_namespaced_deployment("web", "default", found)
        assert (stale.value.status, stale.value.reason) == (409, "Conflict")
        pods = core.list_namespaced_pod("default", label_selector="app=web", limit=1)
        assert len(pods.items) == 1
        core.create_namespaced_config_map("default", config_map("c", a="b"))
        assert core.read_namespaced_config_map("c", "default").data == {"a": "b"}
        with pytest.raises(ApiException) as missing:
            core.read_namespaced_config_map("none", "default")
        assert missing.value.status == 404
        status = core.delete_namespaced_config_map("c", "default")
        assert status["status"] == "Success"  # This client leaves it a dict, since a DELETE may answer with either of two types.
        apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")
        version = kubernetes.client.VersionApi(api).get_code()
        assert (version.major, version.minor) == ("1", "36")
        allowed = kubernetes.client.AuthorizationV1Api(api).create_self_subject_access_review(
            {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}}
        )
        assert allowed.status.allowed

    await calls(use)


async def test_dynamic_objects(calls: Calls) -> None:
    def use(api: Any) -> None:
        dynamic = DynamicClient(api)
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        for number in range(7):
            maps.create(body=config_map(f"c{number}", n=str(number)), namespace="default")
        page = maps.get(namespace="default", label_selector="set in (one)", limit=3)
        names = [item.metadata.name for item in page.items]
        assert page.metadata.remainingItemCount is None
        while page.metadata["continue"]:
            page = maps.get(namespace="default", label_selector="set in (one)", limit=3, _continue=page.metadata["continue"])
            names += [item.metadata.name for item in page.items]
        assert names == [f"c{number}" for number in range(7)]

        for patch, media in (
            ({"data": {"a": "merge"}}, "application/merge-patch+json"),
            ({"data": {"b": "strategic"}}, "application/strategic-merge-patch+json"),
            ([{"op": "add", "path": "/data/c", "value": "json"}], "application/json-patch+json"),
        ):
            maps.patch(name="c0", namespace="default", body=patch, content_type=media)
        assert maps.get(name="c0", namespace="default").data.to_dict() == {"n": "0", "a": "merge", "b": "strategic", "c": "json"}

        wanted = config_map("applied", x="1")
        applied = maps.server_side_apply(body=wanted, name="applied", namespace="default", field_manager="one")
        assert applied.data.x == "1"
        with pytest.raises(ConflictError):
            maps.server_side_apply(body=config_map("applied", x="2"), name="applied", namespace="default", field_manager="two")
        forced = maps.server_side_apply(
            body=config_map("applied", x="2"), name="applied", namespace="default", field_manager="two", force_conflicts=True
        )
        assert forced.data.x == "2"

        start = maps.get(namespace="default").metadata.resourceVersion
        maps.delete(name="c1", namespace="default")
        maps.create(body=config_map("late"), namespace="default")
        events = []
        for event in maps.watch(namespace="default", resource_version=start, timeout=10):
            events.append((event["type"], event["object"].metadata.name))
            if len(events) == 2:
                break
        assert events == [("DELETED", "c1"), ("ADDED", "late")]
        maps.delete(namespace="default", label_selector="set=one")
        assert not maps.get(namespace="default", label_selector="set=one").items
        with pytest.raises(NotFoundError):
            maps.get(name="c0", namespace="default")
        with pytest.raises(ResourceNotFoundError):
            dynamic.resources.get(api_version="v1", kind="Nothing")
        every = dynamic.resources.search(kind="Deployment")
        assert [resource.group_version for resource in every] == ["apps/v1"]

    await calls(use)


async def test_tables_and_partial_objects_by_header(calls: Calls) -> None:
    def use(api: Any) -> None:
        path = "/api/v1/namespaces/default/services"
        dynamic = DynamicClient(api)
        table = dynamic.request("GET", path, header_params={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}, serialize=False)
        table = json.loads(table.data)
        assert (table["kind"], table["rows"][0]["cells"][0]) == ("Table", "kubernetes")

    await calls(use)


async def test_custom_resources(calls: Calls) -> None:
    def use(api: Any) -> None:
        dynamic = DynamicClient(api)
        definitions = dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
        definitions.create(body=WIDGETS)
        for event in definitions.watch(name="widgets.example.com", timeout=20):
            conditions = event["object"].to_dict().get("status", {}).get("conditions") or []
            if any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions):
                break
        deadline = time.monotonic() + 10
        while True:  # Discovery follows a moment later.
            dynamic.resources.invalidate_cache()
            try:
                widgets = dynamic.resources.get(api_version="example.com/v1", kind="Widget")
                break
            except ResourceNotFoundError:
                assert time.monotonic() < deadline
        made = widgets.create(body=widget("a"), namespace="default")
        assert made.spec.to_dict() == {"color": "red", "size": 2}
        with pytest.raises(UnprocessibleEntityError) as refused:
            widgets.create(body=widget("b", "pink"), namespace="default")
        assert "spec.color" in refused.value.summary()
        applied = widgets.server_side_apply(
            body=widget("a", "blue"), name="a", namespace="default", field_manager="me", force_conflicts=True
        )
        assert applied.spec.color == "blue"
        widgets.status.patch(body={"status": {"state": "fine"}}, name="a", namespace="default", content_type="application/merge-patch+json")
        assert widgets.get(name="a", namespace="default").status.state == "fine"
        listed = widgets.get(namespace="default")
        events = []
        widgets.delete(name="a", namespace="default")
        for event in widgets.watch(namespace="default", resource_version=listed.metadata.resourceVersion, timeout=10):
            events.append(event["type"])
            break
        assert events == ["DELETED"]
        definitions.delete(name="widgets.example.com")

    await calls(use)
