"""Keeping the device of a block volume: the file that the driver published is bind mounted once more.

A driver that loses its own mount (its container was restarted without mount propagation, say) does not take the device from the pod so.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tiphys.node.volumes import mounts


def pin(published: Path, pinned: Path) -> None:
    """Bind mount a published device at `pinned`, unless it is already. Anything but a block device is left alone. Raises OSError."""
    device = os.stat(published)
    if not stat.S_ISBLK(device.st_mode):
        return
    pinned.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    pinned.touch()
    if os.stat(pinned).st_rdev != device.st_rdev:
        mounts.unmount(pinned)
        mounts.bind(str(published), pinned)


def unpin(pinned: Path) -> None:
    """Undo `pin`. Harmless where nothing is pinned. Raises OSError."""
    if pinned.exists():
        mounts.unmount(pinned)
        pinned.unlink()
