"""Shares that are mounted while something is done in them, by a process with a deadline."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tiphys.csi.errors import AlreadyExists, CsiError, Deadline, Exhausted, Failed, InvalidArgument, NotFound
from tiphys.node.volumes.nfs import Export, NfsMounts
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import UncertainError
from tiphys.node.volumes.supervised import DeadlineError, python

SECONDS = 50.0
"""Time for work in a share. A deletion of many files that takes longer goes on where it was when it is asked for again."""
_ERRORS: dict[int, type[CsiError]] = {
    errno.EEXIST: AlreadyExists,
    errno.ENOENT: NotFound,
    errno.ENOSPC: Exhausted,
    errno.EDQUOT: Exhausted,
    errno.EXDEV: InvalidArgument,
}


class _Entry:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Shares:
    """The shares of a driver, mounted below `root` while they have users."""

    def __init__(self, root: Path, nfs: NfsMounts) -> None:
        self.root = root
        self.nfs = nfs
        self.seconds = SECONDS
        self._entries: dict[str, _Entry] = {}

    async def call(self, export: Export, options: Sequence[str], verb: str, *arguments: str) -> str:
        """Do something in a share (`share_call.py`); returns the output. Raises CsiError."""
        try:
            async with self._mounted(export, options) as place:
                command, environment = python("tiphys.node.nfs_class.share_call", verb, str(place), *arguments)
                code, text = await self.nfs.processes.run(
                    f"NFS server {export.server}", command, timeout=self.seconds, environment=environment
                )
        except (DeadlineError, UncertainError) as error:
            raise Deadline(str(error)) from error
        except VolumeError as error:
            raise Failed(str(error)) from error
        if code:
            raise _ERRORS.get(code, Failed)(text)
        return text

    @asynccontextmanager
    async def _mounted(self, export: Export, options: Sequence[str]) -> AsyncIterator[Path]:
        key = hashlib.sha256("\0".join((export.source, *options)).encode()).hexdigest()[:32]
        entry = self._entries.setdefault(key, _Entry())
        place = self.root / key
        async with entry.lock:
            if not entry.users:
                await self.nfs.mount(export, place, options)
            entry.users += 1
        try:
            yield place
        finally:
            async with entry.lock:
                entry.users -= 1
                if not entry.users:
                    await self.nfs.unmount(place)
