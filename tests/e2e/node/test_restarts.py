"""The kubelet and the runtime die; pods do not notice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from tests.e2e.node.cluster import Node, output
from tiphys.api.core import v1 as core
from tiphys.node.runtime import cgroups, procs
from tiphys.testing.eventually import eventually


async def test_a_new_agent_adopts_running_pods_untouched(node: Node) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    await node.run("web", {"command": ["sleep", "1000"], "readinessProbe": probe})
    before = await node.ready()
    pid = await node.pid()
    versions: list[bool] = []
    node_before = node.api.get(core.Node, node.name).status.conditions
    for _ in range(3):
        await node.kill()
        await node.start()
        await eventually(lambda: node.kubelet is not None and node.kubelet.loop.find("default", "web"))
        versions.append(node.status().ready)
    assert await node.pid() == pid
    assert node.status().restartCount == 0
    assert all(versions), "readiness does not flap"
    node_after = node.api.get(core.Node, node.name).status.conditions
    assert [c.lastTransitionTime for c in node_after] == [c.lastTransitionTime for c in node_before], "nor does the node"
    after = node.pod()
    assert [c.lastTransitionTime for c in after.status.conditions] == [c.lastTransitionTime for c in before.status.conditions]


async def test_restart_catches_up_with_missed_changes(node: Node) -> None:
    await node.run("dies")
    await node.run("deleted")
    await node.run("forgotten")
    for name in ("dies", "deleted", "forgotten"):
        await node.ready(name)
    await node.kill()
    await node.kill_process(pod="dies")
    await node.client.delete(core.Pod, "deleted", "default")
    node.api.remove(core.Pod, "forgotten", "default")
    await node.run("new")
    await node.start()
    await eventually(lambda: node.status(pod="dies").restartCount == 1)
    await node.ready("new")

    async def only_two() -> bool:
        names = {box.metadata.name for box in await node.cri.list_pod_sandboxes()}
        return names == {"dies", "new"} and {pod.metadata.name for pod in node.api.list(core.Pod)} == {"dies", "new"}

    await eventually(only_two)


async def test_a_killed_containerd_costs_no_container_and_no_readiness(node: Node) -> None:
    await node.run()
    await node.ready()
    pid = await node.pid()
    supervisor = node.machine.supervisor
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    await procs.wait_gone(supervisor.pid)
    os.kill(pid, signal.SIGKILL)
    await supervisor.start()
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running)
    ready = next(one for one in node.api.get(core.Node, node.name).status.conditions if one.type == "Ready")
    assert ready.status == "True"


async def test_logs_that_a_killed_agent_left_are_swept(node: Node) -> None:
    await node.kill()
    left = node.settings.logs / "default_gone_00000000-0000-0000-0000-000000000000"
    (left / "main").mkdir(parents=True)
    await node.start()
    await eventually(lambda: not left.exists())


async def test_a_completed_pod_stays_completed(node: Node) -> None:
    await node.run("web", {"command": ["true"]}, restartPolicy="Never")
    await node.phase("Succeeded")
    before = node.status()
    await node.kill()
    await node.start()
    await eventually(
        lambda: node.kubelet is not None and (worker := node.kubelet.loop.find("default", "web")) and worker.life.state == "terminated"
    )
    assert node.pod().status.phase == "Succeeded"
    assert node.status() == before


async def test_a_dead_sandbox_is_replaced(node: Node) -> None:
    await node.run()
    old = await node.ready()
    (box,) = await node.cri.list_pod_sandboxes(ready=True)
    await node.cri.stop_pod_sandbox(box.id)
    # If the container is found dead before its sandbox is, it is tried in vain in the old one once.
    await eventually(lambda: node.status().restartCount >= 1 and node.status().state.running)
    pod = await node.ready()
    assert pod.metadata.uid == old.metadata.uid


async def network_and_shim(node: Node, name: str) -> tuple[Path, int]:
    """The network namespace of a pod's sandbox, and the process that keeps the sandbox."""
    (box,) = [one for one in await node.cri.list_pod_sandboxes(ready=True) if one.metadata.name == name]
    info = msgspec.json.decode((await node.cri.pod_sandbox_status(box.id, verbose=True)).info["info"])
    (network,) = [one["path"] for one in info["runtimeSpec"]["linux"]["namespaces"] if one["type"] == "network"]
    stat = output("cat", f"/proc/{info['pid']}/stat")
    return Path(network), int(stat.rpartition(")")[2].split()[1])


