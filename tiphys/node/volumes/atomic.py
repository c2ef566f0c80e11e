"""Writing a volume's files so that a reader sees either all the old ones or all the new ones.

The files live in a directory `..<time>`, the link `..data` points at it, and every visible name links through `..data`; renaming a new
link over `..data` changes all of them at once. Programs that watch for the change of `..data` work as they do elsewhere.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from tiphys.node.volumes.payload import File, Payload

DATA = "..data"


def write(target: Path, files: Payload, now: datetime, *, group: int | None = None) -> bool:
    """Make the volume at `target` hold exactly `files`; False when it did already. `group` may read what the owner may (fsGroup)."""
    current = _current(target)
    if current is not None and _same(current, files, group):
        _link(target, files)
        return False
    fresh = target / f"..{now:%Y_%m_%d_%H_%M_%S}.{os.urandom(4).hex()}"
    fresh.mkdir(mode=0o755)
    for path, file in files.items():
        _write_file(fresh, path, file, group)
    if group is not None:
        for directory in (fresh, *[one for one in fresh.rglob("*") if one.is_dir()]):
            os.chown(directory, -1, group)
    fresh.chmod(0o755)
    temporary = target / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(target / DATA)
    _link(target, files)
    for old in target.glob("..2*"):
        if old != fresh:
            shutil.rmtree(old, ignore_errors=True)
    return True


def _current(target: Path) -> Path | None:
    link = target / DATA
    return target / link.readlink() if link.is_symlink() and link.exists() else None


def _mode(file: File, group: int | None) -> int:
    return file.mode | 0o440 if group is not None else file.mode


def _same(current: Path, files: Payload, group: int | None) -> bool:
    present = {str(one.relative_to(current)): one for one in current.rglob("*") if not one.is_dir()}
    if present.keys() != files.keys():
        return False
    for path, file in files.items():
        if present[path].stat().st_mode & 0o7777 != _mode(file, group) or present[path].read_bytes() != file.data:
            return False
    return True


def _write_file(root: Path, path: str, file: File, group: int | None) -> None:
    place = root / path
    for parent in reversed(place.relative_to(root).parents):
        (root / parent).mkdir(mode=0o755, exist_ok=True)
    place.write_bytes(file.data)
    if group is not None:
        os.chown(place, -1, group)
    place.chmod(_mode(file, group))


def _link(target: Path, files: Payload) -> None:
    """The visible names: one link per first component of the paths, and no others."""
    tops = {Path(path).parts[0] for path in files}
    for present in target.iterdir():
        if present.name.startswith("..") or present.name in tops:
            continue
        if present.is_symlink():
            present.unlink()
    for top in tops:
        link = target / top
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{top}")
