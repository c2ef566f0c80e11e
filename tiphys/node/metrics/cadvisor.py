"""Use of pods, containers and the machine under cAdvisor's names, at `/metrics/cadvisor`. Pure; `groups` reads, `use` puts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tiphys.node.metrics.groups import GroupUse, Interface, Transfers
from tiphys.node.metrics.usage import FileSystem
from tiphys.obs import metrics

_LABELS = ("container", "id", "image", "name", "namespace", "pod")
_WAYS = ("receive", "transmit")


class Machine(NamedTuple):
    """The machine's size and identity."""

    cores: int
    memory: int
    physical_cores: int = 0
    sockets: int = 0
    swap: int = 0
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    kernel: str = ""
    os_image: str = ""


class Subject(NamedTuple):
    """A control group with its names and use. Groups that are no container's have no name, those that are no pod's no pod."""

    path: str
    use: GroupUse
    namespace: str = ""
    pod: str = ""
    container: str = ""
    name: str = ""
    image: str = ""
    started: float = 0.0
    interfaces: Sequence[Interface] = ()
    disks: Mapping[str, FileSystem] = MappingProxyType({})
    """File systems by device: with the use by the container's writable layer, or by everything for the machine."""
    descriptors: int | None = None
    """Open file descriptors of the group's own processes."""
    descriptor_limit: int | None = None
    """Soft limit of file descriptors of the first process, -1 for none."""
    read: float = 0.0
    """Time at which the group was read, in seconds since the epoch."""

    @property
    def labels(self) -> str:
        """The labels that every sample of the group has."""
        return metrics.pairs(_LABELS, (self.container, self.path, self.image, self.name, self.namespace, self.pod))


class _Value(NamedTuple):
    """A family of one value per group, by the name that `groups` gives it."""

    family: str
    type: str
    value: str
    doc: str
    labels: str = ""


_VALUES = (
    _Value("container_cpu_usage_seconds_total", "counter", "cpu", "CPU time used, in seconds.", 'cpu="total"'),
    _Value("container_cpu_user_seconds_total", "counter", "cpu_user", "CPU time used in user mode, in seconds."),
    _Value("container_cpu_system_seconds_total", "counter", "cpu_system", "CPU time used in the kernel, in seconds."),
    _Value("container_cpu_cfs_periods_total", "counter", "periods", "Periods in which the CPU quota was in force."),
    _Value("container_cpu_cfs_throttled_periods_total", "counter", "throttled", "Periods in which the CPU quota ran out."),
    _Value("container_cpu_cfs_burst_periods_total", "counter", "bursts", "Periods in which more than the CPU quota was used."),
    _Value("container_cpu_cfs_burst_seconds_total", "counter", "burst_seconds", "CPU time used beyond the quota, in seconds."),
    _Value("container_cpu_cfs_throttled_seconds_total", "counter", "throttled_seconds", "Time spent waiting for CPU quota, in seconds."),
    _Value("container_memory_usage_bytes", "gauge", "memory", "Memory used, caches included, in bytes."),
    _Value("container_memory_working_set_bytes", "gauge", "working_set", "Memory that cannot be given back easily, in bytes."),
    _Value("container_memory_rss", "gauge", "rss", "Anonymous memory, in bytes."),
    _Value("container_memory_cache", "gauge", "cache", "Page cache, in bytes."),
    _Value("container_memory_swap", "gauge", "swap", "Swap used, in bytes."),
    _Value("container_memory_mapped_file", "gauge", "mapped", "Mapped files, in bytes."),
    _Value("container_memory_kernel_usage", "gauge", "kernel", "Memory of the kernel, in bytes."),
    _Value("container_memory_max_usage_bytes", "gauge", "memory_max", "Largest use of memory so far, in bytes."),
    _Value("container_memory_failcnt", "counter", "memory_failures", "How often use met the limit of memory."),
    _Value("container_memory_total_active_file_bytes", "gauge", "active_file", "Page cache in use lately, in bytes."),
    _Value("container_memory_total_inactive_file_bytes", "gauge", "inactive_file", "Page cache not in use lately, in bytes."),
    _Value("container_oom_events_total", "counter", "ooms", "Processes killed for want of memory."),
    _Value("container_threads", "gauge", "threads", "Threads and processes."),
    _Value("container_threads_max", "gauge", "threads_max", "Limit of threads and processes, 0 for none."),
    _Value("container_spec_cpu_period", "gauge", "cpu_period", "Period of the CPU quota, in microseconds."),
    _Value("container_spec_cpu_quota", "gauge", "cpu_quota", "CPU quota in each period, in microseconds."),
    _Value("container_spec_cpu_shares", "gauge", "cpu_shares", "CPU shares."),
    _Value("container_spec_memory_limit_bytes", "gauge", "memory_limit", "Limit of memory in bytes, 0 for none."),
    _Value("container_spec_memory_reservation_limit_bytes", "gauge", "memory_reservation", "Reserved memory in bytes, 0 for none."),
    _Value("container_spec_memory_swap_limit_bytes", "gauge", "swap_limit", "Limit of swap in bytes, 0 for none."),
    *(
        _Value(f"container_pressure_{kind}_{name}_seconds_total", "counter", f"{kind}_{of}_stalled", f"Time {which} waited, in seconds.")
        for kind in ("cpu", "memory", "io")
        for name, of, which in (("waiting", "some", "any task"), ("stalled", "full", "all tasks"))
    ),
)
_FAILURES = (
    ('failure_type="pgfault",scope="container"', "faults"),
    ('failure_type="pgfault",scope="hierarchy"', "faults_below"),
    ('failure_type="pgmajfault",scope="container"', "major_faults"),
    ('failure_type="pgmajfault",scope="hierarchy"', "major_faults_below"),
)
_TRANSFERS: tuple[tuple[str, str, Callable[[Transfers], int]], ...] = (
    ("container_fs_reads_bytes_total", "Bytes read from devices.", lambda one: one.read_bytes),
    ("container_fs_reads_total", "Reads from devices.", lambda one: one.reads),
    ("container_fs_writes_bytes_total", "Bytes written to devices.", lambda one: one.written_bytes),
    ("container_fs_writes_total", "Writes to devices.", lambda one: one.writes),
)
_DISKS: tuple[tuple[str, str, Callable[[FileSystem], int | None]], ...] = (
    ("container_fs_usage_bytes", "Bytes used: of the machine's file system, or by the writable layer.", lambda one: one.used),
    ("container_fs_limit_bytes", "Bytes that the file system can hold.", lambda one: one.capacity),
    ("container_fs_inodes_total", "Inodes of the file system.", lambda one: one.inodes),
    ("container_fs_inodes_free", "Free inodes of the file system.", lambda one: one.inodes_free),
)
_COUNTS = ("bytes", "packets", "errors", "packets_dropped")

