"""Data files of volumes: `vol_data.json` with upstream's keys, written before the first call to a driver and removed after the last.

They tell whether a driver was ever asked for a volume, so one that was not needs no driver to be given up.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tiphys.node.volumes.mounts import is_mount


def save(path: Path, data: Mapping[str, str]) -> bool:
    """Write a data file, whole or not at all; False when there was one already, which an earlier attempt left. Raises OSError."""
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = _temporary(path)
    temporary.write_bytes(msgspec.json.encode(dict(data)))
    temporary.rename(path)
    return fresh


def remove(target: Path, data: Path) -> None:
    """Remove the mount point of a volume, if the driver did not, then the data file and their directory.

    Raises OSError when the volume is still mounted, or the directory has content: nothing in a volume is ever removed.
    """
    if is_mount(target):
        raise OSError(errno.EBUSY, f"{target} is still mounted")
    with contextlib.suppress(FileNotFoundError):
        if target.is_dir():
            target.rmdir()
        else:
            os.unlink(target)
    for file in (data, _temporary(data)):
        file.unlink(missing_ok=True)
    # The parent of a block volume's target is not its own.
    if data.parent == target.parent:
        with contextlib.suppress(OSError):
            data.parent.rmdir()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")
