"""Upstream's stable and beta families: each is served with its type, labels, buckets and stability, or listed with the reason why not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families as parsed

from tests.integration.controllers.conftest import Cluster
from tests.integration.controllers.job import jobs
from tests.integration.controllers.make import deployment
from tests.unit.node.make import pod as pod_on_node
from tests.unit.scheduler.make import node, pod
from tiphys.aio.clock import LoopClock
from tiphys.aio.tasks import TaskSet
from tiphys.api.autoscaling import v2
from tiphys.api.batch import v1 as batch
from tiphys.api.core import v1 as core
from tiphys.api.machinery.base import Quantity
from tiphys.api.meta.v1 import ObjectMeta
from tiphys.node.metrics.cadvisor import Machine, Subject, cadvisor_lines
from tiphys.node.metrics.families import kubelet_lines
from tiphys.node.metrics.groups import GroupUse, Interface, Transfers
from tiphys.node.metrics.probes import ProbeMetrics
from tiphys.node.metrics.resource import resource_lines
from tiphys.node.metrics.usage import ContainerUse, PodUse, Usage
from tiphys.obs import metrics
from tiphys.scheduler.scheduler import Scheduler
from tiphys.store.open import open_store
from tiphys.testing import eventually
from tiphys.testing.api_server import running_api_server

DATA = Path(__file__).parents[2] / "data"
PAGES = ("/metrics", "/metrics/resources", "/metrics/slis")


class Fact(NamedTuple):
    """A family as upstream documents it."""

    name: str
    type: str
    stability: str
    labels: str
    buckets: str
    endpoint: str


def facts() -> list[Fact]:
    return [Fact(*row.split("\t")) for row in (DATA / "metrics-1.36.tsv").read_text().splitlines()]


def excused() -> dict[str, str]:
    return dict(row.split("\t") for row in (DATA / "metrics-not-served-1.36.tsv").read_text().splitlines())


def matched() -> dict[str, set[str]]:
    """The labels by which the published rules of kubernetes-mixin choose series, by family."""
    rows = (row.split("\t") for row in (DATA / "mixin-labels.tsv").read_text().splitlines())
    return {name: set(labels.split(",")) for name, labels in rows}


def lacking(labels: set[str], family: Metric) -> Iterable[str]:
    """The samples of a family that lack a label."""
    return (f"{sample.name}{sample.labels}" for sample in family.samples if not labels <= sample.labels.keys())


def node_page() -> str:
    """The pages of a node's own use and probes."""
    probes = ProbeMetrics()
    probes.observe(pod_on_node(), "app", "liveness", ok=True, seconds=0.1)
    use = Usage(cpu=1, memory=1, started=1.0)
    resource = resource_lines(Usage(cpu=1), [PodUse("ns", "web", "u1", use, [ContainerUse("ns", "web", "u1", "app", use)])])
    return metrics.page(resource, probes.lines(), kubelet_lines("n1", [])).decode()


def cadvisor_page() -> str:
    """The page of a container's use."""
    values = dict.fromkeys(("cpu", "rss", "cache", "swap", "working_set", "periods", "throttled"), 1.0)
    use = GroupUse(values, {"8:0": Transfers()}, [1])
    one = Subject("/kubepods/podu1/c1", use, "ns", "web", "app", "c1", "web:1", 1.0, [Interface("eth0", (1, 1, 1, 1), (1, 1, 1, 1))])
    return metrics.page(cadvisor_lines(Machine(1, 1), [one], {})).decode()


async def fail_job(cluster: Cluster) -> None:
    """Let a Job fail by its failure policy."""
    codes = batch.PodFailurePolicyOnExitCodesRequirement(operator="In", values=[3])
    policy = batch.PodFailurePolicy(rules=[batch.PodFailurePolicyRule(action="FailJob", onExitCodes=codes)])
    await jobs.create(cluster, jobs.job(podFailurePolicy=policy))

    async def found() -> core.Pod | None:
        return next((one for one in await cluster.pods() if one.metadata.labels.get("job-name") == "sum"), None)

    await jobs.end(cluster, await eventually(found), 3)
    await jobs.ends(cluster, "FailureTarget", "Failed")


