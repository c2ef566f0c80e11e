"""Control groups by path, the same on version 1, hybrid and version 2.

A path such as `/kubepods/burstable/pod<uid>` names one directory per version 1 hierarchy, or one directory on version 2. The pods'
groups follow the page "Control Group and pod limits" of the Kubernetes documentation: one for all pods, one per lower QoS class, one
per pod; runc adds one per container below it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

Qos = Literal["Guaranteed", "Burstable", "BestEffort"]

ROOT = Path("/sys/fs/cgroup")
DEFAULT_PARENT = "/kubepods"


def is_v2(root: Path = ROOT) -> bool:
    """True if the machine has version 2 only; hybrid counts as version 1, because the controllers are there."""
    return (root / "cgroup.controllers").exists()


@cache
def hierarchies(root: Path = ROOT) -> dict[str, Path]:
    """Directory of each hierarchy by controller ("memory", "cpu", ...); version 2 has the one entry ""."""
    if is_v2(root):
        return {"": root}
    result = {}
    for entry in sorted(root.iterdir()):
        # Names such as "cpu" may be symbolic links to "cpu,cpuacct"; the directory itself is listed once per controller.
        if entry.is_symlink() or not (entry / "tasks").exists():
            continue
        for controller in entry.name.split(","):
            result[controller] = entry
    return result


def pod_path(parent: str, qos: Qos, uid: str) -> str:
    """The control group of a pod: guaranteed pods directly below the parent, the others in their class."""
    middle = "" if qos == "Guaranteed" else f"/{qos.lower()}"
    return f"{parent.rstrip('/')}{middle}/pod{uid}"


def directories(path: str, root: Path = ROOT) -> list[Path]:
    """The directories of a control group that exist, one per hierarchy. On hybrid also the empty twin in the version 2 tree."""
    relative = path.strip("/")
    tops = {*hierarchies(root).values(), root / "unified"} if not is_v2(root) else {root}
    return sorted(top / relative for top in tops if relative and (top / relative).is_dir())


def ensure(path: str, settings: Mapping[str, Mapping[str, str]] | None = None, root: Path = ROOT) -> None:
    """Create a control group in every hierarchy and write settings, given by controller and then by file name.

    On version 2 the keys of `settings` are ignored except for their files, which all live in the one directory. Raises OSError when
    the kernel refuses a value.
    """
    for controller, top in hierarchies(root).items():
        _make(top, path, controller)
    for controller, files in (settings or {}).items():
        home = hierarchies(root).get("" if is_v2(root) else controller)
        if home is None:
            continue
        for name, value in files.items():
            (home / path.strip("/") / name).write_text(value, encoding="utf-8")


def remove(path: str, root: Path = ROOT) -> bool:
    """Remove a control group and those below it; what still runs in them is left alone. True when nothing of it is left."""
    for top in directories(path, root):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    return not directories(path, root)


def processes(path: str, root: Path = ROOT) -> set[int]:
    """The processes in a control group and below it."""
    pids: set[int] = set()
    for top in directories(path, root):
        for directory, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                pids.update(map(int, (Path(directory) / "cgroup.procs").read_text(encoding="utf-8").split()))
    return pids


def kill(path: str, root: Path = ROOT) -> set[int]:
    """Send SIGKILL to the processes in a control group and below it; returns them. Never touches our own process."""
    pids = processes(path, root) - {os.getpid()}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _make(top: Path, path: str, controller: str) -> None:
    directory = top
    for part in path.strip("/").split("/"):
        parent, directory = directory, directory / part
        if controller == "":
            with contextlib.suppress(OSError):
                controllers = (parent / "cgroup.controllers").read_text(encoding="utf-8").split()
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers), encoding="utf-8")
        directory.mkdir(exist_ok=True)
        if controller == "cpuset":
            # A new cpuset is empty on version 1 and refuses processes until it has CPUs and memory nodes.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (directory / name).read_text(encoding="utf-8").strip():
                    (directory / name).write_text((parent / name).read_text(encoding="utf-8"), encoding="utf-8")
