"""Authentication and authorization of callers of the kubelet: the reviews that it asks for, and how long they hold."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tiphys.aio.clock import VirtualClock
from tiphys.api.authentication.v1 import TokenReview, TokenReviewStatus, UserInfo
from tiphys.api.authorization.v1 import SubjectAccessReview
from tiphys.node.serve.endpoints.callers import Callers, subresources_of, verb_of
from tiphys.node.serve.endpoints.refusal import Refusal
from tiphys.runtime import delegated
from tiphys.testing.fake_api import Call, FakeApi
from tiphys.wire.http import PeerIdentity, Request, Response

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
    """An API server that knows one token and grants what `allowed` names (user, subresource)."""

    def __init__(self) -> None:
        self.api = FakeApi(clock=VirtualClock())
        self.allowed: set[tuple[str, str]] = set()
        self.api.react(self._answer)
        self.callers = Callers(self.api.client(), VirtualClock(), node="n1", trusted=("apiserver",))

    def _answer(self, call: Call, request: Request) -> Response | None:
        if call.resource == "tokenreviews":
            token = self.api.decode(self.api.scheme.of(TokenReview), request.body)
            good = token.spec.token == "good"
            user = UserInfo(username="robot", groups=["robots", "system:authenticated"], extra={"a": ["b"]}) if good else UserInfo()
            token.status = TokenReviewStatus(authenticated=good, user=user)
            return Response(201, body=msgspec.json.encode(token))
        if call.resource == "subjectaccessreviews":
            review = self.api.decode(self.api.scheme.of(SubjectAccessReview), request.body)
            wanted = review.spec.resourceAttributes
            assert wanted is not None
            assert (wanted.resource, wanted.name, wanted.group) == ("nodes", "n1", "")
            review.status.allowed = (review.spec.user, wanted.subresource) in self.allowed
            return Response(201, body=msgspec.json.encode(review))
        return None

    async def status(
        self, path: str = "/pods", *, user: str = "", groups: tuple[str, ...] = (), token: str = "", method: str = "GET"
    ) -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
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


async def test_trusted_callers_cost_no_request() -> None:
    judge = Judge()
    assert await judge.status("/exec/a/b/c", user="apiserver", method="POST") == 200
    assert await judge.status("/logs/", user="admin", groups=("system:masters",)) == 200
    assert judge.asked() == []


async def test_a_caller_without_identity_is_refused() -> None:
    judge = Judge()
    assert await judge.status() == 401
    assert judge.asked() == []
    assert await judge.status(token="bad") == 401
    assert await judge.status(token="bad") == 401
    assert judge.asked() == ["tokenreviews"]


async def test_the_fine_subresource_is_asked_for_before_proxy() -> None:
    judge = Judge()
    judge.allowed = {("reader", "pods"), ("proxy", "proxy")}
    assert await judge.status("/pods", user="reader") == 200
    assert judge.asked() == ["subjectaccessreviews"]
    assert await judge.status("/configz", user="reader") == 403
    assert judge.asked() == ["subjectaccessreviews"] * 2
    assert await judge.status("/configz", user="proxy") == 200
    assert await judge.status("/metrics", user="proxy") == 403
    with pytest.raises(Refusal) as refusal:
        await judge.callers.check(Request("GET", "/configz", peer=PeerIdentity(common_name="reader")))
    assert str(refusal.value) == "Forbidden (user=reader, verb=get, resource=nodes, subresource(s)=[configz proxy])"


async def test_answers_hold_for_a_while() -> None:
    judge = Judge()
    judge.allowed = {("robot", "pods")}
    assert await judge.status(token="good") == 200
    assert await judge.status(token="good") == 200
    assert judge.asked() == ["tokenreviews", "subjectaccessreviews"]
    judge.allowed = {("robot", "healthz")}
    await asyncio.sleep(delegated.TOKEN_SECONDS + 1)
    assert await judge.status(token="good") == 200
    assert judge.asked() == ["tokenreviews"]
    await asyncio.sleep(delegated.ALLOWED_SECONDS)
    assert await judge.status(token="good") == 403
    judge.allowed = {("robot", "pods")}
    assert await judge.status(token="good") == 403
    await asyncio.sleep(delegated.DENIED_SECONDS + 1)
    assert await judge.status(token="good") == 200


async def test_an_api_server_that_is_away_opens_nothing() -> None:
    judge = Judge()
    judge.allowed = {("reader", "pods")}
    judge.api.down = True
    assert await judge.status(user="reader") == 500
    assert await judge.status(token="good") == 401
    judge.api.down = False
    assert await judge.status(user="reader") == 200


async def test_memory_of_answers_is_bounded() -> None:
    judge = Judge()
    for number in range(delegated.REMEMBERED + 5):
        assert await judge.status(token=f"bad{number}") == 401
    judge.asked()
    assert await judge.status(token=f"bad{delegated.REMEMBERED + 4}") == 401
    assert judge.asked() == []
    assert await judge.status(token="bad0") == 401
    assert judge.asked() == ["tokenreviews"]
