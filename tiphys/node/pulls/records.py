"""Records of pulls on disk, below `<root>/image_manager` in upstream's layout and form: pulls under way, and images that were pulled.

The intent is written before a pull begins and goes after its record is written. So an image that came while the kubelet was killed counts
as pulled by it, for nobody known: the next pod must show its credentials. All records are held in memory; a file that cannot be read
counts as an image pulled for nobody known.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from tiphys.node.metrics import families
from tiphys.node.pulls.keyring import Credential
from tiphys.node.pulls.verification import GROUP_VERSION, PulledRecord, recorded

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)


class PullIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Image whose pull has begun."""

    kind: str = "ImagePullIntent"
    apiVersion: str = GROUP_VERSION
    image: str


class PullRecords:
    """The records of one node. `load` comes first."""

    def __init__(self, root: Path) -> None:
        self._pulling = root / "image_manager" / "pulling"
        self._pulled = root / "image_manager" / "pulled"
        self._intents: Counter[str] = Counter()
        self._records: dict[str, PulledRecord] = {}
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the records. Raises OSError when their directories cannot be made."""
        intents, records = await asyncio.to_thread(self._read)
        self._intents.update(intents)
        self._records.update({one.imageRef: one for one in records})
        self._count()

    def _read(self) -> tuple[list[str], list[PulledRecord]]:
        for directory in (self._pulling, self._pulled):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return [one.image for one in _all(self._pulling, PullIntent)], list(_all(self._pulled, PulledRecord))

    def get(self, ref: str) -> PulledRecord | None:
        """Return the record of an image, by the runtime's reference."""
        return self._records.get(ref)

    def is_pulled(self, ref: str, image: str) -> bool:
        """Return whether the kubelet has pulled an image, or may have."""
        return ref in self._records or image in self._intents

    def unfinished(self) -> list[str]:
        """Images whose pull has begun and of which nothing more is known."""
        return list(self._intents)

    async def begin(self, image: str) -> None:
        """Record that a pull begins. Raises OSError."""
        async with self._lock:
            if not self._intents[image]:
                await asyncio.to_thread(_write, self._pulling, image, PullIntent(image=image))
            self._intents[image] += 1
            self._count()

    async def end(self, image: str) -> None:
        """Forget one beginning of a pull."""
        async with self._lock:
            if self._intents[image] > 1:
                self._intents[image] -= 1
                return
            if await _tried(lambda: _file(self._pulling, image).unlink(missing_ok=True)):
                del self._intents[image]
            self._count()

    async def add(self, ref: str, image: str, used: Credential | None, now: datetime, *, known: bool = True) -> bool:
        """Record that an image was pulled with a login (`verification.recorded`). Returns False if it could not be written."""
        async with self._lock:
            old = self._records.get(ref)
            new = recorded(old, ref, image, used, now, known=known)
            if new is old:
                return True
            if not await _tried(lambda: _write(self._pulled, ref, new)):
                return False
            self._records[ref] = new
            self._count()
            return True

    async def prune(self, refs: Collection[str], before: datetime) -> None:
        """Remove the records, older than a time, of images that the node does not hold any more (`refs` are the ones it holds)."""
        async with self._lock:
            for ref, record in list(self._records.items()):
                if ref in refs or (record.lastUpdatedTime is not None and record.lastUpdatedTime >= before):
                    continue
                if await _tried(lambda ref=ref: _file(self._pulled, ref).unlink(missing_ok=True)):  # type: ignore[misc]
                    del self._records[ref]
            self._count()

    def _count(self) -> None:
        families.PULL_INTENTS.labels().set(len(self._intents))
        families.PULLED_RECORDS.labels().set(len(self._records))


async def _tried(work: Callable[[], None]) -> bool:
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        log.warning("a record of image pulls was not written", extra={"error": str(error)})
        return False
    return True


def _file(directory: Path, key: str) -> Path:
    return directory / f"sha256-{hashlib.sha256(key.encode()).hexdigest()}"


def _write(directory: Path, key: str, value: msgspec.Struct) -> None:
    path = _file(directory, key)
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.rename(path)


def _all(directory: Path, type_: type[T]) -> Iterable[T]:
    for path in directory.iterdir():
        if path.suffix == ".tmp":
            path.unlink(missing_ok=True)
            continue
        try:
            yield msgspec.json.decode(path.read_bytes(), type=type_)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("a record of image pulls was not read", extra={"path": str(path), "error": str(error)})
