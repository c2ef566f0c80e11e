"""Access to the kernel: nft scripts, routes, the bridge. The only module here that runs programs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
CONF = Path("/proc/sys/net/ipv4/conf")
ERROR_LIMIT = 2000
NOT_THERE = ("No such process", "Cannot assign requested address", "Address not found", "No such file or directory", "Cannot find device")


class KernelError(Exception):
    """A program failed; the message carries its output."""


async def run(*command: str, script: str = "", started: Callable[[int], None] | None = None) -> str:
    """Run a program to its end; raises KernelError. `started` receives the process id before the script is sent."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if script else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError as error:
        raise KernelError(f"{command[0]} is not installed: apt-get install nftables iproute2") from error
    if started is not None:
        started(process.pid)
    try:
        output, _ = await process.communicate(script.encode() if script else None)
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise KernelError(f"{' '.join(command)}: {output.decode(errors='replace').strip()[:ERROR_LIMIT]}")
    return output.decode(errors="replace")


async def apply(script: str, *, started: Callable[[int], None] | None = None) -> None:
    """Apply an nft script in one transaction; raises KernelError and changes nothing when any part is rejected."""
    if script:
        await run("nft", "-f", "-", script=script, started=started)


async def is_whole(table: str) -> bool:
    """Return whether the table exists with the rule that all others depend on."""
    try:
        return "@nodeports" in await run("nft", "list", "chain", "ip", table, "dispatch")
    except KernelError:
        return False


async def prepare_routes(*, pods: str, services: str, dns_address: str) -> None:
    """Keep the cluster's ranges on this machine. Idempotent; raises KernelError.

    Addresses without pods are unreachable. Services get a route to nowhere that lets local programs address them, so that
    the output hook can translate; what it does not translate is refused there. The DNS address is this machine's own, and the source
    of what local programs send to Services: unlike the addresses of its links it does not change.
    """
    await run("ip", "route", "replace", "unreachable", pods)
    await run("ip", "address", "replace", f"{dns_address}/32", "dev", "lo")
    await run("ip", "route", "replace", services, "dev", "lo", "src", dns_address)


async def remove_routes(*, pods: str, services: str, dns_address: str) -> list[str]:
    """Undo `prepare_routes`; returns descriptions of what could not be removed. Missing items are no error."""
    left: list[str] = []
    for command in (
        ("ip", "route", "del", services, "dev", "lo"),
        ("ip", "route", "del", "unreachable", pods),
        ("ip", "address", "del", f"{dns_address}/32", "dev", "lo"),
    ):
        try:
            await run(*command)
        except KernelError as error:
            text = str(error)
            if not any(words in text for words in NOT_THERE):
                left.append(text)
    return left


async def load_bridge_filter() -> bool:
    """Load br_netfilter where it is a module; returns whether packets between two ports of a bridge can pass the IP hooks."""
    if not has_bridge_filter():
        with contextlib.suppress(KernelError):
            await run("modprobe", "br_netfilter")
    return has_bridge_filter()


def has_bridge_filter() -> bool:
    """Return whether br_netfilter is available, built in or loaded."""
    return BRIDGE_FILTER.exists()


class Bridge:
    """Bridge of the pods, which appears with the first pod and may reappear with another index."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._prepared = 0

    async def prepare(self) -> None:
        """Set the bridge's switches if it exists and is new; never raises.

        Local programs use node ports on 127.0.0.1, and pods reach an API server that listens there (route_localnet); packets between
        its ports pass the IP hooks (nf_call_iptables), whatever the machine's setting for other bridges.
        """
        try:
            index = socket.if_nametoindex(self.name)
        except OSError:
            self._prepared = 0
            return
        if index == self._prepared:
            return
        self._prepared = index
        try:
            (CONF / self.name / "route_localnet").write_text("1")
            if has_bridge_filter():
                await run("ip", "link", "set", "dev", self.name, "type", "bridge", "nf_call_iptables", "1")
        except (OSError, KernelError) as error:
            log.error("the bridge of the pods is not set up", extra={"bridge": self.name, "error": str(error)})
