"""Signing of certificates, and retention of requests."""

# One case to a line, however long.
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tiphys.api.certificates.certificate_signing_request import read_request
from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.controllers.certificates.plan import Authority, CannotSign, expires, issue, lifetime, signer_fault
from tiphys.testing.csr import request_pem, signing_request

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NODE = ("system:node:n1", ["system:nodes"])
CLIENT = ("digital signature", "client auth")


def authority(days: int = 3650) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return Authority(made, key)


@pytest.mark.parametrize(
    ("signer", "pem", "usages", "fault"),
    [
        ("kubernetes.io/kube-apiserver-client", request_pem("alice"), CLIENT, ""),
        ("kubernetes.io/kube-apiserver-client", request_pem("a"), ("client auth", "server auth"), "invalid usage for client certificate: server auth"),
        ("kubernetes.io/kube-apiserver-client", request_pem("a"), ("digital signature",), "missing required usage for client certificate: client auth"),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem(*NODE), CLIENT, ""),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem(*NODE), (*CLIENT, "key encipherment"), ""),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem("n1", ["system:nodes"]), CLIENT, "subject common name does not begin with system:node:"),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem("system:node:n1"), CLIENT, "subject organization is not system:nodes"),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem(*NODE, ["n1"]), CLIENT, "DNS subjectAltNames are not allowed"),
        ("kubernetes.io/kube-apiserver-client-kubelet", request_pem(*NODE), ("client auth",), "usages did not match [client auth digital signature key encipherment]"),
        ("kubernetes.io/kubelet-serving", request_pem(*NODE, ["n1", "10.0.0.1"]), ("digital signature", "server auth"), ""),
        ("kubernetes.io/kubelet-serving", request_pem(*NODE), ("digital signature", "server auth"), "DNS or IP subjectAltName is required"),
        ("example.com/other", request_pem("a"), CLIENT, None),
    ],
)  # fmt: skip
def test_signers_accept_their_requests_only(signer: str, pem: bytes, usages: Sequence[str], fault: str | None) -> None:
    assert signer_fault(signing_request(pem, signer, usages), read_request(pem)) == fault


def test_a_certificate() -> None:
    ca = authority()
    request = read_request(request_pem(*NODE, ["n1", "10.0.0.1"]))
    made = issue(request, ["digital signature", "server auth"], timedelta(days=1), ca, NOW, 7)
    made.verify_directly_issued_by(ca.certificate)
    assert (made.subject, made.serial_number) == (request.subject, 7)
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (NOW - timedelta(minutes=5), NOW + timedelta(days=1, minutes=-5))
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert [str(found) for found in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


def test_times() -> None:
    year = timedelta(days=365)
    assert lifetime(None, year) == lifetime(2**31, year) == year
    assert (lifetime(10, year), lifetime(7200, year)) == (timedelta(seconds=600), timedelta(hours=2))
    request = read_request(request_pem("a"))
    assert issue(request, CLIENT, timedelta(hours=1), authority(), NOW, 1).not_valid_after_utc == NOW + timedelta(hours=1)
    short = authority(days=10)
    assert issue(request, CLIENT, year, short, NOW, 1).not_valid_after_utc == short.certificate.not_valid_after_utc
    with pytest.raises(CannotSign, match="the signer has expired"):
        issue(request, CLIENT, year, short, NOW + timedelta(days=11), 1)


def kept(*conditions: str, certificate: bytes = b"") -> CertificateSigningRequest:
    csr = signing_request(b"", "example.com/x", CLIENT)
    csr.metadata.creationTimestamp = NOW
    csr.status.certificate = certificate
    later = NOW + timedelta(hours=2)
    csr.status.conditions = [CertificateSigningRequestCondition(type=type_, status="True", lastUpdateTime=later) for type_ in conditions]
    return csr


def test_retention_of_requests() -> None:
    assert expires(kept()) == NOW + timedelta(hours=24)
    assert expires(kept("Approved")) == NOW + timedelta(hours=26)
    assert expires(kept("Denied")) == expires(kept("Approved", "Failed")) == NOW + timedelta(hours=3)
    assert expires(kept("Approved", certificate=b"x")) == NOW + timedelta(hours=3)
    made = issue(read_request(request_pem("a")), CLIENT, timedelta(seconds=600), authority(), NOW, 1)
    pem = made.public_bytes(serialization.Encoding.PEM)
    assert expires(kept("Approved", certificate=pem)) == NOW + timedelta(seconds=600)
    assert expires(kept("Other")) is None
