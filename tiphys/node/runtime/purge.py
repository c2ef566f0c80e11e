"""Removal of our containerd from the machine: pods, shims, mounts, links, control groups, files.

Besides its own directories containerd leaves traces in three places that no setting can move, and they are removed one by one: the
shims' sockets in /run/containerd/s, the CNI library's results in /var/lib/cni/results, and port forwarding chains in the table `nat`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime import cgroups, cni, hostports, mounts, procs

log = logging.getLogger(__name__)

SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Traces to remove. Directories go with all they hold, `empty` ones only if nothing is left in them."""

    directories: list[Path]
    files: list[Path]
    empty: list[Path]
    cni_conf_dir: Path
    cgroups: list[str]


async def stop_pods(cri: CriClient, *, remove: bool, grace: int) -> None:
    """Stop, and with `remove` also remove, every sandbox the runtime knows, sixteen at a time.

    Containers get their stop signal and `grace` seconds; with 0 they are killed.
    """
    gate = asyncio.Semaphore(16)

    async def one(sandbox_id: str) -> None:
        async with gate:
            try:
                if grace > 0:
                    running = await cri.list_containers(sandbox_id=sandbox_id, state=pb.CONTAINER_RUNNING)
                    await asyncio.gather(*(cri.stop_container(container.id, grace=grace) for container in running))
                await cri.stop_pod_sandbox(sandbox_id)
                if remove:
                    await cri.remove_pod_sandbox(sandbox_id)
            except CriError as error:
                log.warning("a pod could not be stopped through the runtime", extra={"sandbox": sandbox_id, "error": str(error)})

    try:
        sandboxes = await cri.list_pod_sandboxes()
    except CriError as error:
        log.warning("the runtime does not list its pods", extra={"error": str(error)})
        return
    async with asyncio.TaskGroup() as group:
        for sandbox in sandboxes:
            group.create_task(one(sandbox.id))


def shims(socket: Path) -> list[int]:
    """The shims that belong to the containerd with this socket."""

    def matches(arguments: list[str]) -> bool:
        if not Path(arguments[0]).name.startswith("containerd-shim"):
            return False
        return any(left == "-address" and right == str(socket) for left, right in itertools.pairwise(arguments))

    return procs.find(matches)


async def end_shims(socket: Path) -> None:
    """Kill the containers that these shims hold, then the shims themselves."""
    while pids := shims(socket):
        held = procs.children(pids)
        for pid in [*held, *pids]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in [*held, *pids]:
            await procs.wait_gone(pid)


async def end_leftovers(groups: Iterable[str]) -> None:
    """Kill what still runs in control groups of ours: a shim that was killed while containerd was down leaves its processes behind."""
    for group in groups:
        for pid in cgroups.kill(group):
            await procs.wait_gone(pid)


def remove_traces(traces: Traces) -> list[str]:
    """Remove leftovers once no process of ours runs; returns descriptions of those that could not be removed."""
    left: list[str] = []
    networks = cni.networks(traces.cni_conf_dir)
    sandboxes = [path.name for directory in traces.directories for path in directory.glob("io.containerd.grpc.v1.cri/sandboxes/*")]
    _remove_shim_sockets(traces.directories)
    for directory in traces.directories:
        left += [f"mount {point}" for point in mounts.unmount_under(directory)]
    _remove_results(sandboxes)
    for network in networks:
        _remove_bridge(network.bridge)
    hostports.remove([subnet for network in networks for subnet in network.subnets])
    left += [f"cgroup {path}" for path in traces.cgroups if not cgroups.remove(path)]
    ipam = traces.cni_conf_dir.parent / "ipam"
    for directory in [*traces.directories, ipam]:
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            left.append(f"directory {directory}")
    for path in [*traces.files, traces.cni_conf_dir / cni.CONF_NAME]:
        path.unlink(missing_ok=True)
    _remove_empty([traces.cni_conf_dir, traces.cni_conf_dir.parent, *traces.empty])
    return left


def _remove_shim_sockets(directories: Iterable[Path]) -> None:
    """Each bundle notes its shim's address; a shim that was killed could not remove its socket itself."""
    for directory in directories:
        for note in directory.glob("io.containerd.runtime.v2.task/*/*/address"):
            with contextlib.suppress(OSError):
                socket = Path(note.read_text(encoding="utf-8").strip().removeprefix("unix://"))
                if socket.parent == SHIM_SOCKETS:
                    socket.unlink(missing_ok=True)
    _remove_empty([SHIM_SOCKETS, SHIM_SOCKETS.parent / "fifo", SHIM_SOCKETS.parent])


def _remove_results(sandboxes: Iterable[str]) -> None:
    """The CNI library keeps a file for each network of each sandbox, the loopback one included."""
    for sandbox in sandboxes:
        for result in CNI_RESULTS.glob(f"*-{sandbox}-*"):
            result.unlink(missing_ok=True)
    _remove_empty([CNI_RESULTS, CNI_RESULTS.parent])


def _remove_bridge(name: str) -> None:
    if Path("/sys/class/net", name, "bridge").exists():
        # Imported here because netlink support costs memory and only this step needs it.
        from pyroute2 import IPRoute

        with contextlib.suppress(Exception), IPRoute() as netlink:
            for index in netlink.link_lookup(ifname=name):
                netlink.link("del", index=index)


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()
