"""Ingresses, network policies and the addresses of Services: `networking.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.machinery.scheme import Kind
from tiphys.api.networking.ingress import INGRESSES
from tiphys.api.networking.ingress_class import INGRESS_CLASSES
from tiphys.api.networking.ip_address import IP_ADDRESSES
from tiphys.api.networking.network_policy import NETWORK_POLICIES
from tiphys.api.networking.service_cidr import SERVICE_CIDRS

KINDS: tuple[Kind[Any], ...] = (INGRESSES, INGRESS_CLASSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS)
