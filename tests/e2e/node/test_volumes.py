"""Volumes inside real containers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jwt

from tests.e2e.node.cluster import Node
from tiphys.api.core import v1 as core
from tiphys.testing.eventually import eventually


def mount(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **more}


SLEEP = ["sleep", "1000"]


async def test_changes_of_config_maps_and_secrets_reach_running_pods(node: Node) -> None:
    node.config_map("c", a="1")
    node.secret("s", p=b"old")
    volumes = [{"name": "c", "configMap": {"name": "c"}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 0o400}}]
    await node.run("web", {"command": SLEEP, "volumeMounts": [mount("c", "/c"), mount("s", "/s")]}, volumes=volumes)
    await node.ready()
    assert await node.exec("cat", "/c/a", "/s/p") == "1old"
    assert (await node.exec("stat", "-L", "-c", "%a", "/s/p")).strip() == "400"
    node.config_map("c", a="2", b="3")
    node.secret("s", p=b"new")

    async def changed() -> bool:
        return await node.exec("sh", "-c", "cat /c/a /c/b /s/p 2>/dev/null || true") == "23new"

    await eventually(changed, timeout=10)
    assert "tmpfs" in await node.exec("grep", " /s ", "/proc/mounts"), "secrets never touch a disk"


async def test_empty_dirs_and_sub_paths(node: Node) -> None:
    volumes = [
        {"name": "d", "emptyDir": {}},
        {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "n", "emptyDir": {"medium": "Memory"}},
        {"name": "c", "configMap": {"name": "c"}},
    ]
    node.config_map("c", file="x")
    mounts = [
        mount("d", "/d", subPath="a/b"),
        mount("m", "/m"),
        mount("n", "/n"),
        mount("c", "/etc/one", subPath="file"),
        mount("d", "/all", readOnly=True),
    ]
    limits = {"limits": {"memory": "24Mi"}}
    await node.run("web", {"command": SLEEP, "volumeMounts": mounts, "resources": limits}, volumes=volumes)
    await node.ready()
    await node.exec("sh", "-c", "echo y > /d/f")
    assert await node.exec("cat", "/all/a/b/f") == "y\n"
    assert await node.exec("cat", "/etc/one") == "x"
    assert "size=1024k" in await node.exec("grep", " /m ", "/proc/mounts")
    assert "size=24576k" in await node.exec("grep", " /n ", "/proc/mounts"), "no more than the pod may use"
    assert (await node.exec("stat", "-c", "%a", "/d", "/m")).split() == ["777", "1777"]
    assert await node.exec("sh", "-c", "touch /all/x 2>&1 || echo refused") != ""


async def test_a_link_does_not_lead_out_of_a_volume(node: Node, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("host")
    volumes = [{"name": "d", "emptyDir": {}}]
    plant = {"name": "plant", "command": ["ln", "-s", str(tmp_path), "/d/link"], "volumeMounts": [mount("d", "/d")]}
    use = {"command": SLEEP, "volumeMounts": [mount("d", "/x", subPath="link")]}
    await node.run("web", use, initContainers=[plant], volumes=volumes)

    def refused() -> bool:
        waiting = node.status().state.waiting
        return waiting is not None and waiting.reason == "CreateContainerConfigError"

    await eventually(refused)
    node.api.remove(core.Pod, "web", "default")
    # A link that climbs above the volume is refused as well; one that stays inside leads where it says.
    plant["command"] = [
        "sh",
        "-c",
        "mkdir -p /d/deep/own && echo own > /d/deep/own/file && ln -s deep/../deep/own /d/link && ln -s .. /d/up",
    ]
    more = {"name": "more", "command": SLEEP, "volumeMounts": [mount("d", "/x", subPath="up")]}
    await node.run("again", use, more, initContainers=[plant], volumes=volumes)
    await eventually(lambda: node.status(pod="again").state.running)
    assert await node.exec("cat", "/x/file", pod="again") == "own\n"

    def climbs() -> bool:
        waiting = node.status("more", pod="again").state.waiting
        return waiting is not None and "leads out of the volume" in waiting.message

    await eventually(climbs)


async def test_fs_group_and_users(node: Node) -> None:
    volumes = [{"name": "d", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c", "defaultMode": 0o440}}]
    node.config_map("c", k="v")
    context = {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456}
    await node.run(
        "web", {"command": SLEEP, "volumeMounts": [mount("d", "/d"), mount("c", "/c")]}, volumes=volumes, securityContext=context
    )
    await node.ready()
    assert (await node.exec("sh", "-c", "id -u; id -g; id -G; touch /d/f; stat -c %g /d/f; cat /c/k")).split() == [
        "1234",
        "2345",
        "2345",
        "3456",
        "3456",
        "v",
    ]


async def test_a_service_account_token(node: Node) -> None:
    source = {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]}
    pod = await node.run(
        "web",
        {"command": SLEEP, "volumeMounts": [mount("t", "/t")]},
        volumes=[{"name": "t", "projected": source}],
        serviceAccountName="default",
        securityContext={"runAsUser": 4321},
    )
    await node.ready()
    claims = jwt.decode(await node.exec("cat", "/t/token"), options={"verify_signature": False})["kubernetes.io"]
    assert (claims["namespace"], claims["serviceaccount"]["name"]) == ("default", "default")
    assert (await node.exec("stat", "-L", "-c", "%u:%a", "/t/token")).strip() == "4321:600"
    assert claims["pod"] == {"name": "web", "uid": pod.metadata.uid}


async def test_host_path_and_downward_api(node: Node, tmp_path: Path) -> None:
    volumes = [
        {"name": "h", "hostPath": {"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}},
        {"name": "i", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    container = {"command": ["sh", "-c", "echo $IP > /h/ip; sleep 1000"], "volumeMounts": [mount("h", "/h"), mount("i", "/i")], "env": env}
    await node.run("web", container, volumes=volumes, metadata={"labels": {"app": "x"}})
    pod = await node.ready()
    await eventually(lambda: (tmp_path / "new" / "ip").read_text() == f"{pod.status.podIP}\n")
    assert await node.exec("cat", "/i/labels") == 'app="x"'
    await node.client.patch(core.Pod, "web", "default", body={"metadata": {"labels": {"app": "y"}}})

    async def changed() -> bool:
        return await node.exec("cat", "/i/labels") == 'app="y"'

    await eventually(changed, timeout=10)


async def test_a_missing_secret_is_told_and_waited_for(node: Node) -> None:
    await node.run("web", {"command": SLEEP, "volumeMounts": [mount("s", "/s")]}, volumes=[{"name": "s", "secret": {"secretName": "late"}}])
    await eventually(lambda: any('secret "late" not found' in message for message in node.events("FailedMount")))
    node.secret("late", k=b"v")
    await node.ready()
    assert await node.exec("cat", "/s/k") == "v"


async def test_a_container_writes_the_environment_of_another(node: Node) -> None:
    volumes = [{"name": "d", "emptyDir": {}}]
    script = "printf \"# made here\\nNAME='me and\\nyou' # two lines\\n\" > /d/env; ln -s /etc/hostname /d/out"
    inits = [{"name": "init", "command": ["sh", "-c", script], "volumeMounts": [mount("d", "/d")]}]

    def variable(name: str, path: str, key: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fileKeyRef": {"volumeName": "d", "path": path, "key": key, **more}}}

    env = [variable("GREETING", "env", "NAME"), variable("NONE", "env", "MISSING", optional=True)]
    await node.run("web", {"command": SLEEP, "env": env}, initContainers=inits, volumes=volumes)
    await node.ready()
    assert await node.exec("sh", "-c", 'echo "$GREETING"; echo "${NONE-unset}"') == "me and\nyou\nunset\n"
    await node.run("stray", {"command": SLEEP, "env": [variable("HOST", "out", "x")]}, initContainers=inits, volumes=volumes)
    await eventually(lambda: any("couldn't parse env file" in one for one in node.events("Failed")))

    def held() -> bool:
        state = node.status("main", "stray").state.waiting
        assert state is not None
        assert state.reason == "CreateContainerConfigError"
        return True

    await eventually(held)


async def test_a_pod_that_outgrows_its_local_storage_is_evicted(node: Node) -> None:
    script = "trap '' TERM; head -c 9000000 /dev/zero > /e/f; sleep 1000"
    fill: dict[str, Any] = {"command": ["sh", "-c", script], "volumeMounts": [mount("e", "/e")]}
    bounded: dict[str, Any] = {"volumes": [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}], "terminationGracePeriodSeconds": 600}
    await node.run("web", fill, **bounded)
    await node.run("critical", fill, **bounded, priorityClassName="system-cluster-critical")
    limits = {"limits": {"ephemeral-storage": "1Mi"}}
    await node.run("layer", {"command": ["sh", "-c", "head -c 9000000 /dev/zero > /f; sleep 1000"], "resources": limits})
    await node.run("talk", {"command": ["sh", "-c", "yes | head -c 3000000; sleep 1000"], "resources": limits})
    await node.run("small", {"command": ["sh", "-c", "head -c 100000 /dev/zero > /f; sleep 1000"], "resources": limits})
    for name in ("web", "layer", "talk"):
        pod = await eventually(functools.partial(_evicted, node, name), timeout=60)
        condition = next(one for one in pod.status.conditions if one.type == "Ready")
        assert (condition.status, condition.reason) == ("False", "PodFailed")
        assert all(one.type != "DisruptionTarget" for one in pod.status.conditions)
        assert node.status(pod=name).state.terminated
    assert node.pod("web").status.message == 'Usage of EmptyDir volume "e" exceeds the limit "1Mi". '
    assert node.pod("layer").status.message == "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    assert sorted(node.events("Evicted")) == sorted(node.pod(name).status.message for name in ("web", "layer", "talk"))
    for name in ("small", "critical"):
        assert node.pod(name).status.phase == "Running"


def _evicted(node: Node, name: str) -> core.Pod:
    pod = node.pod(name)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "Evicted"), pod.status
    return pod


async def test_containers_mount_for_the_machine_and_for_one_another(node: Node) -> None:
    """As the node services of drivers do: below the kubelet's directory, whatever the machine's own mounts are like."""
    plugins = node.settings.root / "plugins/driver"
    volumes = [{"name": "v", "hostPath": {"path": str(plugins), "type": "DirectoryOrCreate"}}]
    shares = mount("v", "/v", mountPropagation="Bidirectional")
    follows = mount("v", "/v", mountPropagation="HostToContainer")
    await node.run(
        "web",
        {"name": "driver", "command": SLEEP, "volumeMounts": [shares], "securityContext": {"privileged": True}},
        {"name": "user", "command": SLEEP, "volumeMounts": [follows]},
        {"name": "other", "command": SLEEP, "volumeMounts": [mount("v", "/v")]},
        volumes=volumes,
    )
    await node.ready()
    await node.exec("sh", "-c", "mkdir /v/disk && mount -t tmpfs disk /v/disk && touch /v/disk/file", container="driver")
    assert (plugins / "disk/file").exists()
    assert await node.exec("ls", "/v/disk", container="user") == "file\n"
    assert await node.exec("ls", "/v/disk", container="other") == ""
    await node.kill()
    await node.start()
    await node.exec("umount", "/v/disk", container="driver")
    assert node.mounts() == []
