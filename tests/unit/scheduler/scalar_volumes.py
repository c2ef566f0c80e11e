"""The part of the plain twin about volumes: reasons against all nodes, and against one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from tiphys.api.core import v1 as core
from tiphys.api.helpers.node_selector import requirement_holds
from tiphys.api.machinery.quantity import parse
from tiphys.api.machinery.selectors import from_label_selector
from tiphys.api.meta import v1 as meta

if TYPE_CHECKING:
    from tests.unit.scheduler.scalar import World

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
BETA_ZONE, BETA_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
FAR, GONE = (
    "node(s) didn't match PersistentVolume's node affinity",
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
)
UNMATCHED, SHORT = "node(s) didn't find available persistent volumes to bind", "node(s) did not have enough free storage"
Claim = core.PersistentVolumeClaim


def uses(pod: core.Pod) -> Iterator[tuple[str, bool]]:
    """The names of the pod's claims, and whether they are made for it."""
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            yield volume.persistentVolumeClaim.claimName, False
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}", True


def claims_of(world: World, pod: core.Pod) -> list[Claim]:
    keys = [(pod.metadata.namespace, name) for name, _ in uses(pod)]
    return [world.claims[key] for key in keys if key in world.claims]


def has_volume(claim: Claim) -> bool:
    return bool(claim.spec.volumeName) and "pv.kubernetes.io/bind-completed" in claim.metadata.annotations


def waits(world: World, claim: Claim) -> bool:
    found = world.classes.get(claim.spec.storageClassName or "")
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer" and not claim.spec.volumeName


def refusal(world: World, pod: core.Pod) -> str:
    """Return the reason against all nodes."""
    namespace = pod.metadata.namespace
    for name, ephemeral in uses(pod):
        if not ephemeral and (namespace, name) not in world.claims:
            return f'persistentvolumeclaim "{name}" not found'
    for name, ephemeral in uses(pod):
        claim = world.claims.get((namespace, name))
        if claim is None:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        if claim.status.phase == "Lost":
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.spec.volumeName}"'
        if claim.metadata.deletionTimestamp is not None:
            return f'persistentvolumeclaim "{name}" is being deleted'
        if ephemeral and claim.metadata.ownerReferences[0].uid != pod.metadata.uid:
            return f"PVC {namespace}/{name} was not created for pod {namespace}/{pod.metadata.name} (pod is not owner)"
    if not all(has_volume(claim) or waits(world, claim) for claim in claims_of(world, pod)):
        return "pod has unbound immediate PersistentVolumeClaims"
    for name, ephemeral in uses(pod):
        claim = world.claims[namespace, name]
        if not ephemeral and claim.spec.volumeName and claim.spec.volumeName not in world.volumes:
            return f'persistentvolume "{claim.spec.volumeName}" not found'
    return ""


def reasons(world: World, pod: core.Pod, node: core.Node) -> list[str]:
    """Return the reasons of the first plugin that rejects the node because of the pod's volumes."""
    if any(clash(mine, theirs) for other in world.on(node.metadata.name) for theirs in other.spec.volumes for mine in pod.spec.volumes):
        return ["node(s) had no available disk"]
    if taken(world, pod):
        return ["node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"]
    if crowded(world, pod, node):
        return ["node(s) exceed max volume count"]
    return binding_reasons(world, pod, node) or zone_reasons(world, pod, node)


def clash(one: core.Volume, other: core.Volume) -> bool:
    if one.gcePersistentDisk and other.gcePersistentDisk:
        same = one.gcePersistentDisk.pdName == other.gcePersistentDisk.pdName
        return same and not (one.gcePersistentDisk.readOnly and other.gcePersistentDisk.readOnly)
    if one.awsElasticBlockStore and other.awsElasticBlockStore:
        return one.awsElasticBlockStore.volumeID == other.awsElasticBlockStore.volumeID
    if one.iscsi and other.iscsi:
        return one.iscsi.iqn == other.iscsi.iqn and not (one.iscsi.readOnly and other.iscsi.readOnly)
    if one.rbd and other.rbd:
        image = (one.rbd.pool, one.rbd.image) == (other.rbd.pool, other.rbd.image)
        return image and bool(set(one.rbd.monitors) & set(other.rbd.monitors)) and not (one.rbd.readOnly and other.rbd.readOnly)
    return False


def taken(world: World, pod: core.Pod) -> bool:
    mine = {
        name
        for name, ephemeral in uses(pod)
        if not ephemeral and "ReadWriteOncePod" in world.claims[pod.metadata.namespace, name].spec.accessModes
    }
    return any(
        name in mine
        for other, _ in world.pods.values()
        if other.metadata.namespace == pod.metadata.namespace and other.metadata.uid != pod.metadata.uid
        for name, _ in uses(other)
    )


def attached(world: World, pods: Iterable[core.Pod]) -> set[tuple[str, str]]:
    result = set()
    for pod in pods:
        for claim in claims_of(world, pod):
            volume, found = world.volumes.get(claim.spec.volumeName), world.classes.get(claim.spec.storageClassName or "")
            if volume is not None:
                if volume.spec.csi is not None:
                    result.add((volume.spec.csi.driver, volume.spec.csi.volumeHandle))
            elif found is not None:
                result.add((found.provisioner, f"{claim.metadata.namespace}/{claim.metadata.name}"))
    return result


