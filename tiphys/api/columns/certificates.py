"""The table of certificate signing requests."""

from __future__ import annotations

from tiphys.api.certificates.v1 import CertificateSigningRequest
from tiphys.api.columns.base import AGE, NAME, NONE, cell, duration
from tiphys.api.helpers.certificates import has_condition
from tiphys.api.machinery.scheme import Column


def _condition(csr: CertificateSigningRequest) -> str:
    decided = next((type_ for type_ in ("Denied", "Approved") if has_condition(csr, type_)), "Pending")
    failed = ",Failed" if has_condition(csr, "Failed") else ""
    return f"{decided}{failed}{',Issued' if csr.status.certificate else ''}"


def _wanted_duration(csr: CertificateSigningRequest) -> str:
    seconds = csr.spec.expirationSeconds
    return NONE if seconds is None else duration(seconds)


CERTIFICATE_SIGNING_REQUESTS = (
    NAME,
    AGE,
    Column("SignerName", cell(lambda obj: obj.spec.signerName or NONE), description="Who is asked to sign."),
    Column("Requestor", cell(lambda obj: obj.spec.username), description="Who asked."),
    Column("RequestedDuration", cell(_wanted_duration), description="How long the certificate should be valid."),
    Column("Condition", cell(_condition), description="Whether the request is approved, denied, failed, and issued."),
)
