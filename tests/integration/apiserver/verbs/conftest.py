"""The real API server, in-process and over TLS for a real kubectl."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.client.client import Client
from tiphys.testing.api_server import ClientFor, running_api_server
from tiphys.testing.kubectl import Kubectl


class Cluster:
    """The server, clients of it, and kubectl."""

    def __init__(self, client_for: ClientFor, directory: Path) -> None:
        self.client_for = client_for
        self.client: Client = client_for()
        self.kubectl = Kubectl.of(directory)

    async def patch(
        self, path: str, body: dict[str, Any] | str, manager: str = "me", *, force: bool = False, query: tuple[tuple[str, str], ...] = ()
    ) -> dict[str, Any]:
        """The object after an apply patch."""
        content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        options = [("fieldManager", manager), *query, *([("force", "true")] if force else [])]
        answer = await self.client.raw(
            "PATCH", path, query=[one for one in options if one[1]], body=content, headers={"content-type": "application/apply-patch+yaml"}
        )
        found: dict[str, Any] = msgspec.json.decode(answer.body)
        return found

    async def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode((await self.client.raw("GET", path)).body)
        return found


def managers(obj: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Fields by `manager/operation[/subresource]`."""
    out = {}
    for entry in obj["metadata"].get("managedFields", []):
        name = "/".join(part for part in (entry["manager"], entry["operation"], entry.get("subresource", "")) if part)
        out[name] = entry["fieldsV1"]
    return out


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_api_server(tmp_path, listen=True) as (_, client_for):
        await client_for().create(core.ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        yield Cluster(client_for, tmp_path)
