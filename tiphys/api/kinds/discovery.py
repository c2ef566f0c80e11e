"""EndpointSlices: `discovery.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import other as columns
from tiphys.api.discovery import v1 as discovery
from tiphys.api.kinds.rules_other import EndpointSliceRules
from tiphys.api.machinery.scheme import Kind

ENDPOINT_SLICES: Kind[discovery.EndpointSlice] = Kind(
    type=discovery.EndpointSlice,
    plural="endpointslices",
    rules=EndpointSliceRules(),
    columns=columns.ENDPOINT_SLICES,
    group="discovery.k8s.io",
)

KINDS: tuple[Kind[Any], ...] = (ENDPOINT_SLICES,)