Labeled = list[tuple[str, Subject]]


def cadvisor_lines(machine: Machine, subjects: Iterable[Subject], devices: Mapping[str, str]) -> Iterator[str]:
    """The text of the page; `devices` has the name of each block device by its numbers."""
    labeled = [(one.labels, one) for one in subjects]
    for value in _VALUES:
        more = f",{value.labels}" if value.labels else ""
        yield from _family(value.family, value.type, value.doc, (
            (f"{labels}{more}", one.use.values[value.value]) for labels, one in labeled if value.value in one.use.values
        ))  # fmt: skip
    yield from _family("container_memory_failures_total", "counter", "Page faults.", (
        (f"{labels},{more}", one.use.values[key]) for labels, one in labeled for more, key in _FAILURES if key in one.use.values
    ))  # fmt: skip
    yield from _of_groups(labeled)
    for name, doc, figure in _DISKS:
        yield from _family(name, "gauge", doc, (
            (f'{labels},device="{metrics.escaped(device)}"', amount)
            for labels, one in labeled for device, disk in one.disks.items() if (amount := figure(disk)) is not None
        ))  # fmt: skip
    for name, doc, take in _TRANSFERS:
        yield from _family(name, "counter", doc, (
            (f'{labels},device="{devices.get(device, "")}"', take(moved))
            for labels, one in labeled for device, moved in one.use.devices.items()
        ))  # fmt: skip
    yield from _network(labeled)
    yield from _machine(machine)


def _machine(machine: Machine) -> Iterator[str]:
    identity = metrics.pairs(("boot_id", "machine_id", "system_uuid"), (machine.boot_id, machine.machine_id, machine.system_uuid))
    for name, doc, size in (
        ("machine_cpu_cores", "Logical cores.", machine.cores),
        ("machine_cpu_physical_cores", "Physical cores.", machine.physical_cores),
        ("machine_cpu_sockets", "Sockets of processors.", machine.sockets),
        ("machine_memory_bytes", "Bytes of memory.", machine.memory),
        ("machine_swap_bytes", "Bytes of swap.", machine.swap),
    ):
        yield from _family(name, "gauge", doc, [(identity, size)])
    names = ("cadvisorRevision", "cadvisorVersion", "dockerVersion", "kernelVersion", "osVersion")
    versions = metrics.pairs(names, ("", "", "", machine.kernel, machine.os_image))
    yield from _family("cadvisor_version_info", "gauge", "Versions of the kernel and of the system; the value is 1.", [(versions, 1)])
    yield from _family("container_scrape_error", "gauge", "1 if containers could not be read, 0 otherwise.", [("", 0)])
    yield from _family("machine_scrape_error", "gauge", "1 if the machine could not be read, 0 otherwise.", [("", 0)])


def _of_groups(labeled: Labeled) -> Iterator[str]:
    yield from _family("container_start_time_seconds", "gauge", "When the group was started, in seconds since the epoch.",
                       ((labels, one.started) for labels, one in labeled if one.started))  # fmt: skip
    yield from _family("container_last_seen", "gauge", "When the group was read, in seconds since the epoch.",
                       ((labels, one.read) for labels, one in labeled if one.read))  # fmt: skip
    yield from _family("container_processes", "gauge", "Processes.",
                       ((labels, len(one.use.pids)) for labels, one in labeled if one.name))  # fmt: skip
    yield from _family("container_file_descriptors", "gauge", "Open file descriptors.",
                       ((labels, one.descriptors) for labels, one in labeled if one.descriptors is not None))  # fmt: skip
    yield from _family("container_ulimits_soft", "gauge", "Soft limits of the first process; -1 for none.", (
        (f'{labels},ulimit="max_open_files"', one.descriptor_limit) for labels, one in labeled if one.descriptor_limit is not None
    ))  # fmt: skip


def _network(labeled: Labeled) -> Iterator[str]:
    for way, direction in enumerate(_WAYS):
        for place, what in enumerate(_COUNTS):
            yield from _family(f"container_network_{direction}_{what}_total", "counter", f"{what} of the pod's network: {direction}.", (
                (f'{labels},interface="{metrics.escaped(seen.name)}"', (seen.receive, seen.transmit)[way][place])
                for labels, one in labeled for seen in one.interfaces
            ))  # fmt: skip


def _family(name: str, type_: str, doc: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    lines = [metrics.sample(name, labels, value) for labels, value in samples]
    if lines:
        yield metrics.head(name, type_, doc)
        yield from lines
