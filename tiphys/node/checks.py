"""Single checks and calls: run a command, make an HTTP request, open a TCP connection, ask a gRPC health service.

Used by probes and by life-cycle hooks. A check gives a `Verdict` and never raises for what the container did.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import msgspec

from tiphys.api.core import v1 as core
from tiphys.node.cri.client import CriClient
from tiphys.node.cri.errors import Deadline, RuntimeError_
from tiphys.node.pod_plan import AnyContainer

OUTPUT = 10 * 1024
USER_AGENT = "kube-probe/1.36"


class Verdict(msgspec.Struct, frozen=True):
    """Whether the check passed, and what there is to say about it."""

    ok: bool
    output: str = ""


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


async def run_command(cri: CriClient, container_id: str, command: list[str], timeout: float) -> Verdict:
    """Passes when the command ends with 0 in time."""
    try:
        answer = await cri.exec_sync(container_id, command, timeout=max(int(timeout), 1))
    except Deadline:
        return Verdict(False, f'command timed out: "{" ".join(command)}" timed out after {int(timeout)}s')
    except RuntimeError_ as error:
        return Verdict(False, error.message)
    return Verdict(answer.exit_code == 0, (answer.stdout + answer.stderr)[:OUTPUT].decode("utf-8", "replace"))


async def http_get(
    container: AnyContainer, action: core.HTTPGetAction, pod_ip: str, timeout: float, *, user_agent: str = USER_AGENT
) -> Verdict:
    """Passes for a status from 200 to 399."""
    try:
        port = port_number(container, action.port)
    except ValueError as error:
        return Verdict(False, str(error))
    host = action.host or pod_ip
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    scheme = (action.scheme or "HTTP").lower()
    shown = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{shown}:{port}{path}"
    headers = {"Host": f"{shown}:{port}", "User-Agent": user_agent, "Accept": "*/*", "Connection": "close"}
    for header in action.httpHeaders:
        headers[next((name for name in headers if name.lower() == header.name.lower()), header.name)] = header.value
    request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value) + "\r\n"
    try:
        async with asyncio.timeout(timeout):
            status, body = await _fetch(host, port, request.encode(), tls=scheme == "https")
    except TimeoutError:
        return Verdict(False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        return Verdict(False, f'Get "{url}": {_said(error, host, port)}')
    if 200 <= status < 400:
        return Verdict(True, body)
    return Verdict(False, f"HTTP probe failed with statuscode: {status}")


def _said(error: BaseException, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    return str(error) or type(error).__name__


async def _fetch(host: str, port: int, request: bytes, *, tls: bool) -> tuple[int, str]:
    context = None
    if tls:
        # Probes say whether somebody answers, not who: certificates are not checked, as documented.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(request)
        await writer.drain()
        line = (await reader.readline()).split(None, 2)
        if len(line) < 2 or not line[0].startswith(b"HTTP/"):
            raise ValueError("malformed HTTP response")
        status = int(line[1])
        while (await reader.readline()).strip():
            pass
        body = await reader.read(OUTPUT)
        return status, body.decode("utf-8", "replace")
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


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
        return Verdict(False, _said(error, host, port_number(container, action.port)) if isinstance(error, OSError) else str(error))
    return Verdict(True)


async def grpc_health(action: core.GRPCAction, pod_ip: str, timeout: float) -> Verdict:
    """Passes when grpc.health.v1.Health/Check says SERVING."""
    import grpc
    from grpc import aio

    from tiphys.node.containerd_events import fields

    service = (action.service or "").encode()
    request = b"\x0a" + bytes([len(service)]) + service if service else b""
    host = f"[{pod_ip}]" if ":" in pod_ip else pod_ip
    channel: Any = aio.insecure_channel(f"{host}:{action.port}", options=[("grpc.enable_http_proxy", 0)])
    try:
        answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=timeout)
        serving = dict(fields(answer)).get(1) == 1
        return Verdict(serving, "" if serving else 'service unhealthy (responded with "NOT_SERVING")')
    except grpc.RpcError as error:
        return Verdict(False, f"service unhealthy ({error.code().name}: {error.details()})")
    finally:
        await channel.close()
