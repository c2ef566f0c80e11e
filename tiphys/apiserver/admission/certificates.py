"""The three plugins about certificate signing requests: permission to approve for a signer, permission to sign, and forbidden subjects.

("Certificates and Certificate Signing Requests: Authorization", KEP-1513)
"""

from __future__ import annotations

from typing import Any

from tiphys.api.certificates.certificate_signing_request import Unreadable, read_request
from tiphys.api.certificates.v1 import CertificateSigningRequest
from tiphys.api.helpers.certificates import API_CLIENT, organizations
from tiphys.api.machinery.scheme import Kind
from tiphys.apiserver.admission.chain import AdmissionPlugin, AdmissionRequest, Operation
from tiphys.apiserver.auth.attributes import Attributes
from tiphys.apiserver.auth.authorizer import Authorizer
from tiphys.apiserver.auth.user import MASTERS, User

GROUP = "certificates.k8s.io"


def may(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """Return whether a user has a verb on a signer, or on all signers of its domain."""
    domain = signer.partition("/")[0]
    checks = (Attributes(user=user, verb=verb, group=GROUP, version="*", resource="signers", name=name) for name in (signer, f"{domain}/*"))
    return any(authorizer.authorize(attributes).allowed for attributes in checks)


class CertificateApproval(AdmissionPlugin):
    """Approving needs the verb `approve` on the signer."""

    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is CertificateSigningRequest and (operation, subresource) == ("UPDATE", "approval")

    def validate(self, request: AdmissionRequest) -> None:
        old = request.old_object
        assert isinstance(old, CertificateSigningRequest)
        if not may(self._authorizer, request.user, "approve", old.spec.signerName):
            raise request.forbidden(f'user not permitted to approve requests with signerName "{old.spec.signerName}"')


class CertificateSigning(AdmissionPlugin):
    """Writing the certificate or the conditions of a status needs the verb `sign` on the signer."""

    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is CertificateSigningRequest and (operation, subresource) == ("UPDATE", "status")

    def validate(self, request: AdmissionRequest) -> None:
        new, old = request.object, request.old_object
        assert isinstance(new, CertificateSigningRequest)
        assert isinstance(old, CertificateSigningRequest)
        if new.status != old.status and not may(self._authorizer, request.user, "sign", old.spec.signerName):
            raise request.forbidden(f'user not permitted to sign requests with signerName "{old.spec.signerName}"')


class CertificateSubjectRestriction(AdmissionPlugin):
    """No certificate of the API's own signer makes its bearer an administrator."""

    name = "CertificateSubjectRestriction"

    def handles(self, kind: Kind[Any], operation: Operation, subresource: str) -> bool:
        return kind.type is CertificateSigningRequest and operation == "CREATE" and not subresource

    def validate(self, request: AdmissionRequest) -> None:
        csr = request.object
        assert isinstance(csr, CertificateSigningRequest)
        if csr.spec.signerName != API_CLIENT:
            return
        try:
            groups = organizations(read_request(csr.spec.request))
        except Unreadable as error:
            raise request.forbidden(f"failed to parse CSR: {error}") from None
        if MASTERS in groups:
            raise request.forbidden(f"use of {API_CLIENT} signer with {MASTERS} group is not allowed")
