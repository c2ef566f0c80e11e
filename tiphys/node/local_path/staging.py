"""Use of volumes on this node: devices, mounts, growth and use. Everything waits for the kernel and may be repeated.

A volume has at most one loop device, found by its image's inode, so nothing is ever mounted through two. A file system's device detaches
itself with its last mount; that of a block volume stays from stage to unstage.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tiphys.node.host.mount_table import mount_table
from tiphys.node.local_path import loop, mounting, programs
from tiphys.node.local_path.records import Record
from tiphys.node.local_path.storage import InUse, Storage

OPTIONS = {"ext4": ["discard"], "xfs": ["discard", "nouuid"]}
"""Options of every mount: what is deleted gives its room back to the disk; a clone has its source's identity, which XFS minds."""


class NotStaged(Exception):
    """The volume is not at the path where the caller takes it to be."""


class PublishedDifferently(Exception):
    """The volume is published already, in another way than is requested."""


class Use(NamedTuple):
    """Bytes and inodes of a file system, or only the bytes of a block device; `problem` says what is wrong with the volume."""

    size: int
    used: int = 0
    available: int = 0
    inodes: int = 0
    inodes_used: int = 0
    inodes_free: int = 0
    problem: str = ""


def stage(storage: Storage, record: Record, target: Path, flags: Sequence[str], *, read_only: bool = False) -> None:
    """Mount a file system at a path, or give a block volume its device. Raises InUse, ProgramError, OSError, Damaged."""
    with storage.records.image(record.id) as image:
        is_block = record.mode == "Block"
        storage.fill(record, image)
        with loop.attach(image, autoclear=not is_block, read_only=read_only and is_block) as device:
            if loop.size(device) < record.capacity:
                loop.grow(device)
            if not is_block:
                _mount(storage, record, device, target, flags, read_only=read_only)


def unstage(storage: Storage, record: Record | None, target: Path) -> None:
    """Take back what `stage` did, also of a volume whose directory is gone. Raises InUse, OSError."""
    _unmount(storage, target)
    if record is None or record.mode != "Block":
        return
    device = storage.device(record.id)
    if device is not None:
        loop.detach(device)


def publish(storage: Storage, record: Record, staged: Path, target: Path, *, read_only: bool, alone: bool = False) -> None:
    """Make a staged volume appear at a pod's path; `alone` if it may be at no other.

    Raises NotStaged, InUse, PublishedDifferently, OSError.
    """
    device = storage.device(record.id)
    if device is None or (record.mode == "Filesystem" and not _is_at(device, staged)):
        raise NotStaged(f"volume {record.id} is not staged at {staged}")
    is_block = record.mode == "Block"
    here = mounting.mounted_at(target)
    if here:
        if not _shows(device, target, is_block=is_block):
            raise InUse(f"something else is mounted at {target}")
        # A volume that is only read is mounted so, whatever is requested here.
        if read_only and "ro" not in here[-1].options:
            raise PublishedDifferently(f"volume {record.id} is at {target} already, and may be written to")
        if not read_only and "ro" in here[-1].options:
            raise PublishedDifferently(f"volume {record.id} is at {target} already, and may only be read")
        return
    if alone and (others := _published(device, is_block=is_block) - {mounting.real(staged)}):
        raise InUse(f"volume {record.id} is for one pod alone, and is in use at {', '.join(sorted(others))}")
    if is_block:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    else:
        with contextlib.suppress(FileExistsError):
            target.mkdir(mode=0o750)
        if target.is_symlink() or not target.is_dir():
            raise InUse(f"{target} is not a directory")
    mounting.bind(device.path if is_block else staged, target, read_only=read_only)


def unpublish(storage: Storage, target: Path) -> None:
    """Take a volume away from a pod's path, and the path itself. Raises InUse for what no volume is, OSError."""
    _unmount(storage, target)
    try:
        status = os.lstat(target)
        if stat.S_ISDIR(status.st_mode):
            target.rmdir()
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            target.unlink()
        else:
            raise InUse(f"{target} has not been made for a volume")
    except FileNotFoundError:
        return


def grow(storage: Storage, record: Record, path: Path) -> Record:
    """Let a volume in use follow its image, and its file system the volume. Raises NotStaged, InUse, ProgramError, OSError."""
    device = storage.device(record.id)
    if device is None:
        raise NotStaged(f"volume {record.id} is not in use on this node")
    if loop.size(device) < record.capacity:
        loop.grow(device)
    if record.mode == "Block":
        return record
    if not _is_at(device, path):
        raise NotStaged(f"volume {record.id} is not mounted at {path}")
    return _fill(storage, record, device, path)


