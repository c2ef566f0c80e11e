"""Rights on a node's subresources, as the real API server decides on them for its kubelet (KEP-2862)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tiphys.aio.clock import LoopClock
from tiphys.api.authentication.v1 import TokenRequest, TokenRequestSpec
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from tiphys.client.client import Client
from tiphys.node.serve.endpoints.callers import Callers
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.testing.api_server import running_api_server
from tiphys.wire.http import PeerIdentity, Request

PATHS = ("/pods", "/runningpods/", "/healthz", "/configz", "/metrics", "/stats/summary", "/logs/", "/exec/a/b/c")


async def grant(client: Client, subject: Subject, *resources: str) -> None:
    name = f"test-{subject.name}"
    rules = [PolicyRule(verbs=["get"], apiGroups=[""], resources=list(resources))]
    await client.create(ClusterRole(metadata=ObjectMeta(name=name), rules=rules))
    ref = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name=name)
    await client.create(ClusterRoleBinding(metadata=ObjectMeta(name=name), roleRef=ref, subjects=[subject]))


async def open_to(callers: Callers, peer: PeerIdentity, token: str = "") -> list[str]:
    """The paths that somebody may read."""
    opened = []
    for path in PATHS:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with contextlib.suppress(Refusal):
            await callers.check(Request("GET", path, headers=headers, peer=peer))
            opened.append(path)
    return opened


@pytest.mark.parametrize(
    ("rights", "paths"),
    [
        (["nodes/configz"], ["/configz"]),
        (["nodes/pods"], ["/pods", "/runningpods/"]),
        (["nodes/healthz", "nodes/metrics"], ["/healthz", "/metrics"]),
        (["nodes/proxy"], ["/pods", "/runningpods/", "/healthz", "/configz", "/exec/a/b/c"]),
        (["nodes/stats", "nodes/log"], ["/stats/summary", "/logs/"]),
        (["nodes"], []),
    ],
)
async def test_rights_open_their_paths(tmp_path: Path, rights: list[str], paths: list[str]) -> None:
    async with running_api_server(tmp_path) as (_, client_for):
        admin = client_for()
        await grant(admin, Subject(kind="User", name="reader"), *rights)
        # The kubelet asks with its own identity, as a node may.
        node = client_for("system:node:n1", "system:nodes")
        callers = Callers(node, LoopClock(), node="n1", trusted=())
        assert await open_to(callers, PeerIdentity(common_name="reader")) == paths
        assert await open_to(callers, PeerIdentity(common_name="stranger")) == []
        for path in PATHS:
            await callers.check(Request("POST", path, peer=PeerIdentity(common_name="x", organizations=("system:masters",))))


async def test_a_token_of_a_service_account(tmp_path: Path) -> None:
    async with running_api_server(tmp_path) as (_, client_for):
        admin = client_for()
        await admin.create(core.ServiceAccount(metadata=ObjectMeta(name="scraper", namespace="default")))
        await grant(admin, Subject(kind="ServiceAccount", name="scraper", namespace="default"), "nodes/metrics")
        request = TokenRequest(spec=TokenRequestSpec(expirationSeconds=600))
        made = await admin.post(core.ServiceAccount, "scraper", "default", "token", request, TokenRequest)
        callers = Callers(client_for("system:node:n1", "system:nodes"), LoopClock(), node="n1", trusted=())
        assert await open_to(callers, PeerIdentity(), made.status.token) == ["/metrics"]
        with pytest.raises(Refusal) as refusal:
            await callers.check(Request("GET", "/metrics", headers={"authorization": "Bearer " + made.status.token[:-4] + "AAAA"}))
        assert refusal.value.status == 401