async def test_a_sandbox_whose_shim_was_killed_gives_its_network_back(node: Node) -> None:
    await node.run("again")
    await node.run("never", restartPolicy="Never")
    before = {name: await node.ready(name) for name in ("again", "never")}
    networks = {}
    for name in before:
        networks[name], shim = await network_and_shim(node, name)
        assert networks[name].exists()
        os.kill(shim, signal.SIGKILL)
    await node.phase("Failed", "never")
    await eventually(lambda: node.status(pod="again").restartCount >= 1 and node.status(pod="again").state.running)
    assert (await node.ready("again")).status.podIP != before["again"].status.podIP
    assert node.events("SandboxChanged") == ["Pod sandbox changed, it will be killed and re-created."]
    await eventually(lambda: not any(network.exists() for network in networks.values()))


async def test_a_pod_exceeds_its_deadline(node: Node) -> None:
    await node.run("web", activeDeadlineSeconds=2)
    pod = await node.phase("Failed")
    assert pod.status.reason == "DeadlineExceeded"


async def test_statuses_are_written_once_the_server_is_back(node: Node) -> None:
    await node.run()
    await node.ready()
    node.api.faults.down = True
    await node.kill_process()

    async def restarted() -> bool:
        return len(await node.cri.list_containers()) == 2

    await eventually(restarted)
    node.api.faults.down = False
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running, timeout=40)


async def test_nothing_is_written_while_nothing_happens(node: Node) -> None:
    await node.run()
    await node.ready()
    await eventually(lambda: len(node.events("Started")) == 1)
    assert node.kubelet is not None
    await node.kubelet.services.recorder.flush()
    count = len([call for call in node.api.calls if call.subresource == "status" and call.resource == "pods"])
    for _ in range(3):
        await node.kubelet.services.relister.relist()
    worker = node.kubelet.loop.find("default", "web")
    assert worker is not None
    worker.wake()
    await node.kubelet.services.statuses.wait_written(worker.uid)
    assert len([call for call in node.api.calls if call.subresource == "status" and call.resource == "pods"]) == count


@pytest.mark.skipif(cgroups.is_v2(), reason="reads version 1 files")
async def test_limits_reach_the_kernel(node: Node) -> None:
    resources = {"limits": {"cpu": "500m", "memory": "32Mi"}, "requests": {"cpu": "250m", "memory": "16Mi"}}
    pod = await node.run("web", {"command": ["sleep", "1000"], "resources": resources})
    await node.ready()
    group = f"{node.machine.cgroup_parent}/burstable/pod{pod.metadata.uid}".lstrip("/")
    tops = cgroups.hierarchies()
    assert (tops["memory"] / group / "memory.limit_in_bytes").read_text().strip() == str(32 << 20)
    assert (tops["cpu"] / group / "cpu.shares").read_text().strip() == "256"
    inner = next(one for one in (tops["memory"] / group).iterdir() if one.is_dir() and (one / "memory.limit_in_bytes").exists())
    assert inner.name
    pid = await node.pid()
    own = next(line for line in output("cat", f"/proc/{pid}/cgroup").splitlines() if ":memory:" in line).split(":")[2]
    assert (tops["memory"] / own.lstrip("/") / "memory.limit_in_bytes").read_text().strip() == str(32 << 20)
    await node.client.delete(core.Pod, "web", "default")
    await eventually(lambda: not (tops["memory"] / group).exists())


async def test_memory_limits_kill(node: Node) -> None:
    resources = {"limits": {"memory": "16Mi"}}
    hog = {"command": ["sh", "-c", "x=a; while true; do x=$x$x; done"], "resources": resources}
    await node.run("web", hog, restartPolicy="Never")
    await node.phase("Failed")
    ended = node.status().state.terminated
    assert ended is not None
    assert ended.reason == "OOMKilled"
    (message,) = await eventually(lambda: node.events("OOMKilled"))
    assert "its limit is 16Mi" in message
