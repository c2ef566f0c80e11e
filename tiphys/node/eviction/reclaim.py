"""The seam between eviction and garbage collection: before a pod dies for the disk, what nobody needs goes ("Node-pressure Eviction")."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Disk = Literal["nodefs", "imagefs"]
"""nodefs: volumes, logs and the kubelet's directory. imagefs: images and writable layers. On one file system both names mean the same."""


class Reclaimed(msgspec.Struct, frozen=True):
    """Result of one call."""

    bytes: int = 0
    summary: str = ""
    """For an event: "3 images, 2 dead containers, old logs"; empty when there was nothing."""


class Reclaimer(Protocol):
    """Deletes unused images, dead containers and old logs."""

    async def reclaim(self, disk: Disk, want: int) -> Reclaimed:
        """Free at least so many bytes on the disk, if that many are unused, whatever their age. One failure does not stop the rest."""
