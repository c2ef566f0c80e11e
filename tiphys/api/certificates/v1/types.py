"""Certificate signing requests, certificates/v1."""

from __future__ import annotations

from typing import Annotated

from tiphys.api.base import Atomic, MapList, Struct, Time, always, constant
from tiphys.api.meta.v1.meta import KubeObject


class CertificateSigningRequestCondition(Struct):
    type: str = always(str)
    status: str = always(str)
    reason: str = ""
    message: str = ""
    lastUpdateTime: Time | None = None
    lastTransitionTime: Time | None = None


class CertificateSigningRequestStatus(Struct):
    conditions: Annotated[list[CertificateSigningRequestCondition], MapList("type")] = []
    certificate: bytes = b""


class CertificateSigningRequestSpec(Struct):
    request: bytes = b""
    signerName: str = always(str)
    expirationSeconds: int | None = None
    usages: Annotated[list[str], Atomic()] = []
    username: str = ""
    uid: str = ""
    groups: Annotated[list[str], Atomic()] = []
    extra: dict[str, list[str]] = {}


class CertificateSigningRequest(KubeObject):
    apiVersion: str = constant("certificates.k8s.io/v1")
    kind: str = constant("CertificateSigningRequest")
    spec: CertificateSigningRequestSpec = always(CertificateSigningRequestSpec)
    status: CertificateSigningRequestStatus = always(CertificateSigningRequestStatus)
