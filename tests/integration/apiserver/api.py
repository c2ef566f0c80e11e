"""Requests as clients write them, and what comes back, without a client library in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tiphys.apiserver.server import ApiServer
from tiphys.http.head import parse_query
from tiphys.testing.api_server import ADMIN
from tiphys.wire.http import PeerIdentity, Request, Response

NS = "/api/v1/namespaces/default"
PODS, CONFIGS, SERVICES = f"{NS}/pods", f"{NS}/configmaps", f"{NS}/services"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Doc = dict[str, Any]


@dataclass
class Answer:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    repeated: list[tuple[str, str]] = field(default_factory=list)

    @property
    def doc(self) -> Doc:
        found: Doc = json.loads(self.body)
        return found

    @property
    def item(self) -> Doc:
        """The object as it stands in a list: without a type of its own."""
        return {name: value for name, value in self.doc.items() if name not in ("kind", "apiVersion")}

    @property
    def reason(self) -> str:
        """The reason of a failure, checked to be a well-formed Status that agrees with the response's code."""
        status = self.doc
        assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure"), status
        assert status["code"] == self.status, status
        assert status["message"], status
        return str(status["reason"])

    @property
    def message(self) -> str:
        return str(self.doc["message"])

    @property
    def version(self) -> str:
        return str(self.doc["metadata"]["resourceVersion"])

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.doc["items"]]

    @property
    def warnings(self) -> list[str]:
        return [value for name, value in self.repeated if name == "Warning"]


class Events:
    """A watch: its events one by one."""

    def __init__(self, response: Response) -> None:
        assert response.stream is not None, response.body
        self._stream = response.stream
        self._lines: list[Doc] = []

    async def next(self, timeout: float = 10.0) -> Doc | None:
        """The next event, None when the stream has ended."""
        while not self._lines:
            try:
                chunk = await asyncio.wait_for(self._stream.__aiter__().__anext__(), timeout)
            except StopAsyncIteration:
                return None
            assert chunk.endswith(b"\n")
            self._lines = [json.loads(line) for line in chunk.splitlines()]
        return self._lines.pop(0)

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Types and names of the next events."""
        return [summary(await self.next()) for _ in range(count)]

    async def rest(self) -> list[Doc]:
        """Everything until the stream ends."""
        events: list[Doc] = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events

    async def close(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


def summary(event: Doc | None) -> tuple[str, str]:
    assert event is not None, "the watch ended"
    return event["type"], event["object"]["metadata"].get("name", "")


class Api:
    """An administrator's requests (or `peer`'s) to a server in this process."""

    def __init__(self, server: ApiServer, peer: PeerIdentity = ADMIN) -> None:
        self.server = server
        self._peer = peer

    def acting_as(self, name: str, *groups: str) -> Api:
        return Api(self.server, PeerIdentity(common_name=name, organizations=groups))

    async def respond(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        path, _, query = target.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data and "content-type" not in named:
            named["content-type"] = "application/json"
        request = Request(method, path, query=parse_query(query.encode()), headers=named, body=data, peer=self._peer)
        return await asyncio.wait_for(self.server.app.handle(request), 30)

    async def send(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        response = await self.respond(method, target, body, **headers)
        assert response.stream is None
        return Answer(response.status, response.headers, response.body, list(response.repeated))

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.send("GET", target, **headers)

    async def post(self, target: str, body: Any, **headers: str) -> Answer:
        return await self.send("POST", target, body, **headers)

    async def put(self, target: str, body: Any, **headers: str) -> Answer:
        return await self.send("PUT", target, body, **headers)

    async def patch(self, target: str, body: Any, media: str = MERGE) -> Answer:
        return await self.send("PATCH", target, body, content_type=media)

    async def delete(self, target: str, body: Any = None) -> Answer:
        return await self.send("DELETE", target, body)

    @asynccontextmanager
    async def watch(self, target: str, **headers: str) -> AsyncIterator[Events]:
        response = await self.respond("GET", target, **headers)
        assert response.status == 200, response.body
        events = Events(response)
        try:
            yield events
        finally:
            await events.close()


def config(name: str, *, labels: Mapping[str, str] | None = None, **data: str) -> Doc:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": dict(labels or {})}, "data": data}


def pod(name: str, *, node: str = "", **metadata: Any) -> Doc:
    spec: Doc = {"containers": [{"name": "main", "image": "registry.example/web:1"}], "automountServiceAccountToken": False}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def service(name: str, **spec: Any) -> Doc:
    ports = spec.pop("ports", [{"port": 80}])
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports, **spec}}


def deployment(name: str, replicas: int = 1) -> Doc:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
