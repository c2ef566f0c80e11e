"""File systems on block devices: finding, making, checking, mounting and enlarging them with the tools of the machine.

What a plugin for disks needs (upstream's "safe format and mount"): a device is formatted only if nothing at all is on it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from tiphys.node.volumes import mounts
from tiphys.node.volumes.payload import VolumeError

DEFAULT = "ext4"
_BLKGETSIZE64 = 0x80081272
_SHORT = 60.0
_LONG = 1800.0
"""Seconds for making or checking a large file system."""
_FSCK_FAILED = 4
"""From this exit code on, fsck left errors."""


async def run(*command: str, timeout: float = _SHORT, fine: Sequence[int] = (0,)) -> tuple[int, str]:
    """Run a tool; returns exit code and output. Raises VolumeError when it is missing, takes too long or its exit code is not `fine`."""
    if shutil.which(command[0], path=_PATH) is None:
        raise VolumeError(f"{command[0]} is not installed on this node")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=_ENVIRONMENT
    )
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise VolumeError(f"{command[0]} did not end within {timeout:.0f} s") from None
    text = output.decode(errors="replace").strip()
    code = process.returncode if process.returncode is not None else -1
    if code not in fine:
        raise VolumeError(f"{' '.join(command)} failed with exit status {code}: {text[-1000:]}")
    return code, text


_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C.UTF-8"}


def device_size(path: str | Path) -> int:
    """Return the bytes of a block device. Raises OSError. Blocking."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size: int = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))[0]
        return size
    finally:
        os.close(fd)


def is_block_device(path: str | Path) -> bool:
    """Return whether a path leads to a block device. Raises OSError if it leads nowhere."""
    return stat.S_ISBLK(os.stat(path).st_mode)


async def detect(device: str) -> str:
    """Return the type of the file system on a device, "" if there is nothing on it. Raises VolumeError, also for other data."""
    code, text = await run("blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device, fine=(0, 2))
    if code == 2:
        return ""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if values.get("TYPE"):
        return values["TYPE"]
    raise VolumeError(f"failed to mount unformatted volume as read only or found partition table ({values.get('PTTYPE', 'unknown data')})")


async def format_and_mount(device: str, target: Path, kind: str, options: Sequence[str], *, read_only: bool) -> None:
    """Mount a device at a directory, made if it is missing; first make a file system of this kind if the device is blank, else check it.

    Raises VolumeError, also if another kind of file system is there: nothing is ever overwritten.
    """
    if await asyncio.to_thread(mounts.is_mount, target):
        return
    present = await detect(device)
    if not present:
        if read_only:
            raise VolumeError(f"failed to mount unformatted volume {device} as read only")
        force = ["-F", "-m0"] if kind.startswith("ext") else ["-f"] if kind in ("xfs", "btrfs") else []
        await run(f"mkfs.{kind}", *force, device, timeout=_LONG)
    elif present != kind:
        raise VolumeError(f"failed to mount the volume as {kind!r}, it already contains {present}")
    elif not read_only and kind != "xfs":
        code, text = await run("fsck", "-a", device, timeout=_LONG, fine=range(256))
        if code & _FSCK_FAILED:
            raise VolumeError(f"'fsck' found errors on device {device} but could not correct them: {text[-1000:]}")
    await asyncio.to_thread(target.mkdir, 0o750, parents=True, exist_ok=True)
    words = ",".join(dict.fromkeys([*options, "ro" if read_only else "rw", "defaults"]))
    await run("mount", "-t", kind, "-o", words, device, str(target))


async def grow(device: str, mounted_at: Path) -> None:
    """Let a mounted file system fill its device. Raises VolumeError."""
    kind = await detect(device)
    if kind.startswith("ext"):
        await run("resize2fs", device, timeout=_LONG)
    elif kind == "xfs":
        await run("xfs_growfs", "-d", str(mounted_at), timeout=_LONG)
    elif kind == "btrfs":
        await run("btrfs", "filesystem", "resize", "max", str(mounted_at), timeout=_LONG)
    else:
        raise VolumeError(f"resize of format {kind or 'unknown'} is not supported for device {device} mounted at {mounted_at}")
