"""Defaults of the small kinds."""

from __future__ import annotations

from tiphys.api.core.v1 import LimitRange, Namespace, Node, Secret
from tiphys.api.rbac.v1 import ClusterRoleBinding, RoleBinding
from tiphys.api.scheduling.v1 import PriorityClass

RBAC_GROUP = "rbac.authorization.k8s.io"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def default_secret(secret: Secret) -> None:
    """The type, and `stringData`, which is a way to write `data` and is never stored."""
    secret.type = secret.type or "Opaque"
    if secret.stringData:
        secret.data.update((key, value.encode()) for key, value in secret.stringData.items())
        secret.stringData = {}


def default_namespace(namespace: Namespace) -> None:
    if namespace.metadata.name:
        namespace.metadata.labels[NAMESPACE_NAME_LABEL] = namespace.metadata.name
    namespace.status.phase = namespace.status.phase or "Active"


def default_node(node: Node) -> None:
    if not node.status.allocatable and node.status.capacity:
        node.status.allocatable = dict(node.status.capacity)


def default_binding(binding: RoleBinding | ClusterRoleBinding) -> None:
    binding.roleRef.apiGroup = binding.roleRef.apiGroup or RBAC_GROUP
    for subject in binding.subjects:
        if not subject.apiGroup and subject.kind in ("User", "Group"):
            subject.apiGroup = RBAC_GROUP


def default_priority_class(priority_class: PriorityClass) -> None:
    if priority_class.preemptionPolicy is None:
        priority_class.preemptionPolicy = "PreemptLowerPriority"


def default_limit_range(limits: LimitRange) -> None:
    """For containers a maximum is the default limit, that the default request, and a minimum what is requested at least."""
    for item in limits.spec.limits or []:
        if item.type == "Container":
            item.default = {**item.max, **item.default}
            item.defaultRequest = {**item.min, **item.default, **item.defaultRequest}
