"""Use by pods and their containers, read from their control groups. Touches files: for a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from tiphys.node.metrics import node
from tiphys.node.metrics.cadvisor import Subject
from tiphys.node.metrics.groups import GroupReader, GroupUse, interfaces
from tiphys.node.metrics.usage import ContainerUse, FileSystem, PodUse, Usage, usage
from tiphys.node.pod.observed import Observed, SeenContainer
from tiphys.node.runtime import cgroups as files
from tiphys.node.runtime.config import PAUSE_IMAGE

TIERS = ("", "/burstable", "/besteffort")
SYSTEM = (".slice", ".scope", ".service")
"""Endings of the names of groups that systemd makes."""
MIN_RATE_SPAN = 1.0
"""Seconds between two readings that make a rate."""
REMEMBERED = 100.0
"""Seconds after which a reading makes no rate any more."""
_BRIEF = ("cpu", "working_set", "memory", "rss", "swap")
_FULL = (*_BRIEF, "memory_limit", "faults_below", "major_faults_below", "faults", "major_faults")


class Sizes(NamedTuple):
    """Sizes that the runtime reports, in bytes and inodes: of writable layers by container, and of images and all layers by directory."""

    layers: Mapping[str, tuple[int, int]] = MappingProxyType({})
    images: tuple[str, int, int] = ("", 0, 0)
    containers: tuple[str, int, int] = ("", 0, 0)


class Rates:
    """CPU time per second, from the times at which groups were read."""

    def __init__(self) -> None:
        self._readings: dict[str, tuple[float, int, int]] = {}

    def rate(self, key: str, now: float, cpu: int) -> int:
        """Nanoseconds of CPU time per second since the last reading; 0 at the first."""
        before, cpu_before, rate = self._readings.get(key, (0.0, 0, 0))
        if now - before < MIN_RATE_SPAN:
            return rate
        rate = int(max(cpu - cpu_before, 0) / (now - before)) if before else 0
        self._readings[key] = (now, cpu, rate)
        return rate

    def forget(self, now: float) -> None:
        """Drop what was not read lately."""
        self._readings = {key: reading for key, reading in list(self._readings.items()) if reading[0] > now - REMEMBERED}


class PodReader:
    """Reads the use of pods again and again, and with that its rates."""

    def __init__(self, parent: str, *, started: float, root: Path = files.ROOT) -> None:
        """Take the group of all pods, and the time since which the node is measured."""
        self.parent = parent
        self.root = root
        self.rates = Rates()
        self._started = started

    def reader(self, *, full: bool = False, stalls: bool = False) -> GroupReader:
        """Return a reader of the groups' CPU time and memory; a full one reads limits and page faults too."""
        names = set(_FULL if full else _BRIEF)
        if files.is_v2(self.root):  # In version 1 the limit of swap is one of memory and swap together, so it limits no swap.
            names.add("swap_limit")
            if not full and not node.swap():
                names -= {"swap", "swap_limit"}  # Two files of five for each group, all of which say 0.
        return GroupReader(self.root, names, stalls=stalls)

    def uses(self, reader: GroupReader, pods: Sequence[Observed], now: float, *, sizes: Sizes | None = None) -> list[PodUse]:
        """Return the use of pods that have running containers; with sizes also what takes longer: network, processes, logs."""
        homes = _homes(reader, self.parent)
        uses = []
        for pod in pods:
            path = homes.get(pod.uid, "")
            running = [one for one in pod.containers if one.state == "running"] if path else ()
            containers = [used for one in running if (used := self._container(reader, path, pod, one, now, sizes)) is not None]
            if not containers:
                continue  # Gone, maybe since its group was listed.
            started = reader.created(path) if sizes is not None else 0.0
            of = PodUse(pod.namespace, pod.name, pod.uid, self.usage(reader, path, now, started), containers)
            uses.append(of if sizes is None else _with_details(reader, path, pod, of))
        self.rates.forget(now)
        return uses

    def _container(
        self, reader: GroupReader, path: str, pod: Observed, one: SeenContainer, now: float, sizes: Sizes | None
    ) -> ContainerUse | None:
        group = f"{path}/{one.id}"
        use = reader.read(group)
        if not use.values:
            return None
        used = self._used(group, use, now, one.started)
        if sizes is None:
            return ContainerUse(pod.namespace, pod.name, pod.uid, one.name, used)
        size, inodes = sizes.layers.get(one.id, (None, None))
        layer = node.file_system(sizes.containers[0], used=size, inodes_used=inodes) if size is not None else None
        logs = _logs(Path(one.log_path).parent) if one.log_path else None
        return ContainerUse(pod.namespace, pod.name, pod.uid, one.name, used, layer, logs)

    def usage(self, reader: GroupReader, path: str, now: float, started: float = 0.0) -> Usage:
        """Return the use by one group."""
        return self._used(path, reader.read(path), now, started or self._started)

    def _used(self, path: str, use: GroupUse, now: float, started: float) -> Usage:
        rate = self.rates.rate(path, now, round(use.values.get("cpu", 0) * 1e9))
        return usage(use.values, now, rate=rate, started=started, stalls=use.stalls)


