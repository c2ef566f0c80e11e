"""Commands, mounts and loop devices of this machine."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tiphys.csi.errors import AlreadyExists, Failed, FailedPrecondition

held_locks: ContextVar[tuple[int, ...]] = ContextVar("held_locks", default=())
"""Descriptors of the locks that the current request holds.

Commands inherit them: if the driver is killed, a command that still runs keeps its volume locked until it ends.
"""
PER_MOUNT = frozenset(("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "strictatime"))
"""Options that each mount of a file system has for itself."""
LOOP_CLR_FD, LOOP_SET_STATUS64, LOOP_GET_STATUS64 = 0x4C01, 0x4C04, 0x4C05
AUTOCLEAR = 4


def run(*command: str, accept: Iterable[int] = (0,)) -> str:
    """Run a command and return its output. Raises Failed with its message unless it exits with an accepted status."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, pass_fds=held_locks.get()
    )
    if done.returncode not in accept:
        raise Failed(f"{command[0]} failed with status {done.returncode}: {done.stderr.strip()[:500]}")
    return done.stdout.strip()


class Mount(NamedTuple):
    """A line of mountinfo: the device (major:minor), which part of its file system is mounted where, and how."""

    device: str
    root: str
    path: str
    options: frozenset[str]
    fs_type: str

    def is_of(self, folder: Path) -> bool:
        """Return whether this shows the volume in a folder: its directory, its disk's file system or the disk itself."""
        path = folder / "data"
        if self.root.removesuffix("//deleted").endswith(_tail(path)):
            return self.root.endswith("//deleted") or (path.exists() and os.path.samestat(os.stat(self.path), path.stat()))
        if bound := re.fullmatch(r"(?:/dev)?/(loop\d+)", self.root):
            return _is_loop_of(bound[1], folder / "disk")
        return self.device.startswith("7:") and _is_loop_of(f"loop{self.device[2:]}", folder / "disk")


def _tail(path: Path) -> str:
    """Return the end of a path that other mount namespaces see as well."""
    return "/" + "/".join(path.parts[-3:])


def _is_loop_of(name: str, disk: Path) -> bool:
    """Return whether a loop device shows a disk, which may have been deleted."""
    try:
        backing = Path("/sys/block", name, "loop/backing_file").read_text(errors="surrogateescape").removesuffix("\n")
        if backing.endswith(" (deleted)"):
            return backing.removesuffix(" (deleted)").endswith(_tail(disk))
        with open(f"/dev/{name}", "rb") as device:
            status = bytearray(232)
            fcntl.ioctl(device, LOOP_GET_STATUS64, status)
        return struct.unpack_from("QQ", status) == (disk.stat().st_dev, disk.stat().st_ino)
    except OSError:
        return False


def mounts() -> list[Mount]:
    """Return the mounts that this process sees."""
    table = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = [re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), field) for field in line.split(" ")]
        table.append(Mount(fields[2], fields[3], fields[4], frozenset(fields[5].split(",")), fields[fields.index("-") + 1]))
    return table


def mount_at(path: str) -> Mount | None:
    """Return the mount that is visible at a path, if the path is a mount point."""
    place = real(path)
    return next((mount for mount in reversed(mounts()) if mount.path == place), None)


