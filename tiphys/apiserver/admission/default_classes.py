"""DefaultStorageClass and DefaultIngressClass: what names no class gets the one that is marked as default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from tiphys.api.core.v1 import PersistentVolumeClaim
from tiphys.api.core.volumes.classes import names_class
from tiphys.api.machinery.scheme import Kind
from tiphys.api.networking.ingress import CLASS_ANNOTATION
from tiphys.api.networking.v1 import Ingress, IngressClass
from tiphys.api.storage.classes import is_default_class, newest
from tiphys.api.storage.v1 import StorageClass
from tiphys.api.well_known import DEFAULT_INGRESS_CLASS
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation

ClassT = TypeVar("ClassT", StorageClass, IngressClass)


class DefaultStorageClass(AdmissionPlugin):
    """Claims. The empty name asks for no class at all ("Dynamic Volume Provisioning: defaulting behavior")."""

    name = "DefaultStorageClass"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is PersistentVolumeClaim and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        claim = request.object
        assert isinstance(claim, PersistentVolumeClaim)
        if not names_class(claim) and (name := _default(c for c in request.source.objects(StorageClass) if is_default_class(c))):
            claim.spec.storageClassName = name


class DefaultIngressClass(AdmissionPlugin):
    """Ingresses; the annotation of former times names a class as well."""

    name = "DefaultIngressClass"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is Ingress and operation == "CREATE" and not subresource

    def admit(self, request: AdmissionRequest) -> None:
        ingress = request.object
        assert isinstance(ingress, Ingress)
        if ingress.spec.ingressClassName is not None or CLASS_ANNOTATION in ingress.metadata.annotations:
            return
        marked = (c for c in request.source.objects(IngressClass) if c.metadata.annotations.get(DEFAULT_INGRESS_CLASS) == "true")
        if name := _default(marked):
            ingress.spec.ingressClassName = name


def _default(marked: Iterable[ClassT]) -> str:
    default = newest(marked)
    return "" if default is None else default.metadata.name
