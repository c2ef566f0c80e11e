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
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

from tiphys.node.host.beneath import open_beneath
from tiphys.node.serve.endpoints.refusal import Refusal, not_found
from tiphys.wire.http import Request, Response

BLOCK = 128 * 1024
SNIFFED = 512
_HTML = {"content-type": "text/html; charset=utf-8"}


async def answer(root: Path, request: Request, rest: list[str]) -> Response:
    """The file or folder below `root` that the path names. Raises Refusal."""
    parts = [part for part in rest if part not in ("", ".")]
    if ".." in parts:
        raise Refusal(400, "invalid URL path")
    handles: list[_Handle] = []
    await asyncio.to_thread(_open, root, "/".join(parts), handles)
    handle = handles.pop()
    if stat.S_ISDIR(handle.info.st_mode):
        if request.path.endswith("/"):
            return Response(headers=dict(_HTML), body=await asyncio.to_thread(_lent, [handle], _listing))
        # Relative, so that it holds behind a proxy: the list's links need the slash.
        return Response(301, {"location": f"./{quote(request.path.rpartition('/')[2])}/"})
    if request.path.endswith("/"):
        return Response(301, {"location": f"../{quote(parts[-1])}"})
    head = await asyncio.to_thread(_lent, [handle], lambda lent: lent.read(SNIFFED, 0))
    return Response(headers={"content-type": _media_type(parts[-1], head)}, stream=_File(handle))


class _Handle:
    """A descriptor that is closed with the last reference: a request may be cancelled while a thread opens the file.

    Threads take it from a list and put it into one: they keep their arguments and results for a while after the loop has the result.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.info = os.fstat(fd)

    def read(self, size: int, at: int) -> bytes:
        return os.pread(self.fd, size, at)

    def __del__(self) -> None:
        os.close(self.fd)


def _lent(handles: list[_Handle], use: Callable[[_Handle], bytes]) -> bytes:
    """Return what a function makes of the one handle in a list."""
    return use(handles.pop())


def _open(root: Path, path: str, handles: list[_Handle]) -> None:
    try:
        base = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = open_beneath(base, path or ".", what="log directory")
        finally:
            os.close(base)
        try:
            mode = os.fstat(descriptor).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Refusal(403, "403 Forbidden")
            handles.append(_Handle(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)))
        finally:
            os.close(descriptor)
    except PermissionError:
        raise Refusal(403, "403 Forbidden") from None
    except OSError:
        raise not_found() from None


def _listing(handle: _Handle) -> bytes:
    """A folder as a page of links."""
    with os.scandir(handle.fd) as entries:
        names = sorted(entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries)
    links = [f'<a href="./{quote(os.fsencode(name))}">{html.escape(name)}</a>' for name in names]
    return "\n".join(("<!doctype html>", "<pre>", *links, "</pre>", "")).encode("utf-8", "surrogateescape")


def _media_type(name: str, head: bytes) -> str:
    type_, encoding = mimetypes.guess_type(name)
    if encoding is not None:
        return f"application/{encoding}"
    if type_ is not None and not type_.startswith("text/"):
        return type_
    return "application/octet-stream" if b"\0" in head else "text/plain; charset=utf-8"


class _File(AsyncIterator[bytes]):
    """The content of a file as long as it was; lets go of it in the end, also when nothing was read."""

    def __init__(self, handle: _Handle) -> None:
        self._handle: _Handle | None = handle
        self._at = 0

    async def __anext__(self) -> bytes:
        if self._handle is None or (left := self._handle.info.st_size - self._at) <= 0:
            raise StopAsyncIteration
        data = await asyncio.to_thread(_lent, [self._handle], lambda lent: lent.read(min(BLOCK, left), self._at))
        if not data:
            raise StopAsyncIteration
        self._at += len(data)
        return data

    async def aclose(self) -> None:
        self._handle = None
