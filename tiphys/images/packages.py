"""Files of Debian packages: the host's own where a package is installed, else downloaded with apt and unpacked to one side.

Nothing is ever installed. The host's files come first because that needs no network and takes no time.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

_LIBRARY = re.compile(r"^(lib(?!.*-perl$)|zlib)")


class ImageError(Exception):
    """An image cannot be built or imported; the message says why and what to do."""


class Packages:
    """A view of the files of some packages. `workspace` receives what has to be downloaded; the caller deletes it."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._installed: dict[str, list[str]] = {}
        self._unpacked: list[Path] = []
        self._library_dirs: list[Path] | None = None

    def add(self, names: Sequence[str]) -> None:
        """Make the files of these packages available; a name that ends in "?" may be unknown. Raises ImageError."""
        missing = []
        for spelled in names:
            name = spelled.rstrip("?")
            files = _installed_files(name)
            if files is not None:
                self._installed[name] = files
            elif not spelled.endswith("?") or _is_known(name):
                missing.append(name)
        if missing:
            self._download(missing)

    def find(self, pattern: str) -> Iterator[tuple[str, Path]]:
        """(path in the package, file on disk) of everything that matches a path or shell pattern, sorted by path."""
        spellings = _spellings(pattern)
        paths: dict[str, Path] = {}
        for files in self._installed.values():
            for path in files:
                if any(path == spelling or fnmatch.fnmatchcase(path, spelling) for spelling in spellings):
                    paths[merged(path)] = Path(path)
        for root in self._unpacked:
            for spelling in spellings:
                for hit in root.glob(spelling.lstrip("/")):
                    paths[merged("/" + str(hit.relative_to(root)))] = hit
        yield from sorted(paths.items())

    def library(self, name: str) -> tuple[str, Path] | None:
        """(path in an image, file on disk) of a shared library, from the unpacked packages or else from the host."""
        for root in self._unpacked:
            for hit in sorted(root.glob(f"**/{name}")):
                return merged("/" + str(hit.relative_to(root))), hit
        if self._library_dirs is None:
            tops = [Path("/usr/lib"), Path("/lib"), Path("/lib64")]
            self._library_dirs = [directory for top in tops for directory in (*sorted(top.glob("*-linux-gnu*")), top) if directory.is_dir()]
        for directory in self._library_dirs:
            if (directory / name).exists():
                return merged(str(directory / name)), directory / name
        return None

    def add_libraries_of(self, names: Sequence[str]) -> None:
        """Download the library packages that these packages depend on, as far as they are not on the host."""
        graph = _dependencies([name.rstrip("?") for name in names])
        libraries, queue = [], [name.rstrip("?") for name in names]
        seen = set(queue)
        while queue:
            for dependency in graph.get(queue.pop(0), []):
                if dependency not in seen and _LIBRARY.match(dependency):
                    seen.add(dependency)
                    queue.append(dependency)
                    if _installed_files(dependency) is None:
                        libraries.append(dependency)
        if libraries:
            self._download(libraries)

    def _download(self, names: list[str]) -> None:
        debs = self._workspace / f"debs{len(self._unpacked)}"
        debs.mkdir(parents=True)
        done = _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names], cwd=debs)
        archives = sorted(debs.glob("*.deb"))
        if done.returncode != 0 or len(archives) < len(names):
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            reason = errors[-1] if errors else "apt-get download failed"
            raise ImageError(f"cannot download the Debian packages {' '.join(names)} ({reason}); run apt-get update, or install them")
        root = self._workspace / f"root{len(self._unpacked)}"
        root.mkdir()
        for archive in archives:
            done = _run(["dpkg-deb", "-x", str(archive), str(root)])
            if done.returncode != 0:
                raise ImageError(f"cannot unpack {archive.name}: {done.stderr.strip()}")
        shutil.rmtree(debs)
        self._unpacked.append(root)


def merged(path: str) -> str:
    """The path with /bin, /sbin and /lib* below /usr, as Debian lays out its system since version 12."""
    return "/usr" + path if re.match(r"/(bin|sbin|lib|lib32|lib64)/", path) else path


def _spellings(pattern: str) -> list[str]:
    other = pattern.removeprefix("/usr") if merged(pattern.removeprefix("/usr")) == pattern else merged(pattern)
    return [pattern] if other == pattern else [pattern, other]


def _installed_files(name: str) -> list[str] | None:
    status = _run(["dpkg-query", "-W", "-f", "${db:Status-Status}\\n", name]).stdout.splitlines()
    if "installed" not in status:
        return None
    files = [path for path in _run(["dpkg-query", "-L", name]).stdout.splitlines() if os.path.lexists(path)]
    # A container base image may have dropped files of its packages: then a download is the better source.
    return files or None


def candidate_version(name: str) -> str:
    """Return the version of a package that is installed or, if it is not, would be; empty for an unknown one."""
    lines = _run(["apt-cache", "policy", name]).stdout.splitlines()
    versions = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return next((versions[key] for key in ("Installed", "Candidate") if versions.get(key, "(none)") != "(none)"), "")


def _is_known(name: str) -> bool:
    return bool(_run(["apt-cache", "policy", name]).stdout.strip())


def _dependencies(names: Sequence[str]) -> dict[str, list[str]]:
    options = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    graph: dict[str, list[str]] = {}
    current = ""
    for line in _run(["apt-cache", "depends", "--recurse", *options, *names]).stdout.splitlines():
        if not line.startswith(" "):
            current = line.strip()
        elif "Depends:" in line:
            graph.setdefault(current, []).append(line.split(":", 1)[1].strip())
    return graph


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is not installed; images can only be built on Debian and its derivatives") from error
