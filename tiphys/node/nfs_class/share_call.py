"""Work on a mounted share, as a program, since it may hang with its server: making, archiving and deleting directories of volumes.

    python -m tiphys.node.nfs_class.share_call make ROOT DIRECTORY VOLUME REQUIRED LIMIT MODE shared|own
    python -m tiphys.node.nfs_class.share_call find|delete|archive|retain ROOT DIRECTORY VOLUME

The exit status is an error number, 0 for success; the output says it in words, or is the size of a volume. Nothing outside ROOT is touched:
paths are opened beneath it (openat2), whatever links others plant there. A record in the share says which volume a directory belongs to; it
is there before the directory and goes after it, so a repeated call finishes what was begun, and none removes what is another volume's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tiphys.node.host.beneath import open_beneath
from tiphys.node.nfs_class.settings import RECORDS
from tiphys.node.volumes.tree import remove_tree


class Record(msgspec.Struct, frozen=True):
    """A directory that is a volume."""

    volume: str
    size: int
    shared: bool
    """True if its volume never removes it, so that others may use it, too."""
    directory: str
    """For people."""


def make(root: int, directory: str, volume: str, required: int, limit: int, mode: int, *, shared: bool) -> int:
    """Make the directory of a volume, or find it; returns the volume's size. `shared` allows one that is there already.

    Raises OSError, EEXIST for a directory of another volume, of the same one with another size, or of nobody, ENOSPC for more than fits.
    """
    share = os.fstatvfs(root)
    if required > share.f_blocks * share.f_frsize:
        raise OSError(errno.ENOSPC, f"the share has {share.f_blocks * share.f_frsize} bytes")
    record = Record(volume, required or limit, shared, directory)
    present = _read(root, directory)
    if present is None:
        if not shared and _exists(root, directory):
            raise OSError(errno.EEXIST, f"directory {directory} exists and is no volume of this driver: onDelete: retain allows its use")
        present = record if _write(root, record) else _read(root, directory)
    if present is None or present.volume != volume:
        if shared and present is not None and present.shared:
            return required or limit
        raise OSError(errno.EEXIST, f"directory {directory} belongs to volume {present.volume if present else '?'}")
    if present.size < required or (limit and present.size > limit):
        raise OSError(errno.EEXIST, f"volume {volume} exists with {present.size} bytes")
    is_new = _make_directory(root, directory)
    if mode and (is_new or not shared):
        with _opened(root, directory) as fd:
            os.chmod(f"/proc/self/fd/{fd}", mode)
    return present.size


def find(root: int, directory: str, volume: str) -> int:
    """Return the size of a volume. Raises OSError, ENOENT if it is not there."""
    present = _read(root, directory)
    if present is None or present.volume != volume:
        raise OSError(errno.ENOENT, f"volume {volume} is not on the share")
    return present.size


def delete(root: int, directory: str, volume: str) -> None:
    """Remove the directory of a volume with all that is in it. Raises OSError."""
    if _is_owner(root, directory, volume):
        with _parent(root, directory) as (parent, name):
            if parent is not None:
                remove_tree(Path(f"/proc/self/fd/{parent}/{name}"))
        _forget(root, directory)


def archive(root: int, directory: str, volume: str) -> None:
    """Rename the directory of a volume to `archived-<name>`, with a number if that is taken. Raises OSError."""
    if not _is_owner(root, directory, volume):
        return
    with _parent(root, directory) as (parent, name):
        if parent is not None and _is_there(parent, name):
            candidate, number = f"archived-{name}", 1
            while _is_there(parent, candidate):
                number += 1
                candidate = f"archived-{name}-{number}"
            os.rename(name, candidate, src_dir_fd=parent, dst_dir_fd=parent)
    _forget(root, directory)


def retain(root: int, directory: str, volume: str) -> None:
    """Leave the directory of a volume to whoever wants it next. Raises OSError."""
    if _is_owner(root, directory, volume):
        _forget(root, directory)


# -- records


def _record_path(directory: str) -> str:
    return f"{RECORDS}/{hashlib.sha256(directory.encode()).hexdigest()}"


def _read(root: int, directory: str) -> Record | None:
    try:
        with _opened(root, _record_path(directory)) as fd:
            return msgspec.json.decode(Path(f"/proc/self/fd/{fd}").read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise OSError(errno.EUCLEAN, f"the record of directory {directory} is damaged") from error


def _write(root: int, record: Record) -> bool:
    """Write a record as a whole; False if there is one."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(RECORDS, 0o700, dir_fd=root)
    name = _record_path(record.directory).rpartition("/")[2]
    with _opened(root, RECORDS) as folder:
        temporary = f"{name}.{os.getpid()}.{os.uname().nodename}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            os.write(fd, msgspec.json.encode(record))
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary, dir_fd=folder)
    return True


def _is_owner(root: int, directory: str, volume: str) -> bool:
    present = _read(root, directory)
    return present is not None and present.volume == volume


def _forget(root: int, directory: str) -> None:
    with _opened(root, RECORDS) as folder, contextlib.suppress(FileNotFoundError):
        os.unlink(_record_path(directory).rpartition("/")[2], dir_fd=folder)


# -- paths


@contextlib.contextmanager
def _opened(root: int, path: str) -> Iterator[int]:
    fd = open_beneath(root, path, what="share")
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _parent(root: int, directory: str) -> Iterator[tuple[int | None, str]]:
    """Open the directory that a directory is in; None if that is not there."""
    above, _, name = directory.rpartition("/")
    try:
        fd = open_beneath(root, above or ".", what="share")
    except FileNotFoundError:
        yield None, name
        return
    try:
        yield fd, name
    finally:
        os.close(fd)


def _exists(root: int, directory: str) -> bool:
    with _parent(root, directory) as (parent, name):
        return parent is not None and _is_there(parent, name)


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _make_directory(root: int, directory: str) -> bool:
    """Make a directory and those above it; returns whether it was missing."""
    is_new, here = False, "."
    for part in directory.split("/"):
        with _opened(root, here) as parent:
            try:
                os.mkdir(part, 0o755, dir_fd=parent)
                is_new = True
            except FileExistsError:
                is_new = False
        here = f"{here}/{part}"
    with _opened(root, here) as fd:
        # A link to a file, or to nothing: not a volume.
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return is_new


def call(arguments: list[str]) -> str:
    """Carry out a call; returns the output. Raises OSError."""
    verb, place, directory, volume, *rest = arguments
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if verb == "make":
            required, limit, mode = int(rest[0]), int(rest[1]), int(rest[2], 8)
            return str(make(root, directory, volume, required, limit, mode, shared=rest[3] == "shared"))
        if verb == "find":
            return str(find(root, directory, volume))
        {"delete": delete, "archive": archive, "retain": retain}[verb](root, directory, volume)
        return ""
    finally:
        os.close(root)


def main(arguments: list[str]) -> int:
    """Carry out a call; returns the exit status."""
    try:
        print(call(arguments))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"{error.strerror or error}{where}")
        return error.errno or errno.EIO
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