def crowded(world: World, pod: core.Pod, node: core.Node) -> bool:
    there = attached(world, world.on(node.metadata.name))
    for attachment in world.attachments.values():
        volume = world.volumes.get(attachment.spec.source.persistentVolumeName or "")
        if attachment.spec.nodeName == node.metadata.name and volume is not None and volume.spec.csi is not None:
            there.add((attachment.spec.attacher, volume.spec.csi.volumeHandle))
    new = attached(world, [pod]) - there
    csi_node = world.csi_nodes.get(node.metadata.name)
    for driver in (csi_node.spec.drivers or ()) if csi_node is not None else ():
        if driver.allocatable is not None and driver.allocatable.count is not None:
            more = sum(name == driver.name for name, _ in new)
            if more and more + sum(name == driver.name for name, _ in there) > driver.allocatable.count:
                return True
    return False


# ---- binding ---------------------------------------------------------------------------------------------------------------------------


def reaches(volume: core.PersistentVolume, node: core.Node) -> bool:
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return True
    return any(
        all(requirement_holds(one, node.metadata.labels.get(one.key)) for one in term.matchExpressions)
        for term in affinity.required.nodeSelectorTerms
        if term.matchExpressions or term.matchFields
    )


def size(amounts: dict[str, object]) -> Decimal:
    return parse(str(amounts["storage"]))


def find_volume(world: World, claim: Claim, node: core.Node, excluded: set[str]) -> str | None:
    own, free = [], []
    for volume in world.volumes.values():
        spec, reference = volume.spec, volume.spec.claimRef
        if volume.metadata.name in excluded or spec.storageClassName != claim.spec.storageClassName:
            continue
        if volume.metadata.deletionTimestamp is not None or not set(claim.spec.accessModes) <= set(spec.accessModes):
            continue
        if size(dict(spec.capacity)) < size(dict(claim.spec.resources.requests)):
            continue
        rank = (size(dict(spec.capacity)), volume.metadata.name)
        if reference is not None:
            if (reference.namespace, reference.name) == (claim.metadata.namespace, claim.metadata.name) and reference.uid in (
                "",
                claim.metadata.uid,
            ):
                own.append(rank)
        elif volume.status.phase == "Available":
            selector = claim.spec.selector
            if selector is None or from_label_selector(selector).matches(volume.metadata.labels):
                free.append(rank)
    return next((name for _, name in sorted(own or free) if reaches(world.volumes[name], node)), None)


def binding_reasons(world: World, pod: core.Pod, node: core.Node) -> list[str]:
    result: list[str] = []
    claims = claims_of(world, pod)
    for claim in claims:
        if has_volume(claim):
            volume = world.volumes.get(claim.spec.volumeName)
            if volume is None or not reaches(volume, node):
                result.append(GONE if volume is None else FAR)
                break
    to_make: list[Claim] = []
    to_find: list[Claim] = []
    for claim in claims:
        if not has_volume(claim):
            selected = claim.metadata.annotations.get("volume.kubernetes.io/selected-node")
            if selected is not None and selected != node.metadata.name:
                return [*result, UNMATCHED]
            (to_find if selected is None else to_make).append(claim)
    chosen: set[str] = set()
    for claim in sorted(to_find, key=lambda one: size(dict(one.spec.resources.requests))):
        name = find_volume(world, claim, node, chosen)
        if name is None:
            to_make.append(claim)
        else:
            chosen.add(name)
    for claim in to_make:
        reason = provision_reason(world, claim, node)
        if reason:
            return [*result, reason]
    return result


def provision_reason(world: World, claim: Claim, node: core.Node) -> str:
    found = world.classes[claim.spec.storageClassName or ""]
    labels = node.metadata.labels
    if found.provisioner == "kubernetes.io/no-provisioner":
        return UNMATCHED
    if found.allowedTopologies and not any(
        all(labels.get(one.key) in one.values for one in term.matchLabelExpressions) for term in found.allowedTopologies
    ):
        return UNMATCHED
    driver = world.drivers.get(found.provisioner)
    if driver is None or not driver.spec.storageCapacity:
        return ""
    for capacity in world.capacities.values():
        limit = capacity.maximumVolumeSize if capacity.maximumVolumeSize is not None else capacity.capacity
        topology = capacity.nodeTopology
        if capacity.storageClassName != found.metadata.name or limit is None or topology is None:
            continue
        if parse(limit) >= size(dict(claim.spec.resources.requests)) and selects(topology, labels):
            return ""
    return SHORT


def selects(selector: meta.LabelSelector, labels: dict[str, str]) -> bool:
    return from_label_selector(selector).matches(labels)


def zone_reasons(world: World, pod: core.Pod, node: core.Node) -> list[str]:
    labels = node.metadata.labels
    if not any(label in labels for label in (ZONE, REGION, BETA_ZONE, BETA_REGION)):
        return []
    for name, ephemeral in uses(pod):
        volume = world.volumes.get(world.claims[pod.metadata.namespace, name].spec.volumeName)
        for label in (ZONE, REGION, BETA_ZONE, BETA_REGION) if volume is not None and not ephemeral else ():
            assert volume is not None
            if label in volume.metadata.labels:
                new = {BETA_ZONE: ZONE, BETA_REGION: REGION}.get(label, label)
                value = labels.get(label, labels.get(new))
                if value not in volume.metadata.labels[label].split("__"):
                    return ["node(s) had no available volume zone"]
    return []
