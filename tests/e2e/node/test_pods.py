"""Pods on a real runtime."""

from __future__ import annotations

import asyncio

from tests.e2e.node.cluster import Node
from tiphys.api.core import v1 as core
from tiphys.testing.eventually import eventually


async def test_a_pod_runs_and_goes(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo hello; sleep 1000"]})
    pod = await node.ready()
    assert pod.status.phase == "Running"
    assert pod.status.podIP
    assert pod.status.hostIP == "127.0.0.1"
    assert node.status().state.running is not None
    await eventually(lambda: node.log() == "hello\n")
    assert (await node.exec("hostname")).strip() == "web"
    assert f"{pod.status.podIP}\tweb" in await node.exec("cat", "/etc/hosts")
    assert "search default.svc.cluster.local" in await node.exec("cat", "/etc/resolv.conf")
    await eventually(lambda: {"Container started"} <= set(node.events("Started")))
    await node.client.delete(core.Pod, "web", "default")
    await eventually(lambda: not node.api.list(core.Pod))


async def test_a_killed_process_is_restarted_at_once_and_then_with_backoff(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo last words; exec sleep 1000"]})
    await node.ready()
    loop = asyncio.get_running_loop()
    await node.kill_process()
    began = loop.time()
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running)
    assert loop.time() - began < 5
    ended = node.status().lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason) == (137, "Error")
    await node.kill_process()

    def backing_off() -> bool:
        waiting = node.status().state.waiting
        return waiting is not None and waiting.reason == "CrashLoopBackOff"

    await eventually(backing_off)
    await eventually(lambda: node.events("BackOff"))
    assert all("not by the kubelet" in message for message in await eventually(lambda: node.events("Killed")))
    assert "exit code 137; the end of its log:\nlast words" in (await eventually(lambda: node.events("CrashLog")))[0]


async def test_a_finished_pod(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo done > /dev/termination-log"]}, restartPolicy="Never")
    await node.phase("Succeeded")
    ended = node.status().state.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason, ended.message) == (0, "Completed", "done\n")


async def test_a_failed_pod_tells_from_its_log(node: Node) -> None:
    container = {"command": ["sh", "-c", "echo first; echo last; exit 3"], "terminationMessagePolicy": "FallbackToLogsOnError"}
    await node.run("web", container, restartPolicy="Never")
    await node.phase("Failed")
    ended = node.status().state.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason, ended.message) == (3, "Error", "first\nlast\n")


async def test_init_containers_and_a_shared_volume(node: Node) -> None:
    mount = [{"name": "d", "mountPath": "/d"}]
    inits = [
        {"name": "one", "command": ["sh", "-c", "echo 1 >> /d/f"], "volumeMounts": mount},
        {"name": "two", "command": ["sh", "-c", "echo 2 >> /d/f"], "volumeMounts": mount},
    ]
    main = {"command": ["sh", "-c", "cat /d/f; sleep 1000"], "volumeMounts": mount}
    await node.run("web", main, initContainers=inits, volumes=[{"name": "d", "emptyDir": {}}])
    await node.ready()
    await eventually(lambda: node.log() == "1\n2\n")


async def test_a_sidecar_runs_beside(node: Node) -> None:
    sidecar = {"name": "side", "restartPolicy": "Always", "command": ["sleep", "1000"]}
    await node.run("web", {"command": ["sh", "-c", "exit 0"]}, initContainers=[sidecar], restartPolicy="Never")
    await node.phase("Succeeded")
    assert node.status("side").state.terminated is not None


async def test_an_image_that_is_not_there(node: Node) -> None:
    await node.run("web", {"image": "tiphys.local/none:1", "imagePullPolicy": "Never"})
    await eventually(lambda: (waiting := _waiting(node)) and waiting == "ErrImageNeverPull")
    await node.run("pull", {"image": "127.0.0.1:9/none:1"})
    await eventually(lambda: _waiting(node, "pull") in ("ErrImagePull", "ImagePullBackOff"))
    await eventually(lambda: _waiting(node, "pull") == "ImagePullBackOff")


def _waiting(node: Node, pod: str = "web") -> str:
    state = node.status(pod=pod).state.waiting
    return state.reason if state is not None else ""


async def test_a_missing_config_map_holds_the_container_back(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "echo $A; sleep 1000"], "envFrom": [{"configMapRef": {"name": "c"}}]})
    await eventually(lambda: _waiting(node) == "CreateContainerConfigError")
    node.config_map("c", A="found")
    await node.ready()
    await eventually(lambda: node.log() == "found\n")


async def test_prestop_runs_before_the_signal(node: Node) -> None:
    script = "trap 'echo term; exit 0' TERM; while true; do sleep 0.1; done"
    container = {
        "command": ["sh", "-c", script],
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "echo prestop > /proc/1/fd/1"]}}},
    }
    pod = await node.run("web", container, terminationGracePeriodSeconds=10)
    await node.ready()
    path = node.settings.logs / f"default_web_{pod.metadata.uid}" / "main" / "0.log"
    seen = ""
    await node.client.delete(core.Pod, "web", "default")

    def gone() -> bool:
        nonlocal seen
        if path.exists():
            seen = path.read_text() or seen
        return not node.api.list(core.Pod)

    await eventually(gone)
    assert seen.index("prestop") < seen.index("term\n")


async def test_a_pod_deleted_while_it_starts_reports_no_failed_start(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "trap 'exit 7' TERM; while true; do sleep 0.1; done"]}, metadata={"finalizers": ["a/b"]})
    assert node.kubelet is not None
    relister = node.kubelet.services.relister
    uid = node.pod().metadata.uid

    async def created() -> bool:
        # The moment between the container's creation and its start being known.
        return bool(await node.cri.list_containers(labels={"io.kubernetes.pod.uid": uid}))

    await eventually(created)
    await node.client.delete(core.Pod, "web", "default")
    await eventually(lambda: not relister.get(uid).running and node.pod().status.phase in ("Failed", "Succeeded"))
    ended = node.status().state.terminated
    assert ended is None or ended.reason != "StartError"
    node.api.remove(core.Pod, "web", "default")
