"""Certificate signing requests: what is refused on a create, and what their subresources may change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from tiphys.api.kinds import SCHEME
from tiphys.testing.csr import request_pem, signing_request

RULES: Any = SCHEME.of(CertificateSigningRequest).rules
PEM = request_pem("e2e.example.com", names=["e2e.example.com"])
USAGES = ("digital signature", "server auth")


def csr(**changes: Any) -> CertificateSigningRequest:
    made = signing_request(PEM, "example.com/signer", USAGES)
    for name, value in changes.items():
        setattr(made.spec, name, value)
    return made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"request": b"nonsense"}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": PEM.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE")}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": PEM[:80] + b"AAAA" + PEM[84:]}, "spec.request: Invalid value"),
        ({"usages": []}, "spec.usages: Required value"),
        ({"usages": ["odd"]}, 'spec.usages[0]: Unsupported value: "odd": supported values: "any", "cert sign", "client auth"'),
        ({"usages": ["client auth", "client auth"]}, 'spec.usages[1]: Duplicate value: "client auth"'),
        ({"signerName": ""}, "spec.signerName: Required value"),
        ({"signerName": "kubernetes.io/legacy-unknown"}, "the legacy signerName is not allowed via this API version"),
        ({"signerName": "example"}, "must be a fully qualified domain and path of the form 'example.com/signer-name'"),
        ({"signerName": "example/x"}, 'Invalid value: "example": should be a domain with at least two segments separated by dots'),
        ({"signerName": "Example.com/x"}, 'validating label "Example": a lowercase RFC 1123 label must consist of'),
        ({"expirationSeconds": 599}, "may not specify a duration less than 600 seconds (10 minutes)"),
    ],
)
def test_rejects_invalid_fields(changes: dict[str, Any], said: str) -> None:
    errors = [str(error) for error in RULES.validate(csr(**changes))]
    assert any(said in error for error in errors), errors


def test_accepts_a_valid_request() -> None:
    assert RULES.validate(csr(expirationSeconds=600)) == []


def condition(type_: str, status: str = "True") -> CertificateSigningRequestCondition:
    return CertificateSigningRequestCondition(type=type_, status=status)


def with_conditions(*types: str, certificate: bytes = b"") -> CertificateSigningRequest:
    made = csr()
    made.status.conditions = [condition(type_) for type_ in types]
    made.status.certificate = certificate
    return made


def said(errors: list[Any]) -> list[str]:
    return [str(error) for error in errors]


def test_approvals() -> None:
    validate = RULES.parts["approval"].validate
    assert validate(with_conditions("Approved"), with_conditions()) == []
    assert said(validate(with_conditions("Denied"), with_conditions("Approved"))) == [
        'status.conditions: Forbidden: updates may not remove a condition of type "Approved"'
    ]
    assert said(validate(with_conditions("Approved", "Denied"), with_conditions("Approved"))) == [
        'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive'
    ]
    wrong = with_conditions("Approved", "Approved", "")
    wrong.status.conditions[0].status = "False"
    assert said(validate(wrong, with_conditions())) == [
        'status.conditions[0].status: Unsupported value: "False": supported values: "True"',
        'status.conditions[1].type: Duplicate value: "Approved"',
        "status.conditions[2].type: Required value",
    ]
    new = with_conditions("Approved", certificate=b"sneaked in")
    RULES.parts["approval"].keep(new, with_conditions())
    assert new.status.certificate == b""


def test_status_updates_do_not_decide() -> None:
    assert said(RULES.validate_status_update(with_conditions("Approved"), with_conditions())) == [
        'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    ]
    assert RULES.validate_status_update(with_conditions("Approved", "Failed"), with_conditions("Approved")) == []
    old, new = with_conditions("Approved"), with_conditions("Approved")
    old.status.conditions[0].reason = "AutoApproved"
    RULES.prepare_status_update(new, old)
    assert new.status.conditions[0].reason == "AutoApproved"


def test_certificates_are_set_once() -> None:
    for wrong, why in (
        (b"x", "must contain at least one CERTIFICATE PEM block"),
        (PEM, 'only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"'),
    ):
        assert said(RULES.validate_status_update(with_conditions(certificate=wrong), with_conditions())) == [
            f'status.certificate: Invalid value: "<certificate data>": {why}'
        ]
    changed = said(RULES.validate_status_update(with_conditions(certificate=b"x"), with_conditions(certificate=b"y")))
    assert changed[-1] == "status.certificate: Forbidden: updates may not modify existing certificate content"


def test_conditions_are_dated() -> None:
    now, then = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    old, new = with_conditions("Failed"), with_conditions("Failed", "Approved")
    old.status.conditions[0].lastTransitionTime = then
    RULES.stamp_status(new, old, now)
    assert [(found.lastUpdateTime, found.lastTransitionTime) for found in new.status.conditions] == [(now, then), (now, now)]


@pytest.mark.parametrize(
    ("types", "certificate", "word"),
    [
        ((), b"", "Pending"),
        (("Approved",), b"", "Approved"),
        (("Approved",), b"x", "Approved,Issued"),
        (("Denied",), b"", "Denied"),
        (("Approved", "Failed"), b"", "Approved,Failed"),
    ],
)
def test_the_table(types: tuple[str, ...], certificate: bytes, word: str) -> None:
    shown = with_conditions(*types, certificate=certificate)
    shown.spec.expirationSeconds, shown.spec.username = 86400, "alice"
    cells = {column.name: column.cell(shown, datetime.now(UTC)) for column in SCHEME.of(CertificateSigningRequest).columns}
    assert list(cells) == ["Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"]
    assert (cells["Requestor"], cells["RequestedDuration"], cells["Condition"]) == ("alice", "24h", word)
