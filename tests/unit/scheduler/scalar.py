"""The scheduler said plainly: every filter and score for one pod on one node, straight from the objects, without arrays or memory.

The oracle of the property tests. It shares with the scheduler the meaning of selectors, tolerations and quantities, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.unit.scheduler import scalar_volumes
from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import requirement_holds
from tiphys.api.helpers.taints import tolerates
from tiphys.api.machinery.quantity import milli, whole
from tiphys.api.machinery.selectors import Requirement, Selector, from_label_selector
from tiphys.api.storage import v1 as storage
from tiphys.scheduler.matching import HARD_EFFECTS

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


@dataclass
class World:
    nodes: dict[str, core.Node] = field(default_factory=dict)
    pods: dict[str, tuple[core.Pod, str]] = field(default_factory=dict)
    """By uid, with the node's name."""
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    services: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    claims: dict[tuple[str, str], core.PersistentVolumeClaim] = field(default_factory=dict)
    volumes: dict[str, core.PersistentVolume] = field(default_factory=dict)
    classes: dict[str, storage.StorageClass] = field(default_factory=dict)
    drivers: dict[str, storage.CSIDriver] = field(default_factory=dict)
    csi_nodes: dict[str, storage.CSINode] = field(default_factory=dict)
    capacities: dict[str, storage.CSIStorageCapacity] = field(default_factory=dict)
    attachments: dict[str, storage.VolumeAttachment] = field(default_factory=dict)

    def on(self, node: str) -> list[core.Pod]:
        return [pod for pod, name in self.pods.values() if name == node]

    def placed(self) -> Iterable[tuple[core.Pod, core.Node]]:
        return ((pod, self.nodes[name]) for pod, name in self.pods.values() if name in self.nodes)


def amount(name: str, quantity: str) -> int:
    return milli(quantity) if name == "cpu" else whole(quantity)


def needs(pod: core.Pod, defaults: Mapping[str, int] | None = None) -> dict[str, int]:
    """At every moment of the pod's life, what runs then; the most of it per resource."""

    def of(container: core.Container) -> dict[str, int]:
        own = {name: amount(name, value) for name, value in container.resources.requests.items()}
        return {**(defaults or {}), **own}

    def total(containers: Iterable[core.Container]) -> dict[str, int]:
        result: dict[str, int] = {}
        for container in containers:
            for name, value in of(container).items():
                result[name] = result.get(name, 0) + value
        return result

    moments = []
    sidecars: list[core.Container] = []
    for container in pod.spec.initContainers:
        moments.append(total([*sidecars, container]))
        if container.restartPolicy == "Always":
            sidecars.append(container)
    moments.append(total([*sidecars, *pod.spec.containers]))
    most: dict[str, int] = {}
    for moment in moments:
        for name, value in moment.items():
            most[name] = max(most.get(name, 0), value)
    for name, quantity in pod.spec.overhead.items():
        most[name] = most.get(name, 0) + amount(name, quantity)
    return most


def ports(pod: core.Pod) -> set[tuple[str, int, str]]:
    staying = [one for one in pod.spec.initContainers if one.restartPolicy == "Always"]
    return {
        (port.protocol or "TCP", port.hostPort, port.hostIP or "0.0.0.0")
        for container in [*staying, *pod.spec.containers]
        for port in container.ports
        if port.hostPort
    }


def available(node: core.Node, name: str) -> int:
    return amount(name, node.status.allocatable.get(name, "0"))


def taken(world: World, node: core.Node, name: str) -> int:
    return sum(needs(pod).get(name, 0) for pod in world.on(node.metadata.name))


# ---- filters ---------------------------------------------------------------------------------------------------------------------------


def hard_taints_tolerated(pod: core.Pod, node: core.Node) -> bool:
    return all(any(tolerates(one, taint) for one in pod.spec.tolerations) for taint in node.spec.taints if taint.effect in HARD_EFFECTS)


def term_holds(term: core.NodeSelectorTerm, node: core.Node) -> bool:
    if not term.matchExpressions and not term.matchFields:
        return False
    labels = node.metadata.labels
    return all(requirement_holds(one, labels.get(one.key)) for one in term.matchExpressions) and all(
        one.key == "metadata.name" and requirement_holds(one, node.metadata.name) for one in term.matchFields
    )


def is_named(pod: core.Pod, node: core.Node) -> bool:
    """Return whether the node is among those that the affinity names, if it names any in each of its terms."""
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
    named: list[set[str]] = []
    for term in required.nodeSelectorTerms if required else ():
        lists = [set(one.values) for one in term.matchFields if one.operator == "In"]
        if not lists:
            return True
        named.append(set.intersection(*lists))
    names = set().union(*named)
    return not names or node.metadata.name in names


