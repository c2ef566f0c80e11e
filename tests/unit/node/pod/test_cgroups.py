"""Limits of the control groups that pods are in, on both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.node.make import pod
from tiphys.node.host.cgroups import weight
from tiphys.node.pod.cgroups import PodCgroups


def mount(root: Path, version: int) -> Path:
    """An empty mount point of control groups; returns the directory that CPU is limited in."""
    if version == 2:
        root.mkdir()
        (root / "cgroup.controllers").write_text("cpu memory pids")
        return root
    for controller in ("cpu", "memory", "pids"):
        (root / controller).mkdir(parents=True)
        (root / controller / "tasks").touch()
    return root / "cpu"


def cpu(home: Path, group: str) -> int:
    """Weight of a group, as shares are converted to it on version 2."""
    text = home / group / "cpu.weight"
    return int(text.read_text()) if text.exists() else weight(int((home / group / "cpu.shares").read_text()))


@pytest.mark.parametrize("version", [1, 2])
def test_all_pods_together_weigh_what_they_may_request(tmp_path: Path, version: int) -> None:
    home = mount(tmp_path / "fs", version)
    groups = PodCgroups("/kubepods", tmp_path / "fs", milli_cpu=3500)
    groups.prepare()
    assert cpu(home, "kubepods") == weight(3584)
    assert cpu(home, "kubepods/besteffort") == weight(2)


@pytest.mark.parametrize("version", [1, 2])
def test_burstable_pods_weigh_the_sum_of_their_requests(tmp_path: Path, version: int) -> None:
    home = mount(tmp_path / "fs", version)
    groups = PodCgroups("/kubepods", tmp_path / "fs", milli_cpu=4000)
    groups.prepare()
    for uid in ("u1", "u2"):
        groups.apply(pod({"name": "a", "resources": {"requests": {"cpu": "500m"}}}, metadata={"uid": uid}))
    assert cpu(home, "kubepods/burstable") == weight(1024)
    assert cpu(home, "kubepods/burstable/podu1") == weight(512)
    groups.remove("u1")
    assert cpu(home, "kubepods/burstable") == weight(512)
    assert cpu(home, "kubepods") == weight(4096)
