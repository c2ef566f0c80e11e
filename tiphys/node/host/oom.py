"""Processes that the kernel kills for want of memory, from its log (/dev/kmsg)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tiphys.obs import metrics

log = logging.getLogger(__name__)

KMSG: Final = Path("/dev/kmsg")
RECORDS: Final = 256
"""Records read at a time, so that a flood of them leaves time for everything else."""
_RECORD = 8192
_KILL = re.compile(r"oom-kill:(?P<fields>.*)")
_TASK = re.compile(r"(?:^|,)task_memcg=(?P<group>.*),task=(?P<task>.*),pid=(?P<pid>\d+),uid=\d+$")
_LIMIT = re.compile(r"(?:^|,)oom_memcg=(?P<limit>.*?),task_memcg=")

KILLS = metrics.counter(
    "tiphys_node_oom_kills_total", "Processes that the kernel killed for want of memory: in pods, or elsewhere on the machine.", "victim"
)


class OomKill(msgspec.Struct, frozen=True):
    """One process that was killed."""

    process: str
    pid: int
    group: str
    """Control group of the process."""
    limit: str = ""
    """Control group whose limit was reached, "" if the machine had no memory left."""


def parse_kill(line: str) -> OomKill | None:
    """Return the kill that a line of the kernel's log reports, if it does. Pure."""
    kill = _KILL.search(line)
    if kill is None:
        return None
    fields = kill["fields"].strip()
    task = _TASK.search(fields)
    if task is None:
        return None
    limit = _LIMIT.search(fields)
    return OomKill(task["task"], int(task["pid"]), task["group"], limit["limit"] if limit is not None else "")


def concerns_system(kill: OomKill, parent: str) -> bool:
    """True if the machine as a whole was out of memory, or the process is in no pod. `parent` is the group above all pods."""
    return not kill.limit or not in_pod(kill, parent)


def in_pod(kill: OomKill, parent: str) -> bool:
    """True if the process was one of a pod's. Paths begin above `parent` where the kubelet itself is in a group."""
    return f"{parent.rstrip('/')}/" in f"{kill.group}/"


class OomWatch:
    """Counts kills, and calls `tell` for those that concern the machine rather than one pod."""

    def __init__(self, parent: str, tell: Callable[[OomKill], None], *, path: Path = KMSG) -> None:
        self._parent = parent
        self._tell = tell
        self._path = path
        self._descriptor = -1
        self.watching = asyncio.Event()
        """Set once kills are noticed."""

    async def run(self) -> None:
        """Watch until cancelled. Where the kernel's log cannot be read, nothing is counted."""
        try:
            self._descriptor = await asyncio.to_thread(os.open, self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.warning("kills for want of memory are not reported", extra={"path": self._path, "error": error.strerror})
            return
        try:
            with contextlib.suppress(OSError):
                os.lseek(self._descriptor, 0, os.SEEK_END)
            loop = asyncio.get_running_loop()
            loop.add_reader(self._descriptor, self._read)
            self.watching.set()
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _read(self) -> None:
        for _ in range(RECORDS):
            try:
                record = os.read(self._descriptor, _RECORD)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # records were overwritten before they were read
                log.warning("the kernel's log cannot be read any more", extra={"error": error.strerror})
                asyncio.get_running_loop().remove_reader(self._descriptor)
                return
            for line in record.decode(errors="replace").splitlines():
                if (kill := parse_kill(line)) is not None:
                    self._note(kill)

    def _note(self, kill: OomKill) -> None:
        KILLS.labels("pod" if in_pod(kill, self._parent) else "system").inc()
        if concerns_system(kill, self._parent):
            self._tell(kill)
