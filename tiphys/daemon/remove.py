"""Removal of a cluster's resources other than containers: volume mounts, nft table, routes and addresses."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tiphys.daemon.settings import ClusterSettings
from tiphys.node.local_path.purge import purge as purge_local_volumes
from tiphys.node.runtime.containerd import ContainerdSupervisor
from tiphys.node.volumes.mounts import mounts_below
from tiphys.node.volumes.tree import remove_tree
from tiphys.proxy.cleanup import remove_all


async def stop_containers(settings: ClusterSettings, *, purge: bool) -> list[str]:
    """Stop every container of the cluster and its containerd; with `purge` remove their traces as well. Returns what stayed, in words."""
    containerd = ContainerdSupervisor(settings.containerd_dir, settings.run_dir)
    if not purge:
        await containerd.stop()
        return []
    left = await containerd.purge(cgroup_parents=(settings.cgroup_parent,))
    left += await asyncio.to_thread(remove_volumes, settings)
    if not left:
        left += await asyncio.to_thread(purge_local_volumes, settings.local_storage_dir)
    return left + await remove_network(settings)


def remove_volumes(settings: ClusterSettings) -> list[str]:
    """Unmount everything below the kubelet's directory, deepest first; returns what stayed, in words."""
    left: list[str] = []
    for point in mounts_below(settings.node_dir):
        if problem := _unmount(point):
            left.append(f"mount {point}: {problem}")
    return left


def _unmount(point: str) -> str:
    """Unmount, by force if a server does not answer; returns what went wrong."""
    try:
        done = subprocess.run(["umount", point], capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        done = subprocess.run(["umount", "--force", "--lazy", point], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def remove_files(directory: Path) -> list[str]:
    """Remove a directory of the cluster, but nothing that is mounted in it; returns what stayed, in words.

    A volume that could not be unmounted holds somebody's files, which must outlive the cluster.
    """
    if not directory.exists():
        return []
    left: list[str] = []
    for child in directory.iterdir():
        try:
            if child.is_dir() and not child.is_symlink():
                remove_tree(child)
            else:
                child.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{child}: {error.strerror}" + (f" ({error.filename})" if error.filename else ""))
    try:
        directory.rmdir()
    except OSError as error:
        left.append(f"{directory}: {error.strerror}")
    return left


async def remove_network(settings: ClusterSettings) -> list[str]:
    """Remove the service proxy's rules and routes."""
    return await remove_all(
        table=settings.nft_table,
        pod_range=settings.network.pod_range,
        service_range=settings.network.service_range,
        dns_address=settings.network.dns_address,
    )
