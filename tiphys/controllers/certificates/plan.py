"""Contents of requested certificates, and retention of requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tiphys.api.certificates.certificate_signing_request import SHORTEST
from tiphys.api.certificates.v1 import CertificateSigningRequest
from tiphys.api.helpers.certificates import (
    API_CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    alternative_names,
    api_client_fault,
    common_name,
    has_condition,
    kubelet_client_fault,
    kubelet_serving_fault,
)

BACKDATE: Final = timedelta(minutes=5)
SHORT: Final = timedelta(hours=8)
"""Lifetime below which a certificate is valid for its whole time although it is backdated."""
DECIDED_FOR: Final = timedelta(hours=1)
PENDING_FOR: Final = timedelta(hours=24)
"""Retention of requests after they were issued, denied or failed, and of requests that stay pending."""

_USAGES: Final = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_PURPOSES: Final = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
"""Key usages that the signers of this cluster accept."""


class Authority(NamedTuple):
    """Certificate authority that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class CannotSign(Exception):
    """The authority cannot sign now; the message says why."""


def signer_fault(csr: CertificateSigningRequest, request: x509.CertificateSigningRequest) -> str | None:
    """Return why the request's signer must not sign it, "" if it may, None if the signer is not one of this cluster's."""
    usages = csr.spec.usages
    match csr.spec.signerName:
        case name if name == API_CLIENT:
            return api_client_fault(usages)
        case name if name == KUBELET_CLIENT:
            return kubelet_client_fault(request, usages)
        case name if name == KUBELET_SERVING:
            return kubelet_serving_fault(request, usages)
    return None


def lifetime(requested: int | None, longest: timedelta) -> timedelta:
    """Return the lifetime of the certificate: the requested one, within bounds."""
    if requested is None:
        return longest
    return min(max(timedelta(seconds=requested), timedelta(seconds=SHORTEST)), longest)


def issue(
    request: x509.CertificateSigningRequest, usages: Iterable[str], life: timedelta, authority: Authority, now: datetime, serial: int
) -> x509.Certificate:
    """Return the certificate: subject, key and names of the request, usages as given, nothing else. Raises CannotSign."""
    ends = authority.certificate.not_valid_after_utc
    if now >= ends:
        raise CannotSign(f"the signer has expired: NotAfter={ends}")
    until = min(now + (life if life < SHORT else life - BACKDATE), ends)
    usages = list(usages)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(request.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    if usage := _key_usage(usages):
        builder = builder.add_extension(usage, critical=True)
    if purposes := _purposes(usages):
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names := alternative_names(request):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(request.subject))
    return builder.sign(authority.key, hashes.SHA256())


def _key_usage(usages: Iterable[str]) -> x509.KeyUsage | None:
    names = {_USAGES[usage] for usage in usages if usage in _USAGES}
    if "key_agreement" not in names:
        names -= {"encipher_only", "decipher_only"}  # They say how the key agreement is used.
    if not names:
        return None
    return x509.KeyUsage(**{name: name in names for name in dict.fromkeys(_USAGES.values())})


def _purposes(usages: Iterable[str]) -> list[ObjectIdentifier]:
    return [oid for usage, oid in _PURPOSES.items() if usage in usages]


def is_self_node(csr: CertificateSigningRequest, request: x509.CertificateSigningRequest) -> bool:
    """Return whether a node requests the next client certificate of its own."""
    return csr.spec.username == common_name(request)


def expires(csr: CertificateSigningRequest) -> datetime | None:
    """Return the time after which a request is of no more use."""
    moments = []
    issued = bool(csr.status.certificate)
    for condition in csr.status.conditions:
        if condition.lastUpdateTime is None:
            continue
        if condition.type in ("Denied", "Failed") or (condition.type == "Approved" and issued):
            moments.append(condition.lastUpdateTime + DECIDED_FOR)
        elif condition.type == "Approved":
            moments.append(condition.lastUpdateTime + PENDING_FOR)
    if not csr.status.conditions and csr.metadata.creationTimestamp is not None:
        moments.append(csr.metadata.creationTimestamp + PENDING_FOR)
    if issued and has_condition(csr, "Approved") and (end := _end_of(csr.status.certificate)) is not None:
        moments.append(end)
    return min(moments, default=None)


def _end_of(pem: bytes) -> datetime | None:
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        return None
