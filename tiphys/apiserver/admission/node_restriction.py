"""NodeRestriction: a node changes itself, its lease and its pods, and asks for tokens of those pods and for certificates of its own only.

The Node authorizer has looked at verbs and names; this plugin looks at the objects. ("Admission Control in Kubernetes: NodeRestriction")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from tiphys.api import well_known
from tiphys.api.authentication.v1 import TokenRequest
from tiphys.api.certificates.certificate_signing_request import Unreadable, read_request
from tiphys.api.certificates.v1 import CertificateSigningRequest
from tiphys.api.coordination.v1 import Lease
from tiphys.api.core import v1 as core
from tiphys.api.helpers.certificates import KUBELET_CLIENT, KUBELET_SERVING, common_name
from tiphys.api.helpers.pod_claims import claim_name
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.storage.v1 import CSIDriver, CSINode
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.node import LEASE_NAMESPACE, pod_references
from tiphys.apiserver.auth.source import ObjectSource

_OWN_LABELS: Final = frozenset(
    (
        well_known.HOSTNAME,
        well_known.OS,
        well_known.ARCH,
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        well_known.ZONE,
        well_known.REGION,
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    )
)
_OWN_PREFIXES: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED: Final = "node-restriction.kubernetes.io"


class NodeRestriction(AdmissionPlugin):
    """See the module. `authorizer` decides whether a node may have tokens for audiences that no volume of the pod asks for."""

    name = "NodeRestriction"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._checks: dict[type, Callable[[AdmissionRequest, str], None]] = {
            core.Pod: self._pod,
            core.Node: self._node,
            core.PersistentVolumeClaim: self._claim,
            core.ServiceAccount: self._token,
            Lease: self._lease,
            CSINode: self._csi_node,
            CertificateSigningRequest: self._signing_request,
        }

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type in self._checks and operation != "CONNECT"

    def admit(self, request: AdmissionRequest) -> None:
        node = request.user.node
        if node:
            self._checks[request.kind.type](request, node)

    def _pod(self, request: AdmissionRequest, node: str) -> None:
        match request.subresource, request.operation:
            case "", "CREATE":
                self._create_mirror(request, node)
            case "", "DELETE":
                if _pod_of(request, request.name).spec.nodeName != node:
                    raise request.forbidden(f'node "{node}" can only delete pods with spec.nodeName set to itself')
            case "status", "UPDATE":
                self._pod_status(request, node)
            case "eviction", "CREATE":
                if _pod_of(request, request.name).spec.nodeName != node:
                    raise request.forbidden(f"node {node} can only evict pods with spec.nodeName set to itself")
            case "", operation:
                raise request.forbidden(f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods')
            case subresource, _:
                raise request.forbidden(f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed")

    @staticmethod
    def _create_mirror(request: AdmissionRequest, node: str) -> None:
        pod = request.object
        assert isinstance(pod, core.Pod)
        if well_known.CONFIG_MIRROR not in pod.metadata.annotations:
            raise request.forbidden(f'pod does not have "{well_known.CONFIG_MIRROR}" annotation, node "{node}" can only create mirror pods')
        if pod.spec.nodeName != node:
            raise request.forbidden(f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = pod.metadata.ownerReferences
        if len(owners) > 1:
            raise request.forbidden(f'node "{node}" can only create pods with a single owner reference set to itself')
        if not owners or (owners[0].apiVersion, owners[0].kind, owners[0].name) != ("v1", "Node", node):
            raise request.forbidden(f'node "{node}" can only create pods with an owner reference set to itself')
        owner = owners[0]
        if not owner.controller:
            raise request.forbidden(f'node "{node}" can only create pods with a controller owner reference set to itself')
        if owner.blockOwnerDeletion:
            raise request.forbidden(f'node "{node}" must not set blockOwnerDeletion on an owner reference')
        known = request.source.get(core.Node, "", node)
        if known is None:
            raise NotFound.object("nodes", node)
        if known.metadata.uid != owner.uid:
            raise request.forbidden(f"node {node} UID mismatch: expected {owner.uid} got {known.metadata.uid}")
        for resource, _, _ in pod_references(pod):
            if resource != "pods":
                raise request.forbidden(f'node "{node}" can not create pods that reference {resource}')

    @staticmethod
    def _signing_request(request: AdmissionRequest, node: str) -> None:
        """Refuse certificates of other nodes; the signers check the rest."""
        if request.operation != "CREATE" or request.subresource:
            return
        csr = request.object
        assert isinstance(csr, CertificateSigningRequest)
        if csr.spec.signerName not in (KUBELET_CLIENT, KUBELET_SERVING):
            return
        try:
            name = common_name(read_request(csr.spec.request))
        except Unreadable as error:
            raise request.forbidden(f"unable to parse csr: {error}") from None
        if name != f"system:node:{node}":
            raise request.forbidden(f"can only create a node CSR with CN=system:node:{node}")

    @staticmethod
    def _pod_status(request: AdmissionRequest, node: str) -> None:
        new, old = request.object, request.old_object
        assert isinstance(new, core.Pod)
        assert isinstance(old, core.Pod)
        if old.spec.nodeName != node:
            raise request.forbidden(f'node "{node}" can only update pod status for pods with spec.nodeName set to itself')
        if old.metadata.labels != new.metadata.labels:
            raise request.forbidden(f'node "{node}" cannot update labels through pod status')
        if old.status.resourceClaimStatuses != new.status.resourceClaimStatuses:
            raise request.forbidden(f'node "{node}" cannot update resource claim statues')

    @staticmethod
    def _node(request: AdmissionRequest, node: str) -> None:
        new, old = request.object, request.old_object
        name = request.name or (new.metadata.name if new is not None else "")
        if name != node:
            raise request.forbidden(f'node "{node}" is not allowed to modify node "{name}"')
        if request.operation == "CREATE" and isinstance(new, core.Node):
            if new.spec.configSource is not None:
                raise request.forbidden(f'node "{node}" is not allowed to create pods with a non-nil configSource')
            wrong = _forbidden_labels(new.metadata.labels, {})
            if wrong:
                raise request.forbidden(f'node "{node}" is not allowed to set the following labels: {wrong}')
        elif request.operation == "UPDATE" and isinstance(new, core.Node) and isinstance(old, core.Node):
            if new.spec.configSource is not None and new.spec.configSource != old.spec.configSource:
                raise request.forbidden(f'node "{node}" is not allowed to update configSource to a new non-nil configSource')
            if new.spec.taints != old.spec.taints:
                raise request.forbidden(f'node "{node}" is not allowed to modify taints')
            if new.metadata.ownerReferences != old.metadata.ownerReferences:
                raise request.forbidden(f'node "{node}" is not allowed to modify ownerReferences')
            wrong = _forbidden_labels(new.metadata.labels, old.metadata.labels)
            if wrong:
                raise request.forbidden(f"is not allowed to modify labels: {wrong}")

    @staticmethod
    def _claim(request: AdmissionRequest, node: str) -> None:
        if request.subresource != "status" or request.operation != "UPDATE":
            raise request.forbidden("may only update PVC status")
        new, old = request.object, request.old_object
        assert isinstance(new, core.PersistentVolumeClaim)
        assert isinstance(old, core.PersistentVolumeClaim)
        same = (
            new.spec == old.spec
            and new.metadata.labels == old.metadata.labels
            and new.metadata.annotations == old.metadata.annotations
            and new.metadata.finalizers == old.metadata.finalizers
            and new.metadata.ownerReferences == old.metadata.ownerReferences
            and new.status.phase == old.status.phase
        )
        if not same:
            raise request.forbidden(f'node "{node}" is not allowed to update fields other than status.quantity and status.conditions')

    def _token(self, request: AdmissionRequest, node: str) -> None:
        token_request = request.object
        if request.subresource != "token" or not isinstance(token_request, TokenRequest):
            return
        ref = token_request.spec.boundObjectRef
        if ref is None or (ref.apiVersion, ref.kind) != ("v1", "Pod") or not ref.name:
            raise request.forbidden("node requested token not bound to a pod")
        if not ref.uid:
            raise request.forbidden("node requested token with a pod binding without a uid")
        pod = _pod_of(request, ref.name)
        if pod.metadata.uid != ref.uid:
            raise request.forbidden(
                f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        if pod.spec.nodeName != node:
            raise request.forbidden("node requested token bound to a pod scheduled on a different node")
        self._audience(request, token_request, pod)

    def _audience(self, request: AdmissionRequest, token_request: TokenRequest, pod: core.Pod) -> None:
        audiences = token_request.spec.audiences
        if len(audiences) > 1:
            raise request.forbidden("node may only request 0 or 1 audiences")
        audience = audiences[0] if audiences else ""
        if audience in _projected_audiences(pod) or audience in _driver_audiences(request.source, pod):
            return
        user = request.user
        verb = "request-serviceaccounts-token-audience"
        attributes = Attributes(user, verb, "", "v1", audience, namespace=request.namespace, name=request.name)
        if not self._authorizer.authorize(attributes).allowed:
            raise request.forbidden(
                f'audience "{audience}" not found in pod spec volume, {user.name} is not authorized to request tokens for this audience'
            )

    @staticmethod
    def _lease(request: AdmissionRequest, node: str) -> None:
        if request.namespace != LEASE_NAMESPACE:
            raise request.forbidden(f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
        if _target(request) != node:
            raise request.forbidden("can only access node lease with the same name as the requesting node")

    @staticmethod
    def _csi_node(request: AdmissionRequest, node: str) -> None:
        if _target(request) != node:
            raise request.forbidden("can only access CSINode with the same name as the requesting node")


def _target(request: AdmissionRequest) -> str:
    if request.operation == "CREATE" and request.object is not None:
        return request.object.metadata.name
    return request.name


def _pod_of(request: AdmissionRequest, name: str) -> core.Pod:
    pod = request.source.get(core.Pod, request.namespace, name)
    if pod is None:
        raise NotFound.object("pods", name)
    return pod


def _projected_audiences(pod: core.Pod) -> set[str]:
    return {
        source.serviceAccountToken.audience
        for volume in pod.spec.volumes
        if volume.projected is not None
        for source in volume.projected.sources
        if source.serviceAccountToken is not None
    }


def _driver_audiences(source: ObjectSource, pod: core.Pod) -> Iterator[str]:
    """Yield the audiences for which the drivers of the pod's volumes are given tokens."""
    drivers = dict.fromkeys(_driver(source, pod, volume) for volume in pod.spec.volumes)
    for name in drivers:
        driver = source.get(CSIDriver, "", name) if name else None
        for request in driver.spec.tokenRequests if driver is not None else ():
            yield request.audience


