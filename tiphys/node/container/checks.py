"""Single checks and calls: run a command, make an HTTP request, open a TCP connection, ask a gRPC health service.

Used by probes and by life-cycle hooks. A check gives a `Verdict` and never raises for what the container did.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.container import http_check
from tiphys.node.container.env import expand
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import CriError, Deadline
from tiphys.node.pod.plan import AnyContainer

USER_AGENT = "kube-probe/1.36"
_HEALTH = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


class Verdict(msgspec.Struct, frozen=True):
    """Result of a check, with an explanation."""

    ok: bool
    output: str = ""
    warning: bool = False
    """True if a check that passed says something people should know."""
    errored: bool = False
    """True if the check itself could not be made, which says nothing about the container."""


def port_number(container: AnyContainer, port: int | str | None) -> int:
    """A port by number or by its name in the container; raises ValueError."""
    if isinstance(port, int):
        return port
    for known in container.ports:
        if known.name and known.name == port:
            return known.containerPort
    if port and port.isdigit():
        return int(port)
    raise ValueError(f"couldn't find port: {port!r}")


def probe_command(container: core.Container, action: core.ExecAction) -> list[str]:
    """The command of a probe, in which only variables that the container's spec spells out are known."""
    known = {variable.name: variable.value for variable in container.env}
    return [expand(word, known) for word in action.command]


async def run_command(cri: CriClient, container_id: str, command: list[str], timeout: float) -> Verdict:
    """Passes when the command ends with 0 in time."""
    try:
        answer = await cri.exec_sync(container_id, command, timeout=max(int(timeout), 1))
    except Deadline:
        return Verdict(False, f'command timed out: "{" ".join(command)}" timed out after {int(timeout)}s')
    except CriError as error:
        return Verdict(False, error.message, errored=True)
    return Verdict(answer.exit_code == 0, (answer.stdout + answer.stderr)[: http_check.OUTPUT].decode("utf-8", "replace"))


async def http_get(
    container: AnyContainer,
    action: core.HTTPGetAction,
    pod_ip: str,
    timeout: float,
    *,
    user_agent: str = USER_AGENT,
    any_status: bool = False,
) -> Verdict:
    """Passes for a status from 200 to 399, with a warning for a redirect that was not followed: to another host. `any_status`: for any."""
    try:
        port = port_number(container, action.port)
    except ValueError as error:
        return Verdict(False, str(error), errored=True)
    host = action.host or pod_ip
    url = http_check.target((action.scheme or "HTTP").lower(), host, port, action.path)
    try:
        async with asyncio.timeout(timeout):
            reply = await http_check.fetch(url, action.httpHeaders, user_agent)
    except TimeoutError:
        return Verdict(False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        return Verdict(False, f'Get "{url}": {_reason(error, host, port)}')
    if any_status or 200 <= reply.status < 300:
        return Verdict(True, reply.body)
    if 300 <= reply.status < 400:
        return Verdict(True, f"Probe terminated redirects, Response body: {reply.body}", warning=True)
    return Verdict(False, f"HTTP probe failed with statuscode: {reply.status}")


def _reason(error: BaseException, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    return str(error) or type(error).__name__


async def tcp_connect(container: AnyContainer, action: core.TCPSocketAction, pod_ip: str, timeout: float) -> Verdict:
    """Passes when the port accepts a connection."""
    host = action.host or pod_ip
    try:
        port = port_number(container, action.port)
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except TimeoutError:
        return Verdict(False, f"dial tcp {host}:{action.port}: i/o timeout")
    except (OSError, ValueError) as error:
        return Verdict(False, _reason(error, host, port_number(container, action.port)) if isinstance(error, OSError) else str(error))
    return Verdict(True)


async def grpc_health(action: core.GRPCAction, pod_ip: str, timeout: float) -> Verdict:
    """Passes when grpc.health.v1.Health/Check says SERVING."""
    import grpc
    from grpc import aio

    from tiphys.node.runtime.containerd_events import fields

    service = (action.service or "").encode()
    # A string field of the protocol buffer: tag, length, bytes.
    size = bytes([len(service)]) if len(service) < 0x80 else bytes([len(service) & 0x7F | 0x80, len(service) >> 7])
    request = b"\x0a" + size + service if service else b""
    host = f"[{pod_ip}]" if ":" in pod_ip else pod_ip
    channel: Any = aio.insecure_channel(f"{host}:{action.port}", options=[("grpc.enable_http_proxy", 0)])
    try:
        answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=timeout)
        health = dict(fields(answer)).get(1, 0)
        name = _HEALTH.get(health, str(health)) if isinstance(health, int) else "UNKNOWN"
        return Verdict(name == "SERVING", "" if name == "SERVING" else f'service unhealthy (responded with "{name}")')
    except grpc.RpcError as error:
        return Verdict(False, f"service unhealthy ({error.code().name}: {error.details()})")
    finally:
        await channel.close()
