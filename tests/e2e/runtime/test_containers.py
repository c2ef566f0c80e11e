"""Containers through our containerd: what the pod worker relies on."""

from __future__ import annotations

import asyncio
import re
import socket
import time

import pytest

from tests.e2e.runtime.conftest import RunPod
from tests.e2e.runtime.machine import Machine, Pod
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import Deadline, Failed, NotFound
from tiphys.node.cri.pb import api_pb2 as pb
from tiphys.node.runtime import cgroups
from tiphys.testing.eventually import eventually

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d) (stdout|stderr) [FP] (.*)")


async def test_the_runtime_says_it_is_ready(cri: CriClient) -> None:
    assert (await cri.version()).runtime_name == "containerd"
    conditions = {part.type: part.status for part in (await cri.status()).status.conditions}
    assert conditions == {"RuntimeReady": True, "NetworkReady": True}


async def test_a_container_goes_through_its_life(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("life")
    container = await pod.create("main", command=["sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"])
    assert (await cri.container_status(container)).status.state == pb.CONTAINER_CREATED
    before = time.time_ns()
    await cri.start_container(container)
    status = await pod.exited(container)
    assert (status.exit_code, status.reason) == (3, "Error")
    # containerd notes the start after the process runs, so a short one may have ended a moment "before" it.
    assert before < min(status.started_at, status.finished_at)
    lines = {match.groups() for match in map(LOG_LINE.fullmatch, pod.log("main").splitlines()) if match}
    assert lines == {("stdout", "to stdout"), ("stderr", "to stderr")}
    await cri.remove_container(container)
    await cri.remove_container(container)
    with pytest.raises(NotFound):
        await cri.container_status(container)
    assert await cri.list_containers(sandbox_id=pod.id) == []


async def test_success_and_a_signal_are_told_apart(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("codes")
    fine = await pod.exited(await pod.start("fine", command=["true"]))
    assert (fine.exit_code, fine.reason) == (0, "Completed")
    running = await pod.start("killed", command=["sleep", "1000"])
    await cri.stop_container(running, grace=0)
    assert (await pod.exited(running)).exit_code == 137


async def test_the_grace_period_lets_a_container_end_by_itself(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("grace")
    container = await pod.start("main", command=["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"])
    await eventually(lambda: "up" in pod.log("main"))
    await cri.stop_container(container, grace=20)
    assert (await pod.exited(container)).exit_code == 0
    assert "bye" in pod.log("main")


async def test_a_command_that_is_not_there_fails_in_words(run_pod: RunPod) -> None:
    pod = await run_pod("absent")
    with pytest.raises(Failed, match="no-such-command"):
        await pod.start("main", command=["/no-such-command"])


async def test_an_image_that_is_not_there_is_not_found(run_pod: RunPod) -> None:
    pod = await run_pod("noimage")
    with pytest.raises(NotFound):
        await pod.create("main", image="tiphys.local/absent:1")


async def test_exec_gives_output_and_code_and_keeps_the_time(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("exec")
    container = await pod.start("main", command=["sleep", "1000"])
    answer = await cri.exec_sync(container, ["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=10)
    assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out\n", b"err\n", 7)
    with pytest.raises(Deadline):
        await cri.exec_sync(container, ["sleep", "100"], timeout=1)
    assert (await cri.exec(container, ["sh"], tty=True, stdin=True)).startswith("http://127.0.0.1:")


async def test_limits_reach_the_cgroup_and_can_be_changed(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("limits")
    limits = pb.LinuxContainerResources(memory_limit_in_bytes=64 << 20, cpu_quota=50_000, cpu_period=100_000, cpu_shares=512)
    container = await pod.start("main", command=["sleep", "1000"], resources=limits)
    group = f"{pod.cgroup}/{container}"
    assert cgroups.processes(group)

    def value(v1: str, v2: str) -> str:
        controller, name = v1.split("/")
        home = cgroups.hierarchies()["" if cgroups.is_v2() else controller]
        return (home / group.strip("/") / (v2 if cgroups.is_v2() else name)).read_text().strip()

    assert value("memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value("cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    await cri.update_container_resources(container, pb.LinuxContainerResources(memory_limit_in_bytes=96 << 20, cpu_quota=20_000))
    assert value("memory/memory.limit_in_bytes", "memory.max") == str(96 << 20)
    assert value("cpu/cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"


async def test_too_much_memory_is_called_oomkilled(run_pod: RunPod) -> None:
    pod = await run_pod("oom")
    eater = "x=0123456789abcdef; while :; do x=$x$x; done"
    limits = pb.LinuxContainerResources(memory_limit_in_bytes=16 << 20, memory_swap_limit_in_bytes=16 << 20)
    status = await pod.exited(await pod.start("main", command=["sh", "-c", eater], resources=limits))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


async def test_containers_of_a_pod_share_the_network_and_pods_reach_each_other(machine: Machine, run_pod: RunPod) -> None:
    one, two = await run_pod("one"), await run_pod("two")
    assert one.ip != two.ip
    await one.start("server", command=["httpd", "-f", "-p", "80", "-h", "/etc"])
    beside = await one.start("beside", command=["sleep", "1000"])
    other = await two.start("main", command=["sleep", "1000"])

    async def answers() -> bool:
        return "root:" in await one.output(beside, ["wget", "-q", "-O", "-", "http://127.0.0.1/passwd"])

    await eventually(answers)
    assert "root:" in await two.output(other, ["wget", "-q", "-O", "-", f"http://{one.ip}/passwd"])
    # Hairpin: a pod reaches itself by its own address too, which Services rely on.
    assert "root:" in await one.output(beside, ["wget", "-q", "-O", "-", f"http://{one.ip}/passwd"])
    assert (await one.output(beside, ["hostname"])).strip() == "one"
    assert machine.bridge in [name for _, name in socket.if_nameindex()]


async def test_a_host_port_answers_on_the_machine(machine: Machine, cri: CriClient) -> None:
    pod = Pod(cri, machine, "hostport")
    port = 20_000 + int(machine.bridge[-4:], 16) % 10_000
    await pod.run(host_port=port, port=80)
    try:
        await pod.start("main", command=["httpd", "-f", "-p", "80", "-h", "/etc"])

        async def answered() -> bool:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.write(b"GET /passwd HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return b"root:" in answer

        await eventually(answered)
    finally:
        await pod.remove()


async def test_a_moved_log_is_written_anew(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("rotate")
    container = await pod.start("main", command=["sh", "-c", "while :; do echo tick; sleep 0.05; done"])
    await eventually(lambda: "tick" in pod.log("main"))
    (pod.logs / "main_0.log").rename(pod.logs / "main_0.log.1")
    await cri.reopen_container_log(container)
    await eventually(lambda: "tick" in pod.log("main"))


async def test_stats_are_there(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("stats")
    container = await pod.start("main", command=["sleep", "1000"])
    stats = await cri.container_stats(container)
    assert stats.memory.working_set_bytes.value > 0
    assert stats.cpu.usage_core_nano_seconds.value > 0
    assert [one.attributes.id for one in await cri.list_container_stats(sandbox_id=pod.id)] == [container]


async def test_stopping_and_removing_sandboxes_twice_is_harmless(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("twice")
    await pod.remove()
    await pod.remove()
    assert await cri.list_pod_sandboxes(labels={"pod": "twice"}) == []


async def test_filters_find_by_state_and_label(cri: CriClient, run_pod: RunPod) -> None:
    pod = await run_pod("filters")
    done = await pod.start("done", command=["true"])
    running = await pod.start("running", command=["sleep", "1000"])
    await pod.exited(done)
    assert [one.id for one in await cri.list_containers(sandbox_id=pod.id, state=pb.CONTAINER_RUNNING)] == [running]
    assert [one.id for one in await cri.list_containers(sandbox_id=pod.id, labels={"container": "done"})] == [done]
    assert [one.id for one in await cri.list_pod_sandboxes(labels={"pod": "filters"}, ready=True)] == [pod.id]
    await cri.stop_pod_sandbox(pod.id)
    assert [one.id for one in await cri.list_pod_sandboxes(labels={"pod": "filters"}, ready=False)] == [pod.id]
