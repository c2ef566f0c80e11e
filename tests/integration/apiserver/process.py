"""`tiphys apiserver` as a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

from tiphys.api.machinery import errors
from tiphys.client import Client
from tiphys.client.rest import HttpTransport
from tiphys.testing import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`tiphys apiserver` on a data directory, started as often as it is killed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    def client(self) -> Client:
        pki = self._directory / "pki"
        transport = HttpTransport(f"https://127.0.0.1:{self.port}", ca=pki / "ca.crt", cert=pki / "admin.crt", key=pki / "admin.key")
        return Client(transport)

    async def start(self) -> None:
        command = [sys.executable, "-m", "tiphys", "apiserver", "--data-dir", str(self._directory)]
        log = (self._directory / "log").open("ab")
        self._process = await asyncio.create_subprocess_exec(*command, "--secure-port", str(self.port), stdout=log, stderr=log)
        log.close()
        await eventually(self._ready, timeout=60)

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise RuntimeError((self._directory / "log").read_text())
        if not (self._directory / "pki" / "admin.key").exists():
            return False
        client = self.client()
        try:
            return (await client.raw("GET", "/readyz")).status == 200
        except (ConnectionError, errors.StatusError):
            return False
        finally:
            await client.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def wait(self) -> int:
        """The exit code, once the process has ended."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), 30)

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return await self.wait()
