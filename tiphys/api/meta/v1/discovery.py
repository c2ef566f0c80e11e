"""The shared machinery of every object, meta/v1: discovery."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.machinery.base import Atomic, Struct, always, constant


class ServerAddressByClientCIDR(Struct):
    """Address of the server for clients of a network."""

    clientCIDR: str = always(str)
    """The range of the clients' addresses."""
    serverAddress: str = always(str)
    """The server's host and port."""


class GroupVersionForDiscovery(Struct):
    """A version of an API group."""

    groupVersion: str = always(str)
    """Group and version, such as `apps/v1`."""
    version: str = always(str)
    """The version alone."""


class APIGroup(Struct):
    """An API group."""

    apiVersion: str = constant("v1")
    """`v1`."""
    kind: str = constant("APIGroup")
    """`APIGroup`."""
    name: str = always(str)
    """Its name."""
    versions: Annotated[list[GroupVersionForDiscovery], Atomic()] = always(list)
    """The versions that are served, best first."""
    preferredVersion: GroupVersionForDiscovery = always(GroupVersionForDiscovery)
    """The version to use if nothing speaks against it."""
    serverAddressByClientCIDRs: Annotated[list[ServerAddressByClientCIDR], Atomic()] = []
    """Addresses of the server, by the network of the client."""


class APIGroupList(Struct):
    """All API groups."""

    apiVersion: str = constant("v1")
    """`v1`."""
    kind: str = constant("APIGroupList")
    """`APIGroupList`."""
    groups: Annotated[list[APIGroup], Atomic()] = always(list)
    """The groups."""


class APIResource(Struct):
    """A resource."""

    name: str = always(str)
    """Its plural name, as in URLs."""
    singularName: str = always(str)
    """Its singular name, as people type it."""
    namespaced: bool = always(bool)
    """True if its objects are in namespaces."""
    group: str = ""
    """The group of its kind, if that is not the list's."""
    version: str = ""
    """The version of its kind, if that is not the list's."""
    kind: str = always(str)
    """The kind of its objects."""
    verbs: list[str] = always(list)
    """Verbs that the resource supports."""
    shortNames: Annotated[list[str], Atomic()] = []
    """Short names that people may type."""
    categories: Annotated[list[str], Atomic()] = []
    """Sets it belongs to, such as `all`."""
    storageVersionHash: str = ""
    """Hash of the version in which it is stored; opaque."""


class APIResourceList(Struct):
    """The resources of an API group's version."""

    apiVersion: str = constant("v1")
    """`v1`."""
    kind: str = constant("APIResourceList")
    """`APIResourceList`."""
    groupVersion: str = always(str)
    """The group and version."""
    resources: Annotated[list[APIResource], Atomic()] = always(list)
    """The resources."""


class APIVersions(Struct):
    """The versions of the core group."""

    apiVersion: str = constant("v1")
    """`v1`."""
    kind: str = constant("APIVersions")
    """`APIVersions`."""
    versions: Annotated[list[str], Atomic()] = always(list)
    """The versions."""
    serverAddressByClientCIDRs: Annotated[list[ServerAddressByClientCIDR], Atomic()] = always(list)
    """Addresses of the server, by the network of the client."""


class GroupResource(Struct):
    """A resource of any version."""

    group: str = always(str)
    """Its group."""
    resource: str = always(str)
    """Its plural name."""
