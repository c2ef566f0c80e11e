"""Check of control groups (version 1, hybrid, version 2): controllers for the resources of pods, and permission to create groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

CONTROLLERS = ("cpu", "memory", "pids")
_BOOT = {"memory": "cgroup_enable=memory cgroup_memory=1", "pids": "cgroup_enable=pids", "cpu": "cgroup_enable=cpu"}


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    from tiphys.daemon.host import cgroup_root, hierarchies, is_v2

    root = cgroup_root()
    if not root.is_dir() or not any(root.iterdir()):
        yield CheckResult("cgroups", "fail", f"nothing is mounted at {root}", f"mount -t cgroup2 none {root}")
        return
    v2 = is_v2(root)
    available = set((root / "cgroup.controllers").read_text().split()) if v2 else set(hierarchies(root))
    missing = [name for name in CONTROLLERS if name not in available]
    if missing:
        boot = " ".join(_BOOT[name] for name in missing)
        yield CheckResult(
            "cgroups", "fail", f"missing controllers: {', '.join(missing)}", f"add {boot} to the kernel's command line and reboot"
        )
        return
    places = [root] if v2 else [hierarchies(root)[name] for name in CONTROLLERS]
    problems = [problem for place in dict.fromkeys(places) if (problem := _try(place))]
    if problems:
        yield CheckResult(
            "cgroups", "fail", f"cannot create a control group: {problems[0]}", "in a container: start it with --privileged --cgroupns=host"
        )
        return
    kind = "version 2" if v2 else "hybrid" if (root / "unified").is_dir() else "version 1"
    yield CheckResult("cgroups", "ok", f"{kind}, with {', '.join(CONTROLLERS)}")


def _try(place: Path) -> str:
    """Try to create a control group in a hierarchy; returns the problem, or ""."""
    trial = place / f"tiphys-check-{os.getpid()}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""
