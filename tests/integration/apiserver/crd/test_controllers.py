"""Controllers that look after objects of all kinds learn of custom ones while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.apiserver.api import CONFIGS, Api, Doc, config
from tests.integration.apiserver.crd.made import CRONTABS, DEFINITIONS, GROUP, NAME, crontab, define, definition, gone
from tiphys.aio.tasks import cancel_and_wait
from tiphys.controllers.registry import all_controllers
from tiphys.controllers.settings import ControllerSettings
from tiphys.runtime import Manager
from tiphys.testing.api_server import running_api_server
from tiphys.testing.eventually import eventually


@asynccontextmanager
async def controlled(keys: Path) -> AsyncIterator[Api]:
    async with running_api_server(keys) as (server, client_for):
        manager = Manager(client_for("system:kube-controller-manager"))
        names = ("garbage-collector-controller", "namespace")
        manager.add_all(made for made in all_controllers(ControllerSettings()) if made.declaration.name in names)
        task = asyncio.create_task(manager.run())
        try:
            await eventually(lambda: manager.synced or task.done())
            yield Api(server)
            assert not task.done(), task
        finally:
            await cancel_and_wait(task)


def owned(owner: Doc, *, block: bool = True) -> Doc:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": block}
    reference |= {name: owner["metadata"][name] for name in ("name", "uid")}
    return {"ownerReferences": [reference]}


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_custom_objects_take_their_dependents_with_them(keys: Path, policy: str) -> None:
    async with controlled(keys) as api:
        await define(api, definition())
        owner = (await api.post(CRONTABS, crontab("owner"))).doc
        child = (await api.post(CRONTABS, crontab("child", metadata=owned(owner)))).doc
        await api.post(CONFIGS, config("grandchild") | {"metadata": {"name": "grandchild", **owned(child)}})
        await api.delete(f"{CRONTABS}/owner?propagationPolicy={policy}")
        await gone(api, f"{CRONTABS}/owner")
        await gone(api, f"{CRONTABS}/child")
        await gone(api, f"{CONFIGS}/grandchild")


async def test_orphans_of_custom_objects_stay(keys: Path) -> None:
    async with controlled(keys) as api:
        await define(api, definition())
        owner = (await api.post(CRONTABS, crontab("owner"))).doc
        await api.post(CRONTABS, crontab("child", metadata=owned(owner)))
        await api.delete(f"{CRONTABS}/owner?propagationPolicy=Orphan")
        await gone(api, f"{CRONTABS}/owner")
        assert "ownerReferences" not in (await api.get(f"{CRONTABS}/child")).doc["metadata"]


async def test_a_namespace_goes_with_its_custom_objects(keys: Path) -> None:
    async with controlled(keys) as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
        await define(api, definition())
        place = f"/apis/{GROUP}/v1/namespaces/team/crontabs"
        await api.post(place, crontab("a"))
        await api.post(place, crontab("held", metadata={"finalizers": ["example.com/wait"]}))
        await api.delete("/api/v1/namespaces/team")
        await gone(api, f"{place}/a")

        async def told() -> bool:
            status = (await api.get("/api/v1/namespaces/team")).doc["status"]
            return "crontabs.stable.example.com has 1 resource instances" in str(status)

        await eventually(told)
        await api.patch(f"{place}/held", {"metadata": {"finalizers": None}})
        await gone(api, "/api/v1/namespaces/team")


async def test_a_kind_that_comes_again_is_collected_again(keys: Path) -> None:
    async with controlled(keys) as api:
        for _ in range(2):
            await define(api, definition())
            owner = (await api.post(CONFIGS, config("owner"))).doc
            await api.post(CRONTABS, crontab("child", metadata=owned(owner)))
            await api.delete(f"{CONFIGS}/owner")
            await gone(api, f"{CRONTABS}/child")
            await api.delete(f"{DEFINITIONS}/{NAME}")
            await gone(api, f"{DEFINITIONS}/{NAME}")
