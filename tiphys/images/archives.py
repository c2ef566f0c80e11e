"""Importing image archives (as `docker save`, `skopeo` or this package write them) into our containerd."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

from tiphys.images.packages import ImageError
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError

_UNPACKED = re.compile(r"^unpacking (\S+) \(sha256:", re.MULTILINE)


async def load_archive(archive: Path, *, containerd_socket: Path) -> list[str]:
    """Import a Docker or OCI archive, compressed or not; returns the names of its images.

    Raises ImageError when it is no such archive or holds no named image, CriError when containerd does not answer.
    """
    async with CriClient(containerd_socket) as cri:
        snapshotter = await snapshotter_of(cri)
        names = await asyncio.to_thread(import_archive, archive, str(containerd_socket), snapshotter)
    if not names:
        raise ImageError(f"{archive} holds no image with a name; give it one when you save it (docker save NAME:TAG)")
    return names


async def snapshotter_of(cri: CriClient) -> str:
    """The snapshotter that pods will use, so that the image is unpacked there and the first start does not wait for it."""
    try:
        info = (await cri.status(verbose=True)).info
        return str(json.loads(info["config"])["containerd"]["snapshotter"])
    except (KeyError, ValueError, CriError):
        return "overlayfs"


def import_archive(archive: Path, socket: str, snapshotter: str) -> list[str]:
    """Import an archive through ctr; returns the names of its images. Blocks. Raises ImageError."""
    command = ["ctr", "-a", socket, "-n", "k8s.io", "images", "import", "--snapshotter", snapshotter, str(archive)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError("ctr is not installed; it comes with: apt-get install containerd") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise ImageError(f"containerd cannot import {archive.name}: {lines[-1] if lines else 'no reason given'}")
    return _UNPACKED.findall(done.stdout)
