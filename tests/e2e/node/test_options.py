"""Less common wishes of pods, on a real runtime."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.e2e.node.cluster import BUSYBOX, Node
from tiphys.api.core import v1 as core
from tiphys.node.container.log_rotation import rotate_one
from tiphys.testing.eventually import eventually


async def test_host_network_and_host_processes(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"]}, hostNetwork=True, hostPID=True, dnsPolicy="ClusterFirstWithHostNet")
    pod = await node.ready()
    assert pod.status.podIP == pod.status.hostIP == "127.0.0.1"
    assert os.readlink("/proc/self/ns/net") == (await node.exec("readlink", "/proc/self/ns/net")).strip()
    assert os.readlink("/proc/self/ns/pid") == (await node.exec("readlink", "/proc/self/ns/pid")).strip()
    assert "nameserver 10.43.0.10" in await node.exec("cat", "/etc/resolv.conf")


async def test_containers_of_a_pod_share_what_they_should(node: Node) -> None:
    a = {"name": "a", "command": ["sh", "-c", "mkdir /w; echo page > /w/index.html; exec httpd -f -p 8080 -h /w"]}
    b = {"name": "b", "command": ["sleep", "1000"]}
    await node.run("web", a, b, shareProcessNamespace=True)
    await node.ready()
    assert await node.exec("wget", "-qO-", "http://127.0.0.1:8080/", container="b") == "page\n"
    assert "httpd" in await node.exec("ps", container="b")


async def test_privileges(node: Node) -> None:
    plain = {"name": "plain", "command": ["sleep", "1000"]}
    strong = {"name": "strong", "command": ["sleep", "1000"], "securityContext": {"privileged": True}}
    tight = {
        "name": "tight",
        "command": ["sleep", "1000"],
        "securityContext": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    await node.run("web", plain, strong, tight)
    await node.ready()
    status = {name: await node.exec("cat", "/proc/1/status", container=name) for name in ("plain", "strong", "tight")}
    capabilities = {name: text.split("CapBnd:\t")[1].split("\n")[0] for name, text in status.items()}
    assert int(capabilities["tight"], 16) == 0
    assert int(capabilities["plain"], 16) < int(capabilities["strong"], 16)
    assert "NoNewPrivs:\t1" in status["tight"]
    assert "Seccomp:\t2" in status["tight"]
    assert "refused" in await node.exec("sh", "-c", "touch /x 2>/dev/null || echo refused", container="tight")


async def test_hooks_after_the_start(node: Node) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "sleep 1; echo hooked > /hooked"]}}}
    await node.run("web", {"command": ["sleep", "1000"], "lifecycle": hook})
    await node.ready()
    # The hook has ended before the pod is reported as ready.
    assert await node.exec("cat", "/hooked") == "hooked\n"
    await node.run("bad", {"command": ["sleep", "1000"], "lifecycle": {"postStart": {"exec": {"command": ["false"]}}}})
    await eventually(lambda: node.events("FailedPostStartHook"))
    await eventually(lambda: node.status(pod="bad").lastState.terminated)


async def test_a_command_that_does_not_exist(node: Node) -> None:
    await node.run("web", {"command": ["/no/such"]}, restartPolicy="Never")
    await node.phase("Failed")
    ended = node.status().state.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason) == (128, "StartError")
    assert "/no/such" in ended.message


async def test_an_ephemeral_container_joins(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"]})
    pod = await node.ready()
    debug = {"name": "debug", "image": BUSYBOX, "command": ["sh", "-c", "ps; sleep 1000"], "targetContainerName": "main"}
    pod.spec.ephemeralContainers = [msgspec.convert(debug, core.EphemeralContainer)]
    node.api.add(pod)

    def joined() -> bool:
        statuses = node.pod().status.ephemeralContainerStatuses
        return bool(statuses) and statuses[0].state.running is not None

    await eventually(joined)
    await eventually(lambda: "sleep 1000" in node.log("debug"))
    assert node.status().restartCount == 0


async def test_a_changed_image_restarts_the_container(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"]})
    pod = await node.ready()
    images = [image for image in await node.cri.list_images() if BUSYBOX in image.repo_tags]
    pod.spec.containers[0].image = images[0].id
    node.api.add(pod)
    await eventually(lambda: node.status().restartCount == 1 and node.status().state.running)
    assert any("definition changed" in message for message in node.events("Killing"))


async def test_a_rotated_log_goes_on(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"]})
    await node.ready()
    await eventually(lambda: "line 5\n" in node.log())
    assert node.kubelet is not None
    services = node.kubelet.services
    seen = services.relister.get(node.pod().metadata.uid).latest("main")
    assert seen is not None
    await rotate_one(services, seen.id, Path(seen.log_path))
    before = next(one for one in os.listdir(os.path.dirname(seen.log_path)) if one != "0.log")
    await eventually(lambda: node.log())
    moved = (services.settings.logs / os.path.dirname(seen.log_path) / before).read_text().splitlines()
    last = int(moved[-1].rpartition(" ")[2])
    assert node.log().splitlines()[0] == f"line {last + 1}"


async def test_a_forced_delete_leaves_nothing(node: Node) -> None:
    await node.run("web", {"command": ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]}, terminationGracePeriodSeconds=600)
    await node.ready()
    await node.client.delete(core.Pod, "web", "default")
    await eventually(lambda: node.pod().metadata.deletionTimestamp)
    await node.client.delete(core.Pod, "web", "default", grace=1)

    async def gone() -> bool:
        return await node.cri.list_pod_sandboxes() == []

    await eventually(gone, timeout=15)


async def test_names_that_cannot_be_images_are_not_pulled(node: Node) -> None:
    images = {"a": "Upper/Case:1", "b": "one:2:3", "c": "x@sha256:abc"}
    await node.run("web", *({"name": name, "image": image} for name, image in images.items()))

    def waiting() -> bool:
        for name, image in images.items():
            state = node.status(name).state.waiting
            assert state is not None
            assert state.reason == "InvalidImageName"
            assert state.message.startswith(f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": invalid ')
        return True

    await eventually(waiting)
    await node.run("never", {"image": "tiphys.local/none:1", "imagePullPolicy": "Never"})
    await eventually(lambda: node.events("ErrImageNeverPull"))
    await eventually(lambda: {"Error: InvalidImageName", "Error: ErrImageNeverPull"} <= set(node.events("Failed")))
    assert node.events("Pulling") == []
    assert len(node.events("InspectFailed")) == 3


async def test_a_pod_that_does_not_fit_is_rejected_and_makes_room_for_nothing(node: Node) -> None:
    wishes = {"requests": {"cpu": "1000"}}
    await node.run("big", {"command": ["sleep", "1000"], "resources": wishes})
    await eventually(lambda: node.pod("big").status.phase == "Failed")
    status = node.pod("big").status
    assert status.reason == "OutOfcpu"
    assert status.containerStatuses == []
    assert status.message.startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, ")
    await node.run("web", {"command": ["sleep", "1000"]}, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "4096"}]})
    await eventually(lambda: node.pod("web").status.reason == "SysctlForbidden")
    assert "OutOfcpu" in {event.reason for event in node.api.list(core.Event)}


async def test_an_admitted_pod_is_not_judged_again_by_the_next_agent(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"]}, nodeSelector={"kubernetes.io/os": "linux"})
    before = await node.ready()
    await node.kill()
    node.options = {"max_pods": 0}
    await node.start()
    await node.run("late", {"command": ["sleep", "1000"]})
    await eventually(lambda: node.pod("late").status.reason == "OutOfpods")
    after = node.pod("web").status
    assert (after.phase, after.containerStatuses[0].containerID) == ("Running", before.status.containerStatuses[0].containerID)


async def test_a_status_that_somebody_wrote_admits_no_pod(node: Node) -> None:
    await node.kill()
    node.options = {"max_pods": 0}
    running = core.ContainerState(running=core.ContainerStateRunning())
    status = core.ContainerStatus(name="main", state=running, containerID="containerd://none")
    pod = await node.run("web", {"command": ["sleep", "1000"]})
    node.api.add(
        msgspec.structs.replace(pod, status=core.PodStatus(phase="Running", startTime=datetime.now(UTC), containerStatuses=[status]))
    )
    await node.start()
    await eventually(lambda: node.pod("web").status.reason == "OutOfpods")


async def test_a_pod_that_is_to_have_user_ids_of_its_own_does_not_start(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"]}, hostUsers=False)
    await eventually(lambda: any(event.reason == "FailedCreatePodSandBox" for event in node.api.list(core.Event)))
    assert any("runtime does not support user namespaces" in event.message for event in node.api.list(core.Event))
    assert node.pod("web").status.phase == "Pending"


async def test_a_pod_has_a_limit_of_processes(node: Node) -> None:
    await node.kill()
    node.options = {"pod_max_pids": 30}
    await node.start()
    await node.run("web", {"command": ["sleep", "1000"]})
    await node.ready()
    crowd = "i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i+1)); done; wait"
    assert "fork" in await node.exec("sh", "-c", f"({crowd}) 2>&1 | head -1")


async def test_a_group_without_a_user(node: Node) -> None:
    await node.run("web", {"command": ["sleep", "1000"], "securityContext": {"runAsGroup": 2345}})
    await node.ready()
    assert (await node.exec("sh", "-c", "id -u; id -g")).split() == ["0", "2345"]


async def test_unsupported_options_keep_a_container_from_starting(node: Node) -> None:
    """The pod stays pending with a reason and does not run without what it asked for."""
    mount = {"name": "d", "mountPath": "/d", "readOnly": True, "recursiveReadOnly": "Enabled"}
    empty = [{"name": "d", "emptyDir": {}}]
    await node.run("mounts", {"command": ["sleep", "1000"], "volumeMounts": [mount]}, volumes=empty)
    await eventually(lambda: any("requested recursive read-only mode" in one for one in node.events("Failed")))
    assert node.pod("mounts").status.phase == "Pending"
