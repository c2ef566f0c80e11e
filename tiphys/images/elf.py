"""Just enough of the ELF format to know which shared libraries a program wants, without running it."""

from __future__ import annotations

import struct
from typing import NamedTuple

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


class Wants(NamedTuple):
    """Libraries and loader that a program or library needs at run time."""

    machine: int
    """ELF's number of the processor architecture."""
    interpreter: str
    """Path of the dynamic loader; empty for libraries and static programs."""
    libraries: list[str]
    """File names such as libc.so.6."""


def wants(data: bytes) -> Wants | None:
    """Return what this file needs; None when it is not an ELF file of this machine's byte order and 64 bits."""
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        return None
    machine = struct.unpack_from("<H", data, 18)[0]
    table, entry_size, entries = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    interpreter, dynamic, loads = "", None, []
    for index in range(entries):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", data, table + index * entry_size)
        if kind == _PT_LOAD:
            loads.append((address, offset, size))
        elif kind == _PT_INTERP:
            interpreter = _text(data, offset)
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, size)
    if dynamic is None:
        return Wants(machine, interpreter, [])
    needed, strings = [], 0
    for tag, value in struct.iter_unpack("<QQ", data[dynamic[0] : dynamic[0] + dynamic[1] // 16 * 16]):
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            needed.append(value)
        elif tag == _DT_STRTAB:
            strings = next((value - address + offset for address, offset, size in loads if address <= value < address + size), 0)
    return Wants(machine, interpreter, [_text(data, strings + offset) for offset in needed])


def _text(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
