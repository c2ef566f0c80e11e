"""The log as the beginning of an attach session: what a container wrote before anybody was attached to it.

kubectl run attaches once the pod is ready. A command may have written by then, or may have ended. Its output is in the log, where every
byte is once: a session that comes soon after the start begins there, and goes on where kubectl (1.35 and later) has already read the log.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tiphys.aio.clock import Clock
from tiphys.node.container.logs import CRI_LOG, LogEntry, LogFormat, is_written, parse

SOON = 15.0
"""Seconds after its start, or after its log was read, in which a container's first session begins with what it wrote before."""
_BLOCK = 256 * 1024


@dataclass(slots=True)
class AttachLog:
    """The entries of a container's log from one on, read as the file grows."""

    path: Path
    skip: int = 0
    """Entries that the client has seen."""
    _rest: bytes = b""
    _file: BinaryIO | None = None

    def read(self) -> list[LogEntry]:
        """Whole entries that are new; some megabytes at most, so an empty answer means that there are no more."""
        result: list[LogEntry] = []
        file = self._open()
        while file is not None and not result and (data := file.read(_BLOCK)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            entries = [entry for line in lines if (entry := parse(line)) is not None]
            result, self.skip = entries[self.skip :], max(self.skip - len(entries), 0)
        return result

    def is_written(self) -> bool:
        """True if the runtime still has the file open: the last lines may come a moment after the container's end."""
        return is_written(self.path)

    def _open(self) -> BinaryIO | None:
        if self._file is None:
            with contextlib.suppress(FileNotFoundError):
                self._file = self.path.open("rb")
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class _Seen:
    at: float
    entries: int = 0
    attached: bool = False


@dataclass(slots=True)
class Readers:
    """Positions up to which the logs of containers were read lately, and the containers that were attached to."""

    clock: Clock
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def counting(self, ident: str) -> tuple[LogFormat, Callable[[], None]]:
        """A format that counts the entries of a container's log, and what to call once all was read."""
        count = 0

        def counted(line: bytes) -> LogEntry | None:
            nonlocal count
            entry = parse(line)
            count += entry is not None
            return entry

        def done() -> None:
            self._note(ident).entries = count

        return LogFormat(counted, CRI_LOG.tail_offset), done

    def begin(self, ident: str, started: float) -> int | None:
        """Entries of the log that a new session skips; None when it begins with what comes. `started` is in unix seconds, 0 for unknown."""
        self._forget()
        seen = self._seen.get(ident)
        if seen is not None and seen.attached:
            return None
        young = started and self.clock.now().timestamp() - started <= SOON
        if seen is None and not young:
            return None
        noted = self._note(ident)
        noted.attached = True
        return noted.entries

    def _note(self, ident: str) -> _Seen:
        self._forget()
        noted = self._seen.setdefault(ident, _Seen(0.0))
        noted.at = self.clock.monotonic()
        return noted

    def _forget(self) -> None:
        now = self.clock.monotonic()
        for ident in [ident for ident, seen in self._seen.items() if now - seen.at > SOON]:
            del self._seen[ident]
