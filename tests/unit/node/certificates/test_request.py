"""Requests for a kubelet's certificates, and when to renew them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from tiphys.api.certificates.v1 import CertificateSigningRequestCondition
from tiphys.api.helpers.certificates import kubelet_client_fault, kubelet_serving_fault
from tiphys.controllers.certificates.plan import Authority, issue
from tiphys.node.certificates.request import (
    RequestFailed,
    Template,
    client_template,
    generate_key,
    is_request_of,
    is_valid_for,
    issued,
    read_issued,
    renewal_time,
    serving_template,
    signing_request,
)
from tiphys.testing.certificates import issue as issue_pair

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLIENT = client_template("n1")
SERVING = serving_template("n1", ["192.0.2.7", "2001:db8::7"])
KEY = generate_key()


def certificate(template: Template, *, start: datetime = NOW, days: int = 365) -> x509.Certificate:
    """Return the certificate that the cluster's signer issues for a request."""
    pair = issue_pair("ca")
    request = x509.load_pem_x509_csr(signing_request(template, KEY).spec.request)
    return issue(request, template.usages, timedelta(days=days), Authority(pair.cert, pair.key), start, 1)


def test_the_signers_accept_the_requests() -> None:
    for template, fault in ((CLIENT, kubelet_client_fault), (SERVING, kubelet_serving_fault)):
        csr = signing_request(template, KEY)
        assert csr.spec.signerName == template.signer
        assert fault(x509.load_pem_x509_csr(csr.spec.request), csr.spec.usages) == ""


def test_serves_under_the_name_and_addresses_of_the_node() -> None:
    assert serving_template("n1", ["2001:db8::7", "192.0.2.7"]) == SERVING
    names = certificate(SERVING).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]


def test_a_repeated_request_has_the_same_name_and_another_one_has_not() -> None:
    first = signing_request(CLIENT, KEY)
    assert signing_request(CLIENT, KEY).metadata.name == first.metadata.name
    others = [(CLIENT, generate_key()), (SERVING, KEY), (serving_template("n1", ["192.0.2.8"]), KEY), (client_template("n2"), KEY)]
    assert len({first.metadata.name, *(signing_request(*other).metadata.name for other in others)}) == 5
    assert is_request_of(first, CLIENT, KEY)
    assert not is_request_of(first, SERVING, KEY)
    assert not is_request_of(first, CLIENT, generate_key())


def test_a_request_is_pending_until_it_is_approved_and_signed() -> None:
    csr = signing_request(CLIENT, KEY)
    assert issued(csr) is None
    csr.status.certificate = b"pem"
    assert issued(csr) is None
    csr.status.conditions = [CertificateSigningRequestCondition(type="Approved", status="True")]
    assert issued(csr) == b"pem"


@pytest.mark.parametrize("type_", ["Denied", "Failed"])
def test_says_why_there_will_be_no_certificate(type_: str) -> None:
    csr = signing_request(CLIENT, KEY)
    csr.status.conditions = [CertificateSigningRequestCondition(type=type_, status="True", reason="Policy", message="not today")]
    with pytest.raises(RequestFailed, match=rf"{csr.metadata.name} is {type_.lower()} \(Policy: not today\)"):
        issued(csr)


def test_refuses_a_certificate_that_is_damaged_or_for_another_key() -> None:
    with pytest.raises(RequestFailed, match="cannot be read"):
        read_issued(b"-----BEGIN NONSENSE-----", KEY)
    other = issue_pair("n1")
    with pytest.raises(RequestFailed, match="for another key"):
        read_issued(other.cert_pem, KEY)
    assert read_issued(other.cert_pem, other.key) == other.cert


def test_renews_between_seven_and_nine_tenths_of_the_lifetime() -> None:
    made = certificate(CLIENT, days=100)
    life = made.not_valid_after_utc - made.not_valid_before_utc
    shares = [(renewal_time(made, chance) - made.not_valid_before_utc) / life for chance in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.7, 0.8, 0.9])


def test_a_certificate_serves_while_it_is_valid_and_has_all_names() -> None:
    made = certificate(SERVING)
    assert is_valid_for(made, SERVING, NOW)
    assert is_valid_for(made, serving_template("n1", ["192.0.2.7"]), NOW)
    assert not is_valid_for(made, serving_template("n1", ["192.0.2.7", "192.0.2.8"]), NOW)
    assert not is_valid_for(made, serving_template("n2", []), NOW)
    assert not is_valid_for(made, SERVING, NOW + timedelta(days=365))
    assert not is_valid_for(made, SERVING, NOW - timedelta(days=1))
