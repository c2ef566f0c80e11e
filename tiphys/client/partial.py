"""Kinds known only by their address, such as custom resources, and objects read only for their metadata."""

from __future__ import annotations

from tiphys.api.machinery.scheme import Kind
from tiphys.api.meta.v1 import KubeObject


class PartialObject(KubeObject, forbid_unknown_fields=False):
    """Type and metadata of an object. A client that requests this type asks the server to leave out the rest
    (`PartialObjectMetadata`, "Kubernetes API Concepts"), and ignores it if the server does not.
    """


ACCEPT_PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
ACCEPT_PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def partial_kind(group: str, version: str, plural: str, *, namespaced: bool = True) -> Kind[PartialObject]:
    """Return a kind to give to `Client` and informers in place of a type, for any resource that discovery names."""
    return Kind(type=PartialObject, plural=plural, group=group, version=version, namespaced=namespaced)
