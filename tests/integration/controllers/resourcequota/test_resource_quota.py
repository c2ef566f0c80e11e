"""Quotas: what is charged, refused and given back, with the controller that recounts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.integration.controllers.conftest import Cluster
from tiphys.api.apps import v1 as apps
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.machinery.errors import Forbidden, NotFound
from tiphys.api.meta.v1 import KubeObject, ObjectMeta
from tiphys.client.client import Client
from tiphys.controllers.resourcequota.controller import ResourceQuotaController
from tiphys.store.contract import Store
from tiphys.store.memory import MemoryStore
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

NS = "default"


@pytest.fixture
async def quotas(cluster: Cluster) -> AsyncIterator[Cluster]:
    """The server and the quota controller alone; the account that pods need is there."""
    await cluster.client.create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace=NS)))
    async with cluster.controllers(ResourceQuotaController()):
        yield cluster


def quota(name: str = "all", *, scopes: Sequence[str] = (), selector: Any = None, **hard: str) -> core.ResourceQuota:
    spec = {"hard": {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}, "scopes": list(scopes)}
    if selector is not None:
        spec["scopeSelector"] = {"matchExpressions": selector}
    return msgspec.convert({"metadata": {"name": name, "namespace": NS}, "spec": spec}, core.ResourceQuota)


def pod(name: str = "web", requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **spec: Any) -> core.Pod:
    container = {"name": "main", "image": "x", "resources": {"requests": requests or {}, "limits": limits or {}}}
    document = {"metadata": {"name": name, "namespace": NS}, "spec": {"containers": [container], **spec}}
    return msgspec.convert(document, core.Pod)


async def used(cluster: Cluster, name: str = "all", **amounts: str) -> core.ResourceQuota:
    """Wait until the quota says that so much is used (and maybe more of what is not named)."""
    wanted = {key.replace("__", "/").replace("_", "."): value for key, value in amounts.items()}

    async def look() -> core.ResourceQuota:
        found = await cluster.client.get(core.ResourceQuota, name, NS)
        assert {key: found.status.used.get(key) for key in wanted} == wanted
        assert found.status.hard == found.spec.hard
        return found

    found = await eventually(look)
    assert found is not None
    return found


async def made(cluster: Cluster, wanted: core.ResourceQuota) -> core.ResourceQuota:
    """A quota whose status is worked out."""
    await cluster.client.create(wanted)
    return await used(cluster, wanted.metadata.name)


async def gone(cluster: Cluster, obj: KubeObject) -> None:
    await cluster.client.delete(type(obj), obj.metadata.name, NS, grace=0, propagation="Background")


async def test_the_status_of_a_new_quota(quotas: Cluster) -> None:
    old = await quotas.client.create(core.ConfigMap(metadata=ObjectMeta(name="old", namespace=NS)))
    await quotas.client.create(quota(resourcequotas="5", configmaps="5", pods="5", cpu="1", count__deployments_apps="2"))
    found = await used(quotas, resourcequotas="1", configmaps="1", pods="0", cpu="0", count__deployments_apps="0")
    assert found.status.hard == found.spec.hard
    await gone(quotas, old)  # Never charged, so nothing but its going tells that there is something to count.
    await used(quotas, configmaps="0")


def _replicas(type_: type[KubeObject], selector: Any) -> KubeObject:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    document = {"metadata": {"name": "a", "namespace": NS}, "spec": {"replicas": 0, "selector": selector, "template": template}}
    return msgspec.convert(document, type_)


@pytest.mark.parametrize(
    ("obj", "names"),
    [
        (core.ConfigMap(metadata=ObjectMeta(name="a", namespace=NS)), ("configmaps", "count/configmaps")),
        (core.Secret(metadata=ObjectMeta(name="a", namespace=NS)), ("secrets", "count/secrets")),
        (_replicas(apps.ReplicaSet, {"matchLabels": {"app": "a"}}), ("count/replicasets.apps",)),
        (_replicas(core.ReplicationController, {"app": "a"}), ("replicationcontrollers", "count/replicationcontrollers")),
    ],
    ids=["configmap", "secret", "replicaset", "replicationcontroller"],
)
async def test_the_life_of_a_counted_object(quotas: Cluster, obj: KubeObject, names: tuple[str, ...]) -> None:
    wanted = quota()
    wanted.spec.hard = dict.fromkeys(names, Quantity("1"))
    await made(quotas, wanted)
    await quotas.client.create(obj)
    found = await quotas.client.get(core.ResourceQuota, "all", NS)
    assert found.status.used == dict.fromkeys(names, "1")  # At once: the create waited for it.
    again = msgspec.convert(msgspec.to_builtins(obj), type(obj))
    again.metadata.name, again.metadata.resourceVersion = "b", ""
    with pytest.raises(Forbidden, match=f"exceeded quota: all, requested: .*{names[0]}=1"):
        await quotas.client.create(again)
    await gone(quotas, obj)
    await eventually(lambda: _is_free(quotas, names))
    await quotas.client.create(again)


async def _is_free(cluster: Cluster, names: Sequence[str]) -> bool:
    found = await cluster.client.get(core.ResourceQuota, "all", NS)
    return found.status.used == dict.fromkeys(names, "0")


async def test_the_life_of_a_pod(quotas: Cluster) -> None:
    limits = {
        "cpu": "1",
        "memory": "500Mi",
        "pods": "5",
        "limits_cpu": "2",
        "requests_ephemeral-storage": "50Gi",
        "requests_example.com/gpu": "3",
    }
    await made(quotas, quota(**limits))
    hard = {key.replace("_", ".", 1): value for key, value in limits.items()}
    wants = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", "example.com/gpu": "2"}
    first = await quotas.client.create(pod("first", wants, {"cpu": "600m", "example.com/gpu": "2"}))
    charged = {
        "cpu": "500m", "memory": "252Mi", "pods": "1", "limits.cpu": "600m", "requests.ephemeral-storage": "30Gi",
        "requests.example.com/gpu": "2",
    }  # fmt: skip
    found = await quotas.client.get(core.ResourceQuota, "all", NS)
    assert (found.status.hard, found.status.used) == (hard, charged)
    with pytest.raises(Forbidden) as caught:
        await quotas.client.create(pod("second", {**wants, "cpu": "600m"}, {"cpu": "600m", "example.com/gpu": "2"}))
    assert caught.value.message == (
        'pods "second" is forbidden: exceeded quota: all, requested: cpu=600m,memory=252Mi,requests.ephemeral-storage=30Gi,'
        "requests.example.com/gpu=2, used: cpu=500m,memory=252Mi,requests.ephemeral-storage=30Gi,requests.example.com/gpu=2,"
        " limited: cpu=1,memory=500Mi,requests.ephemeral-storage=50Gi,requests.example.com/gpu=3"
    )
    with pytest.raises(Forbidden, match=r"failed quota: all: must specify cpu for: main; limits\.cpu for: main; memory for: main"):
        await quotas.client.create(pod("silent"))
    first.metadata.labels["new"] = "label"
    await quotas.client.update(first)
    await used(quotas, cpu="500m", pods="1")
    await gone(quotas, first)
    await used(quotas, cpu="0", memory="0", pods="0", limits_cpu="0")


async def test_finished_pods_are_not_charged(quotas: Cluster) -> None:
    await made(quotas, quota(pods="1", count__pods="5"))
    first = await quotas.client.create(pod("first"))
    await used(quotas, pods="1", count__pods="1")
    first.status.phase = "Succeeded"
    await quotas.client.update_status(first)
    await used(quotas, pods="0", count__pods="1")
    await quotas.client.create(pod("second"))


async def test_the_life_of_services(quotas: Cluster) -> None:
    await made(quotas, quota(services="4", services_nodeports="2", services_loadbalancers="1"))

    def service(name: str, type_: str, ports: int = 1) -> core.Service:
        numbers = [{"name": f"p{port}", "port": port} for port in range(80, 80 + ports)]
        return msgspec.convert({"metadata": {"name": name, "namespace": NS}, "spec": {"type": type_, "ports": numbers}}, core.Service)

    plain = await quotas.client.create(service("plain", "ClusterIP"))
    balanced = await quotas.client.create(service("balanced", "LoadBalancer"))
    await used(quotas, services="3", services_nodeports="1", services_loadbalancers="1")  # The first is `kubernetes`.
    with pytest.raises(Forbidden, match=r"exceeded quota: all, requested: services\.loadbalancers=1, used: services\.loadbalancers=1"):
        await quotas.client.create(service("more", "LoadBalancer"))
    with pytest.raises(Forbidden, match=r"requested: services\.nodeports=2, used: services\.nodeports=1, limited: services\.nodeports=2"):
        await quotas.client.create(service("more", "NodePort", 2))
    plain.spec.type = "NodePort"
    plain = await quotas.client.update(plain)
    await used(quotas, services="3", services_nodeports="2")
    plain.spec.type = "ClusterIP"
    for port in plain.spec.ports:
        port.nodePort = 0
    await quotas.client.update(plain)
    await gone(quotas, balanced)
    await used(quotas, services="2", services_nodeports="0", services_loadbalancers="0")


async def test_terminating_and_best_effort_scopes(quotas: Cluster) -> None:
    for scope in ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort"):
        await made(quotas, quota(scope.lower(), scopes=[scope], pods="5"))
    await quotas.client.create(pod("idle"))
    burstable = await quotas.client.create(pod("busy", {"cpu": "100m"}, activeDeadlineSeconds=3600))
    for name in ("terminating", "notterminating", "besteffort", "notbesteffort"):
        await used(quotas, name, pods="1")
    await gone(quotas, burstable)
    for name, count in (("terminating", "0"), ("notterminating", "1"), ("besteffort", "1"), ("notbesteffort", "0")):
        await used(quotas, name, pods=count)


async def test_priority_class_and_affinity_scopes(quotas: Cluster) -> None:
    selector = [{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]
    await made(quotas, quota("critical", selector=selector, pods="1"))
    await made(quotas, quota("far", scopes=["CrossNamespacePodAffinity"], pods="0"))
    await quotas.client.create(pod("plain"))
    await quotas.client.create(pod("critical", priorityClassName="system-node-critical"))
    await used(quotas, "critical", pods="1")
    with pytest.raises(Forbidden, match="exceeded quota: critical"):
        await quotas.client.create(pod("second", priorityClassName="system-node-critical"))
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "namespaces": ["other"]}
    with pytest.raises(Forbidden, match="exceeded quota: far"):
        await quotas.client.create(pod("far", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}))


async def test_a_resize_is_charged_and_given_back(quotas: Cluster) -> None:
    await made(quotas, quota(requests_cpu="1"))
    web = await quotas.client.create(pod("web", {"cpu": "500m"}))

    async def resize(cpu: str) -> core.Pod:
        found = await quotas.client.get(core.Pod, "web", NS)
        found.spec.containers[0].resources.requests["cpu"] = Quantity(cpu)
        return await quotas.client.update(found, subresource="resize")

    await resize("800m")
    await used(quotas, requests_cpu="800m")
    with pytest.raises(Forbidden, match=r"exceeded quota: all, requested: requests\.cpu=400m, used: requests\.cpu=800m"):
        await resize("1200m")
    await resize("300m")
    await used(quotas, requests_cpu="300m")
    await gone(quotas, web)
    await used(quotas, requests_cpu="0")


async def test_claims_are_charged_by_class(quotas: Cluster) -> None:
    gold, silver = "gold.storageclass.storage.k8s.io/requests.storage", "silver.storageclass.storage.k8s.io/persistentvolumeclaims"
    wanted = quota(requests_storage="10Gi", persistentvolumeclaims="5")
    wanted.spec.hard |= {gold: Quantity("4Gi"), silver: Quantity("0")}
    await made(quotas, wanted)
    await made(quotas, quota("fast", selector=[{"scopeName": "VolumeAttributesClass", "operator": "Exists"}], persistentvolumeclaims="1"))

    def claim(name: str, size: str, **spec: str) -> core.PersistentVolumeClaim:
        document = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
        return msgspec.convert({"metadata": {"name": name, "namespace": NS}, "spec": document}, core.PersistentVolumeClaim)

    first = await quotas.client.create(claim("a", "3Gi", storageClassName="gold", volumeAttributesClassName="fast"))
    found = await quotas.client.get(core.ResourceQuota, "all", NS)
    assert found.status.used == {"requests.storage": "3Gi", "persistentvolumeclaims": "1", gold: "3Gi", silver: "0"}
    for refused, said in (
        (claim("b", "2Gi", storageClassName="gold"), f"exceeded quota: all, requested: {gold}=2Gi, used: {gold}=3Gi, limited: {gold}=4Gi"),
        (claim("b", "1Gi", storageClassName="silver"), f"exceeded quota: all, requested: {silver}=1"),
        (claim("b", "1Gi", storageClassName="other", volumeAttributesClassName="slow"), "exceeded quota: fast"),
        (claim("b", "8Gi", storageClassName="other"), "exceeded quota: all, requested: requests.storage=8Gi"),
    ):
        with pytest.raises(Forbidden, match=re.escape(said)):
            await quotas.client.create(refused)
    first.metadata.finalizers = []
    await quotas.client.update(first)
    await gone(quotas, first)
    await used(quotas, requests_storage="0", persistentvolumeclaims="0")
    await used(quotas, "fast", persistentvolumeclaims="0")


async def test_the_life_of_a_custom_object(quotas: Cluster) -> None:
    client, name = quotas.client, "count/widgets.example.com"
    wanted = quota()
    wanted.spec.hard = {name: Quantity("1")}
    await client.create(wanted)
    await eventually(lambda: _says(quotas, {}))  # Nobody knows such a kind yet.
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }
    await _post(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    path = f"/apis/example.com/v1/namespaces/{NS}/widgets"

    async def create(widget: str) -> bool:
        try:
            await _post(client, path, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": widget}})
        except NotFound:
            return False
        return True

    await eventually(lambda: _says(quotas, {name: "0"}))
    await eventually(lambda: create("a"))
    assert await _says(quotas, {name: "1"})
    with pytest.raises(Forbidden, match=re.escape(f'widgets.example.com "b" is forbidden: exceeded quota: all, requested: {name}=1')):
        await create("b")
    await client.raw("DELETE", f"{path}/a")
    await eventually(lambda: _says(quotas, {name: "0"}))
    assert await create("b")


async def _post(client: Client, path: str, document: dict[str, Any]) -> None:
    await client.raw("POST", path, body=msgspec.json.encode(document), headers={"content-type": "application/json"})


async def _says(cluster: Cluster, used: dict[str, str]) -> bool:
    found = await cluster.client.get(core.ResourceQuota, "all", NS)
    return found.status.hard == found.spec.hard and found.status.used == used


async def test_quotas_are_changed_and_deleted(quotas: Cluster) -> None:
    await made(quotas, quota(pods="1", cpu="1", memory="500Mi"))
    patched = await quotas.client.patch(
        core.ResourceQuota, "all", NS, body={"metadata": {"labels": {"a": "b"}}, "spec": {"hard": {"memory": "750Mi", "pods": None}}}
    )
    assert patched.spec.hard == {"cpu": "1", "memory": "750Mi"}
    found = await used(quotas, cpu="0", memory="0")
    assert found.status.used == {"cpu": "0", "memory": "0"}
    assert [item.metadata.name for item in (await quotas.client.list(core.ResourceQuota, labels="a=b")).items] == ["all"]
    await quotas.client.delete_collection(core.ResourceQuota, NS, labels="a=b")
    with pytest.raises(NotFound):
        await quotas.client.get(core.ResourceQuota, "all", NS)
    await quotas.client.create(pod())


async def test_a_status_written_by_others_is_put_right(quotas: Cluster) -> None:
    await made(quotas, quota(cpu="500m", memory="500Mi"))
    body = {"status": {"hard": {"cpu": "2", "memory": "2Gi"}, "used": {"cpu": "1"}}}
    patched = await quotas.client.patch(core.ResourceQuota, "all", NS, body=body, subresource="status")
    assert (patched.status.hard, patched.spec.hard["cpu"]) == ({"cpu": "2", "memory": "2Gi"}, "500m")
    await used(quotas, cpu="0", memory="0")


async def test_dry_run_is_not_charged(quotas: Cluster) -> None:
    await made(quotas, quota(configmaps="1"))
    config = core.ConfigMap(metadata=ObjectMeta(name="a", namespace=NS))
    path, body = f"/api/v1/namespaces/{NS}/configmaps", msgspec.json.encode(config)
    headers = {"content-type": "application/json"}
    await quotas.client.raw("POST", path, query=[("dryRun", "All")], body=body, headers=headers)
    assert (await quotas.client.get(core.ResourceQuota, "all", NS)).status.used == {"configmaps": "0"}
    await quotas.client.create(config)
    with pytest.raises(Forbidden, match="exceeded quota"):
        await quotas.client.raw("POST", path, query=[("dryRun", "All")], body=body.replace(b'"a"', b'"b"'), headers=headers)


async def _make_many(clients: Sequence[Client], count: int) -> int:
    """Create `count` ConfigMaps concurrently; returns the number admitted."""

    async def create(number: int) -> bool:
        try:
            config = core.ConfigMap(metadata=ObjectMeta(name=f"c{number}", namespace=NS))
            await clients[number % len(clients)].create(config)
        except Forbidden:
            return False
        return True

    return sum(await asyncio.gather(*(create(number) for number in range(count))))


async def test_a_crowd_never_gets_more_than_there_is(quotas: Cluster) -> None:
    before = await made(quotas, quota(configmaps="10", count__configmaps="12"))
    assert await _make_many([quotas.client], 60) == 10
    found = await used(quotas, configmaps="10", count__configmaps="10")
    writes = int(found.metadata.resourceVersion) - int(before.metadata.resourceVersion)
    assert writes < 10  # Charges were shared.


class _OneStore:
    """A store that several servers use: whoever made it starts and closes it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def start(self) -> None: ...

    async def close(self) -> None: ...


async def test_several_servers_never_give_more_than_there_is(tmp_path: Path) -> None:
    memory = MemoryStore()
    store = cast("Store", _OneStore(memory))
    await memory.start()
    async with running_api_server(tmp_path, store=store) as (_, first), running_api_server(tmp_path, store=store) as (_, second):
        clients = [first(), second()]
        await clients[0].create(quota(configmaps="10"))
        status = await clients[0].get(core.ResourceQuota, "all", NS)
        status.status = core.ResourceQuotaStatus(hard=status.spec.hard, used={"configmaps": Quantity("0")})
        await clients[0].update_status(status)
        assert await _make_many(clients, 60) == 10
        assert (await clients[1].get(core.ResourceQuota, "all", NS)).status.used == {"configmaps": "10"}
    await memory.close()
