"""Volumes on disk: a directory each, with the image and a record, made and removed so that a crash between any two steps does no harm.

    <storage>/<namespace>_<claim>_<id>/volume.json     facts about the volume; written anew beside and renamed
    <storage>/<namespace>_<claim>_<id>/image           its content
    <storage>/.new-<id>/                               being made: removed at the next start, or when it is made again
    <storage>/.old-<id>/                               being removed: the next start goes on

Every path is opened relative to the descriptor of the directory above it and without following links.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

RECORD: Final = "volume.json"
IMAGE: Final = "image"
_NEW, _OLD, _DRAFT = ".new-", ".old-", ".volume.json"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")
_PART = re.compile(r"[a-z0-9][a-z0-9.-]*")
_LONGEST_PART = 60
"""Of the parts of a directory's name that are there for people, so that the name has at most 255 bytes."""
PVC_NAMESPACE, PVC_NAME = "csi.storage.k8s.io/pvc/namespace", "csi.storage.k8s.io/pvc/name"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a volume. `capacity` is promised from the moment it is here; image and file system follow."""

    id: str
    name: str
    """Name in the request that made it, which finds it again."""
    capacity: int
    mode: Literal["Filesystem", "Block"]
    fs_type: str = ""
    source: str = ""
    """Volume that it was cloned from."""
    fs_size: int = 0
    """Size in bytes that the file system was last grown to."""
    is_fresh: bool = True
    """True until its root directory has been opened to everybody, before the first use."""


class Damaged(Exception):
    """A directory of the storage is not as this module leaves it; the message says what a person should look at."""


class Missing(Damaged):
    """Somebody has removed the image of a volume."""


def volume_id(name: str) -> str:
    """Return the id of the volume of a name: the name itself where it can be part of a file's name."""
    return name if _ID.fullmatch(name) else f"vol-{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def directory_name(identity: str, parameters: Mapping[str, str]) -> str:
    """Return the name of a volume's directory: claim and id, for people to read."""
    parts = [parameters.get(key, "")[:_LONGEST_PART] for key in (PVC_NAMESPACE, PVC_NAME)]
    return "_".join([*parts, identity]) if all(_PART.fullmatch(part) for part in parts) else identity