def measure(storage: Storage, record: Record, path: Path) -> Use:
    """Return how much of a volume is used, and what is wrong with it. Raises NotStaged, OSError."""
    device = storage.device(record.id)
    if device is None or not _shows(device, path, is_block=record.mode == "Block"):
        raise NotStaged(f"volume {record.id} is not at {path}")
    if record.mode == "Block":
        return Use(loop.size(device), problem=_problem(device))
    status = os.statvfs(path)
    block = status.f_frsize
    return Use(
        size=status.f_blocks * block,
        used=(status.f_blocks - status.f_bfree) * block,
        available=status.f_bavail * block,
        inodes=status.f_files,
        inodes_used=status.f_files - status.f_ffree,
        inodes_free=status.f_favail,
        problem=_problem(device),
    )


def _mount(storage: Storage, record: Record, device: loop.Loop, target: Path, flags: Sequence[str], *, read_only: bool) -> None:
    here = mounting.mounted_at(target)
    if here and here[-1].device != _number(device):
        raise InUse(f"something else is mounted at {target}")
    if not here:
        if not mounting.is_mounted(device.number):
            # The device is opened exclusively: a check that outlived a process keeps it from being mounted meanwhile.
            grows = record.fs_size < record.capacity and programs.grows_unmounted(record.fs_type) and not read_only
            programs.check_file_system(record.fs_type, device.path)
            if grows:
                record = _grow(storage, record, device, None)
        options = [*OPTIONS.get(record.fs_type, []), *flags, *(["ro"] if read_only else [])]
        mounting.mount_device(device.path, target, record.fs_type, options)
    if read_only:
        return
    if programs.may_grow_mounted(record.fs_type):
        record = _fill(storage, record, device, target)
    if record.is_fresh:
        # Databases take only an empty directory; the check makes this one anew when it needs it.
        with contextlib.suppress(OSError):
            (target / "lost+found").rmdir()
        target.chmod(0o777)
        storage.records.update(msgspec.structs.replace(record, is_fresh=False))


def _fill(storage: Storage, record: Record, device: loop.Loop, path: Path) -> Record:
    if record.fs_size >= record.capacity:
        return record
    if not programs.may_grow_mounted(record.fs_type):
        raise InUse(f"{record.fs_type} cannot grow in use on this node (CAP_SYS_RESOURCE is missing): it will when no pod uses the volume")
    return _grow(storage, record, device, path)


def _grow(storage: Storage, record: Record, device: loop.Loop, path: Path | None) -> Record:
    programs.grow_file_system(record.fs_type, device.path, path)
    record = msgspec.structs.replace(record, fs_size=record.capacity)
    storage.records.update(record)
    return record


def _unmount(storage: Storage, target: Path) -> None:
    """Unmount volumes from a path, and nothing else. Raises InUse, OSError."""
    here = mounting.mounted_at(target)
    if not here:
        return
    own = {device.number for device in loop.attached(storage.records.root)}
    if not all(mounting.loop_number(mount) in own for mount in here):
        raise InUse(f"what is mounted at {target} is no volume of {storage.records.root}")
    mounting.unmount(target)


def _published(device: loop.Loop, *, is_block: bool) -> set[str]:
    """Return the paths where all of a volume is mounted; those of a pod's sub-paths are parts of it."""
    root = f"/{device.path.name}" if is_block else "/"
    return {mount.point for mount in mount_table() if mounting.loop_number(mount) == device.number and mount.root == root}


def _number(device: loop.Loop) -> int:
    return os.stat(device.path).st_rdev


def _is_at(device: loop.Loop, path: Path) -> bool:
    here = mounting.mounted_at(path)
    return bool(here) and here[-1].device == _number(device)


def _shows(device: loop.Loop, path: Path, *, is_block: bool) -> bool:
    if not is_block:
        return _is_at(device, path)
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return stat.S_ISBLK(status.st_mode) and status.st_rdev == _number(device)


def _problem(device: loop.Loop) -> str:
    """Return what the kernel found wrong, "" if nothing."""
    name = device.path.name
    if device.backing.endswith(" (deleted)"):
        return "the image of the volume has been deleted"
    with contextlib.suppress(OSError, ValueError):
        errors = int(Path(f"/sys/fs/ext4/{name}/errors_count").read_text())
        if errors:
            return f"the file system has {errors} errors: see the kernel's log, and run e2fsck while no pod uses the volume"
    number = _number(device)
    for mount in mount_table():
        if mount.device == number and "shutdown" in mount.options:
            return "the file system has been shut down"
    return ""
