"""Decisions about certificate signing requests, and the sort of request that kubelets make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tiphys.api.certificates.v1 import CertificateSigningRequest

if TYPE_CHECKING:
    from cryptography import x509

API_CLIENT: Final = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"


def has_condition(csr: CertificateSigningRequest, type_: str) -> bool:
    return any(condition.type == type_ for condition in csr.status.conditions)


def common_name(request: x509.CertificateSigningRequest) -> str:
    from cryptography.x509.oid import NameOID

    attributes = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[-1].value) if attributes else ""


def organizations(request: x509.CertificateSigningRequest) -> list[str]:
    from cryptography.x509.oid import NameOID

    return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def alternative_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The names, addresses, mail addresses and URIs that the request wants in its certificate."""
    from cryptography import x509

    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [name for name in names if isinstance(name, kinds)]


def kubelet_client_fault(request: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    """Return why a request is not one for a kubelet's client certificate, or ""."""
    from cryptography import x509

    if organizations(request) != ["system:nodes"]:
        return "subject organization is not system:nodes"
    names = alternative_names(request)
    for type_, message in (
        (x509.DNSName, "DNS subjectAltNames are not allowed"),
        (x509.RFC822Name, "Email subjectAltNames are not allowed"),
        (x509.IPAddress, "IP subjectAltNames are not allowed"),
        (x509.UniformResourceIdentifier, "URI subjectAltNames are not allowed"),
    ):
        if any(isinstance(name, type_) for name in names):
            return message
    if not common_name(request).startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return _usages_fault(usages, "client auth")


def kubelet_serving_fault(request: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    """Return why a request is not one for a kubelet's serving certificate, or ""."""
    from cryptography import x509

    if organizations(request) != ["system:nodes"]:
        return "subject organization is not system:nodes"
    names = alternative_names(request)
    if not any(isinstance(name, x509.DNSName | x509.IPAddress) for name in names):
        return "DNS or IP subjectAltName is required"
    if any(isinstance(name, x509.RFC822Name) for name in names):
        return "Email subjectAltNames are not allowed"
    if any(isinstance(name, x509.UniformResourceIdentifier) for name in names):
        return "URI subjectAltNames are not allowed"
    if message := _usages_fault(usages, "server auth"):
        return message
    if not common_name(request).startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return ""


def api_client_fault(usages: Iterable[str]) -> str:
    """Return why a request is not one for a client certificate, or ""."""
    usages = list(usages)
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _usages_fault(usages: Iterable[str], purpose: str) -> str:
    """Key encipherment is for RSA keys: it may be left out."""
    if set(usages) - {"key encipherment"} == {"digital signature", purpose}:
        return ""
    return f"usages did not match [{' '.join(sorted(('digital signature', 'key encipherment', purpose)))}]"
