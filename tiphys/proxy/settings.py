"""Settings of the service proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tiphys.proxy import forwarding
from tiphys.proxy.plan import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Settings of the proxy: facts about the cluster and this node."""

    table: str
    bridge: str
    pod_range: str
    service_range: str
    node_name: str
    dns_address: str
    local_api: Endpoint | None = None
    """Address of an API server that only this machine can reach; the `kubernetes` Service leads there instead of to its endpoints."""
    forwarding_record: Path = forwarding.RECORD
