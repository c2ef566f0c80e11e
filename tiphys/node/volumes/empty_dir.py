"""emptyDir volumes: a directory on the node's disk, a tmpfs, or files of huge pages ("Volumes", emptyDir, and "Manage HugePages").

One that is there is complete, whenever the kubelet was killed: permissions and group come with the mount, or before the directory has its
name. What containers change about it later therefore stays.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.node.volumes import atomic, mounts
from tiphys.node.volumes.payload import VolumeError


def empty_dir(target: Path, source: core.EmptyDirVolumeSource, group: int | None, size: int | None, page: int = 0) -> Path:
    """Make an emptyDir, or find it made; `size` limits one in memory, in bytes, `page` is the size of huge pages.

    Raises VolumeError, OSError. Blocking.
    """
    if source.medium.startswith("HugePages"):
        target.mkdir(parents=True, exist_ok=True)
        if not mounts.is_mount(target):
            mounts.hugetlbfs(target, page=page, group=group)
        return target
    if source.medium not in ("", "Memory"):
        raise VolumeError(f'unknown storage medium "{source.medium}"')
    if source.medium == "Memory":
        target.mkdir(parents=True, exist_ok=True)
        if not mounts.is_mount(target):
            mounts.tmpfs(target, size=size, group=group)
    elif not target.exists():
        # No volume has a name that begins with a dot.
        draft = target.with_name(f".{target.name}")
        with contextlib.suppress(FileNotFoundError):
            draft.rmdir()
        draft.mkdir(parents=True)
        draft.chmod(0o777)
        if group is not None:
            atomic.give_to_group(draft, group, write=True)
        draft.rename(target)
    return target
