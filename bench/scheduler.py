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
from tiphys.api.storage import v1 as storage
from tiphys.api.well_known import BIND_COMPLETED
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


def delayed(pod: core.Pod) -> None:
    """With a claim of its own, whose volume is made on the node that is chosen."""
    source = core.PersistentVolumeClaimVolumeSource(claimName=pod.metadata.name)
    pod.spec.volumes = [core.Volume(name="data", persistentVolumeClaim=source)]


def bound(pod: core.Pod) -> None:
    """With a claim of its own, whose volume can be reached in one zone."""
    delayed(pod)


SHAPES: tuple[Shape, ...] = (plain, owned, spread, apart, together, delayed, bound)


def claim_for(pod: core.Pod, cluster: Snapshot, number: int, shape: Shape) -> None:
    """Put the claim of a pod in place, with its volume if it is bound."""
    name = pod.metadata.name
    claim = core.PersistentVolumeClaim(
        metadata=meta.ObjectMeta(name=name, namespace="default", uid=name),
        spec=core.PersistentVolumeClaimSpec(
            accessModes=["ReadWriteOnce"],
            storageClassName="disks",
            resources=core.VolumeResourceRequirements(requests={"storage": "1Gi"}),  # type: ignore[dict-item]
        ),
    )
    if shape is bound:
        claim.spec.volumeName, claim.metadata.annotations = f"volume-{name}", {BIND_COMPLETED: "yes"}
        zone = core.NodeSelectorRequirement(key=ZONE, operator="In", values=[f"zone-{number % 3}"])
        selector = core.NodeSelector(nodeSelectorTerms=[core.NodeSelectorTerm(matchExpressions=[zone])])
        spec = core.PersistentVolumeSpec(nodeAffinity=core.VolumeNodeAffinity(required=selector), storageClassName="disks")
        spec.claimRef = core.ObjectReference(namespace="default", name=name, uid=name)
        cluster.volumes.put_volume(core.PersistentVolume(metadata=meta.ObjectMeta(name=claim.spec.volumeName), spec=spec))
    cluster.volumes.put_claim(claim)


def measure(nodes: int, pods: int, shape: Shape) -> tuple[float, float]:
    """Decisions per second with everything that goes with them (reading the pod, counting it on its node), and seconds to take in nodes."""
    cluster, reader = Snapshot(), Reader()
    cycle = Cycle(cluster, rng=random.Random(1))
    for number in range(TEMPLATES):
        app = f"app-{number}"
        cluster.relations.defaults.put_owner("default", Owner("apps", "ReplicaSet", app), from_map({"app": app}))
    made = [node(number) for number in range(nodes)]
    began = time.perf_counter()
    for one_node in made:
        cluster.put_node(one_node)
    filled = time.perf_counter() - began
    made_pods = [pod(number, shape) for number in range(pods)]
    waiting = [slim_pod(one_pod) for one_pod in made_pods]
    if shape in (delayed, bound):
        disks = storage.StorageClass(metadata=meta.ObjectMeta(name="disks"), provisioner="disks", volumeBindingMode="WaitForFirstConsumer")
        cluster.volumes.put_class("disks", disks)
        for number, one_pod in enumerate(made_pods):
            claim_for(one_pod, cluster, number, shape)
    began, done = time.perf_counter(), 0
    for one in waiting:
        info = reader.info(one)
        decision = cycle.place(info)
        assert isinstance(decision, str), decision.message
        plan = cycle.plan(info, decision)
        if plan is not None:
            cluster.volumes.reserve(info.uid, plan)
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
