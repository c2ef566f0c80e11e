"""Claims of the default class: time to a bound claim and a ready pod, many claims at once, and the cost of file I/O. Needs root.

    python -m bench.storage [--rounds 50] [--claims 200] [--json FILE]

The last rows compare a claim with a plain directory on the same disk, in turns, so what else the disk does matters little: bytes or
writes per second on the claim, divided by those in the directory.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.api.meta.v1 import KubeObject
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.testing import eventually
from tiphys.testing.cluster import Cluster, running_cluster

T = TypeVar("T", bound=KubeObject)

NAMESPACE = "default"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
SECONDS = 300.0
"""Seconds after which a phase is given up."""
BLOCK, PIECE = 4096, 1 << 20
WRITES, PIECES, TURNS = 300, 64, 5


def claim(name: str, size: str = "32Mi", node: str = "") -> core.PersistentVolumeClaim:
    """A claim of the default class; with `node`, as the scheduler leaves it for a pod there."""
    body = {
        "metadata": {"name": name, "annotations": {SELECTED_NODE: node} if node else {}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }
    return _made(core.PersistentVolumeClaim, body)


def pod(name: str) -> core.Pod:
    """A pod that uses the claim of its name."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    container = {"name": "c", "image": "tiphys.local/busybox:1", "command": ["sleep", "1000"], "volumeMounts": mounts}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    return _made(core.Pod, {"metadata": {"name": name}, "spec": {"containers": [container], "volumes": volumes}})


def _made(type_: type[T], body: object) -> T:
    made = msgspec.convert(body, type_)
    made.metadata.namespace = NAMESPACE
    return made


def is_bound(one: core.PersistentVolumeClaim) -> bool:
    """Return whether a claim has its volume."""
    return one.status.phase == "Bound"


def is_ready(one: core.Pod) -> bool:
    """Return whether a pod is ready."""
    return is_true(one.status.conditions, "Ready")


async def reached(client: Client, type_: type[T], state: Callable[[T], bool], *, name: str = "", count: int = 1) -> float:
    """Watch from now on until so many objects, of this name if it is given, are in a state; returns the time of the last."""
    version = (await client.list(type_, NAMESPACE)).resourceVersion
    names: set[str] = set()
    async with asyncio.timeout(SECONDS):
        while True:  # A watch ends now and then.
            async for event in client.watch(type_, NAMESPACE, resource_version=version, bookmarks=False):
                one = event.object
                version = one.metadata.resourceVersion
                if event.type != "DELETED" and name in ("", one.metadata.name) and state(one):
                    names.add(one.metadata.name)
                    if len(names) == count:
                        return time.monotonic()


async def gone(client: Client) -> None:
    """Wait until no claim, pod or volume is left."""

    async def empty() -> bool:
        pods, claims = await client.list(core.Pod, NAMESPACE), await client.list(core.PersistentVolumeClaim, NAMESPACE)
        return not (pods.items or claims.items or (await client.list(core.PersistentVolume)).items)

    await eventually(empty, timeout=SECONDS, interval=0.1)


async def remove(client: Client, name: str) -> None:
    """Delete a pod and its claim."""
    with contextlib.suppress(Exception):
        await client.delete(core.Pod, name, NAMESPACE, grace=0)
    await client.delete(core.PersistentVolumeClaim, name, NAMESPACE)


async def single(client: Client, rounds: int) -> dict[str, float]:
    """A claim with a pod, again and again: seconds to both states."""
    bound, ready = [], []
    for number in range(rounds):
        name = f"single-{number}"
        waits = (
            asyncio.create_task(reached(client, core.PersistentVolumeClaim, is_bound, name=name)),
            asyncio.create_task(reached(client, core.Pod, is_ready, name=name)),
        )
        began = time.monotonic()
        await client.create(claim(name))
        await client.create(pod(name))
        times = await asyncio.gather(*waits)
        bound.append(times[0] - began)
        ready.append(times[1] - began)
        await remove(client, name)
        await gone(client)
    return {
        f"{what} p{part}, s": sorted(times)[(len(times) - 1) * part // 100]
        for what, times in (("claim to bound", bound), ("pod with a claim to ready", ready))
        for part in (50, 99)
    }


async def many(client: Client, node: str, count: int) -> dict[str, float]:
    """Claims at once: seconds until all are bound, and until the volumes of all are deleted."""
    wait = asyncio.create_task(reached(client, core.PersistentVolumeClaim, is_bound, count=count))
    began = time.monotonic()
    await asyncio.gather(*(client.create(claim(f"many-{number}", node=node)) for number in range(count)))
    bound = await wait - began
    began = time.monotonic()
    await client.delete_collection(core.PersistentVolumeClaim, NAMESPACE)
    await gone(client)
    return {f"{count} claims at once to bound, s": bound, f"{count} volumes deleted, s": time.monotonic() - began}


def write_blocks(directory: Path) -> float:
    """Writes per second of blocks of 4 KiB, each followed by fsync."""
    with open(directory / "blocks", "wb", buffering=0) as file:
        began = time.monotonic()
        for _ in range(WRITES):
            file.write(os.urandom(BLOCK))
            os.fsync(file.fileno())
        return WRITES / (time.monotonic() - began)


def write_pieces(directory: Path) -> float:
    """Bytes per second of a file that is written from beginning to end, fsync included."""
    data = os.urandom(PIECE)
    with open(directory / "pieces", "wb", buffering=0) as file:
        began = time.monotonic()
        for _ in range(PIECES):
            file.write(data)
        os.fsync(file.fileno())
        return PIECES * PIECE / (time.monotonic() - began)


def read_pieces(directory: Path) -> float:
    """Bytes per second of reading that file, nothing of it being cached."""
    with open(directory / "pieces", "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.monotonic()
        while file.read(PIECE):
            pass
        return PIECES * PIECE / (time.monotonic() - began)


MEASURES = {"4 KiB writes with fsync": write_blocks, "sequential write": write_pieces, "sequential read": read_pieces}


async def files(client: Client, cluster: Cluster) -> dict[str, float]:
    """Ratios of I/O on a claim to that in a directory beside the volumes."""
    name = "files"
    wait = asyncio.create_task(reached(client, core.Pod, is_ready))
    await client.create(claim(name, "512Mi"))
    await client.create(pod(name))
    await wait
    uid = (await client.get(core.Pod, name, NAMESPACE)).metadata.uid
    (mounted,) = (cluster.data_dir / "node" / "pods" / uid / "volumes" / "kubernetes.io~csi").glob("*/mount")
    plain = cluster.data_dir / "plain"
    plain.mkdir()
    ratios: dict[str, list[float]] = {title: [] for title in MEASURES}
    for _ in range(TURNS):
        for title, measure in MEASURES.items():
            on_disk = await asyncio.to_thread(measure, plain)
            ratios[title].append(await asyncio.to_thread(measure, mounted) / on_disk)
    await remove(client, name)
    await gone(client)
    return {f"{title}, claim / directory": statistics.median(values) for title, values in ratios.items()}


async def measure(cluster: Cluster, rounds: int, claims: int) -> dict[str, float]:
    """All rows, on a running cluster."""
    client = kubeconfig.load(cluster.kubeconfig)
    try:
        results = await single(client, rounds)
        results |= await many(client, cluster.node, claims)
        return results | await files(client, cluster)
    finally:
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--claims", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with running_cluster() as cluster:
        results = asyncio.run(measure(cluster, arguments.rounds, arguments.claims))
    for name, value in results.items():
        print(f"   {name:<44}{value:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
