"""Certificates."""

from __future__ import annotations

from typing import Any

from tiphys.api.certificates import v1 as certificates
from tiphys.api.columns.certificates import CERTIFICATE_SIGNING_REQUESTS as COLUMNS
from tiphys.api.kinds.rules_certificates import CertificateSigningRequestRules
from tiphys.api.machinery.scheme import Kind, Subresource
from tiphys.api.machinery.subresources import STATUS

CERTIFICATE_SIGNING_REQUESTS: Kind[certificates.CertificateSigningRequest] = Kind(
    type=certificates.CertificateSigningRequest,
    plural="certificatesigningrequests",
    rules=CertificateSigningRequestRules(),
    columns=COLUMNS,
    group="certificates.k8s.io",
    namespaced=False,
    short_names=("csr",),
    subresources=(Subresource("approval"), STATUS),
    selectable={"spec.signerName": lambda csr: csr.spec.signerName},
)

KINDS: tuple[Kind[Any], ...] = (CERTIFICATE_SIGNING_REQUESTS,)
