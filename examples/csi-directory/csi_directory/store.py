"""Volumes and snapshots on disk. Several processes may use one directory at the same time, and each may be killed at any moment.

    ROOT/volumes/ID/      record.json, and the content: data/ (a directory) or disk (a sparse file)
    ROOT/snapshots/ID/    the same
    ROOT/nodes/           what nodes report about themselves
    ROOT/work/ID/         what is being made or removed; a volume exists once it was moved from here to its place
    ROOT/lock             one byte for each volume, locked while a request works on it

Identifiers are hashes of names, so a request that is repeated meets what it made before, and none leads out of ROOT.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from csi_directory.system import held_locks, run
from tiphys.csi.errors import Exhausted, Failed, FailedPrecondition, NotFound, Pending

PLACES = {"v": "volumes", "e": "volumes", "s": "snapshots"}
"""Folders by the first letter of identifiers: volumes, volumes of a single pod, snapshots."""


class Attachment(msgspec.Struct, frozen=True):
    """A volume at a node: number of the access mode, read-only or not."""

    mode: int
    readonly: bool = False


class Record(msgspec.Struct, kw_only=True):
    """A volume or a snapshot. `size` is in bytes; `source` is the identifier of what it was copied from."""

    id: str
    name: str
    size: int
    backing: Literal["directory", "disk"]
    source: str = ""
    zone: str = ""
    created: float = 0.0
    parameters: dict[str, str] = {}
    attachments: dict[str, Attachment] = {}


class Node(msgspec.Struct, kw_only=True):
    """A node as it introduced itself; `max_volumes` 0 means no limit."""

    id: str
    zone: str = ""
    max_volumes: int = 0


def id_of(kind: str, name: str) -> str:
    """Return the identifier of a volume ("v"), of one that a single pod has ("e") or of a snapshot ("s")."""
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class Store:
    """Everything below one root directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("volumes", "snapshots", "nodes", "work"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "lock").touch(mode=0o600)
        os.chmod(root, 0o700)

    @contextmanager
    def locked(self, *keys: str, wait: bool = False) -> Iterator[None]:
        """Hold the locks of some volumes; raises Pending when another request works on one, or waits for it."""
        with open(self.root / "lock", "rb+") as file:
            for key in keys:
                start = int.from_bytes(hashlib.sha256(f"{wait} {key}".encode()).digest()[:6])
                # struct flock: type, whence, start, length, pid.
                lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
                try:
                    fcntl.fcntl(file, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, lock)
                except (BlockingIOError, PermissionError) as error:
                    raise Pending(f"another request works on {key}") from error
            token = held_locks.set((*held_locks.get(), file.fileno()))
            try:
                yield
            finally:
                held_locks.reset(token)

    def folder(self, id: str) -> Path:
        """Return the folder of a volume or a snapshot. Raises NotFound for what is no identifier."""
        if not re.fullmatch(r"[ves]-[0-9a-f]{32}", id):
            raise NotFound(f"there is no {id[:200]!r}")
        return self.root / PLACES[id[0]] / id

    def load(self, id: str, kind: str = "") -> Record:
        """Return a volume or a snapshot. Raises NotFound, also when it is not of this kind."""
        try:
            record = msgspec.json.decode((self.folder(id) / "record.json").read_bytes(), type=Record)
        except FileNotFoundError:
            record = None
        except msgspec.DecodeError as error:
            raise Failed(f"the record of {id} is damaged: {error}") from error
        if record is None or not id.startswith(kind):
            raise NotFound(f"there is no {id}")
        return record

    def records(self, kind: str) -> list[Record]:
        """Return all volumes ("v") or snapshots ("s") by identifier."""
        result = []
        for path in sorted((self.root / PLACES[kind]).glob(f"{kind}-*")):
            with suppress(NotFound):
                result.append(self.load(path.name))
        return result

    def save(self, record: Record) -> None:
        """Write a changed record in one step."""
        _write(self.folder(record.id) / "record.json", record)

    def create(self, record: Record, source: Record | None = None) -> None:
        """Make a volume or a snapshot, empty or as a copy. Raises Exhausted when there is no room, FailedPrecondition for a copy of a
        volume that is being written to, unless the file system takes copies at an instant."""
        work, content = self.root / "work" / record.id, "disk" if record.backing == "disk" else "data"
        with self.locked("capacity", wait=True):
            shutil.rmtree(work, ignore_errors=True)
            if record.size > (room := self.available()):
                raise Exhausted(f"{record.size} bytes do not fit: {room} bytes are available")
            work.mkdir()
            _write(work / "record.json", record)
        try:
            self._fill(record, work / content, source)
            os.rename(work, self.folder(record.id))
        except Exception:
            shutil.rmtree(work, ignore_errors=True)
            raise

    def _fill(self, record: Record, target: Path, source: Record | None) -> None:
        if source is not None:
            self._copy(source, self.folder(source.id) / target.name, target)
            run("sync", "-f", str(target))
        elif record.backing == "directory":
            target.mkdir()
            os.chmod(target, 0o777)
        if record.backing == "disk":
            with open(target, "ab") as file:
                file.truncate(record.size)
                os.fsync(file.fileno())

    def _copy(self, source: Record, path: Path, target: Path) -> None:
        is_written = any(not attachment.readonly for attachment in source.attachments.values())
        if is_written and source.backing == "directory":
            raise FailedPrecondition(f"{source.id} is in use, and a directory cannot be copied at an instant: detach it")
        try:
            run("cp", "-a", "--reflink=always", "--", str(path), str(target))
        except Failed as error:
            if is_written:
                raise FailedPrecondition(f"{source.id} is in use, and this file system has no copies at an instant: detach it") from error
            shutil.rmtree(target, ignore_errors=True)
            run("cp", "-a", "--reflink=auto", "--sparse=always", "--", str(path), str(target))

    def remove(self, id: str) -> None:
        """Delete a volume or a snapshot; one that is gone is deleted."""
        work = self.root / "work" / id
        shutil.rmtree(work, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.rename(self.folder(id), work)
        shutil.rmtree(work, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what requests left that were never finished; those under way are spared."""
        for path in (self.root / "work").iterdir():
            with suppress(Pending), self.locked(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def available(self) -> int:
        """Return the number of free bytes that were promised to nobody."""
        promised = 0
        for disk in self.root.glob("*/*/record.json"):
            with suppress(FileNotFoundError, msgspec.DecodeError):
                record = msgspec.json.decode(disk.read_bytes(), type=Record)
                promised += max(record.size - _allocated(disk.with_name("disk")), 0) if record.backing == "disk" else 0
        space = os.statvfs(self.root)
        return max(space.f_bavail * space.f_frsize - promised, 0)

    def introduce(self, node: Node) -> None:
        """Record a node, so that volumes can be attached to it."""
        _write(self.root / "nodes" / f"{id_of('n', node.id)}.json", node)

    def nodes(self) -> dict[str, Node]:
        """Return the nodes that introduced themselves, by name."""
        known = [msgspec.json.decode(path.read_bytes(), type=Node) for path in (self.root / "nodes").glob("n-*.json")]
        return {node.id: node for node in known}


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


def _write(path: Path, content: msgspec.Struct) -> None:
    """Replace a file in one step that lasts."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(new, "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
