"""Discovery documents of the fake API server, from its scheme."""

from __future__ import annotations

from tiphys.api.machinery import errors
from tiphys.api.machinery.base import Struct
from tiphys.api.machinery.scheme import Scheme
from tiphys.api.meta.v1 import APIGroup, APIGroupList, APIResource, APIResourceList, APIVersions, GroupVersionForDiscovery


def discover(scheme: Scheme, path: str) -> Struct:
    """What the server answers to `/api`, `/apis`, `/api/v1` or `/apis/<group>/<version>`; raises NotFound for anything else."""
    if path == "/api":
        return APIVersions(versions=["v1"])
    if path == "/apis":
        groups: dict[str, list[str]] = {}
        for kind in scheme:
            if kind.group and kind.version not in groups.setdefault(kind.group, []):
                groups[kind.group].append(kind.version)
        return APIGroupList(groups=[_group(name, versions) for name, versions in groups.items()])
    resources = [
        APIResource(
            name=name,
            singularName=kind.singular if name == kind.plural else "",
            namespaced=kind.namespaced,
            kind=kind.kind,
            verbs=list(verbs),
            shortNames=list(kind.short_names),
        )
        for kind in scheme
        if kind.root_path == path
        for name, verbs in [(kind.plural, kind.verbs), *((f"{kind.plural}/{sub.name}", sub.verbs) for sub in kind.subresources)]
    ]
    if not resources:
        raise errors.NotFound.path()
    return APIResourceList(groupVersion=path.removeprefix("/apis/").removeprefix("/api/"), resources=resources)


def _group(name: str, versions: list[str]) -> APIGroup:
    served = [GroupVersionForDiscovery(groupVersion=f"{name}/{version}", version=version) for version in versions]
    return APIGroup(name=name, versions=served, preferredVersion=served[0])
