"""`tiphys apiserver` as a process that is told to stop."""

from __future__ import annotations

import asyncio
import signal
import ssl
from pathlib import Path

from tests.integration.apiserver.api import CONFIGS
from tests.integration.apiserver.process import ServerProcess
from tests.integration.apiserver.raw import RawConnection, request


async def _connect(server: ServerProcess, directory: Path) -> RawConnection:
    pki = directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
    return RawConnection(*await asyncio.open_connection("127.0.0.1", server.port, ssl=context))


async def test_a_signal_ends_watches_properly_and_the_process_at_once(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    watching, idle = await _connect(server, tmp_path), await _connect(server, tmp_path)
    await watching.send(request("GET", f"{CONFIGS}?watch=1"))
    assert (await watching.head())[0] == 200
    await idle.send(request("GET", "/readyz"))
    assert (await idle.answer()).status == 200
    stopping = asyncio.create_task(server.end(signal.SIGTERM))
    # The response ends as responses do, with its last chunk, and then the connection does.
    assert [chunk async for chunk in watching.chunks()] == []
    assert await watching.ended()
    assert await idle.ended()
    assert await stopping == 0
