"""OwnerReferencesPermissionEnforcement: who makes an object depend on others needs rights over both. Off unless enabled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiphys.api.machinery.scheme import Kind, Scheme
from tiphys.api.meta.v1 import OwnerReference
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation
from tiphys.apiserver.auth.attributes import Attributes, refusal
from tiphys.apiserver.auth.authorizer import Authorizer, Decision

_CANNOT_DELETE = "cannot set an ownerRef on a resource you can't delete"
_CANNOT_BLOCK = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"


class OwnerReferencesPermissionEnforcement(AdmissionPlugin):
    """Changing owners needs permission to delete the object; blocking an owner's deletion needs permission to set its finalizers."""

    name = "OwnerReferencesPermissionEnforcement"

    def __init__(self, authorizer: Authorizer, scheme: Scheme) -> None:
        self._authorizer = authorizer
        self._scheme = scheme

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        # The status of pods never carries new owners.
        return operation in ("CREATE", "UPDATE") and (kind.resource, subresource) != ("pods", "status")

    def validate(self, request: AdmissionRequest) -> None:
        new, old = _owners(request.object), _owners(request.old_object)
        if new == old:
            return
        if request.operation == "UPDATE":
            kind = request.kind
            wish = Attributes(
                user=request.user,
                verb="delete",
                group=kind.group,
                version=kind.version,
                resource=kind.plural,
                subresource=request.subresource,
                namespace=request.namespace,
                name=request.name,
            )
            decision = self._authorizer.authorize(wish)
            if not decision.allowed:
                raise request.forbidden(f"{_CANNOT_DELETE}: {_why(wish, decision)}")
        blocked = {owner.uid for owner in old if owner.blockOwnerDeletion}
        blocking = [owner for owner in new if owner.blockOwnerDeletion and owner.uid not in blocked]
        if blocking and not self._authorizer.authorize(_finalizers(request, "*", "*", "*", "*")).allowed:
            self._check(request, blocking)

    def _check(self, request: AdmissionRequest, owners: Sequence[OwnerReference]) -> None:
        for owner in owners:
            kind = self._scheme.by_gvk(owner.apiVersion, owner.kind)
            if kind is None:
                what = f"APIVersion {owner.apiVersion} Kind {owner.kind}"
                group, _, version = owner.apiVersion.rpartition("/")
                why = f'no matches for kind "{owner.kind}" in version "{f"{group}/{version}" if group else version}"'
                raise request.forbidden(f"cannot set blockOwnerDeletion in this case because cannot find RESTMapping for {what}: {why}")
            wish = _finalizers(request, kind.group, kind.version, kind.plural, owner.name, request.namespace if kind.namespaced else "")
            decision = self._authorizer.authorize(wish)
            if not decision.allowed:
                raise request.forbidden(f"{_CANNOT_BLOCK}: {_why(wish, decision)}")


def _owners(obj: Any) -> list[OwnerReference]:
    meta = getattr(obj, "metadata", None)
    return [] if meta is None else getattr(meta, "ownerReferences", [])


def _finalizers(request: AdmissionRequest, group: str, version: str, resource: str, name: str, namespace: str = "") -> Attributes:
    return Attributes(
        user=request.user,
        verb="update",
        group=group,
        version=version,
        resource=resource,
        subresource="finalizers",
        namespace=namespace,
        name=name,
    )


def _why(wish: Attributes, decision: Decision) -> str:
    return decision.reason or refusal(wish).message
