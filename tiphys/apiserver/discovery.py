"""Discovery for clients: the classic documents and the aggregated one.

Everything follows from the scheme. Documents are encoded once and kept until the scheme changes. See "The Kubernetes API: Discovery API"
and "KEP-3352: Aggregated Discovery".
"""

from __future__ import annotations

import base64
import hashlib
import platform
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tiphys.api.machinery.errors import NotAcceptable, NotFound
from tiphys.api.machinery.scheme import Kind, Scheme, Subresource
from tiphys.api.machinery.versions import version_key
from tiphys.api.meta.v1 import APIGroup, APIGroupList, APIResourceList, APIVersions
from tiphys.apiserver.answers.negotiate import indented, wants_lines
from tiphys.wire.http import Request, Response

MAJOR, MINOR, GIT_VERSION = "1", "36", "v1.36.0+tiphys"

_PRIORITIES = {
    "": 18100, "apiregistration.k8s.io": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600, "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200,
    "policy": 17100, "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16690, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300,
    "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100, "resource.k8s.io": 15900,
}  # fmt: skip
"""Groups in the order in which clients look for a name; groups that are not listed come after, by name."""

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
_ENCODED = {"yaml": "application/yaml", "protobuf": "application/vnd.kubernetes.protobuf"}
"""Forms of the plain documents beside JSON."""


class _Document(NamedTuple):
    body: bytes
    content_type: str
    etag: str


def version() -> bytes:
    """The body of /version."""
    return msgspec.json.encode(
        {
            "major": MAJOR,
            "minor": MINOR,
            "emulationMajor": MAJOR,
            "emulationMinor": MINOR,
            "minCompatibilityMajor": MAJOR,
            "minCompatibilityMinor": "35",
            "gitVersion": GIT_VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": f"python{platform.python_version()}",
            "compiler": platform.python_implementation().lower(),
            "platform": f"{platform.system().lower()}/{_ARCHITECTURES.get(platform.machine(), platform.machine())}",
        }
    )


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Documents:
    """Discovery of a scheme, as responses."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._seen = -1
        self._cache: dict[tuple[str, str], _Document] = {}

    def answer(self, request: Request) -> Response:
        """The answer to a GET of /api, /apis or below; raises NotFound for groups and versions that are not served, and NotAcceptable."""
        path = request.path.rstrip("/")
        requested = _form(request.headers.get("accept", ""), aggregated=path in ("/api", "/apis"))
        form = "json" if requested in _ENCODED else requested
        if self._scheme.changes != self._seen:
            self._cache.clear()
            self._seen = self._scheme.changes
        document = self._cache.get((path, form))
        if document is None:
            document = self._cache[path, form] = self._build(path, form)
        body = document.body
        if path == "/api" and form == "json":
            # The only document that depends on the client: it has the address under which the client reached the server.
            body = body.replace(b"@SERVER@", msgspec.json.encode(request.headers.get("host", ""))[1:-1])
        headers = {"Content-Type": document.content_type, "Vary": "Accept", "Cache-Control": "public"}
        if requested in _ENCODED:
            return Response(200, headers | {"Content-Type": _ENCODED[requested]}, _encode(body, requested))
        if form != "json":
            headers["ETag"] = document.etag
            if document.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
                return Response(304, headers)
        return Response(200, headers, indented(body) if wants_lines(request) else body)

    def _build(self, path: str, form: str) -> _Document:
        parts = path.strip("/").split("/")
        if form != "json":
            kinds = [kind for kind in self._scheme if bool(kind.group) == (parts[0] == "apis")]
            return _document(aggregated(kinds, form), _AGGREGATED.format(form))
        if parts == ["api"]:
            return _document(_api_versions(self._scheme), "application/json")
        if parts == ["apis"]:
            groups = [_group(group, kinds) for group, kinds in by_group(self._scheme).items() if group]
            return _document({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}, "application/json")
        if parts[0] == "apis" and len(parts) == 2:
            kinds = by_group(self._scheme).get(parts[1], [])
            if kinds:
                return _document({"kind": "APIGroup", "apiVersion": "v1"} | _group(parts[1], kinds), "application/json")
        group, rest = ("", parts[1:]) if parts[0] == "api" else (parts[1], parts[2:])
        kinds = [kind for kind in self._scheme if kind.group == group and [kind.version] == rest]
        if not kinds:
            raise NotFound.path()
        return _document(resource_list(kinds), "application/json")


def _form(accept: str, *, aggregated: bool) -> str:
    """`json`, `yaml` or `protobuf`, or the version of the aggregated document that the client likes best."""
    if not accept:
        return "json"
    for clause in accept.split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        params = dict(part.partition("=")[::2] for part in rest)
        encoded = [form for form, name in _ENCODED.items() if name == media]
        if encoded and "as" not in params:
            return encoded[0]
        if media not in ("application/json", "application/*", "*/*"):
            continue
        if "as" not in params:
            return "json"
        version = params.get("v", "")
        if (
            aggregated
            and params["as"] == "APIGroupDiscoveryList"
            and params.get("g") == "apidiscovery.k8s.io"
            and version in ("v2", "v2beta1")
        ):
            return version
    raise NotAcceptable(f"only the following media types are accepted: {', '.join(('application/json', *_ENCODED.values()))}")


def _encode(body: bytes, form: str) -> bytes:
    """A plain document in another form than JSON; few clients ask for it, so it is not cached."""
    content = msgspec.json.decode(body)
    if form == "protobuf":
        from tiphys.api.machinery import protobuf

        type_ = {type_.__name__: type_ for type_ in (APIGroup, APIGroupList, APIResourceList, APIVersions)}[content["kind"]]
        return protobuf.seal(content.get("apiVersion", "v1"), content["kind"], protobuf.write(type_, content))
    import yaml

    text: str = yaml.dump(content, Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return text.encode()


def _document(content: Any, content_type: str) -> _Document:
    body = msgspec.json.encode(content)
    return _Document(body, content_type, f'"{hashlib.sha512(body).hexdigest().upper()}"')


def by_group(kinds: Iterable[Kind[Any]]) -> dict[str, list[Kind[Any]]]:
    """Kinds by group, groups in order of priority."""
    groups: dict[str, list[Kind[Any]]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind)
    return {group: groups[group] for group in sorted(groups, key=lambda name: (-_PRIORITIES.get(name, 0), name))}


def versions_of(kinds: Iterable[Kind[Any]]) -> list[str]:
    """The versions of one group's kinds, preferred first."""
    return sorted({kind.version for kind in kinds}, key=version_key)


