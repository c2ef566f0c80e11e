"""Facts about this machine, from /proc, /sys and /etc."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.helpers.resources import Amounts
from tiphys.api.machinery import quantity
from tiphys.node.container.memory import MemoryRules
from tiphys.node.eviction.thresholds import Threshold, effective_hard, thresholds_of
from tiphys.node.host import huge_pages
from tiphys.node.host.allocatable import allocatable, limit, reserved
from tiphys.node.host.cpuset import parse_cpus
from tiphys.node.runtime.cgroups import is_v2
from tiphys.node.services import Machine
from tiphys.node.settings import NodeSettings


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def numa_nodes() -> frozenset[int]:
    """Return the NUMA nodes of the machine; a kernel without NUMA has node 0."""
    try:
        return parse_cpus(_read("/sys/devices/system/node/online")) or frozenset((0,))
    except ValueError:
        return frozenset((0,))


def meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo as bytes by name. Pure."""
    result = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            result[name] = int(words[0]) * (1024 if len(words) > 1 else 1)
    return result


def usable_cpus() -> frozenset[int]:
    """Numbers of the cores that this process may use."""
    return frozenset(os.sched_getaffinity(0))


def cores() -> int:
    """The cores this machine may use, limits of its own control group included."""
    count = len(usable_cpus())
    limit = _read("/sys/fs/cgroup/cpu.max").split()
    if len(limit) == 2 and limit[0].isdigit():
        count = min(count, max(int(limit[0]) // int(limit[1]), 1))
    return count


def apparmor() -> bool:
    """True if containers can be confined with AppArmor.

    What containerd looks at, too: where it finds one of these missing it takes the default profile for none.
    """
    there = all(Path(path).exists() for path in ("/sys/kernel/security/apparmor", "/sbin/apparmor_parser"))
    return there and _read("/sys/module/apparmor/parameters/enabled") == "Y"


def memory() -> int:
    """Bytes of memory, limits of the machine's own control group included."""
    total = meminfo(_read("/proc/meminfo")).get("MemTotal", 0)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _read(path)
        if limit.isdigit() and 0 < int(limit) < total:
            total = int(limit)
    return total


def memory_available() -> int:
    """Bytes that could be given out without swapping."""
    return meminfo(_read("/proc/meminfo")).get("MemAvailable", 0)


def swap() -> int:
    """Bytes of swap."""
    return meminfo(_read("/proc/meminfo")).get("SwapTotal", 0)


def memory_rules(settings: NodeSettings, size: Machine) -> MemoryRules:
    """Return how the node treats the memory of its containers."""
    return MemoryRules(
        capacity=size.memory,
        allocatable=quantity.whole(size.allocatable["memory"]),
        swap=swap(),
        v2=is_v2(),
        swap_behavior=settings.swap_behavior,
        throttling=settings.memory_throttling,
        reservation=settings.memory_reservation,
        ends_together=not settings.single_process_oom_kill,
    )


def cpus() -> frozenset[int]:
    """Numbers of the cores that are online."""
    text = _read("/sys/devices/system/cpu/online")
    return parse_cpus(text) if text else frozenset(range(os.cpu_count() or 1))


def max_pids() -> int:
    """Processes and threads that the machine can have at once."""
    limits = (_read(f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max"))
    return min((int(limit) for limit in limits if limit.isdigit()), default=0)


def thresholds(settings: NodeSettings) -> tuple[Threshold, ...]:
    """Return the thresholds of eviction."""
    return thresholds_of(
        effective_hard(settings.eviction_hard, merge=settings.eviction_defaults),
        settings.eviction_soft,
        settings.eviction_soft_grace,
        settings.eviction_reclaim,
        enforced="pods" in settings.enforce_allocatable,
    )


def reserves(settings: NodeSettings) -> Amounts:
    """Return what is kept back from pods, by resource."""
    return reserved(settings.system_reserved, settings.kube_reserved, settings.reserved_cpus)


def measure(settings: NodeSettings) -> tuple[Machine, dict[str, str]]:
    """The machine's size with what pods may use of it, and its capacity as the Node shows it.

    Raises OverReserved when more is reserved than there is.
    """
    count, total = cores(), memory()
    disk = shutil.disk_usage(_existing(settings.root)).total
    capacity = {
        "cpu": str(count),
        "memory": f"{total // 1024}Ki",
        "ephemeral-storage": f"{disk // 1024}Ki",
        "pods": str(settings.max_pods),
        "hugepages-2Mi": "0",
        "hugepages-1Gi": "0",
        **huge_pages.capacity(by_size := huge_pages.pages()),
    }
    whole = {"cpu": count * 1000, "memory": total, "ephemeral-storage": disk}
    held = reserves(settings)
    left = allocatable(whole, held, thresholds(settings))
    shown = {
        **capacity,
        "cpu": str(quantity.from_milli(left["cpu"])),
        # Memory in huge pages is there for nothing else.
        "memory": f"{max(left['memory'] - huge_pages.total(by_size), 0) // 1024}Ki",
        "ephemeral-storage": str(left["ephemeral-storage"]),
    }
    pods = limit({**whole, "pid": max_pids()}, held)
    return Machine(count, total, shown, apparmor(), pods if "pods" in settings.enforce_allocatable else {}), capacity


def mount_point(path: Path) -> Path:
    """The directory at which the file system of a path is mounted."""
    place = path.resolve()
    while not place.is_mount():
        place = place.parent
    return place


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def architecture() -> str:
    """The machine's architecture by Go's name."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}.get(platform.machine(), platform.machine())


def system_info(runtime_version: str, version: str) -> core.NodeSystemInfo:
    """Identities and versions."""
    return core.NodeSystemInfo(
        machineID=_read("/etc/machine-id") or _read("/var/lib/dbus/machine-id"),
        systemUUID=_read("/sys/class/dmi/id/product_uuid") or _read("/etc/machine-id"),
        bootID=_read("/proc/sys/kernel/random/boot_id"),
        kernelVersion=platform.release(),
        osImage=_os_image(_read("/etc/os-release")),
        containerRuntimeVersion=runtime_version,
        kubeletVersion=version,
        kubeProxyVersion="",
        operatingSystem="linux",
        architecture=architecture(),
        swap=core.NodeSwapStatus(capacity=swap()) if swap() else None,
    )


def _os_image(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return "Linux"
