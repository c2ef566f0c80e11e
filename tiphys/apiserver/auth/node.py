"""The Node authorizer: a node reaches what its pods need, and nothing more ("Using Node Authorization", KEP-4601 for selectors).

Which objects the pods of a node refer to is kept as counts per object and node, from the moment the first node asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from tiphys.api.core import v1 as core
from tiphys.api.helpers.pod_claims import claim_name
from tiphys.api.resource.v1 import ResourceClaim
from tiphys.api.storage.v1 import VolumeAttachment
from tiphys.apiserver.auth import policy
from tiphys.apiserver.auth.attributes import READ_VERBS, Attributes
from tiphys.apiserver.auth.authorizer import NO_OPINION, Decision
from tiphys.apiserver.auth.defaults import parse_rules
from tiphys.apiserver.auth.rbac import rules_allow
from tiphys.apiserver.auth.source import ObjectSource
from tiphys.apiserver.auth.volume_secrets import VolumeSecrets

LEASE_NAMESPACE: Final = "kube-node-lease"
_ALLOWED: Final = Decision(True)
_OWN_VERBS: Final = frozenset(("get", "create", "update", "patch", "delete"))

Reference = tuple[str, str, str]
"""(resource, namespace, name)"""


PodCallback = Callable[[core.Pod | None, core.Pod | None], None]


class NodeGraph:
    """Graph of the objects that pods on each node refer to. Follows pods from the first question on.

    `follow(callback)` subscribes to pods in place of the source's `on_change`. It may leave out changes of a pod that touch neither
    `spec.nodeName` nor `spec.ephemeralContainers`: most changes of pods are of their status.
    """

    def __init__(self, source: ObjectSource, follow: Callable[[PodCallback], None] | None = None) -> None:
        self._source = source
        self._follow = follow
        self._nodes: dict[Reference, dict[str, int]] | None = None

    def reaches(self, node: str, resource: str, namespace: str, name: str) -> bool:
        """Return whether a pod bound to the node is, or refers to, the object."""
        nodes = self._nodes if self._nodes is not None else self._load()
        return node in nodes.get((resource, namespace, name), ())

    def _load(self) -> dict[Reference, dict[str, int]]:
        nodes = self._nodes = {}
        if self._follow is not None:
            self._follow(self._pod_changed)
        else:
            self._source.on_change(core.Pod, self._pod_changed)
        for pod in self._source.objects(core.Pod):
            self._count(pod, 1)
        return nodes

    def _pod_changed(self, old: core.Pod | None, new: core.Pod | None) -> None:
        if old is not None and new is not None and _same_references(old, new):
            return
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def _count(self, pod: core.Pod, step: int) -> None:
        node = pod.spec.nodeName
        if not node or self._nodes is None:
            return
        for reference in set(pod_references(pod)):
            counts = self._nodes.setdefault(reference, {})
            counts[node] = counts.get(node, 0) + step
            if counts[node] <= 0:
                del counts[node]
                if not counts:
                    del self._nodes[reference]


def _same_references(old: core.Pod, new: core.Pod) -> bool:
    if old.metadata.uid != new.metadata.uid or old.spec.nodeName != new.spec.nodeName:
        return False
    # Of a pod's references, only this one can change.
    return old.spec.ephemeralContainers == new.spec.ephemeralContainers


def pod_references(pod: core.Pod) -> Iterator[Reference]:
    """The pod itself and every object of its namespace that its spec names, possibly repeated."""
    namespace = pod.metadata.namespace
    spec = pod.spec
    yield "pods", namespace, pod.metadata.name
    if spec.serviceAccountName:
        yield "serviceaccounts", namespace, spec.serviceAccountName
    for secret in spec.imagePullSecrets:
        yield "secrets", namespace, secret.name
    containers: Iterator[core.Container | core.EphemeralContainer] = chain(spec.initContainers, spec.containers, spec.ephemeralContainers)
    for container in containers:
        for source in container.envFrom:
            if source.secretRef is not None:
                yield "secrets", namespace, source.secretRef.name
            if source.configMapRef is not None:
                yield "configmaps", namespace, source.configMapRef.name
        for variable in container.env:
            value = variable.valueFrom
            if value is None:
                continue
            if value.secretKeyRef is not None:
                yield "secrets", namespace, value.secretKeyRef.name
            if value.configMapKeyRef is not None:
                yield "configmaps", namespace, value.configMapKeyRef.name
    for entry in spec.resourceClaims:
        if entry.resourceClaimName:
            yield "resourceclaims", namespace, entry.resourceClaimName
    for volume in spec.volumes:
        for resource, name in _volume_references(pod, volume):
            yield resource, namespace, name


def _volume_references(pod: core.Pod, volume: core.Volume) -> Iterator[tuple[str, str]]:
    if volume.secret is not None:
        yield "secrets", volume.secret.secretName
    if volume.configMap is not None:
        yield "configmaps", volume.configMap.name
    if claim := claim_name(pod.metadata.name, volume):
        yield "persistentvolumeclaims", claim
    if volume.csi is not None and volume.csi.nodePublishSecretRef is not None:
        yield "secrets", volume.csi.nodePublishSecretRef.name
    for projection in volume.projected.sources if volume.projected is not None else ():
        if projection.secret is not None:
            yield "secrets", projection.secret.name
        if projection.configMap is not None:
            yield "configmaps", projection.configMap.name


class NodeAuthorizer:
    """Allows or has no opinion; asked only about callers `system:node:NAME` in the group `system:nodes`."""

    def __init__(self, source: ObjectSource, follow: Callable[[PodCallback], None] | None = None) -> None:
        self._source = source
        self._graph = NodeGraph(source, follow)
        self._volume_secrets = VolumeSecrets(source)
        self._rules = parse_rules(policy.NODE)

    def authorize(self, attributes: Attributes) -> Decision:
        """Decide on a request of a node. Reasons say what nodes may do instead."""
        node = attributes.user.node
        if not node:
            return NO_OPINION
        if attributes.is_resource:
            match attributes.group, attributes.resource:
                case "", "secrets" | "configmaps":
                    return self._read(node, attributes)
                case "", "pods":
                    return self._pods(node, attributes)
                case "", "nodes":
                    return self._own_node(node, attributes)
                case "", "serviceaccounts":
                    return self._service_account(node, attributes)
                case "", "persistentvolumeclaims" | "persistentvolumes":
                    return self._volume(node, attributes)
                case "resource.k8s.io", "resourceclaims":
                    return self._claim(node, attributes)
                case "resource.k8s.io", "resourceslices":
                    return self._slices(node, attributes)
                case "storage.k8s.io", "volumeattachments":
                    return self._attachment(node, attributes)
                case "storage.k8s.io", "csinodes":
                    return self._own(node, attributes, "CSINode")
                case "coordination.k8s.io", "leases":
                    if attributes.namespace != LEASE_NAMESPACE:
                        return Decision(False, f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
                    return self._own(node, attributes, "node lease")
        return _ALLOWED if rules_allow(self._rules, attributes) else NO_OPINION

    def _claim(self, node: str, attributes: Attributes) -> Decision:
        """Let a node read the claims that its pods name, and those made for its pods, whose names are in the pods' status only."""
        if attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only read resources of this type")
        decision = self._reaches(node, attributes)
        claim = self._source.get(ResourceClaim, attributes.namespace, attributes.name) if not decision.allowed else None
        for consumer in claim.status.reservedFor if claim is not None else ():
            pod = self._source.get(core.Pod, attributes.namespace, consumer.name)
            if pod is not None and pod.metadata.uid == consumer.uid and pod.spec.nodeName == node:
                return _ALLOWED
        return decision

    @staticmethod
    def _slices(node: str, attributes: Attributes) -> Decision:
        """Let a node delete the slices of its drivers (KEP-4381); its drivers write them with rights of their own."""
        if attributes.verb != "deletecollection" or attributes.subresource:
            return Decision(False, "can only delete collections of ResourceSlices")
        if _selects(attributes.field_selector, "spec.nodeName", node):
            return _ALLOWED
        return Decision(False, "can only delete ResourceSlices with spec.nodeName field selector")

    def _reaches(self, node: str, attributes: Attributes) -> Decision:
        if not attributes.name:
            return Decision(False, "No Object name found")
        if self._graph.reaches(node, attributes.resource, attributes.namespace, attributes.name):
            return _ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _read(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in READ_VERBS or attributes.subresource:
            return Decision(False, "can only read resources of this type")
        if not attributes.namespace:
            return Decision(False, "can only read namespaced object of this type")
        decision = self._reaches(node, attributes)
        if not decision.allowed and attributes.resource == "secrets" and self._mounts(node, attributes):
            return _ALLOWED
        return decision

    def _mounts(self, node: str, attributes: Attributes) -> bool:
        """Return whether a volume of the node's pods needs the secret."""
        claims = self._volume_secrets.claims(attributes.namespace, attributes.name)
        return any(self._graph.reaches(node, "persistentvolumeclaims", namespace, name) for namespace, name in claims)

    def _pods(self, node: str, attributes: Attributes) -> Decision:
        verb = attributes.verb
        match attributes.subresource:
            # What a node writes is looked at by NodeRestriction, which sees the object.
            case "" if verb in ("create", "delete"):
                return _ALLOWED
            case "" if verb == "get":
                return self._reaches(node, attributes)
            case "" if verb in ("list", "watch"):
                if _selects(attributes.field_selector, "spec.nodeName", node):
                    return _ALLOWED
                if attributes.name:
                    return self._reaches(node, attributes)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            case "status" if verb in ("update", "patch"):
                return _ALLOWED
            case "eviction" if verb == "create":
                return _ALLOWED
        return NO_OPINION

    @staticmethod
    def _own_node(node: str, attributes: Attributes) -> Decision:
        verb = attributes.verb
        if attributes.subresource == "status":
            return _ALLOWED if verb in ("update", "patch") else NO_OPINION
        if attributes.subresource:
            return NO_OPINION
        if verb in ("create", "update", "patch"):
            return _ALLOWED
        if verb not in READ_VERBS:
            return NO_OPINION
        if attributes.name == node:
            return _ALLOWED
        what = f"'{attributes.name}'" if attributes.name else "all nodes"
        return Decision(False, f"node '{node}' cannot read {what}, only its own Node object")

    def _service_account(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb == "get" and not attributes.subresource:
            return self._read(node, attributes)
        if attributes.verb != "create" or attributes.subresource != "token" or not attributes.name:
            return Decision(False, "can only create tokens for individual service accounts")
        return self._reaches(node, attributes)

    def _volume(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource == "status" and attributes.resource == "persistentvolumeclaims":
            if attributes.verb not in ("get", "update", "patch"):
                return Decision(False, "can only get/update/patch this type")
            return self._reaches(node, attributes)
        if attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only get individual resources of this type")
        if attributes.resource == "persistentvolumeclaims":
            return self._reaches(node, attributes)
        volume = self._source.get(core.PersistentVolume, "", attributes.name)
        claim = volume.spec.claimRef if volume is not None else None
        if claim is not None and self._graph.reaches(node, "persistentvolumeclaims", claim.namespace, claim.name):
            return _ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _attachment(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only get individual resources of this type")
        attachment = self._source.get(VolumeAttachment, "", attributes.name)
        if attachment is not None and attachment.spec.nodeName == node:
            return _ALLOWED
        return Decision(False, f"no relationship found between node '{node}' and this object")

    @staticmethod
    def _own(node: str, attributes: Attributes, what: str) -> Decision:
        if attributes.verb not in _OWN_VERBS or attributes.subresource:
            return Decision(False, f"can only get, create, update, patch, or delete a {what}")
        # The name of a create is in the object, which NodeRestriction sees.
        if attributes.verb != "create" and attributes.name != node:
            return Decision(False, f"can only access {what} with the same name as the requesting node")
        return _ALLOWED


def _selects(selector: str, field: str, value: str) -> bool:
    return any(part in (f"{field}={value}", f"{field}=={value}") for part in selector.split(","))
