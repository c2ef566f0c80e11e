"""Requirements of the conformance suite on the kinds of networking, storage and nodes: every verb, watches, statuses, discovery."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.integration.controllers.conftest import Cluster
from tiphys.api.kinds import SCHEME
from tiphys.api.machinery.errors import Forbidden, Invalid, NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.client.client import Client, read_body
from tiphys.controllers.protection.controller import (
    AttributesClassProtectionController,
    ClaimProtectionController,
    VolumeProtectionController,
)
from tiphys.testing import eventually

Doc = dict[str, Any]
TYPES = {"merge": "application/merge-patch+json", "strategic": "application/strategic-merge-patch+json"}

BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PARENT = {"group": "mygroup", "resource": "myresources", "namespace": "foo", "name": "bar"}
SPECS: dict[str, Doc] = {
    "ingresses.networking.k8s.io": {"spec": {"defaultBackend": BACKEND}},
    "ingressclasses.networking.k8s.io": {"spec": {"controller": "example.com/controller"}},
    "networkpolicies.networking.k8s.io": {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}},
    "ipaddresses.networking.k8s.io": {"spec": {"parentRef": PARENT}},
    "servicecidrs.networking.k8s.io": {"spec": {"cidrs": ["10.97.0.0/24"]}},
    "endpointslices.discovery.k8s.io": {"addressType": "IPv4", "endpoints": [{"addresses": ["1.2.3.4", "5.6.7.8"]}]},
    "storageclasses.storage.k8s.io": {"provisioner": "example.com/none"},
    "volumeattributesclasses.storage.k8s.io": {"driverName": "d", "parameters": {"iops": "1"}},
    "volumeattachments.storage.k8s.io": {"spec": {"attacher": "d.io", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
    "csidrivers.storage.k8s.io": {"spec": {}},
    "csinodes.storage.k8s.io": {"spec": {"drivers": [{"name": "d.io", "nodeID": "n", "topologyKeys": []}]}},
    "csistoragecapacities.storage.k8s.io": {"storageClassName": "std", "capacity": "1Gi"},
    "persistentvolumes": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}
    },
    "persistentvolumeclaims": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    "runtimeclasses.node.k8s.io": {"handler": "runc"},
    "poddisruptionbudgets.policy": {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
    "priorityclasses.scheduling.k8s.io": {"value": 10},
}
NAMES = {"ipaddresses.networking.k8s.io": ("255.255.255.255", "fe80::42:1dff:fe84:f9e2", "255.255.255.254")}


class Collection:
    """One kind's objects, as documents."""

    def __init__(self, client: Client, resource: str) -> None:
        self.client = client
        self.kind: Kind[Any] = next(kind for kind in SCHEME if kind.resource == resource)
        self.namespace = "default" if self.kind.namespaced else ""
        self.spec = SPECS[resource]

    async def send(
        self,
        method: str,
        name: str = "",
        body: Any = None,
        *,
        sub: str = "",
        media: str = "application/json",
        labels: str = "",
        everywhere: bool = False,
    ) -> Doc:
        query = [("labelSelector", labels)] if labels else []
        path = self.kind.path("" if everywhere else self.namespace, name, sub)
        response = await self.client.raw(
            method, path, query=query, body=b"" if body is None else json.dumps(body).encode(), headers={"content-type": media}
        )
        found: Doc = json.loads(await read_body(response))
        return found

    async def create(self, name: str, label: str) -> Doc:
        return await self.send("POST", body={"metadata": {"name": name, "labels": {"test": label}}, **self.spec})

    async def names(self, labels: str, *, everywhere: bool = False) -> list[str]:
        return sorted(item["metadata"]["name"] for item in (await self.send("GET", labels=labels, everywhere=everywhere))["items"])

    async def patch(self, name: str, body: Doc, *, how: str = "merge", sub: str = "") -> Doc:
        return await self.send("PATCH", name, body, sub=sub, media=TYPES[how])

    async def update(self, name: str, **labels: str) -> Doc:
        found = await self.send("GET", name)
        found["metadata"].setdefault("labels", {}).update(labels)
        return await self.send("PUT", name, found)

    async def gone(self, labels: str) -> None:
        async def empty() -> bool:
            return not await self.names(labels)

        await eventually(empty)


@pytest.fixture
async def kept(cluster: Cluster) -> AsyncIterator[Cluster]:
    """A cluster whose protected kinds can go."""
    async with cluster.controllers(ClaimProtectionController(), VolumeProtectionController(), AttributesClassProtectionController()):
        yield cluster


def version(doc: Doc) -> int:
    return int(doc["metadata"]["resourceVersion"])


async def events(things: Collection, since: str, name: str) -> list[str]:
    """Collect a watch's events about an object until it is gone."""
    told: list[str] = []
    async with aclosing(
        things.client.watch(things.kind, things.namespace, labels="test", resource_version=since, bookmarks=False)
    ) as stream:
        async for event in stream:
            if event.object.metadata.name == name:
                told.append(event.type)
                if event.type == "DELETED":
                    break
    return told


