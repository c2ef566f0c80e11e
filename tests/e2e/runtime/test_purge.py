"""Purging leaves the machine as it was, from every state it may be called in."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.e2e.runtime.machine import CACHE, Machine, Pod
from tiphys.images.build import ensure_images
from tiphys.node.cri.client import CriClient
from tiphys.node.runtime import cgroups, procs, purge
from tiphys.testing.eventually import eventually


@dataclass
class Traces:
    """Visible traces of this machine object on the computer. Others work on it too, so only names of this run count."""

    mounts: list[str]
    namespaces: list[str]
    links: list[str]
    groups: list[str]
    processes: list[int]
    files: list[str]
    shim_sockets: list[str]
    results: list[str]
    nat: list[str]


def look(machine: Machine, sandboxes: Sequence[str] = ()) -> Traces:
    place = str(machine.directory)
    nat = subprocess.run(["nft", "list", "table", "ip", "nat"], capture_output=True, text=True, check=False).stdout
    return Traces(
        mounts=[line for line in Path("/proc/self/mountinfo").read_text().splitlines() if place in line],
        namespaces=[path for path in _listing("/run/netns") if path.startswith("cni-")],
        links=[name for name in _listing("/sys/class/net") if name == machine.bridge or name.startswith("veth")],
        groups=[str(path) for path in cgroups.directories(machine.cgroup_parent)],
        processes=procs.find(lambda arguments: any(place in argument for argument in arguments)),
        files=[str(path) for path in machine.directory.rglob("*") if "logs" not in path.parts],
        shim_sockets=_listing(str(purge.SHIM_SOCKETS)),
        results=[name for name in _listing(str(purge.CNI_RESULTS)) if any(part in name for part in (machine.bridge, *sandboxes))],
        nat=[line for line in nat.splitlines() if machine.pod_cidr.rpartition(".")[0] + "." in line],
    )


def _listing(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


@pytest.fixture
def strange_sockets() -> frozenset[str]:
    """Sockets of shims that were there before: a cluster that was killed may have left some."""
    return frozenset(_listing(str(purge.SHIM_SOCKETS)))


@pytest.fixture
async def busy(strange_sockets: frozenset[str]) -> AsyncIterator[Machine]:
    """A machine of its own with two pods, one of them with a host port."""
    machine = Machine.new()
    try:
        await machine.start()
        await ensure_images(["pause", "busybox"], cache_dir=CACHE, containerd_socket=machine.supervisor.socket_path)
        async with CriClient(machine.supervisor.socket_path) as cri:
            plain, mapped = Pod(cri, machine, "plain"), Pod(cri, machine, "mapped")
            await plain.run()
            await mapped.run(host_port=21_000 + int(machine.bridge[-4:], 16) % 9_000, port=80)
            for pod in (plain, mapped):
                await pod.start("main", command=["sleep", "1000"])
        yield machine
    finally:
        await machine.purge()
        machine.remove()


def gone(machine: Machine, before: Traces) -> bool:
    """Return whether everything that existed only for this machine is gone."""
    after = asdict(look(machine))
    for kind in ("mounts", "groups", "processes", "files", "results", "nat"):
        assert after[kind] == [], (kind, after[kind])
    for kind in ("namespaces", "links", "shim_sockets"):
        assert set(after[kind]) <= set(asdict(before)[kind]), (kind, after[kind])
    return True


async def test_purge_leaves_nothing(busy: Machine, strange_sockets: frozenset[str]) -> None:
    empty = Machine(busy.directory.with_name(busy.directory.name))
    during = look(empty)
    for kind in ("mounts", "links", "groups", "processes", "files", "shim_sockets", "results", "nat"):
        assert asdict(during)[kind], kind
    ours = set(during.shim_sockets) - strange_sockets
    assert ours
    assert await busy.purge() == []
    # The kernel takes the pods' ends of the veth pairs away a moment after their namespaces.
    await eventually(
        lambda: gone(busy, Traces([], [], _others(busy), [], [], [], sorted((_sockets_in_use() | strange_sockets) - ours), [], []))
    )
    assert await busy.purge() == []


async def test_purge_works_when_containerd_was_killed(busy: Machine, strange_sockets: frozenset[str]) -> None:
    assert busy.supervisor.pid is not None
    os.kill(busy.supervisor.pid, signal.SIGKILL)
    await procs.wait_gone(busy.supervisor.pid)
    assert await busy.new_supervisor().purge(cgroup_parents=(busy.cgroup_parent,)) == []
    await eventually(lambda: gone(busy, Traces([], [], _others(busy), [], [], [], sorted(_sockets_in_use() | strange_sockets), [], [])))


async def test_purge_ends_what_killed_shims_left(busy: Machine) -> None:
    assert busy.supervisor.pid is not None
    shims = purge.shims(busy.supervisor.socket_path)
    assert shims
    os.kill(busy.supervisor.pid, signal.SIGKILL)
    for pid in shims:
        os.kill(pid, signal.SIGKILL)
    assert cgroups.processes(busy.cgroup_parent)
    assert await busy.supervisor.purge(cgroup_parents=(busy.cgroup_parent,)) == []
    assert not cgroups.directories(busy.cgroup_parent)


async def test_purge_works_when_containerd_cannot_be_started(busy: Machine) -> None:
    assert busy.supervisor.pid is not None
    os.kill(busy.supervisor.pid, signal.SIGKILL)
    await procs.wait_gone(busy.supervisor.pid)
    sandboxes = _listing(str(busy.supervisor.root / "io.containerd.grpc.v1.cri" / "sandboxes"))
    assert len(sandboxes) == 2
    (busy.supervisor.root / "io.containerd.metadata.v1.bolt" / "meta.db").write_bytes(b"no database" * 9999)
    assert await busy.purge() == []
    after = look(busy, sandboxes)
    assert (after.mounts, after.groups, after.processes, after.files, after.results, after.nat) == ([], [], [], [], [], [])


async def test_stop_lets_containers_end_by_themselves_and_keeps_the_images(busy: Machine) -> None:
    async with CriClient(busy.supervisor.socket_path) as cri:
        polite = Pod(cri, busy, "polite")
        await polite.run()
        await polite.start("main", command=["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"])
        await eventually(lambda: "up" in polite.log("main"))
    await busy.supervisor.stop(grace=3)
    assert "bye" in polite.log("main")
    assert look(busy).processes == []
    await busy.supervisor.stop()
    await busy.start()
    async with CriClient(busy.supervisor.socket_path) as cri:
        assert await cri.image_status("tiphys.local/busybox:1") is not None
        assert await cri.list_pod_sandboxes(ready=True) == []


async def test_purging_what_never_was_is_harmless() -> None:
    machine = Machine.new()
    assert await machine.purge() == []
    machine.remove()


def _others(machine: Machine) -> list[str]:
    """Links that belong to somebody else: all but our bridge; veths are told apart by their bridge while that exists."""
    return [name for name in _listing("/sys/class/net") if name != machine.bridge]


def _sockets_in_use() -> set[str]:
    return {Path(line.split()[-1]).name for line in Path("/proc/net/unix").read_text().splitlines() if str(purge.SHIM_SOCKETS) in line}
