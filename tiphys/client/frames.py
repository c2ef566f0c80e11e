"""Watch streams: lines out of chunks, events out of lines. No sockets; `LineReader` is fed bytes as they arrive."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from tiphys.api.meta.v1 import KubeObject

ObjectT = TypeVar("ObjectT", bound=KubeObject)

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]

MAX_LINE = 64 * 1024 * 1024
"""Maximum size of an event in bytes; a longer one means that the peer does not speak the watch protocol."""


class WatchEvent(msgspec.Struct, Generic[ObjectT], frozen=True):
    """One change. A BOOKMARK's object has only its resourceVersion (and annotations)."""

    type: EventType
    object: ObjectT


class Frame(msgspec.Struct):
    """Event before its object is decoded, whose type only the receiver knows."""

    type: str
    object: msgspec.Raw


_frames: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def decode_frame(line: bytes) -> Frame:
    """Decode the frame in a line; raises ValueError (msgspec.DecodeError) for anything else."""
    return _frames.decode(line)


class LineReader:
    """Splitter of a byte stream at newlines, which keeps an unfinished line for the next chunk."""

    def __init__(self, *, limit: int = MAX_LINE) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that the chunk completes, without their ends and without empty ones. Raises ValueError past the limit."""
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        first, *lines = chunk.split(b"\n")
        whole = b"".join([*self._parts, first]) if self._parts else first
        self._parts, self._size = [], 0
        rest = lines.pop()
        self._keep(rest)
        return [line for line in (whole, *lines) if line.strip()]

    @property
    def pending(self) -> int:
        """Number of bytes in the unfinished line."""
        return self._size

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        if self._size > self._limit:
            raise ValueError(f"a watch event is longer than {self._limit} bytes")
        self._parts.append(part)


class ListBody(msgspec.Struct, Generic[ObjectT]):
    """Part of a list answer that clients use. Servers written in Go may send null for an empty list."""

    metadata: dict[str, Any] = {}
    items: list[ObjectT] | None = None
