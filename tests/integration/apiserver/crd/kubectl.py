"""A real kubectl that speaks to a server behind TLS."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


class Kubectl:
    def __init__(self, keys: Path) -> None:
        self._binary = Path(sys.executable).parent / "kubectl"
        self._config = keys / "admin.kubeconfig"

    async def __call__(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        """What it prints, errors included; whether it fails must be as expected."""
        process = await asyncio.create_subprocess_exec(
            str(self._binary),
            *("--kubeconfig", str(self._config), "--cache-dir", str(self._config.parent / "cache"), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert (process.returncode != 0) == fails, out.decode()
        return out.decode()
