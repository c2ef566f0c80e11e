"""Programs that may hang, each in a process of its own with a deadline: what touches a file system whose server may be away.

A process in an uninterruptible call outlives even its kill. It keeps its slot until it ends, so a server that hangs costs a bounded number
of processes, and whoever comes later is told at once rather than made to wait as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import tiphys
from tiphys.aio.tasks import TaskSet
from tiphys.node.volumes.payload import VolumeError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Directories of the programs, those of administration included, which the PATH of a user lacks."""
_LONGEST_OUTPUT = 64 << 10


class DeadlineError(VolumeError):
    """A program did not end in time, or was not even started because others like it hang. `started` tells which."""

    def __init__(self, message: str, *, started: bool) -> None:
        super().__init__(message)
        self.started = started


class Supervised:
    """Processes that are killed when their time is over; `at_once` of them per key, such as the name of a server."""

    def __init__(self, *, at_once: int = 4) -> None:
        self._at_once = at_once
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}
        self._tasks = TaskSet()

    def running(self, key: str) -> int:
        """Return how many processes with a key run, or wait to."""
        return self._users.get(key, 0)

    async def run(
        self, key: str, command: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a program to its end; returns its exit status and what it wrote.

        Raises VolumeError if it cannot be started, DeadlineError when the time is over, which includes the wait for a free slot. A caller
        that is cancelled ends the program, too.
        """
        slot = self._slots.setdefault(key, asyncio.Semaphore(self._at_once))
        self._users[key] = self.running(key) + 1
        held, process = False, None
        # Not a pipe: a daemon that the program leaves behind (rpc.statd) would keep that open.
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        try:
            async with asyncio.timeout(timeout):
                held = await slot.acquire()
                process = _Process(command, output, environment or {})
                code = await process.wait()
            return code, os.pread(output, _LONGEST_OUTPUT, 0).decode(errors="replace").strip()
        except TimeoutError:
            if process is None:
                raise DeadlineError(f"{key}: too many calls hang already", started=False) from None
            raise DeadlineError(f"{key}: {Path(command[0]).name} did not end within {timeout:.0f} s", started=True) from None
        except OSError as error:
            raise VolumeError(f"{command[0]}: {error.strerror or error}") from error
        finally:
            os.close(output)
            if process is not None and process.code is None:
                process.kill()
                self._tasks.spawn(self._reap(key, process), name=f"reap {command[0]}")
            else:
                self._forget(key, held=held)

    async def close(self) -> None:
        """Stop waiting for what was killed."""
        await self._tasks.close()

    async def _reap(self, key: str, process: _Process) -> None:
        await process.wait()
        self._forget(key, held=True)

    def _forget(self, key: str, *, held: bool) -> None:
        if held:
            self._slots[key].release()
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._slots[key]


class _Process:
    """A process in a session of its own. Neither a thread nor a transport waits for it, so one that never ends may be left to itself."""

    def __init__(self, command: Sequence[str], output: int, environment: Mapping[str, str]) -> None:
        self.code: int | None = None
        program = shutil.which(command[0], path=PATH) or command[0]
        self._pid = os.posix_spawn(
            program,
            [program, *command[1:]],
            {"PATH": PATH, "LC_ALL": "C.UTF-8", **environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
        )

    async def wait(self) -> int:
        """Return the exit status; negative is a signal."""
        descriptor = os.pidfd_open(self._pid)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, os.WNOHANG)[1])  # noqa: ASYNC222 (WNOHANG does not wait)
        return self.code

    def kill(self) -> None:
        """End it with its children: mount(8) starts another program and waits for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)


def python(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a module of this package, and the environment that it needs."""
    above = str(Path(tiphys.__file__).parent.parent)
    return [sys.executable, "-P", "-m", module, *arguments], {"PYTHONPATH": above, "PYTHONDONTWRITEBYTECODE": "1"}
