"""The place where the escalation checks of `tiphys.apiserver.auth.escalation` are made: writes of roles and bindings."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation
from tiphys.apiserver.auth.escalation import EscalationGuard


class RbacEscalation(AdmissionPlugin):
    """Always on: it belongs to RBAC, not to a cluster's taste."""

    name = "RbacEscalation"

    def __init__(self, guard: EscalationGuard) -> None:
        self._guard = guard

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type in (Role, ClusterRole, RoleBinding, ClusterRoleBinding) and operation in ("CREATE", "UPDATE")

    def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object, request.old_object
        if isinstance(new, Role | ClusterRole):
            self._guard.check_role(request.user, new, old if isinstance(old, Role | ClusterRole) else None)
        elif isinstance(new, RoleBinding | ClusterRoleBinding):
            self._guard.check_binding(request.user, new, old if isinstance(old, RoleBinding | ClusterRoleBinding) else None)
