"""Ephemeral containers and resizes on real containers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.node.cluster import BUSYBOX, Node
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.testing.eventually import eventually

SLEEP = ["sleep", "1000"]


async def test_a_debugger_joins_a_running_pod(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo secret >/only-here; exec sleep 1000"]})
    await node.ready()
    before = node.status()
    debugger = {
        "name": "debug",
        "image": BUSYBOX,
        "targetContainerName": "main",
        "command": ["sh", "-c", "echo polo; ps; sleep 1000"],
        "stdin": True,
        "tty": True,
    }
    body = {"spec": {"ephemeralContainers": [debugger]}}
    await node.client.patch(core.Pod, "web", "default", body=body, kind="strategic", subresource="ephemeralcontainers")

    def runs() -> core.ContainerStatus:
        statuses = {one.name: one for one in node.pod().status.ephemeralContainerStatuses}
        assert "debug" in statuses
        assert statuses["debug"].state.running is not None, statuses
        return statuses["debug"]

    status = await eventually(runs)
    assert (status.name, status.restartCount) == ("debug", 0)
    assert not status.ready
    assert node.status() == before
    # It sees the processes of its target, and through them the target's files.
    await eventually(lambda: "polo" in node.log("debug") and "sleep 1000" in node.log("debug"))
    ident = status.containerID.rpartition("/")[2]
    found = await node.cri.exec_sync(ident, ["sh", "-c", "cat /proc/1/root/only-here"], timeout=20)
    assert found.stdout == b"secret\n"
    # A second one is added by its side; one that ends is not started again, and the pod stays ready.
    body = {"spec": {"ephemeralContainers": [{"name": "brief", "image": BUSYBOX, "command": ["true"]}]}}
    await node.client.patch(core.Pod, "web", "default", body=body, kind="strategic", subresource="ephemeralcontainers")

    def ended() -> bool:
        states = {one.name: one for one in node.pod().status.ephemeralContainerStatuses}
        assert "brief" in states
        ends = states["brief"].state.terminated
        assert ends is not None, states
        return (ends.exitCode, states["brief"].restartCount) == (0, 0) and states["debug"].state.running is not None

    await eventually(ended)
    await node.ready()
    assert node.status() == before
    # A new kubelet finds them as they are.
    await node.kill()
    await node.start()
    await node.ready()
    assert runs().containerID == status.containerID


def limited(cpu: int, memory: int, limit: int) -> dict[str, Any]:
    return {"requests": {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}, "limits": {"cpu": f"{limit}m", "memory": f"{memory * 2}Mi"}}


async def wants(node: Node, name: str, resources: dict[str, Any], pod: str = "web") -> core.Pod:
    body = {"spec": {"containers": [{"name": name, "resources": resources}]}}
    return await node.client.patch(core.Pod, pod, "default", body=body, kind="strategic", subresource="resize")


def resized(node: Node, name: str, resources: dict[str, Any], pod: str = "web") -> bool:
    """Return whether a container's status has these resources, and the pod's nothing about a resize any more."""
    status = node.status(name, pod)
    assert status.resources is not None
    assert {"requests": status.resources.requests, "limits": status.resources.limits} == resources
    assert status.allocatedResources == resources["requests"]
    assert not [one for one in node.pod(pod).status.conditions if "Resize" in one.type]
    return True


def condition(node: Node, type_: str, pod: str = "web") -> core.PodCondition | None:
    return next((one for one in node.pod(pod).status.conditions if one.type == type_), None)


async def test_a_running_pod_is_resized(node: Node) -> None:
    """In place, by restart where the container's policy says so, and not at all where the node has no room."""
    assert node.kubelet is not None
    restart = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    await node.run(
        "web",
        {"command": SLEEP, "resources": limited(100, 32, 200)},
        {"name": "other", "command": SLEEP, "resources": limited(100, 32, 200), "resizePolicy": restart},
    )
    await node.ready()
    first, second = node.status(), node.status("other")

    async def limits(container: str) -> tuple[int, int]:
        """Microseconds of CPU per 100 ms, and bytes, as the kernel has them."""
        pid = await node.pid(container)
        return group_limits(pid)

    assert await limits("main") == (20_000, 64 << 20)
    assert (await wants(node, "main", limited(150, 64, 300))).metadata.generation == 2
    await eventually(lambda: resized(node, "main", limited(150, 64, 300)))
    assert await limits("main") == (30_000, 128 << 20)
    assert (node.status().containerID, node.status().restartCount) == (first.containerID, 0)
    assert node.pod().status.observedGeneration == 2
    assert node.events("ResizeCompleted")
    # Down again, below what the pod as a whole had.
    await wants(node, "main", limited(50, 16, 100))
    await eventually(lambda: resized(node, "main", limited(50, 16, 100)))
    assert await limits("main") == (10_000, 32 << 20)
    assert node.status().containerID == first.containerID
    # More CPU is given in place here too; more memory needs a restart.
    await wants(node, "other", limited(100, 32, 400))
    await eventually(lambda: resized(node, "other", limited(100, 32, 400)))
    assert node.status("other").containerID == second.containerID
    await wants(node, "other", limited(100, 64, 400))
    await eventually(lambda: resized(node, "other", limited(100, 64, 400)) and node.status("other").restartCount == 1)
    await node.ready()
    assert await limits("other") == (40_000, 128 << 20)
    assert node.status().containerID == first.containerID
    # No node is that large.
    huge = {"requests": {"cpu": "5000"}, "limits": {"cpu": "5000"}}
    await wants(node, "main", huge)
    await eventually(lambda: condition(node, "PodResizePending") is not None)
    pending = condition(node, "PodResizePending")
    assert pending is not None
    assert (pending.status, pending.reason, pending.observedGeneration) == ("True", "Infeasible", 6)
    assert pending.message.startswith("Node didn't have enough capacity: cpu, requested: 5000100")
    assert await limits("main") == (10_000, 32 << 20)
    # A new kubelet knows what was agreed to.
    await node.kill()
    await node.start()
    await eventually(lambda: condition(node, "PodResizePending") is not None)
    assert node.status().resources is not None
    assert node.status().containerID == first.containerID
    assert await limits("main") == (10_000, 32 << 20)
    await wants(node, "main", limited(50, 16, 100))
    await eventually(lambda: resized(node, "main", limited(50, 16, 100)))


