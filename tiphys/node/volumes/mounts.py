"""Mounting and unmounting through the C library, and reading which mounts exist."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from tiphys.node.host.beneath import is_mount_point
from tiphys.node.host.mount_table import mount_table

MS_RDONLY, MS_REMOUNT = 1, 32
MS_BIND = 4096
MS_REC = 16384
MS_SHARED = 1 << 20
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_FORCE, MNT_DETACH, UMOUNT_NOFOLLOW = 1, 2, 8

libc = ctypes.CDLL(None, use_errno=True)
_takes_noswap = True


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); raises OSError."""
    filesystem, data = kind.encode() or None, os.fsencode(options) or None
    result = libc.mount(os.fsencode(source), os.fsencode(target), filesystem, ctypes.c_ulong(flags), data)
    _check(result, f"mount {target}")


def unmount(target: str | Path, *, strict: bool = False) -> None:
    """Unmount at once; what still uses it keeps it alive unseen, or is an error (EBUSY) if `strict`. Harmless where nothing is mounted."""
    try:
        unmount_with(target, 0 if strict else MNT_DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise


def unmount_with(target: str | Path, flags: int) -> None:
    """umount2(2), which never follows a link. Raises OSError, EINVAL where nothing is mounted."""
    _check(libc.umount2(os.fsencode(target), flags | UMOUNT_NOFOLLOW), f"umount {target}")


def tmpfs(target: Path, *, size: int | None = None, group: int | None = None) -> None:
    """Mount an empty tmpfs of at most `size` bytes (default: half of the memory); like /tmp, everybody may write, with the sticky bit.

    With a `group` it and what is made in it belong to that.

    What is in it is never swapped out to a disk where the kernel can see to that (Linux 6.4; KEP-2400 "Node memory swap support").
    """
    global _takes_noswap
    options = [f"size={size}"] if size else []
    if group is not None:
        options += [f"gid={group}", "mode=3777"]
    if _takes_noswap:
        try:
            mount("tmpfs", target, "tmpfs", 0, ",".join((*options, "noswap")))
            return
        except OSError as error:
            # An older kernel logs each attempt, so it is asked once.
            _takes_noswap = error.errno != errno.EINVAL
    mount("tmpfs", target, "tmpfs", 0, ",".join(options))


def hugetlbfs(target: Path, *, page: int, group: int | None = None) -> None:
    """Mount an empty file system of huge pages of this size in bytes, in which everybody may write."""
    options = [f"pagesize={page}", "mode=0777", *([] if group is None else [f"gid={group}"])]
    mount("nodev", target, "hugetlbfs", 0, ",".join(options))
    if group is not None:
        # The mount takes no mode with the bit by which files get the group.
        target.chmod(0o2777)


def bind(source: str, target: Path) -> None:
    """Make `source` (a file or a directory) appear at `target` as well."""
    mount(source, target, flags=MS_BIND)


def restrict_bind(target: Path, flags: int) -> None:
    """Give a bind mount flags of its own, such as MS_RDONLY, besides those that it has from its source. Raises OSError."""
    present = os.statvfs(target).f_flag & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME | os.ST_RDONLY)
    # The kernel takes the complete set, and refuses to drop some of them in a user namespace.
    mount("none", target, flags=MS_REMOUNT | MS_BIND | present | flags)


def mounts_below(path: str | Path) -> list[str]:
    """Return every mount point at or below a path, the deepest and newest first."""
    prefix = str(path).rstrip("/")
    points = [entry.point for entry in reversed(mount_table()) if entry.point == prefix or entry.point.startswith(prefix + "/")]
    return sorted(points, key=len, reverse=True)


def options_of(target: str | Path) -> frozenset[str]:
    """Return the options of what is mounted at a path, none if nothing is, without looking at the path itself."""
    layers = [entry.options for entry in mount_table() if entry.point == str(target)]
    return layers[-1] if layers else frozenset()


def is_shared(path: str | Path) -> bool:
    """Return whether what is mounted below a path appears in the other mount namespaces that have it, and the other way round."""
    real = os.path.realpath(path)
    above = [entry for entry in mount_table() if entry.point in ("/", real) or real.startswith(entry.point + "/")]
    # Of mounts on top of one another, the newest is last, and hides the others.
    return max(reversed(above), key=lambda entry: len(entry.point)).shared


def make_shared(path: str | Path) -> bool:
    """Let containers mount for the machine below a directory ("Bidirectional"); returns False if earlier mounts there stand in the way.

    The directory is mounted on itself where it is part of a mount that is not shared. Raises OSError.
    """
    if is_shared(path):
        return True
    if not is_mount(path):
        if mounts_below(os.path.realpath(path)):
            return False  # The new mount would hide them.
        bind(str(path), Path(path))
    mount("none", path, flags=MS_SHARED | MS_REC)
    return True


def is_mount(path: str | Path) -> bool:
    """True if something is mounted exactly there. Raises OSError."""
    return is_mount_point(path)
