"""Reads served from the past: what a cache between a client and the store shows while it lags behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from tiphys.api.machinery.errors import NotFound
from tiphys.apiserver.answers import render
from tiphys.testing.calls import Call
from tiphys.wire.http import Request, Response

Forward = Callable[[Request], Awaitable[Response]]

_OVERRULED = ("resourceVersion", "resourceVersionMatch")


async def read_at(revision: int, call: Call, forward: Forward) -> Response:
    """Answer a get or a list with the state at a revision, which the server must still remember; anything else as it is.

    A list that goes on from an earlier page keeps the state of that page.
    """
    request = call.request
    if call.verb == "list" and not request.param("continue"):
        return await forward(_at(request, revision))
    if call.verb == "get" and call.name and not call.subresource:
        return await _get_at(revision, call, forward)
    return await forward(request)


def _at(request: Request, revision: int, *more: tuple[str, str]) -> Request:
    kept = [(name, value) for name, value in request.query if name not in _OVERRULED]
    query = [*kept, ("resourceVersion", str(revision)), ("resourceVersionMatch", "Exact"), *more]
    return msgspec.structs.replace(request, query=query)


async def _get_at(revision: int, call: Call, forward: Forward) -> Response:
    """A server reads only lists from the past: take the object out of one."""
    path = call.request.path.rpartition("/")[0]
    headers = {**call.request.headers, "accept": _list_accept(call.request)}
    request = msgspec.structs.replace(call.request, path=path, headers=headers)
    response = await forward(_at(request, revision, ("fieldSelector", f"metadata.name={call.name}")))
    if response.status != HTTPStatus.OK:
        return response
    body: dict[str, Any] = msgspec.json.decode(response.body)
    if not body["items"]:
        return render.failure(NotFound.object(call.resource, call.name, group=call.group), call.request)
    (item,) = body["items"]
    item.setdefault("apiVersion", body["apiVersion"])
    item.setdefault("kind", body["kind"].removesuffix("List"))
    return msgspec.structs.replace(response, body=msgspec.json.encode(item))


def _list_accept(request: Request) -> str:
    return request.headers.get("accept", "").replace("as=PartialObjectMetadata;", "as=PartialObjectMetadataList;")
