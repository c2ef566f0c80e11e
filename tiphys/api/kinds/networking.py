"""Ingresses, network policies and the addresses of Services: `networking.k8s.io`."""

from __future__ import annotations

from typing import Any

from tiphys.api.columns import networking as columns
from tiphys.api.kinds.rules_networking import IngressClassRules, IngressRules, IPAddressRules, NetworkPolicyRules, ServiceCIDRRules
from tiphys.api.machinery.scheme import Kind
from tiphys.api.machinery.subresources import STATUS
from tiphys.api.networking import v1 as networking

GROUP = "networking.k8s.io"

INGRESSES: Kind[networking.Ingress] = Kind(
    type=networking.Ingress,
    plural="ingresses",
    rules=IngressRules(),
    columns=columns.INGRESSES,
    group=GROUP,
    short_names=("ing",),
    subresources=(STATUS,),
)

INGRESS_CLASSES: Kind[networking.IngressClass] = Kind(
    type=networking.IngressClass,
    plural="ingressclasses",
    rules=IngressClassRules(),
    columns=columns.INGRESS_CLASSES,
    group=GROUP,
    namespaced=False,
)

NETWORK_POLICIES: Kind[networking.NetworkPolicy] = Kind(
    type=networking.NetworkPolicy,
    plural="networkpolicies",
    rules=NetworkPolicyRules(),
    columns=columns.NETWORK_POLICIES,
    group=GROUP,
    short_names=("netpol",),
    unattended=True,
)

IP_ADDRESSES: Kind[networking.IPAddress] = Kind(
    type=networking.IPAddress,
    plural="ipaddresses",
    rules=IPAddressRules(),
    columns=columns.IP_ADDRESSES,
    group=GROUP,
    namespaced=False,
    short_names=("ip",),
)

SERVICE_CIDRS: Kind[networking.ServiceCIDR] = Kind(
    type=networking.ServiceCIDR,
    plural="servicecidrs",
    rules=ServiceCIDRRules(),
    columns=columns.SERVICE_CIDRS,
    group=GROUP,
    namespaced=False,
    subresources=(STATUS,),
)

KINDS: tuple[Kind[Any], ...] = (INGRESSES, INGRESS_CLASSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS)
