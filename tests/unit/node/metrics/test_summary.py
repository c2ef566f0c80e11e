"""The document `/stats/summary` and the page `/metrics/resource`, from control groups and from plain values."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.unit.node.metrics.test_cadvisor import POD, V1, V2, group, mount
from tiphys.node.metrics.groups import GroupReader, Interface, Stall, parse_pressure
from tiphys.node.metrics.node import file_system, node_usage, peer, pid_limit, process_usage, threads
from tiphys.node.metrics.pods import PodReader, Sizes
from tiphys.node.metrics.resource import resource_lines
from tiphys.node.metrics.summary import summary
from tiphys.node.metrics.usage import ContainerUse, FileSystem, NodeStats, PodUse, Usage
from tiphys.obs import metrics

STALLED = "some avg10=1.50 avg60=0.50 avg300=0.10 total=3000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000\n"
PATH = "kubepods/burstable/podu1"


def test_use_of_a_pod_is_that_of_its_own_group(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 1)
    for path in (PATH, f"{PATH}/c1"):
        group(root, V1, path)
    group(root, {"memory/{}/memory.usage_in_bytes": "9999\n"}, PATH)
    read = PodReader("/kubepods", started=1.0, root=root)
    page = metrics.page(resource_lines(Usage(cpu=10**9, memory=5), read.uses(read.reader(), [POD], 100.0))).decode()
    values = {(sample.name, sample.labels.get("container", "")): sample.value for one in parsed(page) for sample in one.samples}
    assert values["pod_memory_working_set_bytes", ""] == 9999 - 1024
    assert values["container_memory_working_set_bytes", "app"] == 8192 - 1024
    assert values["container_cpu_usage_seconds_total", "app"] == 1.5
    assert values["container_start_time_seconds", "app"] == 6.0
    assert values["node_cpu_usage_seconds_total", ""] == 1
    assert ("pod_swap_usage_bytes", "") not in values  # The kernel of these files does not account for swap.


def test_swap_is_shown_where_the_kernel_accounts_for_it() -> None:
    used = Usage(swap=7, swap_limit=10)
    page = metrics.page(resource_lines(used, [PodUse("ns", "web", "u1", used, [ContainerUse("ns", "web", "u1", "app", used)])])).decode()
    for name in (
        "node_swap_usage_bytes 7",
        'pod_swap_usage_bytes{namespace="ns",pod="web"} 7',
        'container_swap_limit_bytes{container="app"',
    ):
        assert name in page


def test_rates_take_two_readings(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 2)
    read = PodReader("/kubepods", started=1.0, root=root)
    for at, used in ((100.0, 1_500_000), (110.0, 2_500_000)):
        for path in (PATH, f"{PATH}/c1"):
            group(root, V2 | {"{}/cpu.stat": f"usage_usec {used}\n"}, path)
        (pod,) = read.uses(read.reader(), [POD], at)
    assert pod.usage.cpu_rate == pod.containers[0].usage.cpu_rate == 10**8


def test_pods_without_running_containers_are_left_out(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 1)
    group(root, V1, PATH)
    read = PodReader("/kubepods", started=1.0, root=root)
    assert read.uses(read.reader(), [POD], 1.0) == []
    group(root, V1, f"{PATH}/c1")
    assert [pod.pod for pod in read.uses(read.reader(), [POD], 1.0)] == ["web"]


def test_summary_of_a_pod_has_upstreams_fields(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 2)
    (tmp_path / "app.log").write_bytes(b"x" * 5000)
    containers = tuple(msgspec.structs.replace(one, log_path=str(tmp_path / "app.log")) for one in POD.containers)
    group(root, {**V2, "{}/memory.max": "10000\n", "{}/memory.pressure": STALLED, "{}/memory.swap.current": "5\n"}, f"{PATH}/c1")
    group(root, V2, PATH)
    read = PodReader("/kubepods", started=1.0, root=root)
    sizes = Sizes({"c1": (4096, 3)}, containers=(str(tmp_path), 4096, 3))
    uses = read.uses(read.reader(full=True, stalls=True), [msgspec.structs.replace(POD, containers=containers)], 100.0, sizes=sizes)
    (pod,) = summary("n1", NodeStats(Usage()), uses)["pods"]
    assert pod["podRef"] == {"name": "web", "namespace": "ns", "uid": "u1"}
    assert pod["process_stats"] == {"process_count": 2}  # Of the one container whose group is there.
    (container,) = pod["containers"]
    at = "1970-01-01T00:01:40Z"
    assert container["name"] == "app"
    assert container["startTime"] == "1970-01-01T00:00:06Z"
    assert container["cpu"]["usageCoreNanoSeconds"] == 1_500_000_000
    assert container["memory"]["availableBytes"] == 10000 - 7168
    assert container["memory"]["pageFaults"] == 7
    assert container["memory"]["psi"]["some"] == {"total": 3_000_000_000, "avg10": 1.5, "avg60": 0.5, "avg300": 0.1}
    assert container["swap"] == {"time": at, "swapUsageBytes": 5}
    assert (container["rootfs"]["usedBytes"], container["rootfs"]["inodesUsed"]) == (4096, 3)
    assert container["logs"]["usedBytes"] >= 5000
    assert pod["ephemeral-storage"]["usedBytes"] == 4096 + container["logs"]["usedBytes"]
    assert "availableBytes" not in pod["memory"]  # The pod has no limit.


def test_a_brief_summary_has_cpu_and_memory_alone() -> None:
    used = Usage(stalls={"cpu": parse_pressure(STALLED)}, swap=0)
    interface = Interface("eth0", (1, 2, 3, 4), (5, 6, 7, 8))
    node = NodeStats(used, 100, {"kubelet": used}, [interface], FileSystem(1), FileSystem(1), FileSystem(1), 9, 8)
    pods = [PodUse("ns", "web", "u1", used, [ContainerUse("ns", "web", "u1", "app", used, FileSystem(1), FileSystem(1))], [interface], 1)]
    whole, brief = summary("n1", node, pods), summary("n1", node, pods, brief=True)
    assert whole["node"]["rlimit"]["maxpid"] == 9
    assert whole["node"]["runtime"]["imageFs"]["capacityBytes"] == 1
    network = whole["pods"][0]["network"]
    assert (network["name"], network["rxBytes"], network["txErrors"]) == ("eth0", 1, 7)
    assert brief["node"].keys() == {"nodeName", "startTime", "systemContainers", "cpu", "memory", "swap"}
    assert brief["pods"][0].keys() == {"podRef", "startTime", "cpu", "memory", "swap", "containers"}
    assert "psi" not in brief["pods"][0]["cpu"]


def test_a_hybrid_machine_has_its_stalls_in_the_other_hierarchy(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 1)
    group(root, V1, "a")
    group(root, {"unified/{}/cpu.pressure": STALLED}, "a")
    assert GroupReader(root).read("a").stalls == {}
    (root / "unified/cgroup.controllers").touch()
    use = GroupReader(root).read("a")
    assert use.stalls["cpu"]["some"] == Stall(1.5, 0.5, 0.1, 3.0)
    assert use.values["cpu_full_stalled"] == 0.001


def test_the_node_and_its_processes_are_measured(tmp_path: Path) -> None:
    root = mount(tmp_path / "fs", 2)
    group(root, {"{}/memory.stat": "anon 2048\nfile 4096\ninactive_file 1024\n"}, ".")
    used = node_usage(GroupReader(root), 5.0, 1.0)
    assert used.cpu > 0
    assert used.rss == 2048
    assert used.memory_usage >= used.memory > 0
    assert used.swap is not None
    own = process_usage(os.getpid(), 5.0, 1.0)
    assert own is not None
    assert own.memory > 1 << 20
    assert process_usage(2**22 + 1, 5.0, 1.0) is None
    assert peer(str(tmp_path / "no-socket")) == 0
    assert 0 < (threads() or 0) < (pid_limit() or 0)
    disk = file_system(tmp_path)
    assert disk is not None
    assert (disk.capacity or 0) > (disk.used or 0) > 0
    assert file_system(tmp_path / "missing") is None
