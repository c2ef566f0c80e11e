"""Block volumes for containers: `volumeDevices` of a claim of mode Block ("Persistent Volumes", Raw Block Volume Support).

    pods/<uid>/volumeDevices/<plugin>/<volume>       link to the device: what the container gets
    plugins/<plugin>/volumeDevices/<volume>/<uid>    the device's file, bind mounted: who uses it, and which device that is

The bind mount keeps naming the same device when a disk is unplugged and another one takes its name: a pod whose volume is looked at again
never gets the other one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from tiphys.node.volumes import mounts
from tiphys.node.volumes.paths import PodPaths
from tiphys.node.volumes.payload import VolumeError
from tiphys.node.volumes.plugin import MountRecord


def link_device(root: Path, record: MountRecord, device: str) -> Path:
    """Link a pod's block volume to a device; returns the link. Raises VolumeError. Blocking."""
    if not device:
        raise VolumeError("device path of the volume is empty")
    try:
        real = os.path.realpath(device, strict=True)
        number = _number(real)
        pin = _pin(root, record)
        pin.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if mounts.is_mount(pin) and _number(str(pin)) != number:
            raise VolumeError(f"{device} is another device than the one that the pod was given")
        if not mounts.is_mount(pin):
            pin.touch(0o600)
            mounts.bind(real, pin)
        link = PodPaths(root, record.uid).device(record.plugin, record.name)
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(real)
    except OSError as error:
        raise VolumeError(str(error)) from error
    return link


def unlink_device(root: Path, record: MountRecord) -> None:
    """Undo `link_device`; harmless if there is nothing. Raises VolumeError. Blocking."""
    try:
        PodPaths(root, record.uid).device(record.plugin, record.name).unlink(missing_ok=True)
        pin = _pin(root, record)
        while mounts.is_mount(pin):
            mounts.unmount(pin)
        pin.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            pin.parent.rmdir()  # Others may use the volume still.
    except OSError as error:
        raise VolumeError(str(error)) from error


def _number(path: str) -> int:
    info = os.stat(path)
    if not stat.S_ISBLK(info.st_mode):
        raise VolumeError(f"{path} is not a block device")
    return info.st_rdev


def _pin(root: Path, record: MountRecord) -> Path:
    return root / "plugins" / record.plugin.replace("/", "~") / "volumeDevices" / record.name / record.uid