def _api_versions(scheme: Iterable[Kind[Any]]) -> Any:
    return {
        "kind": "APIVersions",
        "versions": versions_of(kind for kind in scheme if not kind.group),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "@SERVER@"}],
    }


def _group(group: str, kinds: list[Kind[Any]]) -> dict[str, Any]:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions_of(kinds)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def storage_hash(kind: Kind[Any]) -> str:
    """Tells clients when the form in which a kind is stored changes; the same for all versions over one storage."""
    hub = kind.hub
    digest = hashlib.sha256(f"{hub.group}/{hub.version}/{hub.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def resource_list(kinds: list[Kind[Any]]) -> dict[str, Any]:
    """The APIResourceList of one group and version."""
    resources: list[dict[str, Any]] = []
    for kind in kinds:
        resource: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": sorted(kind.verbs),
        }
        if kind.short_names:
            resource["shortNames"] = list(kind.short_names)
        if kind.categories:
            resource["categories"] = list(kind.categories)
        if "list" in kind.verbs:
            resource["storageVersionHash"] = storage_hash(kind)
        resources.append(resource)
        resources += [_subresource(kind, sub) for sub in kind.subresources]
    resources.sort(key=lambda resource: resource["name"])
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": kinds[0].api_version, "resources": resources}


def _subresource(kind: Kind[Any], sub: Subresource) -> dict[str, Any]:
    resource: dict[str, Any] = {"name": f"{kind.plural}/{sub.name}", "singularName": "", "namespaced": kind.namespaced}
    if sub.kind is not None and sub.kind[:2] != kind.gvk[:2]:
        resource |= {"group": sub.kind.group, "version": sub.kind.version}
    return resource | {"kind": (sub.kind or kind.gvk).kind, "verbs": sorted(sub.verbs)}


def aggregated(kinds: Iterable[Kind[Any]], version: str = "v2") -> dict[str, Any]:
    """The APIGroupDiscoveryList: every group, version, resource and subresource in one document."""
    items = []
    for group, members in by_group(kinds).items():
        versions = [
            {
                "version": name,
                "resources": [_aggregated_resource(kind) for kind in sorted(members, key=lambda kind: kind.plural) if kind.version == name],
                "freshness": "Current",
            }
            for name in versions_of(members)
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": items}


def _aggregated_resource(kind: Kind[Any]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": kind.gvk._asdict(),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if kind.subresources:
        resource["subresources"] = [
            {"subresource": sub.name, "responseKind": (sub.kind or kind.gvk)._asdict(), "verbs": sorted(sub.verbs)}
            for sub in sorted(kind.subresources, key=lambda sub: sub.name)
        ]
    return resource
