"""Checkpoints of assigners: files in upstream's form, with its checksum, written so that a crash leaves the old or the new one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says what to do."""

    def __init__(self, manager: str, path: Path, why: str) -> None:
        super().__init__(
            f"could not restore state from checkpoint: {why}, please drain this node and delete the {manager} manager checkpoint file "
            f'"{path}" before restarting Kubelet'
        )


class CheckpointFile:
    """One file, written only when its content changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: bytes | None = None

    async def read(self) -> bytes | None:
        """Return the content, None without a file. Raises OSError."""
        try:
            self._written = await asyncio.to_thread(self.path.read_bytes)
        except FileNotFoundError:
            self._written = None
        return self._written

    async def write(self, data: bytes) -> None:
        """Replace the content. Raises OSError; then the next call writes even if the content is the same."""
        if data != self._written:
            self._written = None
            await asyncio.to_thread(self._write, data)
            self._written = data

    def _write(self, data: bytes) -> None:
        fresh = self.path.with_name(f".{self.path.name}")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