def _logs(directory: Path) -> FileSystem | None:
    """The size of a container's logs, rotated ones included."""
    try:
        with os.scandir(directory) as entries:
            stats = [entry.stat(follow_symlinks=False) for entry in entries]
    except OSError:
        return None
    return node.file_system(directory, used=sum(one.st_blocks * 512 for one in stats), inodes_used=len(stats) + 1)


def _with_details(reader: GroupReader, path: str, pod: Observed, of: PodUse) -> PodUse:
    idents = [box.id for box in pod.sandboxes if box.ready] + [one.id for one in pod.containers if one.state == "running"]
    pids = [reader.pids(f"{path}/{ident}") for ident in idents]
    network = interfaces(pids[0][0]) if pids and pids[0] else ()
    return PodUse(of.namespace, of.pod, of.uid, of.usage, of.containers, network, sum(map(len, pids)))


def subjects(reader: GroupReader, parent: str, pods: Iterable[Observed], sizes: Sizes, at: float = 0.0) -> Iterator[Subject]:
    """The machine, its slices, the tiers, and each pod with its sandboxes and containers that run. Touches many files: for a thread."""
    yield Subject("/", reader.read("/"), started=reader.created("/"), interfaces=node.network(), disks=node.disks(), read=at)
    for path in (*_slices(reader), *(parent + tier for tier in TIERS)):
        yield Subject(path, reader.read(path), started=reader.created(path), read=at)
    homes = _homes(reader, parent)
    layers = _Layers(sizes)
    for pod in pods:
        path = homes.get(pod.uid, "")
        use = reader.read(path) if path else GroupUse({})
        if use.values:  # Else it is gone, maybe since its group was listed.
            yield Subject(path, use, pod.namespace, pod.name, started=reader.created(path), read=at)
            yield from _members(reader, path, pod, layers, at)


def _slices(reader: GroupReader) -> Iterator[str]:
    """The groups of the machine's own services."""
    for name in sorted(reader.listed("/")):
        if name.endswith(SYSTEM):
            yield f"/{name}"
            yield from (f"/{name}/{below}" for below in sorted(reader.listed(name)) if below.endswith(SYSTEM))


class _Layers:
    """Writable layers, with the size of the file system on which all of them are."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        place = sizes.containers[0]
        self._disk = (node.file_system(place) if place else None) or FileSystem()
        self._device = node.device_of(place) if place else ""

    def of(self, ident: str) -> dict[str, FileSystem]:
        """Return the layer of a container, by its device."""
        size = self._sizes.layers.get(ident)
        return {} if size is None else {self._device: msgspec.structs.replace(self._disk, used=size[0])}


def _homes(reader: GroupReader, parent: str) -> dict[str, str]:
    """The group of each pod that has one, by uid."""
    return {
        name.removeprefix("pod"): f"{parent}{tier}/{name}"
        for tier in TIERS
        for name in reader.listed(parent + tier)
        if name.startswith("pod")
    }  # fmt: skip


def _members(reader: GroupReader, path: str, pod: Observed, layers: _Layers, at: float) -> Iterator[Subject]:
    """The sandboxes and containers of a pod that have a group."""
    for box in pod.sandboxes:
        group = f"{path}/{box.id}"
        if box.ready and (use := reader.read(group)).values:
            network = interfaces(use.pids[0]) if use.pids else ()
            yield Subject(group, use, pod.namespace, pod.name, "", box.id, PAUSE_IMAGE, box.created, network, read=at)
    for one in pod.containers:
        group, image = f"{path}/{one.id}", one.image or one.image_ref
        if one.state == "running" and (use := reader.read(group)).values:
            limit = node.descriptor_limit(use.pids[0]) if use.pids else None
            yield Subject(
                group, use, pod.namespace, pod.name, one.name, one.id, image, one.started, (), layers.of(one.id),
                node.descriptors(use.pids), limit, at,
            )  # fmt: skip
