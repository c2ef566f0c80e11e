"""Kills for want of memory in the kernel's log ("printk: /dev/kmsg"). Pure but for `read_log`."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_KILL = re.compile(r"oom-kill:.*\boom_memcg=(?P<limited>[^,]+),task_memcg=(?P<group>[^,]+),task=(?P<task>.+),pid=(?P<pid>\d+),uid=\d+")
_USE = re.compile(r"memory: usage (?P<usage>\d+)kB, limit (?P<limit>\d+)kB, failcnt")
_RECORD = 8192
_UNLIMITED = 1 << 50


class OomKill(NamedTuple):
    """A process that the kernel killed, and the control groups of the process and of the limit."""

    process: str
    pid: int
    group: str
    limited: str
    usage: int = 0
    """Bytes in use at that time below the limit, 0 if unknown."""
    limit: int = 0


def oom_kill(log: str, container: str) -> OomKill | None:
    """Return the last kill in the control group of a container, by its id."""
    newest, usage, limit = None, 0, 0
    for line in log.splitlines():
        if use := _USE.search(line):
            usage, limit = int(use["usage"]) * 1024, int(use["limit"]) * 1024
        elif kill := _KILL.search(line):
            if container in kill["group"]:
                bounded = limit if limit < _UNLIMITED else 0
                newest = OomKill(kill["task"], int(kill["pid"]), kill["group"], kill["limited"], usage, bounded)
            usage = limit = 0
    return newest


def read_log(path: str = "/dev/kmsg") -> str:
    """Return the kernel's log as it is now, "" where it cannot be read. Blocking for some milliseconds: for a thread."""
    lines = []
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        while True:
            try:
                record = os.read(descriptor, _RECORD)
            except BrokenPipeError:
                continue  # The record was overwritten meanwhile: the next one is read.
            except OSError:
                break
            if not record:
                break
            lines.append(record.decode("utf-8", "replace"))
    finally:
        os.close(descriptor)
    return "".join(lines)
