"""Checks of what volumes on the machine's own disk need."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tiphys.cli.checks.result import CheckResult, find_program, install
from tiphys.daemon.settings import ClusterSettings
from tiphys.obs.process import CAP_SYS_RESOURCE, has_capability

EXT4 = ("mkfs.ext4", "e2fsck", "resize2fs")
XFS = ("mkfs.xfs", "xfs_growfs")


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    """Check for loop devices, programs of file systems, and the right to grow ext4 in use. Nothing here keeps a cluster from starting."""
    if not settings.local_storage.enabled:
        return
    name = "local storage"
    without = "claims of the class local-path will stay Pending"
    if not has_loop_devices():
        yield CheckResult(name, "warn", f"the kernel has no loop devices: {without}", "modprobe loop, or tiphys up --local-storage=false")
        return
    missing = [program for program in EXT4 if find_program(program) is None]
    if missing:
        yield CheckResult(name, "warn", f"{', '.join(missing)} not installed: {without}", install("e2fsprogs"))
        return
    kinds = "ext4" if any(find_program(program) is None for program in XFS) else "ext4, xfs"
    if not has_capability(CAP_SYS_RESOURCE):
        message = f"{kinds}; ext4 volumes grow only while no pod uses them, since CAP_SYS_RESOURCE is missing"
        yield CheckResult(name, "warn", message, "add the capability to this container or machine, or use a class with fstype xfs")
        return
    yield CheckResult(name, "ok", f"{kinds}, in {settings.local_storage_dir}")


def has_loop_devices() -> bool:
    """Return whether the kernel offers loop devices."""
    return os.path.exists("/dev/loop-control")
