"""Problems of the machine that make pods fail in ways hard to see from the pods themselves."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from tiphys.api.coordination import v1 as coordination

MAX_SKEW: Final = 10.0
"""Seconds by which the clock may differ from the API server's."""


def read_only(path: Path) -> str:
    """Return a sentence if the file system of a directory is mounted read-only, as the kernel does after errors, else ""."""
    try:
        flags = os.statvfs(path).f_flag
    except OSError:
        return ""
    return f"file system of {path} is read-only" if flags & os.ST_RDONLY else ""


def clock_problem(lease: coordination.Lease, before: datetime, after: datetime) -> str:
    """Return a sentence if the clock is far from the API server's, else "". Pure.

    The lease was written between the two moments of this machine's clock. The server notes the time, in whole seconds, in its managed
    fields.
    """
    times = [entry.time for entry in lease.metadata.managedFields if entry.time is not None]
    if not times:
        return ""
    written = max(times)
    ahead = (before - written).total_seconds() - 1
    behind = (written - after).total_seconds()
    if max(ahead, behind) < MAX_SKEW:
        return ""
    return f"clock of the node is {max(ahead, behind):.0f} s {'ahead of' if ahead > behind else 'behind'} the API server's"