def affinity_holds(pod: core.Pod, node: core.Node) -> bool:
    if any(node.metadata.labels.get(key) != value for key, value in pod.spec.nodeSelector.items()):
        return False
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
    return required is None or any(term_holds(term, node) for term in required.nodeSelectorTerms)


def fit_reasons(world: World, pod: core.Pod, node: core.Node) -> list[str]:
    reasons = []
    if len(world.on(node.metadata.name)) + 1 > available(node, "pods"):
        reasons.append("Too many pods")
    for name, value in needs(pod).items():
        if value and value > available(node, name) - taken(world, node, name):
            reasons.append(f"Insufficient {name}")
    return reasons


def ports_free(world: World, pod: core.Pod, node: core.Node) -> bool:
    for protocol, number, address in ports(pod):
        for other in world.on(node.metadata.name):
            for other_protocol, other_number, other_address in ports(other):
                same = (protocol, number) == (other_protocol, other_number)
                if same and (address == other_address or "0.0.0.0" in (address, other_address)):
                    return False
    return True


def group_has(term: core.PodAffinityTerm, carrier: core.Pod, other: core.Pod, world: World) -> bool:
    """Return whether a term of `carrier` matches `other`."""
    namespaces = set(term.namespaces)
    if not namespaces and term.namespaceSelector is None:
        namespaces = {carrier.metadata.namespace}
    theirs = other.metadata.namespace
    by_labels = term.namespaceSelector is not None and from_label_selector(term.namespaceSelector).matches(world.namespaces.get(theirs, {}))
    if theirs not in namespaces and not by_labels:
        return False
    for key in term.matchLabelKeys:
        if key in carrier.metadata.labels and other.metadata.labels.get(key) != carrier.metadata.labels[key]:
            return False
    for key in term.mismatchLabelKeys:
        if key in carrier.metadata.labels and other.metadata.labels.get(key) == carrier.metadata.labels[key]:
            return False
    return from_label_selector(term.labelSelector).matches(other.metadata.labels)


def required(pod: core.Pod, kind: str) -> list[core.PodAffinityTerm]:
    affinity = getattr(pod.spec.affinity, kind) if pod.spec.affinity else None
    return affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else []


def preferred(pod: core.Pod, kind: str) -> list[core.WeightedPodAffinityTerm]:
    affinity = getattr(pod.spec.affinity, kind) if pod.spec.affinity else None
    return affinity.preferredDuringSchedulingIgnoredDuringExecution if affinity else []


def together(one: core.Node, other: core.Node, key: str) -> bool:
    value = one.metadata.labels.get(key)
    return value is not None and value == other.metadata.labels.get(key)


def near_holds(world: World, pod: core.Pod, node: core.Node) -> bool:
    terms = required(pod, "podAffinity")
    if any(term.topologyKey not in node.metadata.labels for term in terms):
        return False
    matching = [at for other, at in world.placed() if all(group_has(term, pod, other, world) for term in terms)]
    if all(any(together(node, at, term.topologyKey) for at in matching) for term in terms):
        return True
    nobody = not any(term.topologyKey in at.metadata.labels for at in matching for term in terms)
    return nobody and all(group_has(term, pod, pod, world) for term in terms)


def far_holds(world: World, pod: core.Pod, node: core.Node) -> bool:
    return not any(
        group_has(term, pod, other, world) and together(node, at, term.topologyKey)
        for term in required(pod, "podAntiAffinity")
        for other, at in world.placed()
    )


def tolerated(world: World, pod: core.Pod, node: core.Node) -> bool:
    return not any(
        group_has(term, other, pod, world) and together(node, at, term.topologyKey)
        for other, at in world.placed()
        for term in required(other, "podAntiAffinity")
    )


def spread_selector(spread: core.TopologySpreadConstraint, pod: core.Pod) -> Selector:
    selector = from_label_selector(spread.labelSelector)
    labels = pod.metadata.labels
    more = [Requirement(key, "=", (labels[key],)) for key in spread.matchLabelKeys if key in labels]
    return Selector([*selector.requirements, *more]) if more and not selector.nothing else selector


def spread_counts_on(world: World, selector: Selector, pod: core.Pod, node: core.Node) -> int:
    if selector.empty:
        return 0
    return sum(
        selector.matches(other.metadata.labels)
        for other in world.on(node.metadata.name)
        if other.metadata.namespace == pod.metadata.namespace and other.metadata.deletionTimestamp is None
    )


