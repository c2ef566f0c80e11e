"""The kernel side: nft scripts, routes, and the switches that forwarding needs. The only module here that runs programs."""

from __future__ import annotations

import asyncio
from pathlib import Path

SYSCTL = Path("/proc/sys/net/ipv4")


class KernelError(Exception):
    """A program refused; the message carries its words."""


async def run(*command: str, script: str = "") -> str:
    """Run a program to its end; raises KernelError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if script else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError as error:
        raise KernelError(f"{command[0]} is not installed: apt-get install nftables iproute2") from error
    output, _ = await process.communicate(script.encode() if script else None)
    if process.returncode != 0:
        raise KernelError(f"{' '.join(command)}: {output.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


async def apply(script: str) -> None:
    """Apply an nft script in one transaction; raises KernelError and changes nothing when any of it is refused."""
    if script:
        await run("nft", "-f", "-", script=script)


async def prepare_routes(*, pods: str, services: str, dns_address: str, source: str) -> None:
    """Keep the cluster's ranges on this machine.

    Pods that are not known are unreachable. Services get a route that leads nowhere but lets local programs address them, so that
    the output hook can translate; what it does not translate is refused there. The DNS address is this machine's own.
    """
    await run("ip", "route", "replace", "unreachable", pods)
    await run("ip", "address", "replace", f"{dns_address}/32", "dev", "lo")
    await run("ip", "route", "replace", services, "dev", "lo", "src", source)


async def remove_routes(*, pods: str, services: str, dns_address: str) -> list[str]:
    """Undo `prepare_routes`; returns what could not be removed, in words. What is not there is no error."""
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
            if "No such process" not in text and "Cannot assign requested address" not in text:
                left.append(text)
    return left


def allow_forwarding(bridge: str) -> None:
    """Let packets pass between pods and the world, and local programs use node ports on 127.0.0.1. Harmless when set."""
    _set(SYSCTL / "ip_forward", "1")
    _set(SYSCTL / "conf" / bridge / "route_localnet", "1")


def _set(path: Path, value: str) -> None:
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)
