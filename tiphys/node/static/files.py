"""Reading the manifests of a directory, or of a single file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tiphys.node.static.manifest import MAX_BYTES


def read_files(path: Path) -> dict[str, bytes | str]:
    """Return the content of each manifest by its path, or the reason for which it cannot be read. Raises OSError.

    Names that begin with a dot are skipped; a path where nothing is has no manifests.
    """
    try:
        directory = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    if not directory:
        return {str(path): _content(path)}
    result: dict[str, bytes | str] = {}
    for name in sorted(os.listdir(path)):
        if not name.startswith("."):
            try:
                result[str(path / name)] = _content(path / name)
            except FileNotFoundError:
                continue  # removed since it was listed, or a link to nothing
            except OSError as error:
                result[str(path / name)] = error.strerror or str(error)
    return result


def _content(path: Path) -> bytes | str:
    """The content of a file; the kind is checked first, as a pipe would wait for a writer."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return "a directory: manifests below it are not read"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
