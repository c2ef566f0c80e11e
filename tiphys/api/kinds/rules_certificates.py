"""The rules of certificate signing requests."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType

from tiphys.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestStatus
from tiphys.api.kinds.rules_core import Uncounted
from tiphys.api.machinery.errors import FieldError
from tiphys.api.machinery.names import path_segment
from tiphys.api.machinery.scheme import Author
from tiphys.api.validation import certificates


def _sign_as(csr: CertificateSigningRequest, author: Author) -> None:
    spec = csr.spec
    spec.username, spec.uid, spec.groups = author.name, author.uid, list(author.groups)
    spec.extra = {key: list(values) for key, values in author.extra.items()}


def _date(new: CertificateSigningRequest, old: CertificateSigningRequest, now: datetime) -> None:
    """Conditions that do not say when they came about have come about now, or when they were first seen."""
    for condition in new.status.conditions:
        condition.lastUpdateTime = condition.lastUpdateTime or now
        if condition.lastTransitionTime is None:
            same = (found for found in old.status.conditions if (found.type, found.status) == (condition.type, condition.status))
            condition.lastTransitionTime = next((found.lastTransitionTime for found in same if found.lastTransitionTime), now)


class CertificateSigningRequestRules(Uncounted[CertificateSigningRequest]):
    """Who asks is written down by the server, and what was asked never changes: the rest is for the approver and the signer."""

    resets = MappingProxyType(
        {
            "": (("spec",), ("status",)),
            "status": (("spec",), ("status", "conditions")),
            "approval": (("spec",), ("status", "certificate")),
        }
    )
    stamp_author = staticmethod(_sign_as)
    stamp_status = staticmethod(_date)

    def prepare_create(self, obj: CertificateSigningRequest) -> None:
        obj.status = CertificateSigningRequestStatus()

    def prepare_update(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
        new.spec = old.spec

    def prepare_status_update(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
        """A decision that is there stays as it is, whatever a status update says of it."""
        decided = {condition.type: condition for condition in old.status.conditions if condition.type in ("Approved", "Denied")}
        new.status.conditions = [decided.get(condition.type, condition) for condition in new.status.conditions]

    def prepare_approval(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> None:
        new.status.certificate = old.status.certificate

    def validate(self, obj: CertificateSigningRequest) -> list[FieldError]:
        return certificates.validate_create(obj)

    def validate_status_update(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> list[FieldError]:
        return certificates.validate_status(new, old)

    def validate_approval(self, new: CertificateSigningRequest, old: CertificateSigningRequest) -> list[FieldError]:
        return certificates.validate_approval(new, old)

    def validate_name(self, name: str) -> str:
        return path_segment(name)
