"""Containers that terminated are counted from what the status writer is given."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.node.make import MOMENT, observed, pod, seen
from tiphys.aio.clock import LoopClock
from tiphys.api.core import v1 as core
from tiphys.node.metrics import families
from tiphys.node.pod.status import Facts, pod_status
from tiphys.node.pod.status_writer import StatusWriter
from tiphys.testing.memory_api import MemoryApi

KINDS = {"setup": "init_container", "a": "container", "b": "container"}


def counts() -> Mapping[str, float]:
    """The count of each container of `POD`, told apart by their exit codes."""
    ends = {"setup": ("0", "Completed"), "a": ("139", "Error"), "b": ("7", "Error")}
    return {name: families.TERMINATED_CONTAINERS.labels(KINDS[name], *end).value for name, end in ends.items()}


async def test_each_termination_counts_once(api: MemoryApi) -> None:
    api.add(pod({"name": "a"}, {"name": "b"}, initContainers=[{"name": "setup"}], restartPolicy="Never"))
    it = api.get(core.Pod, "web", "default")
    writer, before = StatusWriter(api.client(), LoopClock()), counts()

    def changes(a: str, b: str) -> Mapping[str, float]:
        """Counts since the start, after the containers are seen in these states."""
        parts = [seen(it, "setup", "exited")]
        parts += [seen(it, name, "running" if end == "" else "exited", code=int(end or 0)) for name, end in (("a", a), ("b", b))]
        writer.set(it, pod_status(it, Facts(observed(*parts)), MOMENT))
        return {name: value - before[name] for name, value in counts().items()}

    assert changes("", "") == {"setup": 1, "a": 0, "b": 0}
    assert changes("139", "") == {"setup": 1, "a": 1, "b": 0}
    await writer.wait_written(it.metadata.uid)
    assert changes("139", "7") == {"setup": 1, "a": 1, "b": 1}
    await writer.wait_written(it.metadata.uid)
    await writer.close()

    # Another writer, as after a restart of the kubelet, starts from what was written.
    it = api.get(core.Pod, "web", "default")
    writer = StatusWriter(api.client(), LoopClock())
    assert changes("139", "7") == {"setup": 1, "a": 1, "b": 1}
    await writer.close()
