"""The page `/metrics/cadvisor`, from control groups of both versions and of pods that come and go."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.samples import Sample

from tiphys.node.metrics.cadvisor import Machine, Subject, cadvisor_lines
from tiphys.node.metrics.groups import GroupReader, GroupUse, Interface, Transfers, device_names, interfaces, parse_net_dev
from tiphys.node.metrics.node import descriptor_limit, descriptors, disks, facts
from tiphys.node.metrics.pods import Sizes, subjects
from tiphys.node.metrics.usage import FileSystem
from tiphys.node.pod.observed import Observed, SeenContainer, SeenSandbox
from tiphys.node.services import Machine as Size
from tiphys.obs import metrics

V1 = {
    "cpuacct/{}/cpuacct.usage": "1500000000\n",
    "cpuacct/{}/cpuacct.stat": "user 100\nsystem 50\n",
    "cpu/{}/cpu.stat": "nr_periods 20\nnr_throttled 5\nthrottled_time 250000000\n",
    "cpu/{}/cpu.cfs_quota_us": "50000\n",
    "cpu/{}/cpu.cfs_period_us": "100000\n",
    "cpu/{}/cpu.shares": "512\n",
    "memory/{}/memory.usage_in_bytes": "8192\n",
    "memory/{}/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/{}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/{}/memory.stat": "cache 1\ntotal_cache 4096\ntotal_rss 2048\ntotal_inactive_file 1024\npgfault 3\ntotal_pgfault 7\n",
    "pids/{}/pids.current": "4\n",
    "pids/{}/pids.max": "max\n",
    "memory/{}/cgroup.procs": "11\n12\n",
    "blkio/{}/blkio.throttle.io_service_bytes": "8:0 Read 4096\n8:0 Write 512\n8:0 Total 4608\nTotal 4608\n",
    "blkio/{}/blkio.throttle.io_serviced": "8:0 Read 2\n8:0 Write 1\nTotal 3\n",
}
V2 = {
    "{}/cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 20\nnr_throttled 5\nthrottled_usec 250000\n",
    "{}/cpu.max": "50000 100000\n",
    "{}/cpu.weight": "20\n",
    "{}/memory.current": "8192\n",
    "{}/memory.max": "max\n",
    "{}/memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n",
    "{}/memory.stat": "anon 2048\nfile 4096\ninactive_file 1024\npgfault 7\npgmajfault 0\n",
    "{}/pids.current": "4\n",
    "{}/pids.max": "max\n",
    "{}/cgroup.procs": "11\n12\n",
    "{}/io.stat": "8:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n",
    "{}/cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
}
CONTROLLERS = ("blkio", "cpu", "cpuacct", "memory", "pids")
POD = Observed(
    "u1", "ns", "web", sandboxes=(SeenSandbox("s1", 0, True, 5.0),),
    containers=(SeenContainer("c1", "app", 0, "running", "s1", started=6.0, image="web:1"), SeenContainer("c0", "old", 0, "exited", "s1")),
)  # fmt: skip


def mount(root: Path, version: int) -> Path:
    """An empty mount point of control groups."""
    for controller in CONTROLLERS if version == 1 else ():
        (root / controller).mkdir(parents=True)
        (root / controller / "tasks").touch()
    if version == 2:
        root.mkdir(parents=True)
        (root / "cgroup.controllers").touch()
    return root


def group(root: Path, files: Mapping[str, str], path: str) -> None:
    for name, text in files.items():
        file = root / name.format(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def page(found: list[Subject]) -> dict[str, list[Sample]]:
    text = metrics.page(cadvisor_lines(Machine(2, 1 << 30), found, {"8:0": "/dev/sda"})).decode()
    return {one.name: one.samples for one in parsed(text)}


@pytest.mark.parametrize(("version", "files"), [(1, V1), (2, V2)])
def test_both_versions_tell_the_same(tmp_path: Path, version: int, files: Mapping[str, str]) -> None:
    group(mount(tmp_path / "fs", version), files, "kubepods/pod1")
    use = GroupReader(tmp_path / "fs").read("/kubepods/pod1")
    tick = 1 / os.sysconf("SC_CLK_TCK")
    user, system = (1.0, 0.5) if version == 2 else (100 * tick, 50 * tick)
    expected = {
        "cpu": 1.5, "cpu_user": user, "cpu_system": system, "periods": 20, "throttled": 5, "throttled_seconds": 0.25,
        "cpu_quota": 50000, "cpu_period": 100000, "memory": 8192, "memory_limit": 0, "ooms": 2, "cache": 4096, "rss": 2048,
        "inactive_file": 1024, "working_set": 7168, "threads": 4, "threads_max": 0, "faults_below": 7,
    }  # fmt: skip
    assert {name: use.values[name] for name in expected} == pytest.approx(expected)
    assert use.devices == {"8:0": Transfers(2, 1, 4096, 512)}
    assert use.pids == [11, 12]
    assert use.values["cpu_shares"] in (500, 512)  # Weights are coarser than shares.
    assert ("cpu_some_stalled" in use.values) is (version == 2)


def test_without_a_quota_no_periods_are_counted(tmp_path: Path) -> None:
    group(mount(tmp_path / "fs", 2), V2 | {"{}/cpu.max": "max 100000\n"}, "a")
    assert not {"cpu_quota", "periods", "throttled"} & GroupReader(tmp_path / "fs").read("a").values.keys()


def test_only_named_values_are_read(tmp_path: Path) -> None:
    group(mount(tmp_path / "fs", 2), V2, "a")
    values = GroupReader(tmp_path / "fs", names=("cpu", "working_set")).read("a").values
    assert values["working_set"] == 7168
    assert "rss" not in values
    assert "threads" not in values


@pytest.mark.parametrize(("version", "files"), [(1, V1), (2, V2)])
def test_pods_that_come_and_go_leave_the_page_to_the_others(tmp_path: Path, version: int, files: Mapping[str, str]) -> None:
    root = mount(tmp_path / "fs", version)
    for path in ("kubepods/burstable/podu1", "kubepods/burstable/podu1/s1", "kubepods/burstable/podu1/c1"):
        group(root, files, path)
    starting = Observed("u2", "ns", "starting", containers=(SeenContainer("c2", "app", 0, "running", "s2"),))
    bare = Observed("u3", "ns", "bare", sandboxes=(SeenSandbox("s3", 0, True),))
    group(root, files, "kubepods/besteffort/podu3")  # Its sandbox has no group yet.
    found = list(subjects(GroupReader(root), "/kubepods", [POD, starting, bare], Sizes({"c1": (99, 1)})))
    families = page(found)
    named = {(one.labels["pod"], one.labels["container"], one.labels["name"]) for one in families["container_cpu_usage_seconds"]}
    assert named == {("web", "", ""), ("web", "", "s1"), ("web", "app", "c1"), ("bare", "", "")}
    (written,) = (one for one in families["container_fs_usage_bytes"] if one.labels["id"] != "/")
    assert (written.value, written.labels["id"], written.labels["image"]) == (99, "/kubepods/burstable/podu1/c1", "web:1")
    assert families["machine_cpu_cores"][0].value == 2


def test_series_have_upstreams_labels() -> None:
    use = GroupUse({"periods": 3, "faults": 1}, {"8:0": Transfers(read_bytes=5)}, [1])
    network = [Interface("eth0", (1, 2, 3, 4), (5, 6, 7, 8))]
    sizes = {"/dev/sda1": FileSystem(capacity=10, used=3, inodes_free=2)}
    families = page([Subject("/k/podu/s", use, "ns", "web", "", "s", "pause", 1.0, network, sizes, 9, -1, 30.0)])
    base = {"container": "", "id": "/k/podu/s", "image": "pause", "name": "s", "namespace": "ns", "pod": "web"}
    expected = {
        "container_cpu_cfs_periods": (3, {}),
        "container_fs_reads_bytes": (5, {"device": "/dev/sda"}),
        "container_network_receive_packets_dropped": (4, {"interface": "eth0"}),
        "container_network_transmit_packets": (6, {"interface": "eth0"}),
        "container_memory_failures": (1, {"failure_type": "pgfault", "scope": "container"}),
        "container_processes": (1, {}),
        "container_last_seen": (30, {}),
        "container_file_descriptors": (9, {}),
        "container_ulimits_soft": (-1, {"ulimit": "max_open_files"}),
        "container_fs_limit_bytes": (10, {"device": "/dev/sda1"}),
        "container_fs_usage_bytes": (3, {"device": "/dev/sda1"}),
        "container_fs_inodes_free": (2, {"device": "/dev/sda1"}),
    }
    for name, (value, more) in expected.items():
        (one,) = families[name]
        assert (one.value, one.labels) == (value, base | more), name


def test_the_machine_is_shown_with_its_identity() -> None:
    machine = Machine(4, 1 << 30, 2, 1, 5, "m", "s", "b", "6.1", "Debian")
    families = {one.name: one.samples for one in parsed(metrics.page(cadvisor_lines(machine, [], {})).decode())}
    for name, value in {"machine_cpu_physical_cores": 2, "machine_cpu_sockets": 1, "machine_swap_bytes": 5}.items():
        (one,) = families[name]
        assert (one.value, one.labels) == (value, {"machine_id": "m", "system_uuid": "s", "boot_id": "b"})
    assert families["cadvisor_version_info"][0].labels["kernelVersion"] == "6.1"


def test_slices_of_the_machine_are_measured(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 2)
    for path in (".", "system.slice", "system.slice/ssh.service", "user.slice", "other"):
        group(root, V2, path)
    measured = [one.path for one in subjects(GroupReader(root), "/kubepods", [], Sizes()) if one.use.values]
    assert measured == ["/", "/system.slice", "/system.slice/ssh.service", "/user.slice"]


def test_descriptors_and_facts_are_read(tmp_path: Path) -> None:
    own = os.getpid()
    before = descriptors([own, 2**22 + 1])
    with (tmp_path / "open").open("w"):
        assert descriptors([own]) == before + 1
    assert (descriptor_limit(own) or 0) != 0
    assert descriptor_limit(2**22 + 1) is None
    machine = facts(Size(4, 1 << 30))
    assert (machine.cores, machine.memory) == (4, 1 << 30)
    assert machine.physical_cores >= machine.sockets >= 1
    assert machine.boot_id
    assert all((disk.capacity or 0) > 0 for disk in disks().values())


def test_interfaces_are_those_of_a_network_of_its_own() -> None:
    text = "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n"
    assert parse_net_dev(text) == [Interface("eth0", (10, 2, 3, 4), (50, 6, 7, 8))]
    assert interfaces(os.getpid()) == []  # The machine's own network is no pod's.
    assert interfaces(2**22 + 1) == []  # No such process.
    assert all(name.startswith("/dev/") for name in device_names().values())
