"""A directory of this machine in place of an export: bind mounts where NFS mounts would be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tiphys.node.volumes.nfs import Command, Export

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


class BindMounts:
    """Commands that mount directories below `exports` for the exports of any server; `down` makes them hang."""

    def __init__(self, exports: Path) -> None:
        self.exports = exports
        self.down = False
        self.mounted: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, export: Export, target: Path, options: Sequence[str]) -> Command:
        self.mounted.append((export.source, tuple(options)))
        if self.down:
            return ["sleep", "1000"], {}
        source = self.exports / export.path.lstrip("/")
        mount = f"mount --bind {source} {target}"
        return ["sh", "-c", f"{mount} && mount -o remount,bind,ro {target}" if "ro" in options else mount], {}
