"""hostPath volumes: a path of the node, checked and made according to its type ("Volumes", hostPath)."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from tiphys.node.volumes.payload import VolumeError

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def host_path(path: str, type_: str) -> Path:
    """The path to mount; raises VolumeError when it does not match the type."""
    place = Path(path)
    if not type_:
        if not place.exists():
            # The runtime would refuse to mount a missing path; Docker made a directory, and so does every runtime since.
            place.mkdir(parents=True, mode=0o755)
        return place
    if type_ == "DirectoryOrCreate":
        if not place.exists():
            place.mkdir(parents=True, mode=0o755)
        type_ = "Directory"
    elif type_ == "FileOrCreate":
        if not place.exists():
            try:
                place.touch(mode=0o644)
            except OSError as error:
                raise VolumeError(f"hostPath type check failed: {path}: {error.strerror}") from error
        type_ = "File"
    try:
        mode = place.stat().st_mode
    except OSError as error:
        raise VolumeError(f"hostPath type check failed: {path} is not a {_CHECKS[type_][1]}") from error
    if not _CHECKS[type_][0](mode):
        raise VolumeError(f"hostPath type check failed: {path} is not a {_CHECKS[type_][1]}")
    return place
