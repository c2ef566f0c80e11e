"""Use of control groups, read from the kernel's files: version 1, hybrid and version 2 under the same names of values.

Asking the runtime takes a round trip to every shim, and fails as a whole when one container ends meanwhile; reading takes a few
microseconds a file, and a group that is gone leaves out its own values only. The files are those of "Control Group v2" and of the
"Memory Resource Controller", "CPU Accounting Controller" and "CFS Bandwidth Control" pages of the kernel's documentation.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from tiphys.node.runtime import cgroups as files

NANO, MICRO, TICK = 1e-9, 1e-6, 1 / os.sysconf("SC_CLK_TCK")
UNLIMITED = 1 << 62
"""Version 1 writes limits that are none as the largest multiple of a page."""
BUFFER = 1 << 16

Values = dict[str, float]


class Transfers(msgspec.Struct):
    """Bytes and operations of one block device."""

    reads: int = 0
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Interface(NamedTuple):
    """Counters of one network interface, in the order of /proc/net/dev."""

    name: str
    receive: tuple[int, int, int, int]
    """Bytes, packets, errors, dropped."""
    transmit: tuple[int, int, int, int]


class GroupUse(msgspec.Struct):
    """Use and limits of one control group; `values` lacks those that the kernel does not report."""

    values: Values
    devices: dict[str, Transfers] = {}
    pids: list[int] = []
    """The processes in the group itself."""


class _Field(NamedTuple):
    name: str
    scale: float = 1


class _Source(NamedTuple):
    """A file, and the name of each value in it by its key; the key of a file's only number is ""."""

    controller: str
    file: str
    fields: Mapping[str, _Field]


def _number(name: str, scale: float = 1) -> dict[str, _Field]:
    return {"": _Field(name, scale)}


_V1 = (
    _Source("cpuacct", "cpuacct.usage", _number("cpu", NANO)),
    _Source("cpuacct", "cpuacct.stat", {"user": _Field("cpu_user", TICK), "system": _Field("cpu_system", TICK)}),
    _Source("cpu", "cpu.stat", {
        "nr_periods": _Field("periods"), "nr_throttled": _Field("throttled"), "throttled_time": _Field("throttled_seconds", NANO),
    }),
    _Source("cpu", "cpu.cfs_quota_us", _number("cpu_quota")),
    _Source("cpu", "cpu.cfs_period_us", _number("cpu_period")),
    _Source("cpu", "cpu.shares", _number("cpu_shares")),
    _Source("memory", "memory.usage_in_bytes", _number("memory")),
    _Source("memory", "memory.max_usage_in_bytes", _number("memory_max")),
    _Source("memory", "memory.failcnt", _number("memory_failures")),
    _Source("memory", "memory.kmem.usage_in_bytes", _number("kernel")),
    _Source("memory", "memory.limit_in_bytes", _number("memory_limit")),
    _Source("memory", "memory.soft_limit_in_bytes", _number("memory_reservation")),
    _Source("memory", "memory.memsw.limit_in_bytes", _number("swap_limit")),
    _Source("memory", "memory.oom_control", {"oom_kill": _Field("ooms")}),
    _Source("memory", "memory.stat", {
        "total_cache": _Field("cache"), "total_rss": _Field("rss"), "total_swap": _Field("swap"), "total_mapped_file": _Field("mapped"),
        "total_inactive_file": _Field("inactive_file"), "total_active_file": _Field("active_file"),
        "pgfault": _Field("faults"), "pgmajfault": _Field("major_faults"),
        "total_pgfault": _Field("faults_below"), "total_pgmajfault": _Field("major_faults_below"),
    }),
    _Source("pids", "pids.current", _number("threads")),
    _Source("pids", "pids.max", _number("threads_max")),
)  # fmt: skip
_V2 = (
    _Source("", "cpu.stat", {
        "usage_usec": _Field("cpu", MICRO), "user_usec": _Field("cpu_user", MICRO), "system_usec": _Field("cpu_system", MICRO),
        "nr_periods": _Field("periods"), "nr_throttled": _Field("throttled"), "throttled_usec": _Field("throttled_seconds", MICRO),
    }),
    _Source("", "cpu.weight", _number("cpu_weight")),
    _Source("", "memory.current", _number("memory")),
    _Source("", "memory.peak", _number("memory_max")),
    _Source("", "memory.max", _number("memory_limit")),
    _Source("", "memory.low", _number("memory_reservation")),
    _Source("", "memory.swap.current", _number("swap")),
    _Source("", "memory.swap.max", _number("swap_limit")),
    _Source("", "memory.events", {"max": _Field("memory_failures"), "oom_kill": _Field("ooms")}),
    _Source("", "memory.stat", {
        "file": _Field("cache"), "anon": _Field("rss"), "file_mapped": _Field("mapped"), "inactive_file": _Field("inactive_file"),
        "active_file": _Field("active_file"), "kernel": _Field("kernel"), "pgfault": _Field("faults"),
        "pgmajfault": _Field("major_faults"),
    }),
    _Source("", "pids.current", _number("threads")),
    _Source("", "pids.max", _number("threads_max")),
)  # fmt: skip
_PRESSURES = ("cpu", "memory", "io")


