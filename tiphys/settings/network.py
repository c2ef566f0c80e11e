"""Settings of the cluster's network, which several components share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from tiphys.settings.option import Option

SMALLEST_PODS = 24
"""Longest prefix of the pods' range: a node gets a /24 of it."""
SMALLEST_SERVICES = 28
"""Longest prefix of the Services' range: DNS has its tenth address."""
RESOLV_CONF = Path("/etc/resolv.conf")
"""The machine's own resolver configuration."""


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Ranges of a cluster (CIDRs), and its DNS domain."""

    pod_range: Annotated[str, Option("--cluster-cidr", "IPv4 range of pod addresses.", metavar="CIDR")] = "10.42.0.0/16"
    service_range: Annotated[str, Option("--service-cluster-ip-range", "IPv4 range of cluster IPs.", metavar="CIDR")] = "10.43.0.0/16"
    node_ports: Annotated[str, Option("--service-node-port-range", "Port range of NodePort Services.", metavar="LOW-HIGH")] = "30000-32767"
    domain: Annotated[str, Option("--cluster-domain", "DNS domain of the cluster.", metavar="DOMAIN")] = "cluster.local"

    @property
    def dns_address(self) -> str:
        """Address of cluster DNS, the tenth of the Service range."""
        from ipaddress import ip_network

        return str(ip_network(self.service_range)[10])

    @property
    def api_service_address(self) -> str:
        """Address of the Service `kubernetes`, the first of the Service range."""
        from ipaddress import ip_network

        return str(ip_network(self.service_range)[1])

    @property
    def issuer(self) -> str:
        """Issuer of the tokens of service accounts."""
        return f"https://kubernetes.default.svc.{self.domain}"

    @property
    def node_port_range(self) -> range:
        """Ports of NodePort Services; raises ValueError."""
        low, _, high = self.node_ports.partition("-")
        return range(int(low), int(high) + 1)

    def faults(self) -> list[str]:
        """Return what is wrong with the settings, each with its fix."""
        return [
            *_range_faults("--cluster-cidr", self.pod_range, SMALLEST_PODS),
            *_range_faults("--service-cluster-ip-range", self.service_range, SMALLEST_SERVICES),
            *_port_faults("--service-node-port-range", self.node_ports),
        ]


NETWORK = NetworkSettings()
"""Default network of a cluster."""


def _range_faults(option: str, text: str, smallest: int) -> list[str]:
    from ipaddress import IPv4Network, ip_network

    try:
        network = ip_network(text)
    except ValueError as error:
        return [f"{option}: {error}; give a range such as {NETWORK.pod_range}"]
    if not isinstance(network, IPv4Network):
        return [f"{option}: {text} is an IPv6 range, which is not supported yet; give an IPv4 range"]
    if network.prefixlen > smallest:
        return [f"{option}: {text} is too small; give a /{smallest} or larger"]
    return []


def _port_faults(option: str, text: str) -> list[str]:
    low, _, high = text.partition("-")
    if low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) < 65536:
        return []
    return [f"{option}: {text} is not a range of ports; give a range such as {NETWORK.node_ports}"]
