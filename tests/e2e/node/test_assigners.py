"""Parts of the machine that are assigned to containers, in real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from tests.e2e.node.cluster import Node
from tests.e2e.runtime.machine import Machine
from tiphys.api.core import v1 as core
from tiphys.node.pod.plan import AnyContainer
from tiphys.node.resources.assigner import Grant, Hints, Mount, Nodes, Refused
from tiphys.testing.eventually import eventually


class Lamps:
    """An assigner of one lamp, for pods with the annotation `lamp`."""

    name = "lamp"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.owner = ""
        self.started: Collection[str] | None = None

    async def start(self, live: Collection[str]) -> None:
        self.started = live

    def hints(self, pod: core.Pod, container: AnyContainer) -> Hints:
        return {}

    def pod_hints(self, pod: core.Pod) -> Hints:
        return {}

    async def assign(self, pod: core.Pod, container: AnyContainer, nodes: Nodes | None) -> Grant:
        if "lamp" not in pod.metadata.annotations:
            return Grant()
        if self.owner not in ("", pod.metadata.uid):
            raise Refused("NoLamp", "the lamp is taken")
        self.owner = pod.metadata.uid
        return Grant()

    async def prepare(self, pod: core.Pod, container: AnyContainer) -> Grant:
        if pod.metadata.uid != self.owner:
            return Grant()
        return Grant(
            cpus=frozenset({1}),
            memory_nodes=frozenset({0}),
            env={"LAMP": "on"},
            mounts=[Mount(str(self.directory), "/lamp", read_only=True)],
            devices=[("/dev/full", "/dev/lamp", "rw")],
        )

    async def release(self, uid: str) -> None:
        if uid == self.owner:
            self.owner = ""


@pytest.fixture
async def node(node_machine: Machine, tmp_path: Path) -> AsyncIterator[Node]:
    async with Node.running(node_machine, tmp_path) as made:
        await made.kill()
        made.assigners = [Lamps(tmp_path)]
        await made.start()
        yield made


LIT = {"annotations": {"lamp": "1"}}


async def test_grants_reach_the_container(node: Node) -> None:
    await node.run("web", metadata=LIT)
    await node.phase("Running")
    allowed = await node.exec("grep", "allowed_list", "/proc/1/status")
    assert allowed.split() == ["Cpus_allowed_list:", "1", "Mems_allowed_list:", "0"]
    assert (
        await node.exec("sh", "-c", "echo $LAMP; ls -d /lamp/node; touch /lamp/x 2>/dev/null || ls /dev/lamp")
        == "on\n/lamp/node\n/dev/lamp\n"
    )


async def test_a_refusal_fails_the_pod_until_the_owner_has_gone(node: Node) -> None:
    await node.run("first", metadata=LIT)
    await node.phase("Running", "first")
    await node.run("second", metadata=LIT)
    failed = await node.phase("Failed", "second")
    assert (failed.status.reason, failed.status.message) == ("NoLamp", "Pod was rejected: the lamp is taken")
    await node.run("dark")
    await node.phase("Running", "dark")
    await node.client.delete(core.Pod, "first", "default")

    def gone() -> bool:
        return [pod.metadata.name for pod in node.api.list(core.Pod)] == ["dark", "second"]

    await eventually(gone)
    await node.run("third", metadata=LIT)
    await node.phase("Running", "third")


async def test_a_pod_that_ends_gives_back_what_it_owns(node: Node) -> None:
    """The next pod may come the moment the end of the last one is published."""
    await node.run("first", {"command": ["true"]}, metadata=LIT, restartPolicy="Never")
    await node.phase("Succeeded", "first")
    await node.run("second", metadata=LIT)
    await node.phase("Running", "second")
