"""The shared machinery of every object, meta/v1."""

from tiphys.api.meta.v1.discovery import (
    APIGroup,
    APIGroupList,
    APIResource,
    APIResourceList,
    APIVersions,
    GroupResource,
    GroupVersionForDiscovery,
    ServerAddressByClientCIDR,
)
from tiphys.api.meta.v1.meta import (
    Condition,
    FieldSelectorRequirement,
    KubeObject,
    LabelSelector,
    LabelSelectorRequirement,
    ListMeta,
    ManagedFieldsEntry,
    ObjectMeta,
    OwnerReference,
)
from tiphys.api.meta.v1.options import DeleteOptions, Preconditions, ShardInfo, WatchEvent
from tiphys.api.meta.v1.status import Status, StatusCause, StatusDetails

__all__ = [
    "APIGroup",
    "APIGroupList",
    "APIResource",
    "APIResourceList",
    "APIVersions",
    "Condition",
    "DeleteOptions",
    "FieldSelectorRequirement",
    "GroupResource",
    "GroupVersionForDiscovery",
    "KubeObject",
    "LabelSelector",
    "LabelSelectorRequirement",
    "ListMeta",
    "ManagedFieldsEntry",
    "ObjectMeta",
    "OwnerReference",
    "Preconditions",
    "ServerAddressByClientCIDR",
    "ShardInfo",
    "Status",
    "StatusCause",
    "StatusDetails",
    "WatchEvent",
]