@pytest.mark.parametrize("resource", list(SPECS))
async def test_life_cycle(kept: Cluster, resource: str) -> None:
    """Create, get, list (in one namespace, in all), watch, patch, update, delete, deletecollection, with growing versions."""
    things = Collection(kept.client, resource)
    first, second, third = NAMES.get(resource, ("one", "two", "three"))
    since = (await things.send("GET"))["metadata"]["resourceVersion"]
    watching = asyncio.create_task(events(things, since, first))
    made = await things.create(first, "first")
    for name in (second, third):
        await things.create(name, "rest")
    found = await things.send("GET", first)
    assert (found["metadata"]["uid"], found["kind"], found["apiVersion"]) == (
        made["metadata"]["uid"],
        things.kind.kind,
        things.kind.api_version,
    )
    assert len(await things.names("test")) == len(await things.names("test", everywhere=True)) == 3
    patched = await things.patch(first, {"metadata": {"annotations": {"patched": "true"}}})
    assert (patched["metadata"]["annotations"]["patched"], version(patched) > version(made)) == ("true", True)
    labeled = await things.patch(first, {"metadata": {"labels": {"e2e": "patched"}}}, how="strategic")
    assert labeled["metadata"]["labels"] == {"test": "first", "e2e": "patched"}
    updated = await things.update(first, e2e="updated")
    assert (updated["metadata"]["labels"]["e2e"], version(updated) > version(labeled)) == ("updated", True)
    assert await things.names("e2e=updated") == [first]
    await things.send("DELETE", first)
    await things.gone("test=first")
    assert await things.names("test") == sorted((second, third))
    await things.send("DELETE", labels="test=rest")
    await things.gone("test")
    told = await asyncio.wait_for(watching, 10)
    assert (told[0], told[-1]) == ("ADDED", "DELETED")
    assert told.count("MODIFIED") >= 3


