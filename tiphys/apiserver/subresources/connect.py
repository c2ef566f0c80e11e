"""log, exec, attach, portforward and proxy: requests that end at a container, a pod, a service or a node."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote, urlencode

from tiphys.api.core import v1 as core
from tiphys.api.discovery import v1 as discovery
from tiphys.api.errors import BadRequest, NotFound, ServiceUnavailable
from tiphys.api.well_known import SERVICE_NAME
from tiphys.apiserver import websockets
from tiphys.apiserver.context import Context
from tiphys.apiserver.kubelet import forward
from tiphys.wire.http import Response

_LOG_PARAMS = (
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "stream",
    "insecureSkipTLSVerifyBackend",
)
_UPGRADE_HEADERS = (
    "connection",
    "upgrade",
    "x-stream-protocol-version",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "origin",
)
_PATH = "/%:@!$&'()*+,;=~-._"
"""What a path may hold as it is."""
_NOT_FORWARDED = frozenset(("host", "authorization", "connection", "content-length", "transfer-encoding", "expect", "te", "keep-alive"))


def _pod(ctx: Context) -> core.Pod:
    pod = ctx.services.source.get(core.Pod, ctx.info.namespace, ctx.info.name)
    if pod is None:
        raise ctx.not_found()
    return pod


def _containers(pod: core.Pod) -> list[str]:
    spec = pod.spec
    return [*(c.name for c in spec.containers), *(c.name for c in spec.initContainers), *(c.name for c in spec.ephemeralContainers)]


def choose_container(pod: core.Pod, asked: str) -> str:
    """The container that a request means; raises BadRequest when it is ambiguous or unknown."""
    name, spec = pod.metadata.name, pod.spec
    if asked:
        if asked not in _containers(pod):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(spec.containers) == 1:
        return spec.containers[0].name
    choices = " ".join(container.name for container in spec.containers)
    init = " ".join(container.name for container in spec.initContainers)
    also = f" or one of the init containers: [{init}]" if init else ""
    raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{choices}]{also}")


async def log(ctx: Context) -> Response:
    """GET of a container's log."""
    pod = _pod(ctx)
    container = choose_container(pod, ctx.request.param("container"))
    asked = websockets.asked(ctx.request.headers, websockets.LOG_PROTOCOLS)
    if not pod.spec.nodeName:
        return _log_answer(Response(200, {"Content-Type": "text/plain"}), asked)
    query = [(key, value) for key, value in ctx.request.query if key in _LOG_PARAMS]
    where = f"/containerLogs/{pod.metadata.namespace}/{pod.metadata.name}/{container}"
    response = await ctx.services.kubelet.request(pod.spec.nodeName, "GET", f"{where}?{urlencode(query)}")
    if response.status != 200 and response.stream is not None:
        text = b"".join([part async for part in response.stream]).decode("utf-8", "replace").strip()
        raise BadRequest(text or f"the node answered {response.status}")
    response.headers["Content-Type"] = "text/plain"
    return _log_answer(response, asked)


def _log_answer(response: Response, asked: websockets.Asked | None) -> Response:
    return response if asked is None else asked.answer(response, websockets.log_frames(asked.protocol))


def _upgrade_headers(ctx: Context) -> Iterable[tuple[str, str]]:
    headers = ctx.request.headers
    for name in _UPGRADE_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        if name == "x-stream-protocol-version":
            # Repeated headers were joined; the kubelet wants them apart.
            for version in value.split(","):
                yield name, version.strip()
        else:
            yield name, value


def _require_upgrade(ctx: Context) -> None:
    if "upgrade" not in ctx.request.headers:
        raise BadRequest("Upgrade request required")


def _assigned(pod: core.Pod) -> str:
    if not pod.spec.nodeName:
        raise BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    return pod.spec.nodeName


async def exec_(ctx: Context) -> Response:
    """A command in a running container."""
    return await _into_container(ctx, "exec")


async def attach(ctx: Context) -> Response:
    """The streams of a running container's own process."""
    return await _into_container(ctx, "attach")


async def _into_container(ctx: Context, verb: str) -> Response:
    _require_upgrade(ctx)
    pod = _pod(ctx)
    container = choose_container(pod, ctx.request.param("container"))
    truth = {"true": "1", "1": "1"}
    query = [("command", value) for key, value in ctx.request.query if key == "command"]
    if verb == "exec" and not query:
        raise BadRequest("you must specify at least 1 command for the container")
    for ours, theirs in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")):
        if truth.get(ctx.request.param(ours)):
            query.append((theirs, "1"))
    target = f"/{verb}/{pod.metadata.namespace}/{pod.metadata.name}/{container}?{urlencode(query)}"
    return await ctx.services.kubelet.request(_assigned(pod), ctx.request.method, target, headers=_upgrade_headers(ctx), upgrade=True)


