"""Jobs and their pods, for tests that play the kubelet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.integration.controllers.conftest import Cluster
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.helpers.jobs import COMPLETION_INDEX, TRACKING
from tiphys.api.helpers.pods import is_active
from tiphys.api.machinery import base
from tiphys.api.machinery.errors import NotFound
from tiphys.api.meta.v1 import ObjectMeta, Status
from tiphys.runtime import Key, update_with_retry
from tiphys.testing import eventually

T = TypeVar("T")
PATIENCE = 1200.0
"""Seconds that these wait, in virtual time: longer than the longest wait of a Job."""


def job(name: str = "sum", **spec: object) -> batch.Job:
    """A Job whose pods are named `main` inside; by default never restarted."""
    policy = str(spec.pop("restart", "Never"))
    template = core.PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": name}),
        spec=core.PodSpec(containers=[core.Container(name="main", image="busybox:1")], restartPolicy=policy),
    )
    return batch.Job(metadata=ObjectMeta(name=name, namespace="default"), spec=batch.JobSpec(template=template, **spec))  # type: ignore[arg-type]


def indexed(completions: int, name: str = "sum", **spec: object) -> batch.Job:
    """An indexed Job that runs all its indexes at once, unless told otherwise."""
    return job(name, **{"completions": completions, "parallelism": completions, "completionMode": "Indexed", **spec})


async def soon(check: Callable[[], Awaitable[T]]) -> T:
    """Wait for a check as long as a Job may take."""
    return await eventually(check, timeout=PATIENCE, interval=0.25)


async def create(cluster: Cluster, wanted: batch.Job) -> batch.Job:
    """Create a Job once pods can be created."""
    await eventually(lambda: cluster.has_account("default"))
    return await cluster.client.create(wanted)


async def get(cluster: Cluster, name: str = "sum") -> batch.Job:
    return await cluster.client.get(batch.Job, name, "default")


async def status_is(cluster: Cluster, name: str = "sum", **wanted: object) -> batch.Job:
    """Wait until these fields of the status have these values."""

    async def check() -> batch.Job:
        found = await get(cluster, name)
        assert {field: getattr(found.status, field) for field in wanted} == wanted
        return found

    return await soon(check)


async def ends(cluster: Cluster, *conditions: str, name: str = "sum", reason: str = "") -> batch.Job:
    """Wait until a Job has exactly these conditions, all of them true, in this order; the last one with this reason."""

    async def check() -> batch.Job:
        found = await get(cluster, name)
        assert [(one.type, one.status) for one in found.status.conditions] == [(type_, "True") for type_ in conditions]
        assert not reason or {one.reason for one in found.status.conditions} == {reason}
        return found

    return await soon(check)


async def active(cluster: Cluster, count: int) -> list[core.Pod]:
    """Wait until so many pods are neither finished nor being deleted, and return them by index or name."""

    async def check() -> list[core.Pod]:
        found = [pod for pod in await cluster.pods() if is_active(pod)]
        assert len(found) == count
        return sorted(found, key=lambda pod: (index_of(pod), pod.metadata.name))

    return await soon(check)


def index_of(pod: core.Pod) -> int:
    return int(pod.metadata.annotations.get(COMPLETION_INDEX, "-1"))


def is_tracked(pod: core.Pod) -> bool:
    return TRACKING in pod.metadata.finalizers


async def end(
    cluster: Cluster, pod: core.Pod, code: int = 0, *, condition: str = "", change: Callable[[core.Pod], None] | None = None
) -> None:
    """End a pod as its kubelet does: with an exit code, and a condition that says why it was disrupted."""
    now = base.time(cluster.client.clock.now())

    def write(found: core.Pod) -> None:
        found.status.phase = "Failed" if code else "Succeeded"
        ended = core.ContainerStateTerminated(exitCode=code, finishedAt=now, reason="Error" if code else "Completed")
        found.status.containerStatuses = [
            core.ContainerStatus(name="main", image="busybox:1", imageID="", state=core.ContainerState(terminated=ended))
        ]
        if condition:
            found.status.conditions = [core.PodCondition(type=condition, status="True", lastTransitionTime=now)]
        if change is not None:
            change(found)

    await update_with_retry(cluster.client, core.Pod, Key.of(pod), write, subresource="status")


async def finish_deletion(cluster: Cluster, pod: core.Pod) -> None:
    """Let a pod go that is being deleted, as its kubelet does when its containers have ended."""
    try:
        await cluster.client.delete(core.Pod, pod.metadata.name, "default", grace=0)
    except NotFound:
        return


async def bind(cluster: Cluster, *pods: core.Pod) -> None:
    """Bind pods to a node, so that their deletion waits for a kubelet."""
    await cluster.add_node("n1")
    for pod in pods:
        meta = ObjectMeta(name=pod.metadata.name, namespace="default")
        binding = core.Binding(metadata=meta, target=core.ObjectReference(kind="Node", name="n1"))
        await cluster.client.post(core.Pod, pod.metadata.name, "default", "binding", binding, Status)


async def counted(cluster: Cluster, pod: core.Pod) -> None:
    """Wait until a pod is counted, or gone."""

    async def check() -> bool:
        return not [found for found in await cluster.pods() if found.metadata.uid == pod.metadata.uid and is_tracked(found)]

    await soon(check)


async def tells(cluster: Cluster, *reasons: str, name: str = "sum") -> None:
    """Wait until these are the events of a Job, in any order; equal ones may be told together."""

    async def check() -> bool:
        events = (await cluster.client.list(core.Event, "default")).items
        mine = [event for event in events if event.involvedObject.kind == "Job" and event.involvedObject.name == name]
        assert sorted(event.reason for event in mine for _ in range(event.count or 1)) == sorted(reasons)
        return True

    await soon(check)