@pytest.mark.parametrize("resource", list(SPECS))
async def test_discovery(cluster: Cluster, resource: str) -> None:
    """The group, its version and the resource with all verbs are found where clients look."""
    things = Collection(cluster.client, resource)
    kind = things.kind
    if kind.group:
        groups = json.loads(await read_body(await cluster.client.raw("GET", "/apis")))["groups"]
        versions = next(group["versions"] for group in groups if group["name"] == kind.group)
        assert kind.api_version in [version["groupVersion"] for version in versions]
        group = json.loads(await read_body(await cluster.client.raw("GET", f"/apis/{kind.group}")))
        assert kind.api_version in [version["groupVersion"] for version in group["versions"]]
    resources = {
        found["name"]: found for found in json.loads(await read_body(await cluster.client.raw("GET", kind.root_path)))["resources"]
    }
    assert set(resources[kind.plural]["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert resources[kind.plural]["namespaced"] == kind.namespaced
    assert (f"{kind.plural}/status" in resources) == kind.has_status


def shown(status: Doc, fields: Doc) -> Doc:
    """The fields of a status; of conditions what they say."""
    return {name: [(one["type"], one["status"]) for one in status[name]] if name == "conditions" else status.get(name) for name in fields}


@pytest.mark.parametrize(
    ("resource", "patch", "update"),
    [
        ("ingresses.networking.k8s.io", {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}}, {"loadBalancer": {"ingress": [{"ip": "169.1.1.2"}]}}),
        ("volumeattachments.storage.k8s.io", {"attached": True}, {"attached": False, "attachError": {"message": "x", "time": "2026-01-01T00:00:00Z"}}),
        ("persistentvolumes", {"phase": "Pending", "message": "StatusPatched", "reason": "E2E patchStatus"}, {"phase": "Pending", "message": "StatusUpdated", "reason": "E2E updateStatus"}),
        ("persistentvolumeclaims", {"phase": "Pending", "conditions": [{"type": "StatusPatched", "status": "True", "reason": "E2E patchedStatus"}]}, {"phase": "Pending", "conditions": [{"type": "StatusUpdated", "status": "True"}]}),
        ("poddisruptionbudgets.policy", {"disruptionsAllowed": 2}, {"disruptionsAllowed": 3}),
        ("servicecidrs.networking.k8s.io", {"conditions": [{"type": "Ready", "status": "False", "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}, {"conditions": [{"type": "Ready", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}),
    ],
)  # fmt: skip
async def test_statuses(cluster: Cluster, resource: str, patch: Doc, update: Doc) -> None:
    """A status is read, patched and replaced by itself, and neither a create nor an ordinary update sets it."""
    things = Collection(cluster.client, resource)
    made = await things.send("POST", body={"metadata": {"name": "one"}, **things.spec, "status": update})
    before = made.get("status")
    assert before != update
    wished = {**made, "status": update}
    assert (await things.send("PUT", "one", wished)).get("status") == before
    patched = await things.patch("one", {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": patch}, sub="status")
    assert shown(patched["status"], patch) == shown(patch, patch)
    if things.kind.plural not in ("volumeattachments", "servicecidrs"):
        assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    changed = {**patched, "spec": {}, "status": {**patched["status"], **update}}
    replaced = await things.send("PUT", "one", changed, sub="status")
    assert shown(replaced["status"], update) == shown(update, update)
    assert replaced["spec"] == made["spec"]
    assert (await things.send("GET", "one", sub="status"))["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await things.send("GET", "one"))["status"] == replaced["status"]


async def test_the_time_of_a_volumes_phase(cluster: Cluster) -> None:
    things = Collection(cluster.client, "persistentvolumes")
    made = await things.create("one", "x")
    assert made["status"]["lastPhaseTransitionTime"] == made["metadata"]["creationTimestamp"]
    patched = await things.patch("one", {"status": {"phase": "Available", "lastPhaseTransitionTime": None}}, sub="status")
    assert patched["status"]["lastPhaseTransitionTime"] >= made["metadata"]["creationTimestamp"]


def pod(name: str, **spec: Any) -> Doc:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}


class Pods(Collection):
    def __init__(self, client: Client) -> None:
        super().__init__(client, "runtimeclasses.node.k8s.io")
        self.kind = next(kind for kind in SCHEME if kind.resource == "pods")
        self.namespace = "default"


@pytest.fixture
async def pods(cluster: Cluster) -> Pods:
    await cluster.client.raw(
        "POST",
        "/api/v1/namespaces/default/serviceaccounts",
        body=b'{"metadata": {"name": "default"}}',
        headers={"content-type": "application/json"},
    )
    return Pods(cluster.client)


async def test_pods_with_a_runtime_class_that_is_not_there(cluster: Cluster, pods: Pods) -> None:
    with pytest.raises(Forbidden, match='pods "a" is forbidden: pod rejected: RuntimeClass "none" not found'):
        await pods.send("POST", body=pod("a", runtimeClassName="none"))


async def test_pods_with_a_runtime_class_that_was_deleted(cluster: Cluster, pods: Pods) -> None:
    classes = Collection(cluster.client, "runtimeclasses.node.k8s.io")
    await classes.create("gv", "x")
    assert (await pods.send("POST", body=pod("a", runtimeClassName="gv")))["spec"]["runtimeClassName"] == "gv"
    await classes.send("DELETE", "gv")
    with pytest.raises(Forbidden, match='RuntimeClass "gv" not found'):
        await pods.send("POST", body=pod("b", runtimeClassName="gv"))


async def test_pods_get_the_overhead_of_their_runtime_class(cluster: Cluster, pods: Pods) -> None:
    classes = Collection(cluster.client, "runtimeclasses.node.k8s.io")
    await classes.send("POST", body={"metadata": {"name": "gv"}, "handler": "h", "overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}}})
    made = await pods.send("POST", body=pod("a", runtimeClassName="gv"))
    assert made["spec"]["overhead"] == {"cpu": "10m", "memory": "1Mi"}
    await classes.send("POST", body={"metadata": {"name": "plain"}, "handler": "h"})
    assert "overhead" not in (await pods.send("POST", body=pod("b", runtimeClassName="plain")))["spec"]


async def test_pods_with_volumes_of_a_csi_driver(cluster: Cluster, pods: Pods) -> None:
    volumes = [{"name": "v", "csi": {"driver": "e2e.example.com"}}]
    made = await pods.send("POST", body=pod("a", volumes=volumes))
    assert made["spec"]["volumes"][0] == volumes[0]
    assert (await pods.send("GET", "a"))["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await pods.patch("a", {"metadata": {"annotations": {"patched": "true"}}}))["metadata"]["annotations"] == {"patched": "true"}
    await pods.send("DELETE", "a", {"gracePeriodSeconds": 0})
    with pytest.raises(NotFound):
        await pods.send("GET", "a")


@pytest.mark.parametrize("sub", ["", "status"])
async def test_some_kinds_are_not_replaced_blindly(cluster: Cluster, sub: str) -> None:
    things = Collection(cluster.client, "poddisruptionbudgets.policy")
    made = await things.create("one", "x")
    del made["metadata"]["resourceVersion"]
    said = r'poddisruptionbudgets.policy "one" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'
    with pytest.raises(Invalid, match=said):
        await things.send("PUT", "one", made, sub=sub)


async def test_priorities_cannot_be_changed(cluster: Cluster) -> None:
    classes = Collection(cluster.client, "priorityclasses.scheduling.k8s.io")
    await classes.create("one", "x")
    with pytest.raises(Invalid, match=r"value: Forbidden: may not be changed in an update\."):
        await classes.patch("one", {"value": 20})


async def test_kinds_that_nothing_acts_on_say_so(cluster: Cluster) -> None:
    things = Collection(cluster.client, "networkpolicies.networking.k8s.io")
    response = await cluster.client.raw(
        "POST",
        things.kind.path("default"),
        body=json.dumps({"metadata": {"name": "a"}, **things.spec}).encode(),
        headers={"content-type": "application/json"},
    )
    assert "no part of this cluster acts on them yet" in dict(response.headers).get("warning", "") + str(getattr(response, "repeated", ""))
