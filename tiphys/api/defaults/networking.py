"""Defaults of ingress classes and network policies."""

from __future__ import annotations

from itertools import chain

from tiphys.api.networking.v1 import IngressClass, NetworkPolicy


def default_ingress_class(value: IngressClass) -> None:
    if value.spec.parameters is not None and value.spec.parameters.scope is None:
        value.spec.parameters.scope = "Cluster"


def default_network_policy(policy: NetworkPolicy) -> None:
    """A policy that does not say so is about what comes in, and about what goes out if it has rules for that."""
    spec = policy.spec
    for port in chain(*(rule.ports for rule in spec.ingress), *(rule.ports for rule in spec.egress)):
        if port.protocol is None:
            port.protocol = "TCP"
    if not spec.policyTypes:
        spec.policyTypes = ["Ingress", "Egress"] if spec.egress else ["Ingress"]
