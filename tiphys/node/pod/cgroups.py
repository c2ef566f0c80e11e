"""The control groups of pods on this machine: `/kubepods/pod<uid>` for Guaranteed pods, below `/burstable` and `/besteffort` for others.

Containers are below their pod, made by the runtime. The group of a pod holds the limits that are common to its containers, and a tmpfs
volume's memory. Works on cgroup v1, hybrid and v2.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import cast

import msgspec

from tiphys.aio.clock import monotonic
from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import qos_class
from tiphys.node.host.cgroups import MIN_SHARES, PERIOD, Limits, pod_limits, shares, weight
from tiphys.node.metrics import families
from tiphys.node.runtime import cgroups as files

log = logging.getLogger(__name__)


class PodCgroups:
    """Makes, limits and removes the groups. Calls touch files only, for a few milliseconds at most."""

    def __init__(
        self,
        parent: str = files.DEFAULT_PARENT,
        root: Path = files.ROOT,
        *,
        max_pids: int = -1,
        milli_cpu: int = 0,
        limits: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Take the limit of processes per pod (-1 for none), the thousandths of a core that pods may request together, and the limits of
        all pods together: bytes of `memory`, processes (`pid`)."""
        self.owns_cpus: Callable[[str], bool] = lambda uid: False
        """Tells whether containers of a pod own CPUs, which no quota limits then."""
        self.parent = parent
        self.max_pids = max_pids
        self.milli_cpu = milli_cpu
        self.limits = limits
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

    def hold(self) -> str:
        """Limit all pods together to what is not reserved; returns why the kernel refuses, or "".

        It refuses a limit of memory below what pods use, until some have gone ("Reserve Compute Resources for System Daemons").
        """
        return self._write(self.parent, _together(self.limits))

    def restrict(self, group: str, amounts: Mapping[str, int], *, compressible: bool) -> str:
        """Hold an existing group to a reserve, of CPU only if `compressible`; returns why that failed, or ""."""
        path = f"/{group.strip('/')}"
        if not files.directories(path, self.root):
            return f"control group {path} does not exist"
        settings = {} if compressible else {part: values for part, values in _together(amounts).items() if _RESERVES[part] in amounts}
        if "cpu" in amounts:
            settings |= _shares(shares(amounts["cpu"]))
        return self._write(path, settings)

    def apply(self, pod: core.Pod) -> str:
        """Make the pod's group with its limits; returns its path. Raises OSError when it cannot be made."""
        path, limits = self.path(pod), pod_limits(pod)
        if self.owns_cpus(pod.metadata.uid):
            limits = msgspec.structs.replace(limits, cpu_quota=None)
        with _timed("update" if files.directories(path, self.root) else "create"):
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
        with _timed("destroy"):
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

    def _write(self, path: str, settings: Mapping[str, Mapping[str, str]]) -> str:
        """Write the limits that the kernel accepts: those of the containers hold even where the pod's are refused. Returns the refusals."""
        v2, refused = files.is_v2(self.root), []
        for controller, values in settings.items():
            home = files.hierarchies(self.root).get("" if v2 else controller)
            for name, value in values.items():
                if home is None or (name not in _BOTH_FILES and (name in _V2_FILES) != v2):
                    continue
                try:
                    (home / path.strip("/") / name).write_text(value, encoding="utf-8")
                except OSError as error:
                    refused.append(f"{name} of {path} cannot be {value}: {error.strerror}")
                    log.debug("cgroup setting refused", extra={"path": path, "file": name, "error": str(error)})
        return "; ".join(refused)


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    began = monotonic()
    try:
        yield
    finally:
        families.CGROUP_SECONDS.labels(operation).observe(monotonic() - began)


_QOS: tuple[files.Qos, ...] = ("Guaranteed", "Burstable", "BestEffort")
_V2_FILES = ("cpu.weight", "cpu.max", "memory.max")
_BOTH_FILES = ("pids.max",)
"""Of one name in both versions."""


_RESERVES = {"memory": "memory", "pids": "pid"}
"""The resource that each controller limits, under its name in reserves."""


def _together(amounts: Mapping[str, int]) -> dict[str, dict[str, str]]:
    memory, pids = amounts.get("memory"), amounts.get("pid")
    return {
        "memory": {
            "memory.limit_in_bytes": str(-1 if memory is None else memory),
            "memory.max": "max" if memory is None else str(memory),
        },
        "pids": {"pids.max": "max" if pids is None else str(pids)},
    }


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
