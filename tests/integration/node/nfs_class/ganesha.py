"""A real NFS server in user space, Debian's nfs-ganesha with nfs-ganesha-vfs, on a port of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tiphys.testing.eventually import eventually

_CONFIGURATION = """
NFS_CORE_PARAM {{
    Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1;
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = "{directory}/recovery"; Only_Numeric_Owners = true; }}
EXPORT {{
    Export_Id = 1; Path = "{directory}/export"; Pseudo = /share; Protocols = 4;
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
    FSAL {{ Name = VFS; }}
}}
"""


class Ganesha:
    """A running server, whose export `/share` is the directory `export`."""

    def __init__(self, directory: Path, port: int) -> None:
        self.export = directory / "export"
        self.port = port

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a program; returns its exit status and output."""
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    def url(self, path: str = "") -> str:
        """Return the URL of a file for the tools of libnfs."""
        return f"nfs://127.0.0.1/share{path}?nfsport={self.port}&version=4"


@asynccontextmanager
async def ganesha(directory: Path) -> AsyncIterator[Ganesha]:
    """Run a server, with its files in a directory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await asyncio.to_thread(_prepare, directory, port)
    log = str(directory / "log")
    process = await asyncio.create_subprocess_exec(
        "ganesha.nfsd", "-F", "-f", str(directory / "conf"), "-L", log, "-p", str(directory / "pid"), stdin=asyncio.subprocess.DEVNULL
    )
    server = Ganesha(directory, port)

    async def answers() -> bool:
        assert process.returncode is None, await asyncio.to_thread(Path(log).read_text)
        return (await server.run("nfs-ls", server.url()))[0] == 0

    try:
        await eventually(answers)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _prepare(directory: Path, port: int) -> None:
    (directory / "export").mkdir(parents=True)
    (directory / "recovery").mkdir()
    (directory / "conf").write_text(_CONFIGURATION.format(directory=directory, port=port))
