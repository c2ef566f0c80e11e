"""Removal of the proxy's traces from the machine."""

from __future__ import annotations

from pathlib import Path

from tiphys.proxy import forwarding, kernel


async def remove_all(
    *, table: str, pod_range: str, service_range: str, dns_address: str, forwarding_record: Path = forwarding.RECORD
) -> list[str]:
    """Remove table, routes and address, and restore forwarding; returns descriptions of what could not be undone."""
    left: list[str] = []
    try:
        # Adding first makes the delete succeed where there is nothing.
        await kernel.apply(f"add table ip {table}\ndelete table ip {table}\n")
    except kernel.KernelError as error:
        left.append(str(error))
    left += await kernel.remove_routes(pods=pod_range, services=service_range, dns_address=dns_address)
    try:
        forwarding.release(table, record=forwarding_record)
    except OSError as error:
        left.append(f"{forwarding.SWITCH}: {error}")
    return left
