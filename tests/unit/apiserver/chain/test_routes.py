"""From URLs to what is asked for."""

from __future__ import annotations

import pytest

from tiphys.apiserver.chain.routes import RequestInfo, resolve
from tiphys.http.head import parse_query
from tiphys.wire.http import Request


def info(method: str, target: str) -> RequestInfo:
    path, _, query = target.partition("?")
    return resolve(Request(method, path, query=parse_query(query.encode())))


@pytest.mark.parametrize(
    ("method", "target", "verb", "resource", "namespace", "name", "subresource"),
    [
        ("GET", "/api/v1/pods", "list", "pods", "", "", ""),
        ("GET", "/api/v1/pods?watch=true", "watch", "pods", "", "", ""),
        ("GET", "/api/v1/pods?watch=0", "list", "pods", "", "", ""),
        ("HEAD", "/api/v1/pods?watch=1", "list", "pods", "", "", ""),
        ("GET", "/api/v1/watch/pods", "watch", "pods", "", "", ""),
        ("GET", "/api/v1/watch/namespaces/n/pods/p", "watch", "pods", "n", "p", ""),
        ("GET", "/api/v1/namespaces/n/pods/p", "get", "pods", "n", "p", ""),
        ("GET", "/api/v1/namespaces/n/pods/p?watch=1", "get", "pods", "n", "p", ""),
        ("GET", "/api/v1/namespaces/n/pods?watch", "watch", "pods", "n", "", ""),
        ("GET", "/api/v1/namespaces/n/pods?watch=yes", "watch", "pods", "n", "", ""),
        ("GET", "/api/v1/namespaces/n/pods?watch=False", "list", "pods", "n", "", ""),
        ("GET", "/api/v1/namespaces/n/pods/p/log?watch=1", "get", "pods", "n", "p", "log"),
        ("POST", "/api/v1/namespaces/n/pods", "create", "pods", "n", "", ""),
        ("PUT", "/api/v1/namespaces/n/pods/p/status", "update", "pods", "n", "p", "status"),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/scale", "patch", "deployments", "n", "d", "scale"),
        ("DELETE", "/api/v1/namespaces/n/pods", "deletecollection", "pods", "n", "", ""),
        ("DELETE", "/api/v1/namespaces/n/pods/p", "delete", "pods", "n", "p", ""),
        ("GET", "/api/v1/namespaces", "list", "namespaces", "", "", ""),
        ("GET", "/api/v1/namespaces/n", "get", "namespaces", "", "n", ""),
        ("PUT", "/api/v1/namespaces/n/finalize", "update", "namespaces", "", "n", "finalize"),
        ("PUT", "/api/v1/namespaces/n/status", "update", "namespaces", "", "n", "status"),
        ("GET", "/api/v1/namespaces/status", "get", "namespaces", "", "status", ""),
        ("GET", "/api/v1/namespaces/n/namespaces/m", "get", "namespaces", "n", "m", ""),
        ("GET", "/apis/example.com/v1/namespaces/n/namespaces", "list", "namespaces", "n", "", ""),
        ("PUT", "/apis/example.com/v1/namespaces/n/namespaces/m/status", "update", "namespaces", "n", "m", "status"),
        ("GET", "/api/v1/nodes/n/proxy/logs/", "get", "nodes", "", "n", "proxy"),
        ("GET", "/api/v1/namespaces/a%2Fb/pods", "get", "b", "a", "pods", ""),
    ],
)
def test_resources(method: str, target: str, verb: str, resource: str, namespace: str, name: str, subresource: str) -> None:
    found = info(method, target)
    assert found.is_resource
    assert (found.verb, found.resource, found.namespace, found.name, found.subresource) == (verb, resource, namespace, name, subresource)


@pytest.mark.parametrize(
    "path", ["/", "", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/%ff/api/v1/pods", "/readyz"]
)
def test_paths_that_are_no_resource(path: str) -> None:
    found = info("GET", path)
    assert (found.is_resource, found.verb) == (False, "get")


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("/api/v1/namespaces/n/pods/p/proxy", ""),
        ("/api/v1/namespaces/n/pods/p/proxy/", ""),
        ("/api/v1/namespaces/n/pods/p/proxy/a/b", "/a/b"),
        ("/api/v1/namespaces/n/pods/p/proxy/a/b/", "/a/b/"),
        ("/api/v1/namespaces/n/services/http:s:80/proxy/a%20b", "/a b"),
        ("/api/v1/nodes/n/proxy/metrics", "/metrics"),
    ],
)
def test_rest_of_a_proxy_path(target: str, rest: str) -> None:
    assert info("GET", target).rest == rest
