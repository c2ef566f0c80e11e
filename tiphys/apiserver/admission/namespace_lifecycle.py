"""NamespaceLifecycle: nothing is created in a namespace that is missing or going away, and three namespaces never go away."""

from __future__ import annotations

from typing import Any

from tiphys.api.core.v1 import Namespace
from tiphys.api.machinery.errors import NotFound
from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1.status import StatusCause, StatusDetails
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, NotYet, Operation

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
PATIENCE = 0.05
"""Seconds to wait for a namespace that another API server may just have created."""


class NamespaceLifecycle(AdmissionPlugin):
    """See the module. Questions may be about namespaces that do not exist."""

    name = "NamespaceLifecycle"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        if kind.type is Namespace:
            return operation == "DELETE" and not subresource
        return operation == "CREATE" and kind.namespaced and not kind.question

    def admit(self, request: AdmissionRequest) -> None:
        if request.operation == "DELETE":
            if request.name in IMMORTAL:
                raise request.forbidden("this namespace may not be deleted")
            return
        namespace = request.source.get(Namespace, "", request.namespace)
        if namespace is None:
            raise NotYet(NotFound.object("namespaces", request.namespace), patience=PATIENCE, interval=0.01)
        if namespace.status.phase == "Terminating" or namespace.metadata.deletionTimestamp is not None:
            raise self._terminating(request)

    @staticmethod
    def _terminating(request: AdmissionRequest) -> Exception:
        name = request.namespace
        error = request.forbidden(f"unable to create new content in namespace {name} because it is being terminated")
        cause = StatusCause(reason="NamespaceTerminating", message=f"namespace {name} is being terminated", field="metadata.namespace")
        details = error.details or StatusDetails()
        details.causes.append(cause)
        error.details = details
        return error
