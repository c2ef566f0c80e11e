"""Mirror pods: their manifests and statuses, the publisher in front of an API server, and the logs of daemons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.node.make import MOMENT, NOW
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import cancel_and_wait
from tiphys.api.core import v1 as core
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.api.well_known import CONFIG_MIRROR
from tiphys.daemon.process_state import ProcessState
from tiphys.node.container.log_stream import stream_log
from tiphys.node.container.logs import LogOptions
from tiphys.node.mirror.log import daemon_log, tail_offset
from tiphys.node.mirror.part import Part
from tiphys.node.mirror.pod import NAMESPACE, history, is_mirror_of, mirror_pod, mirror_status
from tiphys.node.mirror.publisher import MirrorPods
from tiphys.node.mirror.static import StaticStatuses
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.node.settings import NodeSettings
from tiphys.node.static.annotations import CONFIG_HASH
from tiphys.node.static.manifest import Origin, read_manifest
from tiphys.runtime.informer import InformerFactory
from tiphys.testing.eventually import eventually
from tiphys.testing.memory_api import MemoryApi

NODE = core.Node(metadata=ObjectMeta(name="n1", uid="node-uid"))
FIRST = ProcessState(pid=7, started=int(NOW), restarts=0, last_exit=None, last_ended=0, log=None)
SECOND = ProcessState(pid=8, started=int(NOW) + 60, restarts=1, last_exit=137, last_ended=int(NOW) + 59, log=None)
DOWN = ProcessState(pid=0, started=int(NOW), restarts=0, last_exit=1, last_ended=int(NOW) + 59, log=None)


def part(name: str = "tiphys-server", run: ProcessState | None = FIRST, *command: str) -> Part:
    return Part(name=name, tier="control-plane", command=command or ("tiphys", "server"), read=lambda: run)


def manifest(of: Part, node: core.Node = NODE, version: str = "1") -> core.Pod:
    return mirror_pod(of, node, version, MOMENT)


# -- manifests and statuses


def test_the_hash_changes_with_what_runs_and_the_owner_with_the_node_object() -> None:
    pod = manifest(part())
    assert is_mirror_of(pod, mirror_pod(part(run=SECOND), NODE, "1", MOMENT + timedelta(days=1)))
    assert not is_mirror_of(pod, manifest(part(), version="2"))
    assert not is_mirror_of(pod, manifest(part("tiphys-server", FIRST, "tiphys", "server", "--other")))
    assert not is_mirror_of(pod, manifest(part(), core.Node(metadata=ObjectMeta(name="n1", uid="registered-again"))))


def test_status_of_a_first_run_a_second_one_and_none() -> None:
    pod = manifest(part())
    pod.status = mirror_status(pod, FIRST, ["192.0.2.1"])
    (first,) = pod.status.containerStatuses
    assert (first.ready, first.restartCount, first.lastState.terminated) == (True, 0, None)
    assert first.state.running is not None
    assert first.state.running.startedAt == MOMENT
    assert (pod.status.phase, pod.status.qosClass, pod.status.podIP, pod.status.hostIP) == (
        "Running",
        "BestEffort",
        "192.0.2.1",
        "192.0.2.1",
    )

    pod.status = mirror_status(pod, SECOND, ["192.0.2.1"])
    (second,) = pod.status.containerStatuses
    assert second.restartCount == 1
    ended = second.lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason, ended.startedAt) == (137, "Error", MOMENT)
    assert ended.finishedAt == MOMENT + timedelta(seconds=59)
    # Built upon itself it stays the same, so there is nothing to write.
    assert mirror_status(pod, SECOND, ["192.0.2.1"]) == pod.status

    pod.status = mirror_status(pod, DOWN, ["192.0.2.1"])
    (down,) = pod.status.containerStatuses
    assert (down.ready, down.started) == (False, False)
    assert down.state.waiting is not None
    assert down.state.waiting.reason == "CrashLoopBackOff"
    assert {one.type: one.status for one in pod.status.conditions}["Ready"] == "False"
    assert pod.status.startTime == MOMENT


def test_an_end_that_nobody_saw_has_the_unknown_status() -> None:
    pod = manifest(part())
    unseen = ProcessState(pid=8, started=int(NOW) + 60, restarts=1, last_exit=None, last_ended=int(NOW) + 59, log=None)
    ended = mirror_status(pod, unseen, ["192.0.2.1"]).containerStatuses[0].lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason) == (137, "ContainerStatusUnknown")


# -- publishing


class Publisher:
    """Mirror pods of a node `n1` in an API server in memory."""

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.node = NODE
        self.runs: dict[str, ProcessState | None] = {"tiphys-server": FIRST, "containerd": FIRST}
        self.command: tuple[str, ...] = ("run",)
        self.static = StaticStatuses()
        self.told: list[tuple[str, str]] = []
        self._task: asyncio.Task[None] | None = None

    def _tell(self, pod: core.Pod, message: str) -> None:
        self.told.append((pod.metadata.name, message))

    def _part(self, name: str) -> Part:
        return Part(name=name, tier="node", command=self.command, read=lambda: self.runs[name])

    async def start(self) -> None:
        clock, client = LoopClock(), self.api.client()
        self.informers = InformerFactory(client, clock=clock)
        pods = self.informers.of(core.Pod, fields="spec.nodeName=n1")
        settings = NodeSettings(name="n1", root=Path("/nowhere"), ips=("192.0.2.1",), status_period=0.02)
        self.statuses = StatusWriter(client, clock)

        async def node() -> core.Node:
            return self.node

        parts = [self._part(name) for name in self.runs]
        self.mirrors = MirrorPods(client, self.statuses, clock, settings, parts, pods=pods, node=node, static=self.static, tell=self._tell)
        self.informers.start()
        self._task = asyncio.create_task(self.mirrors.run(), name="mirror pods")

    async def stop(self) -> None:
        if self._task is not None:
            await cancel_and_wait(self._task)
        await self.statuses.close()
        await self.informers.stop()

    def shown(self) -> dict[str, core.Pod]:
        return {pod.metadata.name: pod for pod in self.api.list(core.Pod)}

    async def settled(self, *names: str) -> dict[str, core.Pod]:
        """The pods, once exactly these are there and run."""

        def check() -> dict[str, core.Pod]:
            pods = self.shown()
            assert sorted(pods) == sorted(names)
            assert all(pod.status.phase == "Running" and pod.status.containerStatuses for pod in pods.values())
            return pods

        return await eventually(check)


@pytest.fixture
async def publisher(api: MemoryApi) -> AsyncIterator[Publisher]:
    made = Publisher(api)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


BOTH = ("containerd-n1", "tiphys-server-n1")


async def test_a_deleted_pod_comes_back(publisher: Publisher) -> None:
    before = await publisher.settled(*BOTH)
    publisher.api.remove(core.Pod, "containerd-n1", NAMESPACE)
    await eventually(lambda: "containerd-n1" in publisher.shown())
    after = await publisher.settled(*BOTH)
    assert after["containerd-n1"].metadata.uid != before["containerd-n1"].metadata.uid
    assert after["tiphys-server-n1"].metadata.uid == before["tiphys-server-n1"].metadata.uid


async def test_an_unchanged_machine_writes_nothing_even_after_a_restart_of_the_agent(publisher: Publisher) -> None:
    before = await publisher.settled(*BOTH)
    await publisher.stop()
    publisher.api.calls.clear()
    await publisher.start()
    publisher.runs["containerd"] = SECOND
    await eventually(lambda: publisher.shown()["containerd-n1"].status.containerStatuses[0].restartCount == 1)
    assert [(call.verb, call.name) for call in publisher.api.writes()] == [("patch", "containerd-n1")]
    assert {name: pod.metadata.uid for name, pod in publisher.shown().items()} == {name: pod.metadata.uid for name, pod in before.items()}


async def test_another_spec_or_node_object_makes_a_new_pod(publisher: Publisher) -> None:
    first = await publisher.settled(*BOTH)
    publisher.node = core.Node(metadata=ObjectMeta(name="n1", uid="registered-again"))
    await eventually(lambda: all(first[name].metadata.uid != pod.metadata.uid for name, pod in publisher.shown().items()))
    second = await publisher.settled(*BOTH)
    assert second["containerd-n1"].metadata.ownerReferences[0].uid == "registered-again"
    await publisher.stop()
    publisher.command = ("run", "otherwise")
    await publisher.start()
    await eventually(lambda: all(second[name].metadata.uid != pod.metadata.uid for name, pod in publisher.shown().items()))
    await publisher.settled(*BOTH)


async def test_only_what_belongs_to_the_machine_is_shown(publisher: Publisher) -> None:
    await publisher.settled(*BOTH)
    publisher.runs["tiphys-server"] = None
    await publisher.settled("containerd-n1")


async def test_a_strange_mirror_pod_is_removed_and_an_ordinary_pod_is_not(publisher: Publisher) -> None:
    ordinary = core.Pod(metadata=ObjectMeta(name="web", namespace="default"), spec=core.PodSpec(nodeName="n1"))
    strange = core.Pod(
        metadata=ObjectMeta(name="strange", namespace="default", annotations={CONFIG_MIRROR: "x"}), spec=core.PodSpec(nodeName="n1")
    )
    publisher.api.add(ordinary, strange)
    await eventually(lambda: sorted(publisher.shown()) == [*BOTH, "web"])
    # The informer of the publisher hears of its pods after the API has them.
    await eventually(lambda: publisher.mirrors.find(NAMESPACE, "containerd-n1") is not None)
    found = publisher.mirrors.find(NAMESPACE, "containerd-n1")
    assert found is not None
    assert found.name == "containerd"
    assert publisher.mirrors.find("default", "web") is None


async def test_a_status_that_somebody_else_wrote_is_put_right(publisher: Publisher) -> None:
    pod = (await publisher.settled(*BOTH))["containerd-n1"]
    body = {"status": {"phase": "Failed"}}
    await publisher.api.client().patch(core.Pod, pod.metadata.name, NAMESPACE, body=body, kind="merge", subresource="status")
    await eventually(lambda: publisher.shown()["containerd-n1"].status.phase == "Running")


# -- static pods


def static_pod(name: str = "web", namespace: str = "default", image: str = "img:1") -> core.Pod:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image}], "priority": 7},
    }
    origin = Origin("file", f"/manifests/{name}")
    return read_manifest(msgspec.json.encode(document), origin, node="n1", now=MOMENT).pods[0]


def running(pod: core.Pod, restarts: int = 0) -> core.PodStatus:
    main = core.ContainerStatus(name="main", restartCount=restarts, containerID=f"containerd://{restarts}")
    return core.PodStatus(phase="Running", observedGeneration=1, containerStatuses=[main])


async def test_a_static_pod_is_shown_with_its_status(publisher: Publisher) -> None:
    pod = static_pod()
    publisher.static.set(pod, running(pod))
    mirror = (await publisher.settled(*BOTH, "web-n1"))["web-n1"]
    assert mirror.metadata.annotations[CONFIG_MIRROR] == pod.metadata.uid == mirror.metadata.annotations[CONFIG_HASH]
    assert mirror.metadata.uid != pod.metadata.uid
    assert [(owner.kind, owner.uid) for owner in mirror.metadata.ownerReferences] == [("Node", "node-uid")]
    assert (mirror.metadata.labels, mirror.spec.nodeName) == ({"app": "web"}, "n1")
    publisher.static.set(pod, running(pod, 3))
    await eventually(lambda: publisher.shown()["web-n1"].status.containerStatuses[0].restartCount == 3)
    assert publisher.shown()["web-n1"].metadata.uid == mirror.metadata.uid


async def test_the_mirror_of_a_static_pod_comes_back_with_its_status_and_goes_with_the_pod(publisher: Publisher) -> None:
    pod = static_pod()
    publisher.static.set(pod, running(pod, 2))
    before = (await publisher.settled(*BOTH, "web-n1"))["web-n1"]
    publisher.api.remove(core.Pod, "web-n1", "default")
    await eventually(lambda: {pod.metadata.uid for name, pod in publisher.shown().items() if name == "web-n1"} - {before.metadata.uid})
    after = (await publisher.settled(*BOTH, "web-n1"))["web-n1"]
    assert after.status.containerStatuses[0].restartCount == 2
    publisher.static.forget(pod.metadata.uid)
    await publisher.settled(*BOTH)


async def test_a_mirror_waits_for_the_first_status_after_a_restart(publisher: Publisher) -> None:
    pod, other = static_pod(), static_pod("other")
    for one in (pod, other):
        publisher.static.set(one, running(one))
    before = await publisher.settled(*BOTH, "web-n1", "other-n1")
    await publisher.stop()
    publisher.static = StaticStatuses()
    publisher.static.expect(None)
    await publisher.start()
    publisher.runs["containerd"] = SECOND
    await eventually(lambda: publisher.shown()["containerd-n1"].status.containerStatuses[0].restartCount == 1)
    publisher.static.expect({pod.metadata.uid})
    await publisher.settled(*BOTH, "web-n1")
    publisher.static.set(pod, running(pod, 5))
    await eventually(lambda: publisher.shown()["web-n1"].status.containerStatuses[0].restartCount == 5)
    assert publisher.shown()["web-n1"].metadata.uid == before["web-n1"].metadata.uid


async def test_another_content_makes_another_mirror(publisher: Publisher) -> None:
    pod, other = static_pod(), static_pod(image="img:2")
    publisher.static.set(pod, running(pod))
    await publisher.settled(*BOTH, "web-n1")
    publisher.static.forget(pod.metadata.uid)
    publisher.static.set(other, running(other))
    await eventually(lambda: [pod for pod in publisher.shown().values() if pod.spec.containers[0].image == "img:2"])
    await publisher.settled(*BOTH, "web-n1")


async def test_a_mirror_that_is_refused_is_reported_once_and_stops_no_other(publisher: Publisher) -> None:
    lost, pod = static_pod("lost", "nowhere"), static_pod()
    publisher.static.set(lost, running(lost))
    publisher.static.set(pod, running(pod))
    await publisher.settled(*BOTH, "web-n1")
    publisher.static.set(lost, running(lost, 1))
    publisher.api.add_namespace("nowhere")
    await publisher.settled(*BOTH, "web-n1", "lost-n1")
    assert publisher.told == [("lost-n1", 'Failed to create the mirror pod: namespaces "nowhere" not found')]


def test_a_static_pod_takes_its_history_over_but_no_phase() -> None:
    pod = static_pod()
    mirror = core.Pod(metadata=ObjectMeta(name="web-n1", annotations={CONFIG_MIRROR: pod.metadata.uid}), status=running(pod, 4))
    mirror.status.phase = "Failed"
    status = history(mirror, pod.metadata.uid)
    assert (status.phase, status.containerStatuses[0].restartCount) == ("Pending", 4)
    assert history(mirror, "another") == history(None, pod.metadata.uid) == core.PodStatus(phase="Pending")


# -- logs

LINES = (
    "starting by hand",
    "I 2026-01-01T00:00:00.000Z tiphys.daemon.server: server is ready port=7490",
    "Traceback (most recent call last):",
    'time="2026-01-01T00:00:10.820433441Z" level=error msg="failed to load cni"',
    '{"ts": "2026-01-01T00:00:20.000Z", "level": "info", "msg": "scheduling"}',
)


async def read(path: Path, **options: object) -> list[str]:
    stream = stream_log(
        path,
        LogOptions(**options),  # type: ignore[arg-type]
        clock=LoopClock(),
        follow=False,
        running=lambda: False,
        format=daemon_log(int(NOW)),
    )
    return b"".join([part async for part in stream]).decode().splitlines()


async def test_a_daemons_log_is_read_with_the_options_of_a_containers(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("\n".join(LINES) + "\n")
    assert await read(path) == list(LINES)
    assert await read(path, tail=2) == list(LINES[-2:])
    assert await read(path, since=datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)) == list(LINES[-2:])
    assert await read(path, since=datetime(2026, 1, 1, tzinfo=UTC)) == list(LINES[1:])
    assert await read(path, limit=8) == ["starting"]
    assert await read(path, stream="stdout") == []
    times = [line.split(" ", 1)[0] for line in await read(path, timestamps=True)]
    assert times == [
        MOMENT.isoformat().replace("+00:00", "Z"),
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:10.820433441Z",
        "2026-01-01T00:00:20.000Z",
    ]


@given(st.lists(st.text("ab", max_size=3), max_size=12), st.integers(0, 14), st.booleans(), st.integers(1, 9))
def test_tail_matches_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], count: int, ended: bool, block: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "server.log"
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text if ended else text + "x")
    data = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tiphys.node.mirror.log.BLOCK", block)
        assert data[tail_offset(path, count) :].split(b"\n") == (b"".join(data.splitlines(keepends=True)[-count:] if count else [])).split(
            b"\n"
        )