def real(path: str) -> str:
    """Return a path as mountinfo has it."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def bind(source: str, target: str, folder: Path, options: Iterable[str]) -> None:
    """Make the volume in `folder` visible at `target`, which is created.

    Harmless to repeat, also after a bind that did not get to its options. Raises AlreadyExists when something else is mounted there.
    """
    chosen = sorted(PER_MOUNT.intersection(options))
    mount = mount_at(target)
    if mount is not None and not mount.is_of(folder):
        raise AlreadyExists(f"something else is mounted at {target}")
    if mount is not None and "ro" in mount.options and "ro" not in chosen:
        raise AlreadyExists(f"the volume is mounted read-only at {target}")
    if mount is None:
        if stat.S_ISDIR(os.stat(source).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            Path(target).touch()
        run("mount", "--bind", "--", source, target)
    if chosen and (mount is None or not mount.options.issuperset(chosen)):
        run("mount", "-o", ",".join(("remount", "bind", *chosen)), "--", target)


def unmount(target: str, folder: Path) -> None:
    """Take the volume in `folder` away from `target`; nothing there is fine. Raises FailedPrecondition when something else is there."""
    while mount := mount_at(target):
        if not mount.is_of(folder):
            raise FailedPrecondition(f"something else is mounted at {target}")
        run("umount", "--", target)


def remove_mount_point(target: str) -> None:
    """Remove an empty directory or file; nothing there is fine. Raises FailedPrecondition when it is anything else."""
    try:
        if stat.S_ISDIR(os.lstat(target).st_mode):
            os.rmdir(target)
        elif stat.S_ISREG(os.lstat(target).st_mode) and os.path.getsize(target) == 0:
            os.unlink(target)
        else:
            raise FailedPrecondition(f"{target} is not an empty mount point")
    except (FileNotFoundError, NotADirectoryError):
        pass


def loop_of(disk: Path) -> str:
    """Return the loop device of a disk, or nothing."""
    names = (path.parts[-3] for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    return next((f"/dev/{name}" for name in names if _is_loop_of(name, disk)), "")


@contextmanager
def loop_device(disk: Path) -> Iterator[str]:
    """Attach a disk to a loop device, the same for all who use it on this machine, and hold it open: a held device stays what it is."""
    for _ in range(5):
        name = loop_of(disk) or run("losetup", "--find", "--show", "--", str(disk))
        if not os.path.exists(name):
            raise Failed(f"{name} is missing: the driver needs the machine's /dev")
        with open(name, "rb") as device:
            # It may have been detached meanwhile, even attached to another disk.
            if _is_loop_of(Path(name).name, disk):
                _keep(device)
                yield name
                return
    raise Failed(f"no loop device stays attached to {disk}")


def _keep(device: BinaryIO) -> None:
    """Take back a detachment that only waits for the device to be closed by all."""
    status = bytearray(232)
    fcntl.ioctl(device, LOOP_GET_STATUS64, status)
    flags = struct.unpack_from("I", status, 52)[0]
    if flags & AUTOCLEAR:
        struct.pack_into("I", status, 52, flags & ~AUTOCLEAR)
        fcntl.ioctl(device, LOOP_SET_STATUS64, status)


def release_loop(folder: Path) -> None:
    """Detach the disk in `folder` from its loop device, unless it is still mounted somewhere."""
    name = loop_of(folder / "disk")
    if not name or any(mount.is_of(folder) for mount in mounts()):
        return
    with open(name, "rb") as device, suppress(OSError):
        if _is_loop_of(Path(name).name, folder / "disk"):
            # If others have it open, it is detached when they close it.
            fcntl.ioctl(device, LOOP_CLR_FD)


def format_if_blank(device: str, fs_type: str) -> None:
    """Make a file system on a device that holds nothing. Raises FailedPrecondition when it holds anything else."""
    content = dict(line.split("=", 1) for line in run("blkid", "-p", "-o", "export", device, accept=(0, 2)).splitlines() if "=" in line)
    kinds = {content[key] for key in ("TYPE", "PTTYPE") if key in content}
    if not kinds:
        quiet = ("-q", "-F", "-m", "0") if fs_type == "ext4" else ("-q",)
        run(f"mkfs.{fs_type}", *quiet, device)
    elif kinds != {fs_type}:
        raise FailedPrecondition(f"the volume holds {' and '.join(sorted(kinds))}, not {fs_type}")


def mount_disk(device: str, target: str, folder: Path, fs_type: str, options: Iterable[str]) -> None:
    """Mount a device at `target`, which is created, and let its file system fill it. Harmless to repeat."""
    run("losetup", "--set-capacity", device)
    mount = mount_at(target)
    if mount is None:
        os.makedirs(target, exist_ok=True)
        if fs_type == "ext4" and _has_room(device):
            # Possible online as well, but only with CAP_SYS_RESOURCE.
            run("e2fsck", "-f", "-p", device, accept=(0, 1))
            run("resize2fs", device)
        # A clone has the identifier of its source, which XFS refuses to mount beside it.
        chosen = [*options, *(["nouuid"] if fs_type == "xfs" else [])]
        run("mount", "-t", fs_type, *(["-o", ",".join(chosen)] if chosen else []), "--", device, target)
    elif not mount.is_of(folder) or mount.fs_type != fs_type:
        raise AlreadyExists(f"something else is mounted at {target}")
    if "ro" not in options:
        grow(device, target, fs_type)


def grow(device: str, target: str, fs_type: str) -> None:
    """Let a mounted file system fill its device."""
    run("losetup", "--set-capacity", device)
    if fs_type == "xfs":
        run("xfs_growfs", "-d", target)
    elif _has_room(device):
        run("resize2fs", device)


def _has_room(device: str) -> bool:
    """Return whether an ext4 file system is smaller than its device."""
    with open(device, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(1024)
        superblock = file.read(1024)
    block = 1024 << struct.unpack_from("<I", superblock, 0x18)[0]
    count = struct.unpack_from("<I", superblock, 0x4)[0] | struct.unpack_from("<I", superblock, 0x150)[0] << 32
    return bool(size - count * block >= block)
