"""Devices that others use already may be had only in namespaces that are marked for it ("Dynamic Resource Allocation: Admin access")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiphys.api.core.v1 import Namespace
from tiphys.api.machinery.errors import Invalid, forbidden
from tiphys.api.machinery.scheme import Kind
from tiphys.api.resource.v1 import DeviceRequest, ResourceClaim, ResourceClaimTemplate
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

LABEL = "resource.kubernetes.io/admin-access"


class AdminAccess(AdmissionPlugin):
    """Always on: it belongs to the kinds, and stands here because it looks at another object. Specs never change, so creates are enough;
    a status may bring it in until there is an allocation."""

    name = "AdminAccess"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        if kind.type is ResourceClaim and subresource == "status":
            return True
        return kind.type in (ResourceClaim, ResourceClaimTemplate) and operation == "CREATE" and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        path = next(_requested(request), "")
        if not path:
            return
        namespace = request.source.get(Namespace, "", request.namespace)
        if namespace is None or namespace.metadata.labels.get(LABEL) != "true":
            message = f"admin access to devices requires the `{LABEL}: true` label on the containing namespace"
            name = request.object.metadata.name if request.object is not None else request.name
            raise Invalid.object(request.kind.kind, name, [forbidden(path, message)], group=request.kind.group)


def _requested(request: AdmissionRequest) -> Iterator[str]:
    """Yield the paths at which an object asks for admin access and its predecessor did not."""
    obj, old = request.object, request.old_object
    if isinstance(obj, ResourceClaimTemplate):
        yield from _requests("spec.spec.devices.requests", obj.spec.spec.devices.requests or [])
    elif isinstance(obj, ResourceClaim) and request.subresource == "status":
        if not (isinstance(old, ResourceClaim) and any(_results(old))):
            yield from _results(obj)
    elif isinstance(obj, ResourceClaim):
        yield from _requests("spec.devices.requests", obj.spec.devices.requests or [])


def _requests(path: str, requests: list[DeviceRequest]) -> Iterator[str]:
    for index, request in enumerate(requests):
        if request.exactly is not None and request.exactly.adminAccess:
            yield f"{path}[{index}].exactly.adminAccess"


def _results(claim: ResourceClaim) -> Iterator[str]:
    allocation = claim.status.allocation
    for index, result in enumerate(allocation.devices.results if allocation is not None else ()):
        if result.adminAccess:
            yield f"status.allocation.devices.results[{index}].adminAccess"