def spread_includes(spread: core.TopologySpreadConstraint, pod: core.Pod, node: core.Node) -> bool:
    if spread.nodeAffinityPolicy != "Ignore" and not affinity_holds(pod, node):
        return False
    return spread.nodeTaintsPolicy != "Honor" or hard_taints_tolerated(pod, node)


def has_all(node: core.Node, spreads: Iterable[core.TopologySpreadConstraint]) -> bool:
    return all(spread.topologyKey in node.metadata.labels for spread in spreads)


def spread_reason(world: World, pod: core.Pod, node: core.Node) -> str:
    spreads = [one for one in pod.spec.topologySpreadConstraints if one.whenUnsatisfiable == "DoNotSchedule"]
    for spread in spreads:
        key, selector = spread.topologyKey, spread_selector(spread, pod)
        if key not in node.metadata.labels:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        counts: dict[str, int] = {}
        for other in world.nodes.values():
            if has_all(other, spreads) and spread_includes(spread, pod, other):
                value = other.metadata.labels[key]
                counts[value] = counts.get(value, 0) + spread_counts_on(world, selector, pod, other)
        least = min(counts.values()) if len(counts) >= max(spread.minDomains or 1, 1) else 0
        itself = selector.matches(pod.metadata.labels)
        if counts.get(node.metadata.labels[key], 0) + itself - least > spread.maxSkew:
            return "node(s) didn't match pod topology spread constraints"
    return ""