async def test_a_resize_waits_for_room(node: Node) -> None:
    assert node.kubelet is not None
    cores = node.kubelet.services.allocations.capacity["cpu"]
    half = {"requests": {"cpu": f"{cores * 6 // 10}m"}}
    await node.run("big", {"command": SLEEP, "resources": half})
    await node.run("web", {"command": SLEEP, "resources": {"requests": {"cpu": "10m"}}})
    await node.ready("big")
    await node.ready()
    await wants(node, "main", half)
    await eventually(lambda: condition(node, "PodResizePending") is not None)
    pending = condition(node, "PodResizePending")
    assert pending is not None
    assert pending.reason == "Deferred"
    assert pending.message.startswith("Node didn't have enough resource: cpu")
    assert node.status().allocatedResources == {"cpu": "10m"}
    await node.client.delete(core.Pod, "big", "default")
    await eventually(lambda: resized(node, "main", {**half, "limits": {}}))
    assert node.status().restartCount == 0


async def test_a_critical_pod_makes_others_give_way(node: Node) -> None:
    assert node.kubelet is not None
    cores = node.kubelet.services.allocations.capacity["cpu"]
    most, small = ({"requests": {"cpu": f"{cores * share // 10}m"}} for share in (7, 1))
    await node.run("web", {"command": SLEEP, "resources": most})
    await node.run("small", {"command": SLEEP, "resources": small})
    await node.ready()
    await node.ready("small")
    await node.run("critical", {"command": SLEEP, "resources": most}, priorityClassName="system-cluster-critical")
    await node.ready("critical")
    gone = await node.phase("Failed")
    assert (gone.status.reason, gone.status.message) == ("Preempting", "Preempted in order to admit critical pod")
    disruption = condition(node, "DisruptionTarget")
    assert disruption is not None
    assert (disruption.status, disruption.reason) == ("True", "TerminationByKubelet")
    assert node.events("Preempting") == ["Preempted in order to admit critical pod"]
    assert node.pod("small").status.phase == "Running"
    await node.run("second", {"command": SLEEP, "resources": most}, priorityClassName="system-cluster-critical")
    rejected = await node.phase("Failed", "second")
    assert rejected.status.reason == "UnexpectedAdmissionError"
    assert "no set of running pods found to reclaim resources: [(res: cpu, q: " in rejected.status.message


async def test_a_resize_that_the_kernel_refuses_is_tried_again(node: Node) -> None:
    """Memory that is in use cannot be taken away; when it is given back the resize goes through."""
    fill = "dd if=/dev/zero of=/dev/shm/x bs=1048576 count=40 2>/dev/null; touch /tmp/full; while true; do sleep 1; done"
    await node.run("web", {"command": ["sh", "-c", fill], "resources": {"limits": {"memory": "128Mi"}, "requests": {"memory": "16Mi"}}})
    await node.ready()
    before = node.status()

    async def full() -> bool:
        return await node.exec("sh", "-c", "ls /tmp") == "full\n"

    await eventually(full)
    small = {"requests": {"memory": "16Mi"}, "limits": {"memory": "32Mi"}}
    await wants(node, "main", small)

    def failing() -> bool:
        progress = condition(node, "PodResizeInProgress")
        assert progress is not None
        return (progress.status, progress.reason, progress.observedGeneration) == ("True", "Error", 2) and bool(progress.message)

    await eventually(failing)
    assert node.events("ResizeError")
    assert node.status().resources == before.resources
    assert node.status().allocatedResources == small["requests"]
    await node.exec("rm", "/dev/shm/x")
    await eventually(lambda: resized(node, "main", small), timeout=20)
    assert (node.status().containerID, node.status().restartCount) == (before.containerID, 0)


