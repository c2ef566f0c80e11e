"""Service-account tokens: when they are asked for, and when anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.aio.clock import LoopClock
from tiphys.api.authentication import v1 as authn
from tiphys.api.machinery.errors import ServiceUnavailable
from tiphys.node.tokens import TokenCache
from tiphys.node.volumes.payload import TokenKey
from tiphys.testing.fake_api import Call, FakeApi
from tiphys.wire.http import Request, Response


class SetClock(LoopClock):
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


async def test_tokens_are_kept_until_four_fifths_of_their_life() -> None:
    api, clock = FakeApi(), SetClock()
    asked: list[authn.TokenRequest] = []

    def answer(call: Call, request: Request) -> Response | None:
        body = msgspec.json.decode(request.body, type=authn.TokenRequest)
        asked.append(body)
        body.status.token = f"t{len(asked)}"
        body.status.expirationTimestamp = clock.at + timedelta(seconds=body.spec.expirationSeconds or 0)
        return Response(status=201, headers={"content-type": "application/json"}, body=msgspec.json.encode(body))

    api.react(answer)
    cache = TokenCache(api.client(), clock)
    it, key = pod({"name": "a"}, serviceAccountName="robot"), TokenKey("vault", 1000)
    assert await cache.get(it, key) == "t1"
    assert (asked[0].spec.audiences, asked[0].spec.expirationSeconds) == (["vault"], 1000)
    assert cache.renewal("u1") == clock.at + timedelta(seconds=800)
    clock.at += timedelta(seconds=799)
    assert await cache.get(it, key) == "t1"
    clock.at += timedelta(seconds=1)
    assert await cache.get(it, key) == "t2"
    assert await cache.get(it, TokenKey("", 1000)) == "t3"
    cache.forget("u1")
    assert cache.renewal("u1") is None


async def test_an_old_token_serves_while_no_new_one_is_to_be_had() -> None:
    api, clock = FakeApi(), SetClock()
    away = False

    def answer(call: Call, request: Request) -> Response | None:
        if away:
            raise ServiceUnavailable("away")
        body = msgspec.json.decode(request.body, type=authn.TokenRequest)
        body.status.token = "t"
        body.status.expirationTimestamp = clock.at + timedelta(seconds=1000)
        return Response(status=201, headers={"content-type": "application/json"}, body=msgspec.json.encode(body))

    api.react(answer)
    cache = TokenCache(api.client(), clock)
    it, key = pod({"name": "a"}), TokenKey("", 1000)
    await cache.get(it, key)
    away = True
    clock.at += timedelta(seconds=900)
    assert await cache.get(it, key) == "t"
    clock.at += timedelta(seconds=101)
    with pytest.raises(ServiceUnavailable):
        await cache.get(it, key)
