"""Writing a volume's files so that a reader sees either all the old ones or all the new ones.

The files live in a directory `..<time>`, the link `..data` points at it, and every visible name links through `..data`; renaming a new
link over `..data` changes all of them at once. Programs that watch for the change of `..data` work as they do elsewhere.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from datetime import datetime
from pathlib import Path

from tiphys.node.volumes.payload import File, Payload

DATA = "..data"


def write(target: Path, files: Payload, now: datetime, *, group: int | None = None) -> bool:
    """Make the volume at `target` hold exactly `files`; False when it did already.

    `group` (the pod's fsGroup) owns and may read everything in it; directories hand the group on.
    """
    current = _current(target)
    if current is not None and _same(current, files, group):
        _link(target, files)
        return False
    fresh = Path(tempfile.mkdtemp(prefix=f"..{now:%Y_%m_%d_%H_%M_%S}.", dir=target))
    for path, file in files.items():
        _write_file(fresh, path, file, group)
    fresh.chmod(0o755)
    if group is not None:
        for directory in (fresh, *[one for one in fresh.rglob("*") if one.is_dir()]):
            give_to_group(directory, group, write=False)
    temporary = target / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(target / DATA)
    _link(target, files)
    for old in target.glob("..2*"):
        if old != fresh:
            shutil.rmtree(old, ignore_errors=True)
    return True


def give_to_group(directory: Path, group: int, *, write: bool) -> None:
    """Let a group read a directory, or `write` as well; new files in it belong to the group too ("Configure a Security Context")."""
    os.chown(directory, -1, group)
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_ISGID | (0o770 if write else 0o550))


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
        status = present[path].stat()
        owner = os.geteuid() if file.user is None else file.user
        if stat.S_IMODE(status.st_mode) != _mode(file, group) or status.st_uid != owner or (group is not None and status.st_gid != group):
            return False
        if present[path].read_bytes() != file.data:
            return False
    return True


def _write_file(root: Path, path: str, file: File, group: int | None) -> None:
    place = root / path
    for parent in reversed(place.relative_to(root).parents):
        (root / parent).mkdir(mode=0o755, exist_ok=True)
    place.write_bytes(file.data)
    os.chown(place, -1 if file.user is None else file.user, -1 if group is None else group)
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
