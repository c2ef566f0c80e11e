"""Files that containers write for the environment of others: `NAME='value'` lines ("Define Environment Variable Values Using An Init
Container", KEP-3721).

The format is a subset of what a shell reads, so that both find the same: values stand in single quotes, may go over several lines, and
nothing in them is special. A container wrote the file, so it is opened beneath its volume, must be a plain file, and is read up to a limit.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tiphys.node.host.beneath import open_beneath

MAX_BYTES = 1 << 20
_BLANK = " \t"


class EnvFileError(ValueError):
    """The file is not there, or is not what it should be."""


def read_inside(volume: Path, path: str) -> str | None:
    """The text of a file of a volume; None when there is none. Raises EnvFileError. Blocks."""
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        fd = open_beneath(root, path, what="volume")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EnvFileError(error.strerror or str(error)) from error
    finally:
        os.close(root)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise EnvFileError("not a regular file")
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > MAX_BYTES:
        raise EnvFileError(f"larger than {MAX_BYTES} bytes")
    return data.decode("utf-8", "surrogateescape")


def value_of(text: str, key: str) -> str:
    """The value of a variable, "" when the file has none of that name. Raises EnvFileError for a line before it that means nothing."""
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    at = 0
    while at < len(lines):
        line = lines[at].lstrip(_BLANK)
        if not line or line.startswith("#"):
            at += 1
            continue
        name, rest = _assignment(line, at + 1)
        if rest[:1] in (" ", "\t"):
            # As in a shell: the variable is empty, and the rest of the line is something else.
            value, at = "", at + 1
        else:
            value, at = _quoted(rest, lines, at)
        if name == key:
            return value
    return ""


def _assignment(line: str, number: int) -> tuple[str, str]:
    """Name and what follows the sign."""
    name, sign, value = line.partition("=")
    where = f"invalid environment variable format at line {number}"
    if not sign:
        raise EnvFileError(f"{where}: missing '='")
    if not name.rstrip(_BLANK):
        raise EnvFileError(f"{where}: empty variable name")
    if name != name.rstrip(_BLANK):
        raise EnvFileError(f"{where}: whitespace before '=' is not allowed")
    return name, value


def _quoted(text: str, lines: list[str], at: int) -> tuple[str, int]:
    """The value that begins in line `at`, and the line after it."""
    if not text.startswith("'"):
        raise EnvFileError(f"invalid environment variable format at line {at + 1}: value must be enclosed in single quotes")
    parts, rest, end = [], text[1:], at
    while "'" not in rest:
        parts.append(rest)
        end += 1
        if end == len(lines):
            raise EnvFileError(f"invalid environment variable format starting at line {at + 1}: unclosed single quote")
        rest = lines[end]
    value, _, after = rest.partition("'")
    if after.lstrip(_BLANK) and not after.lstrip(_BLANK).startswith("#"):
        raise EnvFileError(f"invalid environment variable format at line {end + 1}: unexpected content after closing quote")
    return "\n".join((*parts, value)), end + 1
