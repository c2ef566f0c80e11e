"""Settings of cluster DNS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tiphys.settings.network import NETWORK, RESOLV_CONF


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """Settings of the DNS server."""

    address: str
    port: int = 53
    domain: str = NETWORK.domain
    ranges: tuple[str, ...] = ()
    """The cluster's networks (CIDRs): they and the machine may ask, and reverse lookups of their addresses are never forwarded."""
    resolv_conf: Path = RESOLV_CONF
    upstream_port: int = 53
