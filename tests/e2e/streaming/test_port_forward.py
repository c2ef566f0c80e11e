"""kubectl port-forward into the network namespace of a real pod."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.e2e.streaming.pods import Containers
from tests.integration.node.serve.streaming.kubectl import both_upgrades
from tests.integration.node.serve.streaming.neighbors import Front
from tiphys.testing.kubectl import Kubectl, end


@asynccontextmanager
async def forwarded(kubectl: Kubectl, port: int) -> AsyncIterator[int]:
    process = await kubectl.start("port-forward", "--address", "127.0.0.1", "pod/p", f":{port}")
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
        match = re.search(rf"127\.0\.0\.1:(\d+) -> {port}", line)
        assert match, line
        yield int(match.group(1))
    finally:
        await end(process)


async def talk(port: int, data: bytes) -> bytes:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@both_upgrades
async def test_echo_over_several_connections(containers: Containers, front: Front, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("nc", "-ll", "-p", "8080", "-e", "cat")
    async with forwarded(kubectl, 8080) as port:
        data = [f"hello {i} ".encode() * 20_000 for i in range(4)]
        assert await asyncio.gather(*(talk(port, payload) for payload in data)) == data
        assert await talk(port, b"again") == b"again"
    assert front.upgrades == [upgrade]


@both_upgrades
async def test_port_nobody_listens_on(containers: Containers, kubectl: Kubectl, upgrade: str) -> None:
    await containers.start("sleep", "1000")
    async with forwarded(kubectl, 81) as port:
        # kubectl has read the data or not when it closes, which decides between an end and a reset.
        with contextlib.suppress(ConnectionResetError):
            assert await talk(port, b"anybody there?") == b""
