"""Processes seen through /proc: finding ours by their command lines, waiting for and ending exactly those."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")


def command_line(pid: int) -> list[str]:
    """The arguments a process was started with; empty when it is gone or a zombie."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0")[:-1]]


def find(matches: Callable[[list[str]], bool]) -> list[int]:
    """The processes whose arguments match."""
    return [pid for pid in _pids() if (arguments := command_line(pid)) and matches(arguments)]


def children(parents: Iterable[int]) -> list[int]:
    """The direct children of these processes."""
    ancestors = set(parents)
    pids = []
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name in parentheses may itself hold spaces and parentheses, so fields are counted from the last one.
            fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) in ancestors:
                pids.append(pid)
    return pids


def is_alive(pid: int) -> bool:
    """True if the process exists and is not a zombie."""
    try:
        state = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


async def wait_gone(pid: int) -> None:
    """Return when the process has ended, whatever its parent; a zombie child of ours is reaped."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ESRCH):
            raise
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
    finally:
        os.close(pidfd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 (WNOHANG does not wait)


async def end(pid: int, *, grace: float) -> None:
    """SIGTERM, then SIGKILL after `grace` seconds (at once when 0); returns when the process has ended."""
    with contextlib.suppress(ProcessLookupError):
        if grace > 0:
            os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await wait_gone(pid)
                    return
        os.kill(pid, signal.SIGKILL)
    await wait_gone(pid)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]