def reasons(world: World, pod: core.Pod, node: core.Node) -> list[str]:
    """Return the reasons of the first filter that rejects the node for the pod; empty when it can run there."""
    if not is_named(pod, node):
        return ["node(s) didn't satisfy plugin(s) [NodeAffinity]"]
    cordon = core.Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
    if node.spec.unschedulable and not any(tolerates(one, cordon) for one in pod.spec.tolerations):
        return ["node(s) were unschedulable"]
    if not hard_taints_tolerated(pod, node):
        return ["node(s) had untolerated taint(s)"]
    if not affinity_holds(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    if not ports_free(world, pod, node):
        return ["node(s) didn't have free ports for the requested pod ports"]
    if found := fit_reasons(world, pod, node):
        return found
    if of_volumes := scalar_volumes.reasons(world, pod, node):
        return of_volumes
    if said := spread_reason(world, pod, node):
        return [said]
    if not near_holds(world, pod, node):
        return ["node(s) didn't match pod affinity rules"]
    if not far_holds(world, pod, node):
        return ["node(s) didn't match pod anti-affinity rules"]
    if not tolerated(world, pod, node):
        return ["node(s) didn't satisfy existing pods anti-affinity rules"]
    return []


# ---- scores ----------------------------------------------------------------------------------------------------------------------------

ASSUMED = {"cpu": 100, "memory": 200 * 1024 * 1024}


def least_allocated(world: World, pod: core.Pod, node: core.Node) -> int:
    total = counted = 0
    for name in ("cpu", "memory"):
        there = available(node, name)
        if there:
            used = sum(needs(other, ASSUMED).get(name, 0) for other in [*world.on(node.metadata.name), pod])
            total += (there - used) * 100 // there if used <= there else 0
            counted += 1
    return total // counted if counted else 0


def balanced(world: World, pod: core.Pod, node: core.Node) -> int:
    wanted = needs(pod)
    if not wanted.get("cpu") and not wanted.get("memory"):
        return 0

    def balance(extra: Mapping[str, int]) -> int:
        there = {name: available(node, name) for name in ("cpu", "memory")}
        shares = [min((taken(world, node, name) + extra.get(name, 0)) / size, 1.0) for name, size in there.items() if size]
        deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
        return int((1 - deviation) * 100)

    return 50 + (50 + balance(wanted) - balance({})) // 2


def preferred_affinity(pod: core.Pod, node: core.Node) -> int:
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity else None
    terms = affinity.preferredDuringSchedulingIgnoredDuringExecution if affinity else []
    return sum(term.weight for term in terms if term_holds(term.preference, node))


def soft_taints(pod: core.Pod, node: core.Node) -> int:
    relevant = [one for one in pod.spec.tolerations if one.effect in ("", "PreferNoSchedule")]
    soft = [taint for taint in node.spec.taints if taint.effect == "PreferNoSchedule"]
    return sum(not any(tolerates(one, taint) for one in relevant) for taint in soft)


def image_locality(world: World, pod: core.Pod, node: core.Node) -> int:
    def has(at: core.Node, name: str) -> int | None:
        return next((image.sizeBytes for image in at.status.images if name in image.names), None)

    total = 0
    containers = [*pod.spec.initContainers, *pod.spec.containers]
    for container in containers:
        name = container.image if ":" in container.image else f"{container.image}:latest"
        size = has(node, name)
        if size is not None:
            total += int(size * (sum(has(at, name) is not None for at in world.nodes.values()) / len(world.nodes)))
    least, most = 23 << 20, (1000 << 20) * len(containers)
    return 100 * (min(max(total, least), most) - least) // (most - least)


def attraction(world: World, pod: core.Pod, node: core.Node) -> int:
    total = 0
    for other, at in world.placed():
        for sign, kind in ((1, "podAffinity"), (-1, "podAntiAffinity")):
            for one in preferred(pod, kind):
                term = one.podAffinityTerm
                if group_has(term, pod, other, world) and together(node, at, term.topologyKey):
                    total += sign * one.weight
            for one in preferred(other, kind):
                term = one.podAffinityTerm
                if group_has(term, other, pod, world) and together(node, at, term.topologyKey):
                    total += sign * one.weight
        for term in required(other, "podAffinity"):
            if group_has(term, other, pod, world) and together(node, at, term.topologyKey):
                total += 1
    return total


def default_spreads(world: World, pod: core.Pod) -> tuple[list[core.TopologySpreadConstraint], Selector]:
    together: dict[str, str] = {}
    for (namespace, _), selector in world.services.items():
        if selector and namespace == pod.metadata.namespace and selector.items() <= pod.metadata.labels.items():
            together |= selector
    spreads = [core.TopologySpreadConstraint(maxSkew=skew, topologyKey=key) for key, skew in ((HOSTNAME, 3), (ZONE, 5))]
    return (spreads if together else []), Selector(Requirement(key, "=", (value,)) for key, value in together.items())


def spread_scores(world: World, pod: core.Pod, candidates: list[core.Node]) -> dict[str, int]:
    if pod.spec.topologySpreadConstraints:
        spreads = [one for one in pod.spec.topologySpreadConstraints if one.whenUnsatisfiable == "ScheduleAnyway"]
        selectors, need_all = [spread_selector(one, pod) for one in spreads], True
    else:
        spreads, selector = default_spreads(world, pod)
        selectors, need_all = [selector] * len(spreads), False
    if not spreads:
        return {node.metadata.name: 0 for node in candidates}
    scored = [node for node in candidates if not need_all or has_all(node, spreads)]
    raw = {node.metadata.name: 0.0 for node in scored}
    for spread, selector in zip(spreads, selectors, strict=True):
        key = spread.topologyKey
        domains = len(scored) if key == HOSTNAME else len({node.metadata.labels.get(key) for node in scored})
        for node in scored:
            if key not in node.metadata.labels:
                continue
            if key == HOSTNAME:
                count = spread_counts_on(world, selector, pod, node)
            else:
                count = sum(
                    spread_counts_on(world, selector, pod, other)
                    for other in world.nodes.values()
                    if together(node, other, key) and (not need_all or has_all(other, spreads)) and spread_includes(spread, pod, other)
                )
            raw[node.metadata.name] += count * math.log(domains + 2) + spread.maxSkew - 1
    rounded = {name: math.floor(value + 0.5) for name, value in raw.items()}
    result = {node.metadata.name: 0 for node in candidates}
    if rounded:
        least, most = min(rounded.values()), max(rounded.values())
        for name, value in rounded.items():
            result[name] = 100 * (most + least - value) // most if most else 100
    return result


def scores(world: World, pod: core.Pod) -> dict[str, float]:
    """The score of each node that can take the pod."""
    candidates = [node for node in world.nodes.values() if not reasons(world, pod, node)]
    names = [node.metadata.name for node in candidates]
    wishes = {node.metadata.name: preferred_affinity(pod, node) for node in candidates}
    taints = {node.metadata.name: soft_taints(pod, node) for node in candidates}
    pulls = {node.metadata.name: attraction(world, pod, node) for node in candidates}
    spreads = spread_scores(world, pod, candidates)
    most_wishes, most_taints = max(wishes.values(), default=0), max(taints.values(), default=0)
    low, high = min(pulls.values(), default=0), max(pulls.values(), default=0)
    result = {}
    for name, node in zip(names, candidates, strict=True):
        result[name] = float(
            least_allocated(world, pod, node)
            + balanced(world, pod, node)
            + image_locality(world, pod, node)
            + 2 * (100 * wishes[name] // most_wishes if most_wishes else 0)
            + 3 * (100 - (100 * taints[name] // most_taints if most_taints else 0))
            + 2 * spreads[name]
            + 2 * (int(100 * ((pulls[name] - low) / (high - low))) if high > low else 0)
        )
    return result
