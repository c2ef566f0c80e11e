"""The files of one image layer, collected in memory by path and written as a tar that depends on nothing but them."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tiphys.images import elf
from tiphys.images.packages import ImageError, Packages, merged

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = """\
root:x:0:
tty:x:5:
www-data:x:33:
nogroup:x:65534:
"""


@dataclass(frozen=True)
class Node:
    """A directory (neither data nor target), a file or a symbolic link.

    Files from disk are read when they are needed, not kept: images with Python have 200 MB of them.
    """

    mode: int
    text: bytes | None = None
    target: str = ""
    source: Path | None = None

    @property
    def data(self) -> bytes | None:
        """Content of a file, None for anything else."""
        return self.text if self.source is None else self.source.read_bytes()

    @property
    def is_file(self) -> bool:
        """True for a file."""
        return self.text is not None or self.source is not None


class Rootfs:
    """A tree of nodes by absolute path. Parents appear by themselves."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    def skeleton(self) -> None:
        """Files of every image: the merged /usr, users, name service order, /tmp."""
        for name in ("bin", "sbin", "lib", "lib64"):
            self.directory(f"/usr/{name}", 0o755)
            self.link(f"/{name}", f"usr/{name}")
        for path in ("/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var"):
            self.directory(path, 0o755)
        self.directory("/root", 0o700)
        self.directory("/tmp", 0o1777)
        self.link("/var/run", "/run")
        self.file("/etc/passwd", PASSWD.encode())
        self.file("/etc/group", GROUP.encode())
        self.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")

    def directory(self, path: str, mode: int) -> None:
        self.nodes[merged(path)] = Node(mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.nodes[merged(path)] = Node(mode, data)

    def link(self, path: str, target: str) -> None:
        self.nodes[merged(path)] = Node(0o777, target=target)

    def copy(self, path: str, source: Path) -> None:
        """Take a file from disk under this path; a symbolic link comes with what it points to, if that is beside it."""
        if source.is_symlink():
            target = os.readlink(source)
            if posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) == path:
                return
            self.link(path, target)
            beside = source.parent / target
            if not os.path.isabs(target) and beside.exists():
                self.copy(posixpath.normpath(posixpath.join(posixpath.dirname(merged(path)), target)), beside)
        elif source.is_dir():
            self.directory(path, 0o755)
        else:
            mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
            self.nodes[merged(path)] = Node(mode, source=source)

    def missing_libraries(self, packages: Packages, below: set[str]) -> list[str]:
        """Add the libraries that programs here want and `packages` or the host have; returns the names found nowhere.

        `below` are the paths that the image's base layers hold already.
        """
        lost: set[str] = set()
        queue = list(self.nodes)
        # Python packages bring libraries of their own and know where those are.
        bundled = {posixpath.basename(path) for path in self.nodes if path.startswith("/usr/lib/python3/")}
        while queue:
            data = self.nodes[queue.pop()].data
            needs = elf.wants(data) if data is not None else None
            if needs is None:
                continue
            names = [*needs.libraries, *([posixpath.basename(needs.interpreter)] if needs.interpreter else [])]
            for name in names:
                if name in bundled:
                    continue
                library = packages.library(name)
                if library is None:
                    lost.add(name)
                    continue
                before = set(self.nodes)
                if library[0] not in self.nodes and library[0] not in below:
                    self.copy(*library)
                    queue += set(self.nodes) - before
            if needs.interpreter and (loader := packages.library(posixpath.basename(needs.interpreter))):
                # The loader is asked for by a fixed path, which differs from where the library directory has it.
                path = merged(needs.interpreter)
                if path not in self.nodes and path != loader[0]:
                    self.link(path, posixpath.relpath(loader[0], posixpath.dirname(path)))
        return sorted(lost)

    def write(self, path: Path) -> None:
        """Write the layer: sorted, owned by root, dated 1970, so that the same files give the same digest. Raises ImageError."""
        nodes = dict(self.nodes)
        for name in self.nodes:
            for parent in _parents(name):
                if nodes.setdefault(parent, Node(0o755)).is_file:
                    raise ImageError(f"{parent} is a file and cannot hold {name}")
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, node in sorted(nodes.items()):
                info = tarfile.TarInfo(name.lstrip("/"))
                info.mode = node.mode
                if (data := node.data) is not None:
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                    continue
                info.type = tarfile.SYMTYPE if node.target else tarfile.DIRTYPE
                info.linkname = node.target
                tar.addfile(info)


def _parents(path: str) -> list[str]:
    parents = []
    while (path := posixpath.dirname(path)) != "/":
        parents.append(path)
    return parents
