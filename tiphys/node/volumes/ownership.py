"""Giving the files of a volume to the pod's fsGroup ("Configure a Security Context for a Pod or Container").

The group may read and write everything, and directories hand the group on to new files. What is as it should be is not touched, nor is
a read-only volume. SELinux labels are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tiphys.aio.threads import in_own_thread
from tiphys.node.volumes.tree import visit_below

FIRST_REPORT = 30.0
"""Seconds after which a change that is still under way is reported, and then every minute."""
REPORT_PERIOD = 60.0
_SLOW = (
    "Setting volume ownership for {where} is taking longer than expected, consider using OnRootMismatch - "
    "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"
    "#configure-volume-permission-and-ownership-change-policy-for-pods"
)


async def give_to_group(path: Path, group: int, *, on_root_mismatch: bool, where: str, report: Callable[[str], None]) -> None:
    """Give a volume to a group. `report` gets messages while a change takes long; they name the volume by `where`. Raises OSError.

    It goes on if the caller is cancelled, in a thread of its own: volumes with millions of files take minutes, and a server may hang.
    """
    change = _Change(group)
    future = in_own_thread(lambda: change.run(path, on_root_mismatch), name="volume ownership")
    message, pause = _SLOW.format(where=where), FIRST_REPORT
    while True:
        done, _ = await asyncio.wait((future,), timeout=pause)
        if done:
            return future.result()
        report(message)
        message, pause = f"Setting volume ownership for {where}, processed {change.count} files.", REPORT_PERIOD


def is_given(path: Path, group: int) -> bool:
    """Return whether the root of a volume has the group and the rights that giving it would set."""
    info = path.stat()
    mode = _rights(info.st_mode)
    return stat.S_ISDIR(info.st_mode) and info.st_gid == group and info.st_mode & mode == mode


class _Change:
    def __init__(self, group: int) -> None:
        self.count = 0
        self._group = group

    def run(self, root: Path, on_root_mismatch: bool) -> None:
        if on_root_mismatch and is_given(root, self._group):
            return
        fd = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            info = os.fstat(fd)
            if stat.S_ISDIR(info.st_mode):
                visit_below(os.dup(fd), self._visit)
            # The root comes last: only then does it show that everything below has been done.
            self._apply(f"/proc/self/fd/{fd}", info)
        finally:
            os.close(fd)

    def _visit(self, directory: int, name: str, info: os.stat_result) -> None:
        self.count += 1
        if stat.S_ISLNK(info.st_mode):
            if info.st_gid != self._group:
                os.chown(name, -1, self._group, dir_fd=directory, follow_symlinks=False)
            return
        if self._is_right(info):
            return
        # By descriptor: a link that takes the name meanwhile is not followed.
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                held = os.fstat(fd)
                if not stat.S_ISLNK(held.st_mode):
                    self._apply(f"/proc/self/fd/{fd}", held)
            finally:
                os.close(fd)

    def _is_right(self, info: os.stat_result) -> bool:
        mode = _rights(info.st_mode)
        return info.st_gid == self._group and info.st_mode & mode == mode

    def _apply(self, path: str, info: os.stat_result) -> None:
        if info.st_gid != self._group:
            os.chown(path, -1, self._group)
        mode = stat.S_IMODE(info.st_mode) | _rights(info.st_mode)
        # Changing the group takes set-id bits away, so the mode comes second.
        os.chmod(path, mode)


def _rights(mode: int) -> int:
    return 0o770 | stat.S_ISGID if stat.S_ISDIR(mode) else 0o660
