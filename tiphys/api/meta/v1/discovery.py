"""The shared machinery of every object, meta/v1: discovery."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, Struct, always, constant


class ServerAddressByClientCIDR(Struct):
    clientCIDR: str = always(str)
    serverAddress: str = always(str)


class GroupVersionForDiscovery(Struct):
    groupVersion: str = always(str)
    version: str = always(str)


class APIGroup(Struct):
    apiVersion: str = constant("v1")
    kind: str = constant("APIGroup")
    name: str = always(str)
    versions: Annotated[list[GroupVersionForDiscovery], Atomic()] = always(list)
    preferredVersion: GroupVersionForDiscovery = always(GroupVersionForDiscovery)
    serverAddressByClientCIDRs: Annotated[list[ServerAddressByClientCIDR], Atomic()] = []


class APIGroupList(Struct):
    apiVersion: str = constant("v1")
    kind: str = constant("APIGroupList")
    groups: Annotated[list[APIGroup], Atomic()] = always(list)


class APIResource(Struct):
    name: str = always(str)
    singularName: str = always(str)
    namespaced: bool = always(bool)
    group: str = ""
    version: str = ""
    kind: str = always(str)
    verbs: list[str] = always(list)
    shortNames: Annotated[list[str], Atomic()] = []
    categories: Annotated[list[str], Atomic()] = []
    storageVersionHash: str = ""


class APIResourceList(Struct):
    apiVersion: str = constant("v1")
    kind: str = constant("APIResourceList")
    groupVersion: str = always(str)
    resources: Annotated[list[APIResource], Atomic()] = always(list)


class APIVersions(Struct):
    apiVersion: str = constant("v1")
    kind: str = constant("APIVersions")
    versions: Annotated[list[str], Atomic()] = always(list)
    serverAddressByClientCIDRs: Annotated[list[ServerAddressByClientCIDR], Atomic()] = always(list)


class GroupResource(Struct):
    group: str = always(str)
    resource: str = always(str)
