"""Checks of disk space, memory, the clock and kernel limits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tiphys.aio.clock import LoopClock
from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

MIB = 1 << 20
DISK_NEEDED = 512 * MIB
"""Space for the demo's images, their archives and the store, including the store's reserve."""
DISK_WISHED = 2048 * MIB
PRESSURE = 0.10
"""Share of free space below which a node reports disk pressure and accepts no pods."""
INODES_NEEDED = 10_000
MEMORY_NEEDED = 256 * MIB
MEMORY_WISHED = 512 * MIB
INOTIFY = {"max_user_instances": 128, "max_user_watches": 8192}
INOTIFY_WISHED = {"max_user_instances": 512, "max_user_watches": 524288}
CLOCK_SLACK = 300.0


def check_disk(settings: ClusterSettings) -> Iterator[CheckResult]:
    place = settings.dir
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        yield CheckResult("data directory", "fail", f"{place} is not a directory", "choose another directory with --data-dir")
        return
    if not os.access(place, os.W_OK):
        yield CheckResult("data directory", "fail", f"{place} is not writable", "choose another directory with --data-dir")
        return
    usage, system = shutil.disk_usage(place), os.statvfs(place)
    free = f"{usage.free // MIB} MiB of {usage.total // MIB} MiB free in {place}"
    fix = f"free some space there (du -xsh {place}/* | sort -h), or choose another directory with --data-dir"
    if usage.free < DISK_NEEDED:
        yield CheckResult("disk", "fail", f"not enough space: {free}, {DISK_NEEDED // MIB} MiB required", fix)
    elif system.f_files and system.f_favail < INODES_NEEDED:
        message = f"not enough inodes: {system.f_favail} of {system.f_files} free in {place}, {INODES_NEEDED} required"
        yield CheckResult("disk", "fail", message, "remove directories with many small files, or choose another directory with --data-dir")
    elif usage.free < usage.total * PRESSURE:
        yield CheckResult("disk", "warn", f"{free}; below 10% a node reports disk pressure and accepts no pods", fix)
    elif usage.free < DISK_WISHED:
        yield CheckResult("disk", "warn", f"{free}, enough for only a few small images", fix)
    else:
        yield CheckResult("disk", "ok", free)


def check_memory(settings: ClusterSettings) -> Iterator[CheckResult]:
    available = _memory_available()
    text, fix = f"{available // MIB} MiB available", "stop programs that use much memory: ps aux --sort=-rss | head"
    if available < MEMORY_NEEDED:
        yield CheckResult("memory", "fail", f"{text}, {MEMORY_NEEDED // MIB} MiB required", fix)
    elif available < MEMORY_WISHED:
        yield CheckResult("memory", "warn", f"{text}, which leaves little for pods", fix)
    else:
        yield CheckResult("memory", "ok", text)


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_clock(settings: ClusterSettings) -> Iterator[CheckResult]:
    now = LoopClock().now().timestamp()
    # Files cannot have been written in the future: certificates made then would not be valid yet.
    for path, status in ((settings.dir / "pki" / "ca.crt", "fail"), (Path(__file__), "warn")):
        try:
            written = path.stat().st_mtime
        except OSError:
            continue
        if written > now + CLOCK_SLACK:
            message = f"the clock is slow: it shows {_day(now)}, but {path} was written on {_day(written)}"
            fix = "timedatectl set-ntp true, or date -s 'YYYY-MM-DD HH:MM'"
            yield CheckResult("clock", "fail" if status == "fail" else "warn", message, fix)
            return
    yield CheckResult("clock", "ok", _day(now))


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def check_limits(settings: ClusterSettings) -> Iterator[CheckResult]:
    limits = {}
    for name in INOTIFY:
        try:
            limits[name] = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            continue
    low = [name for name, value in limits.items() if value < INOTIFY[name]]
    if low:
        settings_text = " ".join(f"fs.inotify.{name}={INOTIFY_WISHED[name]}" for name in low)
        message = f'{", ".join(f"{name} is {limits[name]}" for name in low)}: programs in pods may fail with "too many open files"'
        yield CheckResult("inotify", "warn", message, f"sysctl -w {settings_text}")
    elif limits:
        yield CheckResult("inotify", "ok", ", ".join(f"{name} {value}" for name, value in limits.items()))
