"""Processes of the cluster that run outside of it and are shown as pods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec


class Run(Protocol):
    """The newest run of a process. Moments are unix seconds, 0 for never."""

    @property
    def pid(self) -> int:
        """The process id, 0 while the process is down."""

    @property
    def started(self) -> int: ...

    @property
    def restarts(self) -> int: ...

    @property
    def last_exit(self) -> int | None:
        """Exit code of the run before, None when unknown."""

    @property
    def last_ended(self) -> int:
        """End of the run before."""

    @property
    def log(self) -> Path | None:
        """The file with the output of all runs; None where it goes elsewhere."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process. What of it does not change from run to run makes the pod's spec, `read` its status."""

    name: str
    tier: str
    """Value of the label `tier`: `control-plane` or `node`."""
    command: tuple[str, ...]
    read: Callable[[], Run | None]
    """The newest run; None on a machine where the process does not belong. May read small files."""