def both(cpu: int, memory: int) -> dict[str, Any]:
    amount = {"cpu": f"{cpu}m", "memory": f"{memory}Mi"}
    return {"requests": amount, "limits": amount}


@pytest.mark.parametrize(
    ("before", "steps"),
    [
        pytest.param(
            [both(20, 32), both(20, 32), both(20, 32)],
            [
                [both(30, 48), both(30, 48), both(10, 24)],
                [both(40, 56), both(10, 24), both(10, 24)],
                [both(50, 56), both(5, 48), both(20, 48)],
                [both(20, 32), both(20, 32), both(20, 32)],
            ],
            id="guaranteed",
        ),
        pytest.param(
            [
                {"requests": {"cpu": "20m"}},
                {"requests": {"memory": "32Mi"}},
                {"requests": {"cpu": "20m", "memory": "32Mi"}},
                {"requests": {"cpu": "20m"}},
                {"requests": {"memory": "32Mi"}},
                {},
            ],
            [
                [
                    {"requests": {"cpu": "30m"}, "limits": {"cpu": "50m"}},
                    {"requests": {"memory": "24Mi"}, "limits": {"memory": "48Mi"}},
                    {"requests": {"cpu": "20m", "memory": "24Mi"}},
                    {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    {"requests": {"cpu": "20m", "memory": "48Mi"}},
                    {"requests": {"cpu": "5m"}, "limits": {"cpu": "10m"}},
                ]
            ],
            id="burstable",
        ),
        pytest.param(
            [{"requests": {"cpu": "2m"}, "limits": {"cpu": "10m"}}],
            [[{"requests": {"cpu": "1m"}, "limits": {"cpu": "5m"}}], [{"requests": {"cpu": "2m"}, "limits": {"cpu": "10m"}}]],
            id="equivalents",
        ),
    ],
)
async def test_many_containers_are_resized_together(node: Node, before: list[dict[str, Any]], steps: list[list[dict[str, Any]]]) -> None:
    """Limits and requests that grow, shrink and appear, in place, until the kernel and the status agree with the spec."""
    listed: list[dict[str, Any]] = [{"name": f"c{number}", "command": SLEEP, "resources": one} for number, one in enumerate(before)]
    await node.run("web", *listed)
    await node.ready()
    started = [node.status(one["name"]).containerID for one in listed]
    for step in steps:
        body = {"spec": {"containers": [{"name": f"c{number}", "resources": one} for number, one in enumerate(step)]}}
        wanted = await node.client.patch(core.Pod, "web", "default", body=body, kind="strategic", subresource="resize")

        def over(generation: int = wanted.metadata.generation) -> core.Pod:
            pod = node.pod()
            assert pod.status.observedGeneration == generation
            assert not [one for one in pod.status.conditions if "Resize" in one.type], pod.status.conditions
            return pod

        pod = await eventually(over)
        assert is_true(pod.status.conditions, "Ready")
        for number, one in enumerate(step):
            assert resized(node, f"c{number}", {"requests": {}, "limits": {}, **one})
            quota, memory = group_limits(await node.pid(f"c{number}"))
            limits = one.get("limits", {})
            if "cpu" in limits:
                assert quota == max(int(limits["cpu"].removesuffix("m")) * 100, 1000)
            if "memory" in limits:
                assert memory == int(limits["memory"].removesuffix("Mi")) << 20
        assert [node.status(one["name"]).containerID for one in listed] == started


def group_limits(pid: int) -> tuple[int, int]:
    from pathlib import Path

    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    root = Path("/sys/fs/cgroup")
    cpu = next((path for names, path in groups.items() if "cpu" in names.split(",")), None)
    if cpu is None:
        unified = root / groups[""].lstrip("/")
        return int((unified / "cpu.max").read_text().split()[0]), int((unified / "memory.max").read_text())
    mount = next(one for one in (root / "cpu", root / "cpu,cpuacct") if one.exists())
    quota = int((mount / cpu.lstrip("/") / "cpu.cfs_quota_us").read_text())
    memory = int((root / "memory" / groups["memory"].lstrip("/") / "memory.limit_in_bytes").read_text())
    return quota, memory