class GroupReader:
    """Reads groups below one mount point, all that is known or the named values. Touches files: for a thread."""

    def __init__(self, root: Path = files.ROOT, names: Collection[str] = ()) -> None:
        self.root = root
        self.v2 = files.is_v2(root)
        homes = files.hierarchies(root) if root.is_dir() else {}
        self._whole = not names
        self._sources = [
            (str(homes[one.controller]), one)
            for one in (_V2 if self.v2 else _V1)
            if one.controller in homes and (self._whole or any(field.name in names for field in one.fields.values()))
        ]
        self._home = str(homes.get("" if self.v2 else "memory") or next(iter(homes.values()), root))
        self._blocks = str(homes["blkio"]) if "blkio" in homes else ""

    def listed(self, path: str) -> list[str]:
        """The names of the groups right below one."""
        try:
            with os.scandir(f"{self._home}/{path.strip('/')}") as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []

    def created(self, path: str) -> float:
        """Return when a group was made, in seconds since the epoch; 0 when it is gone."""
        try:
            return os.stat(f"{self._home}/{path.strip('/')}").st_mtime
        except OSError:
            return 0.0

    def read(self, path: str) -> GroupUse:
        """The use of a group; one that is gone has no values."""
        below = path.strip("/")
        values: Values = {}
        for home, source in self._sources:
            text = _read(f"{home}/{below}/{source.file}")
            if text:
                _fill(values, source.fields, text)
        if not self._whole:
            _derive(values)
            return GroupUse(values)
        if self.v2:
            self._only_v2(f"{self._home}/{below}", values)
        _derive(values)
        return GroupUse(values, self._devices(below), [int(pid) for pid in _read(f"{self._home}/{below}/cgroup.procs").split()])

    def _only_v2(self, home: str, values: Values) -> None:
        quota, _, period = _read(f"{home}/cpu.max").partition(" ")
        if period:
            values["cpu_period"] = float(period)
            values["cpu_quota"] = -1 if quota == "max" else float(quota)
        for kind in _PRESSURES:
            for line in _read(f"{home}/{kind}.pressure").splitlines():
                values[f"{kind}_{line.partition(' ')[0]}_stalled"] = float(line.rpartition("total=")[2]) * MICRO

    def _devices(self, below: str) -> dict[str, Transfers]:
        if self.v2:
            return _io_stat(_read(f"{self._home}/{below}/io.stat"))
        devices: dict[str, Transfers] = {}
        if self._blocks:
            home = f"{self._blocks}/{below}/blkio.throttle"
            _blkio(devices, _read(f"{home}.io_service_bytes"), "read_bytes", "written_bytes")
            _blkio(devices, _read(f"{home}.io_serviced"), "reads", "writes")
        return devices


def interfaces(pid: int) -> list[Interface]:
    """The interfaces of a process's network; none for one that is gone, or that shares the machine's network."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return []
    except OSError:
        return []
    return parse_net_dev(_read(f"/proc/{pid}/net/dev"))


def parse_net_dev(text: str) -> list[Interface]:
    """The interfaces in /proc/net/dev but for loopback."""
    interfaces = []
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        counts = [int(word) for word in rest.split()]
        if len(counts) >= 12 and name.strip() != "lo":
            interfaces.append(Interface(name.strip(), (*counts[:4],), (*counts[8:12],)))  # type: ignore[arg-type]
    return interfaces


def device_names() -> dict[str, str]:
    """The machine's block devices: `/dev/vda` by `254:0`."""
    names = {}
    for line in _read("/proc/diskstats").splitlines():
        major, minor, name = line.split()[:3]
        names[f"{major}:{minor}"] = f"/dev/{name}"
    return names


def _read(path: str) -> str:
    """The text of a file of the kernel's; "" for one that is gone or refuses."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, BUFFER).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _fill(values: Values, fields: Mapping[str, _Field], text: str) -> None:
    only = fields.get("")
    if only is not None:
        word = text.strip()
        values[only.name] = 0 if word == "max" or int(word) >= UNLIMITED else int(word) * only.scale
        return
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        field = fields.get(key)
        if field is not None:
            values[field.name] = int(value) * field.scale


def _derive(values: Values) -> None:
    """Add derived values."""
    if "memory" in values:
        values["working_set"] = max(values["memory"] - values.get("inactive_file", 0), 0)
    weight = values.pop("cpu_weight", None)
    if weight is not None:
        values["cpu_shares"] = 2 + (weight - 1) * 262142 // 9999
    if values.get("cpu_quota", -1) <= 0:  # Without a quota there are no periods to count.
        for name in ("cpu_quota", "periods", "throttled", "throttled_seconds"):
            values.pop(name, None)
    values.setdefault("faults_below", values.get("faults", 0))
    values.setdefault("major_faults_below", values.get("major_faults", 0))


def _io_stat(text: str) -> dict[str, Transfers]:
    devices = {}
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        counts = dict(pair.split("=", 1) for pair in rest.split() if "=" in pair)
        devices[device] = Transfers(*(int(counts.get(key, 0)) for key in ("rios", "wios", "rbytes", "wbytes")))
    return devices


def _blkio(devices: dict[str, Transfers], text: str, read: str, written: str) -> None:
    names = {"Read": read, "Write": written}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in names:
            setattr(devices.setdefault(words[0], Transfers()), names[words[1]], int(words[2]))
