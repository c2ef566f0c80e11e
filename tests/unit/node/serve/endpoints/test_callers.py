"""Authentication and authorization of callers of the kubelet: the reviews that it asks for, and how long they hold."""

from __future__ import annotations

import asyncio

import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.authentication.v1 import TokenRequest
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac import v1 as rbac
from tiphys.node.serve.endpoints.callers import Callers, subresources_of, verb_of
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.runtime import delegated
from tiphys.testing.memory_api import MemoryApi
from tiphys.wire.http import PeerIdentity, Request

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("path", "subresources"),
    [
        ("/pods", ["pods", "proxy"]),
        ("/pods/", ["pods", "proxy"]),
        ("/runningpods/", ["pods", "proxy"]),
        ("/healthz", ["healthz", "proxy"]),
        ("/healthz/syncloop", ["healthz", "proxy"]),
        ("/configz", ["configz", "proxy"]),
        ("/stats/summary", ["stats"]),
        ("/metrics/cadvisor", ["metrics"]),
        ("/logs/", ["log"]),
        ("/logs/apt/history.log", ["log"]),
        ("/checkpoint/a/b/c", ["checkpoint"]),
        ("/exec/default/web/main", ["proxy"]),
        ("/containerLogs/default/web/main", ["proxy"]),
        ("/podsandmore", ["proxy"]),
        ("//pods", ["pods", "proxy"]),
        ("/", ["proxy"]),
    ],
)
def test_subresources_of_paths(path: str, subresources: list[str]) -> None:
    assert subresources_of(path) == subresources


def test_verbs_of_methods() -> None:
    assert [verb_of(method) for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")] == [
        "get", "create", "update", "patch", "delete", "",
    ]  # fmt: skip


class Judge:
    """A node's guard and an API server that knows the token "good" of a service account called robot."""

    def __init__(self, api: MemoryApi, token: str) -> None:
        self.api = api
        self.callers = Callers(api.client(), VirtualClock(), node="n1", trusted=("apiserver",))
        self._tokens = {"good": token}

    @classmethod
    async def of(cls, api: MemoryApi) -> Judge:
        api.add(core.ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default")))
        request = TokenRequest(metadata=ObjectMeta(name="robot", namespace="default"))
        answer = await api.client().post(core.ServiceAccount, "robot", "default", "token", request, TokenRequest)
        api.calls.clear()
        return cls(api, answer.status.token)

    def allow(self, *grants: tuple[str, str]) -> None:
        """Let these users (or service accounts) reach these subresources of the node, and nobody else."""
        for type_ in (rbac.ClusterRole, rbac.ClusterRoleBinding):
            for old in self.api.list(type_):
                if old.metadata.name.startswith("grant-"):
                    self.api.remove(type_, old.metadata.name)
        for number, (user, subresource) in enumerate(grants):
            meta = ObjectMeta(name=f"grant-{number}")
            rule = rbac.PolicyRule(apiGroups=[""], resources=[f"nodes/{subresource}"], resourceNames=["n1"], verbs=["get"])
            subjects = [
                rbac.Subject(apiGroup="rbac.authorization.k8s.io", kind="User", name=user),
                rbac.Subject(kind="ServiceAccount", namespace="default", name=user),
            ]
            role = rbac.RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=meta.name)
            self.api.add(
                rbac.ClusterRole(metadata=meta, rules=[rule]), rbac.ClusterRoleBinding(metadata=meta, roleRef=role, subjects=subjects)
            )

    async def status(
        self, path: str = "/pods", *, user: str = "", groups: tuple[str, ...] = (), token: str = "", method: str = "GET"
    ) -> int:
        headers = {"authorization": f"Bearer {self._tokens.get(token, token)}"} if token else {}
        peer = PeerIdentity(common_name=user, organizations=groups)
        try:
            await self.callers.check(Request(method, path, headers=headers, peer=peer))
        except Refusal as refusal:
            return refusal.status
        return 200

    def asked(self) -> list[str]:
        asked = [call.resource for call in self.api.calls]
        self.api.calls.clear()
        return asked


async def test_trusted_callers_cost_no_request(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    assert await judge.status("/exec/a/b/c", user="apiserver", method="POST") == 200
    assert await judge.status("/logs/", user="admin", groups=("system:masters",)) == 200
    assert judge.asked() == []


async def test_a_caller_without_identity_is_refused(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    assert await judge.status() == 401
    assert judge.asked() == []
    assert await judge.status(token="bad") == 401
    assert await judge.status(token="bad") == 401
    assert judge.asked() == ["tokenreviews"]


async def test_the_fine_subresource_is_asked_for_before_proxy(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    judge.allow(("reader", "pods"), ("proxy", "proxy"))
    assert await judge.status("/pods", user="reader") == 200
    assert judge.asked() == ["subjectaccessreviews"]
    assert await judge.status("/configz", user="reader") == 403
    assert judge.asked() == ["subjectaccessreviews"] * 2
    assert await judge.status("/configz", user="proxy") == 200
    assert await judge.status("/metrics", user="proxy") == 403
    with pytest.raises(Refusal) as refusal:
        await judge.callers.check(Request("GET", "/configz", peer=PeerIdentity(common_name="reader")))
    assert str(refusal.value) == "Forbidden (user=reader, verb=get, resource=nodes, subresource(s)=[configz proxy])"


async def test_answers_hold_for_a_while(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    judge.allow(("robot", "pods"))
    assert await judge.status(token="good") == 200
    assert await judge.status(token="good") == 200
    assert judge.asked() == ["tokenreviews", "subjectaccessreviews"]
    judge.allow(("robot", "healthz"))
    await asyncio.sleep(delegated.TOKEN_SECONDS + 1)
    assert await judge.status(token="good") == 200
    assert judge.asked() == ["tokenreviews"]
    await asyncio.sleep(delegated.ALLOWED_SECONDS)
    assert await judge.status(token="good") == 403
    judge.allow(("robot", "pods"))
    assert await judge.status(token="good") == 403
    await asyncio.sleep(delegated.DENIED_SECONDS + 1)
    assert await judge.status(token="good") == 200


async def test_an_api_server_that_is_away_opens_nothing(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    judge.allow(("reader", "pods"))
    judge.api.faults.down = True
    assert await judge.status(user="reader") == 500
    assert await judge.status(token="good") == 401
    judge.api.faults.down = False
    assert await judge.status(user="reader") == 200


async def test_memory_of_answers_is_bounded(api: MemoryApi) -> None:
    judge = await Judge.of(api)
    for number in range(delegated.REMEMBERED + 5):
        assert await judge.status(token=f"bad{number}") == 401
    judge.asked()
    assert await judge.status(token=f"bad{delegated.REMEMBERED + 4}") == 401
    assert judge.asked() == []
    assert await judge.status(token="bad0") == 401
    assert judge.asked() == ["tokenreviews"]
