"""The rules of the networking group."""

from __future__ import annotations

from tiphys.api.defaults.networking import default_ingress_class, default_network_policy
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.scheme import METADATA_STAYS, Rules
from tiphys.api.networking.v1 import Ingress, IngressClass, IPAddress, NetworkPolicy, ServiceCIDR
from tiphys.api.rules.addresses import canonical_ip_messages, cidr_warnings
from tiphys.api.validation import networking


class IngressRules(Rules[Ingress]):
    def validate(self, obj: Ingress) -> list[FieldError]:
        return networking.validate_ingress(obj)

    def validate_create(self, obj: Ingress) -> list[FieldError]:
        return networking.validate_new_ingress(obj)

    def validate_status_update(self, new: Ingress, old: Ingress) -> list[FieldError]:
        return networking.validate_ingress_status(new)

    def warnings(self, obj: Ingress, old: Ingress | None) -> list[str]:
        annotation = networking.CLASS_ANNOTATION
        if old is not None or annotation not in obj.metadata.annotations or obj.spec.ingressClassName is not None:
            return []
        return [f"annotation \"{annotation}\" is deprecated, please use 'spec.ingressClassName' instead"]


class IngressClassRules(Rules[IngressClass]):
    def default(self, obj: IngressClass) -> None:
        default_ingress_class(obj)

    def validate(self, obj: IngressClass) -> list[FieldError]:
        return networking.validate_ingress_class(obj)

    def validate_update(self, new: IngressClass, old: IngressClass) -> list[FieldError]:
        return networking.validate_ingress_class_update(new, old)


class NetworkPolicyRules(Rules[NetworkPolicy]):
    def default(self, obj: NetworkPolicy) -> None:
        default_network_policy(obj)

    def validate(self, obj: NetworkPolicy) -> list[FieldError]:
        return networking.validate_network_policy(obj)

    def warnings(self, obj: NetworkPolicy, old: NetworkPolicy | None) -> list[str]:
        found: list[str] = []
        for path, peer in networking.policy_peers(obj):
            if peer.ipBlock is not None:
                found += cidr_warnings(f"{path}.ipBlock.cidr", peer.ipBlock.cidr)
                for index, hole in enumerate(peer.ipBlock.except_):
                    found += cidr_warnings(f"{path}.ipBlock.except[{index}]", hole)
        return found


class IPAddressRules(Uncounted[IPAddress]):
    def validate(self, obj: IPAddress) -> list[FieldError]:
        return networking.validate_ip_address(obj)

    def validate_update(self, new: IPAddress, old: IPAddress) -> list[FieldError]:
        return networking.validate_ip_address_update(new, old)

    def validate_name(self, name: str) -> str:
        return "; ".join(canonical_ip_messages(name))


class ServiceCIDRRules(Uncounted[ServiceCIDR]):
    resets = METADATA_STAYS

    def validate(self, obj: ServiceCIDR) -> list[FieldError]:
        return networking.validate_service_cidr(obj)

    def validate_update(self, new: ServiceCIDR, old: ServiceCIDR) -> list[FieldError]:
        return networking.validate_service_cidr_update(new, old)