async def port_forward(ctx: Context) -> Response:
    """Connections to ports of a pod."""
    _require_upgrade(ctx)
    pod = _pod(ctx)
    node = _assigned(pod)
    ports = [("port", value) for key, value in ctx.request.query if key == "ports"]
    target = f"/portForward/{pod.metadata.namespace}/{pod.metadata.name}" + (f"?{urlencode(ports)}" if ports else "")
    return await ctx.services.kubelet.request(node, ctx.request.method, target, headers=_upgrade_headers(ctx), upgrade=True)


# --- proxies ---


def _split_name(name: str) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` into its parts."""
    parts = name.split(":")
    if len(parts) == 1:
        return "http", parts[0], ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return parts[0] or "http", parts[1], parts[2]
    raise BadRequest(f'invalid proxy target "{name}": use [scheme:]name[:port]')


async def proxy_pod(ctx: Context) -> Response:
    """Any HTTP request to a port of a pod."""
    scheme, name, port = _split_name(ctx.info.name)
    pod = ctx.services.source.get(core.Pod, ctx.info.namespace, name)
    if pod is None:
        raise NotFound.object("pods", name)
    if not pod.status.podIP:
        raise ServiceUnavailable(f'pod "{name}" has no IP address yet')
    number = port or next((str(p.containerPort) for c in pod.spec.containers for p in c.ports), "80")
    for container in pod.spec.containers:
        for candidate in container.ports:
            if candidate.name and candidate.name == port:
                number = str(candidate.containerPort)
    return await _proxy(ctx, pod.status.podIP, number, scheme, f'pod "{name}"')


async def proxy_service(ctx: Context) -> Response:
    """Any HTTP request to a ready endpoint of a service."""
    scheme, name, port = _split_name(ctx.info.name)
    service = ctx.services.source.get(core.Service, ctx.info.namespace, name)
    if service is None:
        raise NotFound.object("services", name)
    wanted = [p for p in service.spec.ports if not port or port in (p.name, str(p.port))]
    if not wanted:
        raise ServiceUnavailable(f'no service port "{port}" found for service "{name}"')
    ready: list[tuple[str, int]] = []
    for piece in ctx.services.source.objects(discovery.EndpointSlice):
        meta = piece.metadata
        if meta.namespace != ctx.info.namespace or meta.labels.get(SERVICE_NAME) != name:
            continue
        numbers = [p.port for p in piece.ports if (p.name or "") == wanted[0].name and p.port]
        for endpoint in piece.endpoints:
            if endpoint.conditions.ready is not False and numbers:
                ready += [(address, numbers[0]) for address in endpoint.addresses]
    if not ready:
        raise ServiceUnavailable(f'no endpoints available for service "{name}"')
    host, number = ready[hash(ctx.request.headers.get("user-agent", "")) % len(ready)]
    return await _proxy(ctx, host, str(number), scheme, f'service "{name}"')


async def proxy_node(ctx: Context) -> Response:
    """Any request to a node's kubelet."""
    _, name, _ = _split_name(ctx.info.name)
    if (elsewhere := _with_slash(ctx)) is not None:
        return elsewhere
    return await ctx.services.kubelet.request(
        name, ctx.request.method, _target(ctx), headers=_plain_headers(ctx), body=ctx.request.body, upgrade="upgrade" in ctx.request.headers
    )


def _with_slash(ctx: Context) -> Response | None:
    """Where a page without a path is really found: from there its relative links lead to the same upstream."""
    request = ctx.request
    if request.method not in ("GET", "HEAD") or ctx.info.rest or request.path.endswith("/") or "upgrade" in request.headers:
        return None
    query = f"?{urlencode(list(request.query))}" if request.query else ""
    return Response(301, {"Location": f"{quote(request.path, safe=_PATH)}/{query}"})


def _target(ctx: Context) -> str:
    path = quote(ctx.info.rest or "/", safe=_PATH)
    return f"{path}?{urlencode(list(ctx.request.query))}" if ctx.request.query else path


def _plain_headers(ctx: Context) -> list[tuple[str, str]]:
    upgrade = "upgrade" in ctx.request.headers
    kept = [(k, v) for k, v in ctx.request.headers.items() if k not in _NOT_FORWARDED]
    return [*kept, ("connection", "Upgrade")] if upgrade else kept


@cache
def _unverified() -> ssl.SSLContext:
    """TLS to pods and endpoints: they are asked by address, and their certificates are for names, so nothing could be checked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _proxy(ctx: Context, host: str, port: str, scheme: str, who: str) -> Response:
    if (elsewhere := _with_slash(ctx)) is not None:
        return elsewhere
    if not port.isdigit():
        raise BadRequest(f'port "{port}" of {who} has no number')
    return await forward(
        host,
        int(port),
        ctx.request.method,
        _target(ctx),
        context=_unverified() if scheme == "https" else None,
        headers=_plain_headers(ctx),
        body=ctx.request.body,
        upgrade="upgrade" in ctx.request.headers,
        who=who,
    )
