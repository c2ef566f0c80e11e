"""Processes, mounts and loop devices of a cluster, found by other means than the product's own, and the loss of them all at once."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tiphys.daemon.saved import cluster_settings
from tiphys.daemon.settings import ClusterSettings
from tiphys.testing.cluster import Cluster, wait_for


def settings_of(cluster: Cluster) -> ClusterSettings:
    return cluster_settings(cluster.data_dir)


def processes(*words: str) -> list[int]:
    """The processes whose command line or cgroup has one of these words, this one left out."""
    pattern = re.compile("|".join(rf"{re.escape(word)}(?![\w-])" for word in words))
    matches = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                if command and pattern.search(command + (entry / "cgroup").read_text()):
                    matches.append(int(entry.name))
    return matches


def container_of(cluster: Cluster, pod: str) -> str:
    """The id of the first container of a pod."""
    status = cluster.get(f"pod {pod}")["status"]["containerStatuses"][0]
    return str(status["containerID"]).removeprefix("containerd://")


def main_process(cluster: Cluster, pod: str) -> int:
    """The process id, on this machine, of process 1 of a pod's container."""
    for pid in processes(container_of(cluster, pod)):
        with contextlib.suppress(OSError):
            ids = re.search(r"^NSpid:\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
            if ids is not None and ids[1].split()[-1] == "1":
                return pid
    raise AssertionError(f"pod {pod} has no process")


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes that may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def mount_points(*places: str) -> list[str]:
    """Mounts below these directories, the deepest first."""
    points = [line.split()[4].encode().decode("unicode_escape") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(tuple(f"{place}/" for place in places))), key=len, reverse=True)


def loop_devices(cluster: Cluster) -> dict[str, str]:
    """Loop devices of local volumes: device to image, also when the image is deleted."""
    place = f"{settings_of(cluster).local_storage_dir}/"
    found = {}
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            image = file.read_text().strip()
            if image.startswith(place):
                found[file.parts[3]] = image
    return found


def check_devices(cluster: Cluster) -> None:
    """Raise AssertionError if an image is used through two devices: their file systems would overwrite each other."""
    shared = {image: count for image, count in Counter(loop_devices(cluster).values()).items() if count > 1}
    assert not shared


def cut_power(cluster: Cluster) -> None:
    """Lose what a machine loses with its power: processes, mounts, devices, /run, and what a volume's file system had not written.

    The containers stand still while the images are copied, so the copies have what had reached the devices, and not what is in memory only.
    """
    settings = settings_of(cluster)
    pods = processes(settings.cgroup_parent.strip("/"))
    send(pods, signal.SIGSTOP)
    images = sorted(set(loop_devices(cluster).values()))
    for image in images:
        subprocess.run(["cp", "--sparse=always", "--preserve=all", image, f"{image}.copy"], check=True)
    places = (settings.data_dir, str(settings.run_dir))

    def killed() -> bool:
        pids = processes(*places, settings.cgroup_parent.strip("/"))
        send(pids, signal.SIGKILL)
        return not pids

    wait_for(killed)

    def unmounted() -> bool:
        for point in mount_points(*places):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        return not mount_points(*places) and not loop_devices(cluster)

    wait_for(unmounted)
    for image in images:
        os.replace(f"{image}.copy", image)
    shutil.rmtree(settings.run_dir)
