"""Control groups: the controllers that pods' resources need, on version 1, hybrid and version 2, and whether groups can be made."""

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
    have = set((root / "cgroup.controllers").read_text().split()) if v2 else set(hierarchies(root))
    missing = [name for name in CONTROLLERS if name not in have]
    if missing:
        boot = " ".join(_BOOT[name] for name in missing)
        yield CheckResult(
            "cgroups", "fail", f"the kernel offers no {', '.join(missing)}", f"add {boot} to the kernel's command line and reboot"
        )
        return
    places = [root] if v2 else [hierarchies(root)[name] for name in CONTROLLERS]
    refused = [problem for place in dict.fromkeys(places) if (problem := _try(place))]
    if refused:
        yield CheckResult(
            "cgroups", "fail", f"no group can be made: {refused[0]}", "in a container: start it with --privileged --cgroupns=host"
        )
        return
    kind = "version 2" if v2 else "hybrid" if (root / "unified").is_dir() else "version 1"
    yield CheckResult("cgroups", "ok", f"{kind}, with {', '.join(CONTROLLERS)}")


def _try(place: Path) -> str:
    """Why no group can be made here; "" when it can."""
    trial = place / f"tiphys-check-{os.getpid()}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        return f"{place}: {error.strerror}"
    return ""
