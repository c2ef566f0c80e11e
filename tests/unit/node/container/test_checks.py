"""Checks against a server of the test's own, and what they are made from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.unit.node.make import pod
from tiphys.api.core import v1 as core
from tiphys.node.container import checks


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server that answers /STATUS with that status, sends /away to another host and /again to itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().strip("/")
        status, location = {"away": ("302", "http://other.example/"), "again": ("307", "/again"), "home": ("301", "/200")}.get(
            path, (path, "")
        )
        writer.write(f"HTTP/1.1 {status} X\r\nLocation: {location}\r\n\r\nbody".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def get(port: int | str, path: str, **more: Any) -> checks.Verdict:
    container = pod({"name": "a"}).spec.containers[0]
    return await checks.http_get(container, core.HTTPGetAction(port=port, path=path), "127.0.0.1", 5, **more)


async def test_the_status_decides(port: int) -> None:
    assert await get(port, "/200") == checks.Verdict(True, "body")
    assert await get(port, "/home") == checks.Verdict(True, "body")
    assert await get(port, "/404") == checks.Verdict(False, "HTTP probe failed with statuscode: 404")
    assert await get(port, "/away") == checks.Verdict(True, "Probe terminated redirects, Response body: body", warning=True)
    assert (await get(port, "/again")).output == f'Get "http://127.0.0.1:{port}/again": stopped after 10 redirects'


async def test_hooks_are_content_with_any_answer(port: int) -> None:
    assert (await get(port, "/500", any_status=True)).ok


async def test_a_port_that_does_not_exist_says_nothing_about_the_container() -> None:
    assert (await get("web", "/")).errored


def test_commands_of_probes_know_plain_variables() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    container = pod({"name": "a", "env": env}).spec.containers[0]
    action = msgspec.convert({"command": ["sh", "$(A)$(B)", "$(C) $$(A)"]}, core.ExecAction)
    assert checks.probe_command(container, action) == ["sh", "1", "$(C) $(A)"]
