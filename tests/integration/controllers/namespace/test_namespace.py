"""Namespaces: born with an account and the root CA, and emptied before they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.controllers.conftest import Cluster, running_kubelet
from tests.integration.controllers.make import deployment, service
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.controllers.rootca.settings import RootCaSettings
from tiphys.testing import eventually


async def gone(cluster: Cluster, name: str) -> bool:
    try:
        await cluster.client.get(core.Namespace, name)
    except NotFound:
        return True
    return False


async def test_a_new_namespace_is_furnished_and_kept_so(cluster: Cluster) -> None:
    bundle = Path(cluster.settings.of(RootCaSettings).file).read_text()  # noqa: ASYNC240
    async with cluster.controllers():
        await cluster.client.create(core.Namespace(metadata=ObjectMeta(name="shop")))

        async def furnished() -> bool:
            accounts = (await cluster.client.list(core.ServiceAccount, "shop")).items
            configs = (await cluster.client.list(core.ConfigMap, "shop")).items
            return bool(accounts) and [config.data.get("ca.crt") for config in configs] == [bundle]

        await eventually(furnished)
        await cluster.client.delete(core.ServiceAccount, "default", "shop")
        await cluster.client.patch(core.ConfigMap, "kube-root-ca.crt", "shop", body={"data": {"ca.crt": "wrong"}})
        await eventually(furnished)
        await cluster.client.delete(core.ConfigMap, "kube-root-ca.crt", "shop")
        await eventually(furnished)


async def test_everything_in_it_goes(cluster: Cluster) -> None:
    async with cluster.controllers(), running_kubelet(cluster):
        await cluster.client.create(core.Namespace(metadata=ObjectMeta(name="shop")))
        await eventually(lambda: cluster.has_account("shop"))
        for obj in (deployment(3), service()):
            obj.metadata.namespace = "shop"
            await cluster.client.create(obj)

        async def running() -> bool:
            return len([pod for pod in await cluster.pods("shop") if pod.status.phase == "Running"]) == 3

        await eventually(running)
        await cluster.client.create(core.Secret(metadata=ObjectMeta(name="key", namespace="shop")))
        await cluster.client.delete(core.Namespace, "shop")
        await eventually(lambda: gone(cluster, "shop"))
        assert await cluster.pods("shop") == []
        with pytest.raises(NotFound):
            await cluster.client.get(core.Secret, "key", "shop")
        assert not await gone(cluster, "default")


async def test_reports_remaining_contents(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(core.Namespace(metadata=ObjectMeta(name="shop")))
        held = core.ConfigMap(metadata=ObjectMeta(name="held", namespace="shop", finalizers=["example.com/hold"]))
        await cluster.client.create(held)
        await cluster.client.delete(core.Namespace, "shop")

        async def told() -> bool:
            found = await cluster.client.get(core.Namespace, "shop")
            conditions = {c.type: (c.status, c.reason, c.message) for c in found.status.conditions}
            return (
                found.status.phase == "Terminating"
                and conditions.get("NamespaceContentRemaining")
                == ("True", "SomeResourcesRemain", "Some resources are remaining: configmaps has 1 resource instances")
                and conditions.get("NamespaceFinalizersRemaining")
                == (
                    "True",
                    "SomeFinalizersRemain",
                    "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
                )
                and conditions.get("NamespaceDeletionContentFailure", ("",))[0] == "False"
            )

        await eventually(told)
        await cluster.client.patch(core.ConfigMap, "held", "shop", body={"metadata": {"finalizers": None}})
        await eventually(lambda: gone(cluster, "shop"))


async def test_pods_go_before_everything_else(cluster: Cluster) -> None:
    async with cluster.controllers():
        await cluster.client.create(core.Namespace(metadata=ObjectMeta(name="shop")))
        await eventually(lambda: cluster.has_account("shop"))
        held = core.Pod(
            metadata=ObjectMeta(name="held", namespace="shop", finalizers=["example.com/hold"]),
            spec=core.PodSpec(containers=[core.Container(name="main", image="registry.example/web:1")]),
        )
        await cluster.client.create(held)
        await cluster.client.create(core.ConfigMap(metadata=ObjectMeta(name="config", namespace="shop")))
        await cluster.client.delete(core.Namespace, "shop")

        async def told() -> bool:
            conditions = {c.type: c.message for c in (await cluster.client.get(core.Namespace, "shop")).status.conditions}
            return conditions.get("NamespaceContentRemaining") == "Some resources are remaining: pods has 1 resource instances"

        await eventually(told)
        assert (await cluster.pods("shop"))[0].metadata.deletionTimestamp is not None
        assert (await cluster.client.get(core.ConfigMap, "config", "shop")).metadata.deletionTimestamp is None
        await cluster.client.patch(core.Pod, "held", "shop", body={"metadata": {"finalizers": None}})
        await eventually(lambda: gone(cluster, "shop"))
