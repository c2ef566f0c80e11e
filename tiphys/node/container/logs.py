"""Containers' log files in CRI's format: `<time> <stream> <P|F> <text>`, one entry a line, F closing what P began.

See "Logging Architecture". Rotation moves the file aside and asks the runtime to open a new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import os
import shutil
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

BLOCK = 64 * 1024


class LogEntry(NamedTuple):
    """One line of a log file, as written by the runtime."""

    time: str
    stream: str
    text: bytes
    """Ends with a newline unless the entry is only a part of a line."""


def parse(line: bytes) -> LogEntry | None:
    """An entry, or None for a line that is none."""
    parts = line.split(b" ", 3)
    if len(parts) < 3:
        return None
    text = parts[3] if len(parts) == 4 else b""
    text = text.rstrip(b"\n")
    if parts[2].split(b":")[0] != b"P":
        text += b"\n"
    return LogEntry(parts[0].decode("ascii", "replace"), parts[1].decode("ascii", "replace"), text)


class LogOptions(NamedTuple):
    """Part of a log to show, and its form."""

    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit: int | None = None
    stream: str = ""


class LogFormatter:
    """Renders log lines for a reader; knows when the limit is reached."""

    def __init__(self, options: LogOptions, parse: Callable[[bytes], LogEntry | None] = parse) -> None:
        self.options = options
        self._parse = parse
        self.left = options.limit
        self._mid_line = False

    @property
    def full(self) -> bool:
        return self.left is not None and self.left <= 0

    def feed(self, line: bytes) -> bytes:
        """Return what to show for a line of the file; b"" for nothing."""
        entry = self._parse(line)
        if entry is None or self.full or (self.options.stream and entry.stream != self.options.stream):
            return b""
        if self.options.since is not None and _moment(entry.time) < self.options.since.timestamp():
            return b""
        out = entry.text
        if self.options.timestamps and not self._mid_line:
            out = entry.time.encode() + b" " + out
        self._mid_line = not entry.text.endswith(b"\n")
        if self.left is not None:
            out = out[: self.left]
            self.left -= len(out)
        return out


def _moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time with up to nine digits of fraction."""
    head, dot, rest = text.partition(".")
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        zone = rest[len(digits) :]
        text = f"{head}.{digits[:6]:0<6}{zone}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def tail_offset(path: Path, lines: int) -> int:
    """Return where the last `lines` lines of a file begin. A split line counts once, an unfinished last line too. Raises OSError."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        end = file.tell()
        if lines <= 0:
            return end
        # Positions of line starts, found from the end; F entries end the lines that people see.
        offset, buffer, newlines = end, b"", 0
        while offset > 0:
            step = min(BLOCK, offset)
            offset -= step
            file.seek(offset)
            buffer = file.read(step) + buffer
            newlines = sum(1 for line in buffer.split(b"\n")[1:-1] if _is_full(line))
            if newlines > lines:
                break
        start = _cut(buffer, lines)
        return offset + start


def _is_full(line: bytes) -> bool:
    parts = line.split(b" ", 3)
    return len(parts) >= 3 and parts[2] != b"P"


def _cut(buffer: bytes, lines: int) -> int:
    """The offset in `buffer` (which ends at the file's end) of the first of the last `lines` lines."""
    starts: list[tuple[int, bool]] = []
    position = 0
    for line in buffer.split(b"\n"):
        if line:
            starts.append((position, _is_full(line)))
        position += len(line) + 1
    count = 0
    for place in range(len(starts) - 1, -1, -1):
        # What ends the file ends a line, finished or not.
        if starts[place][1] or place == len(starts) - 1:
            count += 1
            if count > lines:
                return starts[place + 1][0] if place + 1 < len(starts) else len(buffer)
    return 0


class LogFormat(NamedTuple):
    """Reader of a format of log files: its lines, and the offset of its last lines."""

    parse: Callable[[bytes], LogEntry | None]
    tail_offset: Callable[[Path, int], int]


CRI_LOG = LogFormat(parse, tail_offset)


def last_lines(path: Path, lines: int, limit: int) -> str:
    """The end of a log as text: at most `lines` lines and `limit` bytes; "" when there is none."""
    formatter = LogFormatter(LogOptions())
    try:
        with path.open("rb") as file:
            file.seek(tail_offset(path, lines))
            text = b"".join(formatter.feed(line) for line in file)
    except OSError:
        return ""
    return text[-limit:].decode("utf-8", "replace")


def is_written(path: Path) -> bool:
    """True if anybody has a log file open for writing: the runtime does until it has written all, a moment after the container's end."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A read lease is granted for a file that nobody has open for writing. Opening it now makes the kernel send a signal.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(file)
    return False


# -- rotation


def needs_rotation(path: Path, limit: int) -> bool:
    """True if a log file has grown beyond `limit` bytes."""
    try:
        return path.stat().st_size > limit
    except OSError:
        return False


def rotated(path: Path) -> list[Path]:
    """The files a log was moved to, the oldest first."""
    return sorted(one for one in path.parent.glob(f"{path.name}.*") if not one.name.endswith(".tmp"))


def rotate(path: Path, keep: int, now: datetime) -> Path:
    """Move a log aside, compress earlier ones, and drop the oldest beyond `keep` files in all. The runtime must be asked to
    open a new one next; should that fail, move the returned path back. Raises OSError.
    """
    _finish(path)
    older = rotated(path)
    for extra in older[: max(len(older) - (keep - 2), 0)]:
        extra.unlink(missing_ok=True)
    for one in rotated(path):
        if one.suffix != ".gz":
            with contextlib.suppress(OSError):
                compress(one)
    target = path.with_name(f"{path.name}.{now:%Y%m%d-%H%M%S}")
    path.rename(target)
    return target


def put_back(moved: Path, path: Path) -> None:
    """Undo `rotate`, unless there is a new file already."""
    if not path.exists():
        moved.rename(path)


def compress(path: Path) -> Path:
    """Replace a file with a compressed one of the same times; returns its path. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    packed = path.with_name(path.name + ".gz")
    info = path.stat()
    with path.open("rb") as source, gzip.open(temporary, "wb") as sink:
        shutil.copyfileobj(source, sink)
    os.utime(temporary, ns=(info.st_atime_ns, info.st_mtime_ns))
    temporary.rename(packed)
    path.unlink()
    return packed


def _finish(path: Path) -> None:
    """Remove what a kubelet that was killed while it compressed left: a file that is not whole, or one that is compressed already."""
    for part in path.parent.glob(f"{path.name}.*.tmp"):
        part.unlink(missing_ok=True)
    for packed in path.parent.glob(f"{path.name}.*.gz"):
        packed.with_suffix("").unlink(missing_ok=True)
