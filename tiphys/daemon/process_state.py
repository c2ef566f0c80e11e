"""State of a daemon as recorded by its keeper: `<run directory>/server.state` and `node.state`.

Lines of `name=value`: `pid` (empty between two starts), `started` (unix seconds of the newest start), `restarts` (since the keeper began),
`last_exit` (exit code of the run before, 128 and more for a signal, empty without one), `last_ended` (unix seconds) and `log` (a path). The
file is replaced in one step at every start and end.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The newest run of a daemon. `pid` is 0 while it does not run; moments are unix seconds, 0 for never."""

    pid: int
    started: int
    restarts: int
    last_exit: int | None
    last_ended: int
    log: Path | None
    """Log file of all runs; None when the output does not go to one of our files."""


def state_file(run_dir: Path, name: str) -> Path:
    """Return the path of the state file of a daemon (`server` or `node`)."""
    return run_dir / f"{name}.state"


def read_state(run_dir: Path, name: str) -> ProcessState | None:
    """Return the state of a daemon; None for one that was never started or was stopped by `tiphys down`, and for a damaged file."""
    try:
        lines = state_file(run_dir, name).read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    with contextlib.suppress(KeyError, ValueError):
        return ProcessState(
            pid=int(values["pid"] or 0),
            started=int(values["started"] or 0),
            restarts=int(values["restarts"]),
            last_exit=int(values["last_exit"]) if values["last_exit"] else None,
            last_ended=int(values["last_ended"] or 0),
            log=Path(values["log"]),
        )
    return None
