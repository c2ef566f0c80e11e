"""Parser of URLs: the verb, the resource and the place ("Kubernetes API Concepts: Resource URIs")."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec

from tiphys.api.machinery.query import flag
from tiphys.wire.http import Request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "HEAD": "get", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))


class RequestInfo(msgspec.Struct, frozen=True, gc=False):
    """Target of a request. Paths outside /api and /apis have `is_resource` false and the lower-case method as the verb."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""
    """The path after a subresource, with its leading slash: the target of a proxy request."""


def resolve(request: Request) -> RequestInfo:
    """Parse the path and the method. Never raises: an unknown path is not a resource, and ends as 404."""
    raw = request.path
    path = raw
    if "%" in raw:
        try:
            # Decoded before it is cut: an escaped slash is a slash, so no name can hold one.
            path = unquote(raw, errors="strict")
        except UnicodeDecodeError:
            return RequestInfo(verb=request.method.lower(), path=raw)
    parts = path.strip("/").split("/")
    prefix = parts[0]
    if prefix == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif prefix == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb=request.method.lower(), path=path)
    method = request.method
    verb = _VERBS.get(method) or method.lower()
    if rest[0] == "watch" and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if not name and verb == "get":
        verb = "list"
    elif not name and verb == "delete":
        verb = "deletecollection"
    if verb == "list" and request.query and method == "GET" and flag(request.param("watch", "false")):
        verb = "watch"
    return RequestInfo(verb, path, True, group, version, resource, subresource, namespace, name, _rest(path, rest) if len(rest) > 3 else "")


def _rest(path: str, rest: list[str]) -> str:
    """Return the path after the subresource, unchanged: the target's own trailing slash is kept."""
    tail = path.lstrip("/").split("/")
    ends_with_slashes = len(tail) - len(path.strip("/").split("/"))
    return "/" + "/".join(tail[len(tail) - ends_with_slashes - len(rest) + 3 :])
