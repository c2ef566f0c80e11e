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


@pytest.mark.parametrize("version", [1, 2])
def test_all_pods_together_are_held_to_what_is_not_reserved(tmp_path: Path, version: int) -> None:
    mount(tmp_path / "fs", version)
    groups = PodCgroups("/kubepods", tmp_path / "fs", limits={"memory": 1 << 30, "pid": 5000})
    groups.prepare()
    assert groups.hold() == ""
    assert limits(tmp_path / "fs", version, "kubepods") == (str(1 << 30), "5000")
    free = PodCgroups("/kubepods", tmp_path / "fs")
    assert free.hold() == ""
    assert limits(tmp_path / "fs", version, "kubepods") == ("max" if version == 2 else "-1", "max")


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_of_the_system_is_held_to_its_reserve(tmp_path: Path, version: int) -> None:
    home = mount(tmp_path / "fs", version)
    groups = PodCgroups("/kubepods", tmp_path / "fs")
    reserve = {"cpu": 500, "memory": 1 << 20}
    assert groups.restrict("system", reserve, compressible=False) == "control group /system does not exist"
    for controller in ("cpu", "memory", "pids") if version == 1 else (".",):
        (tmp_path / "fs" / controller / "system").mkdir()
    assert groups.restrict("/system", reserve, compressible=True) == ""
    assert cpu(home, "system") == weight(512)
    with pytest.raises(FileNotFoundError):
        limits(tmp_path / "fs", version, "system")
    assert groups.restrict("/system", {"memory": 1 << 20, "pid": 7}, compressible=False) == ""
    assert limits(tmp_path / "fs", version, "system") == (str(1 << 20), "7")


def limits(root: Path, version: int, group: str) -> tuple[str, str]:
    memory = root / group / "memory.max" if version == 2 else root / "memory" / group / "memory.limit_in_bytes"
    pids = root / ("." if version == 2 else "pids") / group / "pids.max"
    return memory.read_text(), pids.read_text()


@pytest.mark.parametrize("version", [1, 2])
def test_pods_with_cpus_of_their_own_have_no_quota(tmp_path: Path, version: int) -> None:
    home = mount(tmp_path / "fs", version)
    groups = PodCgroups("/kubepods", tmp_path / "fs")
    size = {"cpu": "1", "memory": "64Mi"}
    it = pod({"name": "a", "resources": {"requests": size, "limits": size}})
    file = home / "kubepods" / "podu1" / ("cpu.max" if version == 2 else "cpu.cfs_quota_us")
    groups.apply(it)
    assert file.read_text().split()[0] == "100000"
    groups.owns_cpus = lambda uid: uid == "u1"
    groups.apply(it)
    assert file.read_text().split()[0] == ("max" if version == 2 else "-1")