class Records:
    """The volumes of a storage directory. Made in a thread; raises OSError when the directory cannot be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def room(self) -> tuple[int, int]:
        """Return the free bytes of the disk and its size."""
        status = os.fstatvfs(self._fd)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize

    def names(self) -> dict[str, str]:
        """Return the directories' names by the ids of their volumes."""
        return {_id_in(name): name for name in self._list() if not name.startswith(".") and self._holds(name)}

    def find(self, identity: str) -> str | None:
        """Return the name of a volume's directory, None if there is no such volume."""
        names = [name for name in self._list() if not name.startswith(".") and _id_in(name) == identity and self._holds(name)]
        return names[-1] if names else None

    def read(self, identity: str) -> Record | None:
        """Return the record of a volume, None if there is no such volume. Raises Damaged."""
        name = self.find(identity)
        return None if name is None else self._read(name)

    def all(self) -> list[Record]:
        """Return all records that can be read."""
        records = []
        for name in self.names().values():
            with contextlib.suppress(Damaged):
                records.append(self._read(name))
        return records

    def update(self, record: Record) -> None:
        """Replace a record, all of it or nothing."""
        with self._directory(self._name(record.id)) as fd:
            _write_record(fd, record)

    @contextlib.contextmanager
    def image(self, identity: str) -> Iterator[int]:
        """Open a volume's image for reading and writing. Raises Damaged, Missing if there is none, OSError."""
        with self._directory(self._name(identity)) as directory:
            fd = _open_image(directory, self.root / self._name(identity))
            try:
                yield fd
            finally:
                os.close(fd)

    def allocated(self) -> list[tuple[Record, int]]:
        """Return all records that can be read, with the bytes that their volumes take up on the disk, 0 without an image."""
        sizes = []
        for name in self.names().values():
            # Others may be removed meanwhile.
            with contextlib.suppress(Damaged, FileNotFoundError), self._directory(name) as fd:
                sizes.append((self._read(name), _bytes_of(fd)))
        return sizes

    @contextlib.contextmanager
    def making(self, record: Record, directory: str) -> Iterator[int]:
        """Open a new, empty image; when the block ends well the volume exists under this directory's name. Raises OSError."""
        draft = _NEW + record.id
        self._clear(draft)
        os.mkdir(draft, 0o700, dir_fd=self._fd)
        with self._directory(draft) as fd:
            image = os.open(IMAGE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
            try:
                yield image
                os.fsync(image)
            except BaseException:
                self._clear(draft)
                raise
            finally:
                os.close(image)
            _write_record(fd, record)
        os.rename(draft, directory, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        os.fsync(self._fd)

    def remove(self, identity: str) -> None:
        """Remove a volume, also what is left of one. Raises OSError, Damaged."""
        if _ID.fullmatch(identity) is None:  # Nobody's id.
            return
        grave = _OLD + identity
        self._clear(grave)
        name = self.find(identity)
        if name is not None:
            os.rename(name, grave, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            os.fsync(self._fd)
            self._clear(grave)

    def sweep(self) -> list[str]:
        """Remove what crashes left; returns a message for each directory that stays."""
        left = []
        for name in self._list():
            if name.startswith((_NEW, _OLD)):
                try:
                    self._clear(name)
                except (OSError, Damaged) as error:
                    left.append(str(error))
        return left

    def _list(self) -> list[str]:
        """Return all names, sorted. By a descriptor of its own: threads that list by one share its position, and each would miss some."""
        fd = os.open(".", _DIRECTORY, dir_fd=self._fd)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def _name(self, identity: str) -> str:
        name = self.find(identity)
        if name is None:
            raise FileNotFoundError(errno.ENOENT, "no such volume", identity)
        return name

    def _holds(self, name: str) -> bool:
        """Return whether an entry is a volume: nothing has this name before its record is written, and all else belongs to others."""
        try:
            with self._directory(name) as fd:
                os.stat(RECORD, dir_fd=fd, follow_symlinks=False)
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False
            raise

    @contextlib.contextmanager
    def _directory(self, name: str) -> Iterator[int]:
        fd = os.open(name, _DIRECTORY, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def _read(self, name: str) -> Record:
        try:
            with self._directory(name) as directory:
                fd = os.open(RECORD, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                with open(fd, "rb") as file:
                    return msgspec.json.decode(file.read(), type=Record)
        except (OSError, msgspec.DecodeError) as error:
            raise Damaged(f"{self.root / name / RECORD} cannot be read: {error}") from error

    def _clear(self, name: str) -> None:
        """Remove a directory and the files that this module puts there; anything else stays, and the directory with it."""
        try:
            with self._directory(name) as fd:
                # The record last but one: what has none is nobody's volume.
                for file in (RECORD, _DRAFT, IMAGE):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(file, dir_fd=fd)
            os.rmdir(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Damaged(f"{self.root / name} cannot be removed ({error.strerror}): remove by hand what is in it") from error
        os.fsync(self._fd)


def _id_in(name: str) -> str:
    """Return the id of the volume in a directory of this name."""
    return name.rpartition("_")[2]


def _write_record(directory: int, record: Record) -> None:
    fd = os.open(_DRAFT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with open(fd, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
        file.flush()
        os.fsync(fd)
    os.rename(_DRAFT, RECORD, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def _open_image(directory: int, path: Path) -> int:
    try:
        fd = os.open(IMAGE, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        kind = Missing if isinstance(error, FileNotFoundError) else Damaged
        raise kind(f"{path / IMAGE} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Damaged(f"{path / IMAGE} is not a file")
    return fd


def _bytes_of(directory: int) -> int:
    try:
        return os.stat(IMAGE, dir_fd=directory, follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:
        return 0
