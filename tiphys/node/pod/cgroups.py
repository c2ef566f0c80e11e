"""The control groups of pods on this machine: `/kubepods/pod<uid>` for Guaranteed pods, below `/burstable` and `/besteffort` for others.

Containers are below their pod, made by the runtime. The group of a pod holds the limits that are common to its containers, and a tmpfs
volume's memory. Works on cgroup v1, hybrid and v2.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import qos_class
from tiphys.node.host.cgroups import MIN_SHARES, PERIOD, Limits, pod_limits, shares, weight
from tiphys.node.runtime import cgroups as files

log = logging.getLogger(__name__)


class PodCgroups:
    """Makes, limits and removes the groups. Calls touch files only, for a few milliseconds at most."""

    def __init__(self, parent: str = files.DEFAULT_PARENT, root: Path = files.ROOT, *, max_pids: int = -1, milli_cpu: int = 0) -> None:
        """Take the limit of processes per pod (-1 for none) and the thousandths of a core that pods may request together."""
        self.parent = parent
        self.max_pids = max_pids
        self.milli_cpu = milli_cpu
        self.root = root
        self._requests: dict[str, int] = {}

    def path(self, pod: core.Pod) -> str:
        """The pod's group, as a path below the mount point."""
        return files.pod_path(self.parent, cast(files.Qos, pod.status.qosClass or qos_class(pod)), pod.metadata.uid)

    def prepare(self) -> None:
        """Make the groups of the tiers. Raises OSError where control groups cannot be made.

        All pods together get the CPU shares of what the node lets them request, as in "Reserve Compute Resources for System Daemons".
        With the kernel's default they would weigh as much as a single process outside, and busy pods would not get their requests.
        """
        for tier in ("", "/burstable", "/besteffort"):
            files.ensure(self.parent + tier, root=self.root)
        self._write(self.parent, _shares(shares(self.milli_cpu)))
        self._write(self.parent + "/besteffort", _shares(MIN_SHARES))

    def apply(self, pod: core.Pod) -> str:
        """Make the pod's group with its limits; returns its path. Raises OSError when it cannot be made."""
        path, limits = self.path(pod), pod_limits(pod)
        files.ensure(path, root=self.root)
        self._write(path, _settings(limits, self.max_pids))
        if "/burstable/" in path and self._requests.get(pod.metadata.uid) != limits.cpu_shares:
            self._requests[pod.metadata.uid] = limits.cpu_shares
            self._tier()
        return path

    def remove(self, uid: str) -> bool:
        """Remove the group of a pod that is gone; True when nothing of it is left."""
        if self._requests.pop(uid, None) is not None:
            self._tier()
        left = [qos for qos in _QOS if not files.remove(files.pod_path(self.parent, qos, uid), self.root)]
        return not left

    def uids(self) -> set[str]:
        """The pods that have a group."""
        result: set[str] = set()
        for tier in ("", "/burstable", "/besteffort"):
            for directory in files.directories(self.parent + tier, self.root):
                result |= {one.name.removeprefix("pod") for one in directory.glob("pod*")}
        return result

    def _tier(self) -> None:
        total = sum(self._requests.values())
        self._write(self.parent + "/burstable", _shares(shares(total * 1000 // 1024)))

    def _write(self, path: str, settings: Mapping[str, Mapping[str, str]]) -> None:
        """Write the limits that the kernel accepts: those of the containers hold even where the pod's are refused."""
        v2 = files.is_v2(self.root)
        for controller, values in settings.items():
            home = files.hierarchies(self.root).get("" if v2 else controller)
            for name, value in values.items():
                if home is None or (name not in _BOTH_FILES and (name in _V2_FILES) != v2):
                    continue
                try:
                    (home / path.strip("/") / name).write_text(value, encoding="utf-8")
                except OSError as error:
                    log.debug("cgroup setting refused", extra={"path": path, "file": name, "error": str(error)})


_QOS: tuple[files.Qos, ...] = ("Guaranteed", "Burstable", "BestEffort")
_V2_FILES = ("cpu.weight", "cpu.max", "memory.max")
_BOTH_FILES = ("pids.max",)
"""Of one name in both versions."""


def _shares(cpu_shares: int) -> dict[str, dict[str, str]]:
    return {"cpu": {"cpu.shares": str(cpu_shares), "cpu.weight": str(weight(cpu_shares))}}


def _settings(limits: Limits, max_pids: int) -> dict[str, dict[str, str]]:
    quota = limits.cpu_quota
    return {
        "cpu": {
            **_shares(limits.cpu_shares)["cpu"],
            "cpu.cfs_period_us": str(PERIOD),
            "cpu.cfs_quota_us": str(-1 if quota is None else quota),
            "cpu.max": f"{'max' if quota is None else quota} {PERIOD}",
        },
        "pids": {"pids.max": "max" if max_pids <= 0 else str(max_pids)},
        "memory": {
            "memory.limit_in_bytes": str(limits.memory or -1),
            "memory.max": "max" if limits.memory is None else str(limits.memory),
        },
    }
