"""Checks of the cluster's address ranges against the machine's own, and of firewalls that would drop the traffic of pods."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import NamedTuple

from tiphys.cli.checks.result import CheckResult, find_program
from tiphys.daemon.settings import ClusterSettings

_REJECT = 0x0200


class Route(NamedTuple):
    """IPv4 route of the main table."""

    network: IPv4Network
    link: str


def check(settings: ClusterSettings) -> Iterator[CheckResult]:
    pods, services = IPv4Network(settings.network.pod_range), IPv4Network(settings.network.service_range)
    if pods.overlaps(services):
        message = f"the ranges of pods ({pods}) and Services ({services}) overlap"
        yield CheckResult("ranges", "fail", message, "choose ranges that do not overlap with --cluster-cidr and --service-cluster-ip-range")
        return
    yield _clash("pod range", "--cluster-cidr", pods, settings)
    yield _clash("service range", "--service-cluster-ip-range", services, settings)
    if os.geteuid() == 0:
        yield from _firewall(settings)


def _clash(name: str, option: str, network: IPv4Network, settings: ClusterSettings) -> CheckResult:
    fix = f"choose another range with {option}"
    for route in routes():
        if route.link in (settings.bridge, "lo") or not route.network.prefixlen or not route.network.overlaps(network):
            continue
        if route.network.prefixlen < network.prefixlen:
            message = f"{network} is part of {route.network}, routed through {route.link}: hosts in that range become unreachable from here"
            return CheckResult(name, "warn", message, fix)
        return CheckResult(name, "fail", f"{network} is in use: {route.network} is routed through {route.link}", fix)
    own = {settings.network.dns_address}
    for address in sorted(local_addresses() - own):
        if ip_address(address) in network and not _is_bridges(address, settings):
            return CheckResult(name, "fail", f"{network} is in use: {address} is an address of this machine", fix)
    return CheckResult(name, "ok", f"{network} is free")


def routes(table: str | None = None) -> list[Route]:
    """Return the machine's IPv4 routes, without those that reject (a cluster's own ranges end in such routes)."""
    text = Path("/proc/net/route").read_text() if table is None else table
    routes_ = []
    for line in text.splitlines()[1:]:
        link, destination, _, flags, _, _, _, mask = line.split()[:8]
        if not int(flags, 16) & _REJECT:
            routes_.append(Route(IPv4Network((_reversed(destination), _reversed(mask).bit_count())), link))
    return routes_


def _reversed(number: str) -> int:
    """Parse an address in the byte order of the machine, as the table has it."""
    return int.from_bytes(bytes.fromhex(number), "little")


def local_addresses(table: str | None = None) -> set[str]:
    """Return the machine's own IPv4 addresses, on all links."""
    text = Path("/proc/net/fib_trie").read_text() if table is None else table
    return set(re.findall(r"\|-- ([\d.]+)\n\s+/32 host LOCAL", text))


def _is_bridges(address: str, settings: ClusterSettings) -> bool:
    """Return whether an address belongs to our bridge, through which its network is then routed."""
    return any(route.link == settings.bridge and ip_address(address) in route.network for route in routes())


def _firewall(settings: ClusterSettings) -> Iterator[CheckResult]:
    """Warn of foreign chains that drop forwarded packets by default, as Docker and some firewalls create."""
    program = find_program("nft")
    if program is None:
        return
    done = subprocess.run([program, "-j", "list", "chains"], capture_output=True, text=True, check=False, timeout=5)
    if done.returncode != 0:
        return
    chains = [part["chain"] for part in json.loads(done.stdout)["nftables"] if "chain" in part]
    dropping = [f"{c['family']} {c['table']} {c['name']}" for c in chains if c.get("hook") == "forward" and c.get("policy") == "drop"]
    if dropping:
        message = f"the firewall drops forwarded packets by default ({', '.join(dropping)}): pods may have no network access"
        bridge = settings.bridge
        chain = "DOCKER-USER" if any(c["name"] == "DOCKER-USER" for c in chains) else "FORWARD"
        fix = f"iptables -I {chain} -i {bridge} -j ACCEPT; iptables -I {chain} -o {bridge} -j ACCEPT"
        yield CheckResult("firewall", "warn", message, fix)
    else:
        yield CheckResult("firewall", "ok", "forwarded packets are not dropped")