def _driver(source: ObjectSource, pod: core.Pod, volume: core.Volume) -> str:
    if volume.csi is not None:
        return volume.csi.driver
    claim = claim_name(pod.metadata.name, volume)
    bound = source.get(core.PersistentVolumeClaim, pod.metadata.namespace, claim) if claim else None
    persistent = source.get(core.PersistentVolume, "", bound.spec.volumeName) if bound is not None and bound.spec.volumeName else None
    return persistent.spec.csi.driver if persistent is not None and persistent.spec.csi is not None else ""


def _forbidden_labels(new: dict[str, str], old: dict[str, str]) -> str:
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    return ", ".join(sorted(key for key in changed if not _may_label(key)))


def _may_label(key: str) -> bool:
    """Return whether a node may label itself so: any label outside kubernetes.io and k8s.io, and there those that describe the machine."""
    prefix, slash, _ = key.partition("/")
    if not slash:
        return True
    if _within(prefix, _RESTRICTED):
        return False
    if not (_within(prefix, "kubernetes.io") or _within(prefix, "k8s.io")):
        return True
    return key in _OWN_LABELS or any(_within(prefix, own) for own in _OWN_PREFIXES)


def _within(prefix: str, domain: str) -> bool:
    return prefix == domain or prefix.endswith(f".{domain}")
