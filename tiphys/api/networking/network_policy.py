"""NetworkPolicy: defaults, validation, columns and registration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tiphys.api.machinery.columns import AGE, NAME, cell, format_selector
from tiphys.api.machinery.errors import forbidden, invalid, not_supported, required
from tiphys.api.machinery.names import port_name_messages, port_number
from tiphys.api.machinery.scheme import Column, Kind, Rules
from tiphys.api.networking import GROUP
from tiphys.api.networking import v1 as networking
from tiphys.api.networking.v1 import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from tiphys.api.rules.addresses import cidr_warnings, legacy_cidr, parse_cidr
from tiphys.api.rules.basics import PROTOCOLS, Errors, label_selector, text


def default_network_policy(policy: NetworkPolicy) -> None:
    """By default a policy covers ingress, and egress if it has rules for that."""
    spec = policy.spec
    for port in chain(*(rule.ports for rule in spec.ingress), *(rule.ports for rule in spec.egress)):
        if port.protocol is None:
            port.protocol = "TCP"
    if not spec.policyTypes:
        spec.policyTypes = ["Ingress", "Egress"] if spec.egress else ["Ingress"]


_POLICY_TYPES = ("Ingress", "Egress")


def policy_peers(policy: NetworkPolicy) -> Iterator[tuple[str, NetworkPolicyPeer]]:
    """Every peer that a policy names, with its path."""
    for index, rule in enumerate(policy.spec.ingress):
        for number, peer in enumerate(rule.from_):
            yield f"spec.ingress[{index}].from[{number}]", peer
    for index, way_out in enumerate(policy.spec.egress):
        for number, peer in enumerate(way_out.to):
            yield f"spec.egress[{index}].to[{number}]", peer


def validate_network_policy(policy: NetworkPolicy) -> Errors:
    """Return the mistakes in a policy ("Network Policies")."""
    errors: Errors = []
    spec = policy.spec
    label_selector(errors, "spec.podSelector", spec.podSelector)
    for name in ("ingress", "egress"):
        for index, rule in enumerate(getattr(spec, name)):
            for number, port in enumerate(rule.ports):
                _policy_port(errors, f"spec.{name}[{index}].ports[{number}]", port)
    for path, peer in policy_peers(policy):
        _peer(errors, path, peer)
    if len(spec.policyTypes) > len(_POLICY_TYPES):
        errors.append(invalid("spec.policyTypes", spec.policyTypes, "may not specify more than two policyTypes"))
        return errors
    for index, name in enumerate(spec.policyTypes):
        if name not in _POLICY_TYPES:
            errors.append(not_supported(f"spec.policyTypes[{index}]", name, _POLICY_TYPES))
    return errors


def _policy_port(errors: Errors, path: str, item: NetworkPolicyPort) -> None:
    if item.protocol is not None and item.protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", item.protocol, ("TCP", "UDP", "SCTP")))
    port, end = item.port, item.endPort
    if port is None:
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified"))
    elif isinstance(port, str):
        if end is not None:
            errors.append(invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric"))
        text(errors, f"{path}.port", port, port_name_messages(port))
    else:
        if message := port_number(port):
            errors.append(invalid(f"{path}.port", port, message))
        if end is not None:
            if end < port:
                errors.append(invalid(f"{path}.endPort", port, "must be greater than or equal to `port`"))
            if message := port_number(end):
                errors.append(invalid(f"{path}.endPort", end, message))


def _peer(errors: Errors, path: str, peer: NetworkPolicyPeer) -> None:
    label_selector(errors, f"{path}.podSelector", peer.podSelector)
    label_selector(errors, f"{path}.namespaceSelector", peer.namespaceSelector)
    selects = peer.podSelector is not None or peer.namespaceSelector is not None
    if peer.ipBlock is not None:
        _block(errors, f"{path}.ipBlock", peer.ipBlock)
        if selects:
            errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    elif not selects:
        errors.append(required(path, "must specify a peer"))


def _block(errors: Errors, path: str, block: IPBlock) -> None:
    if not block.cidr:
        errors.append(required(f"{path}.cidr"))
        return
    legacy_cidr(errors, f"{path}.cidr", block.cidr)
    whole = parse_cidr(block.cidr)
    for index, part in enumerate(block.except_):
        here = f"{path}.except[{index}]"
        legacy_cidr(errors, here, part)
        hole = parse_cidr(part)
        if whole is None or hole is None:
            continue
        if whole.version != hole.version or hole.network_address not in whole or whole.prefixlen >= hole.prefixlen:
            errors.append(invalid(here, part, "must be a strict subset of `cidr`"))


class NetworkPolicyRules(Rules[NetworkPolicy]):
    default = staticmethod(default_network_policy)
    validate = staticmethod(validate_network_policy)

    def warnings(self, obj: NetworkPolicy, old: NetworkPolicy | None) -> list[str]:
        warnings: list[str] = []
        for path, peer in policy_peers(obj):
            if peer.ipBlock is not None:
                warnings += cidr_warnings(f"{path}.ipBlock.cidr", peer.ipBlock.cidr)
                for index, hole in enumerate(peer.ipBlock.except_):
                    warnings += cidr_warnings(f"{path}.ipBlock.except[{index}]", hole)
        return warnings


COLUMNS = (
    NAME,
    Column("Pod-Selector", cell(lambda obj: format_selector(obj.spec.podSelector)), description="The pods that it is about."),
    AGE,
)

NETWORK_POLICIES: Kind[networking.NetworkPolicy] = Kind(
    type=networking.NetworkPolicy,
    plural="networkpolicies",
    rules=NetworkPolicyRules(),
    columns=COLUMNS,
    group=GROUP,
    short_names=("netpol",),
    unattended=True,
)
