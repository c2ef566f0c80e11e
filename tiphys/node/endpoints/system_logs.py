"""/logs/: the files of the machine's log directory ("System Logs": `enableSystemLogHandler`), and lists of its folders.

What writes there is not all trusted, so links are followed only while they stay inside, and only plain files are read. A file is sent as
long as it was when it was opened.
"""

from __future__ import annotations

import asyncio
import html
import mimetypes
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from tiphys.node.beneath import open_beneath
from tiphys.node.endpoints.refusal import Refusal, not_found
from tiphys.wire.http import Request, Response

BLOCK = 128 * 1024
SNIFFED = 512
_HTML = {"content-type": "text/html; charset=utf-8"}


async def answer(root: Path, request: Request, rest: list[str]) -> Response:
    """The file or folder below `root` that the path names. Raises Refusal."""
    parts = [part for part in rest if part not in ("", ".")]
    if ".." in parts:
        raise Refusal(400, "invalid URL path")
    fd = await asyncio.to_thread(_open, root, "/".join(parts))
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        if request.path.endswith("/"):
            return Response(headers=dict(_HTML), body=await asyncio.to_thread(_listing, fd))
        os.close(fd)
        # Relative, so that it holds behind a proxy: the list's links need the slash.
        return Response(301, {"location": f"./{quote(request.path.rpartition('/')[2])}/"})
    if request.path.endswith("/"):
        os.close(fd)
        return Response(301, {"location": f"../{quote(parts[-1])}"})
    head = await asyncio.to_thread(os.pread, fd, SNIFFED, 0)
    return Response(headers={"content-type": _media_type(parts[-1], head)}, stream=_File(fd))


def _open(root: Path, path: str) -> int:
    try:
        base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            handle = open_beneath(base, path or ".", what="log directory")
        finally:
            os.close(base)
        try:
            mode = os.fstat(handle).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Refusal(403, "403 Forbidden")
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(handle)
    except PermissionError:
        raise Refusal(403, "403 Forbidden") from None
    except OSError:
        raise not_found() from None


def _listing(fd: int) -> bytes:
    """A folder as a page of links; closes the descriptor."""
    try:
        with os.scandir(fd) as entries:
            names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in entries)
    finally:
        os.close(fd)
    links = [f'<a href="./{quote(name)}">{html.escape(name)}</a>' for name in names]
    return "\n".join(("<!doctype html>", "<pre>", *links, "</pre>", "")).encode("utf-8", "surrogateescape")


def _media_type(name: str, head: bytes) -> str:
    type_, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return f"application/{encoding}"
    if type_ is not None and not type_.startswith("text/"):
        return type_
    return "application/octet-stream" if b"\0" in head else "text/plain; charset=utf-8"


class _File(AsyncIterator[bytes]):
    """The content of a file; closes it in the end, also when nothing was read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0
        self._size = os.fstat(fd).st_size

    async def __anext__(self) -> bytes:
        left = self._size - self._at
        data = await asyncio.to_thread(os.pread, self._fd, min(BLOCK, left), self._at) if left > 0 and self._fd >= 0 else b""
        if not data:
            raise StopAsyncIteration
        self._at += len(data)
        return data

    async def aclose(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
