"""Decisions per second of the scheduler's cycle, in memory: no API server, no writes. Ends by itself in less than a minute.

python -m bench.scheduler [--nodes 5000] [--pods 5000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from tiphys.api.core import v1 as core
from tiphys.api.machinery.selectors import from_map
from tiphys.api.meta import v1 as meta
from tiphys.scheduler.cycle import Cycle
from tiphys.scheduler.slim import slim_pod
from tiphys.scheduler.snapshot import Snapshot
from tiphys.scheduler.social import Owner
from tiphys.scheduler.template import Reader

SECONDS = 8.0
"""Per measurement, at most."""
TEMPLATES = 4
ZONE = "topology.kubernetes.io/zone"

Shape = Callable[[core.Pod], None]


def node(number: int) -> core.Node:
    name = f"node-{number:05d}"
    return core.Node(
        metadata=meta.ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, ZONE: f"zone-{number % 3}"}),
        status=core.NodeStatus(allocatable={"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}),  # type: ignore[dict-item]
    )


def pod(number: int, shape: Shape) -> core.Pod:
    app = f"app-{number % TEMPLATES}"
    resources = core.ResourceRequirements(requests={"cpu": f"{100 + number % TEMPLATES}m", "memory": "128Mi"})  # type: ignore[dict-item]
    made = core.Pod(
        metadata=meta.ObjectMeta(
            name=f"{app}-{number}",
            namespace="default",
            uid=str(number),
            labels={"app": app},
            ownerReferences=[meta.OwnerReference(apiVersion="apps/v1", kind="ReplicaSet", name=app, uid=app, controller=True)],
        ),
        spec=core.PodSpec(containers=[core.Container(name="main", image="web:1", resources=resources)]),
    )
    shape(made)
    return made


def plain(pod: core.Pod) -> None:
    """Nothing but resources."""
    pod.metadata.ownerReferences = []


def owned(pod: core.Pod) -> None:
    """As Deployments make them: spread by the cluster's defaults."""


def _own(pod: core.Pod) -> meta.LabelSelector:
    return meta.LabelSelector(matchLabels=pod.metadata.labels)


def spread(pod: core.Pod) -> None:
    """Spread over zones, and must be."""
    pod.spec.topologySpreadConstraints = [
        core.TopologySpreadConstraint(maxSkew=1, topologyKey=ZONE, whenUnsatisfiable="DoNotSchedule", labelSelector=_own(pod))
    ]


def apart(pod: core.Pod) -> None:
    """Never two of one kind on a node."""
    term = core.PodAffinityTerm(topologyKey="kubernetes.io/hostname", labelSelector=_own(pod))
    far = core.PodAntiAffinity(requiredDuringSchedulingIgnoredDuringExecution=[term])
    pod.spec.affinity = core.Affinity(podAntiAffinity=far)


def together(pod: core.Pod) -> None:
    """In the zone of their kind."""
    near = core.PodAffinity(
        requiredDuringSchedulingIgnoredDuringExecution=[core.PodAffinityTerm(topologyKey=ZONE, labelSelector=_own(pod))]
    )
    pod.spec.affinity = core.Affinity(podAffinity=near)


SHAPES: tuple[Shape, ...] = (plain, owned, spread, apart, together)


def measure(nodes: int, pods: int, shape: Shape) -> tuple[float, float]:
    """Decisions per second with everything that goes with them (reading the pod, counting it on its node), and seconds to take in nodes."""
    cluster, reader = Snapshot(), Reader()
    cycle = Cycle(cluster, rng=random.Random(1))
    for number in range(TEMPLATES):
        app = f"app-{number}"
        cluster.relations.defaults.put_owner("default", Owner("apps", "ReplicaSet", app), from_map({"app": app}))
    made = [node(number) for number in range(nodes)]
    began = time.perf_counter()
    for one in made:
        cluster.put_node(one)
    filled = time.perf_counter() - began
    waiting = [slim_pod(pod(number, shape)) for number in range(pods)]
    began, done = time.perf_counter(), 0
    for one_pod in waiting:
        info = reader.info(one_pod)
        decision = cycle.place(info)
        assert isinstance(decision, str), decision.message
        cluster.put_pod(info, decision)
        done += 1
        if time.perf_counter() - began > SECONDS:
            break
    return done / (time.perf_counter() - began), filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, float] = {}
    for shape in SHAPES:
        rate, filled = measure(arguments.nodes, arguments.pods, shape)
        results[f"decisions/s, {shape.__name__} pods, {arguments.nodes} nodes"] = rate
        results.setdefault(f"taking in {arguments.nodes} nodes, ms", filled * 1e3)
    for name, value in results.items():
        print(f"{name:45} {value:12,.1f}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
