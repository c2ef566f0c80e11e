"""Rates of control loops and scheduler on hollow nodes: Deployments, a rolling update, a Job and the deletion of a namespace.

python -m bench.workloads [--nodes 1000] [--deployments 1000] [--completions 10000] [--own-processes] [--upstream DIRECTORY] [--json FILE]

With `--upstream`, the same work is done again with the kube-controller-manager and the kube-scheduler of that directory in front of the
same API server and hollow nodes, once with the limits that their clients have by default and once without. As the limits make them
slow, `--limited-by 10` divides the work of that run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import managers
from bench.cluster import cpu_seconds, resident
from tiphys.api.apps import v1 as apps
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.testing import eventually

NAMESPACE = "load"
REPLICAS = 10
PARALLELISM = 500
AT_ONCE = 16
SECONDS = 900.0
"""Seconds after which a phase is given up."""


def deployment(number: int, image: str) -> apps.Deployment:
    labels = {"app": f"web-{number}"}
    spec = core.PodSpec(containers=[core.Container(name="main", image=image)])
    template = core.PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=spec)
    return apps.Deployment(
        metadata=ObjectMeta(name=f"web-{number}", namespace=NAMESPACE),
        spec=apps.DeploymentSpec(replicas=REPLICAS, selector=LabelSelector(matchLabels=labels), template=template),
    )


def job(completions: int) -> batch.Job:
    spec = core.PodSpec(restartPolicy="Never", containers=[core.Container(name="main", image="none")])
    return batch.Job(
        metadata=ObjectMeta(name="sum", namespace=NAMESPACE),
        spec=batch.JobSpec(
            completions=completions, parallelism=PARALLELISM, completionMode="Indexed", template=core.PodTemplateSpec(spec=spec)
        ),
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """Amount of work."""

    nodes: int
    deployments: int
    completions: int

    def divided(self, by: int) -> Sizes:
        """Return a part of the work, on as many nodes."""
        return Sizes(self.nodes, max(1, self.deployments // by), max(1, self.completions // by))


class Load:
    """Measured phases against one cluster."""

    def __init__(self, pids: Mapping[str, int], client: Client) -> None:
        self.pids = pids
        self.client = client
        self.results: dict[str, float] = {}

    async def phase(self, name: str, pods: int, begin: Callable[[], Awaitable[object]], done: Callable[[], Awaitable[bool]]) -> None:
        """Begin something and wait until it is done; note seconds, pods per second, CPU, and requests per pod."""
        cpu = {part: cpu_seconds(pid) for part, pid in self.pids.items()}
        requests, began = await self._requests(), time.monotonic()
        await begin()
        await eventually(done, timeout=SECONDS, interval=0.2)
        seconds = time.monotonic() - began
        self.results[f"{name}, s"] = seconds
        self.results[f"{name}, pods/s"] = pods / seconds
        self.results[f"{name}, requests per pod"] = (await self._requests() - requests) / pods
        for part, pid in self.pids.items():
            self.results[f"{name}, CPU of {part} per pod, us"] = (cpu_seconds(pid) - cpu[part]) / pods * 1e6
            self.results[f"{name}, memory of {part}, MB"] = resident(pid)

    async def _requests(self) -> float:
        """Number of requests that the server has answered, those of its own parts included."""
        page = (await self.client.raw("GET", "/metrics")).body.decode()
        return sum(float(value) for value in re.findall(r"^apiserver_request_total\{.*\} (\S+)$", page, re.M))

    async def create_deployments(self, count: int) -> None:
        """Create Deployments, a few at a time."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                await self.client.create(deployment(number, "one"))

        await asyncio.gather(*(one(number) for number in range(count)))

    async def update_deployments(self, count: int) -> None:
        """Give Deployments another image."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "two"}]}}}}
            async with slots:
                await self.client.patch(apps.Deployment, f"web-{number}", NAMESPACE, body=body, kind="strategic")

        await asyncio.gather(*(one(number) for number in range(count)))

    async def are_rolled_out(self, count: int) -> bool:
        """Return whether all pods of so many Deployments are of the newest template and available."""
        ready = 0
        for one in (await self.client.list(apps.Deployment, NAMESPACE)).items:
            status = one.status
            current = status.observedGeneration == one.metadata.generation and status.updatedReplicas == status.replicas
            ready += current and status.availableReplicas == REPLICAS
        return ready >= count

    async def is_complete(self) -> bool:
        """Return whether the Job is complete."""
        job = await self.client.get(batch.Job, "sum", NAMESPACE)
        return is_true(job.status.conditions, "Complete")

    async def is_gone(self) -> bool:
        """Return whether the namespace is no more."""
        return all(one.metadata.name != NAMESPACE for one in (await self.client.list(core.Namespace)).items)


class Latencies:
    """Watch of the load's pods that notes the seconds from the creation of each to its first Ready condition."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._created: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def begin(cls, client: Client) -> Latencies:
        """Start to watch."""
        made = cls(client)
        version = (await client.list(core.Pod, NAMESPACE)).resourceVersion
        made._task = asyncio.create_task(made._watch(version), name="latencies of pods")
        return made

    async def _watch(self, version: str) -> None:
        while True:  # A watch ends now and then.
            async for event in self._client.watch(core.Pod, NAMESPACE, resource_version=version, bookmarks=False):
                pod, now = event.object, time.monotonic()
                version, uid = pod.metadata.resourceVersion, pod.metadata.uid
                self._created.setdefault(uid, now)
                if uid not in self._ready and is_true(pod.status.conditions, "Ready"):
                    self._ready[uid] = now

    async def end(self, name: str) -> dict[str, float]:
        """Stop watching and return the median and the 99th percentile."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        waited = sorted(at - self._created[uid] for uid, at in self._ready.items())
        return {f"{name}, create to ready p{part}, s": waited[(len(waited) - 1) * part // 100] for part in (50, 99) if waited}


async def _has(client: Client, type_: type[core.Node] | type[core.ServiceAccount], count: int, namespace: str = "") -> bool:
    return len((await client.list(type_, namespace)).items) >= count


async def measure(managed: managers.Managed, sizes: Sizes) -> dict[str, float]:
    """Do all the work on a cluster."""
    client = kubeconfig.load(managed.kubeconfig)
    load = Load(managed.pids, client)
    deployments, completions = sizes.deployments, sizes.completions
    try:
        await eventually(lambda: _has(client, core.Node, sizes.nodes), timeout=SECONDS, interval=0.5)
        await client.create(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        await eventually(lambda: _has(client, core.ServiceAccount, 1, NAMESPACE), interval=0.1)
        pods, half = deployments * REPLICAS, (deployments + 1) // 2
        watch = await Latencies.begin(client)
        await load.phase("Deployments", pods, lambda: load.create_deployments(deployments), lambda: load.are_rolled_out(deployments))
        load.results |= await watch.end("Deployments")
        await load.phase("rolling update", half * REPLICAS, lambda: load.update_deployments(half), lambda: load.are_rolled_out(deployments))
        await load.phase("Job", completions, lambda: client.create(job(completions)), load.is_complete)
        left = pods + completions
        await load.phase("namespace deleted", left, lambda: client.delete(core.Namespace, NAMESPACE), load.is_gone)
        await asyncio.sleep(15)
        before = sum(map(cpu_seconds, managed.pids.values()))
        await asyncio.sleep(20)
        load.results["idle CPU of all parts, % of a core"] = (sum(map(cpu_seconds, managed.pids.values())) - before) / 20 * 100
    finally:
        await client.close()
    return load.results


def _show(columns: dict[str, dict[str, float]]) -> None:
    """Print a row for each result and a column for each arrangement."""
    rows = list(dict.fromkeys(name for column in columns.values() for name in column))
    print("   " + " " * 52 + "".join(f"{title:>20}" for title in columns))
    for row in rows:
        print(f"   {row:<52}" + "".join(f"{column[row]:20.1f}" if row in column else " " * 20 for column in columns.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--completions", type=int, default=10_000)
    parser.add_argument("--own-processes", action="store_true", help="once more with every part in a process of its own")
    parser.add_argument("--upstream", type=Path, help="directory of kube-controller-manager and kube-scheduler")
    parser.add_argument("--limited-by", type=int, default=10, help="divisor of the work for upstream with its default limits")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    sizes = Sizes(arguments.nodes, arguments.deployments, arguments.completions)
    runs: dict[str, tuple[Sizes, AbstractContextManager[managers.Managed]]] = {"tiphys": (sizes, managers.one_process(sizes.nodes))}
    if arguments.own_processes:
        runs["tiphys, apart"] = sizes, managers.own_processes(sizes.nodes)
    if arguments.upstream:
        runs["upstream, unlimited"] = sizes, managers.upstream(sizes.nodes, arguments.upstream, limited=False)
        runs["upstream, default"] = sizes.divided(arguments.limited_by), managers.upstream(sizes.nodes, arguments.upstream, limited=True)
    columns: dict[str, dict[str, float]] = {}
    for title, (work, cluster) in runs.items():
        with cluster as managed:
            columns[title] = asyncio.run(measure(managed, work))
    _show(columns)
    if arguments.json:
        arguments.json.write_text(json.dumps(columns if len(columns) > 1 else columns["tiphys"], indent=2) + "\n")


if __name__ == "__main__":
    main()
