"""Service-account tokens: when they are asked for, and when anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.aio.clock import LoopClock
from tiphys.api.authentication import v1 as authn
from tiphys.api.core import v1 as core
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes.payload import TokenKey
from tiphys.testing.memory_api import MemoryApi

TOKENS = "create serviceaccounts/token"


class SetClock(LoopClock):
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def api(clock: SetClock) -> AsyncIterator[MemoryApi]:
    """An API server with the service account `robot`."""
    async with MemoryApi.running(clock=clock) as running:
        running.add(core.ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default")))
        yield running


def requests(api: MemoryApi) -> list[authn.TokenRequest]:
    """Requests that arrived."""
    return [msgspec.json.decode(call.request.body, type=authn.TokenRequest) for call in api.calls]


async def test_tokens_are_kept_until_four_fifths_of_their_life(api: MemoryApi, clock: SetClock) -> None:
    cache = TokenCache(api.client(), clock)
    it, key = pod({"name": "a"}, serviceAccountName="robot"), TokenKey("vault", 1000)
    api.add(it)
    first = await cache.get(it, key)
    (request,) = requests(api)
    assert (request.spec.audiences, request.spec.expirationSeconds) == (["vault"], 1000)
    assert cache.renewal("u1") == clock.at + timedelta(seconds=800)
    clock.at += timedelta(seconds=799)
    assert await cache.get(it, key) == first
    assert len(requests(api)) == 1
    clock.at += timedelta(seconds=1)
    second = await cache.get(it, key)
    assert second != first
    assert await cache.get(it, TokenKey("", 1000)) not in (first, second)
    assert len(requests(api)) == 3
    cache.forget("u1")
    assert cache.renewal("u1") is None


async def test_an_old_token_serves_while_no_new_one_is_to_be_had(api: MemoryApi, clock: SetClock) -> None:
    cache = TokenCache(api.client(), clock)
    it, key = pod({"name": "a"}, serviceAccountName="robot"), TokenKey("", 1000)
    api.add(it)
    token = await cache.get(it, key)
    api.faults.fail(TOKENS, ServiceUnavailable("away"), times=None)
    clock.at += timedelta(seconds=900)
    assert await cache.get(it, key) == token
    clock.at += timedelta(seconds=101)
    with pytest.raises(ServiceUnavailable):
        await cache.get(it, key)
