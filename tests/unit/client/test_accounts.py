"""Requests under service accounts."""

from __future__ import annotations

import pytest

from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import Forbidden
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac import v1 as rbac
from tiphys.client.accounts import AccountToken, AccountTransport
from tiphys.client.client import Client
from tiphys.client.inprocess import InProcessTransport
from tiphys.testing.api_server import ADMIN
from tiphys.testing.memory_api import MemoryApi
from tiphys.testing.samples import config
from tiphys.wire.http import Request, Response

pytestmark = pytest.mark.looptime


class Door:
    """The API for requests that bring their credentials; notes the accounts whose tokens were asked for."""

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.asked: list[str] = []
        self.admin = Client(InProcessTransport(self._note, peer=ADMIN), clock=api.clock)

    async def _note(self, request: Request) -> Response:
        if request.path.endswith("/token"):
            self.asked.append(request.path.split("/")[-2])
        return await self.api.handle(request)

    def client(self, *accounts: str) -> Client:
        tokens = [AccountToken(self.admin, account, self.api.clock) for account in accounts]
        return Client(AccountTransport(InProcessTransport(self.api.handle), tokens), clock=self.api.clock)


def may(account: str, verbs: list[str], resource: str) -> tuple[rbac.ClusterRole, rbac.ClusterRoleBinding]:
    """A role of an account in kube-system."""
    rule = rbac.PolicyRule(apiGroups=[""], resources=[resource], verbs=verbs)
    subject = rbac.Subject(kind="ServiceAccount", name=account, namespace="kube-system")
    reference = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=account)
    meta = ObjectMeta(name=account)
    return rbac.ClusterRole(metadata=meta, rules=[rule]), rbac.ClusterRoleBinding(metadata=meta, roleRef=reference, subjects=[subject])


async def test_an_account_is_made_and_its_rights_count(api: MemoryApi) -> None:
    door = Door(api)
    for obj in may("reader", ["get"], "configmaps"):
        await door.admin.create(obj)
    await door.admin.create(config("c"))
    client = door.client("reader")
    assert (await client.get(core.ConfigMap, "c", "default")).metadata.name == "c"
    with pytest.raises(Forbidden, match="system:serviceaccount:kube-system:reader"):
        await client.delete(core.ConfigMap, "c", "default")
    assert api.find(core.ServiceAccount, "reader", "kube-system") is not None


async def test_a_request_is_sent_under_the_account_that_may(api: MemoryApi) -> None:
    door = Door(api)
    for obj in (*may("reader", ["get"], "configmaps"), *may("writer", ["create"], "configmaps")):
        await door.admin.create(obj)
    client = door.client("reader", "writer")
    await client.create(config("c"))
    assert await client.get(core.ConfigMap, "c", "default")
    with pytest.raises(Forbidden, match="kube-system:writer"):
        await client.delete(core.ConfigMap, "c", "default")


async def test_tokens_are_renewed_in_time_and_when_they_are_refused(api: MemoryApi) -> None:
    door = Door(api)
    for obj in may("reader", ["get"], "configmaps"):
        await door.admin.create(obj)
    await door.admin.create(config("c"))
    client = door.client("reader")
    for _ in range(3):
        await client.get(core.ConfigMap, "c", "default")
    door.asked.clear()
    await client.get(core.ConfigMap, "c", "default")
    assert door.asked == [], "a token serves many requests"
    await api.clock.sleep(3000)
    await client.get(core.ConfigMap, "c", "default")
    assert door.asked == ["reader"]
    await door.admin.delete(core.ServiceAccount, "reader", "kube-system")
    await api.clock.sleep(60)  # The server remembers tokens for some seconds.
    await client.get(core.ConfigMap, "c", "default")
    assert door.asked == ["reader"] * 3, "the account is made anew"
