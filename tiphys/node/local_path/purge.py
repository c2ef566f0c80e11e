"""Removal of all local volumes of a machine, when its cluster is purged."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tiphys.node.local_path import loop
from tiphys.node.local_path.records import Damaged, Records


def purge(root: Path) -> list[str]:
    """Remove the volumes of a storage directory with their data, and their loop devices; returns a message for each that stays.

    Nothing may be mounted. Of the directory itself only what the driver put there goes, and the directory once it is empty.
    """
    if not root.is_dir():
        return []
    left: list[str] = []
    for device in loop.attached(root):
        loop.detach(device)
    records = Records(root)
    try:
        left += records.sweep()
        for identity in records.names():
            try:
                if records.read(identity) is not None:
                    records.remove(identity)
            except (Damaged, OSError) as error:
                left.append(f"volume {identity}: {error}")
    finally:
        records.close()
    with contextlib.suppress(OSError):  # Others may keep files there.
        root.rmdir()
    return left
