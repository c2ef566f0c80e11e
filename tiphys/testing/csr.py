"""Certificate signing requests for tests."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestSpec
from tiphys.api.meta.v1 import ObjectMeta


def request_pem(name: str, organizations: Sequence[str] = (), names: Sequence[str] = ()) -> bytes:
    """A PKCS #10 request with a new key, in PEM; `names` are DNS names and addresses."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*subject, x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(text) for text in names]), critical=False)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def signing_request(
    pem: bytes, signer: str, usages: Sequence[str], *, name: str = "csr", seconds: int | None = None
) -> CertificateSigningRequest:
    """The object to create."""
    spec = CertificateSigningRequestSpec(request=pem, signerName=signer, usages=list(usages), expirationSeconds=seconds)
    return CertificateSigningRequest(metadata=ObjectMeta(name=name), spec=spec)
