"""Python programs in images: the distribution's interpreter, with the packages of the interpreter that runs.

Packages are copied as they are installed here, compiled modules included, so both interpreters must be of one minor version.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from tiphys.images.packages import ImageError, Packages, candidate_version
from tiphys.images.rootfs import Rootfs

SITE = "/usr/lib/python3/dist-packages"
"""Directory in images from which Debian's interpreter imports packages."""
_LEFT_OUT = re.compile(r"(^|/)(tests?|__pycache__|idlelib|lib2to3|ensurepip|pydoc_data|turtledemo|tkinter|config-[^/]*)(/|$)|\.pyi$|\.pxd$")
_NOT_COPIED = re.compile(r"^\.\.|^__editable__|\.dist-info/(direct_url\.json|RECORD|REQUESTED|INSTALLER)$")


def minor_version() -> str:
    """Return the version of the running interpreter as packages name it: "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter_packages() -> list[str]:
    """Return the Debian packages of the interpreter. Raises ImageError when the distribution's is not of the version that runs."""
    version = minor_version()
    offered = ".".join(candidate_version("python3").split(".")[:2])
    if sys.implementation.name != "cpython" or version != offered:
        raise ImageError(
            f"Tiphys runs on {sys.implementation.name} {version}, and images have the distribution's Python, which is "
            f"{offered or 'unavailable'}: start Tiphys with /usr/bin/python3 of the same minor version to build images with Python"
        )
    return [f"python{version}-minimal", f"libpython{version}-minimal", f"libpython{version}-stdlib", "libstdc++6", "libgcc-s1"]


def requirements(names: Sequence[str]) -> list[Distribution]:
    """Return these distributions and all that they need, by name. Raises ImageError for one that is not installed."""
    known: dict[str, Distribution] = {}
    queue = [(name, False) for name in names]
    while queue:
        name, is_optional = queue.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in known:
            continue
        try:
            known[key] = distribution(name)
        except PackageNotFoundError as error:
            if is_optional:
                continue
            raise ImageError(f"the Python package {name} is not installed in {sys.prefix}") from error
        for requirement in known[key].requires or []:
            specifier, _, marker = requirement.partition(";")
            match = re.match(r"[A-Za-z0-9._-]+", specifier)
            if match and not re.search(r"\bextra\b", marker):
                # A marker names platforms or versions: whoever installed this has judged it.
                queue.append((match[0], bool(marker)))
    return [known[key] for key in sorted(known)]


def edition(names: Sequence[str]) -> list[str]:
    """Return what changes whenever these packages have to be copied again: versions, and the content of those installed in place."""
    parts = [minor_version()]
    for one in requirements(names):
        digest = hashlib.sha256()
        if _is_in_place(one):
            for path, source in _files(one):
                digest.update(f"{path} {source.stat().st_mode & 0o111}".encode() + source.read_bytes())
        parts.append(f"{one.name} {one.version} {digest.hexdigest()}")
    return parts


def add_python(tree: Rootfs, names: Sequence[str], packages: Packages, workspace: Path) -> None:
    """Add the interpreter and these distributions with all that they need. Raises ImageError. Needs seconds: modules are compiled."""
    library = f"/usr/lib/python{minor_version()}"
    staged = workspace / "python"
    program = f"/usr/bin/python{minor_version()}"
    for pattern in (program, f"{library}/*", f"{library}/**/*"):
        for path, source in packages.find(pattern):
            if source.is_file() and not source.is_symlink() and not _LEFT_OUT.search(path):
                _stage(staged, path, source)
    if not (staged / program.lstrip("/")).exists():
        raise ImageError(f"none of the distribution's packages has {program}")
    for one in requirements(names):
        for path, source in _files(one):
            _stage(staged, f"{SITE}/{path}", source)
        for script in one.entry_points.select(group="console_scripts"):
            _write_script(tree, script.name, script.value)
    _compile(staged)
    for source in sorted(staged.rglob("*")):
        if source.is_file():
            tree.copy(f"/{source.relative_to(staged)}", source)
    tree.link("/usr/bin/python3", Path(program).name)


def _is_in_place(one: Distribution) -> bool:
    """Return whether a distribution is used from where it is developed."""
    return any(str(path).startswith("__editable__") for path in one.files or [])


def _files(one: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield (path below the site directory, file here) for what a distribution consists of. Raises ImageError."""
    if one.files is None:
        raise ImageError(f"the Python package {one.name} was installed without a list of its files: install it with pip")
    for path in sorted(one.files, key=str):
        source = Path(str(path.locate()))
        if not _NOT_COPIED.search(str(path)) and not _LEFT_OUT.search(str(path)) and source.is_file():
            yield str(path), source
    if _is_in_place(one):
        spec = find_spec(one.name)
        if spec is None or not spec.submodule_search_locations:
            raise ImageError(f"the Python package {one.name} cannot be imported")
        top = Path(next(iter(spec.submodule_search_locations)))
        for source in sorted(top.rglob("*")):
            path_below = str(source.relative_to(top.parent))
            if source.is_file() and not _LEFT_OUT.search(path_below):
                yield path_below, source


def _stage(staged: Path, path: str, source: Path) -> None:
    target = staged / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _compile(staged: Path) -> None:
    """Compile all modules once, rather than in each container at each start. Files in images have no dates, so none are compared."""
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(staged), "-p", "/"]
    # Some packages have modules for other versions of Python, which is no error.
    subprocess.run([*command, str(staged)], capture_output=True, check=False)


def _write_script(tree: Rootfs, name: str, value: str) -> None:
    module, _, function = value.partition(":")
    text = f"#!/usr/bin/python3\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
    tree.file(f"/usr/bin/{name}", text.encode(), 0o755)
