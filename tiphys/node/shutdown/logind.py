"""Shutdowns as systemd announces them: a lock that delays them, and the signal PrepareForShutdown ("Inhibitor Locks" of systemd).

systemd's own programs speak D-Bus for us: `systemd-inhibit` holds the lock for as long as it runs, `busctl` reads and monitors.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from tiphys.aio.clock import Clock

log = logging.getLogger(__name__)

SYSTEMD: Final = Path("/run/systemd/system")
"""Exists exactly where systemd is the machine's init ("sd_booted(3)")."""
DROP_IN: Final = Path("/run/systemd/logind.conf.d/99-tiphys.conf")
"""Lasts until the next boot, when the kubelet writes it again."""
PATIENCE = 5.0
"""Seconds for a program to end."""
RETRY: Final = 10.0
_SERVICE = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_MATCH = "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'"
_LINE = 1 << 16


class LogindError(Exception):
    """logind cannot be spoken to; says why."""


def is_available(systemd: Path = SYSTEMD) -> bool:
    """True if systemd runs this machine and has its programs installed."""
    return systemd.is_dir() and all(shutil.which(program) for program in ("busctl", "systemd-inhibit", "systemctl"))


def announcement(line: str) -> bool | None:
    """Return what a line of `busctl --json=short monitor` announces: True for a shutdown, False for its cancellation. Pure."""
    try:
        message = json.loads(line)
        if message["member"] != "PrepareForShutdown":
            return None
        return bool(message["payload"]["data"][0])
    except (ValueError, KeyError, IndexError, TypeError):
        return None


class Logind:
    """Delays shutdowns by up to `seconds`, and tells of them by `begin` and `cancel`. `finished` ends the delay."""

    def __init__(
        self,
        seconds: int,
        clock: Clock,
        begin: Callable[[], None],
        cancel: Callable[[], None],
        finished: asyncio.Event,
        *,
        drop_in: Path = DROP_IN,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._begin = begin
        self._cancel = cancel
        self._finished = finished
        self._drop_in = drop_in

    async def run(self) -> None:
        """Watch until cancelled; logind and D-Bus may be started again meanwhile."""
        while True:
            try:
                await self._allow()
                async with _running("busctl", "--json=short", "--match", _MATCH, "monitor") as monitor:
                    await self._follow(monitor)
            except (LogindError, OSError, ValueError) as error:
                log.warning("shutdowns of the machine are not noticed", extra={"error": str(error)})
            await self._clock.sleep(RETRY)

    async def _follow(self, monitor: asyncio.subprocess.Process) -> None:
        """Hold the lock but for the time after a shutdown in which the machine goes down."""
        assert monitor.stdout is not None
        async with contextlib.AsyncExitStack() as held:
            lock = await held.enter_async_context(_lock())
            while line := await monitor.stdout.readline():
                shutdown = announcement(line.decode(errors="replace"))
                if shutdown:
                    self._begin()
                    await self._finished.wait()
                    await _end(lock)
                elif shutdown is False:
                    self._cancel()
                    if lock.returncode is not None:
                        lock = await held.enter_async_context(_lock())

    async def _allow(self) -> None:
        """Have logind allow the delay, if it allows less."""
        allowed = await self._allowed()
        if allowed >= self._seconds:
            return
        await asyncio.to_thread(self._write)
        await _output("systemctl", "kill", "--signal=HUP", "systemd-logind.service")
        for _ in range(5):
            await self._clock.sleep(0.5)
            allowed = await self._allowed()
            if allowed >= self._seconds:
                return
        need = f"{self._seconds} s are needed: set InhibitDelayMaxSec in logind.conf"
        raise LogindError(f"logind delays shutdowns by {allowed:.0f} s at most, {need}")

    async def _allowed(self) -> float:
        answer = await _output("busctl", "get-property", *_SERVICE, "InhibitDelayMaxUSec")
        kind, _, number = answer.strip().partition(" ")
        if kind != "t" or not number.isdigit():
            raise LogindError(f"logind answered {answer.strip()!r} for InhibitDelayMaxUSec")
        return int(number) / 1e6

    def _write(self) -> None:
        self._drop_in.parent.mkdir(parents=True, exist_ok=True)
        self._drop_in.write_text(f"# Written by Tiphys for shutdownGracePeriod.\n[Login]\nInhibitDelayMaxSec={self._seconds}\n")


def _lock() -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
    why = "--why=Kubelet needs time to handle node shutdown"
    # The program ends with its input, so the lock never outlives this process.
    return _running("systemd-inhibit", "--what=shutdown", "--mode=delay", "--who=kubelet", why, "cat", stdin=asyncio.subprocess.PIPE)


@contextlib.asynccontextmanager
async def _running(*command: str, stdin: int = asyncio.subprocess.DEVNULL) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is ended with its children when the block is left. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=_LINE,
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program with its input and by SIGTERM, and by SIGKILL if it does not heed them."""
    if process.stdin is not None:
        process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await process.wait()


async def _output(*command: str) -> str:
    """Return what a command says. Raises LogindError."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate()
    if process.returncode != 0:
        raise LogindError(f"{' '.join(command[:2])}: {err.decode(errors='replace').strip() or f'ended with {process.returncode}'}")
    return out.decode(errors="replace")
