"""proxy: any HTTP request to a pod, to a pod behind a Service, or to a node ("Access Services Running on Clusters").

A target is named `[scheme:]name[:port]`. Addresses come from status and endpoints, which clients write: see `targets` for those refused.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, urlencode

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.machinery.errors import BadRequest, NotFound, ServiceUnavailable
from tiphys.api.well_known import SERVICE_NAME
from tiphys.apiserver import targets
from tiphys.apiserver.auth.request_header import without_identity
from tiphys.apiserver.chain.context import Context
from tiphys.apiserver.kubelet import forward
from tiphys.apiserver.subresources.connect import refuse_dry_run
from tiphys.wire.http import Response

_PATH = "/%:@!$&'()*+,;=~-._"
"""Characters that a path may hold unescaped."""
_NOT_FORWARDED = frozenset(("host", "authorization", "connection", "content-length", "transfer-encoding", "expect", "te", "keep-alive"))
_SCHEMES = ("", "http", "https")
_MAX_PORT = 65535


class _Target(NamedTuple):
    """`[scheme:]name[:port]`, each "" when it is absent."""

    scheme: str
    name: str
    port: str


def split_target(text: str, resource: str) -> _Target:
    """The parts of a target; raises BadRequest."""
    parts = text.split(":")
    match parts:
        case [name]:
            target = _Target("", name, "")
        case [name, port]:
            target = _Target("", name, port)
        case [scheme, name, port]:
            target = _Target(scheme, name, port)
        case _:
            target = _Target("", "", "")
    if not target.name or target.scheme not in _SCHEMES:
        raise BadRequest(f'invalid {resource} request "{text}"')
    return target


async def proxy_pod(ctx: Context) -> Response:
    """Any HTTP request to a port of a pod."""
    target = split_target(ctx.info.name, "pod")
    pod = ctx.services.source.get(core.Pod, ctx.info.namespace, target.name)
    if pod is None:
        raise NotFound.object("pods", target.name)
    port = target.port or next((str(port.containerPort) for container in pod.spec.containers for port in container.ports), "")
    for container in pod.spec.containers:
        for candidate in container.ports:
            if candidate.name and candidate.name == port:
                port = str(candidate.containerPort)
    address = pod.status.podIPs[0].ip if pod.status.podIPs else pod.status.podIP
    if not targets.is_proxyable(address):
        raise targets.AddressNotAllowed
    return await _proxy(ctx, address, port, target.scheme, f'pod "{target.name}"')


async def proxy_service(ctx: Context) -> Response:
    """Any HTTP request to a ready pod behind a Service."""
    target = split_target(ctx.info.name, "service")
    service = ctx.services.source.get(core.Service, ctx.info.namespace, target.name)
    if service is None:
        raise NotFound.object("services", target.name)
    matching = [port for port in service.spec.ports if not target.port or target.port in (port.name, str(port.port))]
    if not matching:
        raise ServiceUnavailable(f'no service port "{target.port}" found for service "{target.name}"')
    ready = _ready_pods(ctx, target.name, matching[0].name)
    if not ready:
        raise ServiceUnavailable(f'no endpoints available for service "{target.name}"')
    allowed = [(address, port) for address, port in ready if targets.is_proxyable(address)]
    if not allowed:
        raise targets.AddressNotAllowed
    address, number = allowed[hash(ctx.request.headers.get("user-agent", "")) % len(allowed)]
    return await _proxy(ctx, address, str(number), target.scheme, f'service "{target.name}"')


def _ready_pods(ctx: Context, service: str, port: str) -> list[tuple[str, int]]:
    """Addresses and ports of a Service's ready endpoints. Only pods of the namespace count: others can be written freely."""
    ready: list[tuple[str, int]] = []
    for piece in ctx.services.source.objects(discovery.EndpointSlice):
        meta = piece.metadata
        if meta.namespace != ctx.info.namespace or meta.labels.get(SERVICE_NAME) != service:
            continue
        number = next((one.port for one in piece.ports or [] if (one.name or "") == port and one.port), None)
        if number is None:
            continue
        for endpoint in piece.endpoints or []:
            if endpoint.conditions.ready is not False:
                ready += [(address, number) for address in endpoint.addresses if _is_of_pod(ctx, endpoint, address)]
    return ready


def _is_of_pod(ctx: Context, endpoint: discovery.Endpoint, address: str) -> bool:
    reference, namespace = endpoint.targetRef, ctx.info.namespace
    if reference is None or reference.namespace != namespace:
        return False
    pod = ctx.services.source.get(core.Pod, namespace, reference.name)
    return pod is not None and (address == pod.status.podIP or any(one.ip == address for one in pod.status.podIPs))


async def proxy_node(ctx: Context) -> Response:
    """Any request to a node: to its kubelet, with the server's certificate, or without it to another port of the node."""
    target = split_target(ctx.info.name, "node")
    refuse_dry_run(ctx)
    kubelet = ctx.services.kubelet
    host, port = await kubelet.location(target.name)
    if target.port not in ("", str(port)):
        return await _proxy(ctx, host, target.port, target.scheme, f'node "{target.name}"')
    if (elsewhere := _with_slash(ctx)) is not None:
        return elsewhere
    upgrade = "upgrade" in ctx.request.headers
    return await kubelet.request(
        target.name, ctx.request.method, _path(ctx), headers=_plain_headers(ctx), body=ctx.request.body, upgrade=upgrade
    )


def _with_slash(ctx: Context) -> Response | None:
    """The redirect of a page without a path: behind a slash its relative links lead to the same upstream."""
    request = ctx.request
    if request.method not in ("GET", "HEAD") or ctx.info.rest or request.path.endswith("/") or "upgrade" in request.headers:
        return None
    query = f"?{urlencode(list(request.query))}" if request.query else ""
    return Response(301, {"Location": f"{quote(request.path, safe=_PATH)}/{query}"})


def _path(ctx: Context) -> str:
    path = quote(ctx.info.rest or "/", safe=_PATH)
    return f"{path}?{urlencode(list(ctx.request.query))}" if ctx.request.query else path


def _plain_headers(ctx: Context) -> list[tuple[str, str]]:
    upgrade = "upgrade" in ctx.request.headers
    headers = without_identity(ctx.request.headers, *ctx.services.identity_headers)
    kept = [(k, v) for k, v in headers.items() if k not in _NOT_FORWARDED]
    return [*kept, ("connection", "Upgrade")] if upgrade else kept


@cache
def _unverified() -> ssl.SSLContext:
    """TLS to pods, endpoints and ports of nodes: they are asked by address, and their certificates are for names."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _proxy(ctx: Context, host: str, port: str, scheme: str, who: str) -> Response:
    refuse_dry_run(ctx)
    if (elsewhere := _with_slash(ctx)) is not None:
        return elsewhere
    tls = scheme == "https"
    port = port or ("443" if tls else "80")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise BadRequest(f'port "{port[:40]}" of {who} has no number')
    return await forward(
        host,
        int(port),
        ctx.request.method,
        _path(ctx),
        context=_unverified() if tls else None,
        headers=_plain_headers(ctx),
        body=ctx.request.body,
        upgrade="upgrade" in ctx.request.headers,
        who=who,
    )
