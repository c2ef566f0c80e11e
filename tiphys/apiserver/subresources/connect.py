"""log, exec, attach and portforward: requests that end at a container or a pod, by way of the kubelet."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from tiphys.api.core import v1 as core
from tiphys.api.core.pods.log_options import log_errors
from tiphys.api.core.v1.options import PodAttachOptions, PodExecOptions, PodLogOptions, PodPortForwardOptions
from tiphys.api.machinery.errors import BadRequest, Invalid
from tiphys.api.machinery.query import decode_query
from tiphys.apiserver.answers import websockets
from tiphys.apiserver.chain.context import Context
from tiphys.wire.http import Response

_UPGRADE_HEADERS = (
    "connection",
    "upgrade",
    "x-stream-protocol-version",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "origin",
)


def _pod(ctx: Context) -> core.Pod:
    pod = ctx.services.source.get(core.Pod, ctx.info.namespace, ctx.info.name)
    if pod is None:
        raise ctx.not_found()
    return pod


def _containers(pod: core.Pod) -> list[str]:
    spec = pod.spec
    return [*(c.name for c in spec.containers), *(c.name for c in spec.initContainers), *(c.name for c in spec.ephemeralContainers)]


def choose_container(pod: core.Pod, requested: str) -> str:
    """The container that a request means; raises BadRequest when it is ambiguous or unknown."""
    name, spec = pod.metadata.name, pod.spec
    if requested:
        if requested not in _containers(pod):
            raise BadRequest(f"container {requested} is not valid for pod {name}")
        return requested
    if len(spec.containers) == 1:
        return spec.containers[0].name
    choices = " ".join(container.name for container in spec.containers)
    init = " ".join(container.name for container in spec.initContainers)
    also = f" or one of the init containers: [{init}]" if init else ""
    raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{choices}]{also}")


async def log(ctx: Context) -> Response:
    """GET of a container's log."""
    options = decode_query(PodLogOptions, ctx.request.query)
    if errors := log_errors(options):
        raise Invalid.object("PodLogOptions", ctx.info.name, errors)
    pod = _pod(ctx)
    container = choose_container(pod, options.container)
    upgrade = websockets.upgrade_of(ctx.request.headers, websockets.LOG_PROTOCOLS)
    if not pod.spec.nodeName:
        return _log_answer(Response(200, {"Content-Type": "text/plain"}), upgrade)
    where = f"/containerLogs/{pod.metadata.namespace}/{pod.metadata.name}/{container}"
    response = await ctx.services.kubelet.request(
        pod.spec.nodeName, "GET", f"{where}?{urlencode(_log_query(options))}", verify=not options.insecureSkipTLSVerifyBackend
    )
    if response.status != 200 and response.stream is not None:
        text = b"".join([part async for part in response.stream]).decode("utf-8", "replace").strip()
        raise BadRequest(text or f"the node answered {response.status}")
    response.headers["Content-Type"] = "text/plain"
    return _log_answer(response, upgrade)


def _log_query(options: PodLogOptions) -> list[tuple[str, str]]:
    """The options as the kubelet gets them."""
    query = [(name, "true") for name in ("follow", "previous", "timestamps") if getattr(options, name)]
    numbers = ("sinceSeconds", "tailLines", "limitBytes")
    query += [(name, str(value)) for name in numbers if (value := getattr(options, name)) is not None]
    if options.sinceTime is not None:
        query.append(("sinceTime", options.sinceTime.isoformat()))
    if options.stream not in (None, "All"):
        query.append(("stream", str(options.stream)))
    return query


def _log_answer(response: Response, upgrade: websockets.Grant | None) -> Response:
    return response if upgrade is None else upgrade.answer(response, websockets.log_frames(upgrade.protocol))


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


def refuse_dry_run(ctx: Context) -> None:
    """A connection cannot be tried without being made; raises BadRequest."""
    if any(name == "dryRun" for name, _ in ctx.request.query):
        raise BadRequest("dryRun is not supported")


def _require_upgrade(ctx: Context) -> None:
    if "upgrade" not in ctx.request.headers:
        raise BadRequest("Upgrade request required")


def _assigned(pod: core.Pod) -> str:
    if not pod.spec.nodeName:
        raise BadRequest(f"pod {pod.metadata.name} does not have a host assigned")
    return pod.spec.nodeName


async def exec_(ctx: Context) -> Response:
    """A command in a running container."""
    options = decode_query(PodExecOptions, ctx.request.query)
    if not options.command:
        raise BadRequest("you must specify at least 1 command for the container")
    return await _into_container(ctx, "exec", options, [("command", word) for word in options.command])


async def attach(ctx: Context) -> Response:
    """The streams of a running container's own process."""
    return await _into_container(ctx, "attach", decode_query(PodAttachOptions, ctx.request.query), [])


async def _into_container(ctx: Context, verb: str, options: PodAttachOptions, query: list[tuple[str, str]]) -> Response:
    refuse_dry_run(ctx)
    _require_upgrade(ctx)
    pod = _pod(ctx)
    container = choose_container(pod, options.container)
    for ours, theirs in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")):
        if getattr(options, ours):
            query.append((theirs, "1"))
    target = f"/{verb}/{pod.metadata.namespace}/{pod.metadata.name}/{container}?{urlencode(query)}"
    return await ctx.services.kubelet.request(_assigned(pod), ctx.request.method, target, headers=_upgrade_headers(ctx), upgrade=True)


async def port_forward(ctx: Context) -> Response:
    """Connections to ports of a pod."""
    options = decode_query(PodPortForwardOptions, ctx.request.query)
    refuse_dry_run(ctx)
    _require_upgrade(ctx)
    pod = _pod(ctx)
    node = _assigned(pod)
    ports = [("port", str(port)) for port in options.ports]
    target = f"/portForward/{pod.metadata.namespace}/{pod.metadata.name}" + (f"?{urlencode(ports)}" if ports else "")
    return await ctx.services.kubelet.request(node, ctx.request.method, target, headers=_upgrade_headers(ctx), upgrade=True)
