"""Header blocks of SPDY/3: name/value pairs, compressed with one zlib stream per direction for the life of a connection.

Both sides keep state, so blocks must be written in the order they were compressed, and one block that cannot be read ends the connection.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from tiphys.wire.errors import ProtocolError
from tiphys.wire.spdy_dictionary import SPDY_DICTIONARY

MAX_HEADER_BLOCK = 64 * 1024
"""Bytes of one header block after decompression. Kubernetes sends a few short names, so this only stops zip bombs."""

Headers = tuple[tuple[str, str], ...]

_LENGTH = struct.Struct("!I")


def _pack(headers: Iterable[tuple[str, str]]) -> bytes:
    merged: dict[str, list[str]] = {}
    for name, value in headers:
        merged.setdefault(name.lower(), []).append(value)
    out = [_LENGTH.pack(len(merged))]
    for name, values in merged.items():
        for item in (name.encode("latin-1"), "\0".join(values).encode("latin-1")):
            out += (_LENGTH.pack(len(item)), item)
    return b"".join(out)


def _unpack(block: bytes) -> Headers:
    offset = 0

    def take(size: int) -> bytes:
        nonlocal offset
        if len(block) - offset < size:
            raise ProtocolError("SPDY header block ends too early")
        offset += size
        return block[offset - size : offset]

    def item() -> str:
        return take(_LENGTH.unpack(take(4))[0]).decode("latin-1")

    headers: list[tuple[str, str]] = []
    seen: set[str] = set()
    for _ in range(_LENGTH.unpack(take(4))[0]):
        name, value = item(), item()
        if not name or name in seen:
            raise ProtocolError("SPDY header name is empty or repeated")
        seen.add(name)
        headers += ((name.lower(), part) for part in value.split("\0"))
    if offset != len(block):
        raise ProtocolError("SPDY header block has bytes left over")
    return tuple(headers)


class HeaderCompressor:
    """The sending half of a connection's header compression."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, zdict=SPDY_DICTIONARY)

    def compress(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """One header block; repeated names become one entry whose values are separated by NUL, as the specification wants it."""
        return self._zlib.compress(_pack(headers)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """The receiving half. Raises ProtocolError for anything that is not one complete block of at most MAX_HEADER_BLOCK bytes."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=SPDY_DICTIONARY)

    def decompress(self, block: bytes) -> Headers:
        try:
            plain = self._zlib.decompress(block, MAX_HEADER_BLOCK + 1)
        except zlib.error as exc:
            raise ProtocolError(f"SPDY header block cannot be decompressed: {exc}") from exc
        if len(plain) > MAX_HEADER_BLOCK or self._zlib.unconsumed_tail:
            raise ProtocolError(f"SPDY header block is larger than {MAX_HEADER_BLOCK} bytes")
        return _unpack(plain)
