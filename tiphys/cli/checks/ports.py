"""Checks that the ports of the cluster are free, and that no program listens in the NodePort range."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from tiphys.cli.checks.result import CheckResult
from tiphys.daemon.settings import ClusterSettings

_IP_FREEBIND = 15
_LISTEN = "0A"
DNS_PORT = 53


class Endpoint(NamedTuple):
    """Address that one of our processes will listen on."""

    name: str
    address: str
    port: int
    kind: socket.SocketKind
    option: str
    owner: str
    """Our process that listens: `server` or `node`."""
    needed: bool = True
    """True if the cluster does not run without it."""


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    api = Endpoint("API port", settings.apiserver.bind, settings.apiserver.port, socket.SOCK_STREAM, "--secure-port", "server")
    if settings.is_hollow:
        yield _try(api, settings)
        return
    dns = settings.network.dns_address
    for endpoint in (
        api,
        Endpoint("kubelet port", settings.kubelet.bind, settings.kubelet.port, socket.SOCK_STREAM, "--kubelet-port", "node"),
        *_health_page(settings),
        Endpoint("DNS port", dns, DNS_PORT, socket.SOCK_DGRAM, "--service-cluster-ip-range", "node"),
        Endpoint("DNS port", dns, DNS_PORT, socket.SOCK_STREAM, "--service-cluster-ip-range", "node"),
    ):
        result = _try(endpoint, settings)
        if result.status != "ok" or endpoint.kind is socket.SOCK_STREAM:
            yield result
    yield from _node_ports(settings)


def _health_page(settings: ClusterSettings) -> Iterator[Endpoint]:
    if port := settings.healthz_port:
        yield Endpoint("health port", settings.kubelet.healthz_bind, port, socket.SOCK_STREAM, "--healthz-port", "node", needed=False)


def _try(endpoint: Endpoint, settings: ClusterSettings) -> CheckResult:
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    place = f"{endpoint.address}:{endpoint.port}"
    with socket.socket(family, endpoint.kind) as trial:
        if endpoint.kind is socket.SOCK_STREAM:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.name == "DNS port":
            # The address comes with the cluster; the kernel lets us claim it before.
            trial.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        try:
            trial.bind((endpoint.address, endpoint.port))
        except OSError as error:
            return _refused(endpoint, place, error, settings)
    return CheckResult(endpoint.name, "ok", f"{place} is free")


def _refused(endpoint: Endpoint, place: str, error: OSError, settings: ClusterSettings) -> CheckResult:
    bad: Literal["fail", "warn"] = "fail" if endpoint.needed else "warn"
    if error.errno == errno.EADDRINUSE:
        pid = holder(endpoint.port, endpoint.address, udp=endpoint.kind is socket.SOCK_DGRAM)
        if pid is not None and _is_ours(pid, endpoint.owner, settings):
            return CheckResult(endpoint.name, "ok", f"{place} is held by this cluster")
        who = f"process {pid} ({_program(pid)})" if pid is not None else "a process that is not visible from here"
        stop = f"stop it (kill {pid})" if pid is not None else "stop it"
        return CheckResult(endpoint.name, bad, f"{place} is in use by {who}", f"{stop}, or choose another with {endpoint.option}")
    if error.errno == errno.EADDRNOTAVAIL:
        option = "--bind" if endpoint.needed else "--healthz-bind-address"
        return CheckResult(
            endpoint.name, bad, f"{endpoint.address} is not an address of this machine", f"choose one with {option} (ip address lists them)"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return CheckResult(endpoint.name, "warn", f"{place} was not tested: {error.strerror}", "run as root to test it")
    return CheckResult(endpoint.name, bad, f"{place} cannot be used: {error.strerror}", f"choose another with {endpoint.option}")


def _node_ports(settings: ClusterSettings) -> Iterator[CheckResult]:
    ports = settings.network.node_port_range
    taken = sorted({listener.port for listener in listeners() if listener.port in ports})
    if taken:
        who = ", ".join(f"{port} ({_program(holder(port))})" for port in taken[:5])
        message = f"programs on this machine listen in {settings.network.node_ports}: {who}; a Service on the same port would hide them"
        yield CheckResult("node ports", "warn", message, "choose another range with --service-node-port-range")
    else:
        yield CheckResult("node ports", "ok", f"{settings.network.node_ports} are free")


class Listener(NamedTuple):
    """Listening socket; its address is spelled as in /proc."""

    address: str
    port: int
    inode: str

    def conflicts_with(self, address: str) -> bool:
        """Return whether it blocks `address` on its port: both are the same address, or one of them is the wildcard."""
        return address in ("", "0.0.0.0", "::") or self.address.strip("0") == "" or self.address.endswith(_as_in_proc(address))


def _as_in_proc(address: str) -> str:
    """Return an IPv4 address as /proc ends it, also for IPv4 addresses in IPv6 sockets; "-", which matches nothing, for others."""
    try:
        return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"
    except OSError:
        return "-"


def listeners(*, udp: bool = False) -> list[Listener]:
    """Return the listening TCP sockets of this network namespace, or its bound UDP sockets."""
    result = []
    for name in ("udp", "udp6") if udp else ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/net", name).read_text().splitlines()[1:]:
                fields = line.split()
                if udp or fields[3] == _LISTEN:
                    address, _, port = fields[1].rpartition(":")
                    result.append(Listener(address, int(port, 16), fields[9]))
    return result


def holder(port: int, address: str = "", *, udp: bool = False) -> int | None:
    """Return the id of the process that has a port (on an address, or on any), if this user may see it."""
    conflicts = [one for one in listeners(udp=udp) if one.port == port and one.conflicts_with(address)]
    links = {f"socket:[{listener.inode}]" for listener in conflicts}
    if not links:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError), os.scandir(process / "fd") as entries:
                for entry in entries:
                    with suppress(OSError):
                        if os.readlink(entry.path) in links:
                            return int(process.name)
    return None


def _program(pid: int | None) -> str:
    if pid is None:
        return "unknown"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(words).strip()[:100] or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "unknown"


def _is_ours(pid: int, owner: str, settings: ClusterSettings) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        return f"tiphys {owner} --data-dir {settings.data_dir} " in words + " "
    return False
