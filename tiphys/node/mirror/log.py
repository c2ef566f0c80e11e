"""Logs of daemons for `kubectl logs`: plain lines, most of which begin with their own time."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from tiphys.node.container.logs import BLOCK, LogEntry, LogFormat

_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
_HEAD = 64
"""Bytes of a line in which its time is looked for: behind a level, or in a first field `time=` or `ts`."""


def daemon_log(started: int) -> LogFormat:
    """The format for one reading of a daemon's log. A line without a time has that of the line before, the first ones `started`
    (unix seconds). Everything is of the stream stderr.
    """
    time = datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "Z")

    def parse(line: bytes) -> LogEntry | None:
        nonlocal time
        if not line:
            return None
        if (match := _TIME.search(line[:_HEAD])) is not None:
            time = match[0].decode()
        return LogEntry(time, "stderr", line + b"\n")

    return LogFormat(parse, tail_offset)


def tail_offset(path: Path, lines: int) -> int:
    """Return where the last `lines` lines of a file begin. Raises OSError."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        offset = end = file.tell()
        if lines <= 0 or end == 0:
            return end
        # The newline at the end of the file ends the last line and begins none.
        left, limit = lines, end - 1
        while offset > 0:
            step = min(BLOCK, offset)
            offset -= step
            file.seek(offset)
            block = file.read(step)[: limit - offset]
            count = block.count(b"\n")
            if count >= left:
                position = len(block)
                for _ in range(left):
                    position = block.rindex(b"\n", 0, position)
                return offset + position + 1
            left -= count
    return 0
