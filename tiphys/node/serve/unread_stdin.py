"""Input that an ended exec left unread: it must not keep the exec open.

containerd (1.6 and 1.7 alike) answers an exec once its copy of stdin has ended too, and that copy waits while the named pipe toward the
shim is full. When the process ends with more than the pipes hold unread, nobody ever empties that pipe, so the exec would stay until its
client leaves, and containerd's side of it until the container is removed. Emptying it here lets containerd end the exec in its own way,
with all output and the exit code.
"""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path

from tiphys.aio.clock import Clock

FIRST_LOOK = 0.01
SLOWEST_LOOK = 0.5
"""Seconds between looks at pipes that are still in use."""
_BLOCK = 1 << 20


def pipes_of(containerd_state: Path, container: str) -> Path:
    """Return where containerd's CRI plugin keeps the pipes of a container's processes: one directory each, with random names."""
    return containerd_state / "io.containerd.grpc.v1.cri" / "containers" / container / "io"


async def release_stdin(pipes: Path, process: str, clock: Clock) -> None:
    """Empty the stdin pipe of a process that has ended, until containerd has taken the pipe away; nothing when there is none.

    While the output can still be written to, a child of the process is alive, and the input may be the child's.
    """
    stdin = _find(pipes, f"{process}-stdin")
    if stdin is None:
        return
    outputs = [stdin.with_name(f"{process}-{kind}") for kind in ("stdout", "stderr")]
    look = FIRST_LOOK
    while stdin.exists():
        if not any(_is_written(output) for output in outputs):
            _empty(stdin)
        await clock.sleep(look)
        look = min(look * 1.6, SLOWEST_LOOK)


def _find(pipes: Path, name: str) -> Path | None:
    with contextlib.suppress(OSError), os.scandir(pipes) as entries:
        for entry in entries:
            path = Path(entry.path, name)
            if path.exists():
                return path
    return None


def _is_written(pipe: Path) -> bool:
    """True if anybody has the pipe open for writing.

    A reader learns that the writers have gone only if one went after it had come, hence the writer of our own.
    """
    try:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        poll = select.poll()
        poll.register(reader, select.POLLHUP)
        return not poll.poll(0)
    finally:
        os.close(reader)


def _empty(pipe: Path) -> None:
    """Read and drop the content of the pipe."""
    with contextlib.suppress(OSError):
        file = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while os.read(file, _BLOCK):
                pass
        finally:
            os.close(file)