async def autoscale(cluster: Cluster) -> None:
    """Have an autoscaler look for metrics of a workload without pods."""
    made = deployment(1)
    made.spec.paused = True
    await cluster.client.create(made)
    target = v2.CrossVersionObjectReference(apiVersion="apps/v1", kind="Deployment", name="web")
    spec = v2.HorizontalPodAutoscalerSpec(scaleTargetRef=target, maxReplicas=3)
    await cluster.client.create(v2.HorizontalPodAutoscaler(metadata=ObjectMeta(name="web", namespace="default"), spec=spec))

    async def failed() -> bool:
        found = await cluster.client.get(v2.HorizontalPodAutoscaler, "web", "default")
        return any(one.reason == "FailedGetResourceMetric" for one in found.status.conditions)

    await eventually(failed)


async def served(cluster: Cluster) -> list[Metric]:
    """Return the metrics of a cluster that has placed one pod, found no node for another, and seen a Job and an autoscaler fail."""
    await cluster.client.create(node("n1", cpu="1", labels={"topology.kubernetes.io/zone": "a"}))
    async with cluster.controllers(), TaskSet() as tasks:
        await fail_job(cluster)
        await autoscale(cluster)
        scheduler = Scheduler(cluster.client_for("system:kube-scheduler"), clock=LoopClock(), rng=random.Random(1))
        tasks.spawn(scheduler.run(), name="scheduler")
        await cluster.client.patch(core.Node, "n1", body={"spec": {"taints": []}}, kind="merge")
        small = pod("small")
        small.spec.containers[0].resources.limits = {"memory": Quantity("128Mi")}
        await cluster.client.create(small)
        await cluster.client.create(pod("large", cpu="5"))

        async def settled() -> bool:
            placed = await cluster.client.get(core.Pod, "small", "default")
            return bool(placed.spec.nodeName) and scheduler.queue.places["parked"] == 1

        await eventually(settled)
        pages = [(await cluster.client.raw("GET", path)).body.decode() for path in PAGES]
    return [family for text in (*pages, node_page()) for family in parsed(text)]


def wrong(fact: Fact, family: Metric) -> Iterable[str]:
    """Return the differences of a family from upstream's."""
    if fact.type not in (family.type, "custom"):
        yield f"{fact.name} is a {family.type}"
    if family.documentation.startswith("[") and not family.documentation.startswith(f"[{fact.stability}]"):
        yield f"{fact.name} says {family.documentation[:10]}"
    if not family.samples:
        return  # Nothing has happened yet that it counts.
    labels = {key for sample in family.samples for key in sample.labels} - {"le"}
    if labels != set(filter(None, fact.labels.split(","))):
        yield f"{fact.name} has {sorted(labels)}"
    bounds = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels} - {float("inf")}
    if fact.buckets and bounds != {float(bound) for bound in fact.buckets.split(",")}:
        yield f"{fact.name} has the buckets {sorted(bounds)}"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster with a file as its store, which has a size."""
    store = open_store(f"sqlite://{tmp_path / 'server.db'}", clock=LoopClock())
    async with running_api_server(tmp_path, store=store) as (_, client_for):
        yield Cluster(client_for, tmp_path)


async def test_every_family_is_served_or_there_is_a_reason(cluster: Cluster) -> None:
    families = {f"{one.name}_total" if one.type == "counter" else one.name: one for one in await served(cluster)}
    known = {fact.name for fact in facts()}
    assert known - families.keys() - excused().keys() == set(), "neither served nor excused"
    assert known & families.keys() & excused().keys() == set(), "served, so no reason is needed any more"
    assert excused().keys() <= known
    assert all(excused().values())
    assert [fault for fact in facts() if fact.name in families for fault in wrong(fact, families[fact.name])] == []
    families |= {f"{one.name}_total" if one.type == "counter" else one.name: one for one in parsed(cadvisor_page())}
    assert [fault for name, labels in matched().items() if name in families for fault in lacking(labels, families[name])] == []
