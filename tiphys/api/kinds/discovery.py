"""EndpointSlices: `discovery.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.discovery import v1 as discovery
from tiphys.api.scheme import Kind

ENDPOINT_SLICES: Kind[discovery.EndpointSlice] = Kind(type=discovery.EndpointSlice, plural="endpointslices", group="discovery.k8s.io")

KINDS: tuple[Kind[Any], ...] = (ENDPOINT_SLICES,)
