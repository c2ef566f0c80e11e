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

from tiphys.node.host.machine import meminfo
from tiphys.node.runtime import cgroups as files

NANO, MICRO, TICK = 1e-9, 1e-6, 1 / os.sysconf("SC_CLK_TCK")
UNLIMITED = 1 << 62
"""Version 1 writes limits that are none as the largest multiple of a page."""
BUFFER = 1 << 13
"""Bytes that are read at once; nearly all files are shorter."""

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


class Stall(NamedTuple):
    """Time that tasks waited for something ("PSI - Pressure Stall Information"): percent of the last seconds, and seconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total: float


Stalls = dict[str, dict[str, Stall]]
"""By resource (`cpu`, `memory`, `io`), then for `some` and `full`."""


class GroupUse(msgspec.Struct):
    """Use and limits of one control group; `values` lacks those that the kernel does not report."""

    values: Values
    devices: dict[str, Transfers] = {}
    pids: list[int] = []
    """The processes in the group itself."""
    stalls: Stalls = {}


class _Field(NamedTuple):
    name: str
    scale: float = 1


class _Source(NamedTuple):
    """A file, and the name of each value in it by its key; the key of a file's only number is ""."""

    controller: str
    file: str
    fields: Mapping[str, _Field]

    def only(self, names: Collection[str]) -> _Source:
        """Return the source with these values alone."""
        return self._replace(fields={key: field for key, field in self.fields.items() if field.name in names})


def _number(name: str, scale: float = 1) -> dict[str, _Field]:
    return {"": _Field(name, scale)}


_V1 = (
    _Source("cpuacct", "cpuacct.usage", _number("cpu", NANO)),
    _Source("cpuacct", "cpuacct.stat", {"user": _Field("cpu_user", TICK), "system": _Field("cpu_system", TICK)}),
    _Source("cpu", "cpu.stat", {
        "nr_periods": _Field("periods"), "nr_throttled": _Field("throttled"), "throttled_time": _Field("throttled_seconds", NANO),
        "nr_bursts": _Field("bursts"), "burst_time": _Field("burst_seconds", NANO),
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
        "nr_bursts": _Field("bursts"), "burst_usec": _Field("burst_seconds", MICRO),
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
_NEEDED = {"working_set": ("memory", "inactive_file"), "cpu_shares": ("cpu_weight",)}
"""Values from which others are derived."""


class GroupReader:
    """Reads groups below one mount point, all that is known or the named values. Touches files: for a thread."""

    def __init__(self, root: Path = files.ROOT, names: Collection[str] = (), *, stalls: bool = False) -> None:
        """Take the mount point, and the values to read, with or without stalls; without names everything is read."""
        self.root = root
        self.v2 = files.is_v2(root)
        homes = files.hierarchies(root) if root.is_dir() else {}
        self._whole = not names
        names = {*names, *(needed for name in names for needed in _NEEDED.get(name, ()))}
        known = [one for one in (_V2 if self.v2 else _V1) if one.controller in homes]
        chosen = known if self._whole else [chosen for one in known if (chosen := one.only(names)).fields]
        self._sources = [(str(homes[one.controller]), one.file, _needles(one.fields), one.fields.get("")) for one in chosen]
        self._home = str(homes.get("" if self.v2 else "memory") or next(iter(homes.values()), root))
        self._blocks = str(homes["blkio"]) if "blkio" in homes else ""
        # Hybrid: the controllers are in version 1, and stalls in version 2, where runc puts containers too.
        unified = root if self.v2 else root / "unified"
        self._stalls = str(unified) if (self._whole or stalls) and (unified / "cgroup.controllers").exists() else ""

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
        for home, file, needles, only in self._sources:
            text = _read(f"{home}/{below}/{file}")
            if text:
                _fill(values, needles, only, text)
        if self.v2 and not below:
            _whole_machine(values)
        stalls = self._read_stalls(below, values) if self._stalls else {}
        if not self._whole:
            _derive(values)
            return GroupUse(values, stalls=stalls)
        if self.v2:
            quota, _, period = _read(f"{self._home}/{below}/cpu.max").partition(" ")
            if period:
                values["cpu_period"] = float(period)
                values["cpu_quota"] = -1 if quota == "max" else float(quota)
        _derive(values)
        return GroupUse(values, self._devices(below), self.pids(path), stalls)

    def pids(self, path: str) -> list[int]:
        """The processes in a group itself."""
        return [int(pid) for pid in _read(f"{self._home}/{path.strip('/')}/cgroup.procs").split()]

    def _read_stalls(self, below: str, values: Values) -> Stalls:
        """The group's stalls; their totals are values, too."""
        stalls: Stalls = {}
        for kind in _PRESSURES:
            text = _read(f"{self._stalls}/{below}/{kind}.pressure") or ("" if below else _read(f"/proc/pressure/{kind}"))
            if text:
                stalls[kind] = parse_pressure(text)
                values |= {f"{kind}_{of}_stalled": stall.total for of, stall in stalls[kind].items()}
        return stalls

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


def interfaces_of_machine() -> list[Interface]:
    """The interfaces of the network that this process is in."""
    return parse_net_dev(_read("/proc/self/net/dev"))


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
        text = os.read(descriptor, BUFFER)
        while len(text) >= BUFFER and (more := os.read(descriptor, BUFFER)):
            text += more
            if len(more) < BUFFER:
                break
        return text.decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def parse_pressure(text: str) -> dict[str, Stall]:
    """Return a file of stalls: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full`."""
    stalls = {}
    for line in text.splitlines():
        of, *pairs = line.split()
        figures = dict(pair.split("=", 1) for pair in pairs)
        avg10, avg60, avg300, total = (float(figures[key]) for key in ("avg10", "avg60", "avg300", "total"))
        stalls[of] = Stall(avg10, avg60, avg300, total * MICRO)
    return stalls


def _needles(fields: Mapping[str, _Field]) -> list[tuple[str, _Field]]:
    return [(f"\n{key} ", field) for key, field in fields.items() if key]


def _fill(values: Values, needles: list[tuple[str, _Field]], only: _Field | None, text: str) -> None:
    if only is not None:
        word = text.strip()
        values[only.name] = 0 if word == "max" or int(word) >= UNLIMITED else int(word) * only.scale
        return
    text = f"\n{text}"
    for needle, field in needles:  # Files have dozens of lines, of which few are of interest.
        at = text.find(needle)
        if at >= 0:
            at += len(needle)
            end = text.find("\n", at)
            values[field.name] = int(text[at : end if end >= 0 else None]) * field.scale


def _whole_machine(values: Values) -> None:
    """Add what version 2 does not report of its topmost group."""
    values.setdefault("memory", values.get("rss", 0) + values.get("cache", 0))
    swap = meminfo(_read("/proc/meminfo"))
    values.setdefault("swap", swap.get("SwapTotal", 0) - swap.get("SwapFree", 0))


def _derive(values: Values) -> None:
    """Add derived values."""
    if "memory" in values:
        values["working_set"] = max(values["memory"] - values.get("inactive_file", 0), 0)
    weight = values.pop("cpu_weight", None)
    if weight is not None:
        values["cpu_shares"] = 2 + (weight - 1) * 262142 // 9999
    if values.get("cpu_quota", -1) <= 0:  # Without a quota there are no periods to count.
        for name in ("cpu_quota", "periods", "throttled", "throttled_seconds", "bursts", "burst_seconds"):
            values.pop(name, None)
    for name in ("faults", "major_faults"):
        if name in values:  # Version 2 counts those below always.
            values.setdefault(f"{name}_below", values[name])


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
