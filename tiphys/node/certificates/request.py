"""Requests for a kubelet's certificates, and the time at which to renew them. Pure.

("Configure Certificate Rotation for the Kubelet", KEP-266)
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestSpec
from tiphys.api.helpers.certificates import KUBELET_CLIENT, KUBELET_SERVING, has_condition
from tiphys.api.meta.v1 import ObjectMeta

NODES: Final = "system:nodes"
EARLIEST: Final = 0.7
LATEST: Final = 0.9
"""Shares of a certificate's lifetime between which it is renewed."""


class RequestFailed(Exception):
    """The request will not become a certificate; the message says why."""


@dataclass(frozen=True, slots=True)
class Template:
    """Contents of a certificate that a kubelet requests."""

    signer: str
    purpose: str
    """Key usage besides `digital signature`: `client auth` or `server auth`."""
    common_name: str
    names: tuple[str, ...] = ()
    """DNS names and IP addresses that the certificate is valid for."""

    @property
    def usages(self) -> tuple[str, ...]:
        return ("digital signature", self.purpose)


def client_template(node: str) -> Template:
    """Return the template of the certificate by which a kubelet authenticates to the API server."""
    return Template(KUBELET_CLIENT, "client auth", f"system:node:{node}")


def serving_template(node: str, addresses: Iterable[str]) -> Template:
    """Return the template of the certificate that a kubelet's server presents. Names are sorted, as their order means nothing."""
    names = sorted({node, *addresses})
    return Template(KUBELET_SERVING, "server auth", f"system:node:{node}", tuple(names))


def generate_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def signing_request(template: Template, key: ec.EllipticCurvePrivateKey) -> CertificateSigningRequest:
    """Return the object to create. Its name follows from key and contents: a request that is repeated finds the first one."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, NODES), x509.NameAttribute(NameOID.COMMON_NAME, template.common_name)]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if template.names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in template.names])
        builder = builder.add_extension(names, critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = CertificateSigningRequestSpec(request=pem, signerName=template.signer, usages=list(template.usages))
    return CertificateSigningRequest(metadata=ObjectMeta(name=_name(template, key)), spec=spec)


def _name(template: Template, key: ec.EllipticCurvePrivateKey) -> str:
    parts = (template.signer, template.purpose, template.common_name, *template.names)
    content = _public_bytes(key.public_key()) + "\0".join(parts).encode()
    return f"node-csr-{hashlib.sha256(content).hexdigest()[:40]}"


def is_request_of(csr: CertificateSigningRequest, template: Template, key: ec.EllipticCurvePrivateKey) -> bool:
    """Return whether a request of the API server is one for this key and signer."""
    try:
        public = x509.load_pem_x509_csr(csr.spec.request).public_key()
    except ValueError:
        return False
    return csr.spec.signerName == template.signer and public == key.public_key()


def issued(csr: CertificateSigningRequest) -> bytes | None:
    """Return the certificate of a request in PEM, None while it is pending. Raises RequestFailed if it was denied or failed."""
    for type_ in ("Denied", "Failed"):
        if has_condition(csr, type_):
            condition = next(condition for condition in csr.status.conditions if condition.type == type_)
            text = ": ".join(part for part in (condition.reason, condition.message) if part)
            raise RequestFailed(f"certificate signing request {csr.metadata.name} is {type_.lower()}{f' ({text})' if text else ''}")
    return bytes(csr.status.certificate) if has_condition(csr, "Approved") and csr.status.certificate else None


def read_issued(pem: bytes, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the certificate that a signer issued. Raises RequestFailed if it is damaged or for another key."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise RequestFailed(f"the issued certificate cannot be read: {error}") from None
    if certificate.public_key() != key.public_key():
        raise RequestFailed("the issued certificate is for another key")
    return certificate


def renewal_time(certificate: x509.Certificate, chance: float) -> datetime:
    """Return when to renew a certificate; `chance` (0 to 1) spreads the nodes of a cluster over the time between the two shares."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return start + (end - start) * (EARLIEST + (LATEST - EARLIEST) * chance)


def is_valid_for(certificate: x509.Certificate, template: Template, now: datetime) -> bool:
    """Return whether a certificate is in its period of validity and carries the template's common name and all of its names."""
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        return False
    common_names = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common_names != [template.common_name]:
        return False
    try:
        present = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        present = set()
    return all(_general_name(name) in present for name in template.names)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
