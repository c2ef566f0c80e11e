"""Trees of files that containers write to, visited without ever leaving them: no link is followed and no mount is crossed.

One descriptor is open at a time, however deep the tree, and every step starts from it, so names that change meanwhile lead nowhere else.
Blocking: meant for threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tiphys.node.host.beneath import open_directory

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Visit = Callable[[int, str, os.stat_result], None]
"""Called with the descriptor of a directory, the name of an entry in it, and its state. A directory comes after everything in it."""
_Inode = tuple[int, int]


def remove_tree(root: Path) -> None:
    """Remove a directory with all that is in it. Raises OSError, EBUSY when something is mounted in it: nothing in there is removed."""

    def remove(directory: int, name: str, info: os.stat_result) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(info.st_mode):
                os.rmdir(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)

    try:
        parent = os.open(root.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fd = open_directory(parent, root.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _mounted(error, str(root)) from error
    finally:
        os.close(parent)
    visit_below(fd, remove, strict=True)
    root.rmdir()


def visit_below(root: int, visit: Visit, *, strict: bool = False) -> None:
    """Visit everything below a directory, whose descriptor is closed in the end. Raises OSError, ESTALE if the tree is moved meanwhile.

    What is mounted below is left out, and an error (EBUSY) if `strict`.
    """
    walk = _Walk(root, visit, strict)
    try:
        walk.run()
    finally:
        os.close(walk.fd)


class _Walk:
    def __init__(self, fd: int, visit: Visit, strict: bool) -> None:
        self.fd = fd
        self._visit = visit
        self._strict = strict
        self._above: list[tuple[_Inode, str, list[str]]] = []
        """Directories from the root to the present one: identity, name, and the directories in it that are still to be visited."""

    def run(self) -> None:
        self._above.append((_inode(os.fstat(self.fd)), "", self._files()))
        while True:
            _, name, directories = self._above[-1]
            if directories:
                self._descend(directories.pop())
                continue
            self._above.pop()
            if not self._above:
                return
            self._ascend()
            with contextlib.suppress(FileNotFoundError):
                self._visit(self.fd, name, os.stat(name, dir_fd=self.fd, follow_symlinks=False))

    def _files(self) -> list[str]:
        """Visit what is not a directory here; returns the directories."""
        directories = []
        with os.scandir(self.fd) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                info = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    directories.append(name)
                else:
                    self._visit(self.fd, name, info)
        return directories

    def _descend(self, name: str) -> None:
        try:
            below = open_directory(self.fd, name)
        except OSError as error:
            if self._strict and error.errno == errno.EXDEV:
                raise _mounted(error, name) from error
            if error.errno in (errno.EXDEV, errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return  # mounted, gone, or something else by now
            raise
        os.close(self.fd)
        self.fd = below
        self._above.append((_inode(os.fstat(below)), name, self._files()))

    def _ascend(self) -> None:
        parent = os.open("..", _DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = parent
        if _inode(os.fstat(parent)) != self._above[-1][0]:
            raise OSError(errno.ESTALE, "a directory was moved while it was visited")


def _mounted(error: OSError, name: str) -> OSError:
    return OSError(errno.EBUSY, "something is mounted there", name) if error.errno == errno.EXDEV else error


def _inode(info: os.stat_result) -> _Inode:
    return info.st_dev, info.st_ino
