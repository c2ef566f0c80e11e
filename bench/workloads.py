"""Rates of control loops and scheduler on hollow nodes: Deployments, a rolling update, a Job and the deletion of a namespace.

python -m bench.workloads [--nodes 1000] [--deployments 1000] [--completions 10000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.cluster import cpu_seconds, resident
from tiphys.api.apps import v1 as apps
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery.conditions import is_true
from tiphys.api.meta.v1 import LabelSelector, ObjectMeta
from tiphys.client import kubeconfig
from tiphys.client.client import Client
from tiphys.testing import eventually
from tiphys.testing.cluster import Cluster, taken_slot

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


class Load:
    """Measured phases against one cluster."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.cluster = cluster
        self.client = client
        self.results: dict[str, float] = {}

    async def phase(self, name: str, pods: int, begin: Callable[[], Awaitable[object]], done: Callable[[], object]) -> None:
        """Begin something and wait until it is done; note seconds, pods per second, CPU, and requests per pod."""
        pids = {part: self.cluster.pid(part) for part in ("server", "node")}
        cpu = {part: cpu_seconds(pid) for part, pid in pids.items() if pid is not None}
        requests, began = await self._requests(), time.monotonic()
        await begin()
        await eventually(done, timeout=SECONDS, interval=0.2)
        seconds = time.monotonic() - began
        self.results[f"{name}, s"] = seconds
        self.results[f"{name}, pods/s"] = pods / seconds
        self.results[f"{name}, requests per pod"] = (await self._requests() - requests) / pods
        for part, pid in pids.items():
            if pid is not None:
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


async def _has(client: Client, type_: type[core.Node] | type[core.ServiceAccount], count: int, namespace: str = "") -> bool:
    return len((await client.list(type_, namespace)).items) >= count


async def measure(cluster: Cluster, nodes: int, deployments: int, completions: int) -> dict[str, float]:
    client = kubeconfig.load(cluster.kubeconfig)
    load = Load(cluster, client)
    try:
        await eventually(lambda: _has(client, core.Node, nodes), timeout=SECONDS, interval=0.5)
        await client.create(core.Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        await eventually(lambda: _has(client, core.ServiceAccount, 1, NAMESPACE), interval=0.1)
        pods, half = deployments * REPLICAS, deployments // 2
        await load.phase("Deployments", pods, lambda: load.create_deployments(deployments), lambda: load.are_rolled_out(deployments))
        await load.phase("rolling update", half * REPLICAS, lambda: load.update_deployments(half), lambda: load.are_rolled_out(deployments))
        await load.phase("Job", completions, lambda: client.create(job(completions)), load.is_complete)
        left = pods + completions
        await load.phase("namespace deleted", left, lambda: client.delete(core.Namespace, NAMESPACE), load.is_gone)
        await asyncio.sleep(15)
        pids = [pid for pid in (cluster.pid("server"), cluster.pid("node")) if pid is not None]
        before = sum(map(cpu_seconds, pids))
        await asyncio.sleep(20)
        load.results["idle CPU of server and node, % of a core"] = (sum(map(cpu_seconds, pids)) - before) / 20 * 100
    finally:
        await client.close()
    return load.results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--completions", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with taken_slot() as cluster:
        try:
            cluster.up("--runtime", "hollow", "--hollow-nodes", str(arguments.nodes))
            results = asyncio.run(measure(cluster, arguments.nodes, arguments.deployments, arguments.completions))
        finally:
            cluster.down(purge=True)
    for name, value in results.items():
        print(f"   {name:<52}{value:12.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
