"""Taking the proxy's traces off the machine."""

from __future__ import annotations

from tiphys.proxy import kernel


async def remove_all(*, table: str, pod_range: str, service_range: str, dns_address: str) -> list[str]:
    """Remove table, routes and address; returns what could not be removed, in words."""
    left: list[str] = []
    try:
        # Adding first makes the delete succeed where there is nothing.
        await kernel.apply(f"add table ip {table}\ndelete table ip {table}\n")
    except kernel.KernelError as error:
        left.append(str(error))
    return left + await kernel.remove_routes(pods=pod_range, services=service_range, dns_address=dns_address)
